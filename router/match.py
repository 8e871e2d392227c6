"""
Which rule a complaint fits: each is tried in order, and it is written down why it fits or not.

Pure. A rule that cannot run is no rule that does not fit: the complaint goes to the catch-all, and
the trace says what is broken, so that somebody hears of it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

import shapely
from shapely.geometry.base import BaseGeometry

from bus.contracts import RuleTried
from router.phrases import BadPhrase, any_of, compiled, fold
from router.place_words import place_words
from router.routing import (
    NONE,
    CatchAll,
    RoutingRules,
    Rule,
    asked_by,
    named_people,
    read_days,
)

_SHOWN = 120  # letters of what a rule asks for
_EARTH = 111_320  # metres in a degree of latitude

FITS, DIFFERS, UNKNOWN, BROKEN = "fits", "differs", "unknown", "broken"


@dataclass(frozen=True)
class Asked:
    """What is known of a complaint when rules are asked."""

    at: datetime
    """When it was received."""
    text: str = ""
    problem_type: str | None = None
    district: str | None = None
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    channel: str = "web"
    language: str = "en"
    emergency: bool = False

    @cached_property
    def plain(self) -> str:
        return fold(self.text)

    @cached_property
    def streets(self) -> list[str]:
        return place_words(self.address or "")


@dataclass(frozen=True)
class Decision:
    """Who takes it."""

    department: str | None
    people: tuple[str, ...] | None
    """Sign-in names, as the rule says them; None: the department decides."""
    shared: bool
    """Whether these people share the load; else they stand in order of preference."""
    rule: str | None
    """The name of the rule; None: the type's department, or nobody's."""
    caught: bool
    """Whether the rule cannot run, and the catch-all takes it."""
    tried: tuple[RuleTried, ...]


class Landscape(Protocol):
    """What rules speak of, as a city has it."""

    @property
    def zone(self) -> ZoneInfo: ...
    @property
    def points(self) -> Mapping[str, tuple[float, float]]: ...
    @property
    def areas_by_name(self) -> Mapping[str, BaseGeometry]: ...
    @property
    def department_of_type(self) -> Mapping[str, str]: ...
    @property
    def department_of_person(self) -> Mapping[str, str | None]: ...
    @property
    def departments_by_name(self) -> Mapping[str, object]: ...


class _CannotRun(Exception):
    """A condition that cannot be judged, whatever the complaint; says why."""


_Judge = Callable[[Asked], str | None]
"""None where it holds; else what was found instead, `UNKNOWN` where nobody can tell."""


@dataclass(frozen=True)
class _Condition:
    name: str
    asks: str
    judge: _Judge


@dataclass(frozen=True)
class _Ready:
    rule: Rule
    conditions: Sequence[_Condition]
    broken: str
    """Why it cannot run; empty where it can."""


class Matcher:
    """A city's rules, made ready."""

    def __init__(self, rules: RoutingRules, city: Landscape) -> None:
        self._rules = rules
        self._city = city
        self._ready = [self._prepare(rule) for rule in rules.rule]
        self._tried = lru_cache(maxsize=4_096)(_tried)

    def decide(self, asked: Asked) -> Decision:
        """The first rule that fits, or the type's department; with every rule that was tried."""
        tried: list[RuleTried] = []
        for ready in self._ready:
            outcome, condition, found = self._try(ready, asked)
            asks = condition.asks if condition else ""
            tried.append(
                self._tried(
                    ready.rule.name, outcome, condition.name if condition else "", asks, found
                )
            )
            if outcome == BROKEN:
                return self._take(self._rules.catch_all, ready.rule, tried, caught=True)
            if outcome == FITS:
                return self._take(ready.rule, ready.rule, tried, caught=False)
        department = self._city.department_of_type.get(asked.problem_type or "")
        return Decision(department, None, False, None, False, tuple(tried))

    def _try(self, ready: _Ready, asked: Asked) -> tuple[str, _Condition | None, str]:
        unknown: _Condition | None = None
        for condition in ready.conditions:
            try:
                found = condition.judge(asked)
            except Exception as error:
                # Whatever it is, it must not cost a complaint its desk: the catch-all has it, and
                # the rule's name stands in the log.
                return BROKEN, condition, type(error).__name__
            if found == UNKNOWN:
                unknown = unknown or condition
            elif found is not None:
                return DIFFERS, condition, found
        if ready.broken:
            return BROKEN, None, ready.broken
        if unknown is None:
            return FITS, None, ""
        if ready.rule.needs_place:
            return BROKEN, unknown, "no place is known"
        return UNKNOWN, unknown, ""

    def _take(
        self, taker: Rule | CatchAll, rule: Rule, tried: Sequence[RuleTried], *, caught: bool
    ) -> Decision:
        people = named_people(taker, self._rules)
        department = taker.department
        if department is None and people:
            department = self._city.department_of_person.get(people[0])
        shared = taker.team is not None
        return Decision(department, people, shared, rule.name, caught, tuple(tried))

    # ── making ready ────────────────────────────────────────────────────────────────────────────

    def _prepare(self, rule: Rule) -> _Ready:
        conditions: list[_Condition] = []
        broken = self._broken_taker(rule)
        make: Mapping[str, Callable[[Rule], _Judge]] = {
            "channel": _channel,
            "language": _language,
            "emergency": _emergency,
            "problem_type": self._problem_type,
            "district": _district,
            "time": self._time,
            "street": _street,
            "near": self._near,
            "within": self._within,
            "words": _words,
            "without": _without,
            "pattern": _pattern,
        }
        for name, asks in asked_by(rule):
            try:
                conditions.append(_Condition(name, _short(asks), make[name](rule)))
            except _CannotRun as reason:
                broken = broken or str(reason)
            except (BadPhrase, ValueError) as reason:
                broken = broken or f"{name}: {reason}"
        return _Ready(rule, conditions, broken)

    def _broken_taker(self, rule: Rule) -> str:
        if rule.team is not None and rule.team not in self._rules.teams:
            return f'the team "{rule.team}" is not there'
        people = named_people(rule, self._rules) or ()
        for login in people:
            if login not in self._city.department_of_person:
                return f'"{login}" is nobody who works here'
        if rule.department is not None and rule.department not in self._city.departments_by_name:
            return f'the department "{rule.department}" is not there'
        if not (rule.department or people or rule.triage):
            return "it names nobody"
        return ""

    def _problem_type(self, rule: Rule) -> _Judge:
        handled = self._city.department_of_type
        wanted = frozenset(rule.problem_type) | {
            kind for kind, department in handled.items() if department in rule.types_of
        }
        return lambda asked: _one_of(asked.problem_type, wanted)

    def _time(self, rule: Rule) -> _Judge:
        zone, weekdays = self._city.zone, rule.weekdays
        named = [day for name in rule.dates for day in self._rules.days.get(name, (name,))]
        dates = [read_days(day) for day in named]

        def judge(asked: Asked) -> str | None:
            local = asked.at.astimezone(zone)
            clock = local.time().replace(second=0, microsecond=0)
            for hours in rule.hours or (None,):
                day = local.date()
                if hours is not None:
                    if hours.past_midnight and clock < hours.ends:
                        day -= timedelta(days=1)  # it belongs to the night that began then
                    elif not (
                        hours.begins <= clock and (hours.past_midnight or clock < hours.ends)
                    ):
                        continue
                if weekdays and day.weekday() not in weekdays:
                    continue
                if not dates or any(span.holds(day) for span in dates):
                    return None
            return f"{local:%a %Y-%m-%d %H:%M}"

        return judge

    def _near(self, rule: Rule) -> _Judge:
        circles = []
        for near in rule.near:
            point = (near.lat, near.lon) if near.place is None else None
            if near.place is not None and (point := self._city.points.get(near.place)) is None:
                raise _CannotRun(f'the place "{near.place}" is not there')
            if point is not None and point[0] is not None and point[1] is not None:
                circles.append((point[0], point[1], near.radius))

        def judge(asked: Asked) -> str | None:
            if asked.lat is None or asked.lon is None:
                return UNKNOWN
            away = [
                (_metres(asked.lat, asked.lon, lat, lon), radius) for lat, lon, radius in circles
            ]
            if any(distance <= radius for distance, radius in away):
                return None
            return f"{round(min(distance for distance, _ in away), -1):g} m"

        return judge

    def _within(self, rule: Rule) -> _Judge:
        areas = []
        for name in rule.within:
            area = self._city.areas_by_name.get(name)
            if area is None:
                raise _CannotRun(f'the area "{name}" is not there')
            areas.append(area)
        whole = shapely.union_all(areas)
        shapely.prepare(whole)

        def judge(asked: Asked) -> str | None:
            if asked.lat is None or asked.lon is None:
                return UNKNOWN
            inside = shapely.covers(whole, shapely.Point(asked.lon, asked.lat))
            return None if inside else ""

        return judge


# ── conditions ──────────────────────────────────────────────────────────────────────────────────


def _one_of(value: str | None, wanted: frozenset[str]) -> str | None:
    found = NONE if value is None else value
    return None if found in wanted else found


def _channel(rule: Rule) -> _Judge:
    wanted = frozenset(rule.channel)
    return lambda asked: _one_of(asked.channel, wanted)


def _language(rule: Rule) -> _Judge:
    wanted = frozenset(rule.language)
    return lambda asked: _one_of(asked.language, wanted)


def _emergency(rule: Rule) -> _Judge:
    return lambda asked: None if asked.emergency is rule.emergency else ""


def _district(rule: Rule) -> _Judge:
    wanted = frozenset(rule.district)

    def judge(asked: Asked) -> str | None:
        if asked.district is None and NONE not in wanted and asked.lat is None:
            return UNKNOWN
        return _one_of(asked.district, wanted)

    return judge


_DIRECTIONS = frozenset({"n", "s", "e", "w", "ne", "nw", "se", "sw"})
_SUFFIXES = frozenset(
    place_words(
        "street avenue road drive court lane boulevard terrace circle place parkway trail way "
        "square trafficway alley"
    )
)


def _street(rule: Rule) -> _Judge:
    streets = []
    for name in rule.street:
        words = place_words(name)
        before = words[0] if len(words) > 1 and words[0] in _DIRECTIONS else None
        after = words[-1] if len(words) > 1 and words[-1] in _SUFFIXES else None
        core = words[1 if before else 0 : len(words) - 1 if after else len(words)]
        if not core:
            raise _CannotRun(f'"{name}" is no street')
        streets.append((before, core, after))

    def judge(asked: Asked) -> str | None:
        if not asked.streets:
            return UNKNOWN
        return None if any(_names(asked.streets, *street) for street in streets) else ""

    return judge


def _names(words: Sequence[str], before: str | None, core: list[str], after: str | None) -> bool:
    """Whether an address is on a street. People leave out East and Avenue; what they say counts."""
    for start in range(len(words) - len(core) + 1):
        if list(words[start : start + len(core)]) != core:
            continue
        said_before = words[start - 1] if start else ""
        end = start + len(core)
        said_after = words[end] if end < len(words) else ""
        other_side = before and said_before in _DIRECTIONS and said_before != before
        other_kind = after and said_after in _SUFFIXES and said_after != after
        if not other_side and not other_kind:
            return True
    return False


def _words(rule: Rule) -> _Judge:
    phrases = any_of(rule.words)
    return lambda asked: None if phrases and phrases.search(asked.plain) else ""


def _without(rule: Rule) -> _Judge:
    phrases = any_of(rule.without)

    def judge(asked: Asked) -> str | None:
        found = phrases.search(asked.plain) if phrases else None
        return None if found is None else found.group()[:_SHOWN]

    return judge


def _pattern(rule: Rule) -> _Judge:
    patterns = [compiled(pattern) for pattern in rule.pattern]

    def judge(asked: Asked) -> str | None:
        return None if any(one.search(asked.plain) for one in patterns) else ""

    return judge


# ── words for the trace ─────────────────────────────────────────────────────────────────────────


def _short(asks: str) -> str:
    return asks if len(asks) <= _SHOWN else asks[: _SHOWN - 1] + "…"


def _tried(rule: str, outcome: str, condition: str, asks: str, found: str) -> RuleTried:
    # Our own values; checking them again costs more than finding them.
    return RuleTried.model_construct(
        rule=rule, outcome=outcome, condition=condition, asks=asks, found=found
    )


def _metres(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    # Flat earth: good enough within a city.
    north = (lat - other_lat) * _EARTH
    east = (lon - other_lon) * _EARTH * math.cos(math.radians(lat))
    return math.hypot(north, east)
