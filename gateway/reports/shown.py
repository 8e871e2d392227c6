"""
A report in the reader's words: what its page and its paper both show, as plain values.

The language is the one of the request, or the one that was chosen for a mail or a command.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from gateway.pages.city_page import in_language, readable
from gateway.pages.i18n import current_language
from gateway.pages.i18n import gettext as _
from gateway.reports.names import NO_DEPARTMENT, NO_DISTRICT, OTHERS
from gateway.reports.service_requests import Many, ServiceRequestReport
from gateway.reports.spans import Span
from router.rules import City

LOCALES = {"en": "en_US", "es": "es_US"}
_DAYS = {"en": "M/d/yyyy", "es": "d/M/yyyy"}
_OURS = frozenset({NO_DEPARTMENT, NO_DISTRICT, OTHERS})

Shown = Mapping[str, Any]


def shown(report: ServiceRequestReport, city: City, made_at: datetime) -> Shown:
    """The Service Request Report, every number and name as it is read."""
    days = {"first": day_words(report.span.first), "last": day_words(report.span.last)}
    most = max((one.count for one in report.districts), default=0)
    districts = [
        {
            "name": name_words(one.name),
            "count": number_words(one.count),
            "number": one.count,
            "width": round(100 * one.count / most, 2) if most else 0,
            "percent": f"{one.percent:.1f}%",
            "top": [_many(many) for many in one.top],
        }
        for one in report.districts
    ]
    remarks = [_("Others: it is known where, and that lies in no district.")]
    if report.without_type:
        remarks.append(
            _("Nobody has said yet what kind of problem %(count)s of these requests are.")
            % {"count": number_words(report.without_type)}
        )
    return {
        **around(city, made_at),
        "title": f"{_('Service Request Report')} {span_words(report.span)}",
        "total": number_words(report.total),
        "departments": [
            {
                "name": name_words(one.name),
                "count": number_words(one.count),
                "percent": f"{one.percent:.1f}%",
            }
            for one in report.departments
        ],
        "sum_percent": "100.0%",
        "top_heading": _("Top %(count)d problem descriptions in new service requests")
        % {"count": max(1, len(report.top_problem_types))},
        "top": [_many(one) for one in report.top_problem_types],
        "districts": districts,
        "breakdown_heading": _("District breakdown from %(first)s to %(last)s") % days,
        "picture": _("Bars, one for each district:")
        + " "
        + ", ".join(f"{one['name']} {one['count']}" for one in districts),
        "remarks": remarks,
        "words": {
            "report": _("Service Request Report"),
            "page": _("Page %(page)s of %(pages)s"),
            "total": _("Total number of new service requests opened:"),
            "by_department": _("New service requests per department"),
            "department": _("Department"),
            "requests": _("Requests"),
            "share": _("Share"),
            "sum": _("Total:"),
            "problem_type": _("Problem description"),
            "by_district": _("New service requests per district"),
            "district": _("District"),
            "nothing": _("No request was opened in this span."),
        },
    }


def around(city: City, made_at: datetime) -> dict[str, Any]:
    """What every report shows of the city and of itself."""
    language = current_language()
    title = in_language(city.title, language) or city.name
    made = format_datetime(
        made_at.astimezone(city.zone), f"{_DAYS[language]} h:mm a", locale=LOCALES[language]
    ).replace("\u202f", " ")
    return {
        "language": language,
        "city": title,
        "logo": f"{title}, {city.state}",
        "colour": readable(city.colour),
        "note": in_language(city.sample_note, language) if city.sample else "",
        "footer": _("%(city)s · counted %(moment)s") % {"city": title, "moment": made},
    }


def span_words(span: Span) -> str:
    return f"{day_words(span.first)} - {day_words(span.last)}"


def day_words(day: date) -> str:
    language = current_language()
    return format_date(day, _DAYS[language], locale=LOCALES[language])


def number_words(number: float) -> str:
    return format_decimal(number, locale=LOCALES[current_language()])


def name_words(name: str) -> str:
    """A city's own name as it is; ours in the reader's language."""
    return _(name) if name in _OURS else name


def _many(one: Many) -> dict[str, object]:
    return {"name": name_words(one.name), "count": number_words(one.count)}
