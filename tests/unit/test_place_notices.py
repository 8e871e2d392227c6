"""Residents are asked what is open about a place, and told who helps where the city cannot."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from bus.contracts import CaseClosed, CaseIncomplete, CaseSummary, Contact
from notifier.city_words import CityWords, Phone
from notifier.policy import Notice
from notifier.render import Links, Renderer
from notifier.sms_text import length_of

NOON = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
CITY = CityWords(
    name="Independence",
    state="Missouri",
    agencies={
        "MoDOT": Phone("(888) 275-6636", {"en": "Missouri DOT", "es": "Transporte de Missouri"}),
        "City of Raytown": Phone("", {"en": "City of Raytown", "es": "Ciudad de Raytown"}),
    },
)
LINKS = Links("https://report.example.gov", "https://map/{lat}/{lon}", "https://map?q={query}")
CASE = CaseSummary(
    case_id=UUID(int=1),
    reference="7KQ-2MX-94",
    channel="sms",
    opened_at=NOON,
    text="big hole on Noland",
    refer_to="MoDOT",
    reporter=Contact(name="Rosa", email="rosa@resident.example"),
)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CITY, LINKS, replies_read=True)


def question(renderer: Renderer, language: str, medium: str, **about: object) -> str:
    fact = CaseIncomplete.model_validate(
        {"message_id": UUID(int=2), "occurred_at": NOON, "case": CASE, "missing": "place", **about}
    )
    to = Notice("question_place", medium, "rosa@resident.example", "Rosa", language)
    return renderer.write(fact, to, now=NOON).text


@pytest.mark.parametrize(
    ("language", "about", "told"),
    [
        ("en", {}, ["Where is it?", "Reply with the address or the nearest corner."]),
        ("en", {"why": "vague", "given": "Noland Rd"},
         ["Where on Noland Rd? Reply with a house number or the nearest corner."]),
        ("en", {"why": "ambiguous", "given": "100 Main",
                "choices": ("100 N Main St", "100 S Main St")},
         ["1 100 N Main St; 2 100 S Main St; Reply with the number or the address."]),
        ("en", {"why": "outside", "given": "1200 Main St, Kansas City"},
         ["1200 Main St, Kansas City is outside our city"]),
        ("es", {"why": "vague", "given": "Noland Rd"}, ["¿En qué parte de Noland Rd?"]),
        ("es", {"why": "ambiguous", "choices": ("100 N Main St", "100 S Main St")},
         ["1 100 N Main St; 2 100 S Main St; Responda con el n"]),
        ("es", {"why": "outside", "given": "1200 Main St"}, ["queda fuera de la ciudad"]),
    ],
)  # fmt: skip
def test_the_question_says_what_is_open(
    renderer: Renderer, language: str, about: dict[str, object], told: list[str]
) -> None:
    text = question(renderer, language, "sms", **about)

    for words in told:
        assert words in text
    assert "7KQ-2MX-94" in text


def test_many_choices_fit_into_a_text(renderer: Renderer) -> None:
    names = tuple(f"{number}00 North Independence Avenue Terrace Road" for number in range(1, 9))
    for language in ("en", "es"):
        text = question(renderer, language, "sms", why="ambiguous", given="x" * 300, choices=names)
        assert length_of(text).segments <= 2
        assert "5 " in text


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_mail_asks_in_more_words(renderer: Renderer, language: str) -> None:
    choices = ("100 N Main St", "100 S <Main> St")
    text = question(renderer, language, "email", why="ambiguous", given="100 Main", choices=choices)
    assert "1. 100 N Main St\n2. 100 S <Main> St\n" in text
    assert "100 Main" in text
    for why in ("vague", "outside"):
        assert "Noland Rd" in question(renderer, language, "email", why=why, given="Noland Rd")


def close(renderer: Renderer, outcome: str, medium: str = "email", **case: object) -> str:
    fact = CaseClosed(
        message_id=UUID(int=3),
        occurred_at=NOON,
        case=CASE.model_copy(update=case),
        outcome=outcome,
        words="It is the state's road.",
        closed_by="sam",
    )
    to = Notice("closure_resident", medium, "rosa@resident.example", "Rosa", "en")
    written = renderer.write(fact, to, now=NOON)
    return f"{written.text}{written.html or ''}"


def test_the_closing_words_of_a_referral_say_who_helps(renderer: Renderer) -> None:
    told = close(renderer, "referred")

    assert "Who can help: Missouri DOT, (888) 275-6636" in told
    assert "(888) 275-6636</span>" in told
    assert "Call (888) 275-6636." in close(renderer, "referred", "sms")


def test_a_number_that_nobody_knows_is_not_made_up(renderer: Renderer) -> None:
    told = close(renderer, "referred", refer_to="City of Raytown")

    assert "Who can help: City of Raytown\n" in told
    assert "Call" not in close(renderer, "referred", "sms", refer_to="City of Raytown")


@pytest.mark.parametrize(("outcome", "refer_to"), [("fixed", "MoDOT"), ("referred", None),
                                                   ("referred", "Nobody")])  # fmt: skip
def test_nobody_is_sent_elsewhere_without_need(
    renderer: Renderer, outcome: str, refer_to: str | None
) -> None:
    assert "Who can help" not in close(renderer, outcome, refer_to=refer_to)
