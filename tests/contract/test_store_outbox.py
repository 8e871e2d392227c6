"""What is written is told, in order, once that is done: whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from bus.codec import CONTRACT_HEADER, decode
from bus.connect import Bus
from bus.contracts import CaseOpened, Fact
from bus.errors import Refused, Unavailable
from bus.identity import fact_id
from bus.publish import Letter, Post, letter_for
from bus.worker import Listener, listen
from store import cases, ledger, outbox
from store.service import listeners
from tests.support.facts import NOON, complaint, summary
from tests.support.store import file, kinds, routed


def facts(*numbers: int) -> list[Fact]:
    return [
        CaseOpened(message_id=fact_id("test", number), occurred_at=NOON, case=summary())
        for number in numbers
    ]


async def append(pool: asyncpg.Pool, *numbers: int) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await outbox.append(conn, facts(*numbers))


@asynccontextmanager
async def relaying(pool: asyncpg.Pool, post: Post) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(outbox.relay(pool, post, stop), name="relay")
    try:
        yield
        assert not task.done()
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


class Told:
    """Collects what is told; raises what it is given to raise first."""

    def __init__(self, *errors: Exception) -> None:
        self.facts: list[Fact] = []
        self.errors = list(errors)

    async def __call__(self, letters: Sequence[Letter]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        for letter in letters:
            fact = decode(letter.data, letter.headers[CONTRACT_HEADER])
            assert letter == letter_for(fact)
            self.facts.append(fact)

    def numbers(self, most: int = 700) -> list[int]:
        """Which facts were told, in order; one that was told again counts the first time."""
        known = {fact.message_id: number for number, fact in enumerate(facts(*range(most)))}
        return list(dict.fromkeys(known[fact.message_id] for fact in self.facts))


async def test_facts_leave_in_order_and_soon(pool: asyncpg.Pool) -> None:
    told = Told()
    await append(pool, 0, 1)
    async with relaying(pool, told):
        await until(lambda: len(told.facts) == 2)
        # Well below the slow poll: the bell rang.
        await append(pool, *range(2, 600))
        await until(lambda: len(told.facts) == 600, seconds=3)
    assert told.numbers() == list(range(600))
    assert told.facts[:2] == facts(0, 1)
    async with pool.acquire() as conn:
        assert await outbox.backlog(conn) == outbox.Backlog(count=0, oldest=None, set_aside=0)


async def test_what_is_rolled_back_is_never_told(pool: asyncpg.Pool) -> None:
    told = Told()

    async def append_and_fall() -> None:
        async with pool.acquire() as conn, conn.transaction():
            await outbox.append(conn, facts(1))
            raise RuntimeError

    async with relaying(pool, told):
        with pytest.raises(RuntimeError):
            await append_and_fall()
        await append(pool, 2)
        await until(lambda: bool(told.facts))
    assert told.numbers() == [2]


async def test_while_the_bus_is_away_facts_wait(pool: asyncpg.Pool) -> None:
    told = Told(Unavailable("away"), Unavailable("still away"))
    await append(pool, 0, 1, 2)
    async with pool.acquire() as conn:
        backlog = await outbox.backlog(conn)
        assert (backlog.count, backlog.set_aside) == (3, 0)
        assert backlog.oldest is not None
    async with relaying(pool, told):
        await until(lambda: len(told.facts) == 3)
    assert told.numbers() == [0, 1, 2]


async def test_a_fact_that_can_never_be_told_holds_nobody_up(pool: asyncpg.Pool) -> None:
    bad = facts(1)[0].message_id
    told = Told()

    async def post(batch: Sequence[Letter]) -> None:
        if any(letter.headers["Nats-Msg-Id"] == str(bad) for letter in batch):
            raise Refused("too large")
        await told(batch)

    await append(pool, 0, 1, 2)
    async with relaying(pool, post):
        await until(lambda: len(told.facts) == 2)
        await append(pool, 3)
        await until(lambda: len(told.facts) == 3)
    assert told.numbers() == [0, 2, 3]
    async with pool.acquire() as conn:
        assert (await outbox.backlog(conn)).set_aside == 1


async def test_two_relays_do_not_tell_the_same(pool: asyncpg.Pool) -> None:
    told = Told()
    async with relaying(pool, told), relaying(pool, told):
        for number in range(50):
            await append(pool, number)
        await until(lambda: len(told.facts) == 50)
    assert told.numbers() == list(range(50))
    assert len(told.facts) == 50


async def test_when_one_relay_dies_the_other_goes_on(pool: asyncpg.Pool) -> None:
    told = Told()
    first = asyncio.create_task(outbox.relay(pool, told, asyncio.Event()), name="relay")
    await append(pool, 0)
    await until(lambda: len(told.facts) == 1)
    async with relaying(pool, told):
        first.cancel()
        await asyncio.wait([first])
        await append(pool, 1)
        await until(lambda: told.numbers() == [0, 1])


async def test_when_postgres_throws_everybody_out_the_relay_comes_back(
    pool: asyncpg.Pool, dsn: str
) -> None:
    told = Told()
    outside = await asyncpg.connect(dsn)
    async with relaying(pool, told):
        for number in range(3):
            async with outside.transaction():
                await outbox.append(outside, facts(number))
            await until(lambda number=number: told.numbers() == list(range(number + 1)))
            await outside.execute(
                """
                SELECT pg_terminate_backend(pid)
                FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """
            )
    await outside.close()


async def test_a_listener_works_again_after_postgres_threw_it_out(
    pool: asyncpg.Pool, dsn: str
) -> None:
    outside = await asyncpg.connect(dsn)
    await file(pool, complaint(1))
    await outside.execute(
        """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """
    )
    for _ in range(3):
        try:
            await file(pool, complaint(2))
        except Unavailable:
            continue
        break
    async with pool.acquire() as conn:
        assert (await ledger.equation(conn)).filed == 2
    await outside.close()


async def test_a_pool_finds_the_way_out_of_a_server_that_only_reads(
    pool: asyncpg.Pool, dsn: str
) -> None:
    await file(pool, complaint(1))
    outside = await asyncpg.connect(dsn)
    name = await outside.fetchval("SELECT current_database()")
    await outside.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await pool.expire_connections()
    with pytest.raises(Unavailable):
        await file(pool, complaint(2))
    await outside.execute("SET default_transaction_read_only = off")
    await outside.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    # The connection that was made before still only reads: the pool must have thrown it away.
    await file(pool, complaint(2))
    await outside.close()


async def test_a_complaint_goes_all_the_way_over_the_real_bus(pool: asyncpg.Pool, bus: Bus) -> None:
    """Received and routed go in by the worker loop, opened and assigned come out by the relay."""
    stop = asyncio.Event()
    heard: list[Fact] = []

    async def collect(batch: Sequence[Fact]) -> None:
        heard.extend(batch)

    everything = [
        *listeners(pool),
        Listener(durable="test_case", stream="CASES", contracts=(CaseOpened,), handle=collect),
    ]
    told = [complaint(number) for number in range(40)]
    async with asyncio.TaskGroup() as tasks:
        for listener in everything:
            tasks.create_task(listen(bus.client, bus.tell, listener, stop), name=listener.durable)
        tasks.create_task(outbox.relay(pool, bus.post, stop), name="relay")
        # Routed first, and everything twice.
        await bus.tell([routed(one) for one in told[:5]])
        await bus.tell([*told, *[routed(one) for one in told]])
        await bus.tell(told)
        async with asyncio.timeout(30):
            async with pool.acquire() as conn:
                while (
                    await conn.fetchval("SELECT count(*) FROM cases WHERE routed_at > '-infinity'")
                    < 40
                ):
                    await asyncio.sleep(0.05)
            await until(lambda: len(heard) >= 40, seconds=20)
            # Who stops while the relay still has facts finds them told by the next one.
            async with pool.acquire() as conn:
                while (await outbox.backlog(conn)).count:
                    await asyncio.sleep(0.05)
        stop.set()
    async with pool.acquire() as conn:
        assert str(await ledger.equation(conn)) == (
            "received 40 = filed 40 + quarantined 0 + ignored 0 + in flight 0"
        )
        for one in told:
            assert await kinds(conn, one.message_id) == ["opened", "routed"]
            case = await cases.by_id(conn, one.message_id)
            assert case is not None
            assert case.assignee == "pat.moore"
    assert len({fact.message_id for fact in heard}) == 40
    assert (await bus.js.stream_info("CASES")).state.messages == 80
