"""Requests of the past become cases: once, in sets, without a word to anybody."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from bus.identity import mint_reference
from store import cases, history, ledger, search
from store.history import PastCase, Taken, case_id, take_in
from store.model import Outcome, Status
from store.search import Filter
from tests.support.facts import NOON, SECRET
from tests.support.store import kinds

SOURCE = "elsewhere"


def mint(case: UUID, attempt: int) -> str:
    return mint_reference(SECRET, case, attempt)


def closed(number: int, **other: object) -> PastCase:
    opened_at = datetime(2019, 6, 3, 19, 31, tzinfo=UTC) + timedelta(days=number)
    past = PastCase(
        number=f"R-{number}",
        channel="phone",
        status=Status.CLOSED,
        opened_at=opened_at,
        closed_at=opened_at + timedelta(days=7),
        outcome=Outcome.FIXED,
        problem_type="Pothole",
        department="Public Works",
        district="3",
        address=f"{number}00 Invented St",
        lat=39.05,
        lon=-94.57,
        text="A hole\x00 in the road",
    )
    return replace(past, **other)  # type: ignore[arg-type]


def still_open(number: int, **other: object) -> PastCase:
    values = {"status": Status.ASSIGNED, "closed_at": None, "outcome": None}
    return closed(number, **(values | other))


async def take(conn: asyncpg.Connection, past: Sequence[PastCase], *, write: bool = True) -> Taken:
    return await take_in(conn, SOURCE, past, mint=mint, now=NOON, write=write)


async def test_a_request_becomes_a_case_as_it_was(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        assert await take(conn, [closed(1), still_open(2)]) == Taken(new=2)

        case = await cases.by_id(conn, case_id(SOURCE, "R-1"))
        assert case is not None
        expected = closed(1)
        for name in ("channel", "status", "opened_at", "closed_at", "outcome", "problem_type"):
            assert getattr(case, name) == getattr(expected, name), name
        for name in ("department", "district", "address", "lat", "lon"):
            assert getattr(case, name) == getattr(expected, name), name
        assert case.text == "A hole in the road"
        assert case.assignee is None
        assert await kinds(conn, case.id) == ["opened", "closed", "imported"]
        *_, imported = await cases.history(conn, case.id)
        assert (imported.at, imported.public) == (NOON, False)
        assert imported.data == {"source": SOURCE, "number": "R-1"}
        found = await search.find(conn, Filter(words="R-1"))
        assert [row.id for row in found.cases] == [case.id]
        assert [row.id for row in await search_for(conn, case.reference)] == [case.id]


async def search_for(conn: asyncpg.Connection, words: str) -> list[search.Row]:
    return (await search.find(conn, Filter(words=words))).cases


async def test_nobody_is_told_and_the_ledger_closes(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await take(conn, [closed(number) for number in range(20)])

        assert await conn.fetchval("SELECT count(*) FROM outbox") == 0
        assert await conn.fetchval("SELECT count(*) FROM deliveries") == 0
        books = await ledger.equation(conn)
        assert books.closes
        assert (books.received, books.filed) == (20, 20)
        entry = await ledger.entry(conn, case_id(SOURCE, "R-1"))
        assert entry is not None
        assert (entry.channel, entry.external_id) == (history.CHANNEL, "elsewhere/R-1")


async def test_the_same_again_changes_nothing(pool: asyncpg.Pool) -> None:
    past = [closed(1), still_open(2)]
    async with pool.acquire() as conn:
        await take(conn, past)

        assert await take(conn, past) == Taken(same=2)

        assert await kinds(conn, case_id(SOURCE, "R-1")) == ["opened", "closed", "imported"]
        assert (await ledger.equation(conn)).received == 2


async def test_a_later_file_brings_what_has_changed(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await take(conn, [still_open(1), closed(2)])
        before = await cases.by_id(conn, case_id(SOURCE, "R-1"))

        taken = await take(conn, [closed(1, address="7 Other St"), closed(2), closed(3)])

        assert taken == Taken(new=1, same=1, changed=1)
        case = await cases.by_id(conn, case_id(SOURCE, "R-1"))
        assert case is not None
        assert before is not None
        assert (case.status, case.outcome, case.address) == (
            Status.CLOSED,
            Outcome.FIXED,
            "7 Other St",
        )
        assert case.reference == before.reference
        assert [row.id for row in await search_for(conn, "other st r-1")] == [case.id]
        *_, last = await cases.history(conn, case.id)
        assert last.data == {"source": SOURCE, "number": "R-1", "again": True}


async def test_what_staff_have_changed_here_is_left_alone(pool: asyncpg.Pool) -> None:
    one = case_id(SOURCE, "R-1")
    async with pool.acquire() as conn:
        await take(conn, [still_open(1)])
        await conn.execute("UPDATE cases SET problem_type = 'Sinkhole', typed_by = 'pat.moore'")

        assert await take(conn, [closed(1)]) == Taken(kept=1)

        case = await cases.by_id(conn, one)
        assert case is not None
        assert (case.status, case.problem_type) == (Status.ASSIGNED, "Sinkhole")


async def test_without_writing_it_is_only_said_what_would_be(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await take(conn, [still_open(1), closed(2)])

        taken = await take(conn, [closed(1), closed(2), closed(3)], write=False)

        assert taken == Taken(new=1, same=1, changed=1)
        assert (await ledger.equation(conn)).received == 2
        case = await cases.by_id(conn, case_id(SOURCE, "R-1"))
        assert case is not None
        assert case.status is Status.ASSIGNED


async def test_references_that_meet_by_chance_are_told_apart(pool: asyncpg.Pool) -> None:
    always = mint(UUID(int=1), 0)

    def clumsy(case: UUID, attempt: int) -> str:
        return always if attempt == 0 else mint(case, attempt)

    async with pool.acquire() as conn:
        await take_in(conn, SOURCE, [closed(1)], mint=clumsy, now=NOON)
        await take_in(conn, SOURCE, [closed(1), closed(2), closed(3)], mint=clumsy, now=NOON)

        rows = await conn.fetch("SELECT id, reference FROM cases")
        references = {row["id"]: row["reference"] for row in rows}
        assert len(set(references.values())) == 3
        assert references[case_id(SOURCE, "R-1")] == always
        for id_, reference in references.items():
            assert [row.id for row in await search_for(conn, reference)] == [id_]


async def test_two_imports_at_a_time_are_one(pool: asyncpg.Pool) -> None:
    """The second waits for the first, and finds everything known."""
    past = [closed(number) for number in range(50)]
    async with pool.acquire() as one, pool.acquire() as other:
        async with one.transaction():
            await take(one, past)
            assert not await other.fetchval(
                "SELECT pg_try_advisory_xact_lock(hashtextextended('buckstop import', 0))"
            )
        assert await take(other, past) == Taken(same=50)
