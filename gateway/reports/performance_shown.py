"""How we are doing, in the reader's words: every number and name as it is read."""

from collections.abc import Callable, Sequence
from typing import Any

from babel.numbers import format_percent
from babel.units import format_unit

from gateway.pages.i18n import current_language
from gateway.pages.i18n import gettext as _
from gateway.pages.i18n import noted as N_
from gateway.reports.heat_map import heat_map
from gateway.reports.performance import FEW, NO_TYPE, NOBODY, Line, Performance, said
from gateway.reports.shares import percentages
from gateway.reports.shown import LOCALES, Shown, around, name_words, number_words, span_words
from router.rules import City
from store.performance import OpenedCount, OpenNow, Took, Totals

NOTHING = "–"
_CHANNELS = {
    "web": N_("Website"),
    "phone": N_("Phone"),
    "email": N_("Email"),
    "sms": N_("Text message"),
    "open311": N_("Other apps"),
}
_OURS = {NO_TYPE: N_("No Problem Type"), NOBODY: N_("Nobody")}
_MOST_TYPES = 25


def performance_shown(made: Performance, city: City, *, addresses: bool = False) -> Shown:
    """The whole page of a span; a file that is passed on has no `addresses`."""
    others = [
        (_("The span before"), *made.before),
        (_("A year before"), *made.year_before),
    ]
    return {
        **around(city, made.counted_at),
        "title": f"{_('How are we doing')} {span_words(made.span)}",
        "columns": [
            (_("This span"), span_words(made.span)),
            *((name, span_words(span)) for name, span, _totals in others),
        ],
        "figures": _figures(
            [
                Totals(made.whole.opened, made.whole.first_action, made.whole.closing),
                *(totals for _name, _span, totals in others),
            ]
        ),
        "ages": _ages(made.whole.open_now),
        "late": _late(made.whole.open_now),
        "tables": [
            _table(_("By problem type"), _("Problem description"), _most(made.by["problem_type"])),
            _table(_("By department"), _("Department"), made.by["department"]),
            _table(_("By district"), _("District"), made.by["district"]),
            _table(_("By channel"), _("Channel"), made.by["channel"], shares=True),
        ],
        "people": None if made.people is None else [_row(one) for one in made.people],
        "places": None
        if not addresses
        else [
            {
                "name": one.name,
                "count": number_words(one.count),
            }
            for one in made.places
        ],
        "map": heat_map(made.blocks, city.boundary),
        "map_words": _("Map of the city: the darker a block, the more requests came from it."),
        "remarks": [
            _(
                "Closed and first acted upon: in this span, whenever it was opened. Reopened, "
                "joined and corrected: of what was opened in this span."
            ),
            _(
                "Half took no longer than the first time, nine of ten no longer than the second. "
                "What was joined with another request is not timed, nor what was imported "
                "without saying how long it took."
            ),
            _("Where fewer than %(few)d were timed, nothing is said of how long they took.")
            % {"few": FEW},
        ],
        "words": {
            "figure": _("Figure"),
            "open_now": _("Open now"),
            "age": _("Age"),
            "requests": _("Requests"),
            "share": _("Share"),
            "opened": _("Opened"),
            "closed": _("Closed"),
            "open": _("Open now"),
            "acted": _("First action after (half, nine of ten; how many)"),
            "took": _("Closed after (half, nine of ten; how many)"),
            "in_time": _("In time"),
            "people": _("Workload"),
            "person": _("Person"),
            "people_hint": _("Only leads and administrators see this; it is in no file."),
            "places": _("Repeat places"),
            "place": _("Place"),
            "map": _("Where requests come from"),
            "overview": _("At a glance"),
            "nothing": _("Nothing."),
        },
    }


def took_words(minutes: int | None) -> str:
    """How long something took, in the unit that suits it."""
    if minutes is None:
        return NOTHING
    for unit, size in (("day", 1440), ("hour", 60)):
        if minutes >= 2 * size:
            return str(
                format_unit(
                    round(minutes / size, 1),
                    f"duration-{unit}",
                    locale=LOCALES[current_language()],
                    format="#,##0.#",
                )
            )
    return str(format_unit(minutes, "duration-minute", locale=LOCALES[current_language()]))


def _figures(spans: Sequence[Totals]) -> list[dict[str, Any]]:
    rows: list[tuple[str, Callable[[Totals], str]]] = [
        (_("Opened"), lambda one: number_words(one.opened.opened)),
        (_("Closed"), lambda one: number_words(one.closing.cases)),
        (_("Half got a first action within"), lambda one: _median(one.first_action)),
        (_("Nine of ten got a first action within"), lambda one: _p90(one.first_action)),
        (_("First action in time"), lambda one: _in_time(one.first_action)),
        (_("Half were closed within"), lambda one: _median(one.closing)),
        (_("Nine of ten were closed within"), lambda one: _p90(one.closing)),
        (_("Closed in time"), lambda one: _in_time(one.closing)),
        (_("Reopened"), lambda one: _part(one.opened.reopened, one.opened.opened)),
        (
            _("Joined with another request"),
            lambda one: _part(one.opened.duplicates, one.opened.opened),
        ),
        (_("Problem type corrected by staff"), lambda one: _types_corrected(one.opened)),
        (_("Department corrected by staff"), lambda one: _departments_corrected(one.opened)),
    ]
    return [{"name": name, "cells": [say(one) for one in spans]} for name, say in rows]


def _types_corrected(opened: OpenedCount) -> str:
    return _part(opened.type_corrected, opened.type_foretold)


def _departments_corrected(opened: OpenedCount) -> str:
    return _part(opened.department_corrected, opened.department_foretold)


def _part(count: int, whole: int) -> str:
    """A count and its share; nothing where there is nothing to share."""
    if not whole:
        return NOTHING
    return f"{number_words(count)} ({_percent(count / whole)})"


def _in_time(took: Took) -> str:
    if took.aimed < FEW:
        return NOTHING
    words = _("%(share)s of %(count)s")
    return words % {"share": _percent(took.in_time / took.aimed), "count": number_words(took.aimed)}


def _percent(share: float) -> str:
    return str(format_percent(share, "#,##0.#%", locale=LOCALES[current_language()]))


def _median(took: Took) -> str:
    return took_words(took.median) if said(took) else NOTHING


def _p90(took: Took) -> str:
    return took_words(took.p90) if said(took) else NOTHING


def _ages(now: OpenNow) -> list[dict[str, str]]:
    rows = (
        (_("Under 7 days"), now.week),
        (_("7 to 30 days"), now.month),
        (_("30 to 90 days"), now.quarter),
        (_("90 days to a year"), now.year),
        (_("Over a year"), now.older),
    )
    shares = percentages([count for _name, count in rows])
    return [
        {"name": name, "count": number_words(count), "percent": f"{share:.1f}%"}
        for (name, count), share in zip(rows, shares, strict=True)
    ]


def _late(now: OpenNow) -> list[str]:
    told = []
    if now.late_to_act:
        told.append(
            _("%(count)s wait for a first action for longer than the city aims at.")
            % {"count": number_words(now.late_to_act)}
        )
    if now.late_to_close:
        told.append(
            _("%(count)s are open for longer than the city aims at.")
            % {"count": number_words(now.late_to_close)}
        )
    return told


def _most(lines: Sequence[Line]) -> Sequence[Line]:
    return lines[:_MOST_TYPES]


def _table(title: str, head: str, lines: Sequence[Line], *, shares: bool = False) -> dict[str, Any]:
    parts = percentages([one.opened.opened for one in lines])
    rows = [
        _row(one) | ({"share": f"{part:.1f}%"} if shares else {})
        for one, part in zip(lines, parts, strict=True)
    ]
    return {"title": title, "head": head, "rows": rows, "shares": shares}


def _row(line: Line) -> dict[str, str]:
    return {
        "name": _name(line.name),
        "opened": number_words(line.opened.opened),
        "closed": number_words(line.closing.cases),
        "open": number_words(line.open_now.cases),
        "acted": _times(line.first_action),
        "took": _times(line.closing),
        "in_time": _in_time(line.closing if line.closing.aimed else line.first_action),
    }


def _times(took: Took) -> str:
    if not said(took):
        return NOTHING
    return f"{took_words(took.median)}, {took_words(took.p90)}; {number_words(took.timed)}"


def _name(name: str) -> str:
    if name in _CHANNELS:
        return _(_CHANNELS[name])
    return _(_OURS[name]) if name in _OURS else name_words(name)
