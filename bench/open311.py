"""
Reading the public record of a million cases: `python -m bench.open311 [--cases 1000000]`.

Fills a database of its own with made-up cases of ten years, their events and words, and asks each
question a number of times. The floor is the same question for one case by its id.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from multidict import MultiDict

from gateway.engine_postgres import Postgres
from gateway.open311.book import public_book, services_of
from gateway.open311.query import read_listing
from gateway.open311.record import Teller
from gateway.settings import Settings
from router.rules import CITIES, load_city
from store import published
from store.migrate import migrate
from store.pool import Settings as PoolSettings
from store.pool import open_pool

YEARS = 10

FILL = """
    INSERT INTO cases (id, reference, status, channel, text, language, opened_at, problem_type,
                       chosen_type, department, district, address, lat, lon, reporter_name,
                       reporter_email, outcome, closing_words, closed_at)
    SELECT gen_random_uuid(),
           upper(substr(md5(n::text), 1, 3) || '-' || substr(md5(n::text), 4, 3) || '-'
                 || lpad(to_hex(n), 6, '0')),
           CASE WHEN n % 20 = 0 THEN 'assigned' ELSE 'closed' END,
           (ARRAY['web', 'phone', 'email', 'sms', 'open311'])[1 + n % 5],
           'A hole in the road as deep as a bathtub, number ' || n || ', near the corner store',
           'en',
           now() - $3::interval * (1 - n::float8 / $2::bigint),
           ($4::text[])[1 + (n * 7919) % array_length($4::text[], 1)],
           NULL, 'MS-STREET MAINTENANCE', 'District ' || 1 + n % 4,
           n % 9000 || ' E 23rd St, Independence, MO 64050',
           39.02 + (n % 997) / 10000.0, -94.47 + (n % 787) / 5000.0,
           'Rosa Lara', 'rosa@resident.example',
           CASE WHEN n % 20 = 0 THEN NULL ELSE 'fixed' END,
           CASE WHEN n % 20 = 0 THEN NULL ELSE 'It was done.' END,
           CASE WHEN n % 20 = 0 THEN NULL
                ELSE now() - $3::interval * (1 - n::float8 / $2::bigint) + interval '3 days' END
    FROM generate_series($1::bigint + 1, least($1::bigint + 50000, $2::bigint)) n
"""
HAPPENED = """
    INSERT INTO events (case_id, at, kind, by, public, data)
    SELECT id, opened_at, 'opened', NULL, true, '{}'::jsonb FROM cases
    UNION ALL
    SELECT id, opened_at + interval '1 minute', 'routed', NULL, true,
           '{"department": "MS-STREET MAINTENANCE"}'::jsonb FROM cases
    UNION ALL
    SELECT id, closed_at, 'closed', 'x', true,
           '{"outcome": "fixed", "words": "It was done."}'::jsonb
    FROM cases WHERE closed_at IS NOT NULL
    ORDER BY 2
"""
WORDS = """
    INSERT INTO case_words (case_id, words)
    SELECT id, to_tsvector('simple', lower(reference || ' ' || address || ' ' || text)) FROM cases
"""

QUESTIONS = {
    "the latest 90 days": {},
    "one service": {"service_code": "graffiti"},
    "one service, all years, page 1": {"service_code": "graffiti", "page": "1"},
    "three services, all years, page 1": {"service_code": "graffiti,noise,zoning", "page": "1"},
    "open ones": {"status": "open"},
    "open ones, all years, page 1": {"status": "open", "page": "1"},
    "updated in the last hour": {"updated_after": "HOUR"},
    "updated in the last 7 days": {"updated_after": "WEEK"},
    "a box": {"bbox": "-94.42,39.05,-94.41,39.06"},
    "a circle, all years, page 1": {
        "lat": "39.05",
        "long": "-94.42",
        "radius": "300",
        "page": "1",
    },
    "a search": {"q": "bathtub 4711"},
    "page 1": {"page": "1"},
    "page 9,000 by number": {"page": "9000"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="buckstop-bench-") as folder:
        Path(folder).chmod(0o755)
        asyncio.run(run(Path(folder), asked.cases, asked.times))


async def run(folder: Path, cases: int, times: int) -> None:
    city = load_city(CITIES / "independence")
    book, services = public_book(city), services_of(city, Settings())
    server = Postgres(folder / "pg")
    await server.start()
    try:
        await migrate(server.dsn)
        async with open_pool(PoolSettings(dsn=server.dsn)) as pool, pool.acquire() as conn:
            await fill(conn, cases, [kind.name for kind in city.problem_types])
            await measure(conn, times, book.rules, Teller(book, services, "https://x"))
    finally:
        await server.stop()


async def fill(conn: asyncpg.Connection, cases: int, types: list[str]) -> None:
    began = time.monotonic()
    await conn.execute("SET statement_timeout = 0")
    span = timedelta(days=365 * YEARS)
    for first in range(0, cases, 50_000):
        await conn.execute(FILL, first, cases, span, types, timeout=None)
    for query in (HAPPENED, WORDS, "VACUUM ANALYZE"):
        await conn.execute(query, timeout=3600)
    print(f"{cases:,} cases in {time.monotonic() - began:.0f} s")


async def measure(
    conn: asyncpg.Connection, times: int, rules: published.PublicRules, teller: Teller
) -> None:
    now = datetime.now(UTC)
    moments = {"HOUR": now - timedelta(hours=1), "WEEK": now - timedelta(days=7)}
    reference = await conn.fetchval("SELECT reference FROM cases LIMIT 1")

    async def one() -> int:
        wanted = published.Wanted(references=[reference])
        return len(await published.find(conn, rules, wanted, limit=1))

    floor = await told("one by its id (the floor)", times, one, 0.0)
    for name, query in QUESTIONS.items():
        filled = {key: _moment(moments.get(value), value) for key, value in query.items()}
        listing = read_listing(MultiDict(filled), teller.book, now)

        async def ask(listing=listing) -> int:  # type: ignore[no-untyped-def]
            offset = ((listing.page or 1) - 1) * listing.page_size
            limit = 2_000 if listing.wanted.words else listing.page_size
            rows = await published.find(conn, rules, listing.wanted, limit=limit, offset=offset)
            return len([teller.request(row) for row in rows])

        await told(name, times, ask, floor)
        if listing.page == 1:

            async def count(listing=listing) -> int:  # type: ignore[no-untyped-def]
                return await published.count(conn, rules, listing.wanted)

            await told("    and how many there are", times, count, floor)
    last = (await published.find(conn, rules, published.Wanted(), limit=1, offset=900_000))[:1]
    if last:
        after = published.After(last[0].opened_at, last[0].id)

        async def deep() -> int:
            rows = await published.find(conn, rules, published.Wanted(), limit=100, after=after)
            return len([teller.request(row) for row in rows])

        await told("page 9,001 by its link", times, deep, floor)

    async def updates() -> int:
        since = now - timedelta(hours=2)
        return len(await published.changes(conn, rules, since=since, until=now, limit=1000))

    await told("updates of two hours", times, updates, floor)


def _moment(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else moment.isoformat()


async def told(name: str, times: int, ask: Callable[[], Awaitable[int]], floor: float) -> float:
    seconds, found = [], 0
    for _ in range(times):
        began = time.perf_counter()
        found = await ask()
        seconds.append(time.perf_counter() - began)
    middle = statistics.median(seconds)
    ratio = f"{middle / floor:7.0f} x" if floor else ""
    print(
        f"{name:40} {middle * 1000:8.1f} ms, worst {max(seconds) * 1000:8.1f} ms {found:8,} {ratio}"
    )
    return middle


if __name__ == "__main__":
    main()
