"""Reports for programs and spreadsheets: JSON and CSV, with the city's own names (pure)."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from gateway.reports.service_requests import Many, ServiceRequestReport


def as_json(report: ServiceRequestReport, city: str, made_at: datetime) -> str:
    """One JSON document; districts without any request are left out."""
    return json.dumps(
        {
            "report": "service-requests",
            "city": city,
            "from": report.span.first.isoformat(),
            "to": report.span.last.isoformat(),
            "made_at": made_at.isoformat(timespec="seconds"),
            "total": report.total,
            "departments": [
                {"name": one.name, "count": one.count, "percent": one.percent}
                for one in report.departments
            ],
            "top_problem_types": _listed(report.top_problem_types),
            "districts": [
                {
                    "name": one.name,
                    "count": one.count,
                    "percent": one.percent,
                    "top": _listed(one.top),
                }
                for one in report.districts
                if one.count
            ],
            "without_type": report.without_type,
        },
        ensure_ascii=False,
        indent=2,
    )


def _listed(top: Iterable[Many]) -> list[dict[str, object]]:
    return [{"name": one.name, "count": one.count} for one in top]


def as_csv(report: ServiceRequestReport) -> str:
    """One table: what a line counts stands in its first cell."""
    rows: list[Sequence[object]] = [("total", "", "", report.total, "")]
    rows += [
        ("department", one.name, "", one.count, f"{one.percent:.1f}") for one in report.departments
    ]
    rows += [("problem type", "", one.name, one.count, "") for one in report.top_problem_types]
    for one in report.districts:
        if one.count:
            rows.append(("district", one.name, "", one.count, f"{one.percent:.1f}"))
            rows += [
                ("problem type in district", one.name, many.name, many.count, "")
                for many in one.top
            ]
    return table(("what", "name", "problem_type", "count", "percent"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV that a spreadsheet opens without taking a name for a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: object) -> object:
    # An imported name may begin with anything; a spreadsheet would run `=HYPERLINK(…)`.
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
