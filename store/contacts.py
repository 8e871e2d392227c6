"""What we have learned about reaching people: addresses that bounce, numbers that want no texts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from bus.contracts import Contact, ContactMark
from store.text import clean

_SOFT_TIMES = 3
_SOFT_WITHIN = timedelta(days=14)

# A number that asked for no more texts can only ask for them again itself; a bounce that comes
# late does not undo that.
MARK = """
    INSERT INTO contact_marks (medium, address, state, reason, at, since)
    VALUES ($1, $2, $3, $4, $5, $5)
    ON CONFLICT (medium, address) DO UPDATE
    SET state = CASE
            WHEN $3 = 'soft' AND contact_marks.state = 'soft'
                 AND contact_marks.since > $5::timestamptz - $6::interval
                 AND contact_marks.times + 1 >= $7 THEN 'bad'
            WHEN $3 = 'soft' AND contact_marks.state IN ('bad', 'stopped') THEN contact_marks.state
            WHEN $3 = 'bad' AND contact_marks.state = 'stopped' THEN 'stopped'
            ELSE $3
        END,
        times = CASE
            WHEN $3 = 'soft' AND contact_marks.state = 'soft'
                 AND contact_marks.since > $5::timestamptz - $6::interval
            THEN contact_marks.times + 1 ELSE 1
        END,
        since = CASE
            WHEN $3 = 'soft' AND contact_marks.state = 'soft'
                 AND contact_marks.since > $5::timestamptz - $6::interval
            THEN contact_marks.since ELSE $5
        END,
        reason = $4,
        at = $5
"""


async def mark(conn: asyncpg.Connection, learned: ContactMark, at: datetime) -> None:
    """
    Remember it. What fails for now three times within fourteen days is bad; `works` clears
    whatever there was.
    """
    await conn.execute(
        MARK,
        learned.medium,
        _key(learned.address),
        learned.state,
        clean(learned.reason),
        at,
        _SOFT_WITHIN,
        _SOFT_TIMES,
    )


HEARD_FROM = """
    UPDATE contact_marks
    SET state = 'works', reason = 'mail came from it', at = $2
    WHERE medium = 'email' AND address = ANY ($1::text[]) AND state IN ('bad', 'soft')
"""


async def heard_from(conn: asyncpg.Connection, emails: Collection[str], at: datetime) -> None:
    """Mail from an address shows that it is alive."""
    if emails:
        await conn.execute(HEARD_FROM, sorted({_key(email) for email in emails}), at)


MARKS = """
    SELECT medium, address, state, reason, at
    FROM contact_marks
    WHERE address = ANY ($1::text[]) AND state <> 'works'
"""


@dataclass(frozen=True)
class Mark:
    medium: str
    address: str
    state: str
    reason: str
    at: datetime


async def marks_of(conn: asyncpg.Connection, contacts: Sequence[Contact]) -> list[Mark]:
    """What stands against reaching these people."""
    addresses = {_key(way) for one in contacts for way in (one.email, one.phone) if way}
    if not addresses:
        return []
    return [Mark(**row) for row in await conn.fetch(MARKS, sorted(addresses))]


async def reachable(conn: asyncpg.Connection, contacts: Sequence[Contact]) -> list[Contact]:
    """The same contacts with what we know of them."""
    marks = {(one.medium, one.address): one.state for one in await marks_of(conn, contacts)}
    if not marks:
        return list(contacts)
    return [
        one.model_copy(
            update={
                "email_works": marks.get(("email", _key(one.email or ""))) != "bad",
                "texts": one.texts
                and marks.get(("sms", _key(one.phone or ""))) not in ("bad", "stopped"),
            }
        )
        for one in contacts
    ]


# ── how many automatic answers somebody gets ────────────────────────────────────────────────────

_PER_HOUR = {"email": 3, "sms": 10}
_PER_DAY = {"email": 10, "sms": 30}

ANSWERED = """
    SELECT count(*) FILTER (WHERE at > $2::timestamptz - interval '1 hour') AS hour,
           count(*) AS day
    FROM answers
    WHERE address = $1 AND at > $2::timestamptz - interval '1 day'
"""

ANSWER = "INSERT INTO answers (address, at) VALUES ($1, $2)"


async def may_answer(conn: asyncpg.Connection, medium: str, address: str, at: datetime) -> bool:
    """
    Whether an automatic answer may go to this address now; if so, it is counted.

    At most 3 mails an hour and 10 a day, so that two machines that answer each other soon stop.
    """
    key = _key(address)
    given = await conn.fetchrow(ANSWERED, key, at)
    if given["hour"] >= _PER_HOUR[medium] or given["day"] >= _PER_DAY[medium]:
        return False
    await conn.execute(ANSWER, key, at)
    return True


def _key(address: str) -> str:
    return clean(address).strip().lower()
