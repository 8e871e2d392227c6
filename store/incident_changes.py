"""
What is done to incidents: by staff, by the look for storms, and while a batch is placed.

Each change is one transaction and harmless the second time. Whoever locks an incident and cases
locks the incident first, and the cases in the order of their ids. What is told goes to people, not
to reports: who reported five times hears once.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import numpy
import structlog

from bus.contracts import (
    CaseAssigned,
    Fact,
    Follower,
    IncidentAssigned,
    IncidentClosed,
    IncidentNoted,
)
from bus.identity import fact_id
from store import outbox
from store.cases import locked as locked_case
from store.changes import name_of, somebody
from store.followers import each_once, everybody_of, in_parts
from store.incidents import Incident, Report, State, by_id, locked, summary
from store.likeness import METRES_PER_DEGREE
from store.model import Action, NotAllowed, Outcome, Status, check_change
from store.records import NewEvent, add_events
from store.text import clean

log = structlog.stdlib.get_logger()

# ── how one begins ──────────────────────────────────────────────────────────────────────────────

PROPOSE = """
    INSERT INTO incidents (
        id, state, problem_type, lat, lon, reach, first_at, last_at, lasts, takes_in, proposed_at
    )
    VALUES ($1, 'proposed', $2, $3, $4, $5, $6, $7, $8, false, $9)
"""


async def propose(
    conn: asyncpg.Connection,
    incident_id: UUID,
    *,
    problem_type: str,
    lat: float,
    lon: float,
    reach: float,
    first_at: datetime,
    last_at: datetime,
    lasts: timedelta,
    now: datetime,
) -> None:
    """Write down that these may be one incident; nothing happens to any report."""
    await conn.execute(
        PROPOSE, incident_id, problem_type, lat, lon, reach, first_at, last_at, lasts, now
    )


# Whoever has most of its reports gets it.
WHO_HAS_MOST = """
    SELECT department, assignee
    FROM cases
    WHERE incident_id = $1 AND department IS NOT NULL
    GROUP BY department, assignee
    ORDER BY count(*) FILTER (WHERE assignee IS NOT NULL) DESC, count(*) DESC, assignee
    LIMIT 1
"""

BEGIN = """
    UPDATE incidents
    SET state = 'open', takes_in = $2, opened_at = $3, opened_by = $4
    WHERE id = $1
"""

GIVE = "UPDATE incidents SET department = $2, assignee = $3 WHERE id = $1"


async def begin(
    conn: asyncpg.Connection,
    incident_id: UUID,
    case_ids: Sequence[UUID],
    *,
    takes_in: bool,
    by: str | None,
    now: datetime | None = None,
) -> int:
    """
    Make a proposed incident of these reports, on the desk of whoever has most of them; how many
    were attached. Those that are closed or part of another incident by now are left out.

    Raises `NotAllowed` for one that was dismissed or closed, or that nothing is left of;
    `KeyError`.
    """
    at = now or datetime.now(UTC)
    async with conn.transaction():
        incident = await locked(conn, incident_id)
        if incident.state is State.OPEN:
            return 0
        _must_be(incident, State.PROPOSED)
        await conn.execute(BEGIN, incident_id, takes_in, at, by)
        count = len(await _attach(conn, incident_id, case_ids, by, at))
        if not count:
            raise NotAllowed("None of these reports is open and by itself any more.")
        owner = await conn.fetchrow(WHO_HAS_MOST, incident_id)
        if owner is not None:
            await conn.execute(GIVE, incident_id, owner["department"], owner["assignee"])
        told = IncidentAssigned(
            message_id=uuid4(),
            occurred_at=at,
            incident=await summary(conn, await locked(conn, incident_id)),
        )
        await outbox.append(conn, [told])
        return count


DISMISS = "UPDATE incidents SET state = 'dismissed', settled_by = $2 WHERE id = $1"


async def dismiss(conn: asyncpg.Connection, incident_id: UUID, *, by: str) -> None:
    """These are single problems. Raises `NotAllowed` for one that has begun; `KeyError`."""
    async with conn.transaction():
        incident = await locked(conn, incident_id)
        if incident.state is not State.DISMISSED:
            _must_be(incident, State.PROPOSED)
            await conn.execute(DISMISS, incident_id, by)


# ── its reports ─────────────────────────────────────────────────────────────────────────────────

ATTACH = """
    UPDATE cases
    SET incident_id = $1
    WHERE id IN (
        SELECT id
        FROM cases
        WHERE id = ANY ($2::uuid[]) AND status <> 'closed' AND incident_id IS NULL
        ORDER BY id
        FOR UPDATE
    )
    RETURNING id, opened_at
"""

SPAN = """
    UPDATE incidents
    SET first_at = least(first_at, $2), last_at = greatest(last_at, $3)
    WHERE id = $1
"""


async def attach(
    conn: asyncpg.Connection, incident_id: UUID, case_ids: Sequence[UUID], *, by: str
) -> int:
    """
    Attach further reports; how many. One that is closed, or part of an incident, is left out.

    Raises `NotAllowed` unless the incident is open; `KeyError`.
    """
    async with conn.transaction():
        _must_be(await locked(conn, incident_id), State.OPEN)
        return len(await _attach(conn, incident_id, case_ids, by, datetime.now(UTC)))


async def _attach(
    conn: asyncpg.Connection,
    incident_id: UUID,
    case_ids: Sequence[UUID],
    by: str | None,
    now: datetime,
) -> list[UUID]:
    rows = await conn.fetch(ATTACH, incident_id, list(case_ids))
    if not rows:
        return []
    times = [row["opened_at"] for row in rows]
    await conn.execute(SPAN, incident_id, min(times), max(times))
    found = sorted(row["id"] for row in rows)
    await _welcome(conn, incident_id, found, by, now)
    return found


# What the city said last, which those who report it only now have not heard.
LAST_WORD = """
    SELECT id, at, author, text
    FROM incident_notes
    WHERE incident_id = $1 AND public
    ORDER BY at DESC, id
    LIMIT 1
"""

OTHERS = "SELECT id FROM cases WHERE incident_id = $1 AND NOT id = ANY ($2::uuid[])"


async def _welcome(
    conn: asyncpg.Connection, incident_id: UUID, case_ids: list[UUID], by: str | None, now: datetime
) -> None:
    data: dict[str, object] = {"incident_id": str(incident_id)}
    await _happened(conn, case_ids, "attached", by, now, data)
    word = await conn.fetchrow(LAST_WORD, incident_id)
    if word is None:
        return
    others = [row["id"] for row in await conn.fetch(OTHERS, incident_id, case_ids)]
    heard = [one.contact for one in await everybody_of(conn, others)]
    new = each_once(await everybody_of(conn, case_ids), but=heard)
    await _note_on_cases(conn, case_ids, word["id"], word["text"], word["author"], now)
    if new:
        await _tell_noted(conn, incident_id, word["text"], new, now)


# Asked for every batch that is placed: nearly always there is none, and that must cost nothing.
ANY_TAKES_IN = "SELECT EXISTS (SELECT FROM incidents WHERE state = 'open' AND takes_in)"

TAKE_IN = """
    SELECT b.case_id, b.incident_id
    FROM incidents i
    JOIN belonging b ON b.incident_id = i.id
    JOIN cases c ON c.id = b.case_id
    WHERE i.state = 'open' AND i.takes_in AND c.id = ANY ($1::uuid[])
      AND NOT c.emergency AND c.status <> 'new'
    ORDER BY i.last_at DESC, i.id
"""

MARK = "UPDATE cases SET incident_id = $1 WHERE id = ANY ($2::uuid[])"


async def take_in(conn: asyncpg.Connection, told: Sequence[Fact]) -> list[Fact]:
    """
    Of cases that were just placed, attach those that belong to an incident that takes in; what is
    left to be told: of an attached one nobody hears that it lies on their desk. The caller has
    locked the cases.
    """
    placed = {one.case.case_id for one in told if isinstance(one, CaseAssigned)}
    if not placed or not await conn.fetchval(ANY_TAKES_IN):
        return list(told)
    belongs: dict[UUID, UUID] = {}
    for row in await conn.fetch(TAKE_IN, sorted(placed)):
        belongs.setdefault(row["case_id"], row["incident_id"])
    now = datetime.now(UTC)
    # The incident itself is not touched: who changes it locks it before its cases. The next look
    # for storms moves its end.
    for incident_id in sorted(set(belongs.values())):
        cases = sorted(one for one, into in belongs.items() if into == incident_id)
        await conn.execute(MARK, incident_id, cases)
        await _welcome(conn, incident_id, cases, None, now)
    return [
        one for one in told if not (isinstance(one, CaseAssigned) and one.case.case_id in belongs)
    ]


DETACH = "UPDATE cases SET incident_id = NULL, by_itself = true WHERE id = $1"


async def detach(conn: asyncpg.Connection, case_id: UUID, *, by: str) -> None:
    """Take a report out of its incident; it goes on by itself. Raises `KeyError`."""
    async with conn.transaction():
        case = await locked_case(conn, case_id)
        if case is None:
            raise KeyError(f"no case {case_id}")
        if case.incident_id is None:
            return
        await conn.execute(DETACH, case_id)
        data: dict[str, object] = {"incident_id": str(case.incident_id)}
        await _happened(conn, [case_id], "detached", by, datetime.now(UTC), data)


# Dismissed ones count for as long as reports keep coming: nobody is asked twice about one storm.
COVERING = """
    SELECT id, state, problem_type, lat, lon, reach, last_at, lasts, takes_in
    FROM incidents
    WHERE state IN ('proposed', 'open', 'dismissed') AND last_at + lasts > $1
    ORDER BY id
    FOR NO KEY UPDATE
"""


async def cover(conn: asyncpg.Connection, reports: Sequence[Report]) -> list[Report]:
    """
    Reports that no known incident covers. Those that are covered lengthen it, and are attached
    where it takes in by itself.
    """
    known = await conn.fetch(COVERING, min(report.at for report in reports))
    if not known:
        return list(reports)
    # The first that covers a report has it; some milliseconds for thousands of reports.
    left, covered = await asyncio.to_thread(_shared_out, reports, known)
    now = datetime.now(UTC)
    for row, some in zip(known, covered, strict=True):
        if some and row["state"] == State.OPEN and row["takes_in"]:
            await _attach(conn, row["id"], [one.case_id for one in some], None, now)
        elif some:
            times = [one.at for one in some]
            await conn.execute(SPAN, row["id"], min(times), max(times))
    return left


def _shared_out(
    reports: Sequence[Report], known: Sequence[asyncpg.Record]
) -> tuple[list[Report], list[list[Report]]]:
    """Reports that nothing covers, and those that each of `known` covers."""
    lat = numpy.array([one.lat for one in reports])
    north = lat * METRES_PER_DEGREE
    degree_east = METRES_PER_DEGREE * numpy.cos(numpy.radians(lat))
    lon = numpy.array([one.lon for one in reports])
    at = numpy.array([one.at.timestamp() for one in reports])
    kind = numpy.array([one.problem_type for one in reports])
    free = numpy.ones(len(reports), dtype=bool)
    covered: list[list[Report]] = []
    for row in known:
        away = numpy.hypot(north - row["lat"] * METRES_PER_DEGREE, (lon - row["lon"]) * degree_east)
        theirs = (
            free
            & (kind == row["problem_type"])
            & (at <= (row["last_at"] + row["lasts"]).timestamp())
            & (away <= row["reach"])
        )
        free &= ~theirs
        covered.append([reports[one] for one in numpy.flatnonzero(theirs).tolist()])
    return [reports[one] for one in numpy.flatnonzero(free).tolist()], covered


# ── what is done to all of them ─────────────────────────────────────────────────────────────────


async def assign(conn: asyncpg.Connection, incident_id: UUID, *, assignee: str, by: str) -> None:
    """
    Give the incident to somebody, and with it their department.

    Raises `NotAllowed` unless it is open, and for nobody who works here; `KeyError`.
    """
    async with conn.transaction():
        incident = await locked(conn, incident_id)
        _must_be(incident, State.OPEN)
        person = await somebody(conn, assignee)
        if person.department is None:
            raise NotAllowed(f"{person.name} belongs to no department. Choose somebody else.")
        if incident.assignee == person.id:
            return
        await conn.execute(GIVE, incident_id, person.department, person.id)
        told = IncidentAssigned(
            message_id=uuid4(),
            occurred_at=datetime.now(UTC),
            incident=await summary(conn, await locked(conn, incident_id)),
            assigned_by=await name_of(conn, by),
        )
        await outbox.append(conn, [told])


ADD_NOTE = """
    INSERT INTO incident_notes (id, incident_id, at, author, text, public)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""

ITS_OPEN = """
    SELECT id, status
    FROM cases
    WHERE incident_id = $1 AND status <> 'closed'
    ORDER BY id
    FOR UPDATE
"""


async def add_note(
    conn: asyncpg.Connection, incident_id: UUID, *, note_id: UUID, text: str, public: bool, by: str
) -> None:
    """
    Write a note on the incident; a public one stands on the page of each of its open reports, and
    each person who reported is told once. The same `note_id` again changes nothing.

    Raises `NotAllowed` for a note without words, and unless the incident is open; `KeyError`.
    """
    words = clean(text).strip()
    if not words:
        raise NotAllowed("A note needs words.")
    async with conn.transaction():
        _must_be(await locked(conn, incident_id), State.OPEN)
        now = datetime.now(UTC)
        if await conn.fetchval(ADD_NOTE, note_id, incident_id, now, by, words, public) is None:
            return
        if public:
            cases = [row["id"] for row in await conn.fetch(ITS_OPEN, incident_id)]
            await _note_on_cases(conn, cases, note_id, words, by, now)
            people = await everybody_of(conn, cases)
            if people:
                await _tell_noted(conn, incident_id, words, people, now)


NOTE_ON_CASES = """
    INSERT INTO notes (id, case_id, at, author, text, public)
    SELECT id, case_id, $3, $4, $5, true
    FROM unnest($1::uuid[], $2::uuid[]) AS note (id, case_id)
    ON CONFLICT (id) DO NOTHING
"""


async def _note_on_cases(
    conn: asyncpg.Connection,
    case_ids: list[UUID],
    note_id: UUID,
    words: str,
    author: str,
    now: datetime,
) -> None:
    ids = [fact_id("incident.note", note_id, case_id) for case_id in case_ids]
    await conn.execute(NOTE_ON_CASES, ids, case_ids, now, author, words)
    await add_events(
        conn,
        [
            NewEvent(case_id, now, "noted", author, True, {"note_id": str(one)})
            for one, case_id in zip(ids, case_ids, strict=True)
        ],
    )


async def _tell_noted(
    conn: asyncpg.Connection,
    incident_id: UUID,
    words: str,
    people: Sequence[Follower],
    now: datetime,
) -> None:
    about = await summary(conn, await _now(conn, incident_id))
    facts = [
        IncidentNoted(
            message_id=uuid4(), occurred_at=now, incident=about, text=words, followers=some
        )
        for some in in_parts(people)
    ]
    await outbox.append(conn, facts)


CLOSE = """
    UPDATE incidents
    SET state = 'closed', outcome = $2, closing_words = $3, closed_at = $4, settled_by = $5,
        takes_in = false
    WHERE id = $1
"""

CLOSE_CASES = """
    UPDATE cases
    SET status = 'closed', outcome = $2, closing_words = $3, closed_at = $4, placed_by = $5
    WHERE id = ANY ($1::uuid[])
"""


async def close(
    conn: asyncpg.Connection, incident_id: UUID, *, outcome: Outcome | str, words: str, by: str
) -> int:
    """
    End the incident and the reports that are still open, with words for everybody who reported;
    how many were closed. Each can be opened again by itself.

    Raises `NotAllowed` without words, for an unknown outcome, and unless it is open; `KeyError`.
    """
    said = clean(words).strip()
    if not said:
        raise NotAllowed("Say to the resident how it ended.")
    try:
        ended = Outcome(outcome)
    except ValueError as error:
        raise NotAllowed(f"{outcome!r} is not one of the ways in which a case ends.") from error
    async with conn.transaction():
        incident = await locked(conn, incident_id)
        if (incident.state, incident.outcome, incident.closing_words) == (
            State.CLOSED,
            ended,
            said,
        ):
            return 0
        _must_be(incident, State.OPEN)
        now = datetime.now(UTC)
        rows = await conn.fetch(ITS_OPEN, incident_id)
        for row in rows:
            check_change(Status(row["status"]), Status.CLOSED, Action.CLOSE)
        cases = [row["id"] for row in rows]
        people = await everybody_of(conn, cases)
        await conn.execute(CLOSE_CASES, cases, ended.value, said, now, by)
        data: dict[str, object] = {
            "outcome": ended.value,
            "words": said,
            "incident_id": str(incident_id),
        }
        await _happened(conn, cases, "closed", by, now, data, public=True)
        about = await summary(conn, incident)
        await conn.execute(CLOSE, incident_id, ended.value, said, now, by)
        facts = [
            IncidentClosed(
                message_id=uuid4(),
                occurred_at=now,
                incident=about,
                outcome=ended.value,
                words=said,
                closed_by=await name_of(conn, by),
                followers=some,
                rest=part > 0,
            )
            for part, some in enumerate(in_parts(people))
        ]
        await outbox.append(conn, facts)
        log.info("incident closed", incident_id=str(incident_id), reports=len(cases))
        return len(cases)


def _must_be(incident: Incident, state: State) -> None:
    if incident.state is state:
        return
    raise NotAllowed(
        {
            State.PROPOSED: "This incident has not begun yet. Begin it first.",
            State.OPEN: "This incident has begun already.",
            State.CLOSED: "This incident is closed.",
            State.DISMISSED: "This incident was dismissed: its reports are single problems.",
        }[incident.state]
    )


async def _now(conn: asyncpg.Connection, incident_id: UUID) -> Incident:
    found = await by_id(conn, incident_id)
    if found is None:
        raise KeyError(f"no incident {incident_id}")
    return found


async def _happened(
    conn: asyncpg.Connection,
    case_ids: Sequence[UUID],
    kind: str,
    by: str | None,
    now: datetime,
    data: dict[str, object],
    *,
    public: bool = False,
) -> None:
    await add_events(conn, [NewEvent(case_id, now, kind, by, public, data) for case_id in case_ids])
