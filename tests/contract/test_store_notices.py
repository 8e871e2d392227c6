"""The delivery ledger: every notice has one row, which says how far it came."""

from datetime import datetime, timedelta
from itertools import permutations

import asyncpg
import pytest

from bus.contracts import (
    ContactMark,
    Fact,
    NoticeDelivered,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeWithheld,
)
from bus.errors import NotYet
from bus.identity import fact_id
from store import contacts, deliveries
from store.deliveries import Delivery
from store.resending import send_again
from tests.support.facts import NOON, PHOTO, complaint
from tests.support.store import hear, to_tell

CASE = complaint().message_id


def queued(number: int = 1, **other: object) -> NoticeQueued:
    values: dict[str, object] = {
        "message_id": fact_id("notice", number),
        "occurred_at": NOON.replace(minute=number),
        "case_id": CASE,
        "reference": complaint().reference,
        "notice": "receipt",
        "medium": "email",
        "recipient": "rosa@resident.example",
        "recipient_name": "Rosa Lara",
        "language": "es",
        "subject_line": "Recibimos su informe",
        "text": "Gracias.\x00",
        "html": "<p>Gracias.</p>",
        "attachments": (PHOTO,),
    }
    return NoticeQueued.model_validate(values | other)


def outcome(kind: type[Fact], number: int = 1, time: int = 1, **other: object) -> Fact:
    values: dict[str, object] = {
        "message_id": fact_id(kind.tag, number, time),
        "occurred_at": NOON,
        "notice_id": fact_id("notice", number),
        "case_id": CASE,
        "medium": "email",
        "sender": "smtp",
    }
    return kind.model_validate(values | other)


async def told(pool: asyncpg.Pool, *facts: Fact) -> None:
    await hear(pool, "store_notice", *facts)


async def the_only_one(pool: asyncpg.Pool) -> Delivery:
    async with pool.acquire() as conn:
        [delivery] = await deliveries.for_case(conn, CASE)
        assert await deliveries.by_id(conn, delivery.id) == delivery
    return delivery


async def test_a_notice_is_written_down_with_all_that_it_says(pool: asyncpg.Pool) -> None:
    await told(pool, queued(), queued())
    await told(pool, queued(text="other"))
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.tries, delivery.settled_at) == ("queued", 0, None)
    assert (delivery.subject_line, delivery.text, delivery.html) == (
        "Recibimos su informe",
        "Gracias.",
        "<p>Gracias.</p>",
    )
    assert (delivery.recipient_name, delivery.language) == ("Rosa Lara", "es")
    assert delivery.attachments == (PHOTO,)


async def test_a_notice_that_was_sent_twice_told_is_sent_once(pool: asyncpg.Pool) -> None:
    sent = outcome(NoticeSent, provider_id="<1@city>")
    await told(pool, queued(), sent, sent)
    await told(pool, sent, queued())
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.tries, delivery.provider_id, delivery.sender) == (
        "sent",
        1,
        "<1@city>",
        "smtp",
    )
    assert delivery.settled_at == NOON


async def test_doubts_are_counted_and_end_with_an_answer(pool: asyncpg.Pool) -> None:
    await told(pool, queued())
    for time in (1, 2):
        for _ in range(2):
            await told(pool, outcome(NoticeUnknown, time=time))
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.tries, delivery.settled_at) == ("unknown", 2, None)
    await told(pool, outcome(NoticeFailed, reason="550 no such user"))
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.tries, delivery.reason) == ("failed", 3, "550 no such user")


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_the_surest_word_wins_in_whatever_order_it_comes(
    pool: asyncpg.Pool, order: tuple[int, ...]
) -> None:
    words = [
        outcome(NoticeUnknown),
        outcome(NoticeFailed, reason="421 try again"),
        outcome(NoticeSent, provider_id="<1@city>"),
    ]
    await told(pool, queued())
    for place in order:
        await told(pool, words[place])
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.reason, delivery.provider_id) == ("sent", None, "<1@city>")
    await told(pool, *[words[place] for place in order])
    assert await the_only_one(pool) == delivery


async def test_an_outcome_before_its_notice_comes_again(pool: asyncpg.Pool) -> None:
    with pytest.raises(NotYet):
        await told(pool, outcome(NoticeSent))
    await told(pool, outcome(NoticeSent), queued())
    assert (await the_only_one(pool)).state == "sent"


async def test_a_notice_that_was_withheld_has_its_reason(pool: asyncpg.Pool) -> None:
    withheld = NoticeWithheld(
        message_id=fact_id("withheld", 1),
        occurred_at=NOON,
        case_id=CASE,
        notice="receipt",
        reason="the resident left no email address",
    )
    for _ in range(2):
        await told(pool, withheld, withheld)
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.reason) == ("withheld", "the resident left no email address")
    async with pool.acquire() as conn:
        assert await deliveries.mailbox(conn) == []


# ── lost on the way ─────────────────────────────────────────────────────────────────────────────

LATER = NOON + timedelta(minutes=10)
PHONE = "+18165550142"


def lost(number: int = 1, **other: object) -> Fact:
    why = {"sender": "twilio", "medium": "sms", "reason": "30008 lost", "again_at": LATER}
    return outcome(NoticeFailed, number, **(why | other))


async def resent(pool: asyncpg.Pool, now: datetime) -> list[NoticeQueued]:
    """What is told when the store looks at this moment."""
    async with pool.acquire() as conn:
        before = len(await to_tell(conn))
        await send_again(conn, now)
        return [fact for fact in (await to_tell(conn))[before:] if isinstance(fact, NoticeQueued)]


async def test_a_lost_text_is_sent_once_more_and_both_stand_in_the_ledger(
    pool: asyncpg.Pool,
) -> None:
    await told(pool, queued(medium="sms", recipient=PHONE), lost())
    assert await resent(pool, LATER - timedelta(seconds=1)) == []
    [again] = await resent(pool, LATER)
    assert (again.instead_of, again.text, again.recipient) == (
        fact_id("notice", 1), "Gracias.", PHONE,
    )  # fmt: skip
    await told(pool, lost())  # Twilio tells it twice
    assert await resent(pool, LATER + timedelta(hours=1)) == []

    await told(pool, again)
    its_end = lost(time=2, notice_id=again.message_id)
    await told(pool, its_end)
    assert await resent(pool, LATER + timedelta(hours=1)) == []
    async with pool.acquire() as conn:
        first, second = await deliveries.for_case(conn, CASE)
    assert [one.state for one in (first, second)] == ["failed", "failed"]
    assert (second.instead_of, second.again_at) == (first.id, None)


@pytest.mark.parametrize("meanwhile", ["it arrived", "they want no texts", "a day went by"])
async def test_a_lost_text_is_not_sent_where_that_makes_no_sense(
    pool: asyncpg.Pool, meanwhile: str
) -> None:
    await told(pool, queued(medium="sms", recipient=PHONE), lost())
    now = LATER
    if meanwhile == "it arrived":
        await told(pool, outcome(NoticeDelivered, sender="twilio", medium="sms"))
    elif meanwhile == "they want no texts":
        stopped = ContactMark(medium="sms", address=PHONE, state="stopped", reason="STOP")
        async with pool.acquire() as conn:
            await contacts.mark(conn, stopped, NOON)
    else:
        now += timedelta(days=1, seconds=1)
    assert await resent(pool, now) == []
    assert await resent(pool, LATER) == []


async def test_the_mailbox_shows_the_newest_first(pool: asyncpg.Pool) -> None:
    await told(pool, *[queued(number) for number in (2, 3, 1)])
    async with pool.acquire() as conn:
        newest = await deliveries.mailbox(conn, 2)
        assert [one.id for one in newest] == [fact_id("notice", 3), fact_id("notice", 2)]
