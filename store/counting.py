"""
Keeps `counted_cases` agreeing with the cases: one narrow row each, which is what reports read.

Whatever changes a case writes an event in the same transaction. So what happened since the last
look is asked for by the events, and the cases that they name are counted anew, as they stand:
reopened, moved to another district, given another type, it makes no difference. Doing it twice
does no harm.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from store.pool import AWAY

log = structlog.stdlib.get_logger()

_EVERY = 13.0  # seconds; seldom at one time with the look for storms, every ten
_LONG = 3600.0  # seconds; counting a whole city for the first time takes a while
_MANY = 10_000
LOCK_NUMBER = 0x42_75_63_6C
"""Any number that nobody else in this database uses; who holds it counts."""


@dataclass(frozen=True)
class Counted:
    """How far the counting is."""

    at: datetime | None
    """Up to when everything is counted; None: it has never been done to the end."""
    changed: int = 0
    """Cases that were counted otherwise before, or not at all."""
    complete: bool = True
    """False: somebody else is at it, and what is there may lack the newest."""


# What cannot be seen yet of transactions that are still open is looked at again next time.
HORIZON = """
    SELECT c.horizon::text AS horizon, c.counted_at, now() AS now,
           pg_snapshot_xmin(s.snapshot)::text AS next,
           -- Restored elsewhere, where transactions are numbered anew: begin again.
           c.horizon > pg_snapshot_xmax(s.snapshot) AS restored
    FROM counting c, (SELECT pg_current_snapshot() AS snapshot) AS s
"""

# What staff did is what has somebody's name; writing a call down is no work on it yet. What was
# routed by hand before the router looked was not foretold.
COUNT = """
    WITH which AS MATERIALIZED (
        {which}
    ), happened AS (
        SELECT e.case_id,
               min(e.at) FILTER (WHERE e.by IS NOT NULL AND e.kind <> 'opened') AS first_action_at,
               max(e.at) FILTER (WHERE e.kind = 'reopened') AS reopened_at,
               bool_or(e.kind = 'routed' AND e.data->>'department' IS NOT NULL)
                   AS department_foretold,
               bool_or(
                   e.kind = 'assigned' AND e.by IS NOT NULL
                   AND e.data->>'from_department' IS NOT NULL
                   AND e.data->>'from_department' IS DISTINCT FROM e.data->>'department'
               ) AS department_corrected
        FROM which w
        JOIN events e ON e.case_id = w.id
        GROUP BY e.case_id
    ), counted AS (
        INSERT INTO counted_cases (
            case_id, opened_at, closed_at, first_action_at, reopened_at, lat, lon, imported, timed,
            type_foretold, type_corrected, department_foretold, department_corrected,
            channel, department, problem_type, district, outcome, assignee, place
        )
        SELECT c.id, c.opened_at, c.closed_at, e.first_action_at, e.reopened_at, c.lat, c.lon,
               i.case_id IS NOT NULL, coalesce(i.timed, true),
               c.predicted_type IS NOT NULL,
               c.predicted_type IS NOT NULL AND c.typed_by IS NOT NULL
                   AND c.problem_type IS DISTINCT FROM c.predicted_type,
               coalesce(e.department_foretold, false),
               coalesce(e.department_foretold AND e.department_corrected, false),
               c.channel, nullif(btrim(c.department), ''), nullif(btrim(c.problem_type), ''),
               nullif(btrim(c.district), ''), c.outcome, c.assignee,
               nullif(regexp_replace(btrim(upper(c.address), ' .,'), '[\\s.,]+', ' ', 'g'), '')
        FROM which w
        JOIN cases c ON c.id = w.id
        LEFT JOIN imported_cases i ON i.case_id = c.id
        LEFT JOIN happened e ON e.case_id = c.id
        -- What reports ask for together lies together.
        ORDER BY c.opened_at
        ON CONFLICT (case_id) DO UPDATE
        SET opened_at = EXCLUDED.opened_at, closed_at = EXCLUDED.closed_at,
            first_action_at = EXCLUDED.first_action_at, reopened_at = EXCLUDED.reopened_at,
            lat = EXCLUDED.lat, lon = EXCLUDED.lon, imported = EXCLUDED.imported,
            timed = EXCLUDED.timed, type_foretold = EXCLUDED.type_foretold,
            type_corrected = EXCLUDED.type_corrected,
            department_foretold = EXCLUDED.department_foretold,
            department_corrected = EXCLUDED.department_corrected,
            channel = EXCLUDED.channel, department = EXCLUDED.department,
            problem_type = EXCLUDED.problem_type, district = EXCLUDED.district,
            outcome = EXCLUDED.outcome, assignee = EXCLUDED.assignee, place = EXCLUDED.place
        WHERE (counted_cases.*) IS DISTINCT FROM (EXCLUDED.*)
        RETURNING channel, department, problem_type, district, assignee
    ), named AS (
        {name}
    )
    SELECT count(*) FROM counted
"""
# By these numbers what reads very many cases tells their names apart (store/counted.py).
NAME = """
    INSERT INTO counted_names (mark, name)
    SELECT DISTINCT hashtextextended(n.name, 0), n.name
    FROM {of} c
    CROSS JOIN LATERAL (
        VALUES (c.channel), (c.department), (c.problem_type), (c.district), (c.assignee)
    ) AS n (name)
    WHERE n.name IS NOT NULL
    ON CONFLICT DO NOTHING
"""
NAME_ALL = NAME.format(of="counted_cases")
COUNT_CHANGED = COUNT.format(
    which="SELECT DISTINCT case_id AS id FROM events WHERE tx >= $1::text::xid8",
    name=NAME.format(of="counted"),
)
COUNT_ALL = COUNT.format(which="SELECT id FROM cases", name=NAME.format(of="counted"))

MOVE_ON = "UPDATE counting SET horizon = $1::text::xid8, counted_at = $2"


async def catch_up(conn: asyncpg.Connection, *, patience: float = 3.0) -> Counted:
    """
    Count what has happened since the last time; after it every change that was committed before
    is counted. When others are counting for longer than `patience` seconds, it says so instead.
    """
    return await _count(conn, patience=patience, anew=False)


async def recount(conn: asyncpg.Connection) -> Counted:
    """Count every case anew; says how many had been counted wrongly."""
    return await _count(conn, patience=_LONG, anew=True)


async def keep_counting(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Count every few seconds until asked to stop, so that nobody who reads has to wait for it."""
    while not stop.is_set():
        try:
            async with pool.acquire(timeout=10.0) as conn:
                counted = await _count(conn, patience=_EVERY, anew=False)
            if counted.changed:
                log.info("counted", cases=counted.changed)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("not counted", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY)


LOCK = "SELECT pg_advisory_xact_lock($1)"
FOR_AS_LONG_AS_IT_TAKES = "SET LOCAL statement_timeout = 0"


async def _count(conn: asyncpg.Connection, *, patience: float, anew: bool) -> Counted:
    async with conn.transaction():
        await conn.execute(FOR_AS_LONG_AS_IT_TAKES)
        await conn.execute(f"SET LOCAL lock_timeout = {max(1, int(patience * 1000))}")
        try:
            async with conn.transaction():
                await conn.execute(LOCK, LOCK_NUMBER, timeout=_LONG)
        except asyncpg.LockNotAvailableError:
            at = await conn.fetchval("SELECT counted_at FROM counting")
            return Counted(at, complete=False)
        # First how far it can be seen, and then what: so the second misses nothing of the first.
        row = await conn.fetchrow(HORIZON)
        if anew or row["restored"]:
            changed = await conn.fetchval(COUNT_ALL, timeout=_LONG)
            await conn.execute(NAME_ALL, timeout=_LONG)
        else:
            changed = await conn.fetchval(COUNT_CHANGED, row["horizon"], timeout=_LONG)
        if changed >= _MANY:
            await conn.execute("ANALYZE counted_cases", timeout=_LONG)
        await conn.execute(MOVE_ON, row["next"], row["now"])
        return Counted(row["now"], changed)
