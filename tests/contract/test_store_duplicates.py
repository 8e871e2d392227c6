"""Likely duplicates on a real database: found across channels, explained, by their indexes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from bus.contracts import ComplaintReceived, Contact
from store import cases, changes, duplicates
from store.addresses import Alike, read_address
from store.duplicates import like_case, likely, person
from store.likeness import Problem, Reaches, TypeMatch
from store.same_settings import DuplicateSettings
from tests.support.facts import NOON, complaint
from tests.support.store import file, put_staff, routed

POTHOLE = "Pothole/Street Maintenance"
REACHES = Reaches(of_type={POTHOLE: 60})
SETTINGS = DuplicateSettings()
NORTH_80_M = 39.0757 + 80 / 111_320


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as acquired:
        await put_staff(acquired)
        yield acquired


async def filed(
    pool: asyncpg.Pool, number: int, channel: str = "web", **other: object
) -> ComplaintReceived:
    told = complaint(number, channel, **other)
    await file(pool, told, routed(told))
    return told


def asked(**other: object) -> Problem:
    values: dict[str, object] = {
        "text": "There is a big pothole on 23rd, right by the gas station",
        "at": NOON + timedelta(days=2),
        "problem_type": POTHOLE,
        "address": read_address("11401 East 23rd"),
        "lat": 39.0757,
        "lon": -94.4416,
    }
    return Problem(**(values | other))  # type: ignore[arg-type]


async def find(conn: asyncpg.Connection, problem: Problem, **other: UUID) -> list[UUID]:
    found = await likely(conn, problem, REACHES, SETTINGS, **other)  # type: ignore[arg-type]
    return [one.case_id for one in found]


async def test_a_case_of_another_channel_is_found_with_the_reasons(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    near = await filed(pool, 1, "sms", lat=NORTH_80_M, address=None)
    await filed(pool, 2, lat=39.12, address="100 N Main St")
    [one] = await likely(conn, asked(), REACHES, SETTINGS)
    assert (one.case_id, one.channel) == (near.message_id, "sms")
    assert (one.reference, one.department) == (near.reference, "MS-STREET MAINTENANCE")
    assert one.why.metres == pytest.approx(80, abs=1)
    assert (one.why.type, one.why.address) == (TypeMatch.SAME, Alike.UNKNOWN)
    assert one.why.age == timedelta(days=2)
    assert one.why.words is not None
    assert one.why.words > 0.7
    assert (one.reports, one.is_strong) == (1, False)


async def test_the_most_likely_comes_first_and_only_a_few(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    for number in range(1, 9):
        await filed(pool, number, lat=39.0757 + number * 5 / 111_320, address=None)
    found = await likely(conn, asked(address=None), REACHES, SETTINGS)
    assert len(found) == duplicates.MOST
    assert found[0].case_id == complaint(1).message_id
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


async def test_it_works_without_a_point(conn: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    no_point = {"lat": None, "lon": None, "place_source": None}
    here = await filed(pool, 1, **no_point)
    await filed(pool, 2, address="11401 E 33rd St", **no_point)
    assert await find(conn, asked(lat=None, lon=None)) == [here.message_id]
    # One with a point, one without: the address is what they have in common.
    assert await find(conn, asked()) == [here.message_id]
    assert await find(conn, asked(lat=None, lon=None, address=None)) == []


async def test_the_same_caller_is_found_without_any_place(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    no_place = {"lat": None, "lon": None, "place_source": None, "address": None}
    before = await filed(pool, 1, "phone", **no_place)
    await filed(pool, 2, "phone", reporter=Contact(phone="+18165550199"), **no_place)
    caller = person(Contact(phone="+18165550142"))
    problem = asked(lat=None, lon=None, address=None, reporter=caller)
    [one] = await likely(conn, problem, REACHES, SETTINGS)
    assert one.case_id == before.message_id
    assert one.why.same_reporter
    mail = person(Contact(email="Rosa@resident.example"))
    assert await find(conn, asked(lat=None, lon=None, address=None, reporter=mail)) == [
        before.message_id
    ]


async def test_what_is_closed_or_old_is_not_proposed_nor_the_case_itself(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    closed = await filed(pool, 1)
    old = await filed(pool, 2, occurred_at=NOON - timedelta(days=120))
    me = await filed(pool, 3)
    await changes.close(conn, closed.message_id, outcome="fixed", words="Done.", by="pat.moore")
    assert await find(conn, asked()) == [me.message_id]
    case = await cases.by_id(conn, me.message_id)
    assert case is not None
    assert await like_case(conn, case, REACHES, SETTINGS) == []
    assert old.message_id not in await find(conn, asked())


async def test_types_of_which_two_are_never_one_find_nothing(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await filed(pool, 1)
    assert await likely(conn, asked(), Reaches(of_type={POTHOLE: 0}), SETTINGS) == []


STRANGE: list[dict[str, object]] = [
    {"text": "\x00 '; DROP TABLE cases; --", "address": read_address("1' OR '1'='1")},
    {"text": "", "address": read_address("& | ! ( : * '")},
    {"lat": 90.0, "lon": 180.0},
    {"text": "🕳" * 9000, "reporter": frozenset({"a' @b", "+1"})},
    {"problem_type": "\x00"},
]


async def test_whatever_is_typed_is_only_compared(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await filed(pool, 1)
    for strange in STRANGE:
        for without in ({}, {"lat": None, "lon": None}):
            await likely(conn, asked(**(strange | without)), REACHES, SETTINGS)
    assert await conn.fetchval("SELECT count(*) FROM cases") == 1


FILL = """
    INSERT INTO cases (
        id, reference, status, channel, text, language, opened_at, problem_type, department,
        address, lat, lon
    )
    SELECT gen_random_uuid(), 'R' || n, 'assigned', 'web', 'pothole ' || md5(n::text), 'en',
           $1::timestamptz, 'Pothole/Street Maintenance', 'STREETS',
           n || ' E ' || (n % 60) || 'th St',
           39.0 + (n % 200) * 0.001, -94.5 + (n / 200) * 0.002
    FROM generate_series(1, 20000) AS n
"""
WORDS = """
    INSERT INTO case_words (case_id, words)
    SELECT id, to_tsvector('simple', lower(address || ' ' || text)) FROM cases
"""


async def test_among_many_open_cases_no_table_is_read_whole(conn: asyncpg.Connection) -> None:
    """`python -m bench.duplicates` measures it with 100,000; this holds what makes it quick."""
    await conn.execute(FILL, NOON)
    await conn.execute(WORDS)
    await conn.execute("VACUUM ANALYZE")
    # As a connection does that has asked this question often.
    await conn.execute("SET plan_cache_mode = force_generic_plan")
    point = (39.0747, 39.0767, -94.4429, -94.4403)
    values = (*point, NOON - timedelta(days=9), POTHOLE, 0.78, 80, "75 15th", "", "", None)
    plan = await conn.fetch("EXPLAIN " + duplicates.CANDIDATES, *values)
    said = "\n".join(row[0] for row in plan)
    assert "cases_by_place" in said
    assert "case_words_words" in said
    assert "Seq Scan on cases" not in said
    assert "Seq Scan on case_words" not in said
    assert len(await find(conn, asked(address=read_address("75 E 15th")))) > 0
