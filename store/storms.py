"""
Storms: many reports of one kind in one area within a short time are found, and proposed as one
incident, or made one at once.

The store looks every few seconds at what came in lately; filing is not held up by it. One store
looks at a time.
"""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import numpy
import structlog

from store import incident_changes
from store.incidents import Report
from store.likeness import METRES_PER_DEGREE
from store.pool import AWAY
from store.same_settings import StormSettings

log = structlog.stdlib.get_logger()

_MOST_LOOKED_AT = 20_000  # the newest; a storm that has more of them was found long before

_FADES_AFTER = timedelta(days=1)

# Any number that nobody else in this database uses.
_TURN = 0x42_75_63_6C


@dataclass(frozen=True)
class Storm:
    """Reports that are many, alike, near and at the same time."""

    problem_type: str
    lat: float
    lon: float
    reports: tuple[Report, ...]

    @property
    def first_at(self) -> datetime:
        return min(one.at for one in self.reports)

    @property
    def last_at(self) -> datetime:
        return max(one.at for one in self.reports)


def find_storms(reports: Sequence[Report], settings: StormSettings) -> list[Storm]:
    """
    The storms among reports of the last `within_minutes`, the densest of each kind first; no
    report is in two. Pure.
    """
    if not settings.reports:
        return []
    of_type: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        of_type[report.problem_type].append(report)
    return [
        Storm(kind, lat, lon, tuple(alike[one] for one in members))
        for kind, alike in sorted(of_type.items())
        for lat, lon, members in _dense(alike, settings)
    ]


def _dense(
    reports: Sequence[Report], settings: StormSettings
) -> Iterator[tuple[float, float, list[int]]]:
    """The middle of each dense place, and which reports lie around it."""
    if len(reports) < settings.reports:
        return
    lat, lon = reports[0].lat, reports[0].lon
    # Metres from the first, on a flat Earth.
    scale = METRES_PER_DEGREE, METRES_PER_DEGREE * max(math.cos(math.radians(lat)), 0.01)
    where = (numpy.array([(one.lat, one.lon) for one in reports]) - (lat, lon)) * scale
    # Squares as wide as the reach: whatever lies within reach of a point lies in its square or in
    # one of the eight around it.
    squares = numpy.floor(where / settings.within_metres).astype(numpy.int64)
    held = Counter(map(tuple, squares.tolist()))
    thin: set[tuple[int, ...]] = set()
    left = numpy.arange(len(reports))
    while (square := _fullest(held, thin, settings.reports)) is not None:
        near = left[(abs(squares[left] - square) <= 1).all(axis=1)]
        # Twice: the middle of what is near, and the middle of what is within reach of that.
        for _ in range(2):
            middle = where[near].mean(axis=0)
            away = numpy.hypot(*(where[left] - middle).T)
            near = left[away <= settings.within_metres]
            if not len(near):
                break
        if len(near) < settings.reports:
            thin.add(square)  # nine squares hold enough, yet not within reach of one place
            continue
        north, east = middle / scale
        yield lat + float(north), lon + float(east), near.tolist()
        held -= Counter(map(tuple, squares[near].tolist()))
        left = numpy.setdiff1d(left, near, assume_unique=True)


_AROUND = [(up, right) for up in (-1, 0, 1) for right in (-1, 0, 1)]


def _fullest(
    held: Mapping[tuple[int, ...], int], thin: set[tuple[int, ...]], least: int
) -> tuple[int, ...] | None:
    """
    The square with most reports in it and around it, and no fewer than `least`; of equals, the
    first. Those that are `thin` are passed over.
    """
    best, most = None, least - 1
    for at in sorted(held):
        if at not in thin:
            around = sum(held.get((at[0] + up, at[1] + right), 0) for up, right in _AROUND)
            if around > most:
                best, most = at, around
    return best


# ── looking ─────────────────────────────────────────────────────────────────────────────────────

MY_TURN = "SELECT pg_try_advisory_xact_lock($1)"

# What may be an emergency stays by itself: it must not lie among fifty others.
BY_THEMSELVES = """
    SELECT id AS case_id, problem_type, lat, lon, opened_at AS at
    FROM cases
    WHERE opened_at > $1 AND status NOT IN ('new', 'closed')
      AND lat IS NOT NULL AND problem_type IS NOT NULL
      AND incident_id IS NULL AND NOT by_itself AND NOT emergency
    ORDER BY opened_at DESC
    LIMIT $2
"""


# A storm that is long over, of which nobody said anything.
FADE = """
    UPDATE incidents
    SET state = 'dismissed'
    WHERE state = 'proposed' AND last_at + lasts < $1
"""


async def look(conn: asyncpg.Connection, settings: StormSettings, now: datetime) -> int:
    """
    Propose, or make, incidents of the storms that there are; attach what belongs to one that takes
    in by itself. How many incidents are new.
    """
    async with conn.transaction():
        if not settings.reports or not await conn.fetchval(MY_TURN, _TURN):
            return 0
        await conn.execute(FADE, now - _FADES_AFTER)
        rows = await conn.fetch(BY_THEMSELVES, now - settings.span, _MOST_LOOKED_AT)
        if not rows:
            return 0
        reports = await asyncio.to_thread(lambda: [Report(**row) for row in rows])
        left = await incident_changes.cover(conn, reports)
        # Some milliseconds for thousands of reports.
        storms = await asyncio.to_thread(find_storms, left, settings)
        for storm in storms:
            incident_id = uuid4()
            await incident_changes.propose(
                conn,
                incident_id,
                problem_type=storm.problem_type,
                lat=storm.lat,
                lon=storm.lon,
                reach=settings.within_metres,
                first_at=storm.first_at,
                last_at=storm.last_at,
                lasts=settings.span,
                now=now,
            )
            if settings.attach:
                cases = [one.case_id for one in storm.reports]
                await incident_changes.begin(
                    conn, incident_id, cases, takes_in=True, by=None, now=now
                )
        return len(storms)


async def keep_looking(pool: asyncpg.Pool, settings: StormSettings, stop: asyncio.Event) -> None:
    """Look now and then until asked to stop; what fails is tried again at the next look."""
    while not stop.is_set():
        try:
            async with pool.acquire(timeout=10.0) as conn:
                found = await look(conn, settings, datetime.now(UTC))
            if found:
                log.info("storms found", incidents=found)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("storms not looked for", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), settings.look_every)
