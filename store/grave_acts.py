"""
What operators do about dead letters: have one told again, as it was or mended, or discard it.

Every act is a row of its own, with who and why. A replay is a wish first: `store/replaying.py`
fulfils it, also after a crash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import DeadLetter
from store.text import clean

LOCK = """
    SELECT id
    FROM dead_letters
    WHERE id = ANY ($1::uuid[]) AND resolved_at IS NULL
    ORDER BY id
    FOR UPDATE
"""

WANT = """
    INSERT INTO grave_acts (letter_id, act, by, why, per_second, headers, payload)
    SELECT id, 'replay', $2, $3, $4, $5::jsonb, $6
    FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place)
    ORDER BY place
    ON CONFLICT (letter_id) WHERE done_at IS NULL DO NOTHING
    RETURNING letter_id
"""


@dataclass(frozen=True)
class Mended:
    """What is told in place of a letter's own bytes; judged by `bus.dead.mend`."""

    headers: Mapping[str, str]
    payload: str
    """base64, as in the letter."""


async def want_replay(
    conn: asyncpg.Connection,
    letters: Sequence[UUID],
    *,
    by: str,
    why: str = "",
    per_second: float = 10.0,
    mended: Mended | None = None,
) -> list[UUID]:
    """
    Have these letters told again soon, `per_second` of them; with `mended`, a mended copy instead.
    Returns those of which nobody wanted it before and after which nobody has looked yet.
    """
    async with conn.transaction():
        rows = await conn.fetch(LOCK, list(letters))
        open_ones = {row["id"] for row in rows}
        wanted = await conn.fetch(
            WANT,
            [letter for letter in dict.fromkeys(letters) if letter in open_ones],
            clean(by),
            clean(why).strip(),
            per_second,
            None if mended is None else dict(mended.headers),
            None if mended is None else mended.payload,
        )
    return [row["letter_id"] for row in wanted]


# While one is being told again, that has to end first.
DISCARD = """
    UPDATE dead_letters
    SET resolved_at = now(), resolved_by = $2, resolved_how = 'discarded', resolved_why = $3
    WHERE id = ANY ($1::uuid[])
      AND NOT EXISTS (
          SELECT FROM grave_acts WHERE letter_id = dead_letters.id AND done_at IS NULL
      )
    RETURNING id, complaint_id
"""

NOTE_DISCARD = """
    INSERT INTO grave_acts (letter_id, act, by, why, done_at)
    SELECT id, 'discard', $2, $3, now()
    FROM unnest($1::uuid[]) AS discarded (id)
"""

# Another letter of the same complaint may still be waiting to be replayed.
IGNORE = """
    UPDATE complaints
    SET state = 'ignored', reason = $2, settled_at = now()
    WHERE id = ANY ($1::uuid[])
      AND state = 'quarantined'
      AND NOT EXISTS (
          SELECT FROM dead_letters WHERE complaint_id = complaints.id AND resolved_at IS NULL
      )
"""


async def discard(
    conn: asyncpg.Connection, letters: Sequence[UUID], *, by: str, why: str
) -> list[UUID]:
    """
    Note that letters need no answer, and why; a complaint of theirs that was in quarantine counts
    as ignored. Returns those after which nobody had looked before; `ValueError` without a reason.
    """
    said = clean(why).strip()
    if not said:
        raise ValueError("a letter is discarded with a reason")
    async with conn.transaction():
        rows = await conn.fetch(LOCK, list(letters))
        gone = await conn.fetch(DISCARD, [row["id"] for row in rows], clean(by), said)
        discarded = [row["id"] for row in gone]
        await conn.execute(NOTE_DISCARD, discarded, clean(by), said)
        about = {row["complaint_id"] for row in gone if row["complaint_id"] is not None}
        if about:
            await conn.execute(IGNORE, sorted(about), said)
    return discarded


@dataclass(frozen=True)
class GraveAct:
    """One thing that somebody did about a dead letter."""

    id: int
    letter_id: UUID
    act: str
    """`replay` or `discard`."""
    by: str
    why: str
    at: datetime
    mended: bool
    """Whether something else was told in place of the letter's own bytes."""
    done_at: datetime | None
    problem: str | None


ACTS = """
    SELECT id, letter_id, act, by, why, at, payload IS NOT NULL AS mended, done_at, problem
    FROM grave_acts
    WHERE letter_id = ANY ($1::uuid[])
    ORDER BY id
"""


async def acts(conn: asyncpg.Connection, letters: Sequence[UUID]) -> list[GraveAct]:
    """All that was done about these letters, oldest first."""
    return [GraveAct(**row) for row in await conn.fetch(ACTS, list(letters))]


@dataclass(frozen=True)
class Due:
    """A letter that somebody wants to be told again, as it is to be told."""

    act: int
    letter: DeadLetter
    by: str
    why: str
    per_second: float


DUE = """
    SELECT a.id AS act, a.by, a.why, a.per_second,
           d.id AS message_id, d.at AS occurred_at, d.durable, d.stream, d.sequence,
           d.original_subject, d.original_id, d.complaint_id, d.reason, d.tries,
           coalesce(a.headers, d.headers) AS headers, coalesce(a.payload, d.payload) AS payload
    FROM grave_acts a
    JOIN dead_letters d ON d.id = a.letter_id
    WHERE a.done_at IS NULL
    ORDER BY a.id
    LIMIT $1
"""


async def due(conn: asyncpg.Connection, limit: int) -> list[Due]:
    """What is to be told again, in the order in which it was wanted."""
    found = []
    for row in await conn.fetch(DUE, limit):
        fields = dict(row)
        wish = {name: fields.pop(name) for name in ("act", "by", "why", "per_second")}
        # Bytes that we kept ourselves: the letter was judged when it was buried.
        found.append(Due(letter=DeadLetter.model_validate(fields), **wish))
    return found


TOLD = """
    WITH told AS (
        UPDATE grave_acts
        SET done_at = now()
        WHERE id = ANY ($1::bigint[]) AND done_at IS NULL
        RETURNING letter_id, by, why
    )
    UPDATE dead_letters
    SET resolved_at = now(), resolved_by = told.by, resolved_how = 'replayed',
        resolved_why = told.why
    FROM told
    WHERE dead_letters.id = told.letter_id AND dead_letters.resolved_at IS NULL
"""


async def told(conn: asyncpg.Connection, acts: Sequence[int]) -> None:
    """Note that these wishes are fulfilled: the bus has stored what they wanted told."""
    await conn.execute(TOLD, list(acts))


REFUSED = """
    UPDATE grave_acts
    SET done_at = now(), problem = $2
    WHERE id = $1 AND done_at IS NULL
"""


async def refused(conn: asyncpg.Connection, act: int, problem: str) -> None:
    """Note that the bus will never take this; its letter goes on waiting."""
    await conn.execute(REFUSED, act, clean(problem) or "refused")
