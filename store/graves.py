"""Dead letters as the operators see them: what nobody could handle, why, and what was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from bus.contracts import ComplaintReceived, DeadLetter
from store.filing import send_to_triage
from store.text import clean

log = structlog.stdlib.get_logger()

BURY = """
    INSERT INTO dead_letters (
        id, durable, stream, sequence, original_subject, original_id, complaint_id, reason, tries,
        headers, payload, at
    )
    SELECT id, durable, stream, sequence, original_subject, original_id, complaint_id, reason,
           tries, headers, payload, at
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::uuid[],
        $8::text[], $9::integer[], $10::jsonb[], $11::text[], $12::timestamptz[]
    ) AS letter (
        id, durable, stream, sequence, original_subject, original_id, complaint_id, reason,
        tries, headers, payload, at
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""

# A complaint that has a case is not in quarantine, whatever happened to a message about it.
QUARANTINE = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, reason)
    SELECT id, channel, '', received_at, 'quarantined', reason
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[])
         AS lost (id, channel, received_at, reason)
    ON CONFLICT (id) DO UPDATE
    SET state = 'quarantined', reason = EXCLUDED.reason, settled_at = now()
    WHERE complaints.state = 'received'
"""


async def bury(conn: asyncpg.Connection, letters: Sequence[DeadLetter]) -> None:
    """
    Write dead letters down. A complaint that was never filed is in quarantine from now on; one
    that could not be routed goes to triage, where a person sees it.
    """
    first = {letter.message_id: letter for letter in reversed(letters)}
    rows = await conn.fetch(
        BURY,
        list(first),
        [clean(letter.durable) for letter in first.values()],
        [clean(letter.stream) for letter in first.values()],
        [letter.sequence for letter in first.values()],
        [clean(letter.original_subject) for letter in first.values()],
        [clean(letter.original_id) for letter in first.values()],
        [letter.complaint_id for letter in first.values()],
        [clean(letter.reason) or "no reason given" for letter in first.values()],
        [letter.tries for letter in first.values()],
        [letter.headers for letter in first.values()],
        [clean(letter.payload) for letter in first.values()],
        [letter.occurred_at for letter in first.values()],
    )
    fresh = [first[row["id"]] for row in rows]
    about = {
        letter.complaint_id: letter
        for letter in fresh
        if letter.complaint_id is not None
        and letter.original_subject.partition(".")[0] == "complaint"
    }
    lost = sorted(about)
    await conn.execute(
        QUARANTINE,
        lost,
        [_channel_of(about[complaint]) for complaint in lost],
        [about[complaint].occurred_at for complaint in lost],
        [clean(about[complaint].reason) or "no reason given" for complaint in lost],
    )
    await send_to_triage(conn, {complaint: about[complaint].reason for complaint in lost})
    for letter in fresh:
        log.error(
            "dead letter",
            id=str(letter.message_id),
            durable=letter.durable,
            complaint_id=str(letter.complaint_id),
        )


def _channel_of(letter: DeadLetter) -> str:
    channel = letter.original_subject.removeprefix(ComplaintReceived.subject + ".")
    return clean(channel) if channel != letter.original_subject else ""


@dataclass(frozen=True)
class Grave:
    """A dead letter, and what was done about it."""

    id: UUID
    durable: str
    stream: str
    sequence: int
    original_subject: str
    original_id: str
    complaint_id: UUID | None
    reason: str
    tries: int
    headers: Mapping[str, str]
    payload: str
    at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolved_how: str | None
    resolved_why: str | None


COLUMNS = """
    id, durable, stream, sequence, original_subject, original_id, complaint_id, reason, tries,
    headers, payload, at, resolved_at, resolved_by, resolved_how, resolved_why
"""

BY_ID = f"SELECT {COLUMNS} FROM dead_letters WHERE id = $1"  # noqa: S608 - our own words

LIKE = "SELECT id FROM dead_letters WHERE id::text LIKE $1 || '%' ORDER BY at LIMIT 2"


async def by_id(conn: asyncpg.Connection, letter_id: UUID) -> Grave | None:
    """One dead letter."""
    row = await conn.fetchrow(BY_ID, letter_id)
    return None if row is None else Grave(**row)


async def named(conn: asyncpg.Connection, beginning: str) -> UUID | None:
    """The only dead letter whose id begins so; None when there is none, or more than one."""
    start = beginning.strip().lower()
    if not start or not set(start) <= set("0123456789abcdef-"):
        return None
    rows = await conn.fetch(LIKE, start)
    return rows[0]["id"] if len(rows) == 1 else None


@dataclass(frozen=True)
class Wanted:
    """Which dead letters; what is empty lets all through."""

    durable: str = ""
    reason: str = ""
    """Words that stand in the reason, in whatever case."""
    since: datetime | None = None
    until: datetime | None = None
    resolved: bool | None = False
    """False: those that wait; True: those that somebody looked after; None: all."""


MATCHES = """
    WHERE ($1 = '' OR durable = $1)
      AND ($2 = '' OR position(lower($2) IN lower(reason)) > 0)
      AND ($3::timestamptz IS NULL OR at >= $3)
      AND ($4::timestamptz IS NULL OR at < $4)
      AND ($5::boolean IS NULL OR (resolved_at IS NOT NULL) = $5)
"""

FIND = f"SELECT {COLUMNS} FROM dead_letters {MATCHES} ORDER BY at, sequence, id LIMIT $6 OFFSET $7"  # noqa: S608
COUNT = f"SELECT count(*) FROM dead_letters {MATCHES}"  # noqa: S608
IDS = f"SELECT id FROM dead_letters {MATCHES} ORDER BY at, sequence, id LIMIT $6"  # noqa: S608


async def find(
    conn: asyncpg.Connection, wanted: Wanted, *, limit: int = 200, offset: int = 0
) -> list[Grave]:
    """The dead letters that are wanted, oldest first. Looking at them changes nothing."""
    rows = await conn.fetch(FIND, *_values(wanted), limit, offset)
    return [Grave(**row) for row in rows]


async def count(conn: asyncpg.Connection, wanted: Wanted) -> int:
    """How many are wanted."""
    number: int = await conn.fetchval(COUNT, *_values(wanted))
    return number


async def ids(conn: asyncpg.Connection, wanted: Wanted, *, limit: int = 10_000) -> list[UUID]:
    """The ids of those that are wanted, oldest first."""
    return [row["id"] for row in await conn.fetch(IDS, *_values(wanted), limit)]


async def waiting(conn: asyncpg.Connection, limit: int = 200) -> list[Grave]:
    """Dead letters that nobody has looked after yet, oldest first."""
    return await find(conn, Wanted(), limit=limit)


def _values(wanted: Wanted) -> tuple[object, ...]:
    return wanted.durable, wanted.reason, wanted.since, wanted.until, wanted.resolved


@dataclass(frozen=True)
class Heap:
    """Dead letters of one durable for one reason that wait."""

    durable: str
    reason: str
    count: int


HEAPS = """
    SELECT durable, reason, count(*) AS count
    FROM dead_letters
    WHERE resolved_at IS NULL
    GROUP BY durable, reason
    ORDER BY count(*) DESC, durable, reason
    LIMIT 50
"""


async def heaps(conn: asyncpg.Connection) -> list[Heap]:
    """What waits, by durable and reason, the largest first."""
    return [Heap(**row) for row in await conn.fetch(HEAPS)]
