"""What nobody needs any more is swept out, a little at a time."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from store.pool import AWAY

log = structlog.stdlib.get_logger()

_EVERY = 3600.0  # seconds
_AT_ONCE = 5_000  # rows; a sweep never holds anybody up

# Longer than any stream holds a message, so that nothing swept can be heard again.
_KEEP_HEARD = timedelta(days=90)
_KEEP_ANSWERS = timedelta(days=2)  # only those of the last day are counted
_KEEP_SPENDING = timedelta(days=31)  # only that of the last 30 days is counted
_KEEP_TOLD = timedelta(days=30)
# Longer than a stream holds what is told of them, so that none comes back from the dead.
_KEEP_CANARIES = timedelta(days=35)

SWEEP_SESSIONS = """
    DELETE FROM sessions
    WHERE id_sha256 IN (
        SELECT id_sha256 FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
    )
"""

SWEEP_ANSWERS = """
    DELETE FROM answers
    WHERE ctid IN (SELECT ctid FROM answers WHERE at < $1 ORDER BY at LIMIT $2)
"""

SWEEP_SPENDING = """
    DELETE FROM text_spending
    WHERE notice_id IN (SELECT notice_id FROM text_spending WHERE at < $1 ORDER BY at LIMIT $2)
"""

SWEEP_OUTBOX = """
    DELETE FROM outbox
    WHERE id IN (SELECT id FROM outbox WHERE told_at < $1 ORDER BY id LIMIT $2)
"""

SWEEP_INBOX = """
    DELETE FROM inbox
    WHERE (consumer, message_id) IN (
        SELECT consumer, message_id FROM inbox WHERE heard_at < $1 LIMIT $2
    )
"""

SWEEP_CANARIES = """
    DELETE FROM canaries
    WHERE id IN (SELECT id FROM canaries WHERE released_at < $1 ORDER BY released_at LIMIT $2)
"""


async def sweep(conn: asyncpg.Connection, now: datetime) -> int:
    """
    Delete sessions that are over and what was told and heard long ago; how many rows.

    The ledger, cases, events, notes, deliveries and dead letters are kept for ever.
    """
    swept = 0
    for query, before in (
        (SWEEP_SESSIONS, now),
        (SWEEP_ANSWERS, now - _KEEP_ANSWERS),
        (SWEEP_SPENDING, now - _KEEP_SPENDING),
        (SWEEP_OUTBOX, now - _KEEP_TOLD),
        (SWEEP_INBOX, now - _KEEP_HEARD),
        (SWEEP_CANARIES, now - _KEEP_CANARIES),
    ):
        while True:
            deleted = int((await conn.execute(query, before, _AT_ONCE)).split()[-1])
            swept += deleted
            if deleted < _AT_ONCE:
                break
    return swept


async def keep_house(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Sweep now and then until asked to stop; what fails is tried again an hour later."""
    while not stop.is_set():
        try:
            async with pool.acquire(timeout=10.0) as conn:
                swept = await sweep(conn, datetime.now(UTC))
            log.info("swept", rows=swept)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("not swept", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY)
