"""Messages that open no case: in the ledger with their reason, and on the case they concern."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import structlog

from bus.contracts import ContactMark, MessageSetAside
from store.contacts import mark
from store.records import NewEvent, add_events
from store.text import clean

log = structlog.stdlib.get_logger()

ENTER = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, reason, original)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


async def set_aside(conn: asyncpg.Connection, told: Sequence[MessageSetAside]) -> None:
    """Write down what was ignored or quarantined, and what it taught; told again, nothing."""
    for message in told:
        outcome = message.outcome if message.outcome == "quarantined" else "ignored"
        reason = clean(message.reason).strip() or "no reason given"
        fresh = await conn.fetchval(
            ENTER,
            message.message_id,
            clean(message.channel),
            clean(message.external_id),
            message.occurred_at,
            outcome,
            reason,
            message.original.model_dump() if message.original else None,
        )
        if fresh is None:
            continue
        if message.mark is not None:
            await mark(conn, message.mark, message.occurred_at)
        await _on_its_cases(conn, message, reason)
        log.info("set aside", channel=message.channel, outcome=outcome)


NOTICES = """
    SELECT DISTINCT case_id
    FROM deliveries
    WHERE id = ANY ($1::uuid[])
"""

NAMED = """
    SELECT DISTINCT case_id
    FROM mail_ids
    WHERE message_id = ANY ($1::text[])
"""

# An open case of somebody who wants no more texts, so that whoever works on it knows.
OF_PHONE = """
    SELECT id AS case_id
    FROM cases
    WHERE reporter_phone = $1 AND conversation IS NOT NULL AND status <> 'closed'
"""

CAME_BACK = """
    UPDATE deliveries
    SET state = 'failed', reason = $2, settled_at = $3
    WHERE id = ANY ($1::uuid[]) AND state IN ('queued', 'sent', 'unknown')
"""


async def _on_its_cases(conn: asyncpg.Connection, message: MessageSetAside, reason: str) -> None:
    found: set[UUID] = set()
    learned = message.mark
    if message.follows is not None:
        notices = list(message.follows.notices)
        found |= {row["case_id"] for row in await conn.fetch(NOTICES, notices)}
        if not found:
            names = [clean(name) for name in message.follows.message_ids]
            found |= {row["case_id"] for row in await conn.fetch(NAMED, names)}
        if learned is not None and learned.state in ("bad", "soft"):
            why = f"came back: {clean(learned.reason)}"
            await conn.execute(CAME_BACK, notices, why, message.occurred_at)
    if learned is not None and learned.medium == "sms":
        found |= {row["case_id"] for row in await conn.fetch(OF_PHONE, learned.address)}
    now = datetime.now(UTC)
    await add_events(
        conn,
        [
            NewEvent(
                case_id=case_id,
                at=now,
                kind=_kind(learned),
                by=None,
                public=False,
                data={
                    "reason": clean(learned.reason) if learned else reason,
                    "complaint_id": str(message.message_id),
                    "channel": message.channel,
                },
            )
            for case_id in await _existing(conn, found)
        ],
    )


EXISTING = "SELECT id FROM cases WHERE id = ANY ($1::uuid[]) ORDER BY id"


async def _existing(conn: asyncpg.Connection, ids: set[UUID]) -> list[UUID]:
    return [row["id"] for row in await conn.fetch(EXISTING, list(ids))]


def _kind(learned: ContactMark | None) -> str:
    if learned is None:
        return "automatic_reply"
    return {"stopped": "texts_stopped", "works": "texts_started"}.get(learned.state, "bounced")
