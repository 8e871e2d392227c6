"""Pausing and resuming durables and channels on the real bus; every act is kept."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.contracts import ComplaintReceived
from bus.errors import Refused
from bus.files import Files
from bus.look import Looker
from bus.topology import ensure_durable
from gateway.operator import levers
from gateway.pausing import unless_paused
from store import levers as books
from store.model import Role
from store.service import listeners
from tests.contract.test_operator_commands import ask
from tests.contract.test_operator_figures import the_store, working
from tests.support.facts import complaint
from tests.support.product import clean_environment, until
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages

DURABLE = "store_complaint"


def soon(**span: float) -> datetime:
    return datetime.now(UTC) + timedelta(**span)


async def filed(pool: asyncpg.Pool) -> int:
    async with pool.acquire() as conn:
        count: int = await conn.fetchval("SELECT count(*) FROM cases")
    return count


async def test_a_paused_durable_waits_and_loses_nothing(bus: Bus, pool: asyncpg.Pool) -> None:
    async with working(the_store(bus, pool)):
        await bus.tell([complaint(1)])
        await until(lambda: _is(pool, 1))
        async with pool.acquire() as conn:
            await levers.pause(conn, bus, DURABLE, until=soon(hours=1), by="olga", why="a test")
        await bus.tell([complaint(2)])
        await asyncio.sleep(0.7)
        assert await filed(pool) == 1
        _, [look] = await Looker(bus.js).look()
        assert look.paused
        assert look.paused_until is not None

        async with pool.acquire() as conn:
            await levers.resume(conn, bus, DURABLE, by="pat")
            assert await books.paused(conn) == []
            acts = await books.acts(conn)
        await until(lambda: _is(pool, 2))
    assert [(one.act, one.by, one.why, one.outcome) for one in acts] == [
        ("resume", "pat", "", "done"), ("pause", "olga", "a test", "done"),
    ]  # fmt: skip


async def _is(pool: asyncpg.Pool, count: int) -> bool:
    return await filed(pool) == count


async def test_a_pause_ends_by_itself_and_outlives_a_restart(bus: Bus, pool: asyncpg.Pool) -> None:
    async with working(the_store(bus, pool)):
        pass
    async with pool.acquire() as conn:
        await levers.pause(conn, bus, DURABLE, until=soon(seconds=4), by="olga", why="a test")
    [listener] = [one for one in listeners(pool) if one.durable == DURABLE]
    await ensure_durable(
        bus.js, stream=listener.stream, durable=DURABLE, contracts=listener.contracts,
        ack_wait=listener.ack_wait, max_ack_pending=10,
    )  # fmt: skip
    assert (await bus.js.consumer_info("COMPLAINTS", DURABLE)).paused
    await bus.tell([complaint(1)])
    async with working(the_store(bus, pool)):
        await until(lambda: _is(pool, 1), within=15)


async def test_what_cannot_be_done_changes_nothing_and_is_kept(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as conn:
        for what, at in (("store_nothing", soon(hours=1)), (DURABLE, soon(days=9))):
            with pytest.raises(Refused):
                await levers.pause(conn, bus, what, until=at, by="olga", why="a test")
        assert await books.paused(conn) == []


async def test_a_channel_finishes_what_it_has_in_hand_and_begins_again(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    looked: list[str] = []

    async def run(stop: asyncio.Event) -> None:
        looked.append("begun")
        await stop.wait()
        await asyncio.sleep(0.1)
        looked.append("done")

    stop = asyncio.Event()
    work = asyncio.create_task(unless_paused("email", run, bus.client, pool, stop))
    await until(lambda: _has(looked, "begun"))
    async with pool.acquire() as conn:
        await levers.pause(conn, bus, "channel:email", until=soon(hours=1), by="olga", why="x")
    await until(lambda: _has(looked, "done"))
    await asyncio.sleep(0.2)
    assert looked == ["begun", "done"]
    async with pool.acquire() as conn:
        await levers.resume(conn, bus, "channel:email", by="olga")
    await until(lambda: _has(looked, "begun", 2))
    async with pool.acquire() as conn:
        await levers.pause(conn, bus, "channel:email", until=soon(seconds=1), by="olga", why="x")
    await until(lambda: _has(looked, "begun", 3))  # the time was over
    stop.set()
    await work
    assert looked == ["begun", "done"] * 3


async def _has(looked: list[str], word: str, times: int = 1) -> bool:
    return looked.count(word) >= times


async def test_the_error_of_a_channel_is_not_swallowed(bus: Bus, pool: asyncpg.Pool) -> None:
    async def run(stop: asyncio.Event) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await unless_paused("email", run, bus.client, pool, asyncio.Event())


# ── page and command ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    await put_account(pool, "pat.moore", [Role.LEAD])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def _durable(bus: Bus) -> None:
    await ensure_durable(
        bus.js, stream="COMPLAINTS", durable=DURABLE, contracts=(ComplaintReceived,),
        ack_wait=15, max_ack_pending=10,
    )  # fmt: skip


async def test_an_operator_pauses_and_resumes_from_the_page(
    reader: Reader, bus: Bus, pool: asyncpg.Pool
) -> None:
    await _durable(bus)
    await reader.read("/ops/levers", 303)
    await reader.sign_in("pat.moore")
    await reader.read("/ops/levers", 403)
    await reader.sign_in("olga.op")
    form = await reader.read("/ops/levers")
    wrong = await reader.send("/ops/levers/pause", {"what": "nothing", "minutes": "7"}, form)
    assert wrong.status == 422
    assert (await wrong.text()).count("usa-error-message") >= 3
    given = {"what": DURABLE, "minutes": "60", "why": "the database is mended"}
    done = await reader.send("/ops/levers/pause", given, form)
    assert goes_to(done) == "/ops/levers?done=pause"
    assert (await bus.js.consumer_info("COMPLAINTS", DURABLE)).paused
    shown = await reader.read("/ops/levers")
    assert "the database is mended" in shown
    page = await reader.read("/ops")
    assert "store_complaint is paused by olga.op" in page
    assert "by olga.op until" in page

    done = await reader.send("/ops/levers/resume", {"what": DURABLE}, form)
    assert goes_to(done) == "/ops/levers?done=resume"
    assert not (await bus.js.consumer_info("COMPLAINTS", DURABLE)).paused


async def test_an_audit_is_run_from_the_page_and_what_it_found_is_kept(
    reader: Reader, bus: Bus, pool: asyncpg.Pool
) -> None:
    async with working(the_store(bus, pool)):
        await bus.tell([complaint(1)])
        await until(lambda: _is(pool, 1))
        await reader.sign_in("olga.op")
        form = await reader.read("/ops/levers")
        assert (await reader.send("/ops/levers/audit", {"audit-why": "asked"}, form)).status == 303

        async def over() -> bool:
            async with pool.acquire() as conn:
                [act] = await books.acts(conn)
            return act.outcome is not None

        await until(over)
    assert "received 1 = filed 1" in await reader.read("/ops/levers")


async def test_the_commands_do_the_same(
    bus: Bus, pool: asyncpg.Pool, dsn: str, nats_url: str
) -> None:
    await _durable(bus)
    environment = clean_environment() | {
        "BUCKSTOP__STORE__DSN": dsn, "BUCKSTOP__BUS__URL": nats_url, "COLUMNS": "200",
    }  # fmt: skip
    why = ("--why", "a test", "--by", "olga")
    paused, web, odd = await asyncio.gather(
        ask(environment, "bus", "pause", DURABLE, "--for", "30m", *why),
        ask(environment, "bus", "pause", "web", "--for", "30m", *why),
        ask(environment, "bus", "pause", DURABLE, "--for", "soon", *why),
    )
    assert paused.code == 0, paused.err
    assert (await bus.js.consumer_info("COMPLAINTS", DURABLE)).paused
    assert (web.code, "only called upon" in web.err) == (1, True)
    assert odd.code == 2
    going = await ask(environment, "bus", "resume", DURABLE)
    assert going.code == 0, going.err
    assert not (await bus.js.consumer_info("COMPLAINTS", DURABLE)).paused
