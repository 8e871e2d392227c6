"""Runs a channel that goes and looks, except while an operator has paused it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import structlog
from nats.aio.client import Client

from bus.levers import heard
from bus.waiting import first
from store import levers
from store.pool import AWAY

log = structlog.stdlib.get_logger()

# Who told of a lever may have been cut off from us; nobody waits longer than this because of it.
LOOK_AGAIN = 60.0

Run = Callable[[asyncio.Event], Awaitable[None]]


async def unless_paused(
    name: str, run: Run, client: Client, pool: asyncpg.Pool, stop: asyncio.Event
) -> None:
    """
    Run `run` until asked to stop. While the channel is paused it is asked to stop, what it has in
    hand is done, and it is begun again when the time is over or somebody resumes it.
    """
    async with heard(client) as pulled:
        work: asyncio.Task[None] | None = None
        ours = asyncio.Event()
        until: datetime | None = None
        try:
            while not stop.is_set():
                pulled.clear()
                until = await _paused(name, pool, until)
                if until is None and work is None:
                    ours.clear()
                    work = asyncio.create_task(_run(run, ours), name=f"channel {name}")
                elif until is not None and work is not None:
                    log.warning("channel paused", channel=name, until=until.isoformat())
                    ours.set()
                    await work
                    work = None
                wait = LOOK_AGAIN
                if until is not None:
                    wait = min(wait, max(0.0, (until - datetime.now(UTC)).total_seconds()))
                await first(wait, stop, pulled, work=work)
                if work is not None and work.done():
                    await work  # its error is ours
                    await stop.wait()  # it has nothing to look at
        finally:
            ours.set()
            if work is not None:
                await work


async def _run(run: Run, stop: asyncio.Event) -> None:
    await run(stop)


async def _paused(name: str, pool: asyncpg.Pool, known: datetime | None) -> datetime | None:
    """Until when it is paused. While PostgreSQL is away, what was known stands."""
    try:
        async with pool.acquire(timeout=5.0) as conn:
            for one in await levers.paused(conn):
                if one.what == levers.CHANNEL + name:
                    return one.until
        return None
    except (*AWAY, asyncpg.PostgresError) as error:
        log.info("not asked what is paused", channel=name, error=type(error).__name__)
        return known if known is not None and known > datetime.now(UTC) else None
