"""
Requests of the past, written in sets: what another system had before us becomes cases.

Nothing is told on the bus, so nobody gets a notice of something that was years ago. Each has its
line in the ledger all the same, and its history says where it came from.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.identity import complaint_id
from store.model import Outcome, Status
from store.text import clean, clean_or_none, searchable

CHANNEL = "import"
"""How these messages came to us, for the ledger. A case keeps the channel that it came by then."""

Mint = Callable[[UUID, int], str]
"""A reference for a case; another number gives another one, where one is taken."""


@dataclass(frozen=True)
class PastCase:
    """A request as another system knew it, in our words."""

    number: str
    """What it is called there; unique under its source."""
    channel: str
    status: Status
    opened_at: datetime
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    closing_words: str = ""
    problem_type: str | None = None
    department: str | None = None
    district: str | None = None
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    text: str = ""
    timed: bool = True
    """Whether opening and closing tell how long it took."""


@dataclass(frozen=True)
class Taken:
    """What became of requests that were handed over."""

    new: int = 0
    same: int = 0
    """Known, and nothing has changed."""
    changed: int = 0
    """Known, and brought to what is said of it now."""
    kept: int = 0
    """Known and said to be otherwise now, but staff have worked on it here: left alone."""

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(
            self.new + other.new,
            self.same + other.same,
            self.changed + other.changed,
            self.kept + other.kept,
        )


def case_id(source: str, number: str) -> UUID:
    """The id of a source's request; the same for ever."""
    return complaint_id(CHANNEL, f"{source}/{number}")


STAGE = """
    CREATE TEMPORARY TABLE staged (
        id uuid, number text, reference text, said bytea, timed boolean, words text, channel text,
        status text, opened_at timestamptz, closed_at timestamptz, outcome text,
        closing_words text, problem_type text, department text, district text, address text,
        lat float8, lon float8, text text, fate text
    ) ON COMMIT DROP
"""
_STAGED = (
    *("id", "number", "reference", "said", "timed", "words", "channel"),
    *("status", "opened_at", "closed_at", "outcome", "closing_words"),
    *("problem_type", "department", "district", "address", "lat", "lon", "text"),
)

# Two imports at a time could both find a request new.
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('buckstop import', 0))"

JUDGE = """
    UPDATE staged
    SET fate = CASE WHEN i.said = staged.said THEN 'same'
                    WHEN c.placed_by IS NULL AND c.typed_by IS NULL THEN 'changed'
                    ELSE 'kept' END
    FROM imported_cases i
    JOIN cases c ON c.id = i.case_id
    WHERE i.case_id = staged.id
"""

COUNT = """
    SELECT count(*) FILTER (WHERE fate IS NULL) AS new,
           count(*) FILTER (WHERE fate = 'same') AS same,
           count(*) FILTER (WHERE fate = 'changed') AS changed,
           count(*) FILTER (WHERE fate = 'kept') AS kept
    FROM staged
"""

# Among millions of cases some references meet by chance.
TAKEN_REFERENCES = """
    SELECT s.id
    FROM staged s
    JOIN cases c USING (reference)
    WHERE s.fate IS NULL
    UNION
    SELECT id
    FROM (
        SELECT id, fate, row_number() OVER (PARTITION BY reference ORDER BY fate IS NULL, id) AS nth
        FROM staged
    ) AS s
    WHERE fate IS NULL AND nth > 1
"""

RENAME = """
    UPDATE staged
    SET reference = fresh.reference
    FROM unnest($1::uuid[], $2::text[]) AS fresh (id, reference)
    WHERE staged.id = fresh.id
"""

ENTER = """
    INSERT INTO complaints (id, channel, external_id, received_at, state, case_id)
    SELECT id, $1, $2 || '/' || number, $3, 'filed', id
    FROM staged
    WHERE fate IS NULL
"""

OPEN = """
    INSERT INTO cases (
        id, reference, status, channel, text, language, opened_at, problem_type, address,
        lat, lon, district, department, outcome, closing_words, closed_at
    )
    SELECT id, reference, status, channel, text, 'en', opened_at, problem_type, address,
           lat, lon, district, department, outcome, closing_words, closed_at
    FROM staged
    WHERE fate IS NULL
    ORDER BY opened_at, id
"""

MARK = """
    INSERT INTO imported_cases (case_id, source, number, imported_at, said, timed)
    SELECT id, $1, number, $2, said, timed
    FROM staged
    WHERE fate IS NULL
"""

ADD_WORDS = """
    INSERT INTO case_words (case_id, words)
    SELECT id, to_tsvector('simple', lower(replace(reference, '-', '')) || ' ' || words)
    FROM staged
    WHERE fate IS NULL
"""

# Each case's own events in their order.
REMEMBER = """
    INSERT INTO events (case_id, at, kind, by, public, data)
    SELECT s.id, e.at, e.kind, NULL, e.public, e.data
    FROM staged s
    CROSS JOIN LATERAL (
        VALUES (1, s.opened_at, 'opened', true, jsonb_build_object('channel', s.channel)),
               (2, s.closed_at, 'closed', true,
                jsonb_build_object('outcome', s.outcome, 'words', s.closing_words)),
               (3, $1::timestamptz, 'imported', false,
                jsonb_build_object('source', $2::text, 'number', s.number))
    ) AS e (place, at, kind, public, data)
    WHERE s.fate IS NULL AND e.at IS NOT NULL
    ORDER BY s.opened_at, s.id, e.place
"""

CHANGE = """
    UPDATE cases
    SET status = s.status, channel = s.channel, text = s.text, opened_at = s.opened_at,
        problem_type = s.problem_type, address = s.address, lat = s.lat, lon = s.lon,
        district = s.district, department = s.department, outcome = s.outcome,
        closing_words = s.closing_words, closed_at = s.closed_at
    FROM staged s
    WHERE cases.id = s.id AND s.fate = 'changed'
"""

CHANGE_MARK = """
    UPDATE imported_cases
    SET said = s.said, timed = s.timed
    FROM staged s
    WHERE case_id = s.id AND s.fate = 'changed'
"""

CHANGE_WORDS = """
    UPDATE case_words
    SET words = to_tsvector('simple', lower(replace(c.reference, '-', '')) || ' ' || s.words)
    FROM staged s
    JOIN cases c ON c.id = s.id
    WHERE case_id = s.id AND s.fate = 'changed'
"""

REMEMBER_CHANGE = """
    INSERT INTO events (case_id, at, kind, by, public, data)
    SELECT id, $1, 'imported', NULL, false,
           jsonb_build_object('source', $2::text, 'number', number, 'again', true)
    FROM staged
    WHERE fate = 'changed'
    ORDER BY id
"""


async def take_in(
    conn: asyncpg.Connection,
    source: str,
    past: Sequence[PastCase],
    *,
    mint: Mint,
    now: datetime,
    write: bool = True,
) -> Taken:
    """
    Make cases of a source's requests, no number twice among them; what is known already is brought
    to what is said of it now, unless staff have placed or typed it here. One transaction: all or
    nothing, and again it changes nothing.

    Without `write` it is only said what would become of them.
    """
    async with conn.transaction():
        await conn.execute(ONE_AT_A_TIME)
        await conn.execute(STAGE)
        rows = [_row(source, one, mint) for one in past]
        await conn.copy_records_to_table("staged", records=rows, columns=_STAGED)
        await conn.execute("ANALYZE staged")
        await conn.execute(JUDGE)
        taken = Taken(**await conn.fetchrow(COUNT))
        if not write:
            await conn.execute("DROP TABLE staged")
            return taken
        if taken.new:
            await _give_free_references(conn, mint)
            await conn.execute(ENTER, CHANNEL, source, now)
            await conn.execute(OPEN)
            await conn.execute(MARK, source, now)
            await conn.execute(ADD_WORDS)
            await conn.execute(REMEMBER, now, source)
        if taken.changed:
            await conn.execute(CHANGE)
            await conn.execute(CHANGE_MARK)
            await conn.execute(CHANGE_WORDS)
            await conn.execute(REMEMBER_CHANGE, now, source)
        # Gone with the transaction; within a larger one there may be more to come.
        await conn.execute("DROP TABLE staged")
    return taken


async def _give_free_references(conn: asyncpg.Connection, mint: Mint) -> None:
    attempt = 0
    while clashing := [row["id"] for row in await conn.fetch(TAKEN_REFERENCES)]:
        attempt += 1
        fresh = [mint(one, attempt) for one in clashing]
        await conn.execute(RENAME, clashing, fresh)


def _row(source: str, past: PastCase, mint: Mint) -> tuple[object, ...]:
    id_ = case_id(source, past.number)
    number = clean(past.number)
    address, text = clean_or_none(past.address), clean(past.text)
    said = hashlib.sha256(_written_out(past)).digest()
    return (
        id_,
        number,
        mint(id_, 0),
        said,
        past.timed,
        searchable(number, address, past.problem_type, text),
        clean(past.channel),
        past.status.value,
        past.opened_at,
        past.closed_at,
        None if past.outcome is None else past.outcome.value,
        None if past.closed_at is None else clean(past.closing_words),
        clean_or_none(past.problem_type),
        clean_or_none(past.department),
        clean_or_none(past.district),
        address,
        past.lat,
        past.lon,
        text,
    )


def _written_out(past: PastCase) -> bytes:
    # What was imported before is known by these bytes.
    told = json.dumps(vars(past), ensure_ascii=False, separators=(",", ":"), default=str)
    return told.encode("utf-8", "replace")
