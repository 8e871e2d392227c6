"""The type names the department, the department a person: the same one every time."""

from collections import Counter
from datetime import date, timedelta
from uuid import UUID, uuid5

import pytest

from router.assign import assign, is_away
from router.rules import CITIES, City, Worker, load_city

TODAY = date(2026, 3, 4)
SPACE = UUID(int=7)
ONE = uuid5(SPACE, "one")


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


def with_people(city: City, **changes: dict[str, object]) -> City:
    """The city with some of its people changed; `_` in a name stands for the dot."""
    named = {name.replace("_", "."): change for name, change in changes.items()}
    people = tuple(person.model_copy(update=named.get(person.id, {})) for person in city.people)
    return city.model_copy(update={"people": people, "folder": city.folder})


def test_no_type_is_no_department(city: City) -> None:
    found = assign(city, ONE, None, "District 1", TODAY)

    assert (found.department, found.person) == (None, None)
    assert found.reasons == ("No department: the type is open, so the triage desk decides",)


def test_the_type_names_the_department_and_the_district_the_person(city: City) -> None:
    found = assign(city, ONE, "Graffiti", "District 2", TODAY)

    assert found.department == "CD-NEIGHBORHOOD SERVICES"
    assert found.person is not None
    assert found.person.id == "carl.jensen"
    assert found.reasons == (
        "CD-NEIGHBORHOOD SERVICES handles this type",
        "Carl Jensen works District 2",
    )


def test_without_a_district_it_goes_to_who_works_everywhere(city: City) -> None:
    found = assign(city, ONE, "Graffiti", None, TODAY)

    assert found.person is not None
    assert found.person.id == "nina.hart"


def test_equals_share_the_load_and_each_complaint_stays_where_it_is(city: City) -> None:
    found = [
        assign(city, uuid5(SPACE, str(number)), "Graffiti", "District 1", TODAY)
        for number in range(400)
    ]
    load = Counter(each.person.id for each in found if each.person)

    assert set(load) == {"alex.reed", "bea.ortiz"}
    assert min(load.values()) > 150
    assert "one of 2 who share the load" in found[0].reasons[1]
    again = assign(city, uuid5(SPACE, "0"), "Graffiti", "District 1", TODAY)
    assert again == found[0]


def test_who_is_away_gets_nothing(city: City) -> None:
    away = with_people(
        city, carl_jensen={"away_from": TODAY, "away_until": TODAY + timedelta(days=7)}
    )
    found = assign(away, ONE, "Graffiti", "District 2", TODAY)

    assert found.person is not None
    assert found.person.id == "nina.hart"


def test_when_nobody_is_there_the_lead_takes_it(city: City) -> None:
    away = with_people(
        city, carl_jensen={"active": False}, nina_hart={"away_from": date(2026, 1, 1)}
    )
    found = assign(away, ONE, "Graffiti", "District 2", TODAY)

    assert found.person is not None
    assert found.person.id == "dana.ruiz"


def test_when_the_lead_is_away_too_a_colleague_stands_in(city: City) -> None:
    gone: dict[str, object] = {"active": False}
    away = with_people(city, carl_jensen=gone, nina_hart=gone, dana_ruiz=gone)
    found = assign(away, ONE, "Graffiti", "District 2", TODAY)

    assert found.person is not None
    assert "stands in for District 2" in found.reasons[1]


def test_nobody_at_all_leaves_the_department(city: City) -> None:
    away = with_people(city, xavier_cole={"active": False}, yara_stone={"away_from": TODAY})
    found = assign(away, ONE, "Water Leak/Pressure", None, TODAY)

    assert found.department == "WTR-ADMINISTRATION"
    assert found.person is None
    assert found.reasons[1] == "No person: everybody in WTR-ADMINISTRATION is away"


@pytest.mark.parametrize(
    ("begins", "ends", "away"),
    [
        (None, None, False),
        (TODAY, TODAY, True),
        (TODAY + timedelta(days=1), None, False),
        (None, TODAY - timedelta(days=1), False),
        (None, TODAY, True),
        (TODAY, None, True),
    ],
)
def test_the_first_and_the_last_day_of_an_absence_are_away(
    begins: date | None, ends: date | None, away: bool
) -> None:
    person = Worker(
        id="a", name="A", email="a@b.example", roles=("staff",), active=True,
        away_from=begins, away_until=ends,
    )  # fmt: skip

    assert is_away(person, TODAY) is away
