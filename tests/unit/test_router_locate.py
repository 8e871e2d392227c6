"""Points find their district, borders always the same one; words find a point or a reason."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from router.locate import Located, Locator, Spot, address_in, place_key
from router.rules import District, Place

BOUNDARY = shapely.box(0, 0, 4, 2)
LOCATOR = Locator(
    BOUNDARY,
    [
        District(name="District 2", area=shapely.box(1, 0, 2, 2)),
        District(name="District 1", area=shapely.box(0, 0, 1, 2)),
    ],
    [
        Place(name="City Hall", kind="landmark", aliases=("111 E Maple Ave",), lat=1, lon=0.5,
              approximate=False),
        Place(name="Noland Rd & 23rd St", kind="corner", lat=1, lon=1.5),
    ],
)  # fmt: skip


def locate(
    lat: float | None = None, lon: float | None = None, address: str | None = None, text: str = ""
) -> Located:
    (found,) = LOCATOR.locate([Spot(lat, lon, address, text)])
    return found


def test_a_point_lies_in_its_district() -> None:
    assert locate(1, 0.5).district == "District 1"
    assert locate(1, 0.5).reason == "District 1: the point lies in it"


def test_a_point_on_a_border_belongs_to_the_lowest_name() -> None:
    assert locate(1, 1).district == "District 1"
    assert locate(0, 0).district == "District 1"
    assert locate(2, 2).district == "District 2"


def test_a_point_outside_the_city_has_no_district() -> None:
    found = locate(50, 50)

    assert found.district is None
    assert found.reason == "No district: the point lies outside the city"
    assert (found.lat, found.lon) == (50, 50)


def test_a_point_in_no_district_says_so() -> None:
    assert "in none of its districts" in locate(1, 3).reason


@pytest.mark.parametrize(("lat", "lon"), [(float("nan"), 1), (91, 0), (0, 181), (1, None)])
def test_what_is_no_point_is_no_point(lat: float, lon: float | None) -> None:
    found = locate(lat, lon)

    assert found.district is None
    assert found.reason == "No district: the point is not a place on earth"


def test_no_place_is_an_answer() -> None:
    assert locate().reason == "No district: no place was given"


def test_a_known_address_gives_a_point() -> None:
    found = locate(address="111 East Maple Avenue, Independence, MO 64050")

    assert (found.lat, found.lon) == (1, 0.5)
    assert found.reason == "District 1: City Hall lies in it"


def test_an_approximate_place_is_said_to_be_one() -> None:
    found = locate(text="light out at the corner of 23rd and Noland")

    assert found.address == "23rd and Noland"
    assert found.district == "District 2"
    assert "approximate" in found.reason


def test_an_unknown_address_is_kept_and_never_guessed() -> None:
    found = locate(address="113 E Maple Ave")

    assert (found.address, found.lat, found.district) == ("113 E Maple Ave", None, None)
    assert "not among the places we know" in found.reason


def test_a_point_outweighs_an_address() -> None:
    assert locate(1, 1.5, address="City Hall").district == "District 2"


def test_a_batch_keeps_its_order() -> None:
    spots = [Spot(1, 1.5, None, ""), Spot(None, None, None, ""), Spot(1, 0.5, None, "")]

    assert [found.district for found in LOCATOR.locate(spots)] == [
        "District 2",
        None,
        "District 1",
    ]
    assert LOCATOR.locate([]) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("big pothole at 1109 S Arlington Ave by the school", "1109 S Arlington Ave"),
        ("111 E. Maple Avenue.", "111 E. Maple Avenue"),
        ("trash 1300 blk s hardy, 2 flats", "1300 blk s hardy"),
        ("bache en 2437 S Hardy Ave", "2437 S Hardy Ave"),
        ("at 317 W US Highway 24", "317 W US Highway 24"),
        ("light out at 11401 E 23rd St tonight", "11401 E 23rd St"),
        ("corner of Noland Rd and 23rd St", "Noland Rd and 23rd St"),
        ("esquina de Noland y 23rd", "Noland y 23rd"),
        ("3 dogs loose for 2 weeks", None),
        ("2 cars on the road", None),
        ("called 3 times", None),
        ("grass 18 inches tall", None),
        ("the police and the fire department", None),
        ("", None),
    ],
)
def test_an_address_is_found_in_words(text: str, address: str | None) -> None:
    assert address_in(text) == address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("111 E Maple Ave", "111 East Maple"),
        ("Noland Rd & 23rd St", "corner of 23rd and Noland"),
        ("Noland Rd & 23rd St", "S. Noland Road / E 23rd Street, Independence, MO"),
        ("Lee's Summit Rd & 39th St", "39th St at Lees Summit Rd"),
    ],
)
def test_two_ways_of_writing_a_place_have_one_key(one: str, other: str) -> None:
    assert place_key(one) == place_key(other)


def test_two_places_have_two_keys() -> None:
    assert place_key("111 E Maple Ave") != place_key("111 W Maple Ave")
    assert place_key("111 E Maple Ave") != place_key("1111 E Maple Ave")


@given(st.text(max_size=300))
def test_any_text_is_read_without_harm(text: str) -> None:
    address_in(text)
    place_key(text)
    locate(text=text, address=text)
