"""Tells dead letters again that somebody wants told, so many a second, also after a crash."""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from bus.dead import raised
from bus.errors import Refused, Unavailable
from bus.publish import Post
from store import grave_acts
from store.pool import AWAY, unlock

log = structlog.stdlib.get_logger()

_LOOK_AGAIN = 2.0  # seconds
_AT_ONCE = 100
_ACQUIRE_SECONDS = 5.0

# Any number that nobody else in this database uses.
_LOCK = 0x47_72_61_76


async def keep_replaying(pool: asyncpg.Pool, post: Post, stop: asyncio.Event) -> None:
    """Tell what is wanted until asked to stop; what fails is tried again at the next look."""
    failing = False
    while not stop.is_set():
        pause = _LOOK_AGAIN
        try:
            pause = await tell_some(pool, post) or _LOOK_AGAIN
            failing = False
        except (*AWAY, asyncpg.PostgresError, Unavailable) as error:
            if not failing:
                log.warning("dead letters wait to be told", error=type(error).__name__)
            failing = True
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


TRY_LOCK = "SELECT pg_try_advisory_lock($1)"


async def tell_some(pool: asyncpg.Pool, post: Post) -> float:
    """
    Tell what is due within about a second; the seconds to wait before the next of it, 0 when
    nothing is due or somebody else tells it.

    Told first and noted afterwards: whoever dies in between tells it again under the same id.
    """
    async with pool.acquire(timeout=_ACQUIRE_SECONDS) as conn:
        due = await grave_acts.due(conn, _AT_ONCE)
        if not due or not await conn.fetchval(TRY_LOCK, _LOCK):
            return 0.0
        try:
            # Looked at again: until the lock was ours, somebody else may have told them.
            due = await grave_acts.due(conn, _AT_ONCE)
            if not due:
                return 0.0
            pace = due[0].per_second
            some = [one for one in due if one.per_second == pace][: max(1, int(pace))]
            for one in some:
                await _tell(conn, post, one)
            log.info("dead letters told again", count=len(some), per_second=pace)
            return len(some) / pace
        finally:
            await unlock(conn, _LOCK)


async def _tell(conn: asyncpg.Connection, post: Post, one: grave_acts.Due) -> None:
    try:
        await post([raised(one.letter, time=one.act)])
    except Refused as reason:
        log.error("dead letter not taken", id=str(one.letter.message_id), reason=str(reason))
        await grave_acts.refused(conn, one.act, str(reason))
    else:
        await grave_acts.told(conn, [one.act])
