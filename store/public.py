"""What the public may see of a case: not who reported it, where it is, or the words of that."""

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
    """
    Where it is and what was said is not here. `notes` and `closing_words` are as staff wrote them:
    whoever shows them takes out what could name a person, `names_to_hide` among it.
    """

    reference: str
    """The one that was asked for."""
    goes_on_as: str | None
    """The reference of the case that it was joined to: what follows is told of that."""
    status: Status
    outcome: Outcome | None
    problem_type: str | None
    department: str | None
    opened_at: datetime
    closed_at: datetime | None
    closing_words: str | None
    notes: tuple[PublicNote, ...]
    """Of a joined one, its own as well."""
    steps: tuple[PublicStep, ...]


# Of a case that was joined to another one, that one: so its page leads on, and stands where the
# work stands. So does the reference of a message that joined a case.
PUBLIC_CASE = """
    WITH asked AS (
        SELECT id, merged_into, opened_at FROM cases WHERE reference = $1
        UNION ALL
        SELECT c.id, c.merged_into, j.at
        FROM joined_references j
        JOIN cases c ON c.id = j.case_id
        WHERE j.reference = $1
    )
    SELECT asked.id AS asked_id, c.id, c.reference, c.status, c.outcome, c.problem_type,
           c.department, asked.opened_at, c.closed_at, c.closing_words
    FROM asked
    JOIN cases c ON c.id = coalesce(asked.merged_into, asked.id)
    LIMIT 1
"""

NAMES = """
    SELECT reporter_name, assignee_name
    FROM cases
    WHERE reference = $1
    UNION ALL
    SELECT j.reporter_name, NULL
    FROM cases c
    JOIN cases j ON j.merged_into = c.id
    WHERE c.reference = $1
"""

PUBLIC_NOTES = """
    SELECT at, text
    FROM notes
    WHERE case_id = ANY ($1::uuid[]) AND public
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
    if known is None or row is None:
        return None
    notes = await conn.fetch(PUBLIC_NOTES, [row["asked_id"], row["id"]])
    steps = await conn.fetch(PUBLIC_STEPS, row["id"])
    return PublicCase(
        reference=known,
        goes_on_as=row["reference"] if row["reference"] != known else None,
        status=Status(row["status"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        problem_type=row["problem_type"],
        department=row["department"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        closing_words=row["closing_words"],
        notes=tuple(PublicNote(**note) for note in notes),
        steps=tuple(PublicStep(**step) for step in steps),
    )


async def names_to_hide(conn: asyncpg.Connection, case: PublicCase) -> tuple[str, ...]:
    """Who reported this case, or one that was joined to it, and who works on it: never shown."""
    rows = await conn.fetch(NAMES, case.goes_on_as or case.reference)
    return tuple({name for row in rows for name in row if name})
