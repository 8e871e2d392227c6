"""The messages of a span of time with the cases that they opened, and mending what was misread."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from bus.contracts import CaseAmended, FileRef
from store import outbox
from store.model import Status
from store.past import PastCase
from store.records import NewEvent, add_events
from store.text import clean, searchable

_AT_ONCE = 64


@dataclass(frozen=True)
class Message:
    """One message as the ledger has it."""

    id: UUID
    channel: str
    external_id: str
    received_at: datetime
    state: str
    reason: str | None
    left: bool
    """Whether somebody looked at it and left it where it is."""
    original: FileRef | None
    case: PastCase | None
    """The case that it opened."""
    district: str | None
    joined: bool
    """Whether more was said of the case since, so that its words are not this message's alone."""


# What joined another case, or waits for its sender's answer, is not asked about by itself.
IN_SPAN = """
    SELECT l.id AS message, l.channel AS came_by, l.external_id, l.received_at, l.state, l.reason,
           l.left_by IS NOT NULL AS left, l.original,
           c.id, c.reference, c.status, c.channel, c.text, c.language, c.opened_at, c.routed_at,
           c.address, c.lat, c.lon, c.problem_type, c.chosen_type, c.entered_by,
           c.department, c.assignee, coalesce(a.name, c.assignee_name) AS assignee_name,
           c.emergency, c.placed_by, c.typed_by,
           c.district, coalesce(c.heard_at > c.opened_at, false) AS joined
    FROM complaints l
    LEFT JOIN cases c ON c.id = l.id AND c.merged_into IS NULL
    LEFT JOIN accounts a ON a.login = c.assignee
    WHERE l.received_at >= $1 AND l.received_at < $2 AND ($3 = '' OR l.channel = $3)
      AND (c.id IS NOT NULL OR l.state IN ('quarantined', 'ignored'))
      AND (l.received_at, l.id) > ($4, $5)
    ORDER BY l.received_at, l.id
    LIMIT $6
"""

_OF_CASE = (
    "id", "reference", "status", "channel", "text", "language", "opened_at", "routed_at",
    "address", "lat", "lon", "problem_type", "chosen_type", "entered_by", "department",
    "assignee", "assignee_name", "emergency", "placed_by", "typed_by",
)  # fmt: skip


async def messages(
    conn: asyncpg.Connection, since: datetime, until: datetime, channel: str = ""
) -> AsyncIterator[list[Message]]:
    """
    The messages received within the span, the oldest first, some at a time. Nothing is held open
    between two of them: whoever reads may take minutes.
    """
    last = (since, UUID(int=0))
    while True:
        rows = await conn.fetch(IN_SPAN, since, until, clean(channel), *last, _AT_ONCE)
        if not rows:
            return
        last = (rows[-1]["received_at"], rows[-1]["message"])
        yield [_message(row) for row in rows]


def _message(row: asyncpg.Record) -> Message:
    case = None
    if row["id"] is not None:
        case = PastCase(
            **({name: row[name] for name in _OF_CASE} | {"status": Status(row["status"])})
        )
    return Message(
        id=row["message"],
        channel=row["came_by"],
        external_id=row["external_id"],
        received_at=row["received_at"],
        state=row["state"],
        reason=row["reason"],
        left=row["left"],
        original=FileRef.model_validate(row["original"]) if row["original"] else None,
        case=case,
        district=row["district"],
        joined=row["joined"],
    )


COUNT = """
    SELECT count(*)
    FROM complaints
    WHERE received_at >= $1 AND received_at < $2 AND ($3 = '' OR channel = $3)
"""


async def count(
    conn: asyncpg.Connection, since: datetime, until: datetime, channel: str = ""
) -> int:
    """How many messages were received within the span, whatever became of them."""
    found: int = await conn.fetchval(COUNT, since, until, clean(channel))
    return found


# Only while it still says what was compared: somebody may have added words since.
MEND = """
    UPDATE cases
    SET text = $2, language = $4
    WHERE id = $1 AND text = $3
    RETURNING reference, address, reporter_name, reporter_email, reporter_phone
"""
RESEARCH = "UPDATE case_words SET words = to_tsvector('simple', $2) WHERE case_id = $1"


@dataclass(frozen=True)
class Again:
    """A case that is to be looked at again, in the words that its message has by today's code."""

    asked: CaseAmended
    before: str
    """The case's text that was compared."""


async def look_again(conn: asyncpg.Connection, wanted: list[Again], by: str) -> int:
    """
    Put the words right where they differ, and have the router look at each case; in how many the
    words changed. The old words stay in the case's history. Twice is as once.
    """
    mended = 0
    async with conn.transaction():
        asked = []
        for one in wanted:
            case = one.asked.case
            if case.text != one.before:
                now = (case.case_id, clean(case.text), one.before, case.language)
                row = await conn.fetchrow(MEND, *now)
                if row is None:
                    continue  # done before, or not so any more
                await conn.execute(RESEARCH, case.case_id, _searched(row, clean(case.text)))
                event = NewEvent(
                    case_id=case.case_id,
                    at=datetime.now(UTC),
                    kind="read_again",
                    by=clean(by),
                    public=False,
                    data={"before": one.before},
                )
                await add_events(conn, [event])
                mended += 1
            asked.append(one.asked)
        await outbox.append(conn, asked)
    return mended


def _searched(row: asyncpg.Record, text: str) -> str:
    """What staff find the case by."""
    return searchable(
        row["reference"].replace("-", ""),
        row["address"],
        row["reporter_name"],
        row["reporter_email"],
        text,
        phone=row["reporter_phone"],
    )
