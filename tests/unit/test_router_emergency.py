"""Danger is heard in two languages, and what only sounds like it is not."""

import json
from collections import Counter
from pathlib import Path

import pytest

from router.emergency import EmergencyWords
from router.rules import CITIES, DangerKind, Dangers, load_city

WORDS = load_city(CITIES / "independence").emergency_words

# Texts that nobody sent. Parts A to E were written one after the other; the words were made with A
# and B at hand, and each later part was first read by words that had not seen it.
FIXTURE = Path(__file__).parent.parent / "fixtures" / "emergency.jsonl"
TEXTS = [json.loads(line) for line in FIXTURE.read_text().splitlines()]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The house next door is ON FIRE", "fire"),
        ("I smell gas in the street", "gas"),
        ("my carbon monoxide alarm is going off", "gas"),
        ("wires down on a person", "wires"),
        ("Power line is down across my car", "wires"),
        ("somebody is breaking into my neighbors house", "crime"),
        ("shots fired on Maple", "crime"),
        ("a boy is drowning in the pond", "hurt"),
        ("he says he will kill himself", "life"),
        ("Hay un incendio en la casa de al lado", "fire"),
        ("huele a gas en toda la cuadra", "gas"),
        ("se cayó un cable y está soltando chispas", "wires"),
        ("Están disparando en la esquina", "crime"),
        ("mi abuelo no respira", "hurt"),
        ("transformer behind us on fire", "fire"),
    ],
)
def test_danger_is_heard(text: str, kind: str) -> None:
    heard = WORDS.found_in(text)

    assert heard is not None
    assert heard.kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "fire hydrant is leaking",
        "fire ants in the sandbox",
        "fireworks every night",
        "parked in the fire lane",
        "my neighbor was fired and now dumps trash",
        "fire station sign is down",
        "juegos artificiales toda la noche",
        "mi vecino hace fuego en su patio los domingos",
        "the gas company left a hole",
        "trash at the gas station",
        "my phone line down the street is loose",
        "",
        "\x00\x00",
    ],
)
def test_what_only_sounds_like_danger_is_none(text: str) -> None:
    assert WORDS.found_in(text) is None


@pytest.mark.parametrize(
    ("text", "is_danger"),
    [
        ("There was a house fire last month and the lot is full of rubble.", False),
        ("There was a house fire last month. Now the shed is on fire!", True),
        ("The house that burned last year is on fire again, right now", True),
        ("I have been smelling gas since last night", True),
        ("There was a gas leak two years ago", False),
        ("Someone could get electrocuted", True),
        ("Fix it before a child is hit by a car", False),
        ("nobody was injured", False),
    ],
)
def test_what_is_over_or_only_feared(text: str, is_danger: bool) -> None:
    """Gas, wires and somebody's life are danger also when they are feared; a fire must be there."""
    assert (WORDS.found_in(text) is not None) is is_danger


def test_precision_and_recall_on_the_fixture() -> None:
    told = Counter((text["danger"], WORDS.found_in(text["text"]) is not None) for text in TEXTS)
    heard, missed = told[True, True], told[True, False]
    wrongly = told[False, True]

    assert heard + missed > 300
    assert heard / (heard + missed) >= 0.98, [
        text["text"] for text in TEXTS if text["danger"] and not WORDS.found_in(text["text"])
    ]
    assert heard / (heard + wrongly) >= 0.98, [
        text["text"] for text in TEXTS if not text["danger"] and WORDS.found_in(text["text"])
    ]


def test_no_phrases_find_nothing() -> None:
    assert EmergencyWords(Dangers()).found_in("fire") is None


def test_a_city_writes_its_own() -> None:
    words = EmergencyWords(
        Dangers.model_validate(
            {
                "except": ["bear (creek|avenue)"],
                "lists": {"beast": ["bear", "mountain lion"]},
                "danger": [DangerKind(kind="beast", words={"en": ("{beast} ... (yard|street)",)})],
            }
        )
    )

    assert words.found_in("A mountain lion sits in my yard")
    assert words.found_in("Bear Creek: the yard is full of it") is None
