"""
How we are doing: what was opened, closed and first acted upon in a span, how soon, and how that
compares with the span before and with the year before.

A median of very few cases would tell of single ones, and so of the people behind them: nothing is
said of how long it took where fewer than five were timed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

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
from store.counted import read
from store.performance import (
    ELSEWHERE,
    NOTHING_TOOK,
    WHOLE,
    Block,
    Busy,
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

NO_TYPE = "No Problem Type"
NOBODY = "Nobody"

_NOTHING_OPENED = OpenedCount(0, 0, 0, 0, 0, 0, 0)
_NOTHING_OPEN = OpenNow(0, 0, 0, 0, 0, 0, 0, 0)


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
    before, year_before = span.before(), span.year_before()
    begin, end = span.moments(city.zone)
    by = (*performance.BY, "assignee") if with_people else performance.BY
    spans = [one.moments(city.zone) for one in (span, before, year_before)]
    cases = await read(pool, spans)

    def opened_and_open() -> tuple[Mapping[Group, OpenedCount], Mapping[Group, OpenNow]]:
        return (
            performance.opened(cases, begin, end, fold, by),
            performance.open_now(cases, now, fold, by),
        )

    def where() -> tuple[Busy, list[Block]]:
        return (
            performance.busy_places(cases, begin, end, least=FEW, limit=_PLACES),
            performance.blocks(cases, begin, end, least=FEW, limit=_BLOCKS),
        )

    def earlier() -> tuple[Totals, ...]:
        return tuple(performance.totals(cases, *moments, fold) for moments in spans[1:])

    # Counting lets others work meanwhile, so that two do it in less time than one.
    (opened, open_now), first, closing, totals, (busy, blocks) = await asyncio.gather(
        asyncio.to_thread(opened_and_open),
        asyncio.to_thread(performance.first_actions, cases, begin, end, fold, by),
        asyncio.to_thread(performance.closing, cases, begin, end, fold, by),
        asyncio.to_thread(earlier),
        asyncio.to_thread(where),
    )
    async with pool.acquire() as conn:
        places = await performance.named_places(conn, busy, limit=_PLACES)
    told = _Read(opened, first, closing, open_now)
    made = Performance(
        span=span,
        whole=told.line(WHOLE, ""),
        before=(before, totals[0]),
        year_before=(year_before, totals[1]),
        by={
            "problem_type": told.most_first("problem_type", NO_TYPE),
            "department": told.listed("department", NO_DEPARTMENT, in_order),
            "district": told.listed("district", NO_DISTRICT, districts_in_order),
            "channel": told.most_first("channel", ""),
        },
        people=tuple(told.lines("assignee", NOBODY).values()) if with_people else None,
        places=tuple(places),
        blocks=tuple(blocks),
        counted_at=now,
        complete=counted.complete,
    )
    if made.people is not None:
        async with pool.acquire() as conn:
            made = replace(made, people=await _people(conn, made.people))
    return made


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


async def _people(conn: asyncpg.Connection, lines: Sequence[Line]) -> tuple[Line, ...]:
    known = await performance.names_of_people(conn, [one.name for one in lines])
    named = [replace(one, name=known.get(one.name, one.name)) for one in lines]
    return tuple(
        sorted(named, key=lambda one: (one.name == NOBODY, -one.open_now.cases, natural(one.name)))
    )
