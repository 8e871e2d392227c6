"""
What staff do to a case.

Each change locks the case, asks the table of allowed changes, and writes the case, its event and
what is to be told in one transaction. Asking for the same change twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from bus.contracts import CaseAssigned, CaseClosed, CaseNoted, CaseReopened, FileRef
from bus.identity import fact_id
from store import outbox
from store.cases import Case, locked, summary
from store.followers import followers_of, in_parts
from store.model import Action, NotAllowed, Outcome, Status, check_change
from store.records import NewEvent, add_events, add_files
from store.text import clean

ASSIGN = """
    UPDATE cases
    SET status = $2,
        department = $3,
        assignee = $4,
        assignee_name = $5,
        assignee_email = $6,
        assignee_phone = $7,
        assigned_at = CASE WHEN $2 = 'assigned' THEN $8::timestamptz ELSE NULL END,
        placed_by = $9
    WHERE id = $1
"""


async def assign(
    conn: asyncpg.Connection,
    case_id: UUID,
    *,
    department: str | None,
    assignee: str | None,
    by: str,
    why: str = "",
) -> Case:
    """
    Give the case to a department, and in it to a person; without either it goes to triage.

    A person without a department brings their own. Raises `NotAllowed`, `KeyError` for a case
    that is not there.
    """
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        person = None if assignee is None else await somebody(conn, assignee)
        if person is not None and department is None:
            department = person.department
        if person is not None and department is None:
            raise NotAllowed(f"{person.name} belongs to no department. Choose one.")
        after = Status.TRIAGE if department is None else Status.ASSIGNED
        login = None if person is None else person.id
        if (case.status, case.department, case.assignee) == (after, department, login):
            return case
        check_change(case.status, after, Action.PLACE)
        now = datetime.now(UTC)
        await conn.execute(
            ASSIGN,
            case_id,
            after.value,
            None if department is None else clean(department),
            login,
            None if person is None else person.name,
            None if person is None else person.email,
            None if person is None else person.phone,
            now,
            by,
        )
        data: dict[str, object] = {
            "department": department,
            "assignee": login,
            "assignee_name": None if person is None else person.name,
            "from_department": case.department,
            "from_assignee": case.assignee,
            "from_assignee_name": case.assignee_name,
            "why": why,
        }
        await _happened(conn, case_id, now, "assigned", by, data, public=True)
        changed = await the_locked(conn, case_id)
        if department is not None:
            told = CaseAssigned(
                message_id=uuid4(),
                occurred_at=now,
                case=summary(changed),
                assigned_by=await name_of(conn, by),
            )
            await outbox.append(conn, [told])
        return changed


START = """
    UPDATE cases
    SET status = 'in_progress', placed_by = $2
    WHERE id = $1
"""


async def start(conn: asyncpg.Connection, case_id: UUID, *, by: str) -> Case:
    """Work on the case begins. Raises `NotAllowed`, `KeyError`."""
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        if case.status is Status.IN_PROGRESS:
            return case
        check_change(case.status, Status.IN_PROGRESS, Action.START)
        await conn.execute(START, case_id, by)
        await _happened(conn, case_id, datetime.now(UTC), "started", by, {}, public=True)
        return await the_locked(conn, case_id)


ADD_NOTE = """
    INSERT INTO notes (id, case_id, at, author, text, public)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


async def add_note(
    conn: asyncpg.Connection,
    case_id: UUID,
    *,
    note_id: UUID,
    text: str,
    public: bool,
    by: str,
    attachments: Sequence[FileRef] = (),
) -> None:
    """
    Write a note on the case, open or closed; the same `note_id` again changes nothing.

    Raises `NotAllowed` for a note without words, `KeyError`.
    """
    words = clean(text).strip()
    if not words:
        raise NotAllowed("A note needs words.")
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        now = datetime.now(UTC)
        if await conn.fetchval(ADD_NOTE, note_id, case_id, now, by, words, public) is None:
            return
        await add_files(conn, [(case_id, note_id, attachments)])
        data: dict[str, object] = {"note_id": str(note_id)}
        await _happened(conn, case_id, now, "noted", by, data, public=public)
        followers = await followers_of(conn, case) if public else []
        told = [
            CaseNoted(
                message_id=fact_id("case.noted", note_id, *([part] if part else [])),
                occurred_at=now,
                case=summary(case),
                text=words,
                public=public,
                author=await name_of(conn, by),
                followers=some,
                rest=part > 0,
            )
            for part, some in enumerate(in_parts(followers))
        ]
        await outbox.append(conn, told)


CLOSE = """
    UPDATE cases
    SET status = 'closed', outcome = $2, closing_words = $3, closed_at = $4, placed_by = $5
    WHERE id = $1
"""


async def close(
    conn: asyncpg.Connection, case_id: UUID, *, outcome: Outcome | str, words: str, by: str
) -> Case:
    """
    End the case, with words for the resident.

    Raises `NotAllowed` without words, for an unknown outcome, and for a case that is closed
    already in another way; `KeyError`.
    """
    said = clean(words).strip()
    if not said:
        raise NotAllowed("Say to the resident how it ended.")
    try:
        ended = Outcome(outcome)
    except ValueError as error:
        raise NotAllowed(f"{outcome!r} is not one of the ways in which a case ends.") from error
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        if (case.status, case.outcome, case.closing_words) == (Status.CLOSED, ended, said):
            return case
        check_change(case.status, Status.CLOSED, Action.CLOSE)
        now = datetime.now(UTC)
        await conn.execute(CLOSE, case_id, ended.value, said, now, by)
        data: dict[str, object] = {"outcome": ended.value, "words": said}
        await _happened(conn, case_id, now, "closed", by, data, public=True)
        closed = await the_locked(conn, case_id)
        told = [
            CaseClosed(
                message_id=uuid4(),
                occurred_at=now,
                case=summary(closed),
                outcome=ended.value,
                words=said,
                closed_by=await name_of(conn, by),
                followers=some,
                rest=part > 0,
            )
            for part, some in enumerate(in_parts(await followers_of(conn, closed)))
        ]
        await outbox.append(conn, told)
        return closed


REOPEN = """
    UPDATE cases
    SET status = $2, outcome = NULL, closing_words = NULL, closed_at = NULL, placed_by = $3,
        incident_id = NULL, by_itself = by_itself OR incident_id IS NOT NULL
    WHERE id = $1
"""


async def reopen(conn: asyncpg.Connection, case_id: UUID, *, reason: str, by: str) -> Case:
    """
    Take a closed case up again, where it was before. How it had ended stays in its history; if it
    was part of an incident, it goes on by itself.

    Raises `NotAllowed` without a reason and for an open case; `KeyError`.
    """
    why = clean(reason).strip()
    if not why:
        raise NotAllowed("Say why the case is reopened.")
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        if case.merged_into is not None:
            raise NotAllowed(
                "This case was joined to another one already. Take it out there first."
            )
        after = Status.TRIAGE if case.department is None else Status.ASSIGNED
        check_change(case.status, after, Action.REOPEN)
        now = datetime.now(UTC)
        await conn.execute(REOPEN, case_id, after.value, by)
        data: dict[str, object] = {"reason": why}
        if case.incident_id is not None:
            data["incident_id"] = str(case.incident_id)
        await _happened(conn, case_id, now, "reopened", by, data, public=True)
        reopened = await the_locked(conn, case_id)
        told = CaseReopened(
            message_id=uuid4(),
            occurred_at=now,
            case=summary(reopened),
            reason=why,
            reopened_by=await name_of(conn, by),
        )
        await outbox.append(conn, [told])
        return reopened


SET_PROBLEM_TYPE = """
    UPDATE cases
    SET problem_type = $2, typed_by = $3
    WHERE id = $1
"""


async def set_problem_type(
    conn: asyncpg.Connection, case_id: UUID, *, problem_type: str, by: str
) -> Case:
    """
    Say what kind of problem it is; a routing that comes later leaves that alone.

    The case stays on its desk. Raises `NotAllowed` for a closed case; `KeyError`.
    """
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        if case.status is Status.CLOSED:
            raise NotAllowed("This case is closed. Reopen it first.")
        await conn.execute(SET_PROBLEM_TYPE, case_id, clean(problem_type), by)
        if case.problem_type != problem_type:
            data: dict[str, object] = {"problem_type": problem_type, "from": case.problem_type}
            await _happened(conn, case_id, datetime.now(UTC), "retyped", by, data, public=False)
        return await the_locked(conn, case_id)


SET_EMERGENCY = """
    UPDATE cases
    SET emergency = $2, urgency_by = $3
    WHERE id = $1
"""


async def set_emergency(
    conn: asyncpg.Connection, case_id: UUID, *, emergency: bool, by: str
) -> Case:
    """
    Say whether it is an emergency. The router leaves that alone, until words of danger come in a
    further message. Raises `NotAllowed` for a closed case; `KeyError`.
    """
    async with conn.transaction():
        case = await the_locked(conn, case_id)
        if case.status is Status.CLOSED:
            raise NotAllowed("This case is closed. Reopen it first.")
        await conn.execute(SET_EMERGENCY, case_id, emergency, by)
        if case.emergency is not emergency:
            kind = "emergency" if emergency else "no_emergency"
            await _happened(conn, case_id, datetime.now(UTC), kind, by, {}, public=False)
        return await the_locked(conn, case_id)


async def the_locked(conn: asyncpg.Connection, case_id: UUID) -> Case:
    """The case, which nobody else can change before this transaction ends. Raises `KeyError`."""
    case = await locked(conn, case_id)
    if case is None:
        raise KeyError(f"no case {case_id}")
    return case


async def _happened(
    conn: asyncpg.Connection,
    case_id: UUID,
    at: datetime,
    kind: str,
    by: str,
    data: dict[str, object],
    *,
    public: bool,
) -> None:
    event = NewEvent(case_id=case_id, at=at, kind=kind, by=by, public=public, data=data)
    await add_events(conn, [event])


@dataclass(frozen=True)
class Somebody:
    """Somebody who works here."""

    id: str
    name: str
    email: str
    phone: str | None
    department: str | None


SOMEBODY = """
    SELECT login AS id, name, email, phone, department
    FROM accounts
    WHERE login = lower($1) AND active
"""


async def somebody(conn: asyncpg.Connection, login: str) -> Somebody:
    row = await conn.fetchrow(SOMEBODY, clean(login))
    if row is None:
        raise NotAllowed(f"Nobody who works here has the sign-in name {login!r}.")
    return Somebody(**row)


NAME = """
    SELECT name
    FROM accounts
    WHERE login = $1
"""


async def name_of(conn: asyncpg.Connection, login: str) -> str:
    """Somebody's name as staff know it."""
    return await conn.fetchval(NAME, login) or login
