"""Draining a process: it finishes what it has in hand, takes nothing new, and can be let go on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.contracts import ComplaintReceived, Fact
from bus.errors import Refused
from bus.files import Files
from bus.service import Service
from bus.signs import Sign, answer
from bus.worker import Listener, listen
from gateway.draining import Drain
from gateway.operator import figures as figures_
from gateway.operator import levers
from gateway.operator.verdict import judge
from gateway.operator.words import finding_words
from store import levers as books
from store.model import Role
from tests.contract.test_levers import filed
from tests.contract.test_operator_commands import ask
from tests.contract.test_operator_figures import collecting, the_store
from tests.support.facts import complaint
from tests.support.product import clean_environment, until
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages


class Process:
    """What one process of ours does, short of being one."""

    def __init__(self, bus: Bus, pool: asyncpg.Pool, name: str, service: Service) -> None:
        self.drain = Drain(name, "run1")
        self._bus, self._pool = bus, pool
        self._name, self._service = name, service

    @asynccontextmanager
    async def living(self) -> AsyncIterator["Process"]:
        stop = asyncio.Event()
        began = datetime.now(UTC)

        def sign() -> Sign:
            return Sign(
                process=self._name, services=(self._service.name,), run="run1", started_at=began,
                durables=self._service.durables, resting=self.drain.resting,
            )  # fmt: skip

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.drain.around(self._service).run(stop))
            tasks.create_task(self.drain.watch(self._bus.client, self._pool, stop))
            tasks.create_task(answer(self._bus.client, sign, stop))
            yield self
            stop.set()


def a_store(bus: Bus, pool: asyncpg.Pool, name: str) -> Process:
    return Process(bus, pool, name, the_store(bus, pool))


async def _rests(process: Process) -> bool:
    return process.drain.resting == "drained"


async def test_another_process_does_the_work_of_a_drained_one(bus: Bus, pool: asyncpg.Pool) -> None:
    async with (
        a_store(bus, pool, "a:1").living() as first,
        a_store(bus, pool, "b:1").living() as second,
        pool.acquire() as conn,
    ):
        await asyncio.sleep(0.3)
        drained = await levers.drain(conn, bus, "a:1", by="olga", why="a new image")
        assert (drained.process, drained.run) == ("a:1", "run1")
        await until(lambda: _rests(first))
        assert second.drain.resting == ""
        await bus.tell([complaint(number) for number in range(1, 6)])

        async def all_filed() -> bool:
            return await filed(pool) == 5

        # At once, though the first had asked the server for messages a moment ago.
        await until(all_filed, within=10)


async def test_alone_it_lets_messages_wait_and_works_again_when_it_is_undrained(
    bus: Bus, pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_, "_AT_MOST_EVERY", 0.0)
    async with a_store(bus, pool, "a:1").living() as process, pool.acquire() as conn:
        await asyncio.sleep(0.3)
        await levers.drain(conn, bus, "store", by="olga", why="x")  # by what it alone does
        await until(lambda: _rests(process))
        await bus.tell([complaint(1), complaint(2)])
        await asyncio.sleep(0.5)
        assert await filed(pool) == 0
        async with collecting(bus, pool, tmp_path) as collector:
            found = {one.cause: one for one in judge(await collector.latest()).findings}
        assert "service_silent" not in found
        assert "a:1 (store) was drained by olga, and nobody else" in finding_words(
            found["process_drained"]
        )
        assert found["process_drained"].values["waiting"] == 2

        await levers.undrain(conn, bus, "a:1", by="pat")

        async def all_filed() -> bool:
            return await filed(pool) == 2

        await until(all_filed)
        assert process.drain.resting == ""
        acts = await books.acts(conn)
        assert [(one.act, one.by, one.outcome) for one in acts] == [
            ("undrain", "pat", "done"), ("drain", "olga", "done"),
        ]  # fmt: skip


async def test_what_is_in_hand_is_finished_first(bus: Bus, pool: asyncpg.Pool) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), list[int]()

    async def handle(facts: Sequence[Fact]) -> None:
        begun.set()
        await go_on.wait()
        done.append(len(facts))

    listener = Listener("store_complaint", "COMPLAINTS", (ComplaintReceived,), handle)

    async def run(stop: asyncio.Event) -> None:
        await listen(bus.client, bus.tell, listener, stop)

    service = Service("store", run, (listener.durable,))
    async with Process(bus, pool, "a:1", service).living() as process, pool.acquire() as conn:
        await bus.tell([complaint(1)])
        await begun.wait()
        await levers.drain(conn, bus, "a:1", by="olga", why="x")
        await asyncio.sleep(0.5)
        assert process.drain.resting == "finishing"
        assert done == []
        go_on.set()
        await until(lambda: _rests(process))
        assert done == [1]


async def test_what_was_fetched_and_not_begun_is_given_back_at_once(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), list[str]()

    def service(who: str) -> Service:
        async def handle(facts: Sequence[Fact]) -> None:
            if who == "first":
                begun.set()
                await go_on.wait()
            done.append(who)

        listener = Listener(
            "store_complaint", "COMPLAINTS", (ComplaintReceived,), handle, batch=2, ack_wait=60
        )

        async def run(stop: asyncio.Event) -> None:
            await listen(bus.client, bus.tell, listener, stop)

        return Service("store", run, (listener.durable,))

    async with Process(bus, pool, "a:1", service("first")).living() as first:
        await bus.tell([complaint(number) for number in range(1, 5)])
        await begun.wait()
        await asyncio.sleep(0.2)  # the rest lies there by now
        async with (
            Process(bus, pool, "b:1", service("second")).living(),
            pool.acquire() as conn,
        ):
            await levers.drain(conn, bus, "a:1", by="olga", why="x")
            await asyncio.sleep(0.2)
            go_on.set()
            await until(lambda: _rests(first))

            async def all_done() -> bool:
                info = await bus.js.consumer_info("COMPLAINTS", "store_complaint")
                return not (info.num_pending or info.num_ack_pending)

            await until(all_done, within=10)  # and not after the 60 seconds of a dead one
            assert "second" in done


async def test_its_next_life_is_not_drained(bus: Bus, pool: asyncpg.Pool) -> None:
    async with a_store(bus, pool, "a:1").living() as process, pool.acquire() as conn:
        await asyncio.sleep(0.2)
        await levers.drain(conn, bus, "a:1", by="olga", why="x")
        await until(lambda: _rests(process))
    fresh = Drain("a:1", "run2")  # a container is called the same, with the same process number
    stop = asyncio.Event()
    watching = asyncio.create_task(fresh.watch(bus.client, pool, stop))
    await asyncio.sleep(0.3)
    assert fresh.resting == ""
    stop.set()
    await watching


async def test_who_is_not_there_or_serves_pages_only_is_refused(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    async def nothing(stop: asyncio.Event) -> None:
        await stop.wait()

    pages = Process(bus, pool, "w:1", Service("web", nothing))
    async with pages.living(), pool.acquire() as conn:
        await asyncio.sleep(0.2)
        with pytest.raises(Refused, match="only serves pages"):
            await levers.drain(conn, bus, "w:1", by="olga", why="x")
        with pytest.raises(Refused, match=r"no process is called x:9; there are: w:1 \(web\)"):
            await levers.drain(conn, bus, "x:9", by="olga", why="x")
        assert await books.acts(conn) == []


async def test_the_error_of_a_service_is_not_swallowed() -> None:
    async def run(stop: asyncio.Event) -> None:
        raise RuntimeError("broken")

    drain = Drain("a:1", "run1")
    with pytest.raises(ExceptionGroup) as error:
        await drain.around(Service("store", run)).run(asyncio.Event())
    assert error.group_contains(RuntimeError, match="broken")


# ── page and command ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def test_page_and_command_drain_and_let_go_on(
    reader: Reader, bus: Bus, pool: asyncpg.Pool, dsn: str, nats_url: str
) -> None:
    environment = clean_environment() | {
        "BUCKSTOP__STORE__DSN": dsn, "BUCKSTOP__BUS__URL": nats_url, "COLUMNS": "200",
    }  # fmt: skip
    async with a_store(bus, pool, "a:1").living() as process:
        await reader.sign_in("olga.op")
        form = await reader.read("/ops/levers")
        wrong = await reader.send("/ops/levers/drain", {"process": "", "drain-why": ""}, form)
        assert wrong.status == 422
        assert "Choose a process." in await wrong.text()
        given = {"process": "a:1", "drain-why": "a new image"}
        done = await reader.send("/ops/levers/drain", given, form)
        assert goes_to(done) == "/ops/levers?done=drain"
        await until(lambda: _rests(process))
        assert "Drained" in await reader.read("/ops")
        assert "a new image" in await reader.read("/ops/levers")

        going = await ask(environment, "bus", "undrain", "a:1", "--by", "pat")
        assert going.code == 0, going.err
        assert "a:1 (store) goes on" in going.out
        again = await ask(environment, "bus", "drain", "store", "--why", "x", "--by", "pat")
        assert again.code == 0, again.err
        assert "is drained: end it when you like" in again.out
