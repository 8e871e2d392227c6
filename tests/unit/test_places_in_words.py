"""
Fifty places and more in free text, in English and Spanish, as people write them: each is found,
named or asked about, and none is wrong. `tests/fixtures/places/fifty.jsonl` holds them.
"""

import json
from pathlib import Path

import pytest

from router.locate import Located, Locator, Outcome, Spot
from router.rules import CITIES, City, load_city

TEXTS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "places" / "fifty.jsonl")
    .read_text()
    .splitlines()
]


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


@pytest.fixture(scope="module")
def located(city: City) -> dict[str, Located]:
    locator = Locator(
        city.boundary, city.districts, city.gazetteer, city=city.name, state=city.state_code
    )
    spots = [Spot(None, None, None, one["text"]) for one in TEXTS]
    return {spot.text: found for spot, found in zip(spots, locator.locate(spots), strict=True)}


def test_there_are_fifty() -> None:
    assert len({one["text"] for one in TEXTS}) >= 50


@pytest.mark.parametrize("said", TEXTS, ids=lambda said: said["text"][:50])
def test_a_place_in_words(
    said: dict[str, str | None], located: dict[str, Located], city: City
) -> None:
    found = located[said["text"] or ""]

    assert (found.outcome, found.address) == (said["outcome"], said["words"])
    place = next((one for one in city.places if one.name == said["at"]), None)
    assert (found.lat, found.lon) == ((place.lat, place.lon) if place else (None, None))
    assert (found.district is not None) == (found.outcome is Outcome.FOUND) or found.choices


def test_the_same_place_in_two_ways_is_one(located: dict[str, Located]) -> None:
    corners = [
        found
        for text, found in located.items()
        if found.outcome is Outcome.FOUND and ("23rd & Noland" in text or "la 23 y Noland" in text)
    ]

    assert len(corners) == 2
    assert len({(found.lat, found.lon, found.district) for found in corners}) == 1
