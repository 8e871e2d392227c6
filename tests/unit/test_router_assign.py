"""The type names the department, the department a person: the same one every time."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from router.assign import Assigned, assign, is_away
from router.match import Asked, Matcher
from router.routing import Rule
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


def assigned(
    city: City,
    problem_type: str | None,
    district: str | None,
    complaint: UUID = ONE,
    *rules: dict[str, object],
) -> Assigned:
    written = [
        Rule.model_validate({"name": str(number)} | rule) for number, rule in enumerate(rules)
    ]
    teams = {"crew": ("jo.linden", "max.odell")}
    changed = city.rules.model_copy(update={"rule": written, "teams": teams})
    asked = Asked(at=datetime(2026, 3, 4, 18, tzinfo=UTC), problem_type=problem_type)
    return assign(city, Matcher(changed, city).decide(asked), complaint, district, TODAY)


def people(found: Assigned) -> list[list[str]]:
    return [[person.id for person in group.people] for group in found.groups]


def test_no_type_is_no_department(city: City) -> None:
    found = assigned(city, None, "District 1")

    assert (found.department, found.person, found.groups) == (None, None, ())
    assert found.reasons == ("No department: the type is open, so the triage desk decides",)


def test_the_type_names_the_department_and_the_district_the_person(city: City) -> None:
    found = assigned(city, "Graffiti", "District 2")

    assert found.department == "CD-NEIGHBORHOOD SERVICES"
    assert found.person is not None
    assert found.person.id == "carl.jensen"
    assert found.reasons == ("CD-NEIGHBORHOOD SERVICES handles this type",)
    assert found.person_reason == "Carl Jensen works District 2"


def test_without_a_district_it_goes_to_who_works_everywhere(city: City) -> None:
    found = assigned(city, "Graffiti", None)

    assert found.person is not None
    assert found.person.id == "nina.hart"


def test_everybody_who_may_take_it_is_named_in_order(city: City) -> None:
    """Those of the district, those of the whole city, the lead, whoever is left, the lead again."""
    found = assigned(city, "Graffiti", "District 1")
    others = ["alex.reed", "bea.ortiz", "carl.jensen", "erin.walsh", "felix.grant", "nina.hart"]

    assert people(found) == [
        ["alex.reed", "bea.ortiz"],
        ["nina.hart"],
        ["dana.ruiz"],
        others,
        ["dana.ruiz"],
    ]
    assert [group.even_away for group in found.groups] == [False, False, False, False, True]


def test_equals_share_the_load_and_each_complaint_stays_where_it_is(city: City) -> None:
    found = [
        assigned(city, "Graffiti", "District 1", uuid5(SPACE, str(number))) for number in range(400)
    ]
    load = Counter(each.person.id for each in found if each.person)

    assert set(load) == {"alex.reed", "bea.ortiz"}
    assert min(load.values()) > 150
    assert "one of 2 who share the load" in found[0].person_reason
    assert assigned(city, "Graffiti", "District 1", uuid5(SPACE, "0")) == found[0]


def test_who_is_away_gets_nothing(city: City) -> None:
    away = with_people(
        city, carl_jensen={"away_from": TODAY, "away_until": TODAY + timedelta(days=7)}
    )
    found = assigned(away, "Graffiti", "District 2")

    assert found.person is not None
    assert found.person.id == "nina.hart"


def test_when_nobody_is_there_the_lead_takes_it(city: City) -> None:
    away = with_people(
        city, carl_jensen={"active": False}, nina_hart={"away_from": date(2026, 1, 1)}
    )
    found = assigned(away, "Graffiti", "District 2")

    assert found.person is not None
    assert found.person.id == "dana.ruiz"


def test_when_the_lead_is_away_too_a_colleague_stands_in(city: City) -> None:
    gone: dict[str, object] = {"active": False}
    away = with_people(city, carl_jensen=gone, nina_hart=gone, dana_ruiz=gone)
    found = assigned(away, "Graffiti", "District 2")

    assert found.person is not None
    assert "stands in for District 2" in found.person_reason


def test_when_all_are_away_it_waits_on_the_leads_desk(city: City) -> None:
    """It is somebody's, and nobody's edge to fall off: the lead finds it on coming back."""
    away = with_people(city, yara_stone={"away_from": TODAY})
    found = assigned(away, "Water Leak/Pressure", None)

    assert found.person is not None
    assert found.person.id == "yara.stone"
    assert found.groups[0].even_away


def test_where_nobody_works_at_all_the_department_has_no_person(city: City) -> None:
    away = with_people(city, yara_stone={"active": False})
    found = assigned(away, "Water Leak/Pressure", None)

    assert (found.department, found.person) == ("WTR-ADMINISTRATION", None)
    assert found.person_reason == "No person: nobody works in WTR-ADMINISTRATION"


def test_a_rules_people_come_first_in_their_order_then_the_lead_then_the_rest(city: City) -> None:
    rule = {"people": ["max.odell", "jo.linden"]}
    found = assigned(city, "Sinkhole", "District 1", ONE, rule)

    assert people(found) == [["max.odell"], ["jo.linden"], ["pat.moore"], ["pat.moore"]]
    assert found.reasons == ('The rule "0" sends it to MS-STREET MAINTENANCE',)
    assert found.person_reason == "Max Odell is named by the rule"


def test_who_of_a_rule_is_away_or_gone_is_passed_over_and_named(city: City) -> None:
    away = with_people(city, max_odell={"away_from": TODAY}, jo_linden={"active": False})
    found = assigned(away, "Sinkhole", None, ONE, {"people": ["max.odell", "jo.linden"]})

    assert found.person is not None
    assert found.person.id == "pat.moore"
    assert found.reasons[1:] == ("Max Odell is away", "Jo Linden does not work there any more")
    assert found.person_reason == (
        "Pat Moore leads MS-STREET MAINTENANCE, and nobody of the rule is free"
    )


def test_a_team_shares_the_load(city: City) -> None:
    found = [
        assigned(city, "Sinkhole", None, uuid5(SPACE, str(number)), {"team": "crew"})
        for number in range(100)
    ]

    assert people(found[0])[0] == ["jo.linden", "max.odell"]
    assert len({each.person.id for each in found if each.person}) == 2


def test_what_a_rule_cannot_decide_goes_to_triage_and_says_so(city: City) -> None:
    found = assigned(city, "Sinkhole", None, ONE, {"people": ["nobody.here"]})

    assert found.department is None
    assert found.reasons == ('The rule "0" cannot run: the triage desk decides',)


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
