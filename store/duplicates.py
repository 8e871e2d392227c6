"""
Likely duplicates: open cases that may be about the same problem, across channels, with the reasons.

One question to the database brings those near the point, at the address, or of the same caller;
`store/likeness.py` says how likely each is.
"""

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from bus.contracts import Contact
from store.addresses import read_address
from store.cases import Case
from store.likeness import (
    LIKELY,
    METRES_PER_DEGREE,
    STRONG,
    Problem,
    Reaches,
    Why,
    liken,
)
from store.model import Status
from store.same_settings import DuplicateSettings
from store.text import clean, clean_or_none, folded

MOST = 5
"""So many are shown: more help nobody to decide."""
_MOST_COMPARED = 80
_BEYOND = 1.6  # times its reach: nothing past it can be likely
_SUMMARY_LETTERS = 160


@dataclass(frozen=True)
class Likely:
    """An open case that may be about the same problem. For staff: it names people."""

    case_id: UUID
    reference: str
    status: Status
    channel: str
    problem_type: str | None
    department: str | None
    assignee_name: str | None
    address: str | None
    lat: float | None
    lon: float | None
    emergency: bool
    opened_at: datetime
    summary: str
    """How the resident's words begin."""
    reports: int
    """How many reports it stands for, its own with them."""
    score: float
    why: Why

    @property
    def is_strong(self) -> bool:
        """Whether it is nearly sure."""
        return self.score >= STRONG


# Those of the same type come first, then the nearest: in a storm there are more than can be
# compared. A search over words finds those of which only the address is known.
CANDIDATES = """
    WITH near AS (
        SELECT id
        FROM cases
        WHERE status <> 'closed' AND lat IS NOT NULL
          AND lat BETWEEN $1 AND $2 AND lon BETWEEN $3 AND $4
          AND opened_at > $5
        ORDER BY (problem_type IS NOT DISTINCT FROM $6) DESC,
                 (lat - ($1 + $2) / 2) ^ 2 + ((lon - ($3 + $4) / 2) * $7) ^ 2, id
        LIMIT $8
    ), named AS (
        SELECT c.id
        FROM case_words w
        JOIN cases c ON c.id = w.case_id
        WHERE w.words @@ (
              plainto_tsquery('simple', $9) || plainto_tsquery('simple', $10)
              || plainto_tsquery('simple', $11)
          )
          AND c.status <> 'closed' AND c.opened_at > $5
        ORDER BY c.opened_at DESC, c.id
        LIMIT $8
    )
    SELECT c.id, c.reference, c.status, c.channel, left(c.text, 2000) AS text, c.language,
           c.problem_type, c.alternatives, c.department,
           coalesce(a.name, c.assignee_name) AS assignee_name,
           c.address, c.lat, c.lon, c.emergency, c.opened_at,
           c.reporter_email, c.reporter_phone,
           (SELECT count(*) FROM cases m WHERE m.merged_into = c.id)
           + (SELECT count(*) FROM joined_references j WHERE j.case_id = c.id) AS joined
    FROM cases c
    LEFT JOIN accounts a ON a.login = c.assignee
    WHERE c.id IN (SELECT id FROM near UNION SELECT id FROM named)
      AND c.id IS DISTINCT FROM $12
"""


async def likely(
    conn: asyncpg.Connection,
    asked: Problem,
    reaches: Reaches,
    settings: DuplicateSettings,
    *,
    leave_out: UUID | None = None,
    most: int = MOST,
) -> list[Likely]:
    """
    Open cases that may be about the problem that is asked for, the most likely first.

    Works with a point, with an address alone, and, for a reporter who is named, with neither.
    """
    reach = reaches.of(asked.problem_type)
    box = _box(asked, max(reach, *map(reaches.of, asked.alternatives), 1.0) * _BEYOND)
    words = asked.address.words if asked.address is not None else ""
    numbers = sorted(one for one in asked.reporter if "@" not in one)
    mails = sorted(one for one in asked.reporter if "@" in one)
    if reach <= 0 or (box is None and not words and not asked.reporter):
        return []
    here = box or (0.0, 0.0, 0.0, 0.0)
    rows = await conn.fetch(
        CANDIDATES,
        *here,
        asked.at - timedelta(days=settings.days),
        clean_or_none(asked.problem_type),
        math.cos(math.radians((here[0] + here[1]) / 2)),
        _MOST_COMPARED,
        clean(words),
        numbers[0].lstrip("+") if numbers else "",
        clean(mails[0]) if mails else "",
        leave_out,
    )
    # Comparing the words of eighty texts takes some milliseconds, which pages need not wait for.
    found = await asyncio.to_thread(_judged, asked, rows, reaches)
    return found[:most]


def _box(asked: Problem, metres: float) -> tuple[float, float, float, float] | None:
    if asked.lat is None or asked.lon is None:
        return None
    north = metres / METRES_PER_DEGREE
    east = north / max(math.cos(math.radians(asked.lat)), 0.01)
    return asked.lat - north, asked.lat + north, asked.lon - east, asked.lon + east


def _judged(asked: Problem, rows: Sequence[asyncpg.Record], reaches: Reaches) -> list[Likely]:
    found = []
    for row in rows:
        score, why = liken(asked, _problem(row), reaches)
        if score >= LIKELY:
            found.append(_likely(row, score, why))
    return sorted(found, key=lambda one: (-one.score, one.opened_at, one.reference))


def _problem(row: asyncpg.Record) -> Problem:
    return Problem(
        text=row["text"],
        at=row["opened_at"],
        language=row["language"],
        problem_type=row["problem_type"],
        alternatives=[one["problem_type"] for one in row["alternatives"]],
        address=read_address(row["address"]),
        lat=row["lat"],
        lon=row["lon"],
        reporter=person(Contact(email=row["reporter_email"], phone=row["reporter_phone"])),
    )


def _likely(row: asyncpg.Record, score: float, why: Why) -> Likely:
    words = " ".join(row["text"].split())
    if len(words) > _SUMMARY_LETTERS:
        words = words[: _SUMMARY_LETTERS - 1].rstrip() + "…"
    return Likely(
        case_id=row["id"],
        reference=row["reference"],
        status=Status(row["status"]),
        channel=row["channel"],
        problem_type=row["problem_type"],
        department=row["department"],
        assignee_name=row["assignee_name"],
        address=row["address"],
        lat=row["lat"],
        lon=row["lon"],
        emergency=row["emergency"],
        opened_at=row["opened_at"],
        summary=words,
        reports=1 + row["joined"],
        score=score,
        why=why,
    )


def person(contact: Contact) -> frozenset[str]:
    """What shows that two reports come from one person; empty for the anonymous."""
    ways = (folded(contact.email or "").strip(), (contact.phone or "").strip())
    return frozenset(way for way in ways if way)


async def like_case(
    conn: asyncpg.Connection, case: Case, reaches: Reaches, settings: DuplicateSettings
) -> list[Likely]:
    """Open cases that may be about the same problem as this one."""
    return await likely(conn, problem_of(case), reaches, settings, leave_out=case.id)


def problem_of(case: Case) -> Problem:
    """What a case says of its problem."""
    return Problem(
        text=case.text,
        at=case.opened_at,
        language=case.language,
        problem_type=case.problem_type,
        alternatives=_runners_up(case),
        address=read_address(case.address),
        lat=case.lat,
        lon=case.lon,
        reporter=person(case.reporter),
    )


def _runners_up(case: Case) -> Collection[str]:
    return [one.problem_type for one in case.alternatives]
