"""
How the city does: what was opened, closed and first acted upon in a span, how long that took, and
what is open now. Of a million cases it takes a second or so: ask for it in a thread.

How long something took is told by the minute up to two hours, by ten minutes up to two days, by
the hour up to two weeks, and by the nearest day beyond.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import numpy as np
from numpy.typing import NDArray

from store.counted import NEVER, Cases, micros, moment

_LONG = 30.0  # seconds
_MINUTE = 60_000_000  # microseconds
_DAY = 1440 * _MINUTE


@dataclass(frozen=True)
class Fold:
    """A city's other names for things, the days in which it wants to be done, by its own names."""

    types: Mapping[str, str] = field(default_factory=dict)
    departments: Mapping[str, str] = field(default_factory=dict)
    act_days: Mapping[str, float] = field(default_factory=dict)
    close_days: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Cases that have one thing in common."""

    by: str
    """`problem_type`, `department`, `district`, `channel`, `assignee`; empty: all of them."""
    name: str | None
    """None: they have none. `ELSEWHERE`: a place that is known and in no district."""


WHOLE = Group("", None)
ELSEWHERE = "\x01elsewhere"
"""Stands for a district's name; the first letter is one that no name can begin with."""


@dataclass(frozen=True)
class OpenedCount:
    """What was opened in a span, and what has become of it since."""

    opened: int
    reopened: int
    duplicates: int
    type_foretold: int
    type_corrected: int
    department_foretold: int
    department_corrected: int


@dataclass(frozen=True)
class Took:
    """How long it took; `None` where nothing is timed."""

    cases: int
    """All of them, the timed and the others."""
    timed: int
    median: int | None
    """Minutes: no more than half of the timed took less, and no more than half took longer."""
    p90: int | None
    aimed: int
    """Of the timed, those of a type for which the city has an aim."""
    in_time: int


NOTHING_TOOK = Took(0, 0, None, None, 0, 0)


@dataclass(frozen=True)
class OpenNow:
    """What is open at this moment, by its age in days."""

    cases: int
    week: int
    """Younger than 7 days."""
    month: int
    """7 to 30."""
    quarter: int
    """30 to 90."""
    year: int
    """90 to 365."""
    older: int
    late_to_act: int
    """Nobody has acted, and the aim is over."""
    late_to_close: int


@dataclass(frozen=True)
class Totals:
    """The figures of a span that another one is compared with."""

    opened: OpenedCount
    first_action: Took
    closing: Took


@dataclass(frozen=True)
class Place:
    name: str
    count: int


@dataclass(frozen=True)
class Block:
    """A square of about a hundred metres; its middle."""

    lat: float
    lon: float
    count: int


BY = ("problem_type", "department", "district", "channel")

# A place is known by a number; of each, one case tells its name.
PLACES = """
    SELECT c.place AS name, b.count
    FROM unnest($1::bigint[], $2::int[], $3::timestamptz[]) AS b (mark, count, opened_at)
    CROSS JOIN LATERAL (
        SELECT place
        FROM counted_cases
        WHERE opened_at = b.opened_at AND hashtextextended(place, 0) = b.mark
        LIMIT 1
    ) AS c
    ORDER BY b.count DESC, c.place
    LIMIT $4
"""
NAMES = "SELECT login, name FROM accounts WHERE login = ANY ($1::text[])"


def opened(
    cases: Cases, begin: datetime, end: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, OpenedCount]:
    """What was opened from `begin` until before `end`, all of it and by each of `by`."""
    some = cases.only(_within(cases["opened_at"], begin, end))
    flags = [
        np.flatnonzero(some.flag(name))
        for name in (
            *("reopened", "duplicate", "type_foretold", "type_corrected"),
            *("department_foretold", "department_corrected"),
        )
    ]
    return {
        group: OpenedCount(*counts)
        for groups in _all_groups(some, fold, by)
        for group, *counts in zip(
            groups.told, groups.count(), *(groups.count(flag) for flag in flags), strict=True
        )
        if counts[0] or group == WHOLE
    }


def closing(
    cases: Cases, begin: datetime, end: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, Took]:
    """
    What was closed in the span, and how long that took since it was opened. Not timed: what was
    joined with another case, and what another system closed without saying how long it took.
    """
    # What was joined with another case was closed by that, which tells nothing of how long work
    # takes.
    some = cases.only(_within(cases["closed_at"], begin, end))
    timed = some.flag("timed") & ~some.flag("duplicate")
    return _took(some, some["closed_at"], timed, fold, fold.close_days, by)


def first_actions(
    cases: Cases, begin: datetime, end: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, Took]:
    """What somebody who works for the city first acted upon in the span, and how soon."""
    some = cases.only(_within(cases["first_action_at"], begin, end))
    timed = np.ones(len(some), dtype=np.bool_)
    return _took(some, some["first_action_at"], timed, fold, fold.act_days, by)


def totals(cases: Cases, begin: datetime, end: datetime, fold: Fold) -> Totals:
    """A span's figures as a whole."""
    return Totals(
        opened(cases, begin, end, fold, ())[WHOLE],
        first_actions(cases, begin, end, fold, ())[WHOLE],
        closing(cases, begin, end, fold, ())[WHOLE],
    )


def open_now(
    cases: Cases, now: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, OpenNow]:
    """What is open, by its age."""
    at = micros(now)
    some = cases.only((cases["closed_at"] == NEVER) & (cases["opened_at"] < at))
    age = at - some["opened_at"]
    days = [0, 7, 30, 90, 365]
    ages = [
        np.flatnonzero((age >= first * _DAY) & ((age < last * _DAY) if last else True))
        for first, last in zip(days, [*days[1:], None], strict=True)
    ]
    unseen = ~some.flag("imported") & (some["first_action_at"] == NEVER)
    late = [
        np.flatnonzero(unseen & (age > _aims(some, fold, fold.act_days) * _DAY)),
        np.flatnonzero(age > _aims(some, fold, fold.close_days) * _DAY),
    ]
    return {
        group: OpenNow(*counts)
        for groups in _all_groups(some, fold, by)
        for group, *counts in zip(
            groups.told,
            groups.count(),
            *(groups.count(places) for places in (*ages, *late)),
            strict=True,
        )
        if counts[0] or group == WHOLE
    }


def blocks(cases: Cases, begin: datetime, end: datetime, *, least: int, limit: int) -> list[Block]:
    """Where requests come from, by squares of a thousandth of a degree; most first."""
    known = ~np.isnan(cases["lat"]) & ~np.isnan(cases["lon"])
    some = cases.only(_within(cases["opened_at"], begin, end) & known)
    lat, lon = (
        np.rint(one.astype(np.float64) * 1000).astype(np.int64)
        for one in (some["lat"], some["lon"])
    )
    # Sorted by one number that sorts as both.
    squares, counts = np.unique(lat * 1_000_000 + (lon + 500_000), return_counts=True)
    squares, counts = squares[counts >= least], counts[counts >= least]
    most = np.lexsort((squares, -counts))[:limit]
    return [
        Block(square // 1_000_000 / 1000, (square % 1_000_000 - 500_000) / 1000, count)
        for square, count in zip(squares[most].tolist(), counts[most].tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Busy:
    """Places with many requests: what each is known by, how many, and when one of them came."""

    marks: list[int]
    counts: list[int]
    opened_at: list[datetime]


def busy_places(cases: Cases, begin: datetime, end: datetime, *, least: int, limit: int) -> Busy:
    """The addresses with the most requests, those joined with another left out."""
    counted = _within(cases["opened_at"], begin, end) & (cases["place"] != 0)
    some = cases.only(counted & ~cases.flag("duplicate"))
    marks, counts = np.unique(some["place"], return_counts=True)
    # Of those that have as many as the last one, their names decide.
    enough = max(least, np.sort(counts)[-limit]) if len(counts) > limit else least
    of_these = np.flatnonzero(np.isin(some["place"], marks[counts >= enough]))
    marks, firsts, counts = np.unique(
        some["place"][of_these], return_index=True, return_counts=True
    )
    opened_at = some["opened_at"][of_these[firsts]]
    return Busy(marks.tolist(), counts.tolist(), [moment(one) for one in opened_at.tolist()])


async def named_places(conn: asyncpg.Connection, busy: Busy, *, limit: int) -> list[Place]:
    """The busiest of them, by name."""
    rows = await conn.fetch(PLACES, busy.marks, busy.counts, busy.opened_at, limit, timeout=_LONG)
    return [Place(**row) for row in rows]


async def names_of_people(conn: asyncpg.Connection, logins: Sequence[str]) -> dict[str, str]:
    return {row["login"]: row["name"] for row in await conn.fetch(NAMES, list(logins))}


def told_minutes(minutes: int) -> int:
    """As exactly as it is told. Pure."""
    if minutes < 120:
        return minutes
    if minutes < 2880:
        return minutes // 10 * 10
    if minutes < 20160:
        return minutes // 60 * 60
    return (minutes + 720) // 1440 * 1440


@dataclass(frozen=True, eq=False)
class _Groups:
    """To which of some groups each case belongs."""

    told: Sequence[Group]
    of: NDArray[np.int64]
    """By its place in `told`."""

    def count(self, places: NDArray[np.intp] | None = None) -> list[int]:
        """Of each group, how many cases; or how many of those at these places."""
        of = self.of if places is None else self.of[places]
        counted: list[int] = np.bincount(of, minlength=len(self.told)).tolist()
        return counted


def _all_groups(cases: Cases, fold: Fold, by: Sequence[str]) -> list[_Groups]:
    whole = _Groups([WHOLE], np.zeros(len(cases), dtype=np.int64))
    return [whole, *(_groups(cases, fold, name) for name in by)]


def _groups(cases: Cases, fold: Fold, by: str) -> _Groups:
    folded = [_folded(by, name, fold) for name in cases.names]
    told = list(dict.fromkeys((*folded, ELSEWHERE)))
    places = {name: place for place, name in enumerate(told)}
    column = cases[by]
    of = np.array([places[name] for name in folded], dtype=np.int64)[column]
    if by == "district":
        # Another system's empty district may mean anything; our own says that the point lies in
        # none.
        nowhere = column == cases.names.index(None)
        outside = nowhere & ~np.isnan(cases["lat"]) & ~cases.flag("imported")
        of[outside] = places[ELSEWHERE]
    return _Groups([Group(by, name) for name in told], of)


def _folded(by: str, name: str | None, fold: Fold) -> str | None:
    if name is None:
        return None
    match by:
        case "problem_type":
            return fold.types.get(name, name)
        case "department":
            if name.lower() in ("no department", "no department assigned"):
                return None
            return fold.departments.get(name, name)
        case "district":
            if name.lower() in ("other", "others"):
                return ELSEWHERE
            if name.lower() in ("no district", "no district assigned"):
                return None
    return name


def _took(
    some: Cases,
    until: NDArray[np.int64],
    timed: NDArray[np.bool_],
    fold: Fold,
    days: Mapping[str, float],
    by: Sequence[str],
) -> dict[Group, Took]:
    minutes = np.maximum(0, (until - some["opened_at"]) // _MINUTE)
    aims = _aims(some, fold, days)
    aimed = np.flatnonzero(timed & ~np.isnan(aims))
    in_time = np.flatnonzero(timed & (minutes <= aims * 1440))
    places = np.flatnonzero(timed)
    minutes = minutes[places]
    told = {WHOLE: NOTHING_TOOK}
    for groups in _all_groups(some, fold, by):
        # All times, each group's together; where they lie follows from how many it has.
        ranked = np.sort(groups.of[places] << 32 | minutes) & 0xFFFFFFFF
        first = 0
        for group, cases, count, *rest in zip(
            groups.told,
            groups.count(),
            groups.count(places),
            groups.count(aimed),
            groups.count(in_time),
            strict=True,
        ):
            if cases:
                # Nearest rank: half are no longer than the one, nine of ten than the other.
                half, nine = first + (count + 1) // 2 - 1, first + (count * 9 + 9) // 10 - 1
                told[group] = Took(
                    cases,
                    count,
                    told_minutes(int(ranked[half])) if count else None,
                    told_minutes(int(ranked[nine])) if count else None,
                    *rest,
                )
            first += count
    return told


def _aims(cases: Cases, fold: Fold, days: Mapping[str, float]) -> NDArray[np.float64]:
    """In how many days each should be done; not a number where there is no aim."""
    aims = [days.get(_folded("problem_type", name, fold) or "", np.nan) for name in cases.names]
    found: NDArray[np.float64] = np.array(aims, dtype=np.float64)[cases["problem_type"]]
    return found


def _within(moments: NDArray[np.int64], begin: datetime, end: datetime) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (moments >= micros(begin)) & (moments < micros(end))
    return found
