"""What reports read agrees with the cases, whatever happens to them and in whatever order."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from bus.contracts import ComplaintReceived
from store import counting
from store.history import take_in
from store.records import NewEvent, add_events
from tests.contract.test_store_history import closed, mint
from tests.support.facts import NOON, complaint
from tests.support.store import file, put_staff, routed

COUNTED = """
    SELECT department, problem_type, district, closed_at IS NOT NULL AS closed, outcome, channel,
           first_action_at, reopened_at IS NOT NULL AS reopened, type_foretold, type_corrected,
           department_foretold, department_corrected, imported, timed, place
    FROM counted_cases
    WHERE case_id = $1
"""


@pytest.fixture
async def told(pool: asyncpg.Pool) -> ComplaintReceived:
    """A case on Pat's desk."""
    one = complaint(address="625 S.  Osage St.,")
    await file(pool, one, routed(one, problem_type="Pothole", department="STREETS"))
    async with pool.acquire() as conn:
        await put_staff(conn)
    return one


async def counted(conn: asyncpg.Connection, case_id: UUID) -> dict[str, object]:
    await counting.catch_up(conn)
    return dict(await conn.fetchrow(COUNTED, case_id))


async def change(
    conn: asyncpg.Connection, case_id: UUID, kind: str, changed: str, **data: object
) -> None:
    """A change as staff make them: the case and its event in one transaction."""
    async with conn.transaction():
        await conn.execute(f"UPDATE cases SET {changed} WHERE id = $1", case_id)
        at = NOON + timedelta(hours=1)
        await add_events(conn, [NewEvent(case_id, at, kind, "pat.moore", True, dict(data))])


async def test_a_case_is_counted_as_it_stands(pool: asyncpg.Pool, told: ComplaintReceived) -> None:
    async with pool.acquire() as conn:
        assert await counted(conn, told.message_id) == {
            "department": "STREETS",
            "problem_type": "Pothole",
            "district": "District 2",
            "closed": False,
            "outcome": None,
            "channel": "web",
            "first_action_at": None,
            "reopened": False,
            "type_foretold": True,
            "type_corrected": False,
            "department_foretold": True,
            "department_corrected": False,
            "imported": False,
            "timed": True,
            "place": "625 S OSAGE ST",
        }


async def test_every_change_is_counted_when_it_is_committed(
    pool: asyncpg.Pool, told: ComplaintReceived
) -> None:
    one = told.message_id
    async with pool.acquire() as conn:
        await counting.catch_up(conn)

        await change(conn, one, "retyped", "problem_type = 'Sinkhole', typed_by = 'pat.moore'")
        now = await counted(conn, one)
        assert (now["problem_type"], now["type_corrected"]) == ("Sinkhole", True)
        assert now["first_action_at"] == NOON + timedelta(hours=1)

        await change(conn, one, "assigned", "department = 'WATER', district = 'District 3'",
                     from_department="STREETS", department="WATER")  # fmt: skip
        now = await counted(conn, one)
        assert (now["department"], now["district"]) == ("WATER", "District 3")
        assert now["department_corrected"]

        await change(
            conn,
            one,
            "closed",
            "status = 'closed', outcome = 'fixed', closing_words = 'Done', closed_at = now()",
        )
        now = await counted(conn, one)
        assert (now["closed"], now["outcome"], now["reopened"]) == (True, "fixed", False)

        await change(
            conn,
            one,
            "reopened",
            "status = 'assigned', outcome = NULL, closing_words = NULL, closed_at = NULL",
        )
        now = await counted(conn, one)
        assert (now["closed"], now["outcome"], now["reopened"]) == (False, None, True)

        await conn.execute("DELETE FROM complaints")
        await conn.execute("DELETE FROM cases")
        assert await conn.fetchval("SELECT count(*) FROM counted_cases") == 0


async def test_nothing_is_counted_twice_or_anew_without_need(
    pool: asyncpg.Pool, told: ComplaintReceived
) -> None:
    async with pool.acquire() as conn:
        assert (await counting.catch_up(conn)).changed == 1
        again = await counting.catch_up(conn)
        assert (again.changed, again.complete) == (0, True)
        assert (await counting.recount(conn)).changed == 0


async def test_what_was_begun_before_the_count_and_committed_after_it_is_counted(
    pool: asyncpg.Pool, told: ComplaintReceived
) -> None:
    """Numbers alone would lose it: its event has a smaller one than some that are counted."""
    one = told.message_id
    async with pool.acquire() as slow, pool.acquire() as conn:
        async with slow.transaction():
            await change(slow, one, "retyped", "problem_type = 'Sinkhole'")
            other = complaint(2)
            await file(pool, other, routed(other))
            assert (await counting.catch_up(conn)).changed == 2
            assert (await counted(conn, one))["problem_type"] == "Pothole"
        assert (await counted(conn, one))["problem_type"] == "Sinkhole"


async def test_a_database_that_was_restored_elsewhere_is_counted_from_the_beginning(
    pool: asyncpg.Pool, told: ComplaintReceived
) -> None:
    """There, transactions have other numbers than those that were written down."""
    async with pool.acquire() as conn:
        await counting.catch_up(conn)
        await conn.execute("UPDATE counting SET horizon = '9000000000'")
        await conn.execute("UPDATE cases SET problem_type = 'Sinkhole'")  # as if it had no event

        assert (await counting.catch_up(conn)).changed == 1
        assert (await counted(conn, told.message_id))["problem_type"] == "Sinkhole"
        assert (await counting.catch_up(conn)).changed == 0


async def test_counting_anew_mends_what_was_counted_wrongly_and_says_how_much(
    pool: asyncpg.Pool, told: ComplaintReceived
) -> None:
    async with pool.acquire() as conn:
        before = await counted(conn, told.message_id)
        await conn.execute("UPDATE counted_cases SET department = 'NOBODY'")

        assert (await counting.recount(conn)).changed == 1
        assert await counted(conn, told.message_id) == before


async def test_who_reads_while_others_count_is_told_that_it_may_lack_the_newest(
    pool: asyncpg.Pool, told: ComplaintReceived
) -> None:
    async with pool.acquire() as busy, pool.acquire() as conn:
        first = await counting.catch_up(conn)
        async with busy.transaction():
            await busy.execute(counting.LOCK, counting.LOCK_NUMBER)
            late = await counting.catch_up(conn, patience=0.1)
        assert (late.complete, late.at) == (False, first.at)
        assert (await counting.catch_up(conn)).complete


async def test_an_imported_case_is_counted_as_one(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await take_in(conn, "elsewhere", [closed(1, timed=False)], mint=mint, now=NOON)
        await counting.catch_up(conn)

        row = await conn.fetchrow(
            "SELECT imported, timed, first_action_at, type_foretold, closed_at, place "
            "FROM counted_cases"
        )
        assert dict(row) == {
            "imported": True,
            "timed": False,
            "first_action_at": None,
            "type_foretold": False,
            "closed_at": closed(1).closed_at,
            "place": "100 INVENTED ST",
        }
