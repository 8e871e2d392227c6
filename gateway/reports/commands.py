"""`buckstop report …`: the same reports as on the pages of staff, for files and other programs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import asyncpg
from cyclopts import App, Parameter

from gateway.command import HERE, Where, go, out, trouble
from gateway.compose import city_folder
from gateway.pages import i18n
from gateway.reports.html import as_html
from gateway.reports.make import make_service_requests
from gateway.reports.pdf import as_pdf
from gateway.reports.performance import make_performance
from gateway.reports.performance_shown import performance_shown
from gateway.reports.performance_written import performance_csv, performance_json
from gateway.reports.shown import shown
from gateway.reports.spans import Span
from gateway.reports.written import as_csv, as_json
from gateway.run import reach
from gateway.settings import Settings
from router.rules import load_city
from store import counting
from store.pool import open_pool

report = App(name="report", help="Figures, on paper and for programs.")

FirstDay = Annotated[date, Parameter(name="--from", help="The first day, as 2021-10-01")]
LastDay = Annotated[date, Parameter(name="--to", help="The last day, which counts")]
Written = Annotated[Literal["html", "pdf", "csv", "json"], Parameter(help="What is written")]
Output = Annotated[
    Path | None, Parameter(name=["--output", "-o"], help="The file (default: standard output)")
]
Language = Annotated[Literal["en", "es"], Parameter(help="Of html and pdf")]


@report.command(name="service-requests")
def service_requests(
    *,
    first: FirstDay,
    last: LastDay,
    format: Written = "html",
    output: Output = None,
    language: Language = "en",
    where: Where = HERE,
) -> int:
    """
    The Service Request Report: what was opened, by department, problem type and district.

    Every request counts once; percentages add up to 100.0. Running or not.
    """
    if first > last:
        return trouble("--to comes before --from.", code=1)
    settings = where.settings()

    async def work() -> int:
        city = load_city(city_folder(settings))
        async with _connection(settings) as conn:
            made = await make_service_requests(conn, city, Span(first, last))
        i18n.use_language(language)
        match format:
            case "json":
                written = f"{as_json(made.report, city.name, made.counted_at)}\n".encode()
            case "csv":
                written = as_csv(made.report).encode()
            case "html":
                written = as_html(shown(made.report, city, made.counted_at)).encode()
            case "pdf":
                told = shown(made.report, city, made.counted_at)
                written = await asyncio.to_thread(as_pdf, told)
        return _write(written, output)

    return go(work())


@report.command(name="how-are-we-doing")
def how_are_we_doing(
    *,
    first: FirstDay,
    last: LastDay,
    format: Annotated[Literal["html", "csv", "json"], Parameter(help="What is written")] = "html",
    output: Output = None,
    language: Annotated[Literal["en", "es"], Parameter(help="Of html")] = "en",
    where: Where = HERE,
) -> int:
    """
    What was opened and closed, how long it took, what is late, and how that compares with before.

    Running or not. Nothing in it is about single people.
    """
    if first > last:
        return trouble("--to comes before --from.", code=1)
    settings = where.settings()

    async def work() -> int:
        city = load_city(city_folder(settings))
        async with _pool(settings) as pool:
            made = await make_performance(pool, city, Span(first, last))
        i18n.use_language(language)
        match format:
            case "json":
                written = f"{performance_json(made, city.name)}\n"
            case "csv":
                written = performance_csv(made)
            case "html":
                written = as_html(performance_shown(made, city), "performance.html")
        return _write(written.encode(), output)

    return go(work())


@report.command
def recount(*, where: Where = HERE) -> int:
    """
    Count every case anew, as nobody should need to. Prints how many had been counted wrongly;
    exit 1 when there were any.
    """
    settings = where.settings()

    async def work() -> int:
        async with _connection(settings) as conn:
            # What has not been counted yet is late, and not wrong.
            await counting.catch_up(conn)
            changed = (await counting.recount(conn)).changed
        out.print(f"{changed} cases had been counted otherwise.")
        return 1 if changed else 0

    return go(work())


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    async with reach(settings) as engines:
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        async with open_pool(stored) as pool:
            yield pool


@asynccontextmanager
async def _connection(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    async with _pool(settings) as pool, pool.acquire() as conn:
        yield conn


def _write(written: bytes, output: Path | None) -> int:
    if output is not None:
        output.write_bytes(written)
    elif written.startswith(b"%PDF") and sys.stdout.isatty():
        return trouble("A PDF is nothing for a terminal: name a file with --output.", code=1)
    else:
        sys.stdout.buffer.write(written)
        sys.stdout.buffer.flush()
    return 0
