"""Addresses, blocks and corners are looked up; what is not in the lists is not made up."""

from hypothesis import given
from hypothesis import strategies as st

from router.gazetteer import Address, Gazetteer, Spotted, metres
from router.place_words import Street, street_named

STEP = 0.0002  # about 20 metres


def street(name: str) -> Street:
    found = street_named(name)
    assert found is not None
    return found


def along_x(name: str, lat: float, first: int = 100, count: int = 40) -> list[Address]:
    """A street from west to east: a house every twenty metres, its numbers ten apart."""
    return [
        Address(first + 10 * step, name, "64050", lat, -94.40 + STEP * step)
        for step in range(count)
    ]


def along_y(name: str, lon: float, first: int = 100, count: int = 40) -> list[Address]:
    return [
        Address(first + 10 * step, name, "64050", 39.07 + STEP * step, lon) for step in range(count)
    ]


TOWN = Gazetteer(
    addresses=[
        *along_x("E Maple Ave", 39.074),
        *along_x("E Walnut St", 39.0746),
        *along_y("S Main St", -94.397),
        *along_y("N Main St", -94.397, first=3000),
        *along_x("E Noland Ct", 39.09, count=3),
        *along_y("S Noland Rd", -94.42, count=10),
        Address(8, "Blue Ridge Blvd", "", 39.05, -94.45),
    ]
)


def test_a_known_number_is_its_point() -> None:
    (spot,) = TOWN.address(200, street("Maple Ave"))

    assert (spot.name, spot.lat, spot.approximate) == ("200 E Maple Ave", 39.074, False)


def test_a_number_between_two_of_its_block_is_between_them() -> None:
    (spot,) = TOWN.address(205, street("E Maple"))

    assert spot.approximate
    assert spot.lon is not None
    assert -94.40 + STEP * 10 < spot.lon < -94.40 + STEP * 11


def test_a_number_beyond_the_known_ones_is_not_reckoned() -> None:
    assert TOWN.address(95, street("Maple Ave")) == []
    assert TOWN.address(9_000, street("Maple Ave")) == []
    assert TOWN.address(12, street("Blue Ridge Blvd")) == []


def test_a_direction_or_a_suffix_that_is_said_counts() -> None:
    assert TOWN.address(200, street("W Maple Ave")) == []
    assert TOWN.address(200, street("Maple St")) == []
    assert len(TOWN.address(110, street("Noland"))) == 2
    assert len(TOWN.address(110, street("Noland Rd"))) == 1


def test_a_zip_that_is_said_counts() -> None:
    assert TOWN.address(200, street("Maple Ave"), "64050")
    assert TOWN.address(200, street("Maple Ave"), "64099") == []


def test_a_block_is_the_middle_of_its_houses() -> None:
    (spot,) = TOWN.block(200, None, street("E Maple Ave"))

    assert (spot.name, spot.approximate) == ("200 block of E Maple Ave", True)
    assert TOWN.block(9_900, None, street("E Maple Ave")) == []
    (range_of,) = TOWN.block(210, 230, street("E Maple Ave"))
    assert range_of.lon == -94.40 + STEP * 12


def test_a_corner_is_where_the_houses_of_two_streets_come_close() -> None:
    (spot,) = TOWN.corner(street("Maple"), street("S Main"))

    assert spot.approximate
    assert metres(39.074, -94.397, spot) < 60
    assert TOWN.corner(street("S Main"), street("Maple")) == [
        Spotted("S Main St & E Maple Ave", spot.lat, spot.lon, approximate=True)
    ]


def test_streets_that_run_side_by_side_have_no_corner() -> None:
    assert TOWN.corner(street("Maple Ave"), street("Walnut St")) == []


def test_streets_that_never_come_close_have_no_corner() -> None:
    assert TOWN.corner(street("Maple Ave"), street("Noland Rd")) == []
    assert TOWN.corner(street("Maple Ave"), street("Nowhere St")) == []


def test_a_slip_of_the_pen_finds_its_street_if_there_is_only_one() -> None:
    assert TOWN.closest("nolnd") == "noland"
    assert TOWN.closest("mapel") == "maple"
    assert TOWN.closest("waln") is None
    assert TOWN.closest("elm") is None
    assert Gazetteer(addresses=[*along_x("Maine St", 39), *along_x("Marne St", 39.1)]).closest(
        "marine"
    ) is None  # fmt: skip


@given(st.integers(0, 99_999), st.text(max_size=30))
def test_whatever_is_asked_has_an_answer(number: int, name: str) -> None:
    asked = street_named(name)
    if asked is not None:
        TOWN.address(number, asked)
        TOWN.corner(asked, street("Maple Ave"))
