"""The delivery ledger: every notice, what it said, and how far it came."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import asyncpg

from bus.contracts import (
    Fact,
    FileRef,
    NoticeDelivered,
    NoticeFailed,
    NoticeOutcome,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeWithheld,
)
from bus.errors import NotYet
from store.filing import hear
from store.records import files_from
from store.text import clean, clean_or_none, to_jsonb

CONSUMER = "store_notice"

QUEUE = """
    INSERT INTO deliveries (
        id, case_id, reference, notice, medium, recipient, recipient_name, language, subject_line,
        text, html, attachments, state, queued_at, instead_of,
        urgent
    )
    SELECT id, case_id, reference, notice, medium, recipient, recipient_name, language,
           subject_line, text, html, attachments::jsonb, 'queued', queued_at, instead_of,
           urgent
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
        $14::uuid[], $15::boolean[]
    ) AS notice (
        id, case_id, reference, notice, medium, recipient, recipient_name, language,
        subject_line, text, html, attachments, queued_at, instead_of, urgent
    )
    ON CONFLICT (id) DO NOTHING
"""

WITHHOLD = """
    INSERT INTO deliveries (id, case_id, notice, state, reason, queued_at, settled_at)
    SELECT id, case_id, notice, 'withheld', reason, at, at
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
         AS notice (id, case_id, notice, reason, at)
    ON CONFLICT (id) DO NOTHING
"""

# Nobody tried to send it; one that went out in an earlier try did.
HOLD_BACK = """
    UPDATE deliveries
    SET state = 'withheld', reason = held.reason, settled_at = held.at
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS held (id, reason, at)
    WHERE deliveries.id = held.id AND deliveries.state = 'queued'
"""

# What is known for sure wins over what is not, in whatever order it is heard, and a second telling
# finds nothing to change. A mail that was taken after all was not a failure; a text that Twilio
# took may still fail on its way.
SETTLE = """
    UPDATE deliveries
    SET state = heard.state,
        sender = heard.sender,
        provider_id = heard.provider_id,
        reason = heard.reason,
        settled_at = heard.at,
        tries = deliveries.tries + 1,
        -- Once more, and not for ever.
        again_at = CASE WHEN deliveries.instead_of IS NULL THEN heard.again_at END
    FROM (
        SELECT DISTINCT ON (id) id, state, sender, provider_id, reason, at, again_at
        FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
            $7::timestamptz[]
        ) AS outcome (id, state, sender, provider_id, reason, at, again_at)
        ORDER BY id, state = 'delivered' DESC, (state = 'sent') = (sender <> 'twilio') DESC, at
    ) AS heard
    WHERE deliveries.id = heard.id
      AND (deliveries.state IN ('queued', 'unknown')
           OR (deliveries.state IN ('sent', 'failed') AND heard.state = 'delivered')
           OR (deliveries.state = 'failed' AND heard.state = 'sent' AND heard.sender <> 'twilio')
           OR (deliveries.state = 'sent' AND heard.state = 'failed' AND heard.sender = 'twilio'))
"""

# One that is told late does not unsend.
DOUBT = """
    UPDATE deliveries
    SET state = CASE WHEN deliveries.state = 'queued' THEN 'unknown' ELSE deliveries.state END,
        sender = coalesce(deliveries.sender, heard.sender),
        tries = deliveries.tries + heard.times
    FROM (
        SELECT id, min(sender) AS sender, count(*) AS times
        FROM unnest($1::uuid[], $2::text[]) AS outcome (id, sender)
        GROUP BY id
    ) AS heard
    WHERE deliveries.id = heard.id
"""

EXISTING = """
    SELECT id
    FROM deliveries
    WHERE id = ANY ($1::uuid[])
"""


async def record(conn: asyncpg.Connection, told: Sequence[Fact]) -> None:
    """
    Write down what the notifier told: notices queued and withheld, and how they ended.

    Raises `NotYet` for an outcome of a notice that is not known yet.
    """
    await _queue(conn, [fact for fact in told if isinstance(fact, NoticeQueued)])
    await _withhold(conn, [fact for fact in told if isinstance(fact, NoticeWithheld)])
    await _settle(conn, [fact for fact in told if isinstance(fact, NoticeOutcome)])


async def _queue(conn: asyncpg.Connection, told: Sequence[NoticeQueued]) -> None:
    queued = _once(told)
    if not queued:
        return
    await conn.execute(
        QUEUE,
        [notice.message_id for notice in queued],
        [notice.case_id for notice in queued],
        [clean(notice.reference) for notice in queued],
        [clean(notice.notice) for notice in queued],
        [clean(notice.medium) for notice in queued],
        [clean(notice.recipient) for notice in queued],
        [clean_or_none(notice.recipient_name) for notice in queued],
        [clean(notice.language) for notice in queued],
        [clean(notice.subject_line) for notice in queued],
        [clean(notice.text) for notice in queued],
        [clean_or_none(notice.html) for notice in queued],
        # As text: asyncpg would take lists in a list for an array of two dimensions.
        [to_jsonb([file.model_dump() for file in notice.attachments]) for notice in queued],
        [notice.occurred_at for notice in queued],
        [notice.instead_of for notice in queued],
        [notice.urgent for notice in queued],
    )


async def _withhold(conn: asyncpg.Connection, told: Sequence[NoticeWithheld]) -> None:
    if held := {one.notice_id: one for one in told if one.notice_id is not None}:
        await _must_exist(conn, held)
        await conn.execute(
            HOLD_BACK,
            list(held),
            [clean(one.reason) for one in held.values()],
            [one.occurred_at for one in held.values()],
        )
    withheld = _once([one for one in told if one.notice_id is None])
    if not withheld:
        return
    await conn.execute(
        WITHHOLD,
        [notice.message_id for notice in withheld],
        [notice.case_id for notice in withheld],
        [clean(notice.notice) for notice in withheld],
        [clean(notice.reason) for notice in withheld],
        [notice.occurred_at for notice in withheld],
    )


async def _settle(conn: asyncpg.Connection, told: Sequence[NoticeOutcome]) -> None:
    if not told:
        return
    await _must_exist(conn, {outcome.notice_id for outcome in told})
    if doubts := _once([one for one in told if isinstance(one, NoticeUnknown)]):
        # Each doubt counts as a try, so it must be known whether it was heard before.
        fresh = await hear(conn, CONSUMER, (doubt.message_id for doubt in doubts))
        doubts = [doubt for doubt in doubts if doubt.message_id in fresh]
        await conn.execute(
            DOUBT,
            [doubt.notice_id for doubt in doubts],
            [clean(doubt.sender) for doubt in doubts],
        )
    if ends := _once([one for one in told if isinstance(one, _FINAL)]):
        await conn.execute(
            SETTLE,
            [end.notice_id for end in ends],
            [_ENDS[type(end)] for end in ends],
            [clean(end.sender) for end in ends],
            [
                None if isinstance(end, NoticeFailed) else clean_or_none(end.provider_id)
                for end in ends
            ],
            [clean(end.reason) if isinstance(end, NoticeFailed) else None for end in ends],
            [end.occurred_at for end in ends],
            [end.again_at if isinstance(end, NoticeFailed) else None for end in ends],
        )


async def _must_exist(conn: asyncpg.Connection, notices: Collection[UUID]) -> None:
    found = {row["id"] for row in await conn.fetch(EXISTING, list(notices))}
    if missing := set(notices) - found:
        raise NotYet(f"{len(missing)} notices not queued yet, as {min(missing)}")


_ENDS: dict[type[Fact], str] = {
    NoticeSent: "sent",
    NoticeDelivered: "delivered",
    NoticeFailed: "failed",
}

_FINAL = NoticeSent | NoticeDelivered | NoticeFailed
_F = TypeVar("_F", bound=Fact)


def _once(told: Sequence[_F]) -> list[_F]:
    return list({fact.message_id: fact for fact in told}.values())


@dataclass(frozen=True)
class Delivery:
    """One notice and how far it came."""

    id: UUID
    case_id: UUID
    reference: str
    notice: str
    medium: str
    recipient: str
    recipient_name: str | None
    language: str
    subject_line: str
    text: str
    html: str | None
    attachments: tuple[FileRef, ...]
    state: str
    """`queued`, `sent`, `delivered`, `failed`, `unknown`, `withheld`."""
    sender: str | None
    provider_id: str | None
    reason: str | None
    queued_at: datetime
    settled_at: datetime | None
    tries: int
    instead_of: UUID | None
    """The notice that was lost on its way and that this one repeats."""
    again_at: datetime | None
    """When it will be sent once more, as a notice of its own."""


SELECT_DELIVERY = """
    SELECT id, case_id, reference, notice, medium, recipient, recipient_name, language,
           subject_line, text, html, attachments, state, sender, provider_id, reason, queued_at,
           settled_at, tries, instead_of, again_at
    FROM deliveries
"""

FOR_CASE = SELECT_DELIVERY + " WHERE case_id = $1 ORDER BY queued_at, id"
MAILBOX = SELECT_DELIVERY + " WHERE state <> 'withheld' ORDER BY queued_at DESC, id LIMIT $1"
HELD_BACK = (
    SELECT_DELIVERY
    + """
    WHERE state = 'withheld' AND medium <> ''
    ORDER BY settled_at DESC, id
    LIMIT $1 OFFSET $2
"""
)
COUNT_HELD_BACK = "SELECT count(*) FROM deliveries WHERE state = 'withheld' AND medium <> ''"
BY_ID = SELECT_DELIVERY + " WHERE id = $1"


async def for_case(conn: asyncpg.Connection, case_id: UUID) -> list[Delivery]:
    """Everything sent or withheld about a case, oldest first."""
    return [_delivery(row) for row in await conn.fetch(FOR_CASE, case_id)]


async def mailbox(conn: asyncpg.Connection, limit: int = 100) -> list[Delivery]:
    """The newest notices, newest first; what was withheld is not among them."""
    return [_delivery(row) for row in await conn.fetch(MAILBOX, limit)]


async def held_back(
    conn: asyncpg.Connection, *, number: int, size: int
) -> tuple[list[Delivery], int]:
    """Texts that a spending cap held back, the newest first, and how many there are in all."""
    rows = await conn.fetch(HELD_BACK, size, (number - 1) * size)
    return [_delivery(row) for row in rows], await conn.fetchval(COUNT_HELD_BACK)


async def by_id(conn: asyncpg.Connection, delivery_id: UUID) -> Delivery | None:
    """One notice."""
    row = await conn.fetchrow(BY_ID, delivery_id)
    return None if row is None else _delivery(row)


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(**(dict(row) | {"attachments": files_from(row["attachments"])}))
