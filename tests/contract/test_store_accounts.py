"""Who works here, who may sign in, and who is signed in."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from store import accounts, sessions
from store.model import Role
from tests.support.store import put_staff


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as acquired:
        yield acquired


async def put_olga(conn: asyncpg.Connection, **other: object) -> None:
    values: dict[str, object] = {
        "login": "Olga.Op ",
        "name": "Olga",
        "email": "olga@independence.example",
        "roles": ["operator", Role.LEAD],
        "department": "MS-WATER",
    }
    await accounts.put_account(conn, **(values | other))  # type: ignore[arg-type]


async def test_people_of_the_city_have_a_desk_and_cannot_sign_in(conn: asyncpg.Connection) -> None:
    for _ in range(2):
        await put_staff(conn)
    pat = await accounts.by_login(conn, "PAT.Moore")
    assert pat is not None
    assert (pat.name, pat.roles, pat.has_password) == ("Pat Moore", {Role.STAFF}, False)
    assert await accounts.check_password(conn, "pat.moore", "") is None
    assert [one.login for one in await accounts.people(conn)] == [
        "dana.ruiz",
        "lee.chan",
        "pat.moore",
    ]
    assert [one.login for one in await accounts.people(conn, "MS-WATER")] == ["lee.chan"]
    assert await accounts.departments(conn) == ["MS-STREET MAINTENANCE", "MS-WATER"]
    assert await accounts.by_login(conn, "nobody\x00") is None


async def test_the_right_password_and_no_other_signs_in(conn: asyncpg.Connection) -> None:
    await put_olga(conn, password_hash=await accounts.hash_password("the buck stops here ñ"))
    olga = await accounts.check_password(conn, " OLGA.op", "the buck stops here ñ")
    assert olga is not None
    assert (olga.login, olga.roles, olga.has_password) == (
        "olga.op",
        {Role.OPERATOR, Role.LEAD},
        True,
    )
    for wrong in ("the buck stops here n", "", "x" * 5000, "\x00", "\ud800"):
        assert await accounts.check_password(conn, "olga.op", wrong) is None
    await put_olga(conn, active=False)
    assert await accounts.check_password(conn, "olga.op", "the buck stops here ñ") is None
    assert await accounts.people(conn) == []


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(conn: asyncpg.Connection) -> None:
    await put_olga(conn, password_hash=await accounts.hash_password("right"))

    async def quickest(login: str) -> float:
        times = []
        for _ in range(4):
            began = time.perf_counter()
            assert await accounts.check_password(conn, login, "wrong") is None
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = await quickest("olga.op"), await quickest("no.body")
    assert unknown > known / 2


async def test_many_sign_in_at_once_and_the_loop_goes_on(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await put_olga(conn, password_hash=await accounts.hash_password("right"))

    async def sign_in() -> None:
        async with pool.acquire() as own:
            assert await accounts.check_password(own, "olga.op", "right") is not None

    asked = [asyncio.create_task(sign_in()) for _ in range(6)]
    longest = 0.0
    while not all(task.done() for task in asked):
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - began)
    await asyncio.gather(*asked)
    assert longest < 0.5


async def test_the_citys_folder_touches_neither_password_nor_the_roles_given_here(
    conn: asyncpg.Connection,
) -> None:
    await put_olga(conn, password_hash=await accounts.hash_password("right"), language="es")
    await accounts.put_person(
        conn,
        login="olga.op",
        name="Olga Ortiz",
        email="ortiz@independence.example",
        phone=None,
        department=None,
        roles=["staff"],
    )
    olga = await accounts.check_password(conn, "olga.op", "right")
    assert olga is not None
    assert (olga.name, olga.department, olga.language) == ("Olga Ortiz", None, "es")
    assert olga.roles == {Role.OPERATOR, Role.LEAD, Role.STAFF}


async def test_changing_an_account_keeps_the_password_and_replaces_roles(
    conn: asyncpg.Connection,
) -> None:
    await put_olga(conn, password_hash=await accounts.hash_password("right"))
    await put_olga(conn, roles=["admin"], phone="816-555-0100")
    olga = await accounts.check_password(conn, "olga.op", "right")
    assert olga is not None
    assert (olga.roles, olga.phone) == ({Role.ADMIN}, "816-555-0100")
    with pytest.raises(ValueError, match="'king'"):
        await put_olga(conn, roles=["king"])


IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)


async def test_a_session_is_read_back_until_it_ends(conn: asyncpg.Connection) -> None:
    await sessions.write(conn, "sid-1", {"login": "pat", "csrf": "é\x00"}, IN_AN_HOUR)
    assert await sessions.read(conn, "sid-1") == {"login": "pat", "csrf": "é"}
    await sessions.write(conn, "sid-1", {"login": "dana"}, IN_AN_HOUR)
    assert await sessions.read(conn, "sid-1") == {"login": "dana"}
    assert await sessions.read(conn, "sid-2") is None
    await sessions.forget(conn, "sid-1")
    assert await sessions.read(conn, "sid-1") is None


async def test_a_session_that_is_over_is_none(conn: asyncpg.Connection) -> None:
    await sessions.write(conn, "sid", {}, datetime.now(UTC) - timedelta(seconds=1))
    assert await sessions.read(conn, "sid") is None


async def test_all_sessions_of_somebody_end_together(conn: asyncpg.Connection) -> None:
    await sessions.write(conn, "a", {"login": "pat"}, IN_AN_HOUR)
    await sessions.write(conn, "b", {"created": 1, "session": {"login": "pat"}}, IN_AN_HOUR)
    await sessions.write(conn, "c", {}, IN_AN_HOUR, login="pat")
    await sessions.write(conn, "d", {"login": "dana"}, IN_AN_HOUR)
    await sessions.write(conn, "e", {}, IN_AN_HOUR)
    await sessions.forget_all(conn, "pat")
    left = [sid for sid in "abcde" if await sessions.read(conn, sid) is not None]
    assert left == ["d", "e"]


async def test_the_database_does_not_know_a_sessions_id(conn: asyncpg.Connection) -> None:
    await sessions.write(conn, "a-secret-id", {"login": "pat"}, IN_AN_HOUR)
    row = await conn.fetchrow("SELECT sessions::text AS everything FROM sessions")
    assert "a-secret-id" not in row["everything"]
