"""What others handle is told with the agency to call; the case is filed all the same."""

from pathlib import Path

import pytest
import shapely

from router.locate import Located, Locator, Outcome, Spot
from router.referrals import Agency, Neighbour, Referral, Referrals, Rule
from router.rules import CITIES, BadCity, City, load_city
from tests.support.city import change, copy_of_sample, square, write_features

POTHOLE, GRASS = "Pothole/Street Maintenance", "Excessive Vegetation"


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


def refer(city: City, text: str, problem_type: str | None, **where: float) -> Referral | None:
    locator = Locator(
        city.boundary, city.districts, city.gazetteer, city=city.name, state=city.state_code
    )
    (found,) = locator.locate([Spot(where.get("lat"), where.get("lon"), None, text)])
    return city.referrals.of(found, problem_type, text)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("pothole on I-70 westbound", "I-70"),
        ("pothole on interstate 435", "I-435"),
        ("big hole on 24 Highway", "US 24"),
        ("hole on US-40", "US 40"),
        ("hoyo en la carretera 291", "MO 291"),
        ("pothole on M-78", "MO 78"),
        ("pothole on Hwy 7", "MO 7"),
    ],
)
def test_the_road_itself_is_the_states(city: City, text: str, because: str) -> None:
    assert refer(city, text, POTHOLE) == Referral("MoDOT", because, "road", certain=True)


def test_a_number_that_was_read_somewhere_is_shown(city: City) -> None:
    agency = city.referrals.agencies["MoDOT"]

    assert agency.phone == "(888) 275-6636"
    assert agency.source


def test_where_no_number_is_known_none_is_invented(city: City) -> None:
    for agency in city.referrals.agencies.values():
        assert agency.phone or agency.check


def test_a_corner_with_a_street_of_the_city_may_be_either(city: City) -> None:
    found = refer(city, "pothole at 24 Hwy and Noland", POTHOLE)

    assert found == Referral("MoDOT", "US 24", "road", certain=False)


def test_a_house_on_a_highway_is_the_citys(city: City) -> None:
    assert refer(city, "tall grass at 19900 E State Route 78", GRASS) is None
    assert refer(city, "tall grass at 19900 E State Route 78", None) is None
    assert refer(city, "pothole in front of 19900 E State Route 78", POTHOLE) is not None


def test_where_the_type_is_open_it_may_be_theirs(city: City) -> None:
    found = refer(city, "something on I-70", None)

    assert found is not None
    assert not found.certain


@pytest.mark.parametrize("text", ["1200 Main St, Kansas City, MO", "at 10th and Main in KCMO"])
def test_a_neighbour_town_is_named(city: City, text: str) -> None:
    assert refer(city, text, GRASS) == Referral(
        "City of Kansas City", "Kansas City", "town", certain=True
    )


def test_a_town_without_a_place_may_be_where_it_is(city: City) -> None:
    found = refer(city, "people from out of town dump trash in Raytown", GRASS)

    assert found == Referral("City of Raytown", "Raytown", "town", certain=False)


def test_power_is_the_citys_own(city: City) -> None:
    assert refer(city, "power is out, a line is down on Maple", "Power Problem") is None
    assert refer(city, "my electric bill is too high", "Water Billing/Service") is None


@pytest.mark.parametrize(
    ("text", "agency"),
    [
        ("the train is blocking the crossing again", "Railroad"),
        ("train horns at 3 am", "Railroad"),
        ("our mailman never came this week", "United States Postal Service"),
        ("el cartero no viene", "United States Postal Service"),
        ("who do I appeal my property tax to", "Jackson County"),
        ("a phone line down in the yard", "Telephone or cable company"),
    ],
)
def test_what_is_said_may_concern_others(city: City, text: str, agency: str) -> None:
    found = refer(city, text, None)

    assert found is not None
    assert (found.agency, found.how, found.certain) == (agency, "words", False)


@pytest.mark.parametrize(
    "text", ["I sent you an email", "gas station lights", "Frontier Trails train park", "hello"]
)
def test_what_only_sounds_like_others_does_not(city: City, text: str) -> None:
    assert refer(city, text, None) is None


def test_a_point_in_a_neighbour_town_names_it() -> None:
    town = Agency(name="Next", label={"en": "City of Next", "es": "Ciudad de Next"})
    rule = Rule(name="Nextville", how="town", agency="Next", certain=True)
    area = Neighbour(name="Nextville", area=shapely.box(5, 5, 6, 6))
    referrals = Referrals([town], [rule], [area])
    outside = Located(None, 5.5, 5.5, None, "", Outcome.OUTSIDE)

    assert referrals.of(outside, None, "") == Referral("Next", "Nextville", "town", certain=True)
    beyond = Located(None, 9.5, 5.5, None, "", Outcome.OUTSIDE)
    assert referrals.of(beyond, None, "") is None


# ── the folder ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "referrals.csv", "I-70,road,MoDOT", "I-70,road,NoDOT",
            'referrals.csv, line 2: the agency "NoDOT" is not in agencies.csv.',
        ),
        (
            "referrals.csv", "I-70,road", "I-70,sky",
            'referrals.csv, line 2: "sky" is none of road, town, words.',
        ),
        (
            "referrals.csv", "Sinkhole", "Rabbit hole",
            'referrals.csv, line 2: the problem type "Rabbit hole" is not in problem-types.csv.',
        ),
        (
            "agencies.csv", "(888) 275-6636", "call us",
            'agencies.csv, line 2: "call us" is no phone number.',
        ),
        (
            "agencies.csv", "Departamento de Transporte de Missouri (MoDOT)", "",
            "agencies.csv, line 2: label_es is empty.",
        ),
        (
            "streets.csv", "landmark", "palace",
            'streets.csv, line 2: "palace" is no kind; kinds are landmark, address, corner, '
            "street.",
        ),
        (
            "streets.csv", "39.0911,-94.4155,no", "39.0911,,no",
            "streets.csv, line 2: it: Value error, lat and lon go together.",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_said(tmp_path: Path, file: str, old: str, new: str, told: str) -> None:
    folder = copy_of_sample(tmp_path)
    change(folder, file, old, new)

    with pytest.raises(BadCity) as bad:
        load_city(folder)

    assert told in bad.value.faults


def test_neighbours_are_towns_of_the_list(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    write_features(
        folder,
        "neighbours.geojson",
        square(-94.6, 39.0, -94.5, 39.2, name="Kansas City"),
        square(-94.7, 39.0, -94.65, 39.2, name="Atlantis"),
    )

    with pytest.raises(BadCity) as bad:
        load_city(folder)

    assert bad.value.faults == (
        'neighbours.geojson, feature 2: "Atlantis" is no town of referrals.csv.',
    )


def test_addresses_are_judged(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    (folder / "addresses.csv").write_text(
        "number,street,zip,lat,lon\n"
        "100,E Maple Ave,64050,39.0911,-94.4150\n"
        "x,E Maple Ave,64050,39.0911,-94.4150\n"
        "102,,64050,39.0911,-94.4150\n"
        "104,E Maple Ave,64050,38.0911,-94.4150\n"
    )

    with pytest.raises(BadCity) as bad:
        load_city(folder)

    assert bad.value.faults == (
        "addresses.csv, line 3: number, lat or lon is none.",
        'addresses.csv, line 4: "" names no street.',
        'addresses.csv: "104 E Maple Ave" lies outside boundary.geojson.',
    )


def test_a_city_may_have_none_of_these_files(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    for name in ("agencies.csv", "referrals.csv", "streets.csv"):
        (folder / name).unlink()

    bare = load_city(folder)

    assert bare.places == ()
    assert refer(bare, "pothole on I-70", POTHOLE) is None
