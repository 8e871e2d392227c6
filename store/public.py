"""What the public may see of a case: nothing tells who reported it, where it is, or the words."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from bus.identity import read_reference
from store.model import Outcome, Status


@dataclass(frozen=True)
class PublicNote:
    at: datetime
    text: str


@dataclass(frozen=True)
class PublicStep:
    """That something happened; `kind` as in `Event`."""

    at: datetime
    kind: str


@dataclass(frozen=True)
class PublicCase:
    """Nothing here tells who reported, who works on it, where it is or what was said."""

    reference: str
    status: Status
    outcome: Outcome | None
    problem_type: str | None
    department: str | None
    opened_at: datetime
    closed_at: datetime | None
    closing_words: str | None
    notes: tuple[PublicNote, ...]
    steps: tuple[PublicStep, ...]


PUBLIC_CASE = """
    SELECT id, reference, status, outcome, problem_type, department, opened_at, closed_at,
           closing_words
    FROM cases
    WHERE reference = $1
"""

PUBLIC_NOTES = """
    SELECT at, text
    FROM notes
    WHERE case_id = $1 AND public
    ORDER BY at, id
"""

PUBLIC_STEPS = """
    SELECT at, kind
    FROM events
    WHERE case_id = $1 AND public
    ORDER BY id
"""


async def public_view(conn: asyncpg.Connection, reference: str) -> PublicCase | None:
    """What anybody who has the reference may see, however they typed it; or None."""
    known = read_reference(reference)
    row = None if known is None else await conn.fetchrow(PUBLIC_CASE, known)
    if row is None:
        return None
    return PublicCase(
        reference=row["reference"],
        status=Status(row["status"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        problem_type=row["problem_type"],
        department=row["department"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        closing_words=row["closing_words"],
        notes=tuple(PublicNote(**note) for note in await conn.fetch(PUBLIC_NOTES, row["id"])),
        steps=tuple(PublicStep(**step) for step in await conn.fetch(PUBLIC_STEPS, row["id"])),
    )
