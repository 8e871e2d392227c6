"""Who is away, and until when: they get no cases by themselves while they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.identity import fact_id
from store.model import NotAllowed
from store.text import clean


@dataclass(frozen=True)
class Absence:
    """Somebody is away."""

    id: UUID
    login: str
    name: str
    department: str | None
    begins: datetime | None
    """None: for as long as anybody knows."""
    ends: datetime | None
    """When the last day is over; None: until somebody says otherwise."""
    said_by: str | None
    """The sign-in name of who said it; None: the city's folder."""
    said_by_name: str | None


ABSENCES = """
    SELECT x.id, x.login, a.name, a.department, x.begins, x.ends, x.said_by,
           coalesce(b.name, x.said_by) AS said_by_name
    FROM absences x
    JOIN accounts a ON a.login = x.login
    LEFT JOIN accounts b ON b.login = x.said_by
    WHERE coalesce(x.ends > $1, true) AND ($2::text IS NULL OR a.department = $2)
    ORDER BY x.begins NULLS FIRST, a.name, x.id
"""


async def upcoming(
    conn: asyncpg.Connection, now: datetime, department: str | None = None
) -> list[Absence]:
    """Absences that are not over, of one department or all, the first to begin first."""
    return [Absence(**row) for row in await conn.fetch(ABSENCES, now, department)]


AWAY = """
    SELECT DISTINCT login
    FROM absences
    WHERE coalesce(begins <= $1, true) AND coalesce(ends > $1, true)
"""


async def away(conn: asyncpg.Connection, now: datetime) -> frozenset[str]:
    """The sign-in names of those who are away at this moment."""
    return frozenset(row["login"] for row in await conn.fetch(AWAY, now))


ADD = """
    INSERT INTO absences (id, login, begins, ends, said_by)
    SELECT $1, login, $3, $4, $5
    FROM accounts
    WHERE login = $2 AND active
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""
KNOWN = "SELECT EXISTS (SELECT FROM absences WHERE id = $1)"


async def add(
    conn: asyncpg.Connection,
    *,
    absence_id: UUID,
    login: str,
    begins: datetime | None,
    ends: datetime | None,
    by: str,
) -> None:
    """
    Say that somebody is away; the same `absence_id` again changes nothing.

    Raises `NotAllowed` for somebody who does not work here, and for an absence that ends before it
    begins.
    """
    if begins is not None and ends is not None and ends <= begins:
        raise NotAllowed("The last day is before the first.")
    if await conn.fetchval(ADD, absence_id, clean(login), begins, ends, by) is None:
        if not await conn.fetchval(KNOWN, absence_id):
            raise NotAllowed(f"Nobody who works here has the sign-in name {login!r}.")


BY_ID = """
    SELECT x.id, x.login, a.name, a.department, x.begins, x.ends, x.said_by,
           coalesce(b.name, x.said_by) AS said_by_name
    FROM absences x
    JOIN accounts a ON a.login = x.login
    LEFT JOIN accounts b ON b.login = x.said_by
    WHERE x.id = $1
"""


async def by_id(conn: asyncpg.Connection, absence_id: UUID) -> Absence | None:
    """The absence, or None."""
    row = await conn.fetchrow(BY_ID, absence_id)
    return None if row is None else Absence(**row)


REMOVE = "DELETE FROM absences WHERE id = $1 AND said_by IS NOT NULL"


async def remove(conn: asyncpg.Connection, absence_id: UUID) -> None:
    """
    They are there after all. What the city's folder says is changed there; it would come back with
    the next start.
    """
    await conn.execute(REMOVE, absence_id)


FORGET_FOLDER = "DELETE FROM absences WHERE said_by IS NULL AND id <> ALL ($1::uuid[])"

ADD_FOLDER = """
    INSERT INTO absences (id, login, begins, ends)
    SELECT id, login, begins, ends
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
         AS away (id, login, begins, ends)
    ON CONFLICT (id) DO NOTHING
"""


async def put_folder(
    conn: asyncpg.Connection,
    away: Sequence[tuple[str, datetime | None, datetime | None]],
) -> None:
    """Make the absences of the city's folder just these: (login, begins, ends). Repeatable."""
    ids = [fact_id("absence", *one) for one in away]
    async with conn.transaction():
        await conn.execute(FORGET_FOLDER, ids)
        await conn.execute(
            ADD_FOLDER,
            ids,
            [clean(login).lower() for login, _, _ in away],
            [begins for _, begins, _ in away],
            [ends for _, _, ends in away],
        )
