"""
How quickly likely duplicates are found: `python -m bench.duplicates [--cases 100000]`.

Fills a fresh database with open cases over a city of 20 by 20 km (and half of them once more in a
square of 3 km: a storm), asks as the pages do, and prints milliseconds beside those of the
simplest question to the same database.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from bus.contracts import Contact
from gateway.engine_postgres import Postgres
from store.addresses import read_address
from store.duplicates import likely, person
from store.likeness import Problem, Reaches
from store.migrate import migrate
from store.pool import Settings, open_pool
from store.same_settings import DuplicateSettings

LAT, LON = 39.09, -94.41
TYPES = ["Pothole/Street Maintenance", "Street Light Out", "Trash/Rubbish", "Noise", "Water Leak"]
SAID = [
    "Big pothole in the right lane near the gas station, my tire blew on it",
    "street light is out on the corner, very dark when the kids walk home",
    "trash bags and an old couch dumped in the yard next door since last week",
    "LOUD MUSIC EVERY NIGHT UNTIL 3 AM FROM THE BLUE HOUSE",
    "water is coming up through the road and running down the gutter",
]
AIM = 50.0  # milliseconds: a page that waits for it is not felt to wait

FILL = """
    INSERT INTO cases (
        id, reference, status, channel, text, language, opened_at, problem_type, department,
        address, lat, lon, reporter_email, reporter_phone
    )
    SELECT gen_random_uuid(), 'R' || $1::int + n, 'assigned', 'web',
           ($2::text[])[1 + n % 5] || ' ' || md5(n::text), 'en',
           now() - random() * interval '80 days', ($3::text[])[1 + n % 5], 'STREETS',
           (100 + n % 20000) || ' E ' || (1 + n % 60) || 'th St',
           $4 + (random() - 0.5) * $6, $5 + (random() - 0.5) * $6 * 1.3,
           'resident' || n || '@example.org', '+1816' || (5550000 + n)
    FROM generate_series(1, $7) AS n
"""

WORDS = """
    INSERT INTO case_words (case_id, words)
    SELECT id, to_tsvector('simple', lower(
        reference || ' ' || address || ' ' || text || ' ' || reporter_email || ' ' ||
        substr(reporter_phone, 2)
    ))
    FROM cases
"""


async def timed(times: int, ask: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Milliseconds: the middle, and the slowest of twenty."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), statistics.quantiles(took, n=20)[-1]


async def measure(pool: asyncpg.Pool, cases: int, times: int) -> bool:
    reaches, settings = Reaches(), DuplicateSettings()
    chance = random.Random(7)
    good = True
    async with pool.acquire() as conn:
        began = time.perf_counter()
        await conn.execute(FILL, 0, SAID, TYPES, LAT, LON, 0.18, cases)
        await conn.execute(FILL, cases, SAID, TYPES, LAT, LON, 0.027, cases // 2)
        await conn.execute(WORDS)
        await conn.execute("VACUUM ANALYZE")
        print(f"{cases + cases // 2:,} open cases made in {time.perf_counter() - began:.0f} s")

        def problem(spread: float, *, point: bool) -> Problem:
            n = chance.randrange(cases)
            return Problem(
                text=SAID[n % 5],
                at=datetime.now(UTC),
                problem_type=TYPES[n % 5],
                address=read_address(f"{100 + n % 20000} E {1 + n % 60}th St"),
                lat=LAT + (chance.random() - 0.5) * spread if point else None,
                lon=LON + (chance.random() - 0.5) * spread * 1.3 if point else None,
                reporter=person(Contact(phone=f"+1816{5550000 + n}")),
            )

        async def simplest() -> object:
            return await conn.fetchval("SELECT 1")

        print(
            f"  {'the simplest question':<46} {'%7.2f ms %9.2f ms' % await timed(times, simplest)}"
        )
        for what, spread, point in (
            ("a point, an address and a phone, anywhere", 0.18, True),
            ("the same in the middle of the storm", 0.02, True),
            ("an address and a phone", 0.18, False),
        ):

            async def ask(spread: float = spread, point: bool = point) -> object:
                return await likely(conn, problem(spread, point=point), reaches, settings)

            middle, slow = await timed(times, ask)
            good = good and slow <= AIM
            mark = "ok" if slow <= AIM else "MISSED"
            print(f"  {what:<46} {middle:7.2f} ms {slow:9.2f} ms   95 % below {AIM:.0f} ms: {mark}")
    return good


async def main() -> int:
    asked = argparse.ArgumentParser(description="How quickly likely duplicates are found.")
    asked.add_argument("--cases", type=int, default=100_000)
    asked.add_argument("--times", type=int, default=200)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="buckstop-bench-") as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        postgres = Postgres(folder / "pg")
        await postgres.start()
        try:
            await migrate(postgres.dsn)
            async with open_pool(Settings(dsn=postgres.dsn)) as pool:
                return 0 if await measure(pool, given.cases, given.times) else 1
        finally:
            await postgres.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
