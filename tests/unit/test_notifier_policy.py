"""Who hears of what: facts in, decisions out."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from bus.contracts import (
    CaseAlarmed,
    CaseAmended,
    CaseAssigned,
    CaseChoice,
    CaseClosed,
    CaseFact,
    CaseFollowed,
    CaseIncomplete,
    CaseLocated,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseSummary,
    ChoiceAsked,
    Contact,
    Person,
)
from notifier import policy
from notifier.policy import Decision, Notice, Withheld, decide

MARIA = Contact(name="Maria Lopez", email="maria@example.org", phone="+18165550123")
SAM = Person(id="sam", name="Sam Hill", email="sam@city.example.org")
PHONE = "+18165550123"
TEXTER = Contact(phone=PHONE, texts=True)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def case(**changes: object) -> CaseSummary:
    values: dict[str, object] = {
        "case_id": uuid4(),
        "reference": "7KQ-2MX-94",
        "channel": "web",
        "opened_at": NOW,
        "text": "A deep pothole",
        "reporter": MARIA,
        "assignee": SAM,
    }
    return CaseSummary.model_validate(values | changes)


def told(
    contract: type[CaseFact], about: CaseSummary, staff_language: str = "en", **more: object
) -> tuple[Decision, ...]:
    fact = contract.model_validate(
        {"message_id": uuid4(), "occurred_at": NOW, "case": about} | more
    )
    return decide(fact, languages=("en", "es"), staff_language=staff_language)


def closed(about: CaseSummary) -> tuple[Decision, ...]:
    return told(CaseClosed, about, outcome="fixed", words="Filled.", closed_by="sam")


def test_a_resident_gets_a_receipt_in_the_language_of_the_report() -> None:
    assert told(CaseOpened, case(language="es")) == (
        Notice("receipt", "email", "maria@example.org", "Maria Lopez", "es"),
    )


def test_a_language_that_we_do_not_write_falls_back_to_english() -> None:
    (notice,) = told(CaseOpened, case(language="vi"))
    assert isinstance(notice, Notice)
    assert notice.language == "en"


def test_no_email_means_no_receipt_and_says_why() -> None:
    assert told(CaseOpened, case(reporter=Contact())) == (Withheld("receipt", policy.NO_EMAIL),)
    assert told(CaseOpened, case(reporter=Contact(email=" "))) == (
        Withheld("receipt", policy.NO_EMAIL),
    )
    assert told(CaseOpened, case(reporter=Contact(phone="+18165550123"))) == (
        Withheld("receipt", policy.ONLY_PHONE),
    )


def test_the_assigned_person_is_told_to_start() -> None:
    assert told(CaseAssigned, case(), staff_language="es") == (
        Notice("assignment", "email", "sam@city.example.org", "Sam Hill", "es"),
    )


def test_a_case_without_a_person_tells_nobody_and_says_why() -> None:
    assert told(CaseAssigned, case(assignee=None)) == (Withheld("assignment", policy.NO_PERSON),)
    nobody = SAM.model_copy(update={"email": ""})
    assert told(CaseAssigned, case(assignee=nobody)) == (
        Withheld("assignment", policy.NO_STAFF_EMAIL),
    )


def test_closing_tells_the_resident_and_the_staff_member_even_if_they_closed_it() -> None:
    assert closed(case()) == (
        Notice("closure_resident", "email", "maria@example.org", "Maria Lopez", "en"),
        Notice("closure_staff", "email", "sam@city.example.org", "Sam Hill", "en"),
    )


def test_one_address_does_not_hear_of_the_same_closing_twice() -> None:
    resident, staff = closed(case(reporter=Contact(email="Sam@City.example.org")))
    assert isinstance(resident, Notice)
    assert staff == Withheld("closure_staff", policy.SAME_ADDRESS)


def test_an_anonymous_closing_still_tells_the_staff() -> None:
    resident, staff = closed(case(reporter=Contact()))
    assert resident == Withheld("closure_resident", policy.NO_EMAIL)
    assert isinstance(staff, Notice)


def test_only_public_notes_leave_the_house() -> None:
    (notice,) = told(CaseNoted, case(), text="We come on Monday.", public=True, author="Sam Hill")
    assert isinstance(notice, Notice)
    assert (notice.notice, notice.recipient) == ("update", "maria@example.org")
    assert told(CaseNoted, case(), text="Beware of the dog.", public=False, author="Sam") == ()


def test_a_reopened_case_calls_its_person_back() -> None:
    (notice,) = told(CaseReopened, case(), reason="It is back.", reopened_by="lee")
    assert isinstance(notice, Notice)
    assert (notice.notice, notice.recipient) == ("reopened", "sam@city.example.org")


def test_who_writes_texts_and_left_no_email_gets_texts() -> None:
    assert told(CaseOpened, case(channel="sms", reporter=TEXTER, language="es")) == (
        Notice("receipt", "sms", PHONE, None, "es"),
    )
    assert told(CaseOpened, case(reporter=TEXTER)) == (Notice("receipt", "sms", PHONE, None, "en"),)


@pytest.mark.parametrize(
    ("channel", "changes", "medium"),
    [
        ("web", {"texts": True}, "email"),
        ("email", {"texts": True}, "email"),
        ("sms", {"texts": True}, "sms"),
        ("sms", {"texts": False}, "email"),
        ("email", {"texts": True, "email_works": False}, "sms"),
        ("sms", {"texts": True, "phone": "nobody"}, "email"),
    ],
)
def test_a_resident_is_told_the_way_they_came_and_else_the_way_that_works(
    channel: str, changes: dict[str, object], medium: str
) -> None:
    who = MARIA.model_copy(update=changes)
    facts: list[tuple[type[CaseFact], dict[str, Any]]] = [
        (CaseOpened, {}),
        (CaseIncomplete, {"missing": "place"}),
        (CaseNoted, {"text": "Monday.", "public": True, "author": "Sam"}),
    ]
    for contract, more in facts:
        (notice,) = told(contract, case(channel=channel, reporter=who), **more)
        assert isinstance(notice, Notice)
        assert notice.medium == medium
        assert notice.recipient == ("maria@example.org" if medium == "email" else PHONE)


@pytest.mark.parametrize(
    ("channel", "who", "reason"),
    [
        ("web", Contact(), policy.NO_EMAIL),
        ("web", Contact(phone=PHONE), policy.ONLY_PHONE),
        ("sms", Contact(phone=PHONE), policy.NO_MORE_TEXTS),
        ("web", Contact(email="a@example.org", email_works=False), policy.MAIL_COMES_BACK),
        (
            "sms",
            Contact(email="a@example.org", email_works=False, phone=PHONE),
            policy.MAIL_COMES_BACK,
        ),
    ],
)
def test_a_notice_that_cannot_go_out_says_why(channel: str, who: Contact, reason: str) -> None:
    assert told(CaseOpened, case(channel=channel, reporter=who)) == (Withheld("receipt", reason),)
    about = case(channel=channel, reporter=who)
    assert told(CaseIncomplete, about, missing="place") == (Withheld("question_place", reason),)


def test_who_wants_no_automatic_answer_gets_none() -> None:
    assert told(CaseOpened, case(), answer=False) == (Withheld("receipt", policy.NO_ANSWER),)


def test_only_what_we_can_ask_for_is_asked_for() -> None:
    (notice,) = told(CaseIncomplete, case(), missing="place")
    assert isinstance(notice, Notice)
    assert notice.notice == "question_place"
    assert told(CaseIncomplete, case(), missing="patience") == ()
    assert told(CaseAmended, case()) == ()


def test_who_answered_where_it_is_is_thanked_by_text() -> None:
    about = case(channel="sms", language="es", reporter=MARIA.model_copy(update={"texts": True}))
    assert told(CaseLocated, about) == (Notice("place_noted", "sms", PHONE, "Maria Lopez", "es"),)
    assert told(CaseLocated, about, answer=False) == (Withheld("place_noted", policy.NO_ANSWER),)
    assert told(CaseLocated, case(channel="sms", reporter=MARIA)) == (
        Withheld("place_noted", policy.NO_MORE_TEXTS),
    )


def test_a_choice_is_asked_by_text() -> None:
    def asked(who: Contact) -> tuple[Decision, ...]:
        fact = ChoiceAsked(
            message_id=uuid4(),
            occurred_at=NOW,
            complaint_id=uuid4(),
            reference="7KQ-2MX-94",
            language="es",
            reporter=who,
            choices=(CaseChoice(case_id=uuid4(), reference="7KQ-2MX-94", words="A hole"),),
        )
        return decide(fact, languages=("en", "es"), staff_language="en")

    assert asked(MARIA.model_copy(update={"texts": True})) == (
        Notice("choice", "sms", PHONE, "Maria Lopez", "es"),
    )
    assert asked(MARIA) == (Withheld("choice", policy.NO_MORE_TEXTS),)


def test_staff_who_want_texts_get_their_assignment_twice() -> None:
    sam = SAM.model_copy(update={"phone": "(816) 555-0111", "texts": True})
    mail = Notice("assignment", "email", "sam@city.example.org", "Sam Hill", "en")
    text = Notice("assignment", "sms", "+18165550111", "Sam Hill", "en")
    assert told(CaseAssigned, case(assignee=sam)) == (mail, text)
    assert told(CaseAssigned, case(assignee=sam.model_copy(update={"email": ""}))) == (text,)
    quiet = sam.model_copy(update={"texts": False})
    assert told(CaseAssigned, case(assignee=quiet)) == (mail,)
    lost = sam.model_copy(update={"phone": None})
    assert told(CaseAssigned, case(assignee=lost)) == (
        mail,
        Withheld("assignment", policy.NO_STAFF_NUMBER),
    )
    gone = lost.model_copy(update={"email": ""})
    assert told(CaseAssigned, case(assignee=gone)) == (
        Withheld("assignment", policy.NO_STAFF_EMAIL),
    )


def test_what_a_resident_adds_reaches_the_desk() -> None:
    added: dict[str, Any] = {"complaint_id": uuid4(), "text": "It is deeper.", "verified": True}
    assert told(CaseFollowed, case(), staff_language="es", **added) == (
        Notice("followed", "email", "sam@city.example.org", "Sam Hill", "es"),
    )
    assert told(CaseFollowed, case(assignee=None), **added) == (
        Withheld("followed", policy.NO_PERSON),
    )


def test_a_case_that_its_resident_opened_again_calls_its_person_back() -> None:
    (notice,) = told(CaseReopened, case(), reason="It is back.", reopened_by="")
    assert isinstance(notice, Notice)
    assert (notice.notice, notice.medium) == ("reopened", "email")


def test_danger_is_answered_and_told_to_who_has_the_case() -> None:
    about = case(channel="sms", reporter=TEXTER, language="es")
    assert told(CaseAlarmed, about) == (
        Notice("danger", "sms", PHONE, None, "es"),
        Notice("danger_staff", "email", SAM.email, SAM.name, "en"),
    )


def test_danger_on_nobodys_desk_is_answered_all_the_same() -> None:
    assert told(CaseAlarmed, case(assignee=None)) == (
        Notice("danger", "email", "maria@example.org", "Maria Lopez", "en"),
    )


def test_staff_who_want_texts_hear_of_danger_by_text_too() -> None:
    sam = SAM.model_copy(update={"texts": True, "phone": PHONE})
    media = [
        (one.notice, one.medium)
        for one in told(CaseAlarmed, case(assignee=sam))
        if isinstance(one, Notice)
    ]
    assert media == [("danger", "email"), ("danger_staff", "email"), ("danger_staff", "sms")]
