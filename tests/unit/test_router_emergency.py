"""Danger is heard in two languages, and what only sounds like it is not."""

import pytest

from router.emergency import EmergencyWords
from router.rules import CITIES, load_city

CITY = load_city(CITIES / "independence")
WORDS = EmergencyWords(
    [phrase for phrases in CITY.emergency.words.values() for phrase in phrases],
    CITY.emergency.except_,
)


@pytest.mark.parametrize(
    "text",
    [
        "The house next door is ON FIRE",
        "I smell gas in the street",
        "wires down on a person",
        "Power line is down across my car",
        "somebody is breaking into my neighbors house",
        "shots fired on Maple",
        "Hay un incendio en la casa de al lado",
        "huele a gas en toda la cuadra",
        "se cayó un cable y está soltando chispas",
        "Están disparando en la esquina",
        "transformer behind us on fire",
    ],
)
def test_danger_is_heard(text: str) -> None:
    assert WORDS.found_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "fire hydrant is leaking",
        "fireworks every night",
        "parked in the fire lane",
        "my neighbor was fired and now dumps trash",
        "fire station sign is down",
        "juegos artificiales toda la noche",
        "the gas company left a hole",
        "my phone line down the street is loose",
        "",
        "\x00\x00",
    ],
)
def test_what_only_sounds_like_danger_is_none(text: str) -> None:
    assert WORDS.found_in(text) is None


def test_no_phrases_find_nothing() -> None:
    assert EmergencyWords([]).found_in("fire") is None
