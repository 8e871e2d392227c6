"""
What the books know to be undone though it was told: for the day on which the streams were lost.

The streams hold what somebody still has to do. Should they be gone, the database says what that
was: cases that nobody routed, facts of which nobody heard, notices that nobody sent.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.codec import decode
from bus.contracts import Fact, NoticeQueued
from store import outbox
from store.model import Status
from store.past import PastCase
from store.records import files_from

_AT_ONCE = 500

UNROUTED = """
    SELECT c.id, c.reference, c.status, c.channel, c.text, c.language, c.opened_at, c.routed_at,
           c.address, c.lat, c.lon, c.problem_type, c.chosen_type, c.entered_by,
           c.department, c.assignee, c.assignee_name, c.emergency, c.placed_by, c.typed_by
    FROM cases c
    WHERE c.status = 'new' AND c.routed_at IS NULL AND c.placed_by IS NULL AND c.opened_at < $1
      AND NOT EXISTS (SELECT FROM imported_cases i WHERE i.case_id = c.id)
    ORDER BY c.opened_at
"""


async def unrouted(conn: asyncpg.Connection, before: datetime) -> list[PastCase]:
    """The cases from before then that nobody has said anything about yet."""
    rows = await conn.fetch(UNROUTED, before)
    return [PastCase(**(dict(row) | {"status": Status(row["status"])})) for row in rows]


TOLD = """
    SELECT id, fact_id, tag, payload, created_at
    FROM outbox
    WHERE id > $1 AND told_at < $2
    ORDER BY id
    LIMIT $3
"""


@dataclass(frozen=True)
class Told:
    """A fact that was told."""

    row: int
    fact: Fact
    at: datetime


async def told(conn: asyncpg.Connection, before: datetime) -> AsyncIterator[list[Told]]:
    """The facts that the outbox told before then, as long as it keeps them, some at a time."""
    last = 0
    while rows := await conn.fetch(TOLD, last, before, _AT_ONCE):
        last = rows[-1]["id"]
        yield [
            Told(row["id"], decode(row["payload"], row["tag"]), row["created_at"]) for row in rows
        ]


KNOWN = "SELECT id FROM deliveries WHERE id = ANY ($1::uuid[])"


async def known(conn: asyncpg.Connection, notices: Collection[UUID]) -> set[UUID]:
    """Which of these notices the books have, sent or not."""
    return {row["id"] for row in await conn.fetch(KNOWN, list(notices))}


BURIED = "SELECT original_id FROM dead_letters WHERE original_id = ANY ($1::text[])"


async def buried(conn: asyncpg.Connection, facts: Collection[UUID]) -> set[UUID]:
    """Which of these facts lie among the dead letters, and wait there for a person or did."""
    rows = await conn.fetch(BURIED, [str(one) for one in facts])
    return {UUID(row["original_id"]) for row in rows}


LOOKED = """
    SELECT case_id, max(at) AS at
    FROM events
    WHERE case_id = ANY ($1::uuid[])
      AND kind IN ('routed', 'looked_again', 'routed_late', 'routing_failed')
    GROUP BY case_id
"""


async def looked_at(conn: asyncpg.Connection, cases: Collection[UUID]) -> dict[UUID, datetime]:
    """When the router's word on these cases last came."""
    return {row["case_id"]: row["at"] for row in await conn.fetch(LOOKED, list(cases))}


UNSENT = """
    SELECT id, case_id, reference, notice, medium, recipient, recipient_name, language,
           subject_line, text, html, attachments, instead_of, urgent, queued_at
    FROM deliveries
    WHERE state = 'queued' AND settled_at IS NULL AND queued_at < $1
    ORDER BY queued_at
"""


async def unsent(conn: asyncpg.Connection, before: datetime) -> list[NoticeQueued]:
    """The notices that were written before then and that nobody has tried to send."""
    return [
        NoticeQueued(
            message_id=row["id"],
            occurred_at=row["queued_at"],
            case_id=row["case_id"],
            reference=row["reference"],
            notice=row["notice"],
            medium=row["medium"],
            recipient=row["recipient"],
            recipient_name=row["recipient_name"],
            language=row["language"],
            subject_line=row["subject_line"],
            text=row["text"],
            html=row["html"],
            attachments=files_from(row["attachments"]),
            instead_of=row["instead_of"],
            urgent=row["urgent"],
        )
        for row in await conn.fetch(UNSENT, before)
    ]


# In their order, and before whatever was written since.
AGAIN = """
    WITH again AS (
        UPDATE outbox
        SET told_at = NULL
        WHERE id = ANY ($1::bigint[]) AND told_at IS NOT NULL
        RETURNING id
    )
    SELECT count(*), pg_notify('outbox', '') FROM again
"""


async def tell_again(conn: asyncpg.Connection, rows: Sequence[int], facts: Sequence[Fact]) -> None:
    """Have the outbox tell these rows of its own once more, and these facts besides."""
    async with conn.transaction():
        await conn.execute(AGAIN, list(rows))
        await outbox.append(conn, facts)
