"""
The public dashboard: what was opened, closed and is open, this month and the one before.

It is read from what is kept counted, and kept for some minutes: however many look at it, the
database is asked seldom. Problem types that the city keeps private, and what has very few
requests, stand together under one name, and no small number is told.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from aiohttp import web
from babel.dates import format_date

from bus.errors import Unavailable
from gateway.pages.i18n import current_language
from gateway.pages.i18n import gettext as _
from gateway.pages.layout import render
from gateway.reports.names import NO_DISTRICT, OTHERS, districts_in_order, natural
from gateway.reports.performance import FEW, fold_of, said
from gateway.reports.performance_shown import NOTHING, took_words
from gateway.reports.shown import LOCALES, name_words, number_words
from gateway.reports.spans import Span, month_before, month_of
from router.rules import City
from store import performance
from store.counted import Cases, read
from store.performance import ELSEWHERE, NOTHING_TOOK, WHOLE, Group, OpenedCount, OpenNow, Took
from store.pool import AWAY

PAGE = "/dashboard"
_KEPT = timedelta(minutes=10)
_BY = ("problem_type", "district")
_TOGETHER = ""
"""What is told under one name, since it is private or there is too little of it."""


@dataclass(frozen=True)
class Month:
    span: Span
    opened: Mapping[Group, int]
    closing: Mapping[Group, Took]


@dataclass(frozen=True)
class Figures:
    this: Month
    last: Month
    open_now: Mapping[Group, int]
    at: datetime


@dataclass(frozen=True)
class Row:
    """One problem type or district; what is `_TOGETHER` is told last."""

    name: str
    opened: int
    opened_last: int
    closed: int
    open_now: int
    took: Took


class Dashboard:
    """One a process."""

    def __init__(self, pool: asyncpg.Pool, city: City) -> None:
        self._pool = pool
        self._city = city
        self._private = frozenset(city.public.private_types)
        self._figures: Figures | None = None
        self._asking = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PAGE, self.page)]

    async def page(self, request: web.Request) -> web.Response:
        figures = await self._newest()
        city = self._city
        language = current_language()
        districts = {ELSEWHERE: OTHERS, None: NO_DISTRICT}
        types = rows_of(
            figures,
            "problem_type",
            lambda name: _TOGETHER if name is None or name in self._private else name,
        )
        known = {one.name for one in city.problem_types}
        told = {
            "nav": "dashboard",
            "this": month_words(figures.this.span),
            "last": month_words(figures.last.span),
            "at": figures.at,
            "whole": [
                (
                    _("Opened"),
                    *(number_words(one.opened.get(WHOLE, 0)) for one in _months(figures)),
                ),
                (_("Closed"), *(number_words(_closed(one).cases) for one in _months(figures))),
                (
                    _("Half were closed within"),
                    *(_median(_closed(one)) for one in _months(figures)),
                ),
            ],
            "open_now": number_words(figures.open_now.get(WHOLE, 0)),
            "few": FEW,
            "tables": [
                {
                    "title": _("By problem type"),
                    "head": _("Problem description"),
                    "rows": [
                        _shown(
                            one,
                            city.label_of(one.name, language) if one.name in known else one.name,
                            _("All other problems"),
                        )
                        for one in types
                    ],
                },
                {
                    "title": _("By district"),
                    "head": _("District"),
                    "rows": [
                        _shown(one, name_words(one.name), _("All other districts"))
                        for one in in_district_order(
                            rows_of(
                                figures,
                                "district",
                                lambda name: districts.get(name) or str(name),
                            )
                        )
                    ],
                },
            ],
        }
        return render(request, "open_data/dashboard.html", told)

    async def _newest(self) -> Figures:
        async with self._asking:  # whoever comes meanwhile gets the same
            now = datetime.now(UTC)
            kept = self._figures
            if kept is None or now - kept.at > _KEPT:
                try:
                    kept = self._figures = await self.read(now)
                except AWAY as error:
                    raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
            return kept

    async def read(self, now: datetime | None = None) -> Figures:
        """The figures of this moment, asked anew."""
        now = now or datetime.now(UTC)
        today = now.astimezone(self._city.zone).date()
        spans = month_of(today), month_before(today)
        cases = await read(self._pool, [one.moments(self._city.zone) for one in spans])
        return await asyncio.to_thread(self._count, cases, spans, now)

    def _count(self, cases: Cases, spans: tuple[Span, Span], now: datetime) -> Figures:
        fold = fold_of(self._city)

        def month(span: Span) -> Month:
            moments = span.moments(self._city.zone)
            return Month(
                span,
                _counts(performance.opened(cases, *moments, fold, _BY)),
                performance.closing(cases, *moments, fold, _BY),
            )

        return Figures(
            month(spans[0]),
            month(spans[1]),
            _counts(performance.open_now(cases, now, fold, _BY)),
            now,
        )


def rows_of(figures: Figures, by: str, name_of: Callable[[str | None], str]) -> list[Row]:
    """
    The rows of a table, most opened first. What has fewer than `FEW` requests in this month and
    in the last, and what `name_of` calls `_TOGETHER`, is one row at the end. Pure.
    """
    read: Iterable[Iterable[Group]] = (
        *(one.opened for one in _months(figures)),
        *(one.closing for one in _months(figures)),
        figures.open_now,
    )
    rows = [_row(figures, one, name_of) for one in {g for some in read for g in some if g.by == by}]
    told = [
        one for one in rows if one.name != _TOGETHER and max(one.opened, one.opened_last) >= FEW
    ]
    rest = [one for one in rows if one not in told]
    told.sort(key=lambda one: (-one.opened, natural(one.name)))
    if rest:
        told.append(
            Row(
                _TOGETHER,
                sum(one.opened for one in rest),
                sum(one.opened_last for one in rest),
                sum(one.closed for one in rest),
                sum(one.open_now for one in rest),
                rest[0].took if len(rest) == 1 else NOTHING_TOOK,
            )
        )
    return told


def in_district_order(rows: Collection[Row]) -> list[Row]:
    by_name = {one.name: one for one in rows}
    order = districts_in_order([name for name in by_name if name != _TOGETHER])
    return [by_name[name] for name in [*order, _TOGETHER] if name in by_name]


def month_words(span: Span) -> str:
    language = current_language()
    return format_date(span.first, "LLLL y", locale=LOCALES[language])


def few_words(count: int) -> str:
    """A count as everybody may know it. Pure."""
    return _("under %(few)d") % {"few": FEW} if 0 < count < FEW else number_words(count)


def _row(figures: Figures, group: Group, name_of: Callable[[str | None], str]) -> Row:
    took = figures.this.closing.get(group, NOTHING_TOOK)
    return Row(
        name_of(group.name),
        figures.this.opened.get(group, 0),
        figures.last.opened.get(group, 0),
        took.cases,
        figures.open_now.get(group, 0),
        took,
    )


def _shown(row: Row, name: str, together: str) -> dict[str, Any]:
    return {
        "name": together if row.name == _TOGETHER else name,
        "opened": few_words(row.opened),
        "opened_last": few_words(row.opened_last),
        "closed": few_words(row.closed),
        "open_now": few_words(row.open_now),
        "took": _median(row.took),
    }


def _months(figures: Figures) -> tuple[Month, Month]:
    return figures.this, figures.last


def _closed(month: Month) -> Took:
    return month.closing.get(WHOLE, NOTHING_TOOK)


def _median(took: Took) -> str:
    return took_words(took.median) if said(took) else NOTHING


def _counts(read: Mapping[Group, OpenedCount] | Mapping[Group, OpenNow]) -> dict[Group, int]:
    return {
        group: one.opened if isinstance(one, OpenedCount) else one.cases
        for group, one in read.items()
    }
