"""
One complaint, followed through the books: the messages of a case, what happened to it, the notices
about it, and the letters that died on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import FileRef
from store import cases, deliveries, grave_acts, graves
from store.cases import Case, Event
from store.deliveries import Delivery
from store.grave_acts import GraveAct
from store.graves import Grave
from store.text import clean

_MOST = 50


@dataclass(frozen=True)
class Sought:
    """What somebody typed, read in every way that it can be read."""

    reference: str | None = None
    ids: tuple[UUID, ...] = ()
    """Of a complaint, a case, a notice or a dead letter."""
    contacts: tuple[str, ...] = ()
    """Phone numbers and email addresses, as they may be written in the books."""
    mail_ids: tuple[str, ...] = ()
    """A Message-ID or the id that a carrier gave, in every spelling."""


@dataclass(frozen=True)
class Found:
    """A complaint that fits, in a list to choose from."""

    id: UUID
    channel: str
    state: str
    received_at: datetime
    reference: str | None
    problem_type: str | None


# A message that nobody filed has no contact in the ledger: by its number only its sender's own
# cases are found, and those of which we wrote to them.
FIND = """
    WITH meant AS (
        SELECT id AS case_id FROM cases WHERE reference = $1 OR id = ANY ($2::uuid[])
        UNION SELECT case_id FROM joined_references WHERE reference = $1
        UNION SELECT id FROM cases WHERE reporter_phone = ANY ($3::text[])
        UNION SELECT id FROM cases WHERE lower(reporter_email) = ANY ($3::text[])
        UNION SELECT case_id FROM followers
              WHERE phone = ANY ($3::text[]) OR lower(email) = ANY ($3::text[])
        UNION SELECT case_id FROM deliveries
              WHERE id = ANY ($2::uuid[]) OR lower(recipient) = ANY ($3::text[])
                 OR provider_id = ANY ($4::text[])
        UNION SELECT case_id FROM mail_ids WHERE message_id = ANY ($4::text[])
        UNION SELECT case_id FROM complaints WHERE id = ANY ($2::uuid[]) AND case_id IS NOT NULL
    ), letters AS (
        SELECT complaint_id FROM dead_letters
        WHERE id = ANY ($2::uuid[]) AND complaint_id IS NOT NULL
    )
    SELECT l.id, l.channel, l.state, l.received_at, c.reference, c.problem_type
    FROM complaints l
    LEFT JOIN cases c ON c.id = l.case_id
    WHERE (l.id = l.case_id AND l.case_id IN (SELECT case_id FROM meant))
       OR (l.case_id IS NULL
           AND (l.id = ANY ($2::uuid[]) OR l.id IN (SELECT complaint_id FROM letters)))
       OR (l.id = l.case_id AND l.id IN (SELECT complaint_id FROM letters))
       -- Of mail the ledger has the Message-ID, then what it says.
       OR (l.state IN ('quarantined', 'ignored', 'received') AND l.channel = 'email'
           AND split_part(l.external_id, '/', 1) = ANY ($4::text[]))
    ORDER BY l.received_at DESC, l.id
    LIMIT $5
"""


async def find(conn: asyncpg.Connection, sought: Sought) -> list[Found]:
    """The complaints that fit, the newest first, 50 at most; one of each case."""
    rows = await conn.fetch(
        FIND,
        sought.reference,
        list(sought.ids),
        [clean(one) for one in sought.contacts],
        [clean(one) for one in sought.mail_ids],
        _MOST,
    )
    return [Found(**row) for row in rows]


@dataclass(frozen=True)
class Message:
    """One message that came in, and how it ended in the ledger."""

    id: UUID
    channel: str
    received_at: datetime
    state: str
    reason: str | None
    case_id: UUID | None
    original: FileRef | None
    settled_at: datetime


@dataclass(frozen=True)
class Books:
    """All that the books have of one complaint, and of its case where it has one."""

    messages: tuple[Message, ...]
    case: Case | None
    events: tuple[Event, ...]
    notices: tuple[Delivery, ...]
    letters: tuple[Grave, ...]
    acts: tuple[GraveAct, ...]
    untold: tuple["Untold", ...]


@dataclass(frozen=True)
class Untold:
    """A fact of this case that waits in the outbox."""

    subject: str
    since: datetime
    problem: str | None


MESSAGES = """
    SELECT id, channel, received_at, state, reason, case_id, original, settled_at
    FROM complaints
    WHERE id = $1 OR case_id = $2
    ORDER BY received_at, id
"""

CASE_OF = "SELECT case_id FROM complaints WHERE id = $1"

# Of what could not be read nobody knows the complaint, but under which id it was told.
LETTERS = f"""
    SELECT {graves.COLUMNS}
    FROM dead_letters
    WHERE complaint_id = ANY ($1::uuid[])
       OR (complaint_id IS NULL AND split_part(original_id, '#', 1) = ANY ($1::uuid[]::text[]))
    ORDER BY at, id
"""  # noqa: S608 - our own words

# Few wait, so that reading what they say costs nothing.
UNTOLD = """
    SELECT subject, created_at AS since, problem
    FROM outbox
    WHERE told_at IS NULL AND position(convert_to($1, 'UTF8') IN payload) > 0
    ORDER BY id
"""


async def read(conn: asyncpg.Connection, complaint: UUID) -> Books:
    """
    What the books have of a complaint, or of the case that it belongs to; empty for one that they
    do not know.
    """
    case_id = await conn.fetchval(CASE_OF, complaint)
    case = await cases.by_id(conn, case_id) if case_id is not None else None
    rows = await conn.fetch(MESSAGES, complaint, case_id)
    messages = tuple(
        Message(
            **dict(row)
            | {"original": FileRef.model_validate(row["original"]) if row["original"] else None}
        )
        for row in rows
    )
    about = {complaint, *(one.id for one in messages)}
    buried = await conn.fetch(LETTERS, sorted(about))
    letters = tuple(Grave(**row) for row in buried)
    return Books(
        messages=messages,
        case=case,
        events=tuple(await cases.history(conn, case.id)) if case is not None else (),
        notices=tuple(await deliveries.for_case(conn, case.id)) if case is not None else (),
        letters=letters,
        acts=tuple(await grave_acts.acts(conn, [one.id for one in letters])),
        untold=_untold(await conn.fetch(UNTOLD, str(case_id))) if case_id is not None else (),
    )


def _untold(rows: Sequence[asyncpg.Record]) -> tuple[Untold, ...]:
    return tuple(Untold(**row) for row in rows)
