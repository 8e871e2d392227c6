"""Reports that go out by email: who has one already, and telling the others, once."""

from collections.abc import Sequence
from datetime import date

import asyncpg

from bus.contracts import ReportMade
from store import outbox
from store.text import clean

WAITING = """
    SELECT recipient
    FROM unnest($4::text[]) WITH ORDINALITY AS wanted (recipient, place)
    WHERE NOT EXISTS (
        SELECT FROM mailed_reports m
        WHERE m.report = $1 AND m.first_day = $2 AND m.last_day = $3
          AND m.recipient = wanted.recipient
    )
    ORDER BY place
"""


async def waiting(
    conn: asyncpg.Connection, report: str, first: date, last: date, recipients: Sequence[str]
) -> list[str]:
    """Which of these addresses have not been told of this span's report, in their order."""
    wanted = [clean(one) for one in dict.fromkeys(recipients)]
    return [row["recipient"] for row in await conn.fetch(WAITING, report, first, last, wanted)]


MARK = """
    INSERT INTO mailed_reports (report, first_day, last_day, recipient)
    SELECT $1, $2, $3, recipient
    FROM unnest($4::text[]) AS recipient
    ON CONFLICT DO NOTHING
    RETURNING recipient
"""


async def tell(conn: asyncpg.Connection, made: ReportMade, first: date, last: date) -> bool:
    """
    Have a report told to those of its recipients who have not got it yet, in the same transaction
    in which that is written down. False: all of them had it.
    """
    async with conn.transaction():
        marked = await conn.fetch(MARK, made.report, first, last, sorted(set(made.recipients)))
        fresh = {row["recipient"] for row in marked}
        if not fresh:
            return False
        told = tuple(one for one in dict.fromkeys(made.recipients) if one in fresh)
        await outbox.append(conn, [made.model_copy(update={"recipients": told})])
    return True
