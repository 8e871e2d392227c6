"""Finding cases: a desk, the queue with its filters, and the numbers on the badges."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.identity import read_reference
from store.model import Status
from store.text import clean, clean_or_none, folded, phone_digits

_MOST_ON_A_DESK = 500
_MOST_PER_PAGE = 200
_SUMMARY_LETTERS = 160
_BEGINS_REFERENCE = re.compile(r"[0-9A-Z]{3}-[0-9A-Z]{1,3}(-[0-9A-Z]?)?", re.IGNORECASE)

NEWEST = "newest"
OLDEST = "oldest"
URGENT = "urgent"
"""Emergencies first, then the oldest."""


@dataclass(frozen=True)
class Filter:
    """
    What is looked for; None means any. For `department`, `district`, `assignee` and
    `problem_type` an empty string means the cases that have none.
    """

    statuses: Sequence[Status | str] = ()
    """Empty: any."""
    alarming: bool = False
    """Besides, emergencies that nobody has begun to work on."""
    department: str | None = None
    district: str | None = None
    assignee: str | None = None
    problem_type: str | None = None
    channel: str | None = None
    words: str = ""
    """A reference, a phone number, or beginnings of words that all have to be there."""
    page: int = 1
    page_size: int = 25
    order: str = NEWEST


@dataclass(frozen=True)
class Row:
    """A case in a list."""

    id: UUID
    reference: str
    status: Status
    channel: str
    problem_type: str | None
    department: str | None
    district: str | None
    assignee: str | None
    assignee_name: str | None
    address: str | None
    emergency: bool
    language: str
    opened_at: datetime
    closed_at: datetime | None
    summary: str
    """How the resident's words begin."""
    attachments: int
    joined: int
    """How many others told us of the same."""
    incident_id: UUID | None
    """The incident that it is part of."""


@dataclass(frozen=True)
class Page:
    cases: list[Row]
    total: int
    page: int
    pages: int
    """At least 1."""


SELECT_ROW = """
    SELECT c.id, c.reference, c.status, c.channel, c.problem_type, c.department, c.district,
           c.assignee, coalesce(a.name, c.assignee_name) AS assignee_name, c.address,
           c.emergency, c.language, c.opened_at, c.closed_at,
           left(c.text, 400) AS summary,
           (
               SELECT count(*) FROM files f WHERE f.case_id = c.id AND f.note_id IS NULL
           ) AS attachments,
           (SELECT count(*) FROM cases m WHERE m.merged_into = c.id)
           + (SELECT count(*) FROM joined_references j WHERE j.case_id = c.id) AS joined,
           c.incident_id
    FROM cases c
    LEFT JOIN accounts a ON a.login = c.assignee
"""

# Every word may be the beginning of one: the parser's own query, each of its words a prefix.
MATCHES = """
    WHERE ($1::text[] IS NULL OR c.status = ANY ($1)
           OR ($9 AND c.emergency AND c.status = 'assigned'))
      AND ($2::text IS NULL OR coalesce(c.department, '') = $2)
      AND ($3::text IS NULL OR coalesce(c.district, '') = $3)
      AND ($4::text IS NULL OR coalesce(c.assignee, '') = $4)
      AND ($5::text IS NULL OR coalesce(c.problem_type, '') = $5)
      AND ($6::text IS NULL OR c.channel = $6)
      AND ($7::text IS NULL OR c.reference = $7 OR c.id IN (
          SELECT j.case_id FROM joined_references j WHERE j.reference = $7
      ))
      AND ($8::text IS NULL OR c.id IN (
          SELECT w.case_id
          FROM case_words w
          WHERE w.words @@ (
              replace(plainto_tsquery('simple', $8)::text, ''' &', ''':* &') || ':*'
          )::tsquery
      ))
"""

COUNT_CASES = """
    SELECT count(*)
    FROM cases c
"""
COUNT = COUNT_CASES + MATCHES

# The id makes the order whole, so that no case is on two pages.
_ORDERS = {
    NEWEST: " ORDER BY c.opened_at DESC, c.id",
    OLDEST: " ORDER BY c.opened_at, c.id",
    URGENT: " ORDER BY c.emergency DESC, c.opened_at, c.id",
}
FIND = {order: SELECT_ROW + MATCHES + by + " LIMIT $10 OFFSET $11" for order, by in _ORDERS.items()}

# Of words of which nothing can be searched (only punctuation) nothing is left.
SEARCHABLE = "SELECT numnode(plainto_tsquery('simple', $1)) > 0"


async def find(conn: asyncpg.Connection, filter: Filter) -> Page:
    """One page of the cases that pass the filter; a page past the end is the last one."""
    page_size = min(max(filter.page_size, 1), _MOST_PER_PAGE)
    reference, words = _sought(filter.words)
    if words is not None and not await conn.fetchval(SEARCHABLE, words):
        return Page(cases=[], total=0, page=1, pages=1)
    values = (
        [str(Status(status)) for status in filter.statuses] or None,
        clean_or_none(filter.department),
        clean_or_none(filter.district),
        clean_or_none(filter.assignee),
        clean_or_none(filter.problem_type),
        clean_or_none(filter.channel),
        reference,
        words,
        filter.alarming,
    )
    total: int = await conn.fetchval(COUNT, *values)
    pages = max(1, -(-total // page_size))
    page = min(max(filter.page, 1), pages)
    rows = await conn.fetch(
        FIND.get(filter.order, FIND[NEWEST]), *values, page_size, (page - 1) * page_size
    )
    return Page(cases=[_row(row) for row in rows], total=total, page=page, pages=pages)


# What is part of an incident lies on the desk of whoever has that, unless it may be an emergency.
APART = """
    (c.incident_id IS NULL OR c.emergency OR NOT EXISTS (
        SELECT FROM incidents i WHERE i.id = c.incident_id AND i.state = 'open'
    ))
"""

DESK = (
    SELECT_ROW
    + " WHERE c.assignee = $1 AND c.status <> 'closed' AND "
    + APART
    + " ORDER BY c.emergency DESC, c.opened_at, c.id LIMIT $2"
)


async def desk(conn: asyncpg.Connection, login: str) -> list[Row]:
    """
    The open cases on somebody's desk: emergencies first, then the oldest. Those of an incident
    are not among them: it lies on a desk as a whole (`store/incidents.py`). What may be an
    emergency always is.
    """
    return [_row(row) for row in await conn.fetch(DESK, login, _MOST_ON_A_DESK)]


COUNT_MINE = "SELECT count(*) FILTER (WHERE c.assignee = $1 AND "
COUNT_OTHERS = """
           ) AS mine,
           count(*) FILTER (
               WHERE c.status IN ('new', 'triage') OR (c.emergency AND c.status = 'assigned')
           ) AS triage,
           count(*) AS open,
           (SELECT count(*) FROM incidents WHERE state IN ('proposed', 'open')) AS incidents
    FROM cases c
    WHERE c.status <> 'closed'
"""
COUNTS = COUNT_MINE + APART + COUNT_OTHERS


async def counts(conn: asyncpg.Connection, login: str | None) -> dict[str, int]:
    """
    Numbers of open cases: `mine`, `triage` (nobody's yet, routed or not; and emergencies that
    nobody has begun to work on) and `open`; and of `incidents` that are proposed or open.
    """
    return dict(await conn.fetchrow(COUNTS, login))


def _sought(typed: str) -> tuple[str | None, str | None]:
    """A reference, or words to search; neither, if nothing was typed."""
    words = clean(typed).strip()[:200]
    if not words:
        return None, None
    if reference := read_reference(words):
        return reference, None
    if _BEGINS_REFERENCE.fullmatch(words):
        return None, words.replace("-", "").lower()
    return None, phone_digits(words) or folded(words)


def _row(row: asyncpg.Record) -> Row:
    values = dict(row)
    words = " ".join(values["summary"].split())
    if len(words) > _SUMMARY_LETTERS:
        words = words[: _SUMMARY_LETTERS - 1].rstrip() + "…"
    return Row(**(values | {"status": Status(values["status"]), "summary": words}))


# Those that a new map of districts would move.
OPEN_POINTS = """
    SELECT lat, lon
    FROM cases
    WHERE lat IS NOT NULL AND lon IS NOT NULL AND status <> 'closed'
"""


async def open_points(conn: asyncpg.Connection) -> list[tuple[float, float]]:
    """Where the open cases are whose point is known."""
    return [(row["lat"], row["lon"]) for row in await conn.fetch(OPEN_POINTS)]
