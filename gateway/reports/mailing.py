"""
Reports by email, when their span is over: made, kept with the files, and told once to each.

What was missed because Buckstop did not run is made up for; of several spans only the last.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from bus.contracts import FileRef, ReportFigure, ReportMade
from bus.errors import Unavailable
from bus.files import Files
from bus.identity import fact_id
from gateway.pages import i18n
from gateway.reports.html import as_html
from gateway.reports.make import Made, make_service_requests
from gateway.reports.pdf import CannotPrint, as_pdf
from gateway.reports.settings import Every, Format, ReportMail, ReportSettings
from gateway.reports.shown import Shown, shown
from gateway.reports.spans import Span, month_before, quarter_before, week_before, year_before
from gateway.reports.written import as_csv, as_json
from router.rules import City
from store import mailed_reports
from store.pool import AWAY

log = structlog.stdlib.get_logger()

_EVERY = 60.0  # seconds
_MEDIA: dict[Format, str] = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
}


async def keep_mailing(
    pool: asyncpg.Pool, files: Files, city: City, settings: ReportSettings, stop: asyncio.Event
) -> None:
    """Send what is due until asked to stop; what fails is tried again a minute later."""
    while not stop.is_set():
        for plan in settings.mail:
            try:
                async with pool.acquire(timeout=10.0) as conn:
                    await mail_if_due(conn, files, city, plan, datetime.now(UTC))
            except (*AWAY, asyncpg.PostgresError, Unavailable, CannotPrint) as error:
                log.warning("report not mailed", report=plan.report, error=repr(error)[:300])
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY)


async def mail_if_due(
    conn: asyncpg.Connection, files: Files, city: City, plan: ReportMail, now: datetime
) -> bool:
    """Have the last span's report told to whoever wants it and has not got it yet."""
    here = now.astimezone(city.zone)
    span = last_span(plan.every, here)
    if here < datetime.combine(span.last + timedelta(days=1), plan.at, city.zone):
        return False
    recipients = await mailed_reports.waiting(conn, plan.report, span.first, span.last, plan.to)
    if not recipients:
        return False
    i18n.use_language(plan.language)
    made = await make_service_requests(conn, city, span)
    told = shown(made.report, city, made.counted_at)
    fact = ReportMade(
        message_id=fact_id("report.made", plan.report, span.first, span.last, *recipients),
        occurred_at=now,
        report=plan.report,
        title=str(told["title"]),
        language=plan.language,
        recipients=tuple(recipients),
        figures=_figures(told),
        path=f"/staff/reports/{plan.report}?from={span.first}&to={span.last}",
        attachments=await _attached(files, city, plan, made, told),
    )
    if not await mailed_reports.tell(conn, fact, span.first, span.last):
        return False
    log.info("report made", report=plan.report, first=str(span.first), recipients=len(recipients))
    return True


def last_span(every: Every, here: datetime) -> Span:
    """The last span that is over, at this moment of the city's clock."""
    today = here.date()
    match every:
        case "day":
            yesterday = today - timedelta(days=1)
            return Span(yesterday, yesterday)
        case "week":
            return week_before(today)
        case "month":
            return month_before(today)
        case "quarter":
            return quarter_before(today)
        case "year":
            return year_before(today)


def _figures(told: Shown) -> tuple[ReportFigure, ...]:
    """What the mail itself says: the total, the most frequent problems, the districts."""
    lines = [(told["words"]["total"].rstrip(":"), told["total"])]
    lines += [(one["name"], one["count"]) for one in told["top"]]
    lines += [(one["name"], one["count"]) for one in told["districts"] if one["number"]]
    return tuple(ReportFigure(name=name, value=value) for name, value in lines)


async def _attached(
    files: Files, city: City, plan: ReportMail, made: Made, told: Shown
) -> tuple[FileRef, ...]:
    span = made.report.span
    attached = []
    for format in dict.fromkeys(plan.formats):
        match format:
            case "pdf":
                data = await asyncio.to_thread(as_pdf, told)
            case "csv":
                data = as_csv(made.report).encode("utf-8-sig")
            case "json":
                data = as_json(made.report, city.name, made.counted_at).encode()
            case "html":
                data = as_html(told).encode()
        name = f"{plan.report}-{span.first}-{span.last}.{format}"
        attached.append(await files.keep(data, media_type=_MEDIA[format], name=name))
    return tuple(attached)
