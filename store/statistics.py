"""The figures of reports, read from `counted_cases`, which store/counting.py keeps up to date."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

_LONG = 30.0  # seconds


@dataclass(frozen=True)
class Opened:
    """How many cases were opened that have all of this in common."""

    department: str | None
    problem_type: str | None
    district: str | None
    elsewhere: bool
    """Where it is is known, and lies in no district."""
    count: int


# Another system's empty district may mean anything; our own says that the point lies in none.
OPENED = """
    SELECT department, problem_type, district,
           district IS NULL AND lat IS NOT NULL AND NOT imported AS elsewhere,
           count(*) AS count
    FROM counted_cases
    WHERE opened_at >= $1 AND opened_at < $2
    GROUP BY 1, 2, 3, 4
"""


async def opened(conn: asyncpg.Connection, begin: datetime, end: datetime) -> list[Opened]:
    """The cases opened from `begin` until before `end`, each counted once."""
    return [Opened(**row) for row in await conn.fetch(OPENED, begin, end, timeout=_LONG)]
