"""The first rule that fits decides, and each that was tried says why it did or not."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from router.match import BROKEN, DIFFERS, FITS, UNKNOWN, Asked, Decision, Matcher
from router.routing import RoutingRules, Rule
from router.rules import CITIES, BadCity, City, city_with_rules, load_city
from tests.support.city import change, copy_of_sample, square, write_features

NOON = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)  # a Wednesday; noon in Independence
SQUARE = (39.0914, -94.4160)
STREETS = "MS-STREET MAINTENANCE"


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


def decide(city: City, *rules: dict[str, object], **asked: object) -> Decision:
    """What is decided by these rules, which send to Tourism unless they say otherwise."""
    written = [
        Rule.model_validate(
            {"name": f"rule {number}"}
            | ({} if {"people", "team", "triage"} & rule.keys() else {"department": "PRT-TOURISM"})
            | rule
        )
        for number, rule in enumerate(rules, start=1)
    ]
    known = city.model_copy(update={"rules": city.rules.model_copy(update={"rule": written})})
    values = {"at": NOON, "problem_type": "Graffiti"} | asked
    return Matcher(known.rules, known).decide(Asked(**values))  # type: ignore[arg-type]


def outcome(city: City, rule: dict[str, object], **asked: object) -> str:
    return decide(city, rule, **asked).tried[0].outcome


def test_without_a_rule_the_types_department_takes_it(city: City) -> None:
    decision = decide(city)

    assert (decision.department, decision.rule) == ("CD-NEIGHBORHOOD SERVICES", None)
    assert decision.people is None
    assert decision.tried == ()


def test_without_a_type_nobody_takes_it(city: City) -> None:
    assert decide(city, problem_type=None).department is None


def test_the_first_rule_that_fits_decides_and_each_says_why(city: City) -> None:
    decision = decide(
        city,
        {"name": "signs", "problem_type": "Street Sign/Marking"},
        {"name": "west", "problem_type": "Graffiti", "district": "District 2"},
        {"name": "paint", "words": "spray paint", "people": ["wren.abbott"]},
        {"name": "never asked"},
        district="District 1",
        lat=39.09,
        lon=-94.41,
        text="SPRAY PAINT on the wall",
    )

    assert (decision.rule, decision.department) == ("paint", "PRT-TOURISM")
    assert decision.people == ("wren.abbott",)
    assert not decision.caught
    assert [tuple(one.model_dump().values()) for one in decision.tried] == [
        ("signs", DIFFERS, "problem_type", "Street Sign/Marking", "Graffiti"),
        ("west", DIFFERS, "district", "District 2", "District 1"),
        ("paint", FITS, "", "", ""),
    ]


@pytest.mark.parametrize(
    ("rule", "asked", "fits"),
    [
        ({"problem_type": ["Graffiti", "Zoning"]}, {}, True),
        ({"problem_type": "none"}, {"problem_type": None}, True),
        ({"problem_type": "none"}, {}, False),
        ({"types_of": "CD-NEIGHBORHOOD SERVICES"}, {}, True),
        ({"types_of": STREETS}, {}, False),
        ({"district": "none"}, {"lat": 39.0, "lon": -94.0}, True),
        ({"channel": ["phone", "sms"]}, {"channel": "sms"}, True),
        ({"channel": "phone"}, {}, False),
        ({"language": "es"}, {"language": "es"}, True),
        ({"emergency": True}, {"emergency": True}, True),
        ({"emergency": False}, {"emergency": True}, False),
        ({"street": "E 23rd St"}, {"address": "11401 E 23rd St"}, True),
        ({"street": "E 23rd St"}, {"address": "11401 E. 23rd Street, Independence, MO"}, True),
        ({"street": "E 23rd St"}, {"address": "11401 23rd"}, True),
        ({"street": "E 23rd St"}, {"address": "11401 W 23rd St"}, False),
        ({"street": "Noland Rd"}, {"address": "Noland and 23rd"}, True),
        ({"street": "Noland Rd"}, {"address": "23rd St & Noland Rd"}, True),
        ({"street": "Noland Rd"}, {"address": "12 Noland Ct"}, False),
        ({"street": "Lees Summit Rd"}, {"address": "3440 S Lee's Summit Road"}, True),
        ({"street": "Lees Summit Rd"}, {"address": "3440 S Summit Road"}, False),
        ({"street": "US Highway 24"}, {"address": "9701 E US Highway 24"}, True),
        (
            {"near": {"place": "Independence Square", "feet": 500}},
            {"lat": 39.0911, "lon": -94.4155},
            True,
        ),
        (
            {"near": {"place": "Independence Square", "metres": 50}},
            {"lat": 39.0911, "lon": -94.4155},
            False,
        ),
        (
            {"near": {"lat": 39.0911, "lon": -94.4155, "metres": 5}},
            {"lat": 39.0911, "lon": -94.4155},
            True,
        ),
        ({"words": ["paint", "tag*"]}, {"text": "Taggers were here"}, True),
        ({"words": "pintura"}, {"text": "¡Pintúra!"}, True),
        ({"words": "paint", "without": "peeling"}, {"text": "paint is peeling"}, False),
        ({"pattern": r"\bcase #?\d{4}\b"}, {"text": "see Case #1234"}, True),
        ({"pattern": r"^graffiti"}, {"text": "more graffiti"}, False),
    ],
)
def test_a_condition_holds_or_not(
    city: City, rule: dict[str, object], asked: dict[str, object], fits: bool
) -> None:
    assert outcome(city, rule, **asked) == (FITS if fits else DIFFERS)


def at(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    """A moment in Independence; 4 March 2026 is a Wednesday."""
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo("America/Chicago"))


@pytest.mark.parametrize(
    ("rule", "moment", "fits"),
    [
        ({"hours": "08:00-17:00"}, at(4, 8), True),
        ({"hours": "08:00-17:00"}, at(4, 17), False),
        ({"hours": "17:00-08:00"}, at(4, 23, 59), True),
        ({"hours": "17:00-08:00"}, at(4, 7, 59), True),
        ({"hours": "17:00-08:00"}, at(4, 12), False),
        ({"hours": ["06:00-07:00", "18:00-24:00"]}, at(4, 23, 59), True),
        ({"days": "weekdays"}, at(4, 12), True),
        ({"days": "weekend"}, at(4, 12), False),
        ({"days": ["Wednesday"]}, at(4, 12), True),
        # The night of Friday goes on until Saturday's morning, and no longer.
        ({"days": "fri", "hours": "22:00-06:00"}, at(6, 23), True),
        ({"days": "fri", "hours": "22:00-06:00"}, at(7, 5), True),
        ({"days": "fri", "hours": "22:00-06:00"}, at(6, 5), False),
        ({"dates": "2026-03-04"}, at(4, 0), True),
        ({"dates": "2026-03-01..2026-03-03"}, at(4, 0), False),
        ({"dates": "12-24..01-02"}, at(1, 12, month=1), True),
        ({"dates": "12-24..01-02"}, at(31, 12, month=12), True),
        ({"dates": "12-24..01-02"}, at(4, 12), False),
        ({"dates": "holidays"}, at(4, 12, month=7), True),
        ({"dates": "holidays", "hours": "20:00-06:00"}, at(5, 5, month=7), True),
        # The clock of the city, also on the day on which it jumps.
        ({"hours": "03:00-04:00"}, datetime(2026, 3, 8, 8, 30, tzinfo=UTC), True),
        ({"hours": "02:00-03:00"}, datetime(2026, 3, 8, 8, 30, tzinfo=UTC), False),
    ],
)  # fmt: skip
def test_a_time_is_the_citys(
    city: City, rule: dict[str, object], moment: datetime, fits: bool
) -> None:
    assert outcome(city, rule, at=moment) == (FITS if fits else DIFFERS)


def test_an_area_counts_its_border(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    write_features(folder, "areas.geojson", square(-94.42, 39.09, -94.41, 39.10, name="Old Town"))
    city = load_city(folder)

    assert outcome(city, {"within": "Old Town"}, lat=39.095, lon=-94.415) == FITS
    assert outcome(city, {"within": "Old Town"}, lat=39.09, lon=-94.42) == FITS
    assert outcome(city, {"within": "Old Town"}, lat=39.08, lon=-94.415) == DIFFERS


@pytest.mark.parametrize(
    "rule",
    [
        {"near": {"place": "City Hall", "feet": 500}},
        {"street": "Noland Rd"},
        {"district": "District 1"},
    ],
)
def test_without_a_place_nobody_can_tell_and_the_next_rule_is_asked(
    city: City, rule: dict[str, object]
) -> None:
    decision = decide(city, rule)

    assert decision.tried[0].outcome == UNKNOWN
    assert decision.department == "CD-NEIGHBORHOOD SERVICES"


def test_a_rule_that_differs_in_something_else_need_not_know_the_place(city: City) -> None:
    rule = {"near": {"place": "City Hall", "feet": 500}, "channel": "phone", "words": "paint"}

    assert outcome(city, rule) == DIFFERS
    assert outcome(city, rule, channel="phone") == DIFFERS, "the words are not there"


def test_a_rule_that_needs_a_place_goes_to_the_catch_all_without_one(city: City) -> None:
    decision = decide(city, {"street": "Noland Rd", "needs_place": True})

    assert decision.caught
    assert (decision.department, decision.rule) == (None, "rule 1")
    assert decision.tried[0].outcome == BROKEN
    assert (decision.tried[0].condition, decision.tried[0].found) == ("street", "no place is known")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"people": ["nobody.here"]}, '"nobody.here" is nobody who works here'),
        ({"team": "ghosts"}, 'the team "ghosts" is not there'),
        ({"department": "MS-GHOSTS"}, 'the department "MS-GHOSTS" is not there'),
        ({"near": {"place": "Atlantis", "feet": 5}}, 'the place "Atlantis" is not there'),
        ({"within": "Atlantis"}, 'the area "Atlantis" is not there'),
        ({"pattern": "(paint"}, "pattern: missing ): (paint"),
        ({"words": "(paint"}, 'words: "(paint" has a bracket that is not closed'),
        ({"dates": "Easter"}, 'time: "Easter" is no day'),
    ],
)
def test_a_rule_that_cannot_run_goes_to_the_catch_all(
    city: City, rule: dict[str, object], reason: str
) -> None:
    """Such rules do not come through `city check`; what comes another way must not be lost."""
    decision = decide(city, rule, {"name": "never asked"})

    assert decision.caught
    assert decision.department is None
    (tried,) = decision.tried
    assert tried.outcome == BROKEN
    assert tried.found.startswith(reason)


def test_a_broken_rule_that_differs_in_something_else_breaks_nothing(city: City) -> None:
    decision = decide(city, {"pattern": "(paint", "problem_type": "Zoning"})

    assert not decision.caught
    assert decision.tried[0].outcome == DIFFERS


def test_the_catch_all_may_be_somebody(city: City) -> None:
    rules = RoutingRules.model_validate(
        {
            "catch_all": {"people": ["kim.sutton"]},
            "rule": [{"name": "broken", "pattern": "(", "triage": True}],
        }
    )
    decision = Matcher(rules, city).decide(Asked(at=NOON, problem_type="Graffiti"))

    assert decision.caught
    assert (decision.department, decision.people) == ("MO-MANAGERS OFFICE", ("kim.sutton",))


def test_a_rule_may_ask_for_a_person_to_decide(city: City) -> None:
    decision = decide(city, {"triage": True})

    assert (decision.department, decision.rule, decision.caught) == (None, "rule 1", False)


# ── what cannot be meant ────────────────────────────────────────────────────────────────────────


def faults(city: City, rules: str) -> list[str]:
    with pytest.raises(BadCity) as bad:
        city_with_rules(city, rules)
    return list(bad.value.faults)


RULE = '[[rule]]\nname = "one"\ndepartment = "IPL"\n'


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ('problem_type = "Ghosts"', 'the type "Ghosts" is not in problem-types.csv.'),
        (
            'district = ["District 1", "District 9"]',
            'the district "District 9" is not in districts.geojson.',
        ),
        ('types_of = "GHOSTS"', 'the department "GHOSTS" is not in departments.csv.'),
        ('near = { place = "Atlantis", feet = 9 }', 'the place "Atlantis" is not in streets.csv.'),
        ('within = "Atlantis"', 'the area "Atlantis" is not in areas.geojson.'),
        ("near = { feet = 9 }", "near: near needs a place, or a lat and a lon."),
        ('near = { place = "City Hall" }', "near: near needs feet or metres."),
        (
            'days = "someday"',
            'days: "someday" is none of mon, tue, wed, thu, fri, sat, sun, weekdays, weekend.',
        ),
        ('hours = "9 to 5"', 'hours: "9 to 5" is no part of a day, like "18:00-06:00".'),
        ('hours = "25:00-26:00"', 'hours: "25:00-26:00" has an hour that no clock shows.'),
        (
            'dates = "Easter"',
            'dates: "Easter" is no day, like "2026-12-24", "12-25" or "12-24..01-02", and no '
            "name of [days].",
        ),
        (
            'dates = "02-30"',
            'dates: "02-30" is no day (day is out of range for month), and no name of [days].',
        ),
        ('words = "(fire"', 'words: "(fire" has a bracket that is not closed.'),
        ('pattern = "(fire"', 'pattern: "(fire" is no regular expression: missing ): (fire.'),
        ('channel = "fax"', 'the channel "fax" is none of email, open311, phone, sms, web.'),
        ('language = "fr"', 'the language "fr" is none of en, es.'),
        ("needs_place = true", "needs_place: no condition asks for a place."),
        ('colour = "red"', "colour: Extra inputs are not permitted."),
        ("triage = true", "it goes to triage, or to somebody: not both."),
        ('people = "nobody"', '"nobody" is not in people.csv.'),
        ('people = "jo.linden"', '"jo.linden" works for MS-STREET MAINTENANCE, not for IPL.'),
        ('team = "ghosts"', 'the team "ghosts" is not in [teams].'),
    ],
)
def test_a_condition_that_cannot_be_meant_is_said(
    city: City, condition: str, sentence: str
) -> None:
    assert faults(city, RULE + condition) == [f'rules.toml, line 1 ("one"): {sentence}']


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (RULE + "\n" + RULE, 'rules.toml, line 5 ("one"): this name stands there twice.'),
        ('# no name\n[[rule]]\ndepartment = "IPL"', "rules.toml, line 2: name: Field required."),
        (
            '[[rule]]\nname = "one"',
            'rules.toml, line 1 ("one"): it says nobody who takes it: department, people, '
            "team, or triage = true.",
        ),
        (
            '[[rule]]\nname = "one"\ndepartment = "GHOSTS"',
            'rules.toml, line 1 ("one"): the department "GHOSTS" is not in departments.csv.',
        ),
        (
            '[[rule]]\nname = "one"\npeople = ["jo.linden", "ruth.kemp"]',
            'rules.toml, line 1 ("one"): its people work in several departments, or in none: '
            "say which department it is.",
        ),
        ('[rule]\nname = "one"', 'rules.toml: a rule begins with "[[rule]]", in double brackets.'),
        ('[teams]\ncrew = ["nobody"]', 'rules.toml, teams: "crew": "nobody" is not in people.csv.'),
        ("[teams]\ncrew = []", 'rules.toml, teams: "crew" has nobody.'),
        (
            '[days]\nours = ["2026-02-30"]',
            'rules.toml, days: "ours": "2026-02-30" is no day (day is out of range for month).',
        ),
        (
            '[catch_all]\ndepartment = "GHOSTS"',
            'rules.toml, catch_all: the department "GHOSTS" is not in departments.csv.',
        ),
        (
            "[[rule]",
            "rules.toml is no TOML: Expected ']]' at the end of an array declaration (at line "
            "1, column 7).",
        ),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_line(city: City, rules: str, sentence: str) -> None:
    assert faults(city, rules) == [sentence]


def test_a_bad_rule_is_a_fault_of_the_city(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    change(folder, "rules.toml", "17:00-07:00", "17:00")
    with pytest.raises(BadCity) as bad:
        load_city(folder)

    assert bad.value.faults == (
        'rules.toml, line 13 ("Limbs in wires at night"): hours: "17:00" is no part of a day, '
        'like "18:00-06:00".',
    )


def test_a_rule_whose_people_have_all_left_is_a_fault(city: City) -> None:
    people = tuple(
        person.model_copy(update={"active": person.id != "ruth.kemp"}) for person in city.people
    )
    left = city.model_copy(update={"people": people})
    rule = '[[rule]]\nname = "one"\npeople = ["ruth.kemp"]\n'

    assert faults(left, rule) == ['rules.toml, line 1 ("one"): nobody whom it names is active.']


def test_every_bad_rule_is_found_at_once(city: City) -> None:
    told = faults(
        city,
        RULE + 'district = "Mars"\nwords = ")"\n\n' + RULE.replace("one", "two") + 'hours = "x"\n',
    )

    assert len(told) == 3


def test_the_rules_may_be_missing(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    (folder / "rules.toml").unlink()

    assert load_city(folder).rules == RoutingRules()


def test_another_rule_is_another_version(tmp_path: Path, city: City) -> None:
    folder = copy_of_sample(tmp_path)
    assert load_city(folder).version == city.version
    change(folder, "rules.toml", "17:00-07:00", "18:00-07:00")

    assert load_city(folder).version != city.version
