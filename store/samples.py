"""How the bus stood, a row a minute, and what came in when: the last hour and day in figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

_AT_ONCE = 5_000  # rows


@dataclass(frozen=True)
class DurableSample:
    """A durable at one moment."""

    waiting: int
    """Messages that are not answered."""
    arrived: int
    """Messages that ever came to it."""
    answered: int
    """Messages that were ever answered."""


@dataclass(frozen=True)
class Sample:
    """The bus at one moment."""

    at: datetime
    streams: Mapping[str, int]
    """By name: messages ever stored in it."""
    durables: Mapping[str, DurableSample]


# Several processes may look; whoever is first in a minute has looked for all.
ADD = """
    INSERT INTO bus_samples (minute, at, streams, durables)
    VALUES (date_trunc('minute', $1::timestamptz), $1, $2, $3)
    ON CONFLICT (minute) DO NOTHING
    RETURNING minute
"""


async def add(conn: asyncpg.Connection, sample: Sample) -> bool:
    """Keep a sample; False when this minute has one already."""
    durables = {
        name: [one.waiting, one.arrived, one.answered] for name, one in sample.durables.items()
    }
    return await conn.fetchval(ADD, sample.at, dict(sample.streams), durables) is not None


AFTER = """
    SELECT at, streams, durables
    FROM bus_samples
    WHERE at > $1
    ORDER BY minute
"""


async def after(conn: asyncpg.Connection, moment: datetime) -> list[Sample]:
    """The samples since then, the oldest first."""
    return [
        Sample(
            at=row["at"],
            streams=row["streams"],
            durables={name: DurableSample(*three) for name, three in row["durables"].items()},
        )
        for row in await conn.fetch(AFTER, moment)
    ]


INTAKE = """
    SELECT channel, date_trunc('minute', received_at) AS minute, count(*) AS count
    FROM complaints
    WHERE received_at >= $1
    GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Came:
    """How many messages came by a channel in one minute."""

    channel: str
    minute: datetime
    count: int


async def intake(conn: asyncpg.Connection, since: datetime) -> Sequence[Came]:
    """What came in since then, by channel and minute, in no order; minutes without are left out."""
    return [Came(**row) for row in await conn.fetch(INTAKE, since)]


SWEEP = """
    DELETE FROM bus_samples
    WHERE minute IN (SELECT minute FROM bus_samples WHERE minute < $1 ORDER BY minute LIMIT $2)
"""


async def sweep(conn: asyncpg.Connection, before: datetime) -> None:
    """Forget the samples before that moment."""
    await conn.execute(SWEEP, before, _AT_ONCE)
