"""
The figures that are counted quickly are those that are found slowly, whatever has happened to the
cases: taken up, noted, closed, opened again, retyped, given to others, joined, imported once more.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from store import changes, counted, counting, history, performance
from store.history import PastCase
from store.merging import merge, unmerge
from store.model import NotAllowed, Outcome, Status
from store.performance import ELSEWHERE, Fold, Group
from store.pool import Settings, open_pool
from tests.contract.test_store_history import mint
from tests.support import slow_figures
from tests.support.facts import complaint
from tests.support.store import file, put_staff, routed

BY = (*performance.BY, "assignee")
FOLD = Fold(
    types={"CE - Zoning": "Zoning", "Old": "Sinkhole"},
    departments={"STREETS": "MS-STREET MAINTENANCE"},
    act_days={"Zoning": 0.5, "Pothole": 30},
    close_days={"Zoning": 20, "Sinkhole": 0.3, "Pothole": 14},
)
KINDS = ("Zoning", "CE - Zoning", "Old", "Sinkhole", "Pothole", "Unheard of", None)
DEPARTMENTS = ("STREETS", "MS-STREET MAINTENANCE", "WATER", None)
NOW = datetime.now(UTC)


def past(chance: random.Random, number: int) -> PastCase:
    opened_at = NOW - timedelta(seconds=chance.randrange(3 * 365 * 86_400))
    took = timedelta(seconds=int(60 * 2 ** chance.uniform(-2, 18)))
    is_open = chance.random() < 0.3 or opened_at + took > NOW
    department = chance.choice(DEPARTMENTS)
    waits = Status.ASSIGNED if department else Status.TRIAGE
    return PastCase(
        number=f"{number}",
        channel=chance.choice(("phone", "web", "email")),
        status=waits if is_open else Status.CLOSED,
        opened_at=opened_at,
        closed_at=None if is_open else opened_at + took,
        outcome=None if is_open else chance.choice(list(Outcome)),
        problem_type=chance.choice(KINDS),
        department=department,
        district=chance.choice(("District 1", "District 2", "Others", None)),
        address=f"{int(12 * chance.random() ** 2)} Planted St" if number % 5 else None,
        lat=None if number % 3 else 39.05,
        lon=None if number % 3 else -94.41,
        timed=chance.random() < 0.9,
    )


async def act(conn: asyncpg.Connection, chance: random.Random, ids: list[UUID]) -> None:
    """One of the things that staff do; some cannot be done to this case, and nothing happens."""
    one, other = chance.sample(ids, 2)
    by = chance.choice(("pat.moore", "dana.ruiz"))
    with suppress(NotAllowed):
        match chance.randrange(8):
            case 0:
                await changes.start(conn, one, by=by)
            case 1:
                await changes.add_note(
                    conn, one, note_id=uuid4(), text="Seen.", public=False, by=by
                )
            case 2:
                outcome = chance.choice(list(Outcome))
                await changes.close(conn, one, outcome=outcome, words="Done.", by=by)
            case 3:
                await changes.reopen(conn, one, reason="It is there again", by=by)
            case 4:
                kind = chance.choice(KINDS) or "Sinkhole"
                await changes.set_problem_type(conn, one, problem_type=kind, by=by)
            case 5:
                department = chance.choice(DEPARTMENTS)
                await changes.assign(conn, one, department=department, assignee=None, by=by)
            case 6:
                await merge(conn, one, into=other, by=by)
            case 7:
                await unmerge(conn, one, by=by)


def spans() -> list[tuple[datetime, datetime]]:
    """Days, a month, two years in pieces, all of it, none of it."""
    return [
        (NOW - timedelta(days=days), NOW + timedelta(days=until))
        for days, until in ((2, 1), (400, -370), (900, -100), (5000, 1), (9000, -8000))
    ]


async def check(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        assert (await counting.catch_up(conn)).complete
        slow = await slow_figures.read(conn, FOLD)
    now = datetime.now(UTC)
    for begin, end in spans():
        cases = await counted.read(pool, [(begin, end)])
        assert performance.opened(cases, begin, end, FOLD, BY) == slow_figures.opened(
            slow, begin, end, BY
        )
        assert performance.closing(cases, begin, end, FOLD, BY) == slow_figures.closing(
            slow, begin, end, FOLD, BY
        )
        assert performance.first_actions(cases, begin, end, FOLD, BY) == slow_figures.first_actions(
            slow, begin, end, FOLD, BY
        )
        assert performance.open_now(cases, now, FOLD, BY) == slow_figures.open_now(
            slow, now, FOLD, BY
        )
        for limit in (1, 3, 10, 99):
            busy = performance.busy_places(cases, begin, end, least=5, limit=limit)
            async with pool.acquire() as conn:
                told = await performance.named_places(conn, busy, limit=limit)
            assert told == slow_figures.places(slow, begin, end, least=5)[:limit]


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_counted_quickly_is_what_is_found_slowly(
    pool: asyncpg.Pool, seed: int
) -> None:
    chance = random.Random(seed)
    imported = [past(chance, number) for number in range(400)]
    ours = [
        complaint(
            number,
            occurred_at=NOW - timedelta(minutes=chance.randrange(900_000)),
            lat=39.0911,
            lon=-94.4155,
            address="3 planted  st.",
        )
        for number in range(1, 60)
    ]
    async with pool.acquire() as conn:
        await put_staff(conn)
        await history.take_in(conn, "papers", imported, mint=mint, now=NOW)
    await file(
        pool,
        *ours,
        *(
            routed(
                one,
                problem_type=chance.choice(KINDS),
                department=chance.choice(DEPARTMENTS),
                district=chance.choice(("District 1", None)),
            )
            for one in ours
        ),
    )
    await check(pool)

    ids = [one.message_id for one in ours]
    ids += [history.case_id("papers", one.number) for one in imported[:200]]
    async with pool.acquire() as conn:
        for _ in range(300):
            await act(conn, chance, ids)
        again = [
            replace(one, department=chance.choice(DEPARTMENTS), problem_type=chance.choice(KINDS))
            for one in imported
            if one.status is Status.CLOSED
        ]
        taken = await history.take_in(conn, "papers", again, mint=mint, now=NOW)
        assert taken.changed > 50
    await check(pool)
    async with pool.acquire() as conn:
        # And nothing of it needed to be counted once more.
        assert (await counting.recount(conn)).changed == 0


async def test_a_point_of_ours_in_no_district_lies_elsewhere(pool: asyncpg.Pool) -> None:
    here, there = complaint(1, lat=39.09, lon=-94.41), complaint(2, lat=None, lon=None)
    await file(pool, here, there, *(routed(one, district=None) for one in (here, there)))
    async with pool.acquire() as conn:
        await counting.catch_up(conn)
    begin, end = here.occurred_at - timedelta(days=1), here.occurred_at + timedelta(days=1)
    cases = await counted.read(pool, [(begin, end)])
    told = performance.opened(cases, begin, end, FOLD, ("district",))
    assert told[Group("district", ELSEWHERE)].opened == 1
    assert told[Group("district", None)].opened == 1


async def test_the_smallest_pool_is_enough_for_many_at_a_time(dsn: str) -> None:
    """Whoever reads takes what is free, and waits for none while holding another."""
    async with open_pool(Settings(dsn=dsn, pool_size=2)) as small:
        whole = [(NOW - timedelta(days=5000), NOW)]
        read = await asyncio.wait_for(
            asyncio.gather(*(counted.read(small, whole) for _ in range(12))), 30
        )
        assert {len(one) for one in read} == {0}


async def test_a_name_that_nobody_wrote_down_is_no_figure(pool: asyncpg.Pool) -> None:
    one = complaint()
    await file(pool, one, routed(one))
    async with pool.acquire() as conn:
        await counting.catch_up(conn)
        await conn.execute("DELETE FROM counted_names")
    with pytest.raises(RuntimeError, match="counted_names"):
        await counted.read(pool, [(NOW - timedelta(days=5000), NOW + timedelta(days=1))])
    async with pool.acquire() as conn:
        await counting.recount(conn)
    assert len(await counted.read(pool, [(NOW - timedelta(days=5000), NOW)])) == 1
