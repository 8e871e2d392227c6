"""
How we are doing: what was opened, closed and first acted upon in a span, how soon, and how that
compares with the span before and with the year before.

A median of very few cases would tell of single ones, and so of the people behind them: nothing is
said of how long it took where fewer than five were timed.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg

from gateway.reports.names import (
    NO_DEPARTMENT,
    NO_DISTRICT,
    OTHERS,
    districts_in_order,
    in_order,
    natural,
)
from gateway.reports.spans import Span
from router.rules import City
from store import counting, performance
from store.performance import (
    ELSEWHERE,
    NOTHING_TOOK,
    WHOLE,
    Block,
    Fold,
    Group,
    OpenedCount,
    OpenNow,
    Place,
    Took,
    Totals,
)

FEW = 5
"""Nothing is said of how long fewer than so many cases took, nor of a place with fewer."""
_PLACES = 10
_BLOCKS = 1_500
_AT_ONCE = 3  # connections; the others of the pool are for whoever does something else meanwhile

NO_TYPE = "No Problem Type"
NOBODY = "Nobody"

_NOTHING_OPENED = OpenedCount(0, 0, 0, 0, 0, 0, 0)
_NOTHING_OPEN = OpenNow(0, 0, 0, 0, 0, 0, 0, 0)
R = TypeVar("R")


@dataclass(frozen=True)
class Line:
    """One department, district, problem type, channel or person."""

    name: str
    opened: OpenedCount
    first_action: Took
    closing: Took
    open_now: OpenNow


@dataclass(frozen=True)
class Performance:
    """How the city did in a span."""

    span: Span
    whole: Line
    before: tuple[Span, Totals]
    year_before: tuple[Span, Totals]
    by: Mapping[str, tuple[Line, ...]]
    """By `problem_type`, `department`, `district` and `channel`."""
    people: tuple[Line, ...] | None
    """By whose the cases are now; None where the reader is not to know."""
    places: tuple[Place, ...]
    blocks: tuple[Block, ...]
    counted_at: datetime
    complete: bool


def fold_of(city: City) -> Fold:
    """The city's other names, and its aims."""
    return Fold(
        types={alias: one.problem_type for one in city.reporting for alias in one.aliases},
        departments={alias: each.name for each in city.departments for alias in each.aliases},
        act_days={
            one.problem_type: one.act_within_days
            for one in city.reporting
            if one.act_within_days is not None
        },
        close_days={
            one.problem_type: one.close_within_days
            for one in city.reporting
            if one.close_within_days is not None
        },
    )


async def make_performance(
    pool: asyncpg.Pool, city: City, span: Span, *, with_people: bool = False
) -> Performance:
    """The figures of a span, as things stand now."""
    async with pool.acquire() as conn:
        counted = await counting.catch_up(conn)
    fold = fold_of(city)
    now = counted.at or datetime.now(UTC)
    begin, end = span.moments(city.zone)
    before, year_before = span.before(), span.year_before()
    by = (*performance.BY, "assignee") if with_people else performance.BY
    free = asyncio.Semaphore(_AT_ONCE)

    def ask(
        work: Callable[[asyncpg.Connection], Coroutine[Any, Any, R]],
    ) -> Coroutine[Any, Any, R]:
        async def asked() -> R:
            async with free, pool.acquire() as conn:
                return await work(conn)

        return asked()

    async with asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(
            ask(lambda conn: performance.closing(conn, begin, end, fold, by))
        )
        first = tasks.create_task(
            ask(lambda conn: performance.first_actions(conn, begin, end, fold, by))
        )
        opened = tasks.create_task(ask(lambda conn: performance.opened(conn, begin, end, fold, by)))
        open_now = tasks.create_task(ask(lambda conn: performance.open_now(conn, now, fold, by)))
        earlier = tasks.create_task(
            ask(lambda conn: performance.totals(conn, *before.moments(city.zone), fold))
        )
        last_year = tasks.create_task(
            ask(lambda conn: performance.totals(conn, *year_before.moments(city.zone), fold))
        )
        places = tasks.create_task(
            ask(lambda conn: performance.repeat_places(conn, begin, end, least=FEW, limit=_PLACES))
        )
        blocks = tasks.create_task(
            ask(lambda conn: performance.blocks(conn, begin, end, least=FEW, limit=_BLOCKS))
        )
    read = _Read(opened.result(), first.result(), closing.result(), open_now.result())
    people = None
    if with_people:
        async with pool.acquire() as conn:
            people = await _people(conn, read)
    return Performance(
        span=span,
        whole=read.line(WHOLE, ""),
        before=(before, earlier.result()),
        year_before=(year_before, last_year.result()),
        by={
            "problem_type": read.most_first("problem_type", NO_TYPE),
            "department": read.listed("department", NO_DEPARTMENT, in_order),
            "district": read.listed("district", NO_DISTRICT, districts_in_order),
            "channel": read.most_first("channel", ""),
        },
        people=people,
        places=tuple(places.result()),
        blocks=tuple(blocks.result()),
        counted_at=now,
        complete=counted.complete,
    )


def said(took: Took) -> bool:
    """Whether so many were timed that how long they took may be told."""
    return took.timed >= FEW


@dataclass(frozen=True)
class _Read:
    """What was read, by what the cases have in common."""

    opened: Mapping[Group, OpenedCount]
    first: Mapping[Group, Took]
    closing: Mapping[Group, Took]
    open_now: Mapping[Group, OpenNow]

    def line(self, group: Group, name: str) -> Line:
        return Line(
            name,
            self.opened.get(group, _NOTHING_OPENED),
            self.first.get(group, NOTHING_TOOK),
            self.closing.get(group, NOTHING_TOOK),
            self.open_now.get(group, _NOTHING_OPEN),
        )

    def lines(self, by: str, unnamed: str) -> dict[str, Line]:
        groups = {
            group
            for read in (self.opened, self.first, self.closing, self.open_now)
            for group in read
            if group.by == by
        }
        names = {None: unnamed, ELSEWHERE: OTHERS}
        return {
            name: self.line(group, name)
            for group in groups
            for name in (names.get(group.name) or str(group.name),)
        }

    def listed(
        self, by: str, unnamed: str, order: Callable[[Sequence[str]], list[str]]
    ) -> tuple[Line, ...]:
        lines = self.lines(by, unnamed)
        return tuple(lines[name] for name in order(list(lines)))

    def most_first(self, by: str, unnamed: str) -> tuple[Line, ...]:
        lines = self.lines(by, unnamed).values()
        return tuple(
            sorted(
                lines, key=lambda one: (-one.opened.opened, -one.closing.cases, natural(one.name))
            )
        )


async def _people(conn: asyncpg.Connection, read: _Read) -> tuple[Line, ...]:
    lines = read.lines("assignee", NOBODY)
    known = await performance.names_of_people(conn, list(lines))
    named = (
        Line(known.get(one.name, one.name), one.opened, one.first_action, one.closing, one.open_now)
        for one in lines.values()
    )
    return tuple(
        sorted(named, key=lambda one: (one.name == NOBODY, -one.open_now.cases, natural(one.name)))
    )
