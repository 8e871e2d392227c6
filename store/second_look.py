"""
Messages that were set aside, for the people who look at them: what there is, and what they decide.

A page shows them and tells the bus what somebody decided; here the books follow.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from bus.codec import CONTRACT_HEADER, decode
from bus.contracts import ComplaintReceived, FileRef, MessageLeft
from bus.errors import Unreadable
from store.records import NewEvent, add_events
from store.text import clean

log = structlog.stdlib.get_logger()

STATES = ("quarantined", "ignored")
_MOST_REASONS = 40


@dataclass(frozen=True)
class SetAside:
    """One message that opened no case."""

    id: UUID
    channel: str
    external_id: str
    received_at: datetime
    state: str
    """`quarantined`, `ignored`; also `filed` or `received`, once it was brought in."""
    reason: str | None
    original: FileRef | None
    case_id: UUID | None
    left_by: str | None
    """Who looked at it and left it there; their sign-in name."""
    left_by_name: str | None
    left_why: str | None


SELECT = """
    SELECT l.id, l.channel, l.external_id, l.received_at, l.state, l.reason, l.original, l.case_id,
           l.left_by, coalesce(a.name, l.left_by) AS left_by_name, l.left_why
    FROM complaints l
    LEFT JOIN accounts a ON a.login = l.left_by
"""

PAGE = (
    SELECT
    + """
    WHERE l.state = $1 AND ($2 = '' OR l.channel = $2) AND ($3 = '' OR l.reason = $3)
    ORDER BY l.received_at DESC, l.id
    LIMIT $4 OFFSET $5
"""
)

COUNT = """
    SELECT count(*)
    FROM complaints
    WHERE state = $1 AND ($2 = '' OR channel = $2) AND ($3 = '' OR reason = $3)
"""

ONE = SELECT + " WHERE l.id = $1"


async def page(
    conn: asyncpg.Connection,
    state: str,
    *,
    channel: str = "",
    reason: str = "",
    number: int = 1,
    size: int = 25,
) -> tuple[list[SetAside], int]:
    """Those of a state, the newest first, and how many there are in all."""
    which = (state, clean(channel), clean(reason))
    rows = await conn.fetch(PAGE, *which, size, (number - 1) * size)
    return [_aside(row) for row in rows], await conn.fetchval(COUNT, *which)


async def one(conn: asyncpg.Connection, message: UUID) -> SetAside | None:
    """One message, whatever became of it; None for one that the ledger does not know."""
    row = await conn.fetchrow(ONE, message)
    return None if row is None else _aside(row)


def _aside(row: asyncpg.Record) -> SetAside:
    original = row["original"]
    return SetAside(
        **(dict(row) | {"original": FileRef.model_validate(original) if original else None})
    )


REASONS = """
    SELECT reason, count(*) AS messages
    FROM complaints
    WHERE state = $1
    GROUP BY reason
    ORDER BY messages DESC, reason
    LIMIT $2
"""


async def reasons(conn: asyncpg.Connection, state: str) -> list[tuple[str, int]]:
    """Why messages were set aside, the most frequent first, with how many."""
    rows = await conn.fetch(REASONS, state, _MOST_REASONS)
    return [(row["reason"], row["messages"]) for row in rows]


COUNTS = """
    SELECT (SELECT count(*) FROM complaints WHERE state = 'quarantined') AS quarantined,
           (
               SELECT count(*)
               FROM deliveries
               WHERE state = 'withheld' AND medium <> '' AND settled_at > $1
           ) AS held_back
"""

_LATELY = timedelta(days=1)


async def counts(conn: asyncpg.Connection, now: datetime) -> Mapping[str, int]:
    """What somebody should look at: `quarantined`, and texts `held_back` within a day."""
    return dict(await conn.fetchrow(COUNTS, now - _LATELY))


BURIED = """
    SELECT headers, payload
    FROM dead_letters
    WHERE complaint_id = $1 AND original_subject LIKE 'complaint.received.%'
    ORDER BY at DESC
"""


async def buried(conn: asyncpg.Connection, message: UUID) -> tuple[ComplaintReceived | None, bytes]:
    """
    What the bus told of a message that could not be filed: the complaint where it can be read, and
    its bytes; empty for a message that was set aside before the bus had it.
    """
    for row in await conn.fetch(BURIED, message):
        data = base64.b64decode(row["payload"])
        try:
            told = decode(data, row["headers"].get(CONTRACT_HEADER, ComplaintReceived.tag))
        except Unreadable:
            return None, data
        return (told if isinstance(told, ComplaintReceived) else None), data
    return None, b""


# ── what somebody decided ───────────────────────────────────────────────────────────────────────

# What our rules ignored is in quarantine for the moment in which it is filed after all.
LET_IN = """
    UPDATE complaints
    SET state = 'quarantined', left_by = NULL, left_why = NULL
    WHERE id = ANY ($1::uuid[]) AND state IN ('quarantined', 'ignored')
    RETURNING id
"""

REPLAYED = """
    UPDATE dead_letters
    SET resolved_at = now(), resolved_by = $2, resolved_how = 'replayed', resolved_why = ''
    WHERE complaint_id = $1 AND resolved_at IS NULL
"""

CASES = """
    SELECT id, case_id
    FROM complaints
    WHERE id = ANY ($1::uuid[]) AND case_id IS NOT NULL
"""


async def let_in(
    conn: asyncpg.Connection, heard: Sequence[ComplaintReceived]
) -> Sequence[ComplaintReceived]:
    """Have what somebody brought in filed, though it was set aside; which of them are new."""
    brought = {one.message_id: one for one in heard if one.brought_in_by}
    if not brought:
        return ()
    return [brought[row["id"]] for row in await conn.fetch(LET_IN, sorted(brought))]


async def say_who(conn: asyncpg.Connection, brought: Sequence[ComplaintReceived]) -> None:
    """Write into the cases of these who brought them in."""
    if not brought:
        return
    by = {one.message_id: one.brought_in_by or "" for one in brought}
    now = datetime.now(UTC)
    rows = await conn.fetch(CASES, list(by))
    events = [
        NewEvent(
            case_id=row["case_id"],
            at=now,
            kind="brought_in",
            by=clean(by[row["id"]]),
            public=False,
            data={"complaint_id": str(row["id"])},
        )
        for row in rows
    ]
    await add_events(conn, events)
    for message, login in by.items():
        await conn.execute(REPLAYED, message, clean(login))
    log.info("brought in", count=len(by))


LEAVE = """
    UPDATE complaints
    SET state = 'ignored', left_by = $2, left_why = $3, settled_at = $4
    WHERE id = $1 AND state = 'quarantined'
    RETURNING id
"""

DISCARD = """
    UPDATE dead_letters
    SET resolved_at = now(), resolved_by = $2, resolved_how = 'discarded', resolved_why = $3
    WHERE complaint_id = $1 AND resolved_at IS NULL
"""


async def leave(conn: asyncpg.Connection, told: Sequence[MessageLeft]) -> None:
    """What somebody left in quarantine counts as ignored from then on; told again, nothing."""
    for message in told:
        by, why = clean(message.by), clean(message.why).strip() or "no reason given"
        left = (message.complaint_id, by, why)
        if await conn.fetchval(LEAVE, *left, message.occurred_at) is None:
            continue
        await conn.execute(DISCARD, *left)
        log.info("left in quarantine", complaint_id=str(message.complaint_id))
