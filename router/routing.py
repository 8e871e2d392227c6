"""
Who must act, as a city writes it down: `rules.toml`, read and checked.

A rule has conditions and says who takes what fits all of them; the first that fits decides. What
cannot be meant is said here, in a sentence with its line: a bad rule stops the start, not a
complaint. `match.py` applies what stands here.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from router.phrases import BadPhrase, any_of, compiled

NONE = "none"
"""As a condition: the complaint has no type, or no district."""

CHANNELS = ("web", "phone", "email", "sms", "open311")

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SEVERAL_DAYS = {"weekdays": DAYS[:5], "weekend": DAYS[5:]}
_FEET = 0.3048  # metres

_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DATE = re.compile(r"(?:(\d{4})-)?(\d{1,2})-(\d{1,2})")


# ── what stands in it ───────────────────────────────────────────────────────────────────────────


class Written(BaseModel):
    """A part of the file, never changed once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _several(value: object) -> object:
    return (value,) if isinstance(value, str | dict) else value


Given = Annotated[str, Field(min_length=1)]
Several = Annotated[tuple[Given, ...], BeforeValidator(_several)]
"""One, or a list of them."""


class Hours(Written):
    """A part of the day; one that ends before it begins goes on after midnight."""

    begins: time
    ends: time

    @property
    def past_midnight(self) -> bool:
        return self.ends <= self.begins

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


class Days(Written):
    """From one day to another, both counted; without a year it is so every year."""

    first: tuple[int | None, int, int]
    last: tuple[int | None, int, int]

    def holds(self, day: date) -> bool:
        if self.first[0] is not None:
            return self.first <= (day.year, day.month, day.day) <= self.last
        first, last, today = self.first[1:], self.last[1:], (day.month, day.day)
        if first <= last:
            return first <= today <= last
        return today >= first or today <= last  # over New Year


def _hours(value: object) -> object:
    if not isinstance(value, str):
        return value
    read = _HOURS.fullmatch(value.strip())
    if read is None:
        raise ValueError(f'"{value}" is no part of a day, like "18:00-06:00"')
    begin_hour, begin, end_hour, end = map(int, read.groups())
    if begin_hour > 23 or end_hour > 24 or begin > 59 or end > 59 or (end_hour == 24 and end):
        raise ValueError(f'"{value}" has an hour that no clock shows')
    return {"begins": time(begin_hour, begin), "ends": time(end_hour % 24, end)}


def read_days(value: str) -> Days:
    """`2026-12-24`, `2026-12-24..2027-01-02`, `12-25` or `12-24..01-02`; raises ValueError."""
    parts = [_DATE.fullmatch(part.strip()) for part in value.split("..")]
    if len(parts) not in (1, 2) or not all(parts):
        raise ValueError(f'"{value}" is no day, like "2026-12-24", "12-25" or "12-24..01-02"')
    days = []
    for part in parts:
        year, month, day = part.groups() if part else ("", "", "")
        date(int(year) if year else 2024, int(month), int(day))  # raises for the 31st of June
        days.append((int(year) if year else None, int(month), int(day)))
    first, last = days[0], days[-1]
    if (first[0] is None) is not (last[0] is None):
        raise ValueError(f'"{value}" has a year on one side only')
    if first[0] is not None and last < first:
        raise ValueError(f'"{value}" ends before it begins')
    return Days(first=first, last=last)


class Near(Written):
    """Around a place that the city knows, or around a point."""

    place: str | None = None
    """One of `streets.csv`."""
    lat: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    lon: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    feet: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    metres: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _whole(self) -> "Near":
        points = (self.lat is not None, self.lon is not None)
        if (self.place is None) is not all(points) or any(points) is not all(points):
            raise ValueError("near needs a place, or a lat and a lon")
        if (self.feet is None) is (self.metres is None):
            raise ValueError("near needs feet or metres")
        return self

    @property
    def radius(self) -> float:
        """In metres."""
        return self.metres if self.metres is not None else (self.feet or 0) * _FEET

    def __str__(self) -> str:
        around = self.place or f"{self.lat}, {self.lon}"
        far = f"{self.metres:g} metres" if self.metres is not None else f"{self.feet:g} feet"
        return f"{far} around {around}"


class Rule(Written):
    """
    Conditions, which all have to hold, and who takes it then. A condition that is left out always
    holds; of several values of one, any will do.
    """

    name: Given

    problem_type: Several = ()
    types_of: Several = ()
    """All types that these departments handle."""
    district: Several = ()
    street: Several = ()
    near: Annotated[tuple[Near, ...], BeforeValidator(_several)] = ()
    within: Several = ()
    """Areas of `areas.geojson`."""
    days: Several = ()
    hours: Annotated[
        tuple[Annotated[Hours, BeforeValidator(_hours)], ...], BeforeValidator(_several)
    ] = ()
    dates: Several = ()
    """Days as `read_days` knows them, or names of `[days]`."""
    words: Several = ()
    without: Several = ()
    """Phrases none of which may stand in the text."""
    pattern: Several = ()
    """Regular expressions of RE2's."""
    channel: Several = ()
    language: Several = ()
    emergency: bool | None = None
    needs_place: bool = False
    """Where it fits in all else and no place is known, the rule cannot run."""

    department: str | None = None
    people: Several = ()
    """In order of preference."""
    team: str | None = None
    triage: bool = False
    """A person is to decide: the triage desk."""
    why: str = ""
    """For whoever asks why it is so."""

    @property
    def weekdays(self) -> frozenset[int]:
        """0 is Monday; empty: all. Only for days that are known."""
        named = [name for day in self.days for name in _SEVERAL_DAYS.get(day.lower(), (day,))]
        return frozenset(DAYS.index(name.lower()[:3]) for name in named)


class CatchAll(Written):
    """Who takes what a rule cannot decide; without a department, the triage desk."""

    department: str | None = None
    people: Several = ()
    team: str | None = None


class RoutingRules(Written):
    """The whole file."""

    teams: dict[str, Several] = {}
    """People who share the load, by the team's name."""
    days: dict[str, Several] = {}
    """Days that rules name: holidays."""
    catch_all: CatchAll = CatchAll()
    rule: tuple[Rule, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Rule]:
        return {rule.name: rule for rule in self.rule}


# ── reading ─────────────────────────────────────────────────────────────────────────────────────

FILE = "rules.toml"


def read_rules(text: str, faults: list[str]) -> RoutingRules:
    """What the file says; what cannot be read of it is said in `faults`, and left out."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{FILE} is no TOML: {error}.")
        return RoutingRules()
    listed = value.pop("rule", [])
    if not isinstance(listed, list):
        faults.append(f'{FILE}: a rule begins with "[[rule]]", in double brackets.')
        listed = []
    rules = []
    for number, (written, where) in enumerate(zip(listed, places(text, listed), strict=True)):
        try:
            rules.append((number, Rule.model_validate(written)))
        except ValidationError as error:
            faults.extend(f"{where}: {sentence}" for sentence in _sentences(error))
    try:
        rest = RoutingRules.model_validate(value)
    except ValidationError as error:
        faults.extend(f"{FILE}: {sentence}" for sentence in _sentences(error))
        rest = RoutingRules()
    return rest.model_copy(update={"rule": tuple(rule for _, rule in rules)})


def places(text: str, rules: Sequence[object]) -> list[str]:
    """How a sentence names each rule: file, line and name."""
    lines = [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if re.match(r"\s*\[\[\s*rule\s*\]\]", line)
    ]
    said = []
    for number, rule in enumerate(rules):
        line = f"line {lines[number]}" if number < len(lines) else f"rule {number + 1}"
        name = rule.get("name") if isinstance(rule, dict) else getattr(rule, "name", None)
        said.append(f'{FILE}, {line} ("{name}")' if name else f"{FILE}, {line}")
    return said


def _sentences(error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        where = ".".join(str(step) for step in fault["loc"] if not isinstance(step, int))
        said = fault["msg"].removeprefix("Value error, ")
        yield f"{where}: {said}." if where else f"{said}."


# ── checking ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Known:
    """What rules may name."""

    departments: Collection[str]
    types: Mapping[str, str]
    """Problem types, each with its department."""
    people: Mapping[str, Any]
    """By sign-in name; each has `department` and `active`."""
    districts: Collection[str]
    places: Collection[str]
    areas: Collection[str]
    languages: Collection[str]


def faults_of(rules: RoutingRules, known: Known, text: str) -> Iterator[str]:
    """A sentence for everything that a rule names and that is not there."""
    where = f"{FILE}, teams"
    for name, members in rules.teams.items():
        for sentence in _strangers(members, known):
            yield f'{where}: "{name}": {sentence}'
        if not members:
            yield f'{where}: "{name}" has nobody.'
    for name, days in rules.days.items():
        for day in days:
            if sentence := _no_day(day):
                yield f'{FILE}, days: "{name}": {sentence}.'
    for sentence in _bad_taker(rules.catch_all, rules, known):
        yield f"{FILE}, catch_all: {sentence}"
    seen: set[str] = set()
    for rule, where in zip(rules.rule, places(text, rules.rule), strict=True):
        if rule.name in seen:
            yield f"{where}: this name stands there twice."
        seen.add(rule.name)
        for sentence in (*_bad_conditions(rule, rules, known), *_bad_action(rule, rules, known)):
            yield f"{where}: {sentence}"


def _bad_conditions(rule: Rule, rules: RoutingRules, known: Known) -> Iterator[str]:
    for what, named, there, file in (
        ("type", rule.problem_type, {NONE, *known.types}, "problem-types.csv"),
        ("department", rule.types_of, known.departments, "departments.csv"),
        ("district", rule.district, {NONE, *known.districts}, "districts.geojson"),
        ("area", rule.within, known.areas, "areas.geojson"),
        ("place", [near.place for near in rule.near if near.place], known.places, "streets.csv"),
        ("channel", rule.channel, CHANNELS, ""),
        ("language", rule.language, known.languages, ""),
    ):
        for name in named:
            if name not in there:
                known_are = f"not in {file}" if file else f"none of {', '.join(sorted(there))}"
                yield f'the {what} "{name}" is {known_are}.'
    for day in rule.days:
        if day.lower() not in _SEVERAL_DAYS and day.lower()[:3] not in DAYS:
            yield f'days: "{day}" is none of {", ".join((*DAYS, *_SEVERAL_DAYS))}.'
    for day in rule.dates:
        if day not in rules.days and (sentence := _no_day(day)):
            yield f"dates: {sentence}, and no name of [days]."
    for phrases in (rule.words, rule.without):
        for phrase in phrases:
            try:
                any_of([phrase])
            except BadPhrase as reason:
                yield f"words: {reason}."
    for pattern in rule.pattern:
        try:
            compiled(pattern)
        except BadPhrase as reason:
            yield f'pattern: "{pattern}" is no regular expression: {reason}.'
    if rule.needs_place and not (rule.near or rule.within or rule.street or rule.district):
        yield "needs_place: no condition asks for a place."


def _bad_action(rule: Rule, rules: RoutingRules, known: Known) -> Iterator[str]:
    takers = [rule.department, rule.people, rule.team]
    if rule.triage and any(takers):
        yield "it goes to triage, or to somebody: not both."
    elif not rule.triage and not any(takers):
        yield "it says nobody who takes it: department, people, team, or triage = true."
    yield from _bad_taker(rule, rules, known)


def _bad_taker(taker: Rule | CatchAll, rules: RoutingRules, known: Known) -> Iterator[str]:
    if taker.department is not None and taker.department not in known.departments:
        yield f'the department "{taker.department}" is not in departments.csv.'
    if taker.people and taker.team:
        yield "it names people and a team: one of them will do."
    if taker.team is not None and taker.team not in rules.teams:
        yield f'the team "{taker.team}" is not in [teams].'
    yield from _strangers(taker.people, known)
    people = named_people(taker, rules)
    if people:
        found = [known.people[login] for login in people if login in known.people]
        if found and not any(person.active for person in found):
            yield "nobody whom it names is active."
        houses = {known.people[login].department for login in people if login in known.people}
        if taker.department is None and (len(houses) > 1 or None in houses):
            yield "its people work in several departments, or in none: say which department it is."
        for login in people:
            works = known.people[login].department if login in known.people else taker.department
            if taker.department is not None and works != taker.department:
                yield (
                    f'"{login}" works for {works or "no department"}, not for {taker.department}.'
                )


def _strangers(logins: Sequence[str], known: Known) -> Iterator[str]:
    for login in logins:
        if login not in known.people:
            yield f'"{login}" is not in people.csv.'


def _no_day(day: str) -> str:
    try:
        read_days(day)
    except ValueError as error:
        reason = str(error)
        return reason if day in reason else f'"{day}" is no day ({reason})'
    return ""


def asked_by(rule: Rule) -> list[tuple[str, str]]:
    """Its conditions by name, each with what it asks for; the cheap ones first, the type early."""
    return [
        (name, ", ".join(map(str, asks)))
        for name, asks in (
            ("channel", rule.channel),
            ("language", rule.language),
            ("emergency", () if rule.emergency is None else ("yes" if rule.emergency else "no",)),
            ("problem_type", (*rule.problem_type, *rule.types_of)),
            ("district", rule.district),
            ("time", (*rule.days, *rule.hours, *rule.dates)),
            ("street", rule.street),
            ("near", rule.near),
            ("within", rule.within),
            ("words", rule.words),
            ("without", rule.without),
            ("pattern", rule.pattern),
        )
        if asks
    ]


def named_people(taker: Rule | CatchAll, rules: RoutingRules) -> tuple[str, ...] | None:
    """The people whom a rule names by themselves or as a team; None: the department decides."""
    if taker.team is not None:
        return tuple(rules.teams.get(taker.team, ()))
    return taker.people or None
