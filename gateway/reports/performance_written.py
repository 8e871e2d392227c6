"""How we are doing, for programs and spreadsheets: JSON and CSV, no person in them (pure)."""

import json
from collections.abc import Sequence

from gateway.reports.performance import Line, Performance, said
from gateway.reports.spans import Span
from gateway.reports.written import table
from store.performance import OpenedCount, OpenNow, Took, Totals

_HEAD = (
    *("what", "name", "from", "to", "opened", "reopened", "joined"),
    *("types_foretold", "types_corrected", "departments_foretold", "departments_corrected"),
    *("acted", "acted_timed", "acted_median_minutes", "acted_p90_minutes"),
    *("acted_with_aim", "acted_in_time"),
    *("closed", "closed_timed", "closed_median_minutes", "closed_p90_minutes"),
    *("closed_with_aim", "closed_in_time"),
    *("open_now", "open_under_7_days", "open_7_to_30_days", "open_30_to_90_days"),
    *("open_90_to_365_days", "open_over_365_days", "late_to_act", "late_to_close"),
)


def performance_json(made: Performance, city: str) -> str:
    """One JSON document; times in minutes, null where fewer than five were timed."""
    return json.dumps(
        {
            "report": "how-are-we-doing",
            "city": city,
            **_days(made.span),
            "made_at": made.counted_at.isoformat(timespec="seconds"),
            "whole": _line(made.whole),
            "before": _days(made.before[0]) | _totals(made.before[1]),
            "year_before": _days(made.year_before[0]) | _totals(made.year_before[1]),
            **{
                f"{by}s": [{"name": one.name} | _line(one) for one in lines]
                for by, lines in made.by.items()
            },
            "blocks": [
                {"lat": one.lat, "long": one.lon, "count": one.count} for one in made.blocks
            ],
        },
        ensure_ascii=False,
        indent=2,
    )


def performance_csv(made: Performance) -> str:
    """One table; the first cell says what a line is about."""
    rows: list[Sequence[object]] = [_row("whole", "", made.span, made.whole)]
    for what, (span, totals) in (("before", made.before), ("year before", made.year_before)):
        line = Line("", totals.opened, totals.first_action, totals.closing, OpenNow(*[0] * 8))
        cells = _row(what, "", span, line)
        rows.append((*cells[:-8], *[""] * 8))
    for by, lines in made.by.items():
        what = by.replace("_", " ")
        rows += [_row(what, one.name, made.span, one) for one in lines]
    return table(_HEAD, rows)


def _row(what: str, name: str, span: Span, line: Line) -> tuple[object, ...]:
    opened, now = line.opened, line.open_now
    return (
        *(what, name, span.first.isoformat(), span.last.isoformat()),
        *(opened.opened, opened.reopened, opened.duplicates),
        *(opened.type_foretold, opened.type_corrected),
        *(opened.department_foretold, opened.department_corrected),
        *_cells(line.first_action),
        *_cells(line.closing),
        *(now.cases, now.week, now.month, now.quarter, now.year, now.older),
        *(now.late_to_act, now.late_to_close),
    )


def _cells(took: Took) -> tuple[object, ...]:
    times = (took.median, took.p90) if said(took) else ("", "")
    return (took.cases, took.timed, *times, took.aimed, took.in_time)


def _days(span: Span) -> dict[str, object]:
    return {"from": span.first.isoformat(), "to": span.last.isoformat()}


def _line(line: Line) -> dict[str, object]:
    now = line.open_now
    return _totals(Totals(line.opened, line.first_action, line.closing)) | {
        "open_now": {
            "count": now.cases,
            "under_7_days": now.week,
            "7_to_30_days": now.month,
            "30_to_90_days": now.quarter,
            "90_to_365_days": now.year,
            "over_365_days": now.older,
            "late_to_act": now.late_to_act,
            "late_to_close": now.late_to_close,
        }
    }


def _totals(totals: Totals) -> dict[str, object]:
    opened: OpenedCount = totals.opened
    return {
        "opened": opened.opened,
        "reopened": opened.reopened,
        "joined": opened.duplicates,
        "types": {"foretold": opened.type_foretold, "corrected": opened.type_corrected},
        "departments_named": {
            "foretold": opened.department_foretold,
            "corrected": opened.department_corrected,
        },
        "first_action": _took(totals.first_action),
        "closed": _took(totals.closing),
    }


def _took(took: Took) -> dict[str, object]:
    return {
        "count": took.cases,
        "timed": took.timed,
        "median_minutes": took.median if said(took) else None,
        "p90_minutes": took.p90 if said(took) else None,
        "with_aim": took.aimed,
        "in_time": took.in_time,
    }
