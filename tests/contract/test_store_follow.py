"""What belongs together comes together: replies, further texts, photos; and no stranger's."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg
import pytest

from bus.contracts import (
    CaseAmended,
    CaseClosed,
    CaseFollowed,
    CaseIncomplete,
    CaseLocated,
    CaseOpened,
    CaseReopened,
    ChoiceAsked,
    ComplaintReceived,
    ComplaintRouted,
    Contact,
    ContactMark,
    Fact,
    FileRef,
    Follows,
    MessageSetAside,
    NoticeDelivered,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
)
from bus.errors import NotYet
from bus.identity import complaint_id
from store import asking, cases, changes, deliveries, follow, ledger
from store.contacts import may_answer
from store.follow_settings import FollowSettings
from store.model import Outcome, Status
from tests.support.facts import NOON, PHOTO, REPORTER, complaint
from tests.support.store import file, hear, kinds, put_staff, routed, to_tell

F = TypeVar("F", bound=Fact)

RULES = FollowSettings()
PHONE, OURS = "+18165550142", "+18165550100"
NOTICE = UUID(int=77)


def text(number: int, words: str, *, after: float = 0, **other: object) -> ComplaintReceived:
    """A text message, so many seconds after noon."""
    values: dict[str, object] = {
        "text": words,
        "occurred_at": NOON + timedelta(seconds=after),
        "address": None,
        "lat": None,
        "lon": None,
        "place_source": None,
        "reporter": Contact(phone=PHONE, texts=True),
        "follows": Follows(conversation=OURS),
        "attachments": (),
    }
    return complaint(number, "sms", **(values | other))


def mail(number: int, words: str = "It is deeper now.", **hints: object) -> ComplaintReceived:
    hints = {"message_id": f"mail-{number}@resident.example", "fresh": words} | hints
    return complaint(
        number, "email", text=words, follows=Follows.model_validate(hints), attachments=()
    )


async def answered_notice(pool: asyncpg.Pool, case: ComplaintReceived) -> None:
    """We wrote to the resident."""
    assert REPORTER.email
    notice = NoticeQueued(
        message_id=NOTICE,
        occurred_at=NOON,
        case_id=case.message_id,
        reference=case.reference,
        notice="receipt",
        medium="email",
        recipient=REPORTER.email.title(),
        text="Thank you.",
    )
    await hear(pool, "store_notice", notice)


async def told_of(pool: asyncpg.Pool, kind: type[F]) -> list[F]:
    async with pool.acquire() as conn:
        return [fact for fact in await to_tell(conn) if isinstance(fact, kind)]


async def case_of(pool: asyncpg.Pool, told: ComplaintReceived) -> cases.Case:
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, told.message_id)
    assert case is not None
    return case


async def sums(pool: asyncpg.Pool) -> str:
    async with pool.acquire() as conn:
        return str(await ledger.equation(conn))


async def notes_of(pool: asyncpg.Pool, told: ComplaintReceived) -> Sequence[cases.Note]:
    async with pool.acquire() as conn:
        return await cases.notes(conn, told.message_id, public_only=False)


async def close(pool: asyncpg.Pool, told: ComplaintReceived, *, days_ago: int = 0) -> None:
    async with pool.acquire() as conn:
        await put_staff(conn)
        await changes.close(
            conn, told.message_id, outcome=Outcome.FIXED, words="Filled.", by="pat.moore"
        )
        await conn.execute(
            "UPDATE cases SET closed_at = closed_at - $1::interval", timedelta(days=days_ago)
        )


# ── replies by mail ─────────────────────────────────────────────────────────────────────────────


async def test_a_reply_to_our_mail_is_a_note_on_its_case(pool: asyncpg.Pool) -> None:
    told = complaint()
    reply = mail(2, notices=(NOTICE,))
    await file(pool, told, routed(told))
    await answered_notice(pool, told)
    await file(pool, reply, routed(reply))
    await file(pool, reply, reply)
    [note] = await notes_of(pool, told)
    assert (note.text, note.from_outside, note.verified, note.public) == (
        "It is deeper now.", True, True, False,
    )  # fmt: skip
    assert note.original == reply.original
    [fact] = await told_of(pool, CaseFollowed)
    assert (fact.case.case_id, fact.verified) == (told.message_id, True)
    assert len(await told_of(pool, CaseOpened)) == 1
    assert await sums(pool) == "received 2 = filed 2 + quarantined 0 + ignored 0 + in flight 0"


async def test_a_strangers_reply_is_kept_as_unverified(pool: asyncpg.Pool) -> None:
    told = complaint()
    reply = mail(2, notices=(NOTICE,)).model_copy(
        update={"reporter": Contact(name="Somebody", email="else@where.example")}
    )
    await file(pool, told, routed(told))
    await answered_notice(pool, told)
    await close(pool, told)
    await file(pool, reply)
    [note] = await notes_of(pool, told)
    assert (note.verified, note.sender) == (False, "Somebody else@where.example")
    assert (await case_of(pool, told)).status is Status.CLOSED
    assert not await told_of(pool, CaseReopened)


async def test_a_colleagues_answer_is_their_note_for_staff(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told, routed(told))
    async with pool.acquire() as conn:
        await put_staff(conn)
    notice = NoticeQueued(
        message_id=NOTICE,
        occurred_at=NOON,
        case_id=told.message_id,
        reference=told.reference,
        notice="assignment",
        medium="email",
        recipient="pat.moore@independence.example",
        text="It lies on your desk.",
    )
    await hear(pool, "store_notice", notice)
    reply = mail(2, "I go there today.", notices=(NOTICE,)).model_copy(
        update={"reporter": Contact(email="Pat.Moore@independence.example")}
    )
    await file(pool, reply)
    await file(pool, reply)
    [note] = await notes_of(pool, told)
    assert (note.author, note.text, note.public, note.from_outside) == (
        "pat.moore", "I go there today.", False, False,
    )  # fmt: skip
    assert not await told_of(pool, CaseFollowed)


PAT = Contact(name="Pat Moore", email="Pat.Moore@independence.example")
ANA = Contact(name="Ana Ruiz", email="ana@resident.example")


def forward(number: int, *writers: Contact, **hints: object) -> ComplaintReceived:
    """Pat's mail, which says that these wrote it."""
    told = mail(number, "FYI. A tree fell on 5th.", **hints)
    return told.model_copy(update={"reporter": PAT, "forwards": writers, "answer": False})


async def test_what_a_colleague_forwards_is_the_residents_report(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await put_staff(conn)
    dana = Contact(name="Dana", email="dana.ruiz@independence.example")
    told = forward(1, dana, ANA)
    await file(pool, told)
    await file(pool, told)
    case = await case_of(pool, told)
    assert (case.reporter.name, case.reporter.email) == ("Ana Ruiz", "ana@resident.example")
    assert (case.entered_by, case.text) == ("pat.moore", "FYI. A tree fell on 5th.")
    [opened] = await told_of(pool, CaseOpened)
    assert (opened.case.reporter.email, opened.answer) == ("ana@resident.example", True)


@pytest.mark.parametrize("why", ["no colleague", "not proven", "no writer", "only colleagues"])
async def test_what_is_forwarded_is_believed_of_colleagues_only(
    pool: asyncpg.Pool, why: str
) -> None:
    if why != "no colleague":
        async with pool.acquire() as conn:
            await put_staff(conn)
    writers = {"no writer": (), "only colleagues": (PAT,)}.get(why, (ANA,))
    told = forward(1, *writers, sender_proven=why != "not proven")
    await file(pool, told)
    case = await case_of(pool, told)
    assert (case.reporter.email, case.entered_by) == (PAT.email, None)


async def test_a_forward_with_our_proof_joins_its_case_as_the_colleagues_word(
    pool: asyncpg.Pool,
) -> None:
    told = complaint()
    await file(pool, told, routed(told))
    async with pool.acquire() as conn:
        await put_staff(conn)
    await answered_notice(pool, told)
    await file(pool, forward(2, REPORTER, notices=(NOTICE,)))
    [note] = await notes_of(pool, told)
    assert (note.verified, note.sender) == (False, f"Pat Moore {PAT.email}")


async def test_a_reply_to_ones_own_mail_finds_its_case(pool: asyncpg.Pool) -> None:
    first = mail(1, "A tree fell")
    second = mail(2, message_ids=("unknown@resident.example", "mail-1@resident.example"))
    third = mail(3, message_ids=("mail-2@resident.example",))
    await file(pool, first)
    await file(pool, second, third)
    assert [note.text for note in await notes_of(pool, first)] == ["It is deeper now."] * 2


async def test_what_we_write_to_a_resident_names_their_first_mail(pool: asyncpg.Pool) -> None:
    first = mail(1, "A tree fell")
    await file(pool, first, routed(first), mail(2, message_ids=("mail-1@resident.example",)))
    await close(pool, first)
    async with pool.acquire() as conn:
        await put_staff(conn)
    passed_on = forward(3, ANA)
    await file(pool, passed_on)
    [opened, by_colleague] = await told_of(pool, CaseOpened)
    [closed] = await told_of(pool, CaseClosed)
    assert opened.case.mail_id == closed.case.mail_id == "mail-1@resident.example"
    assert by_colleague.case.mail_id is None, "Ana never saw that mail"
    # Yet what follows the colleague's mail, or the resident's second one, finds its case.
    await file(
        pool,
        mail(4, "And a wire.", message_ids=("mail-3@resident.example",)),
        mail(5, "And a car.", message_ids=("mail-2@resident.example",)),
    )
    assert [note.text for note in await notes_of(pool, passed_on)] == ["And a wire."]
    assert [note.text for note in await notes_of(pool, first)] == [
        "It is deeper now.",
        "And a car.",
    ]


async def test_who_saw_a_reporters_mail_cannot_write_in_their_name(pool: asyncpg.Pool) -> None:
    first = mail(1, "A tree fell")
    forged = mail(2, message_ids=("mail-1@resident.example",), sender_proven=False)
    await file(pool, first, routed(first))
    await close(pool, first)
    await file(pool, forged)
    await file(pool, forged)
    [note] = await notes_of(pool, first)
    assert (note.verified, note.sender) == (False, "Rosa Lara rosa@resident.example")
    assert (await case_of(pool, first)).status is Status.CLOSED
    assert not await told_of(pool, CaseReopened)
    [fact] = await told_of(pool, CaseFollowed)
    assert not fact.verified


async def test_a_report_whose_sender_is_not_proven_is_a_report(pool: asyncpg.Pool) -> None:
    mark = ContactMark(medium="email", address=REPORTER.email or "", state="bad", reason="5.1.1")
    told = mail(1, "A tree fell", sender_proven=False)
    await file(pool, aside(1, mark=mark), told)
    case = await case_of(pool, told)
    assert case.text == "A tree fell"
    assert not case.reporter.email_works, "nobody knows whether the address is alive"
    assert [fact.answer for fact in await told_of(pool, CaseOpened)] == [True]


async def test_our_signature_proves_an_answer_whoever_it_seems_to_come_from(
    pool: asyncpg.Pool,
) -> None:
    told = complaint()
    await file(pool, told, routed(told))
    await answered_notice(pool, told)
    await file(pool, mail(2, notices=(NOTICE,), sender_proven=False))
    [note] = await notes_of(pool, told)
    assert note.verified


async def test_a_reference_in_the_subject_alone_opens_a_case_of_its_own(
    pool: asyncpg.Pool,
) -> None:
    told = complaint()
    reply = mail(2, mentions=told.reference, message_ids=("forged@city.example",))
    await file(pool, told, reply)
    assert not await notes_of(pool, told)
    assert (await case_of(pool, reply)).text == "It is deeper now."


@pytest.mark.parametrize(("days_ago", "reopened"), [(2, True), (30, False)])
async def test_a_reply_to_a_closed_case_takes_it_up_or_opens_a_linked_one(
    pool: asyncpg.Pool, days_ago: int, reopened: bool
) -> None:
    told = complaint()
    reply = mail(2, notices=(NOTICE,))
    await file(pool, told, routed(told))
    await answered_notice(pool, told)
    await close(pool, told, days_ago=days_ago)
    await file(pool, reply)
    await file(pool, reply)
    case = await case_of(pool, told)
    if reopened:
        assert case.status is Status.ASSIGNED
        [fact] = await told_of(pool, CaseReopened)
        assert (fact.reopened_by, fact.reason) == ("", "It is deeper now.")
        assert len(await notes_of(pool, told)) == 1
    else:
        assert case.status is Status.CLOSED
        assert (await case_of(pool, reply)).goes_on_from == told.message_id
        assert "goes_on" in [event.kind for event in await history(pool, told)]
    assert await sums(pool) == "received 2 = filed 2 + quarantined 0 + ignored 0 + in flight 0"


async def history(pool: asyncpg.Pool, told: ComplaintReceived) -> Sequence[cases.Event]:
    async with pool.acquire() as conn:
        return await cases.history(conn, told.message_id)


# ── text messages ───────────────────────────────────────────────────────────────────────────────


async def test_a_long_text_that_the_phone_has_split_is_one_report(pool: asyncpg.Pool) -> None:
    first, second = text(1, "Big hole in the road"), text(2, "at 23rd and Noland", after=8)
    await file(pool, first, second)
    await file(pool, second)
    case = await case_of(pool, first)
    assert case.text == "Big hole in the road\nat 23rd and Noland"
    assert len(await told_of(pool, CaseOpened)) == 1
    [fact] = await told_of(pool, CaseAmended)
    assert fact.case.text == case.text


async def test_the_place_is_asked_for_once_and_joins_the_report(pool: asyncpg.Pool) -> None:
    first = text(1, "Big hole in the road")
    await file(pool, first, routed(first, department=None, assignee=None, district=None))
    async with pool.acquire() as conn:
        assert await asking.ask_for_places(conn, RULES, NOON + timedelta(seconds=10)) == 0
        assert await asking.ask_for_places(conn, RULES, NOON + timedelta(seconds=30)) == 1
        assert await asking.ask_for_places(conn, RULES, NOON + timedelta(seconds=60)) == 0
    [question] = await told_of(pool, CaseIncomplete)
    assert (question.case.case_id, question.missing) == (first.message_id, "place")
    assert question.case.reporter.texts
    answer = text(2, "11401 E 23rd St", after=4 * 3600)
    await file(pool, answer, routed(answer))
    case = await case_of(pool, first)
    assert (case.address, case.status) == ("11401 E 23rd St", Status.TRIAGE)
    assert len(await told_of(pool, CaseAmended)) == 1
    again = routed(first, message_id=UUID(int=9), amended=True, address="11401 E 23rd St")
    await file(pool, again)
    assert (await case_of(pool, first)).status is Status.ASSIGNED


async def asked_for_its_place(pool: asyncpg.Pool, **other: object) -> ComplaintReceived:
    """A text that nobody could place, and its sender was asked."""
    first = text(1, "Big hole in the road", **other)
    await file(pool, first, routed(first, department=None, assignee=None, district=None))
    async with pool.acquire() as conn:
        assert await asking.ask_for_places(conn, RULES, NOON + timedelta(seconds=30)) == 1
    return first


def looked_again(first: ComplaintReceived, number: int = 9) -> ComplaintRouted:
    return routed(
        first, message_id=UUID(int=number), amended=True, address="11401 E 23rd St", lat=39.07,
        lon=-94.44,
    )  # fmt: skip


async def test_who_answers_hears_what_was_understood_once(pool: asyncpg.Pool) -> None:
    first = await asked_for_its_place(pool, language="es")
    await file(pool, text(2, "11401 e 23rd", after=60))
    assert not await told_of(pool, CaseLocated), "the router has not looked yet"
    for number in (9, 9, 10):
        await file(pool, looked_again(first, number))
    [thanks] = await told_of(pool, CaseLocated)
    assert (thanks.answer, thanks.case.language) == (True, "es")
    assert (thanks.case.address, thanks.case.department) == (
        "11401 E 23rd St", "MS-STREET MAINTENANCE",
    )  # fmt: skip


async def test_who_answers_hears_of_it_even_if_nobody_could_look(pool: asyncpg.Pool) -> None:
    first = await asked_for_its_place(pool)
    await file(pool, photos_of(first, lat=39.09, lon=-94.41, place_source="photo"))
    now = datetime.now(UTC)
    async with pool.acquire() as conn:
        assert await asking.thank_for_places(conn, now + timedelta(seconds=90)) == 0
        assert await asking.thank_for_places(conn, now + timedelta(seconds=150)) == 1
        assert await asking.thank_for_places(conn, now + timedelta(seconds=300)) == 0
    await file(pool, looked_again(first))
    [thanks] = await told_of(pool, CaseLocated)
    assert (thanks.case.lat, thanks.case.department) == (39.09, None)


async def test_who_was_not_asked_is_not_thanked_and_a_machine_only_a_few_times(
    pool: asyncpg.Pool,
) -> None:
    first = text(1, "Big hole in the road")
    await file(pool, first, text(2, "11401 E 23rd St", after=8), looked_again(first))
    assert not await told_of(pool, CaseLocated)
    async with pool.acquire() as conn:
        for _ in range(10):
            await may_answer(conn, "sms", PHONE, datetime.now(UTC))
        assert await asking.ask_for_places(conn, RULES, NOON + timedelta(seconds=90)) == 0
    second = await asked_for_its_place(
        pool, external_id="another", message_id=complaint_id("sms", "another"),
        reference="0AB-CDE-FG", follows=Follows(conversation="+18165550101"),
    )  # fmt: skip
    place = text(3, "5th and Main", after=60).model_copy(update={"follows": second.follows})
    await file(pool, place, looked_again(second))
    assert [fact.answer for fact in await told_of(pool, CaseLocated)] == [False]


async def test_a_case_with_a_place_is_not_asked_for_it(pool: asyncpg.Pool) -> None:
    first = text(1, "Big hole at 23rd and Noland")
    await file(pool, first, routed(first, address="23rd and Noland"))
    async with pool.acquire() as conn:
        assert await asking.ask_for_places(conn, RULES, NOON + timedelta(hours=1)) == 0


async def test_soon_after_a_text_is_a_note_and_later_its_sender_is_asked(
    pool: asyncpg.Pool,
) -> None:
    first = text(1, "Big hole at 23rd")
    soon = text(2, "also broken glass", after=600)
    later = text(3, "Dog barking all night", after=86_400)
    await file(pool, first, routed(first, address="23rd"), soon)
    assert [note.text for note in await notes_of(pool, first)] == ["also broken glass"]
    await file(pool, later, routed(later))
    await file(pool, later)
    [question] = await told_of(pool, ChoiceAsked)
    assert [choice.case_id for choice in question.choices] == [first.message_id]
    assert await sums(pool) == "received 3 = filed 2 + quarantined 0 + ignored 0 + in flight 1"


@pytest.mark.parametrize("answer", ["1", "2"])
async def test_the_answer_says_where_it_belongs(pool: asyncpg.Pool, answer: str) -> None:
    first = text(1, "Big hole at 23rd")
    later = text(2, "Dog barking all night", after=86_400)
    more = text(3, "at 5th street", after=86_420)
    chose = text(4, f" {answer}. ", after=86_500)
    await file(pool, first, routed(first, address="23rd"), later, more)
    assert len(await told_of(pool, ChoiceAsked)) == 1
    await file(pool, chose, routed(chose))
    await file(pool, chose, later, more, routed(later))
    notes = [note.text for note in await notes_of(pool, first)]
    if answer == "1":
        assert notes == ["Dog barking all night", "at 5th street"]
    else:
        assert notes == []
        assert (await case_of(pool, later)).text == "Dog barking all night\nat 5th street"
        assert len(await told_of(pool, CaseAmended)) == 2  # what waited was never routed
    assert await sums(pool) == "received 4 = filed 4 + quarantined 0 + ignored 0 + in flight 0"


async def test_after_a_quiet_day_a_report_is_filed_with_what_there_is(pool: asyncpg.Pool) -> None:
    first = text(1, "Big hole at 23rd")
    later = text(2, "Dog barking all night", after=86_400)
    await file(pool, first, routed(first, address="23rd"), later)
    now = datetime.now(UTC)
    async with pool.acquire() as conn:
        assert await follow.file_unanswered(conn, RULES, now + timedelta(hours=23)) == 0
        assert await follow.file_unanswered(conn, RULES, now + timedelta(hours=25)) == 1
        assert await follow.file_unanswered(conn, RULES, now + timedelta(hours=26)) == 0
    assert (await case_of(pool, later)).text == "Dog barking all night"
    assert await sums(pool) == "received 2 = filed 2 + quarantined 0 + ignored 0 + in flight 0"


def photos_of(first: ComplaintReceived, words: str = "", **other: object) -> ComplaintReceived:
    """What the channel tells once it has fetched the photos of a text."""
    external_id = f"{first.external_id}/media"
    values = {
        "message_id": complaint_id("sms", external_id),
        "external_id": external_id,
        "follows": Follows(conversation=OURS, came_with=first.message_id),
        "attachments": (PHOTO,),
    }
    return text(2, words, after=700_000).model_copy(update=values | other)


@pytest.mark.parametrize("files", [(), (PHOTO,)], ids=["nothing", "a photo"])
async def test_that_photos_are_missing_is_our_word_and_not_the_residents(
    pool: asyncpg.Pool, files: tuple[FileRef, ...]
) -> None:
    first = text(1, "Graffiti at 23rd")
    photos = photos_of(first, attachments=files, remark="1 of 2 could not be brought in.")
    await file(pool, first, routed(first, address="23rd"), photos)
    await file(pool, photos)
    assert await notes_of(pool, first) == []
    assert (await case_of(pool, first)).text == "Graffiti at 23rd"
    assert len(await told_of(pool, CaseFollowed)) == len(files)
    missing = [one for one in await history(pool, first) if one.kind == "media_missing"]
    assert [one.data["remark"] for one in missing] == ["1 of 2 could not be brought in."]


async def test_missing_photos_take_no_closed_case_up_again(pool: asyncpg.Pool) -> None:
    first = text(1, "Graffiti at 23rd")
    await file(pool, first, routed(first, address="23rd"))
    await close(pool, first)
    await file(pool, photos_of(first, attachments=(), remark="It could not be brought in."))
    assert (await case_of(pool, first)).status is Status.CLOSED


@pytest.mark.parametrize("told_before_came_with_was_there", [False, True])
async def test_photos_come_to_their_text(
    pool: asyncpg.Pool, told_before_came_with_was_there: bool
) -> None:
    first = text(1, "Graffiti at 23rd")
    photos = photos_of(first)
    if told_before_came_with_was_there:
        photos = photos_of(first, follows=first.follows)
    with pytest.raises(NotYet):
        await file(pool, photos)
    await file(pool, first)
    await file(pool, photos)
    await file(pool, photos)
    assert (await case_of(pool, first)).attachments == (PHOTO,)


async def test_a_photo_that_knows_where_it_was_taken_places_its_report(pool: asyncpg.Pool) -> None:
    first = text(1, "Graffiti")
    photos = photos_of(first, lat=39.09, lon=-94.41, place_source="photo")
    await file(pool, first, photos)
    case = await case_of(pool, first)
    assert (case.text, case.lat, case.place_source) == ("Graffiti", 39.09, "photo")
    assert len(await told_of(pool, CaseAmended)) == 1


async def test_who_texts_a_language_is_answered_in_it(pool: asyncpg.Pool) -> None:
    first = text(1, "Graffiti at 23rd")
    chose = text(2, " Español ", after=30, language="es").model_copy(
        update={"follows": Follows(conversation=OURS, chose_language=True)}
    )
    await file(pool, first, chose, routed(chose))
    await file(pool, chose)
    case = await case_of(pool, first)
    assert (case.language, case.text) == ("es", "Graffiti at 23rd")
    assert await sums(pool) == "received 2 = filed 1 + quarantined 0 + ignored 1 + in flight 0"


async def test_another_phones_text_is_another_report(pool: asyncpg.Pool) -> None:
    first = text(1, "Big hole at 23rd")
    other = text(2, "Dog barking", after=5, reporter=Contact(phone="+18165550199", texts=True))
    await file(pool, first, other)
    assert (await case_of(pool, other)).text == "Dog barking"


async def test_danger_in_a_further_text_reaches_the_case(pool: asyncpg.Pool) -> None:
    first, soon = text(1, "Leaking hydrant"), text(2, "now I smell gas", after=600)
    await file(pool, first, routed(first, address="23rd"))
    await file(pool, soon, routed(soon, emergency=True))
    assert (await case_of(pool, first)).emergency


# ── what opens no case ──────────────────────────────────────────────────────────────────────────


def aside(number: int, **other: object) -> MessageSetAside:
    external_id = f"aside-{number}"
    values: dict[str, object] = {
        "message_id": complaint_id("email", external_id),
        "occurred_at": NOON,
        "channel": "email",
        "external_id": external_id,
        "outcome": "ignored",
        "reason": "an automatic reply",
    }
    return MessageSetAside.model_validate(values | other)


async def test_what_opens_no_case_is_in_the_ledger_and_on_the_case_it_answers(
    pool: asyncpg.Pool,
) -> None:
    told = complaint()
    await file(pool, told)
    await answered_notice(pool, told)
    reply = aside(1, follows={"notices": [NOTICE]})
    await file(pool, reply, aside(2, outcome="quarantined", reason="it cannot be read"))
    await file(pool, reply)
    async with pool.acquire() as conn:
        assert await kinds(conn, told.message_id) == ["opened", "automatic_reply"]
    assert await sums(pool) == "received 3 = filed 1 + quarantined 1 + ignored 1 + in flight 0"


async def test_a_bounce_marks_the_address_until_mail_comes_from_it(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told)
    await answered_notice(pool, told)
    mark = ContactMark(medium="email", address=REPORTER.email or "", state="bad", reason="5.1.1")
    await file(pool, aside(1, reason="a bounce", follows={"notices": [NOTICE]}, mark=mark))
    assert not (await case_of(pool, told)).reporter.email_works
    async with pool.acquire() as conn:
        assert (await kinds(conn, told.message_id))[-1] == "bounced"
        [delivery] = await deliveries.for_case(conn, told.message_id)
        assert (delivery.state, delivery.reason) == ("failed", "came back: 5.1.1")
    await file(pool, mail(3))
    assert (await case_of(pool, told)).reporter.email_works


async def test_three_soft_failures_are_one_bad_address(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told)
    mark = ContactMark(medium="email", address=REPORTER.email or "", state="soft", reason="4.2.2")
    for number, works in ((1, True), (2, True), (3, False)):
        await file(pool, aside(number, mark=mark))
        assert (await case_of(pool, told)).reporter.email_works is works


async def test_who_wants_no_texts_gets_none_until_they_do(pool: asyncpg.Pool) -> None:
    first = text(1, "Graffiti at 23rd")
    await file(pool, first)
    for number, state, texts in ((1, "stopped", False), (2, "bad", False), (3, "works", True)):
        mark = ContactMark(medium="sms", address=PHONE, state=state, reason="they said so")
        await file(pool, aside(number, channel="sms", mark=mark))
        assert (await case_of(pool, first)).reporter.texts is texts


async def test_a_machine_gets_only_a_few_answers(pool: asyncpg.Pool) -> None:
    await file(pool, *(mail(number, f"Report {number}") for number in range(1, 7)))
    quiet = mail(9).model_copy(update={"answer": False, "reporter": Contact(email="q@q.example")})
    await file(pool, quiet)
    answers = [fact.answer for fact in await told_of(pool, CaseOpened)]
    assert answers == [True] * 3 + [False] * 4


# ── how far texts came ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ((NoticeSent, NoticeDelivered), "delivered"),
        ((NoticeDelivered, NoticeSent), "delivered"),
        ((NoticeSent, NoticeFailed), "failed"),
        ((NoticeFailed, NoticeSent), "failed"),
        ((NoticeDelivered, NoticeFailed), "delivered"),
        ((NoticeFailed, NoticeDelivered), "delivered"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_callbacks_may_come_in_any_order(
    pool: asyncpg.Pool, ends: Sequence[type[Fact]], state: str, together: bool
) -> None:
    told = complaint()
    await file(pool, told)
    await answered_notice(pool, told)
    values = {
        "occurred_at": NOON, "notice_id": NOTICE, "case_id": told.message_id,
        "medium": "sms", "sender": "twilio", "reason": "30003",
    }  # fmt: skip
    facts = [
        end.model_validate(values | {"message_id": UUID(int=100 + number)})
        for number, end in enumerate(ends)
    ]
    for batch in [facts] if together else [[fact] for fact in facts]:
        await hear(pool, "store_notice", *batch)
    async with pool.acquire() as conn:
        [delivery] = await deliveries.for_case(conn, told.message_id)
    assert delivery.state == state
