"""
How the city does, found the plain way: each case and each thing that happened to it, one by one.
Nothing of it comes from what the store keeps counted.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil
from uuid import UUID

import asyncpg

from store.performance import (
    ELSEWHERE,
    NOTHING_TOOK,
    WHOLE,
    Fold,
    Group,
    OpenedCount,
    OpenNow,
    Place,
    Took,
)

CASES = """
    SELECT c.id, c.opened_at, c.closed_at, c.channel, c.department, c.problem_type, c.district,
           c.assignee, c.outcome, c.predicted_type, c.typed_by, c.lat, c.address,
           i.case_id IS NOT NULL AS imported, coalesce(i.timed, true) AS timed
    FROM cases c
    LEFT JOIN imported_cases i ON i.case_id = c.id
"""
EVENTS = "SELECT case_id, at, kind, by, data FROM events ORDER BY case_id, at"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Slow:
    """A case as a person would count it."""

    names: Mapping[str, str | None]
    opened_at: datetime
    closed_at: datetime | None
    first_action_at: datetime | None
    imported: bool
    timed: bool
    reopened: bool
    duplicate: bool
    type_foretold: bool
    type_corrected: bool
    department_foretold: bool
    department_corrected: bool
    address: str | None


async def read(conn: asyncpg.Connection, fold: Fold) -> list[Slow]:
    happened: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in await conn.fetch(EVENTS):
        happened[row["case_id"]].append(row)
    return [_slow(row, happened[row["id"]], fold) for row in await conn.fetch(CASES)]


def _slow(row: asyncpg.Record, events: Sequence[asyncpg.Record], fold: Fold) -> Slow:
    acted = [one["at"] for one in events if one["by"] is not None and one["kind"] != "opened"]
    foretold = any(one["kind"] == "routed" and one["data"].get("department") for one in events)
    moved = any(
        one["kind"] == "assigned"
        and one["by"] is not None
        and one["data"].get("from_department") not in (None, one["data"].get("department"))
        for one in events
    )
    predicted = row["predicted_type"]
    district = row["district"]
    if district is None and row["lat"] is not None and not row["imported"]:
        district = "Others"
    department, kind = row["department"], row["problem_type"]
    return Slow(
        names={
            "problem_type": fold.types.get(kind, kind),
            "department": fold.departments.get(department, department),
            "district": ELSEWHERE if district == "Others" else district,
            "channel": row["channel"],
            "assignee": row["assignee"],
        },
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        first_action_at=min(acted, default=None),
        imported=row["imported"],
        timed=row["timed"],
        reopened=any(one["kind"] == "reopened" for one in events),
        duplicate=row["outcome"] == "duplicate",
        type_foretold=predicted is not None,
        type_corrected=predicted is not None
        and row["typed_by"] is not None
        and row["problem_type"] != predicted,
        department_foretold=foretold,
        department_corrected=foretold and moved,
        address=row["address"],
    )


def places(cases: Iterable[Slow], begin: datetime, end: datetime, least: int) -> list[Place]:
    """Most first; written in one way."""
    counts = Counter(
        " ".join(re.split(r"[\s.,]+", one.address.upper().strip(" .,")))
        for one in cases
        if begin <= one.opened_at < end and one.address and not one.duplicate
    )
    told = [Place(name, count) for name, count in counts.items() if count >= least]
    return sorted(told, key=lambda one: (-one.count, one.name))


def by_group(cases: Iterable[Slow], by: Sequence[str]) -> dict[Group, list[Slow]]:
    groups: dict[Group, list[Slow]] = defaultdict(list)
    groups[WHOLE] = []
    for one in cases:
        groups[WHOLE].append(one)
        for name in by:
            groups[Group(name, one.names[name])].append(one)
    return dict(groups)


def opened(
    cases: Iterable[Slow], begin: datetime, end: datetime, by: Sequence[str]
) -> dict[Group, OpenedCount]:
    inside = [one for one in cases if begin <= one.opened_at < end]
    return {
        group: OpenedCount(
            len(some),
            sum(one.reopened for one in some),
            sum(one.duplicate for one in some),
            sum(one.type_foretold for one in some),
            sum(one.type_corrected for one in some),
            sum(one.department_foretold for one in some),
            sum(one.department_corrected for one in some),
        )
        for group, some in by_group(inside, by).items()
    }


def closing(
    cases: Iterable[Slow], begin: datetime, end: datetime, fold: Fold, by: Sequence[str]
) -> dict[Group, Took]:
    return _took(
        cases,
        begin,
        end,
        by,
        fold.close_days,
        lambda one: one.closed_at,
        lambda one: one.timed and not one.duplicate,
    )


def first_actions(
    cases: Iterable[Slow], begin: datetime, end: datetime, fold: Fold, by: Sequence[str]
) -> dict[Group, Took]:
    return _took(
        cases, begin, end, by, fold.act_days, lambda one: one.first_action_at, lambda one: True
    )


def _took(
    cases: Iterable[Slow],
    begin: datetime,
    end: datetime,
    by: Sequence[str],
    days: Mapping[str, float],
    until: Callable[[Slow], datetime | None],
    is_timed: Callable[[Slow], bool],
) -> dict[Group, Took]:
    inside = [one for one in cases if (at := until(one)) is not None and begin <= at < end]
    told = {}
    for group, some in by_group(inside, by).items():
        times, aimed, in_time = [], 0, 0
        for one in some:
            at = until(one)
            if at is None or not is_timed(one):
                continue
            minutes = max(0, (at - one.opened_at) // timedelta(minutes=1))
            times.append(minutes)
            aim = days.get(one.names["problem_type"] or "")
            aimed += aim is not None
            in_time += aim is not None and minutes <= aim * 1440
        times.sort()
        ranks = [
            _as_told(times[ceil(len(times) * share) - 1]) if times else None
            for share in (Fraction(1, 2), Fraction(9, 10))
        ]
        told[group] = Took(len(some), len(times), ranks[0], ranks[1], aimed, in_time)
    return told if inside else {WHOLE: NOTHING_TOOK}


def _as_told(minutes: int) -> int:
    if minutes < 120:
        return minutes
    if minutes >= 14 * 1440:
        return (minutes + 720) // 1440 * 1440
    size = 10 if minutes < 2880 else 60
    return minutes // size * size


def open_now(
    cases: Iterable[Slow], now: datetime, fold: Fold, by: Sequence[str]
) -> dict[Group, OpenNow]:
    still = [one for one in cases if one.closed_at is None and one.opened_at < now]
    told = {}
    for group, some in by_group(still, by).items():
        ages = [now - one.opened_at for one in some]
        bounds = [timedelta(0), 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY, timedelta.max]
        kinds = [one.names["problem_type"] or "" for one in some]
        told[group] = OpenNow(
            len(some),
            *(sum(first <= age < last for age in ages) for first, last in pairwise(bounds)),
            sum(
                not one.imported
                and one.first_action_at is None
                and kind in fold.act_days
                and age > fold.act_days[kind] * DAY
                for one, age, kind in zip(some, ages, kinds, strict=True)
            ),
            sum(
                kind in fold.close_days and age > fold.close_days[kind] * DAY
                for age, kind in zip(ages, kinds, strict=True)
            ),
        )
    return told
