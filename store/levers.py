"""What operators paused, and every act of theirs: who, when, why."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from store.text import clean

CHANNEL = "channel:"
"""Before the name of a channel, in `what`."""
_PROCESS = "process:"


def process_named(process: str, run: str) -> str:
    """A process in this life of it, as `what` has it."""
    return f"{_PROCESS}{process}/{run}"


@dataclass(frozen=True)
class OperatorAct:
    """One thing that somebody did to the running of Buckstop."""

    id: int
    act: str
    """
    `pause`, `resume`, `audit`, `drain`, `undrain`, `read_again`, `recount`, `retell`,
    `start_again`, `let_in`.
    """
    what: str
    """A durable, `channel:email`, `process:…`, a service, an engine, a mailbox, or nothing."""
    by: str
    why: str
    at: datetime
    until: datetime | None
    outcome: str | None
    """None: it is being done, or whoever did it died."""


NOTE = """
    INSERT INTO operator_acts (act, what, by, why, until, outcome)
    VALUES ($1, $2, $3, $4, $5, $6)
    RETURNING id
"""


async def note(
    conn: asyncpg.Connection,
    act: str,
    *,
    what: str = "",
    by: str,
    why: str = "",
    until: datetime | None = None,
    outcome: str | None = None,
) -> int:
    """Write an act down; its number."""
    number: int = await conn.fetchval(NOTE, act, clean(what), clean(by), clean(why), until, outcome)
    return number


END = "UPDATE operator_acts SET outcome = $2 WHERE id = $1"


async def end(conn: asyncpg.Connection, act: int, outcome: str) -> None:
    """Write down how an act ended."""
    await conn.execute(END, act, clean(outcome))


COLUMNS = "id, act, what, by, why, at, until, outcome"

# What could not be done changed nothing.
PAUSED = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT DISTINCT ON (what) {COLUMNS}
        FROM operator_acts
        WHERE act IN ('pause', 'resume') AND outcome = 'done'
        ORDER BY what, id DESC
    ) AS newest
    WHERE act = 'pause' AND until > now()
    ORDER BY what
"""  # noqa: S608 - our own words


async def paused(conn: asyncpg.Connection) -> list[OperatorAct]:
    """What is paused now, with who paused it and until when."""
    return [OperatorAct(**row) for row in await conn.fetch(PAUSED)]


# One that is gone stays drained for ever, and is asked for by nobody.
DRAINED = f"""
    SELECT {COLUMNS}
    FROM (
        SELECT DISTINCT ON (what) {COLUMNS}
        FROM operator_acts
        WHERE act IN ('drain', 'undrain')
        ORDER BY what, id DESC
    ) AS newest
    WHERE act = 'drain'
    ORDER BY id DESC
    LIMIT 100
"""  # noqa: S608 - our own words


async def drained(conn: asyncpg.Connection) -> list[OperatorAct]:
    """The processes that were told to take nothing new, the newest first; some may be gone."""
    return [OperatorAct(**row) for row in await conn.fetch(DRAINED)]


ACTS = f"SELECT {COLUMNS} FROM operator_acts ORDER BY id DESC LIMIT $1"  # noqa: S608 - our own words


async def acts(conn: asyncpg.Connection, limit: int = 50) -> list[OperatorAct]:
    """The newest acts, the newest first."""
    return [OperatorAct(**row) for row in await conn.fetch(ACTS, limit)]
