"""Which reports are a storm: many, alike, near, and no fewer than the city says."""

import math
import random
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.incidents import Report
from store.likeness import METRES_PER_DEGREE, metres_between
from store.same_settings import StormSettings
from store.storms import find_storms
from tests.support.facts import NOON

LAT, LON = 39.09, -94.41
SETTINGS = StormSettings(reports=5, within_metres=1000)
EAST = METRES_PER_DEGREE * math.cos(math.radians(LAT))


def report(number: int, north: float, east: float, kind: str = "Street Light Out") -> Report:
    return Report(UUID(int=number), kind, LAT + north / METRES_PER_DEGREE, LON + east / EAST, NOON)


def scattered(count: int, spread: float, *, kind: str = "Noise", start: int = 1) -> list[Report]:
    chance = random.Random(count)
    return [
        report(start + n, chance.uniform(-spread, spread), chance.uniform(-spread, spread), kind)
        for n in range(count)
    ]


def test_five_near_each_other_are_a_storm_and_four_are_not() -> None:
    some = [report(n, 100 * n, 0) for n in range(5)]
    [storm] = find_storms(some, SETTINGS)
    assert set(storm.reports) == set(some)
    assert metres_between(storm.lat, storm.lon, LAT + 200 / METRES_PER_DEGREE, LON) == (
        pytest.approx(0, abs=1)
    )
    assert (storm.problem_type, storm.first_at, storm.last_at) == ("Street Light Out", NOON, NOON)
    assert find_storms(some[:4], SETTINGS) == []
    assert find_storms([], SETTINGS) == []


def test_other_kinds_and_what_is_far_away_do_not_count() -> None:
    near = [report(n, 50 * n, 0) for n in range(4)]
    assert find_storms([*near, report(9, 0, 0, "Noise")], SETTINGS) == []
    assert find_storms([*near, report(9, 6000, 0)], SETTINGS) == []


def test_a_storm_across_the_lines_of_the_squares_is_found() -> None:
    for north in range(-1000, 1000, 130):
        some = [report(n, north + 60 * n, 60 * n) for n in range(5)]
        [storm] = find_storms(some, SETTINGS)
        assert len(storm.reports) == 5


def test_many_that_are_spread_hide_no_storm_beside_them() -> None:
    # Nine squares full of reports, of which no five are within a kilometre of one place.
    ring = [report(n, 1300 * math.cos(n), 1300 * math.sin(n)) for n in range(6)]
    dense = [report(100 + n, 9000 + 40 * n, 0) for n in range(5)]
    [storm] = find_storms([*ring, *dense], SETTINGS)
    assert {one.case_id for one in storm.reports} == {one.case_id for one in dense}


def test_two_places_are_two_storms_and_two_kinds_as_well() -> None:
    here = scattered(6, 400)
    there = [report(100 + n, 9000 + 50 * n, 0, "Noise") for n in range(7)]
    dark = scattered(5, 300, kind="Street Light Out", start=200)
    storms = find_storms([*here, *there, *dark], SETTINGS)
    assert sorted((one.problem_type, len(one.reports)) for one in storms) == [
        ("Noise", 6),
        ("Noise", 7),
        ("Street Light Out", 5),
    ]


def test_nobody_looks_where_the_city_says_so() -> None:
    assert find_storms(scattered(50, 100), StormSettings(reports=0)) == []


def spots() -> Iterator[st.SearchStrategy[float]]:
    yield st.floats(-5000, 5000)
    yield st.floats(-5000, 5000)


@given(st.lists(st.tuples(*spots()), max_size=60), st.integers(2, 8))
def test_whatever_lies_where_no_report_is_in_two_and_each_storm_is_near_and_large(
    where: list[tuple[float, float]], least: int
) -> None:
    settings = StormSettings(reports=least, within_metres=700)
    reports = [report(number, *spot) for number, spot in enumerate(where)]
    taken: list[UUID] = []
    for storm in find_storms(reports, settings):
        assert len(storm.reports) >= least
        for one in storm.reports:
            away = metres_between(one.lat, one.lon, storm.lat, storm.lon)
            assert away is not None
            assert away <= 701
        taken += [one.case_id for one in storm.reports]
    assert len(set(taken)) == len(taken)


def test_twenty_thousand_reports_are_looked_through_at_once() -> None:
    many = scattered(20_000, 12_000)
    began = time.perf_counter()
    storms = find_storms(many, StormSettings(reports=10))
    assert time.perf_counter() - began < 5
    assert storms
