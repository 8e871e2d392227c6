"""
`python -m bench.reports`: how long reports take with a million cases.

A fresh PostgreSQL of our own gets the cases in SQL, ten years of them, each with what happened to
it. Then reports are asked for as the pages and the command ask for them.
"""

import argparse
import asyncio
import csv
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from gateway.history.column_map import ColumnMap
from gateway.history.take_in import import_past
from gateway.open_data.dashboard import Dashboard
from gateway.reports.make import Made, make_service_requests
from gateway.reports.pdf import as_pdf
from gateway.reports.performance import make_performance
from gateway.reports.performance_shown import performance_shown
from gateway.reports.shown import shown
from gateway.reports.spans import Span
from gateway.run import reach
from gateway.settings import Settings, load
from router.rules import CITIES, City, load_city
from store import counting
from store.pool import open_pool

BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
DAYS = 3653  # ten years
AT_ONCE = 100_000

TYPES = tuple(f"Type {number}" for number in range(1, 47))
DEPARTMENTS = tuple(f"DEPARTMENT {number}" for number in range(1, 22))
DISTRICTS = ("District 1", "District 2", "District 3", "District 4")

# Drawn with a square, so that some types and departments are common and others rare, as they are.
CASES = """
    INSERT INTO cases (
        id, reference, status, channel, text, language, opened_at, predicted_type, problem_type,
        confidence, address, lat, lon, district, department, assignee, routed_at,
        outcome, closing_words, closed_at
    )
    SELECT gen_random_uuid(), 'R' || n, CASE WHEN open THEN 'assigned' ELSE 'closed' END,
           (ARRAY['phone', 'phone', 'phone', 'web', 'email', 'sms'])[1 + floor(random() * 6)],
           'There is something in the road in front of the house, and it has been there for weeks.',
           'en', opened_at, type, type, 0.8, (100 + n % 9000) || ' E Sample St',
           39.05 + random() * 0.1, -94.46 + random() * 0.1,
           CASE WHEN random() < 0.97 THEN $4::text[][1 + floor(random() * 4)] END,
           department, 'person.' || n % 40, opened_at + interval '2 seconds',
           CASE WHEN NOT open THEN 'fixed' END, CASE WHEN NOT open THEN 'It is done.' END,
           CASE WHEN NOT open THEN opened_at + power(random(), 3) * interval '60 days' END
    FROM (
        SELECT n, $3::timestamptz + random() * $5::interval AS opened_at, random() < 0.02 AS open,
               ($6::text[])[1 + floor(power(random(), 2) * 46)] AS type,
               ($7::text[])[1 + floor(power(random(), 2) * 21)] AS department
        FROM generate_series($1::int, $2::int) AS n
    ) AS one
""".replace("$4::text[][", "($4::text[])[")

EVENTS = """
    INSERT INTO events (case_id, at, kind, by, public, data)
    SELECT c.id, e.at, e.kind, e.by, true, e.data
    FROM cases c
    CROSS JOIN LATERAL (
        VALUES (1, c.opened_at, 'opened', NULL, '{}'::jsonb),
               (2, c.routed_at, 'routed', NULL, jsonb_build_object('department', c.department)),
               (3, c.opened_at + random() * interval '2 days', 'started', c.assignee, '{}'),
               (4, c.closed_at, 'closed', c.assignee, '{}')
    ) AS e (place, at, kind, by, data)
    WHERE e.at IS NOT NULL AND c.reference = ANY (
        SELECT 'R' || n FROM generate_series($1::int, $2::int) AS n
    )
    ORDER BY c.id, e.place
"""


async def fill(pool: asyncpg.Pool, cases: int) -> None:
    for first in range(1, cases + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, cases)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            span = timedelta(days=DAYS)
            await connection.execute(
                CASES, first, last, BEGIN, DISTRICTS, span, TYPES, DEPARTMENTS, timeout=600
            )
            await connection.execute(EVENTS, first, last, timeout=600)
        print(f"  {last:>9,} cases", end="\r", flush=True)
    print()
    async with pool.acquire() as connection:
        await settle(connection)


async def settle(connection: asyncpg.Connection) -> None:
    """What PostgreSQL does by itself over ten years; else it would do it while we measure."""
    await connection.execute("SET statement_timeout = 0")
    await connection.execute("VACUUM (ANALYZE)", timeout=600)
    await connection.execute("CHECKPOINT", timeout=600)


class Figures:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, seconds: float, aim: float | None = None) -> None:
        good = None if aim is None else seconds <= aim
        self.rows.append({"what": what, "seconds": seconds, "aim": aim, "good": good})
        mark = {True: "ok", False: "MISSED", None: ""}[good]
        told = "" if aim is None else f"aim {aim:g} s"
        print(f"  {what:<58} {seconds:>9.3f} s   {told:<12} {mark}", flush=True)

    async def time(
        self, what: str, work: Callable[[], Awaitable[object]], aim: float | None = None
    ) -> None:
        began = time.perf_counter()
        await work()
        self.add(what, time.perf_counter() - began, aim)

    async def p95(
        self, what: str, work: Callable[[Span], Awaitable[object]], times: int, aim: float
    ) -> None:
        """Of months at different times of the ten years."""
        took = []
        chance = random.Random(1)
        for _ in range(times):
            first = BEGIN.date() + timedelta(days=chance.randrange(DAYS - 31))
            began = time.perf_counter()
            await work(Span(first, first + timedelta(days=30)))
            took.append(time.perf_counter() - began)
        self.add(f"{what}, p95 of {times}", statistics.quantiles(took, n=20)[18], aim)


TEN_YEARS = Span(BEGIN.date(), BEGIN.date() + timedelta(days=DAYS - 1))

CHANGE = """
    WITH moved AS (
        UPDATE cases SET problem_type = 'Type 1'
        WHERE id IN (SELECT id FROM cases ORDER BY opened_at DESC LIMIT 1000)
        RETURNING id
    )
    INSERT INTO events (case_id, at, kind, by, public, data)
    SELECT id, now(), 'retyped', 'person.1', false, '{}' FROM moved
"""


async def measure(pool: asyncpg.Pool, city: City, figures: Figures) -> None:
    async with pool.acquire() as conn:

        async def report(span: Span) -> Made:
            return await make_service_requests(conn, city, span)

        await figures.time(
            "counting everything for the first time", lambda: counting.catch_up(conn)
        )
        await settle(conn)
        await figures.p95("Service Request Report of a month", report, 60, 0.5)
        await figures.time("the same of ten years", lambda: report(TEN_YEARS), 3.0)
        made = await report(TEN_YEARS)
        told = shown(made.report, city, made.counted_at)
        await figures.time("the same on paper, besides", lambda: asyncio.to_thread(as_pdf, told))
        await measure_performance(pool, city, figures)
        await conn.execute(CHANGE)
        await figures.time("counting 1,000 cases that changed", lambda: counting.catch_up(conn))


async def measure_performance(pool: asyncpg.Pool, city: City, figures: Figures) -> None:
    async def page(span: Span) -> None:
        performance_shown(await make_performance(pool, city, span, with_people=True), city)

    await figures.p95("How are we doing, of a month", page, 40, 0.5)
    # Asked while nobody else asks; the database would else end a question after half a minute.
    await figures.time("the same of ten years", lambda: page(TEN_YEARS), 3.0)
    await figures.time("the public dashboard, asked anew", Dashboard(pool, city).read, 0.5)


async def measure_import(settings: Settings, folder: Path, figures: Figures) -> None:
    path = folder / "past.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("number", "opened", "closed", "type", "department", "district", "address"))
        for number in range(50_000):
            opened = BEGIN + timedelta(minutes=number * 100)
            closed = opened + timedelta(days=number % 90)
            dates = (opened.isoformat(), closed.isoformat())
            names = (TYPES[number % 46], DEPARTMENTS[number % 21], DISTRICTS[number % 4])
            table.writerow((number, *dates, *names, f"{number} E Sample St"))
    how = ColumnMap.model_validate(
        {
            "name": "bench",
            "timezone": "America/Chicago",
            "columns": {
                **{name: name for name in ("number", "opened", "closed", "department", "district")},
                **{"problem_type": "type", "address": "address"},
            },
        }
    )
    await figures.time(
        "importing 50,000 past requests", lambda: import_past(settings, path, how), 60.0
    )


async def main(folder: Path, cases: int, wanted: str) -> None:
    city = load_city(CITIES / "independence")
    figures = Figures()
    settings = load(data=folder / "data")
    async with reach(settings) as engines:
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        bus = settings.bus.model_copy(update={"url": engines.nats_url})
        async with open_pool(stored) as pool:
            print(f"{cases:,} cases of ten years", flush=True)
            await figures.time("making them", lambda: fill(pool, cases))
            await measure(pool, city, figures)
            there = settings.model_copy(update={"store": stored, "bus": bus})
            await measure_import(there, folder, figures)
    if wanted == "json":
        print(json.dumps({"cases": cases, "figures": figures.rows}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    asked = parser.parse_args()
    # Not in the system's own folder for temporary files, which may be in memory.
    with tempfile.TemporaryDirectory(prefix="buckstop-bench-", dir=os.getcwd()) as name:
        Path(name).chmod(0o755)
        asyncio.run(main(Path(name), asked.cases, asked.format))
