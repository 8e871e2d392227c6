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


SELECT_GRAVE = """
    SELECT id, durable, stream, sequence, original_subject, original_id, complaint_id, reason,
           tries, headers, payload, at, resolved_at, resolved_by, resolved_how, resolved_why
    FROM dead_letters
"""

WAITING = SELECT_GRAVE + " WHERE resolved_at IS NULL ORDER BY at, id LIMIT $1"
BY_ID = SELECT_GRAVE + " WHERE id = $1"


async def waiting(conn: asyncpg.Connection, limit: int = 200) -> list[Grave]:
    """Dead letters that nobody has looked after yet, oldest first."""
    return [Grave(**row) for row in await conn.fetch(WAITING, limit)]


async def by_id(conn: asyncpg.Connection, letter_id: UUID) -> Grave | None:
    """One dead letter."""
    row = await conn.fetchrow(BY_ID, letter_id)
    return None if row is None else Grave(**row)


RESOLVE = """
    UPDATE dead_letters
    SET resolved_at = now(), resolved_by = $2, resolved_how = $3, resolved_why = $4
    WHERE id = $1 AND resolved_at IS NULL
    RETURNING complaint_id
"""

# Another letter of the same complaint may still be waiting to be replayed.
IGNORE = """
    UPDATE complaints
    SET state = 'ignored', reason = $2, settled_at = now()
    WHERE id = $1
      AND state = 'quarantined'
      AND NOT EXISTS (
          SELECT FROM dead_letters WHERE complaint_id = $1 AND resolved_at IS NULL
      )
"""


async def replayed(conn: asyncpg.Connection, letter_id: UUID, *, by: str, why: str = "") -> bool:
    """Note that a letter was told again; False when somebody had looked after it before."""
    row = await conn.fetchrow(RESOLVE, letter_id, by, "replayed", clean(why))
    return row is not None


async def discard(conn: asyncpg.Connection, letter_id: UUID, *, by: str, why: str) -> bool:
    """
    Note that a letter needs no answer, and why; its complaint, if it was in quarantine, counts
    as ignored. False when somebody had looked after it before; `ValueError` without a reason.
    """
    said = clean(why).strip()
    if not said:
        raise ValueError("a letter is discarded with a reason")
    async with conn.transaction():
        row = await conn.fetchrow(RESOLVE, letter_id, by, "discarded", said)
        if row is None:
            return False
        if row["complaint_id"] is not None:
            await conn.execute(IGNORE, row["complaint_id"], said)
    return True
