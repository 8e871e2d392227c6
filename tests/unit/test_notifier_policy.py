"""Who hears of what: facts in, decisions out."""

from datetime import UTC, datetime
from uuid import uuid4

from bus.contracts import (
    CaseAssigned,
    CaseClosed,
    CaseFact,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseSummary,
    Contact,
    Person,
)
from notifier import policy
from notifier.policy import Decision, Notice, Withheld, decide

MARIA = Contact(name="Maria Lopez", email="maria@example.org", phone="+18165550123")
SAM = Person(id="sam", name="Sam Hill", email="sam@city.example.org")
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
