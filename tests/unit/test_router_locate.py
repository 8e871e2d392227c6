"""Points find their district; words find a point, a question or a reason; nothing is guessed."""

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from router.gazetteer import Address, Gazetteer, Spotted
from router.locate import Answer, Located, Locator, Outcome, Spot
from router.place_files import Place
from router.rules import District

BOUNDARY = shapely.box(0, 0, 4, 2)
DISTRICTS = [
    District(name="District 2", area=shapely.box(1, 0, 2, 2)),
    District(name="District 1", area=shapely.box(0, 0, 1, 2)),
]
PLACES = [
    Place(name="City Hall", kind="landmark", aliases=("111 E Maple Ave",), lat=1, lon=0.5,
          approximate=False),
    Place(name="Noland Rd & 23rd St", kind="corner", lat=1, lon=1.5),
    Place(name="Truman Library", kind="landmark", lat=1.2, lon=0.4),
    Place(name="Archer Park", kind="landmark"),
    Place(name="Noland Rd", kind="street"),
    Place(name="Sterling Ave", kind="street"),
]  # fmt: skip
ADDRESSES = [
    Address(100, "N Main St", "64050", 1.5, 0.5),
    Address(100, "S Main St", "64050", 0.5, 1.5),
    Address(200, "N Main St", "64050", 1.6, 0.5),
    Address(200, "S Main St", "64050", 1.5996, 0.5),
    Address(1101, "S Arlington Ave", "64053", 1.0, 0.2),
    Address(1111, "S Arlington Ave", "64053", 1.01, 0.2),
    Address(1300, "S Arlington Ave", "64053", 1.1, 0.2),
]
LOCATOR = Locator(
    BOUNDARY,
    DISTRICTS,
    Gazetteer(PLACES, ADDRESSES, [["Blue Springs"], ["Kansas City", "KC"]], "Independence"),
    city="Independence",
    state="MO",
)


def locate(
    lat: float | None = None, lon: float | None = None, address: str | None = None, text: str = ""
) -> Located:
    (found,) = LOCATOR.locate([Spot(lat, lon, address, text)])
    return found


def test_a_point_lies_in_its_district() -> None:
    found = locate(1, 0.5)

    assert (found.outcome, found.district) == (Outcome.FOUND, "District 1")
    assert found.reason == "District 1: the point lies in it"


def test_a_point_outside_the_city_has_no_district() -> None:
    found = locate(50, 50)

    assert (found.outcome, found.district) == (Outcome.OUTSIDE, None)
    assert found.reason == "No district: the point lies outside the city"
    assert (found.lat, found.lon) == (50, 50)


def test_a_point_in_no_district_says_so() -> None:
    assert "in none of its districts" in locate(1, 3).reason


@pytest.mark.parametrize(("lat", "lon"), [(float("nan"), 1), (91, 0), (0, 181), (1, None)])
def test_what_is_no_point_is_no_point(lat: float, lon: float | None) -> None:
    found = locate(lat, lon)

    assert (found.outcome, found.district) == (Outcome.NONE, None)
    assert found.reason == "No district: the point is not a place on earth"


@pytest.mark.parametrize("address", [None, "", "n/a", "None", "?", "no sé"])
def test_no_place_is_an_answer(address: str | None) -> None:
    found = locate(address=address)

    assert (found.outcome, found.address) == (Outcome.NONE, None)
    assert found.reason == "No district: no place was given"


def test_a_known_address_gives_a_point() -> None:
    found = locate(address="111 East Maple Avenue, Independence, MO 64050")

    assert (found.lat, found.lon) == (1, 0.5)
    assert found.reason == "District 1: City Hall lies in it"


def test_an_approximate_place_is_said_to_be_one() -> None:
    found = locate(text="light out at the corner of 23rd and Noland")

    assert found.address == "23rd and Noland"
    assert (found.district, found.approximate) == ("District 2", True)
    assert "approximate" in found.reason


def test_an_unknown_address_is_kept_and_never_guessed() -> None:
    found = locate(address="113 E Maple Ave")

    assert (found.address, found.lat, found.district) == ("113 E Maple Ave", None, None)
    assert found.outcome is Outcome.NAMED
    assert "not among the places we know" in found.reason
    assert found.query == "113 E Maple Ave, Independence, MO"


def test_a_place_on_the_list_without_a_point_is_named() -> None:
    found = locate(text="swing broken at archer park")

    assert (found.outcome, found.address) == (Outcome.NAMED, "archer park")
    assert found.query == "Archer Park, Independence, MO"


def test_a_point_outweighs_an_address_and_the_difference_is_told() -> None:
    found = locate(1, 1.5, address="City Hall")

    assert found.district == "District 2"
    assert "City Hall lies 111.3 km from it" in found.reason


def test_a_batch_keeps_its_order() -> None:
    spots = [Spot(1, 1.5, None, ""), Spot(None, None, None, ""), Spot(1, 0.5, None, "")]

    assert [found.district for found in LOCATOR.locate(spots)] == [
        "District 2",
        None,
        "District 1",
    ]
    assert LOCATOR.locate([]) == []


# ── what has to be asked ────────────────────────────────────────────────────────────────────────


def test_an_address_in_two_halves_of_the_city_is_asked_about() -> None:
    found = locate(address="100 Main St")

    assert found.outcome is Outcome.AMBIGUOUS
    assert (found.lat, found.district) == (None, None)
    assert [(one.name, one.district) for one in found.choices] == [
        ("100 N Main St", "District 1"),
        ("100 S Main St", "District 2"),
    ]


def test_two_names_of_one_spot_are_one_place() -> None:
    found = locate(address="200 Main St")

    assert (found.outcome, found.district) == (Outcome.FOUND, "District 1")


def test_a_direction_that_is_said_decides() -> None:
    assert locate(address="100 South Main Street").district == "District 2"


def test_a_wrong_direction_is_asked_about_and_not_mended() -> None:
    found = locate(address="1111 N Arlington Ave")

    assert found.outcome is Outcome.AMBIGUOUS
    assert [one.name for one in found.choices] == ["1111 S Arlington Ave"]
    # Wherever of these it is, the district is the same.
    assert found.district == "District 1"


def test_what_differs_in_two_ways_is_another_address() -> None:
    assert locate(address="1111 N Arlington St").outcome is Outcome.NAMED


def test_where_quarters_repeat_corners_one_that_is_known_is_asked_about() -> None:
    quarters = [
        *(Address(n, "NW 6th St", "", 1.0 + n / 1e5, 0.5) for n in range(100, 140, 10)),
        *(Address(n, "NW 8th Ave", "", 1.001, 0.5 + n / 1e5) for n in range(0, 40, 10)),
        Address(100, "SE 6th St", "", 0.5, 0.7),
        Address(100, "SE 8th Ave", "", 0.6, 0.9),
    ]
    locator = Locator(BOUNDARY, DISTRICTS, Gazetteer(addresses=quarters))

    def outcome(text: str) -> Outcome:
        (found,) = locator.locate([Spot(None, None, None, text)])
        return found.outcome

    assert outcome("light at 6th and 8th") is Outcome.AMBIGUOUS
    assert outcome("light at NW 6th St and 8th Ave") is Outcome.FOUND


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("big pothole on Noland", "Noland"),
        ("trash all along Sterling Ave", "Sterling Ave"),
        ("pothole on Main St", "Main St"),
    ],
)
def test_a_street_alone_is_not_enough(text: str, words: str) -> None:
    found = locate(text=text)

    assert (found.outcome, found.address, found.district) == (Outcome.VAGUE, words, None)


def test_two_places_are_asked_about() -> None:
    found = locate(text="Graffiti at the Truman Library and at City Hall")

    assert found.outcome is Outcome.AMBIGUOUS
    assert [one.name for one in found.choices] == ["Truman Library", "City Hall"]
    assert found.district == "District 1"


def test_two_streets_are_likely_their_corner_which_is_asked() -> None:
    found = locate(text="The light on Noland is out. It shines on 23rd St as well.")

    assert found.outcome is Outcome.AMBIGUOUS
    assert [one.name for one in found.choices] == ["Noland Rd & 23rd St"]


def test_where_somebody_lives_is_not_where_it_is() -> None:
    found = locate(text="I live at 1101 S Arlington Ave. The pothole is at 23rd and Noland.")

    assert (found.address, found.district) == ("23rd and Noland", "District 2")


def test_where_somebody_lives_is_where_it_is_when_nothing_else_is_said() -> None:
    found = locate(text="I live at 1101 S Arlington Ave and there is trash on my street")

    assert (found.outcome, found.address) == (Outcome.FOUND, "1101 S Arlington Ave")


@pytest.mark.parametrize(
    ("text", "town"),
    [
        ("pothole at 1200 Main St, Kansas City, MO 64105", "Kansas City"),
        ("pothole at 12th and Main in Blue Springs", "Blue Springs"),
        ("in KC at 500 Oak Street", "Kansas City"),
        ("there is a hole in Blue Springs on 7 Highway", "Blue Springs"),
    ],
)
def test_a_place_in_another_town_lies_outside(text: str, town: str) -> None:
    found = locate(text=text)

    assert (found.outcome, found.town, found.district) == (Outcome.OUTSIDE, town, None)


def test_another_state_lies_outside() -> None:
    assert locate(address="100 Main St, Independence, KS").outcome is Outcome.OUTSIDE


def test_a_town_that_is_only_talked_about_is_not_where_it_is() -> None:
    found = locate(text="I work in Kansas City. The pothole is at 23rd and Noland.")

    assert (found.outcome, found.district) == (Outcome.FOUND, "District 2")


# ── slips of the pen ────────────────────────────────────────────────────────────────────────────


def test_a_misspelt_street_is_read_where_the_number_proves_it() -> None:
    found = locate(address="1111 S Arlingtn Ave")

    assert (found.outcome, found.lat) == (Outcome.FOUND, 1.01)
    assert found.reason.endswith('"arlingtn" read as "arlington"')


def test_a_misspelt_street_without_proof_stays_as_it_is() -> None:
    assert locate(address="9999 S Arlingtn Ave").outcome is Outcome.NAMED


def test_a_misspelt_corner_is_read() -> None:
    found = locate(text="light out at Nolan Rd & 23rd St")

    assert (found.outcome, found.district) == (Outcome.FOUND, "District 2")


def test_a_misspelt_landmark_is_read() -> None:
    assert locate(text="lights out at the Truman Libary").outcome is Outcome.FOUND
    assert locate(address="truman libary").lat == 1.2


# ── address and text together ───────────────────────────────────────────────────────────────────


def test_a_street_as_the_address_is_completed_by_the_text() -> None:
    found = locate(address="Noland Rd", text="the signal at Noland and 23rd is dark")

    assert (found.outcome, found.district) == (Outcome.FOUND, "District 2")
    assert found.address == "Noland Rd (Noland and 23rd)"


def test_a_free_description_is_kept() -> None:
    found = locate(address="behind the blue house on the hill", text="trash everywhere")

    assert (found.outcome, found.address) == (Outcome.NAMED, "behind the blue house on the hill")


def test_a_whole_address_is_not_overruled_by_the_text() -> None:
    found = locate(address="1101 S Arlington Ave", text="same as at 23rd and Noland last week")

    assert found.lat == 1.0


# ── a geocoder's answer ─────────────────────────────────────────────────────────────────────────

ASKED = Spot(None, None, "4010 S Bolger Rd", "")
QUERY = "4010 S Bolger Rd, Independence, MO"


def settle(*spots: Spotted, later: bool = False) -> Located:
    before = LOCATOR.locate([ASKED])
    assert before[0].query == QUERY
    answers = {QUERY: Answer(spots, "the Census", later=later)}
    (found,) = LOCATOR.settle([ASKED], before, answers)
    return found


def test_a_geocoder_gives_the_point() -> None:
    found = settle(Spotted("4010 S BOLGER RD", 1.2, 1.2, approximate=True))

    assert (found.outcome, found.district) == (Outcome.FOUND, "District 2")
    assert found.address == "4010 S Bolger Rd"
    assert found.reason.endswith("found by the Census")


def test_what_a_geocoder_knows_twice_is_asked_about() -> None:
    found = settle(Spotted("4010 S BOLGER RD", 1.2, 1.2), Spotted("4010 N BOLGER RD", 1.2, 0.2))

    assert found.outcome is Outcome.AMBIGUOUS
    assert len(found.choices) == 2


def test_what_a_geocoder_finds_elsewhere_lies_outside() -> None:
    assert settle(Spotted("4010 S BOLGER RD", 9, 9)).outcome is Outcome.OUTSIDE


def test_what_a_geocoder_does_not_know_stays_as_it_was() -> None:
    found = settle()

    assert (found.outcome, found.address, found.later) == (Outcome.NAMED, ASKED.address, False)


def test_a_geocoder_that_has_not_answered_may_be_asked_later() -> None:
    found = settle(later=True)

    assert (found.outcome, found.later) == (Outcome.NAMED, True)


@given(st.text(max_size=300))
def test_any_text_is_read_without_harm(text: str) -> None:
    locate(text=text)
    locate(text=text, address=text)
