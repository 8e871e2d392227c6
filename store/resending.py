"""
Texts that carriers lost without saying why are sent once more, as notices of their own: the
ledger keeps both, each with what became of it.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from bus.contracts import NoticeQueued
from bus.identity import fact_id
from store import outbox
from store.pool import AWAY

log = structlog.stdlib.get_logger()

_EVERY = 15.0  # seconds
_AT_ONCE = 100
_TOO_LATE = timedelta(days=1)  # what was to be said then would only confuse now

# One that arrived after all is not lost. Whoever wants no texts, or has a number that takes none,
# gets none.
LOST = """
    UPDATE deliveries d
    SET again_at = NULL
    FROM (
        SELECT id, again_at
        FROM deliveries
        WHERE again_at <= $1
        ORDER BY again_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS lost
    WHERE d.id = lost.id
    RETURNING d.id, d.case_id, d.reference, d.notice, d.medium, d.recipient, d.recipient_name,
              d.language, d.text, d.urgent,
              d.state = 'failed' AND lost.again_at > $3 AND NOT EXISTS (
                  SELECT FROM contact_marks m
                  WHERE m.medium = d.medium AND m.address = d.recipient
                    AND m.state IN ('bad', 'stopped')
              ) AS worth_it
"""


async def send_again(conn: asyncpg.Connection, now: datetime) -> int:
    """Queue what was lost and whose time has come, once; how many."""
    async with conn.transaction():
        rows = await conn.fetch(LOST, now, _AT_ONCE, now - _TOO_LATE)
        repeated = [
            NoticeQueued(
                message_id=fact_id(row["id"], "again"),
                occurred_at=now,
                case_id=row["case_id"],
                reference=row["reference"],
                notice=row["notice"],
                medium=row["medium"],
                recipient=row["recipient"],
                recipient_name=row["recipient_name"],
                language=row["language"],
                text=row["text"],
                instead_of=row["id"],
                urgent=row["urgent"],
            )
            for row in rows
            if row["worth_it"]
        ]
        await outbox.append(conn, repeated)
    return len(repeated)


async def keep_sending_again(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Look now and then until asked to stop; what fails is tried again at the next look."""
    while not stop.is_set():
        try:
            async with pool.acquire(timeout=10.0) as conn:
                if again := await send_again(conn, datetime.now(UTC)):
                    log.info("lost texts sent again", count=again)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("lost texts not sent again", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY)
