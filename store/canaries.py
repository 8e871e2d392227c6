"""
The canary's own book: how far each came, and when. No case, ledger row, event or notice is touched.

Every step is written once, in whatever order it is heard; hearing it again changes nothing.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from bus.codec import CONTRACT_HEADER, decode
from bus.contracts import (
    CanaryCarried,
    CanaryFact,
    CanaryFiled,
    CanaryQueued,
    CanaryReceived,
    CanaryRouted,
    CaseSummary,
    ComplaintReceived,
    DeadLetter,
)
from bus.errors import Unreadable
from bus.identity import fact_id
from store import outbox
from store.text import clean, clean_or_none

log = structlog.stdlib.get_logger()

# In the order of their ids, so that two stores never wait for each other in a circle.
RECEIVE = """
    INSERT INTO canaries (id, released_at, heard, received_at)
    SELECT id, released_at, heard, clock_timestamp()
    FROM unnest($1::uuid[], $2::timestamptz[], $3::jsonb[]) AS told (id, released_at, heard)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET heard = EXCLUDED.heard, received_at = EXCLUDED.received_at
    WHERE canaries.received_at IS NULL
"""

# Its routing may be heard before it is heard itself.
ROUTE = """
    INSERT INTO canaries (id, released_at, routed_at, problem_type, district, department)
    SELECT id, released_at, routed_at, problem_type, district, department
    FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::text[]
    ) AS told (id, released_at, routed_at, problem_type, district, department)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET routed_at = EXCLUDED.routed_at,
        problem_type = EXCLUDED.problem_type,
        district = EXCLUDED.district,
        department = EXCLUDED.department
    WHERE canaries.routed_at IS NULL
"""

FILE = """
    UPDATE canaries
    SET filed_at = clock_timestamp()
    WHERE id = ANY ($1::uuid[])
      AND filed_at IS NULL AND received_at IS NOT NULL AND routed_at IS NOT NULL
    RETURNING id, released_at, filed_at, heard, problem_type, district, department
"""


async def file_canaries(conn: asyncpg.Connection, told: Sequence[CanaryFact]) -> None:
    """
    Write down canaries that came in, and where they would belong; those of which both is known are
    told to the notifier, once, by the outbox.
    """
    if received := {one.canary: one for one in told if isinstance(one, CanaryReceived)}:
        await conn.execute(
            RECEIVE,
            list(received),
            [one.released_at for one in received.values()],
            [one.complaint.model_dump(mode="json") for one in received.values()],
        )
    if routed := {one.canary: one for one in told if isinstance(one, CanaryRouted)}:
        await conn.execute(
            ROUTE,
            list(routed),
            [one.released_at for one in routed.values()],
            [one.occurred_at for one in routed.values()],
            [clean_or_none(one.problem_type) for one in routed.values()],
            [clean_or_none(one.district) for one in routed.values()],
            [clean_or_none(one.department) for one in routed.values()],
        )
    rows = await conn.fetch(FILE, sorted({*received, *routed}))
    await outbox.append(conn, [_filed(row) for row in rows])


def _filed(row: asyncpg.Record) -> CanaryFiled:
    heard = ComplaintReceived.model_validate(row["heard"])
    return CanaryFiled(
        message_id=fact_id("canary filed", row["id"]),
        occurred_at=row["filed_at"],
        canary=row["id"],
        released_at=row["released_at"],
        case=CaseSummary(
            case_id=row["id"],
            reference=heard.reference,
            channel=heard.channel,
            opened_at=heard.occurred_at,
            text=heard.text,
            language=heard.language,
            problem_type=row["problem_type"],
            department=row["department"],
            district=row["district"],
            address=heard.address,
            lat=heard.lat,
            lon=heard.lon,
            reporter=heard.reporter,
        ),
    )


TELL = """
    UPDATE canaries
    SET told_at = told.at
    FROM unnest($1::uuid[], $2::timestamptz[]) AS told (id, at)
    WHERE canaries.id = told.id AND canaries.told_at IS NULL
"""

END = """
    UPDATE canaries
    SET noticed_at = carried.at, ended_at = clock_timestamp(), heard = NULL
    FROM unnest($1::uuid[], $2::timestamptz[]) AS carried (id, at)
    WHERE canaries.id = carried.id AND canaries.ended_at IS NULL
"""


async def end_canaries(conn: asyncpg.Connection, told: Sequence[CanaryFact]) -> None:
    """Write down what became of their notices; one that was carried came through."""
    for contract, query in ((CanaryQueued, TELL), (CanaryCarried, END)):
        if theirs := {one.canary: one for one in told if isinstance(one, contract)}:
            await conn.execute(query, list(theirs), [one.occurred_at for one in theirs.values()])


BURY = """
    UPDATE canaries
    SET buried_by = $2, buried_why = $3
    WHERE id = $1 AND ended_at IS NULL
"""


async def bury_canaries(
    conn: asyncpg.Connection, letters: Sequence[DeadLetter]
) -> list[DeadLetter]:
    """
    Write a canary's dead letter into its own row: it rings by itself, and there is nothing that
    could be replayed for anybody. The letters that are no canary's are given back.
    """
    others = []
    for letter in letters:
        fact = _canary_of(letter)
        if fact is None:
            others.append(letter)
        else:
            reason = clean(letter.reason) or "no reason given"
            await conn.execute(BURY, fact.canary, clean(letter.durable), reason)
            log.error("canary died", id=str(fact.canary), durable=letter.durable)
    return others


def _canary_of(letter: DeadLetter) -> CanaryFact | None:
    tag = letter.headers.get(CONTRACT_HEADER, "")
    if "canary" not in tag:
        return None
    try:
        fact = decode(base64.b64decode(letter.payload), tag)
    except (Unreadable, ValueError):
        return None  # somebody else's bytes under our name: an operator should look
    return fact if isinstance(fact, CanaryFact) else None


# ── for operators ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Flight:
    """One canary, and when it came where."""

    id: UUID
    released_at: datetime
    received_at: datetime | None
    """When the store had it."""
    routed_at: datetime | None
    filed_at: datetime | None
    """When the store had its place, too, and had written down what to tell."""
    told_at: datetime | None
    """When the notifier had heard of it, and had written its notice."""
    noticed_at: datetime | None
    """When its notice came out of the queue."""
    ended_at: datetime | None
    """When the store knew that."""
    problem_type: str | None
    district: str | None
    department: str | None
    buried_by: str | None
    buried_why: str | None


@dataclass(frozen=True)
class CanaryBooks:
    """What the book says of the newest canaries."""

    last: Flight | None = None
    """The newest that came through."""
    before: Flight | None = None
    """The one before it."""
    next: Flight | None = None
    """The oldest of those released after it, of which the store has heard."""
    overtaken: tuple[Flight, ...] = ()
    """Those released before it within the last hour that did not come through, the newest first."""


NO_CANARIES = CanaryBooks()

COLUMNS = """
    id, released_at, received_at, routed_at, filed_at, told_at, noticed_at, ended_at,
    problem_type, district, department, buried_by, buried_why
"""

LAST = f"""
    SELECT {COLUMNS} FROM canaries
    WHERE ended_at IS NOT NULL
    ORDER BY released_at DESC
    LIMIT 2
"""  # noqa: S608 - our own words

NEXT = f"""
    SELECT {COLUMNS} FROM canaries
    WHERE ended_at IS NULL AND released_at > $1
    ORDER BY released_at
    LIMIT 1
"""  # noqa: S608 - our own words

OVERTAKEN = f"""
    SELECT {COLUMNS} FROM canaries
    WHERE ended_at IS NULL AND released_at BETWEEN $2 AND $1
    ORDER BY released_at DESC
    LIMIT 100
"""  # noqa: S608 - our own words

_LATELY = timedelta(hours=1)


async def books(conn: asyncpg.Connection, now: datetime) -> CanaryBooks:
    """The newest canaries."""
    last, before = (*(Flight(**row) for row in await conn.fetch(LAST)), None, None)[:2]
    since = now - _LATELY if last is None else last.released_at
    row = await conn.fetchrow(NEXT, since)
    next_ = None if row is None else Flight(**row)
    if last is None:
        return CanaryBooks(next=next_)
    rows = await conn.fetch(OVERTAKEN, last.released_at, now - _LATELY)
    return CanaryBooks(last, before, next_, tuple(Flight(**row) for row in rows))
