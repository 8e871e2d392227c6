"""Reports for those who lead: as a page, and the same as PDF, CSV, JSON or a file of HTML."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime

from aiohttp import web

from gateway.keys import CITY, POOL
from gateway.pages.i18n import gettext as _
from gateway.pages.i18n import noted as N_
from gateway.reports.html import as_html
from gateway.reports.make import Made, make_service_requests
from gateway.reports.pdf import as_pdf
from gateway.reports.shown import shown, span_words
from gateway.reports.spans import (
    EARLIEST,
    LATEST,
    Span,
    month_before,
    month_of,
    week_before,
    year_before,
    year_of,
)
from gateway.reports.written import as_csv, as_json
from gateway.staff.access import requires
from gateway.staff.forms import Problems
from gateway.staff.pages import page
from gateway.staff.roles import Act
from router.rules import City

_ONE_PDF = asyncio.Semaphore(1)  # each takes a core for some tenths of a second

_USUAL: tuple[tuple[str, Callable[[date], Span]], ...] = (
    (N_("Last week"), week_before),
    (N_("This month"), month_of),
    (N_("Last month"), month_before),
    (N_("This year"), year_of),
    (N_("Last year"), year_before),
)


@requires(Act.REPORTS)
async def show_all(request: web.Request) -> web.StreamResponse:
    """Which reports there are."""
    return await page(request, "staff/reports.html", {"nav": "reports"})


@requires(Act.REPORTS)
async def service_requests(request: web.Request) -> web.StreamResponse:
    """What was opened in a span, by department, type and district."""
    city = request.config_dict[CITY]
    typed, span, errors = asked_span(request, city)
    context = {
        "typed": typed,
        "errors": errors,
        "usual": usual_spans(city),
        "here": request.path,
        "nav": "reports",
    }
    if span is None:
        return await page(
            request, "staff/report_service_requests.html", {**context, "told": None}, status=422
        )
    async with request.config_dict[POOL].acquire() as conn:
        made = await make_service_requests(conn, city, span)
    if wanted := request.query.get("format"):
        return await _file(city, made, wanted)
    return await page(
        request,
        "staff/report_service_requests.html",
        {
            **context,
            "told": shown(made.report, city, made.counted_at),
            "complete": made.complete,
            "query": {"from": span.first.isoformat(), "to": span.last.isoformat()},
        },
    )


async def _file(city: City, made: Made, wanted: str) -> web.Response:
    name = f"service-requests-{made.report.span.first}-{made.report.span.last}"
    match wanted:
        case "json":
            body = as_json(made.report, city.name, made.counted_at).encode()
            return download(body, "application/json", f"{name}.json")
        case "csv":
            # With a mark, so that spreadsheets know its letters.
            return download(as_csv(made.report).encode("utf-8-sig"), "text/csv", f"{name}.csv")
        case "html":
            told = shown(made.report, city, made.counted_at)
            return download(as_html(told).encode(), "text/html", f"{name}.html")
        case "pdf":
            told = shown(made.report, city, made.counted_at)
            async with _ONE_PDF:
                body = await asyncio.to_thread(as_pdf, told)
            return download(body, "application/pdf", f"{name}.pdf")
    raise web.HTTPNotFound


def download(body: bytes, media_type: str, name: str) -> web.Response:
    """A file that the browser keeps, and no cache."""
    return web.Response(
        body=body,
        content_type=media_type,
        charset="utf-8" if media_type.startswith("text/") else None,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


def asked_span(request: web.Request, city: City) -> tuple[dict[str, str], Span | None, Problems]:
    """What was typed, and the span that it means, or what has to be mended; else last month."""
    typed = {name: request.query.get(name, "").strip()[:20] for name in ("from", "to")}
    if not any(typed.values()):
        span = month_before(today(city))
        return {"from": span.first.isoformat(), "to": span.last.isoformat()}, span, {}
    errors: Problems = {}
    days = {}
    for name in typed:
        day = read_day(typed[name])
        if day is None:
            errors[name] = _("Enter a day, as 2026-03-31.")
        else:
            days[name] = day
    if not errors and days["from"] > days["to"]:
        errors["to"] = _("The last day comes before the first one.")
    return typed, None if errors else Span(days["from"], days["to"]), errors


def read_day(typed: str) -> date | None:
    """A day as browsers send it, or as people here write it; None for what is none."""
    for how in ("%Y-%m-%d", "%m/%d/%Y"):
        try:
            day = datetime.strptime(typed, how).date()
        except ValueError:
            continue
        return day if EARLIEST <= day <= LATEST else None
    return None


def usual_spans(city: City) -> list[tuple[str, str, str, str]]:
    """Spans that are often asked for: name, first and last day, and both in words."""
    day = today(city)
    spans = [(_(name), find(day)) for name, find in _USUAL]
    return [
        (name, one.first.isoformat(), one.last.isoformat(), span_words(one)) for name, one in spans
    ]


def today(city: City) -> date:
    """Where the city is."""
    return datetime.now(UTC).astimezone(city.zone).date()
