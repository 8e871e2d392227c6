"""The delivery ledger: every notice has one row, which says how far it came."""

import asyncio
from datetime import UTC, datetime, timedelta
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
from store import contacts, deliveries, housekeeping
from store.deliveries import Delivery
from store.resending import send_again
from store.text_budget import Caps, TextBudget, Used, over, spend
from tests.support.facts import NOON, PHOTO, complaint
from tests.support.store import hear, to_tell

CASE = complaint().message_id
PHONE = "+18165550142"


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


async def test_a_text_that_was_held_back_says_so_and_can_be_read(pool: asyncpg.Pool) -> None:
    held = NoticeWithheld(
        message_id=fact_id("held", 1),
        occurred_at=NOON,
        case_id=CASE,
        notice="receipt",
        reason="the cap of 2 texts a day is reached",
        notice_id=fact_id("notice", 1),
    )
    with pytest.raises(NotYet):
        await told(pool, held)
    await told(pool, held, queued(medium="sms", recipient=PHONE))
    await told(pool, held)
    delivery = await the_only_one(pool)
    assert (delivery.state, delivery.reason) == ("withheld", "the cap of 2 texts a day is reached")
    assert (delivery.medium, delivery.text) == ("sms", "Gracias.")


# ── what texts may cost ─────────────────────────────────────────────────────────────────────────

CAPS = Caps(a_day=10, a_month=100, to_one_a_day=5, to_one_a_month=20)


@pytest.mark.parametrize(
    ("everybody", "number", "first", "reason"),
    [
        (Used(7, 7), Used(), False, None),
        (Used(8, 8), Used(), False, "the cap of 10 texts a day is reached, and what is left"),
        (Used(9, 9), Used(), True, None),
        (Used(10, 10), Used(), True, "the cap of 10 texts a day is reached"),
        (Used(0, 80), Used(), False, "the cap of 100 texts a month is reached, and what is left"),
        (Used(0, 99), Used(), True, None),
        (Used(4, 4), Used(4, 4), False, "the cap of 5 texts to one number a day is reached"),
        (Used(4, 4), Used(4, 4), True, None),
        (Used(0, 20), Used(0, 20), True, "the cap of 20 texts to one number a month is reached"),
    ],
)
def test_the_last_fifth_is_for_what_goes_first(
    everybody: Used, number: Used, first: bool, reason: str | None
) -> None:
    said = over(CAPS, everybody, number, first=first)
    assert said == reason if reason is None else (said or "").startswith(reason)


def test_without_a_cap_everything_may_go() -> None:
    assert over(Caps(), Used(10**6, 10**6), Used(10**6, 10**6), first=False) is None
    assert over(Caps(a_day=1), Used(), Used(), first=False) is None, "one is one"


async def test_a_text_is_counted_once_and_two_at_once_do_not_overspend(pool: asyncpg.Pool) -> None:
    texts = [queued(number, medium="sms", recipient=PHONE) for number in range(1, 9)]
    budget = TextBudget(pool, Caps(to_one_a_day=5))
    ids = [one.message_id for one in texts]
    for _ in range(2):
        assert await budget.spend(texts[:3], ids[:3]) == {}
    answers = await asyncio.gather(*(budget.spend([one], ids) for one in texts[3:]))
    assert sum(len(refused) for refused in answers) == 3
    assert await pool.fetchval("SELECT count(*) FROM text_spending") == 5
    other = queued(20, medium="sms", recipient="+18165550177")
    assert await budget.spend([other], [other.message_id]) == {}
    async with pool.acquire() as conn:
        tomorrow = datetime.now(UTC) + timedelta(days=1, seconds=1)
        assert await spend(conn, texts, Caps(to_one_a_day=9), tomorrow, first=ids) == {}
        assert await housekeeping.sweep(conn, tomorrow + timedelta(days=32)) == 9


# ── lost on the way ─────────────────────────────────────────────────────────────────────────────

LATER = NOON + timedelta(minutes=10)


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
