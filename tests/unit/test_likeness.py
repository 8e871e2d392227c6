"""How likely two complaints are one problem: judged as people would, and explained."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router.rules import CITIES, load_city
from store.addresses import Alike, compare, read_address
from store.likeness import (
    LIKELY,
    METRES_PER_DEGREE,
    STRONG,
    Problem,
    Reaches,
    TypeMatch,
    liken,
    metres_between,
)
from tests.support.facts import NOON

PAIRS = Path(__file__).parent.parent / "fixtures" / "duplicates" / "pairs.jsonl"
CITY = load_city(CITIES / "independence")
REACHES = Reaches(
    of_type={kind.name: kind.reach for kind in CITY.problem_types if kind.reach is not None}
)
POTHOLE = "Pothole/Street Maintenance"

ONE = Problem(
    text="Big pothole in the right lane by the gas station",
    at=NOON,
    problem_type=POTHOLE,
    address=read_address("11401 E 23rd St"),
    lat=39.0757,
    lon=-94.4416,
)


def problem(told: dict[str, Any], metres: float | None, hours: float, *, known: bool) -> Problem:
    return Problem(
        text=told["text"],
        at=NOON + timedelta(hours=hours),
        language=told["language"],
        problem_type=told["type"],
        alternatives=told["alternatives"],
        address=read_address(told["address"]),
        lat=None if metres is None else 39.09 + metres / METRES_PER_DEGREE,
        lon=None if metres is None else -94.41,
        reporter=frozenset({"rosa@resident.example"} if known else ()),
    )


def test_of_a_hundred_that_are_shown_few_are_wrong_and_few_are_missed() -> None:
    """
    Pairs that people wrote and judged: of those called nearly sure, 95 in 100 are one problem;
    of those that are one problem, 80 in 100 are shown.
    """
    scores: dict[bool, list[float]] = {True: [], False: []}
    for line in PAIRS.read_text().splitlines():
        pair = json.loads(line)
        known = pair["same_reporter"]
        one = problem(pair["one"], None if pair["metres"] is None else 0, 0, known=known)
        other = problem(pair["other"], pair["metres"], pair["hours"], known=known)
        scores[pair["same"]].append(liken(one, other, REACHES)[0])
    same, others = scores[True], scores[False]
    assert len(same) >= 30
    assert len(others) >= 30

    shown, sure = [one for one in same if one >= LIKELY], [one for one in same if one >= STRONG]
    wrong = [one for one in others if one >= STRONG]
    assert len(shown) / len(same) >= 0.80
    assert len(sure) / (len(sure) + len(wrong)) >= 0.95
    assert len([one for one in others if one >= LIKELY]) / len(others) <= 0.20
    assert len(sure) / len(same) >= 0.50, "nearly sure is said of half of them at least"


def test_the_reasons_are_what_was_compared() -> None:
    other = replace(
        ONE,
        text="pothole in the right lane near a gas station, two tires",
        at=NOON + timedelta(days=2),
        lat=ONE.lat and ONE.lat + 80 / METRES_PER_DEGREE,
        address=None,
    )
    score, why = liken(ONE, other, REACHES)
    assert why.metres == pytest.approx(80, abs=0.1)
    assert (why.type, why.age) == (TypeMatch.SAME, timedelta(days=2))
    assert why.words is not None
    assert 0.6 <= why.words <= 1
    assert (why.address, why.same_reporter) == (Alike.UNKNOWN, False)
    assert LIKELY <= score < STRONG


def test_it_says_the_same_whichever_is_asked_first() -> None:
    other = replace(ONE, text="tire blew in a pothole", problem_type="Sinkhole", lat=39.0759)
    assert liken(ONE, other, REACHES)[0] == pytest.approx(liken(other, ONE, REACHES)[0])


def test_what_is_far_away_is_another_problem_however_alike_the_words() -> None:
    far = replace(ONE, lat=39.0857, address=None)
    assert liken(ONE, far, REACHES)[0] < LIKELY / 2


def test_types_of_which_two_are_never_one_are_never_likely() -> None:
    bill = replace(ONE, problem_type="Water Billing/Service", reporter=frozenset({"a@b.example"}))
    assert liken(bill, bill, REACHES)[0] == 0


def test_two_languages_cannot_be_compared_word_by_word_and_are_likely_all_the_same() -> None:
    spanish = replace(ONE, text="Un bache enorme junto a la gasolinera", language="es")
    score, why = liken(ONE, spanish, REACHES)
    assert why.words is None
    assert score >= STRONG


def test_without_a_point_the_address_counts() -> None:
    here = replace(ONE, lat=None, lon=None)
    score, why = liken(here, replace(here, address=read_address("11401 East 23rd")), REACHES)
    assert (why.metres, why.address) == (None, Alike.SAME)
    assert score >= STRONG
    assert liken(here, replace(here, address=None), REACHES)[0] == 0


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("11401 E 23rd St", "11401 East 23rd Street, Independence, MO 64050", Alike.SAME),
        ("11401 E 23rd St", "11455 E 23rd St", Alike.BLOCK),
        ("11401 E 23rd St", "11401 E 23rd Ter", Alike.NO),
        ("11401 E 23rd St", "11401 E 33rd St", Alike.NO),
        ("100 N Spring St", "100 S Spring St", Alike.NO),
        ("Noland Rd & 23rd St", "the corner of 23rd and Noland", Alike.SAME),
        ("esquina de Noland y 23rd", "23rd St / Noland Rd", Alike.SAME),
        ("111 E. Maple Ave.", "111 Maple", Alike.SAME),
        ("1200 S Noland Rd", "1200 S Nolan Rd", Alike.SAME),
        ("625 S Osage St Apt 3", "625 Osage #4", Alike.SAME),
        ("behind the Walmart on Noland", "on Noland behind the walmart", Alike.SAME),
        ("Sterling Ave & 24 Hwy", "24 Highway and Sterling", Alike.SAME),
        ("Noland Rd", "1200 S Noland Road", Alike.STREET),
        ("McCoy Park", "11401 E 23rd St", Alike.UNKNOWN),
        ("", "11401 E 23rd St", Alike.UNKNOWN),
        ("🏚", "🏚", Alike.SAME),
        (",,,", "#", Alike.UNKNOWN),
    ],
)
def test_addresses_are_compared_as_people_write_them(one: str, other: str, alike: Alike) -> None:
    assert compare(read_address(one), read_address(other)) is alike
    assert compare(read_address(other), read_address(one)) is alike


def test_metres() -> None:
    assert metres_between(39.09, -94.41, 39.09, -94.42) == pytest.approx(864, abs=1)
    assert metres_between(39.09, None, 39.09, -94.42) is None
