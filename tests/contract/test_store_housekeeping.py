"""The broom takes what is over and leaves what must stay."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from store import cases, housekeeping, ledger, outbox, sessions
from tests.support.facts import complaint
from tests.support.store import file, routed


async def test_only_what_nobody_needs_is_swept(pool: asyncpg.Pool) -> None:
    one = complaint()
    await file(pool, one, routed(one))
    now = datetime.now(UTC)
    async with pool.acquire() as conn:
        await sessions.write(conn, "over", {}, now - timedelta(seconds=1))
        await sessions.write(conn, "going on", {}, now + timedelta(days=900))
        assert await housekeeping.sweep(conn, now) == 1
        await conn.execute("UPDATE outbox SET told_at = now() WHERE tag = 'case.opened.v1'")
        # A year later: one told fact and one heard message go, the untold fact stays.
        assert await housekeeping.sweep(conn, now + timedelta(days=365)) == 2
        assert (await outbox.backlog(conn)).count == 1
        assert await sessions.read(conn, "going on") == {}
        assert (await ledger.equation(conn)).filed == 1
        assert len(await cases.history(conn, one.message_id)) == 2


async def test_the_broom_stops_when_asked(pool: asyncpg.Pool) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(housekeeping.keep_house(pool, stop), name="housekeeping")
    await asyncio.sleep(0.1)
    assert not task.done()
    stop.set()
    async with asyncio.timeout(2):
        await task
