"""Every point finds its district the same way every time, one by one or by thousands."""

import itertools
from dataclasses import dataclass

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from router.districts import SLIVER, DistrictMap, in_order


@dataclass(frozen=True)
class Area:
    name: str
    area: BaseGeometry


GRID = [
    Area(f"District {number}", shapely.box(x, y, x + 1, y + 1))
    for number, (x, y) in enumerate(itertools.product(range(4), range(3)), start=1)
]
MAP = DistrictMap(GRID)


def test_a_point_on_a_border_belongs_to_the_first_name() -> None:
    assert MAP.name_of(0.5, 1.0) == "District 1"  # between 1 and 4
    assert MAP.name_of(1.0, 1.0) == "District 1"  # where 1, 2, 4 and 5 meet
    assert MAP.name_of(0, 0) == "District 1"  # the outer corner


def test_numbers_are_compared_by_their_value() -> None:
    # Between 7 and 10; as letters, "District 10" would come first.
    assert MAP.name_of(0.5, 3.0) == "District 7"
    names = ["District 10", "district 2", "District 1", "Ward B", "Ward a", "2", "10"]
    assert sorted(names, key=in_order) == [
        "2", "10", "District 1", "district 2", "District 10", "Ward a", "Ward B",
    ]  # fmt: skip


def test_the_order_in_which_a_map_is_drawn_decides_nothing() -> None:
    other = DistrictMap(list(reversed(GRID)))
    points = [(x / 4, y / 4) for x in range(17) for y in range(13)]

    assert other.names_of(*zip(*points, strict=True)) == MAP.names_of(*zip(*points, strict=True))


def test_a_hair_between_two_districts_belongs_to_the_nearer() -> None:
    apart = DistrictMap(
        [
            Area("A", shapely.box(0, 0, 1, 1)),
            Area("B", shapely.box(1 + SLIVER, 0, 2, 1)),
        ]
    )
    assert apart.name_of(0.5, 1 + SLIVER * 0.4) == "A"
    assert apart.name_of(0.5, 1 + SLIVER * 0.6) == "B"
    assert apart.name_of(0.5, 2 + SLIVER * 0.9) == "B"
    assert apart.name_of(0.5, 2 + SLIVER * 1.1) is None


def test_a_hole_is_not_in_the_district_and_its_rim_is() -> None:
    ring = shapely.Polygon([(0, 0), (3, 0), (3, 3), (0, 3)], [[(1, 1), (2, 1), (2, 2), (1, 2)]])
    holed = DistrictMap([Area("A", ring)])

    assert holed.name_of(1.5, 1.5) is None
    assert holed.name_of(1, 1.5) == "A"


@pytest.mark.parametrize(
    ("lat", "lon"), [(float("nan"), 1), (91, 0), (0, 181), (float("inf"), 0), (5, 5)]
)
def test_what_is_no_point_or_far_away_has_none(lat: float, lon: float) -> None:
    assert MAP.name_of(lat, lon) is None


def test_no_districts_and_no_points_are_fine() -> None:
    assert DistrictMap([]).names_of([1.0], [1.0]) == [None]
    assert MAP.of([], []) == []


coordinate = st.one_of(
    st.floats(-0.5, 4.5), st.integers(0, 16).map(lambda quarter: quarter / 4), st.just(float("nan"))
)


@given(st.lists(st.tuples(coordinate, coordinate), max_size=20))
def test_a_batch_says_what_each_point_alone_says(points: list[tuple[float, float]]) -> None:
    lats, lons = [lat for lat, _ in points], [lon for _, lon in points]

    assert MAP.names_of(lats, lons) == [MAP.name_of(lat, lon) for lat, lon in points]
    for (lat, lon), name in zip(points, MAP.names_of(lats, lons), strict=True):
        covering = [
            area.name for area in GRID if lat == lat and area.area.covers(shapely.Point(lon, lat))
        ]
        if covering:
            assert name == min(covering, key=in_order)
