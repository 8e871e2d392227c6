"""Makes a report: the counting is brought up to now, the figures are read, and folded."""

from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from gateway.reports.names import names_of
from gateway.reports.service_requests import ServiceRequestReport, service_request_report
from gateway.reports.spans import Span
from router.rules import City
from store import counting, statistics


@dataclass(frozen=True)
class Made:
    """A report, and up to when it counts."""

    report: ServiceRequestReport
    counted_at: datetime
    complete: bool
    """False: so much is being counted just now that the newest may be missing."""


async def make_service_requests(conn: asyncpg.Connection, city: City, span: Span) -> Made:
    """The Service Request Report of a span, as things stand now."""
    counted = await counting.catch_up(conn)
    opened = await statistics.opened(conn, *span.moments(city.zone))
    report = service_request_report(opened, names_of(city), span)
    return Made(report, counted.at or datetime.now(UTC), counted.complete)
