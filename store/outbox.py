"""Facts leave by here: written with their effects in one transaction, told once that is done."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from bus import traces
from bus.codec import encode, subject_of
from bus.contracts import Fact
from bus.errors import Refused, Unavailable
from bus.publish import Letter, Post, stored_letter
from store.pool import AWAY, unlock

log = structlog.stdlib.get_logger()

_BATCH = 256
_LINGER = 0.06  # seconds in which facts find company: one fsync and one mark for all of them
_SLOW_POLL = 5.0  # seconds; a notification that got lost costs no more than this
_LONGEST_BACKOFF = 15.0
_ACQUIRE_SECONDS = 5.0

# Any number that nobody else in this database uses.
_RELAY_LOCK = 0x42_75_63_6B

# The notification goes out at commit, and only one however often a transaction appends. While no
# traces are recorded, their list is NULL, and so is each of them.
APPEND = """
    WITH appended AS (
        INSERT INTO outbox (fact_id, tag, subject, payload, traceparent)
        SELECT fact_id, tag, subject, payload, traceparent
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[])
             WITH ORDINALITY AS fact (fact_id, tag, subject, payload, traceparent, place)
        ORDER BY place
    )
    SELECT pg_notify('outbox', '')
"""


async def append(conn: asyncpg.Connection, facts: Sequence[Fact]) -> None:
    """Have facts told once the caller's transaction is committed, and never if it is not."""
    if not facts:
        return
    await conn.execute(
        APPEND,
        [fact.message_id for fact in facts],
        [fact.tag for fact in facts],
        [subject_of(fact) for fact in facts],
        [encode(fact) for fact in facts],
        traces.keeping(facts),
    )


@dataclass(frozen=True)
class Backlog:
    """What waits to be told."""

    count: int
    oldest: datetime | None
    set_aside: int
    """Facts that the bus will never take; an operator should look."""


BACKLOG = """
    SELECT count(*) FILTER (WHERE problem IS NULL) AS count,
           min(created_at) FILTER (WHERE problem IS NULL) AS oldest,
           count(problem) AS set_aside
    FROM outbox
    WHERE told_at IS NULL
"""


async def backlog(conn: asyncpg.Connection) -> Backlog:
    """How much waits to be told, and since when."""
    row = await conn.fetchrow(BACKLOG)
    return Backlog(count=row["count"], oldest=row["oldest"], set_aside=row["set_aside"])


async def relay(pool: asyncpg.Pool, post: Post, stop: asyncio.Event) -> None:
    """
    Tell what is in the outbox, in the order in which it was written, until asked to stop.

    One relay tells at a time: others wait for its lock. What was told and not yet marked when a
    relay died is told again under the same id. Ends only when asked to; while PostgreSQL or the
    bus is away it tries again, ever more slowly.
    """
    failures = 0

    def went_well() -> None:
        nonlocal failures
        if failures:
            log.info("relay is back", failures=failures)
        failures = 0

    while not stop.is_set():
        try:
            async with pool.acquire(timeout=_ACQUIRE_SECONDS) as conn:
                await _relay_on(conn, post, stop, went_well)
        except Exception as error:
            # Whatever it is, what has been promised must still be told.
            failures += 1
            if failures == 1:
                expected = isinstance(error, (*AWAY, Unavailable))
                log.warning("relay waits", error=type(error).__name__, exc_info=not expected)
            await _wait(stop, min(_LONGEST_BACKOFF, 0.25 * 2 ** min(failures, 8)))


TRY_LOCK = "SELECT pg_try_advisory_lock($1)"

# Transactions of one case wait for each other, so that a smaller id never appears after a
# greater one of the same case. Of different cases it may: nobody minds.
UNTOLD = """
    SELECT id, fact_id, tag, subject, payload, traceparent
    FROM outbox
    WHERE told_at IS NULL AND problem IS NULL
    ORDER BY id
    LIMIT $1
"""

MARK_TOLD = """
    UPDATE outbox
    SET told_at = now()
    WHERE id = ANY ($1::bigint[])
"""


async def _relay_on(
    conn: asyncpg.Connection, post: Post, stop: asyncio.Event, went_well: Callable[[], None]
) -> None:
    # The connection is kept and no transaction is open while the bus is asked to store: the
    # advisory lock lives as long as the connection, whoever dies first.
    bell = asyncio.Event()

    def ring(*_: object) -> None:
        bell.set()

    await conn.add_listener("outbox", ring)
    conn.add_termination_listener(ring)
    locked = False
    try:
        while not stop.is_set():
            bell.clear()
            locked = locked or await conn.fetchval(TRY_LOCK, _RELAY_LOCK)
            if locked:
                while not stop.is_set() and await _tell_some(conn, post):
                    pass
                await _wait(stop, _LINGER)
            went_well()
            await _either(stop, bell, _SLOW_POLL)
    finally:
        # A connection that is gone is no longer ours, and hears nothing anyway.
        with suppress(*AWAY):
            conn.remove_termination_listener(ring)
            await conn.remove_listener("outbox", ring)
        if locked:
            await unlock(conn, _RELAY_LOCK)


SET_ASIDE = """
    UPDATE outbox
    SET problem = $2
    WHERE id = $1
"""


async def _tell_some(conn: asyncpg.Connection, post: Post) -> bool:
    """Whether there may be more."""
    rows = await conn.fetch(UNTOLD, _BATCH)
    if not rows:
        return False
    try:
        letters = [_letter(row) for row in rows]
        with traces.relaying(letters):
            await post(letters)
    except Refused:
        # One of them can never be told. The others must not wait behind it.
        for row in rows:
            await _tell_one(conn, post, row)
    else:
        await conn.execute(MARK_TOLD, [row["id"] for row in rows])
    return len(rows) == _BATCH


async def _tell_one(conn: asyncpg.Connection, post: Post, row: asyncpg.Record) -> None:
    try:
        letter = _letter(row)
        with traces.relaying([letter]):
            await post([letter])
    except Refused as reason:
        log.error("fact set aside", outbox_id=row["id"], tag=row["tag"], reason=str(reason))
        await conn.execute(SET_ASIDE, row["id"], str(reason) or "refused")
    else:
        await conn.execute(MARK_TOLD, [row["id"]])


def _letter(row: asyncpg.Record) -> Letter:
    # As it was written: to read it and to write it again would be the most of the work.
    letter = stored_letter(str(row["fact_id"]), row["tag"], row["subject"], row["payload"])
    if row["traceparent"] is not None:
        letter.headers[traces.TRACEPARENT] = row["traceparent"]
    return letter


async def _either(stop: asyncio.Event, bell: asyncio.Event, seconds: float) -> None:
    waits = [
        asyncio.create_task(event.wait(), name=f"relay waits for {name}")
        for name, event in (("stop", stop), ("bell", bell))
    ]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
