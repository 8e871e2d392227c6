"""
Incidents: many reports of one kind in one area, worked on as one. What is known of them; what is
done to them stands in `store/incident_changes.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import asyncpg

from bus.contracts import IncidentSummary, Person
from store.model import Outcome, Status


class State(StrEnum):
    """Where an incident stands."""

    PROPOSED = "proposed"
    """Buckstop sees a storm; nobody has said yet that it is one."""
    OPEN = "open"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    """A person looked at it, and these are single problems."""


@dataclass(frozen=True)
class Report:
    """A case as far as it may be part of an incident."""

    case_id: UUID
    problem_type: str
    lat: float
    lon: float
    at: datetime


@dataclass(frozen=True)
class Incident:
    id: UUID
    state: State
    problem_type: str
    lat: float
    lon: float
    reach: float
    """Metres from the middle to the farthest place that belongs to it."""
    first_at: datetime
    last_at: datetime
    lasts: timedelta
    """How long after its last report another one still belongs to it."""
    takes_in: bool
    """Whether further reports are attached by themselves."""
    proposed_at: datetime
    opened_at: datetime | None
    opened_by: str | None
    """None: Buckstop itself."""
    department: str | None
    assignee: str | None
    assignee_name: str | None
    outcome: Outcome | None
    closing_words: str | None
    closed_at: datetime | None
    settled_by: str | None
    """Who closed or dismissed it."""
    reports: int
    """Those attached to it, open and closed."""
    open_reports: int


SELECT = """
    SELECT i.id, i.state, i.problem_type, i.lat, i.lon, i.reach, i.first_at, i.last_at, i.lasts,
           i.takes_in, i.proposed_at, i.opened_at, i.opened_by, i.department, i.assignee,
           coalesce(a.name, i.assignee) AS assignee_name,
           i.outcome, i.closing_words, i.closed_at, i.settled_by,
           (SELECT count(*) FROM cases c WHERE c.incident_id = i.id) AS reports,
           (
               SELECT count(*) FROM cases c WHERE c.incident_id = i.id AND c.status <> 'closed'
           ) AS open_reports
    FROM incidents i
    LEFT JOIN accounts a ON a.login = i.assignee
"""

BY_ID = SELECT + " WHERE i.id = $1"
LOCKED = SELECT + " WHERE i.id = $1 FOR NO KEY UPDATE OF i"
ALIVE = SELECT + " WHERE i.state IN ('proposed', 'open') ORDER BY i.state, i.last_at DESC, i.id"
SETTLED = SELECT + " WHERE i.state = 'closed' ORDER BY i.closed_at DESC, i.id LIMIT $1"
ON_DESK = SELECT + " WHERE i.state = 'open' AND i.assignee = $1 ORDER BY i.opened_at, i.id"


async def by_id(conn: asyncpg.Connection, incident_id: UUID) -> Incident | None:
    """The incident, or None."""
    row = await conn.fetchrow(BY_ID, incident_id)
    return None if row is None else _incident(row)


async def locked(conn: asyncpg.Connection, incident_id: UUID) -> Incident:
    """
    The incident, which nobody else can change before this transaction ends. Whoever locks cases
    too locks the incident first. Raises `KeyError`.
    """
    row = await conn.fetchrow(LOCKED, incident_id)
    if row is None:
        raise KeyError(f"no incident {incident_id}")
    return _incident(row)


async def alive(conn: asyncpg.Connection) -> list[Incident]:
    """Those that are open, and those that are proposed; the latest first."""
    return [_incident(row) for row in await conn.fetch(ALIVE)]


async def closed_lately(conn: asyncpg.Connection, most: int = 20) -> list[Incident]:
    """Those that were closed last."""
    return [_incident(row) for row in await conn.fetch(SETTLED, most)]


async def on_desk(conn: asyncpg.Connection, login: str) -> list[Incident]:
    """The open incidents that somebody has."""
    return [_incident(row) for row in await conn.fetch(ON_DESK, login)]


@dataclass(frozen=True)
class Row:
    """A case in the list of an incident."""

    id: UUID
    reference: str
    status: Status
    address: str | None
    opened_at: datetime
    summary: str
    emergency: bool
    reporter_name: str | None
    has_point: bool


SELECT_ROW = """
    SELECT c.id, c.reference, c.status, c.address, c.opened_at, left(c.text, 160) AS summary,
           c.emergency, c.reporter_name, c.lat IS NOT NULL AS has_point
    FROM cases c
"""
ATTACHED = (
    SELECT_ROW
    + " WHERE c.incident_id = $1"
    + " ORDER BY c.emergency DESC, c.status = 'closed', c.opened_at, c.id"
)
FITTING = (
    SELECT_ROW
    + " JOIN belonging b ON b.case_id = c.id WHERE b.incident_id = $1"
    + " ORDER BY c.emergency DESC, c.opened_at, c.id"
)


async def attached(conn: asyncpg.Connection, incident_id: UUID) -> list[Row]:
    """The reports of an incident: emergencies first, then what is open."""
    return _rows(await conn.fetch(ATTACHED, incident_id))


async def fitting(conn: asyncpg.Connection, incident_id: UUID) -> list[Row]:
    """Open cases that lie by themselves and belong to it, as far as kind, place and time say."""
    return _rows(await conn.fetch(FITTING, incident_id))


@dataclass(frozen=True)
class Note:
    """What somebody wrote on an incident."""

    id: UUID
    at: datetime
    author_name: str
    text: str
    public: bool


NOTES = """
    SELECT n.id, n.at, coalesce(a.name, n.author) AS author_name, n.text, n.public
    FROM incident_notes n
    LEFT JOIN accounts a ON a.login = n.author
    WHERE n.incident_id = $1
    ORDER BY n.at, n.id
"""


async def notes(conn: asyncpg.Connection, incident_id: UUID) -> list[Note]:
    """Oldest first. For staff."""
    return [Note(**row) for row in await conn.fetch(NOTES, incident_id)]


FIRST = """
    SELECT c.id, c.reference
    FROM cases c
    WHERE c.incident_id = $1
    ORDER BY c.opened_at, c.id
    LIMIT 1
"""

# What an account says is newer than what the router said of the person.
ASSIGNEE = """
    SELECT coalesce(a.name, c.assignee_name, $1) AS name,
           coalesce(a.email, c.assignee_email, '') AS email,
           coalesce(a.phone, c.assignee_phone) AS phone
    FROM (SELECT $1::text AS login) who
    LEFT JOIN accounts a ON a.login = who.login
    LEFT JOIN LATERAL (
        SELECT assignee_name, assignee_email, assignee_phone
        FROM cases
        WHERE incident_id = $2 AND assignee = who.login
        LIMIT 1
    ) c ON true
"""


async def summary(conn: asyncpg.Connection, incident: Incident) -> IncidentSummary:
    """What listeners are told of an incident that has reports."""
    first = await conn.fetchrow(FIRST, incident.id)
    person = None
    if incident.assignee is not None:
        row = await conn.fetchrow(ASSIGNEE, incident.assignee, incident.id)
        person = Person(id=incident.assignee, **row)
    return IncidentSummary(
        incident_id=incident.id,
        case_id=first["id"],
        reference=first["reference"],
        problem_type=incident.problem_type,
        reports=incident.reports,
        first_at=incident.first_at,
        last_at=incident.last_at,
        lat=incident.lat,
        lon=incident.lon,
        reach=incident.reach,
        department=incident.department,
        assignee=person,
    )


def _rows(rows: Sequence[asyncpg.Record]) -> list[Row]:
    return [
        Row(
            **dict(row)
            | {"status": Status(row["status"]), "summary": " ".join(row["summary"].split())}
        )
        for row in rows
    ]


def _incident(row: asyncpg.Record) -> Incident:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    return Incident(**dict(row) | {"state": State(row["state"]), "outcome": outcome})
