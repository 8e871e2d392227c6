"""What the router could not settle about a place is asked once, and the answer settles it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from bus.contracts import (
    CaseAmended,
    CaseIncomplete,
    ComplaintReceived,
    Contact,
    Follows,
    NoticeQueued,
    PlaceChoice,
    Referral,
)
from store import asking, cases, places
from store.follow_settings import FollowSettings
from store.places import CasePlace, answered
from tests.support.facts import NOON, REPORTER, complaint
from tests.support.store import file, hear, kinds, routed, to_tell

RULES = FollowSettings()
PHONE, OURS = "+18165550142", "+18165550100"
LATER = NOON + timedelta(seconds=30)
CHOICES = (
    PlaceChoice(name="100 N Main St", lat=39.1, lon=-94.4),
    PlaceChoice(name="100 S Main St"),
)


def text(number: int, words: str, *, after: float = 0) -> ComplaintReceived:
    return complaint(
        number,
        "sms",
        text=words,
        occurred_at=NOON + timedelta(seconds=after),
        address=None,
        lat=None,
        lon=None,
        place_source=None,
        reporter=Contact(phone=PHONE, texts=True),
        follows=Follows(conversation=OURS),
        attachments=(),
    )


def placed(told: ComplaintReceived, place: str, **other: object) -> Any:
    """Routed, with what became of its place and no point."""
    return routed(told, place=place, district=None, **other)


async def ask(pool: asyncpg.Pool, now: Any = LATER) -> int:
    async with pool.acquire() as conn:
        return await places.ask_which_place(conn, RULES, now)


async def told_of(pool: asyncpg.Pool, kind: type[Any]) -> list[Any]:
    async with pool.acquire() as conn:
        return [fact for fact in await to_tell(conn) if isinstance(fact, kind)]


async def case_of(pool: asyncpg.Pool, told: ComplaintReceived) -> cases.Case:
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        return case


async def place_of(pool: asyncpg.Pool, told: ComplaintReceived) -> CasePlace:
    async with pool.acquire() as conn:
        return await places.of_case(conn, told.message_id)


async def test_what_became_of_the_place_is_kept(pool: asyncpg.Pool) -> None:
    first = text(1, "trash at 100 Main St")
    said = placed(first, "ambiguous", address="100 Main St", place_choices=CHOICES)
    await file(pool, first, said)
    await file(pool, said)

    assert await place_of(pool, first) == CasePlace("ambiguous", "100 Main St", CHOICES, None)


async def test_who_else_is_concerned_is_kept_and_told(pool: asyncpg.Pool) -> None:
    first = text(1, "hole on I-70")
    modot = Referral(agency="MoDOT", how="road", because="I-70", certain=True)
    await file(pool, first, placed(first, "refer", address="I-70", referral=modot))

    assert (await place_of(pool, first)).referral == modot
    case = await case_of(pool, first)
    assert cases.summary(case).refer_to == "MoDOT"
    async with pool.acquire() as conn:
        assert await places.public_referral(conn, case.reference) == modot
        assert await places.public_referral(conn, "000-000-00") is None
    assert await ask(pool) == 0  # it is not ours: where exactly is for them to ask

    moved = placed(first, "found", message_id=UUID(int=5), amended=True)
    await file(pool, moved)
    assert (await place_of(pool, first)).referral is None


@pytest.mark.parametrize("outcome", ["vague", "ambiguous", "outside"])
async def test_what_is_open_is_asked_once(pool: asyncpg.Pool, outcome: str) -> None:
    first = text(1, "trash at 100 Main St")
    said = placed(first, outcome, address="100 Main St", place_choices=CHOICES)
    await file(pool, first, said)

    assert await ask(pool, NOON + timedelta(seconds=10)) == 0
    assert await ask(pool) == 1
    assert await ask(pool) == 0
    [question] = await told_of(pool, CaseIncomplete)
    assert (question.missing, question.why, question.given) == ("place", outcome, "100 Main St")
    assert question.choices == ("100 N Main St", "100 S Main St")
    async with pool.acquire() as conn:
        assert (await kinds(conn, first.message_id))[-1] == "asked"
        assert await asking.ask_for_places(conn, RULES, LATER) == 0


@pytest.mark.parametrize("outcome", ["found", "named", "none", "refer"])
async def test_what_is_settled_is_not_asked(pool: asyncpg.Pool, outcome: str) -> None:
    first = text(1, "trash at 100 Main St")
    await file(pool, first, placed(first, outcome, address="100 Main St"))

    assert await ask(pool) == 0


async def test_the_form_and_the_telephone_asked_there_and_then(pool: asyncpg.Pool) -> None:
    for channel in ("web", "phone"):
        told = complaint(1, channel, address="Main St", lat=None, lon=None)
        await file(pool, told, placed(told, "vague", address="Main St"))

    assert await ask(pool) == 0


async def test_the_answer_completes_the_street(pool: asyncpg.Pool) -> None:
    first, answer = text(1, "big hole on Noland"), text(2, "corner of 35th", after=3_600)
    await file(pool, first, placed(first, "vague", address="Noland"))
    await ask(pool)
    await file(pool, answer)
    await file(pool, answer)

    case = await case_of(pool, first)
    assert (case.address, case.place_source) == ("Noland corner of 35th", "address")
    assert case.text == "big hole on Noland\ncorner of 35th"
    [again] = await told_of(pool, CaseAmended)
    assert again.case.address == "Noland corner of 35th"


async def test_a_number_chooses(pool: asyncpg.Pool) -> None:
    first, answer = text(1, "trash at 100 Main St"), text(2, "2.", after=3_600)
    said = placed(first, "ambiguous", address="100 Main St", place_choices=CHOICES)
    await file(pool, first, said)
    await ask(pool)
    await file(pool, answer)

    assert (await case_of(pool, first)).address == "100 S Main St"


async def test_only_the_first_answer_is_one(pool: asyncpg.Pool) -> None:
    first, answer = text(1, "big hole on Noland"), text(2, "by the bank", after=3_600)
    thanks = text(3, "thank you so much", after=3_700)
    await file(pool, first, placed(first, "vague", address="Noland"))
    await ask(pool)
    await file(pool, answer)
    again = placed(
        first, "vague", message_id=UUID(int=6), amended=True, address="Noland by the bank"
    )
    await file(pool, again, thanks)

    assert (await case_of(pool, first)).address == "Noland by the bank"
    assert await ask(pool, LATER + timedelta(days=1)) == 0


async def test_who_wrote_a_mail_is_asked_and_answers_by_mail(pool: asyncpg.Pool) -> None:
    first = complaint(1, "email", text="hole on Noland", address=None, lat=None, lon=None,
                      place_source=None, attachments=())  # fmt: skip
    await file(pool, first, placed(first, "vague", address="Noland"))
    assert await ask(pool) == 1
    notice = NoticeQueued(
        message_id=UUID(int=77),
        occurred_at=NOON,
        case_id=first.message_id,
        reference=first.reference,
        notice="question_place",
        medium="email",
        recipient=REPORTER.email or "",
        text="Where is it?",
    )
    await hear(pool, "store_notice", notice)
    answer = complaint(
        2, "email", text="at 35th\n\n> Where is it?", address=None, lat=None, lon=None,
        place_source=None, attachments=(),
        follows=Follows(notices=(UUID(int=77),), message_id="a@b", fresh="at 35th"),
    )  # fmt: skip
    await file(pool, answer)

    case = await case_of(pool, first)
    assert case.address == "Noland at 35th"
    assert len(await told_of(pool, CaseAmended)) == 1


async def test_what_a_geocoder_did_not_find_in_time_is_looked_at_again(pool: asyncpg.Pool) -> None:
    first = text(1, "trash at 4010 S Bolger Rd")
    looks, now = 0, NOON + timedelta(days=30)
    for number in range(6):
        said = placed(first, "named", address="4010 S Bolger Rd", place_later=True,
                      message_id=UUID(int=100 + number), amended=number > 0)  # fmt: skip
        await file(pool, first, said)
        async with pool.acquire() as conn, conn.transaction():
            assert await places.due_looks(conn, NOON) == []
            due = await places.due_looks(conn, now)
            looks += len(due)
            assert await places.due_looks(conn, now) == []

    assert looks == 3


@pytest.mark.parametrize(
    ("outcome", "given", "words", "place"),
    [
        ("vague", "Maple Ave", "1109", "1109 Maple Ave"),
        ("vague", "Noland", "near 35th", "Noland near 35th"),
        ("ambiguous", "100 Main St", "1", "100 N Main St"),
        ("ambiguous", "100 Main St", "#2", "100 S Main St"),
        ("ambiguous", "100 Main St", "the north one", "100 N Main St"),
        ("ambiguous", "100 Main St", "North Main", "100 N Main St"),
        ("ambiguous", "100 Main St", "la del sur", "100 S Main St"),
        ("ambiguous", "100 Main St", "3", "3"),
        ("ambiguous", "100 Main St", "yes", "yes"),
        ("ambiguous", "100 Main St", "neither, 1420 S Hardy", "neither, 1420 S Hardy"),
        ("outside", "1200 Main, Kansas City", "1200 S Main St", "1200 S Main St"),
        (None, None, " 1109 S Arlington ", "1109 S Arlington"),
    ],
)
def test_an_answer_is_read_with_the_question(
    outcome: str | None, given: str | None, words: str, place: str
) -> None:
    assert answered(words, CasePlace(outcome, given, CHOICES, None)) == place


def test_yes_means_the_only_one() -> None:
    place = CasePlace("ambiguous", "1111 N Arlington", CHOICES[:1], None)

    assert answered("Yes", place) == answered("sí", place) == "100 N Main St"
