"""What several people hear of one thing: who, in which words, and nothing of anybody else's."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest

from bus.contracts import (
    CaseClosed,
    CaseFact,
    CaseMerged,
    CaseNoted,
    CaseUnmerged,
    Contact,
    Fact,
    Follower,
    FollowerJoined,
    IncidentAssigned,
    IncidentClosed,
    IncidentFact,
    IncidentNoted,
    IncidentSummary,
    NoticeQueued,
    NoticeWithheld,
    Person,
)
from notifier import policy
from notifier.policy import Notice, Withheld, decide
from notifier.render import MEDIA, Renderer
from notifier.service import Writer
from notifier.sms_text import length_of
from tests.unit.test_render import (
    CITY,
    CUT_HERE,
    FULL,
    LINKS,
    LONG,
    NOON,
    SHARED,
    Page,
    _bare,
)

PHONE = "+18165550142"
ROSA = Contact(name="Rosa Lara", email="rosa@example.org", phone=PHONE)
TEXTER = Contact(phone=PHONE, texts=True)
SAM = Person(id="sam", name="Sam Hill", email="sam@city.example.org")
INCIDENT = IncidentSummary(
    incident_id=UUID(int=9),
    case_id=FULL.case_id,
    reference=FULL.reference,
    problem_type="Pothole",
    reports=57,
    first_at=NOON,
    last_at=NOON,
    lat=39.0911,
    lon=-94.4155,
    reach=800,
    department="PW-STREETS",
    assignee=SAM,
)
# What is Maria's, who reported it first, or is known to staff only.
ANOTHERS = (
    "Maria",
    "maria@example.org",
    "555-0123",
    "A deep pothole",
    "111 E Maple",
    "Sam",
    "39.09",
)


def follower(number: int = 1, contact: Contact = ROSA, **other: object) -> Follower:
    values: dict[str, object] = {
        "id": UUID(int=number),
        "case_id": UUID(int=100 + number),
        "reference": "R0S-A11-23",
        "contact": contact,
        "stop": "a-key-that-nobody-guesses",
    }
    return Follower.model_validate(values | other)


def fact(contract: type[Fact], **more: object) -> Any:
    about = {"incident": INCIDENT} if issubclass(contract, IncidentFact) else {"case": FULL}
    return contract.model_validate({"message_id": uuid4(), "occurred_at": NOON} | about | more)


def noted(*followers: Follower, **more: object) -> Any:
    told: dict[str, object] = {"text": "We come.", "public": True, "author": "Sam Hill"}
    return fact(CaseNoted, **(told | {"followers": followers} | more))


def closed(*followers: Follower, **more: object) -> Any:
    told: dict[str, object] = {"outcome": "fixed", "words": "We filled it.", "closed_by": "sam"}
    return fact(CaseClosed, **(told | {"followers": followers} | more))


def decided(told: Any) -> list[tuple[str, str, str]]:
    """(notice, medium, to whom) of each decision; of what is withheld, why."""
    return [
        (one.notice, one.medium, one.recipient)
        if isinstance(one, Notice)
        else (one.notice, "", one.reason)
        for one in decide(told, languages=("en", "es"), staff_language="en")
    ]


# ── who ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_public_note_reaches_the_reporter_and_every_follower() -> None:
    assert decided(noted(follower(1), follower(2, TEXTER, channel="sms"))) == [
        ("update", "email", "maria@example.org"),
        ("follower_update", "email", "rosa@example.org"),
        ("follower_update", "sms", PHONE),
    ]
    assert decided(noted(follower(), public=False)) == []


def test_the_end_reaches_all_of_them_and_whoever_has_the_case() -> None:
    assert decided(closed(follower())) == [
        ("closure_resident", "email", "maria@example.org"),
        ("follower_closure", "email", "rosa@example.org"),
        ("closure_staff", "email", "sam@city.example.org"),
    ]


def test_the_rest_of_many_followers_does_not_reach_the_reporter_again() -> None:
    assert decided(noted(follower(), rest=True)) == [
        ("follower_update", "email", "rosa@example.org")
    ]
    assert decided(closed(follower(), rest=True)) == [
        ("follower_closure", "email", "rosa@example.org")
    ]


def test_nobody_hears_of_one_thing_twice() -> None:
    same = Contact(email="MARIA@example.org")
    assert decided(noted(follower(1, same), follower(2), follower(3))) == [
        ("update", "email", "maria@example.org"),
        ("follower_update", "", policy.SAME_ADDRESS),
        ("follower_update", "email", "rosa@example.org"),
        ("follower_update", "", policy.SAME_ADDRESS),
    ]


def test_a_follower_who_cannot_be_reached_is_withheld_with_a_reason() -> None:
    for contact, why in (
        (Contact(phone=PHONE), policy.ONLY_PHONE),
        (Contact(email="r@x.org", email_works=False), policy.MAIL_COMES_BACK),
    ):
        (_, one) = decide(noted(follower(1, contact)), languages=("en",), staff_language="en")
        assert one == Withheld("follower_update", why, follower(1, contact))


def test_the_reporter_hears_once_that_theirs_was_joined_or_taken_out() -> None:
    joined = fact(CaseMerged, into_id=uuid4(), into_reference="0TH-ERR-EF", merged_by="sam")
    assert decided(joined) == [("joined", "email", "maria@example.org")]
    apart = fact(CaseUnmerged, out_of_id=uuid4(), out_of_reference="0TH-ERR-EF", unmerged_by="sam")
    assert decided(apart) == [("apart", "email", "maria@example.org")]


def test_who_follows_gets_a_receipt() -> None:
    assert decided(fact(FollowerJoined, follower=follower())) == [
        ("follow_receipt", "email", "rosa@example.org")
    ]


def test_an_incident_is_one_mail_for_whoever_has_it_and_one_for_each_reporter() -> None:
    people = tuple(follower(n, Contact(email=f"r{n}@example.org")) for n in range(3))
    assert decided(fact(IncidentAssigned)) == [
        ("incident_assignment", "email", "sam@city.example.org")
    ]
    assert decided(fact(IncidentNoted, text="A crew is out.", followers=people)) == [
        ("follower_update", "email", f"r{n}@example.org") for n in range(3)
    ]
    over = fact(
        IncidentClosed, outcome="fixed", words="Done.", closed_by="sam", followers=people[:1]
    )
    assert decided(over) == [("follower_closure", "email", "r0@example.org")]
    nobody = INCIDENT.model_copy(update={"assignee": None})
    assert decided(IncidentAssigned(message_id=uuid4(), occurred_at=NOON, incident=nobody)) == [
        ("incident_assignment", "", policy.NO_PERSON)
    ]


async def test_each_is_kept_on_their_own_page_and_known_by_an_id_of_its_own(
    renderer: Renderer,
) -> None:
    told: list[Fact] = []

    async def tell(facts: Any) -> None:
        told.extend(facts)

    unreachable = [follower(n, Contact(phone=PHONE)) for n in (2, 3)]
    writer = Writer(renderer, tell, staff_language="en")
    for _ in range(2):
        await writer.hear([noted(follower(1), *unreachable)])
    queued = [one for one in told if isinstance(one, NoticeQueued)]
    withheld = [one for one in told if isinstance(one, NoticeWithheld)]
    assert [one.case_id for one in queued[:2]] == [FULL.case_id, UUID(int=101)]
    assert [one.reference for one in queued[:2]] == [FULL.reference, "R0S-A11-23"]
    assert [one.case_id for one in withheld[:2]] == [UUID(int=102), UUID(int=103)]
    assert len({one.message_id for one in withheld[:2]}) == 2


# ── in which words ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CITY, LINKS)


@pytest.fixture(scope="module")
def reading() -> Renderer:
    """One of a city that reads answers."""
    return Renderer(CITY, LINKS, replies_read=True)


FACTS: dict[str, tuple[type[Fact], dict[str, object]]] = {
    "apart": (CaseUnmerged, {"out_of_id": UUID(int=5), "out_of_reference": "0TH-ERR-EF",
                             "unmerged_by": "Sam Hill"}),
    "follow_receipt": (FollowerJoined, {"follower": follower()}),
    "follower_closure": (CaseClosed, {"outcome": "fixed", "words": "We filled it.",
                                      "closed_by": "sam"}),
    "follower_update": (CaseNoted, {"text": "We come on Monday.", "public": True,
                                    "author": "Sam Hill"}),
    "incident_assignment": (IncidentAssigned, {"assigned_by": "lee"}),
    "joined": (CaseMerged, {"into_id": UUID(int=5), "into_reference": "0TH-ERR-EF",
                            "merged_by": "Sam Hill"}),
}  # fmt: skip
FOLLOWERS = {"follow_receipt", "follower_closure", "follower_update"}


def write(
    renderer: Renderer, notice: str, language: str = "en", medium: str = "email", *,
    who: Follower | None = None, **changes: object,
) -> NoticeQueued:  # fmt: skip
    contract, more = FACTS[notice]
    to = Notice(
        notice,
        medium,
        "rosa@example.org" if medium == "email" else PHONE,
        "Rosa Lara",
        language,
        who or (follower() if notice in FOLLOWERS else None),
    )
    told: CaseFact | IncidentFact = fact(contract, **(more | changes))
    return renderer.write(told, to, now=NOON)


def test_every_shared_notice_is_tested_here() -> None:
    assert set(FACTS) == SHARED
    assert set(MEDIA) >= SHARED


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", sorted(SHARED))
def test_the_plain_text_says_what_the_html_says(
    renderer: Renderer, notice: str, language: str
) -> None:
    queued = write(renderer, notice, language)
    assert queued.html is not None
    page = Page(queued.html)
    assert page.open == []
    assert f'<html lang="{language}">' in queued.html
    assert "\n\n\n\n" not in queued.text
    plain = _bare(queued.text)
    sentences = [_bare(one) for one in re.split(r"[.:;!?\n]", page.words) if _bare(one)]
    assert len(sentences) > 8
    assert [one for one in sentences if one not in plain] == []
    for words in (queued.text, page.words):
        assert "None" not in words
        assert "{" not in words
        assert "[[" not in words
    if notice != "incident_assignment":
        assert queued.subject_line.startswith(f"[{queued.reference}] ")
        assert LINKS.track(queued.reference) in page.links


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", sorted(FOLLOWERS))
@pytest.mark.parametrize("medium", ["email", "sms"])
def test_a_follower_reads_nothing_of_whoever_reported_it(
    renderer: Renderer, notice: str, language: str, medium: str
) -> None:
    queued = write(renderer, notice, language, medium)
    everything = f"{queued.subject_line}{queued.text}{queued.html}"
    for anothers in (*ANOTHERS, FULL.reference):
        assert anothers not in everything
    assert "R0S-A11-23" in everything


def test_a_follower_can_stop_by_a_link_and_who_has_no_link_sees_none(renderer: Renderer) -> None:
    queued = write(renderer, "follower_update")
    link = "https://report.example.org/following/a-key-that-nobody-guesses"
    assert link in Page(queued.html or "").links
    assert link in queued.text
    assert "/following/" not in write(renderer, "follower_update", who=follower(stop="")).text


def test_words_say_what_became_of_their_own_report(renderer: Renderer) -> None:
    assert "about your report R0S-A11-23" in write(renderer, "follower_update").text
    assert "of the same problem before you" in write(renderer, "follow_receipt").text
    assert "same problem as report 0TH-ERR-EF" in write(renderer, "joined").text
    assert "a different problem" in write(renderer, "apart").text


def test_whoever_has_the_incident_reads_how_many_where_and_the_way_there(
    renderer: Renderer,
) -> None:
    queued = write(renderer, "incident_assignment")
    page = Page(queued.html or "")
    assert queued.subject_line == "57 reports at once: Pothole in the street"
    assert f"https://report.example.org/staff/incidents/{INCIDENT.incident_id}" in page.links
    assert "https://maps.example.org/?lat=39.091100&lon=-94.415500" in page.links
    assert "lee put it on your desk" in queued.text


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", sorted(one for one in SHARED if "sms" in MEDIA[one]))
def test_a_text_is_short_and_costs_one_unit_a_letter(
    renderer: Renderer, notice: str, language: str
) -> None:
    text = write(renderer, notice, language, "sms").text
    assert length_of(text).encoding == "GSM-7"
    assert length_of(text).segments <= 2
    if "words" in FACTS[notice][1] or "text" in FACTS[notice][1]:
        word = "words" if "words" in FACTS[notice][1] else "text"
        long = write(renderer, notice, language, "sms", **{word: LONG}).text
        assert length_of(long).segments <= 2
        assert "R0S-A11-23" in long


@pytest.mark.parametrize("notice", sorted(SHARED - {"incident_assignment"}))
def test_answers_are_asked_for_where_somebody_reads_them(reading: Renderer, notice: str) -> None:
    asked = write(reading, notice)
    assert asked.text.startswith(CUT_HERE["en"])
