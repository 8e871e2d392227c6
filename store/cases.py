"""
Cases: what is known of one, and everything that staff can do to it.

Each change locks the case, asks the table of allowed changes, and writes the case, its event and
what is to be told in one transaction. Asking for the same change twice changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from bus.contracts import (
    Alternative,
    CaseAssigned,
    CaseClosed,
    CaseNoted,
    CaseReopened,
    CaseSummary,
    Contact,
    FileRef,
    Person,
)
from bus.identity import fact_id, read_reference
from store import outbox
from store.model import Action, NotAllowed, Outcome, Status, check_change
from store.records import NewEvent, add_events, add_files, files_from
from store.text import clean


@dataclass(frozen=True)
class Case:
    """All that staff may know of a case."""

    id: UUID
    reference: str
    status: Status
    channel: str
    text: str
    language: str
    problem_type: str | None
    """The one in force: the staff's choice, else the router's."""
    chosen_type: str | None
    """What the resident or the call taker chose."""
    predicted_type: str | None
    confidence: float | None
    """Of `predicted_type`."""
    alternatives: tuple[Alternative, ...]
    department: str | None
    district: str | None
    assignee: str | None
    """Their sign-in name."""
    assignee_name: str | None
    assignee_email: str | None
    assignee_phone: str | None
    address: str | None
    lat: float | None
    lon: float | None
    place_source: str | None
    reporter: Contact
    entered_by: str | None
    emergency: bool
    reasons: tuple[str, ...]
    """The router's, in its order."""
    model: str
    opened_at: datetime
    routed_at: datetime | None
    assigned_at: datetime | None
    closed_at: datetime | None
    outcome: Outcome | None
    closing_words: str | None
    attachments: tuple[FileRef, ...]
    original: FileRef | None
    """The message as it came, untouched."""
    place_asked: bool = False
    """Whether the resident was asked where it is."""
    goes_on_from: UUID | None = None
    """The closed case that this one goes on from."""
    mail_id: str | None = None
    """The Message-ID of the mail by which its reporter opened it."""
    refer_to: str | None = None
    """An agency of the city's folder whom it concerns, or may concern."""


# What an account says of a person is newer than what the router said when it chose them.
SELECT_CASE = """
    SELECT c.id, c.reference, c.status, c.channel, c.text, c.language,
           c.problem_type, c.chosen_type, c.predicted_type, c.confidence, c.alternatives,
           c.department, c.district, c.assignee,
           coalesce(a.name, c.assignee_name) AS assignee_name,
           coalesce(a.email, c.assignee_email) AS assignee_email,
           coalesce(a.phone, c.assignee_phone) AS assignee_phone,
           c.address, c.lat, c.lon, c.place_source,
           c.reporter_name, c.reporter_email, c.reporter_phone, c.entered_by,
           NOT EXISTS (
               SELECT FROM contact_marks m
               WHERE m.medium = 'email' AND m.address = lower(c.reporter_email) AND m.state = 'bad'
           ) AS email_works,
           c.reporter_texts AND NOT EXISTS (
               SELECT FROM contact_marks m
               WHERE m.medium = 'sms' AND m.address = c.reporter_phone
                 AND m.state IN ('bad', 'stopped')
           ) AS texts,
           c.place_asked_at IS NOT NULL AS place_asked, c.goes_on_from, c.refer_to,
           c.emergency, c.reasons, c.model,
           c.opened_at, c.routed_at, c.assigned_at, c.closed_at, c.outcome, c.closing_words,
           (
               SELECT jsonb_agg(
                   jsonb_build_object(
                       'sha256', f.sha256, 'media_type', f.media_type,
                       'name', f.name, 'size', f.size
                   )
                   ORDER BY f.id
               )
               FROM files f
               WHERE f.case_id = c.id AND f.note_id IS NULL
           ) AS attachments,
           (SELECT l.original FROM complaints l WHERE l.id = c.id) AS original,
           (SELECT m.message_id FROM mail_ids m WHERE m.case_id = c.id AND m.opened) AS mail_id
    FROM cases c
    LEFT JOIN accounts a ON a.login = c.assignee
"""

BY_ID = SELECT_CASE + " WHERE c.id = $1"
BY_REFERENCE = SELECT_CASE + " WHERE c.reference = $1"
LOCKED = SELECT_CASE + " WHERE c.id = $1 FOR UPDATE OF c"


async def by_id(conn: asyncpg.Connection, case_id: UUID) -> Case | None:
    """The case, or None."""
    row = await conn.fetchrow(BY_ID, case_id)
    return None if row is None else _case(row)


async def locked(conn: asyncpg.Connection, case_id: UUID) -> Case | None:
    """The case, which nobody else can change before this transaction ends; or None."""
    row = await conn.fetchrow(LOCKED, case_id)
    return None if row is None else _case(row)


async def by_reference(conn: asyncpg.Connection, reference: str) -> Case | None:
    """The case with this reference, however it was typed; or None."""
    row = await conn.fetchrow(BY_REFERENCE, read_reference(reference) or clean(reference))
    return None if row is None else _case(row)


@dataclass(frozen=True)
class Event:
    """
    Something that happened to a case: kind and data, from which a page makes its sentence.

    Kinds: `opened`, `routed`, `routed_late`, `routing_failed`, `assigned`, `started`, `retyped`,
    `noted`, `closed`, `reopened`; of what comes in later `followed`, `amended`, `asked`, `chose`,
    `goes_on`, `looked_again`, `emergency`, `no_emergency`, `automatic_reply`, `bounced`,
    `texts_stopped`, `texts_started`, `brought_in`, `media_missing`.
    """

    at: datetime
    kind: str
    by: str | None
    by_name: str | None
    """The name of `by`, as staff know them."""
    public: bool
    data: Mapping[str, object]


HISTORY = """
    SELECT e.at, e.kind, e.by, coalesce(a.name, e.by) AS by_name, e.public, e.data
    FROM events e
    LEFT JOIN accounts a ON a.login = e.by
    WHERE e.case_id = $1
    ORDER BY e.id
"""


async def history(conn: asyncpg.Connection, case_id: UUID) -> list[Event]:
    """What happened to the case, oldest first. For staff: the data names people."""
    return [Event(**row) for row in await conn.fetch(HISTORY, case_id)]


@dataclass(frozen=True)
class Note:
    """What somebody wrote on a case."""

    id: UUID
    at: datetime
    author: str
    """Their sign-in name."""
    author_name: str
    text: str
    public: bool
    attachments: tuple[FileRef, ...]
    from_outside: bool
    """The resident told it, or somebody who answered our mail to them; `author` is empty."""
    verified: bool
    """
    False: it came from an address or number to which we had not written, or nothing proves that
    it came from there.
    """
    sender: str | None
    """Who signed what is not verified."""
    original: FileRef | None
    """Of what came from outside, the message as it came."""


NOTES = """
    SELECT n.id, n.at, n.author, coalesce(a.name, n.author) AS author_name, n.text, n.public,
           n.from_outside, n.verified, n.sender,
           (SELECT l.original FROM complaints l WHERE l.id = n.id) AS original,
           (
               SELECT jsonb_agg(
                   jsonb_build_object(
                       'sha256', f.sha256, 'media_type', f.media_type,
                       'name', f.name, 'size', f.size
                   )
                   ORDER BY f.id
               )
               FROM files f
               WHERE f.case_id = n.case_id AND f.note_id = n.id
           ) AS attachments
    FROM notes n
    LEFT JOIN accounts a ON a.login = n.author
    WHERE n.case_id = $1 AND (n.public OR NOT $2)
    ORDER BY n.at, n.id
"""


async def notes(conn: asyncpg.Connection, case_id: UUID, *, public_only: bool) -> list[Note]:
    """The notes of a case, oldest first. For the public's page use `public_view`."""
    rows = await conn.fetch(NOTES, case_id, public_only)
    return [
        Note(
            **dict(row)
            | {
                "attachments": files_from(row["attachments"]),
                "original": FileRef.model_validate(row["original"]) if row["original"] else None,
            }
        )
        for row in rows
    ]


# ── what the public may see ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class PublicNote:
    at: datetime
    text: str


@dataclass(frozen=True)
class PublicStep:
    """That something happened; `kind` as in `Event`."""

    at: datetime
    kind: str


@dataclass(frozen=True)
class PublicCase:
    """Nothing here tells who reported, who works on it, where it is or what was said."""

    reference: str
    status: Status
    outcome: Outcome | None
    problem_type: str | None
    department: str | None
    opened_at: datetime
    closed_at: datetime | None
    closing_words: str | None
    notes: tuple[PublicNote, ...]
    steps: tuple[PublicStep, ...]


PUBLIC_CASE = """
    SELECT id, reference, status, outcome, problem_type, department, opened_at, closed_at,
           closing_words
    FROM cases
    WHERE reference = $1
"""

PUBLIC_NOTES = """
    SELECT at, text
    FROM notes
    WHERE case_id = $1 AND public
    ORDER BY at, id
"""

PUBLIC_STEPS = """
    SELECT at, kind
    FROM events
    WHERE case_id = $1 AND public
    ORDER BY id
"""


async def public_view(conn: asyncpg.Connection, reference: str) -> PublicCase | None:
    """What anybody who has the reference may see, however they typed it; or None."""
    known = read_reference(reference)
    row = None if known is None else await conn.fetchrow(PUBLIC_CASE, known)
    if row is None:
        return None
    return PublicCase(
        reference=row["reference"],
        status=Status(row["status"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        problem_type=row["problem_type"],
        department=row["department"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        closing_words=row["closing_words"],
        notes=tuple(PublicNote(**note) for note in await conn.fetch(PUBLIC_NOTES, row["id"])),
        steps=tuple(PublicStep(**step) for step in await conn.fetch(PUBLIC_STEPS, row["id"])),
    )


# ── what staff do ───────────────────────────────────────────────────────────────────────────────

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
        case = await _locked(conn, case_id)
        person = None if assignee is None else await _somebody(conn, assignee)
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
        changed = await _locked(conn, case_id)
        if department is not None:
            told = CaseAssigned(
                message_id=uuid4(),
                occurred_at=now,
                case=summary(changed),
                assigned_by=await _name(conn, by),
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
        case = await _locked(conn, case_id)
        if case.status is Status.IN_PROGRESS:
            return case
        check_change(case.status, Status.IN_PROGRESS, Action.START)
        await conn.execute(START, case_id, by)
        await _happened(conn, case_id, datetime.now(UTC), "started", by, {}, public=True)
        return await _locked(conn, case_id)


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
        case = await _locked(conn, case_id)
        now = datetime.now(UTC)
        if await conn.fetchval(ADD_NOTE, note_id, case_id, now, by, words, public) is None:
            return
        await add_files(conn, [(case_id, note_id, attachments)])
        data: dict[str, object] = {"note_id": str(note_id)}
        await _happened(conn, case_id, now, "noted", by, data, public=public)
        told = CaseNoted(
            message_id=fact_id("case.noted", note_id),
            occurred_at=now,
            case=summary(case),
            text=words,
            public=public,
            author=await _name(conn, by),
        )
        await outbox.append(conn, [told])


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
        case = await _locked(conn, case_id)
        if (case.status, case.outcome, case.closing_words) == (Status.CLOSED, ended, said):
            return case
        check_change(case.status, Status.CLOSED, Action.CLOSE)
        now = datetime.now(UTC)
        await conn.execute(CLOSE, case_id, ended.value, said, now, by)
        data: dict[str, object] = {"outcome": ended.value, "words": said}
        await _happened(conn, case_id, now, "closed", by, data, public=True)
        closed = await _locked(conn, case_id)
        told = CaseClosed(
            message_id=uuid4(),
            occurred_at=now,
            case=summary(closed),
            outcome=ended.value,
            words=said,
            closed_by=await _name(conn, by),
        )
        await outbox.append(conn, [told])
        return closed


REOPEN = """
    UPDATE cases
    SET status = $2, outcome = NULL, closing_words = NULL, closed_at = NULL, placed_by = $3
    WHERE id = $1
"""


async def reopen(conn: asyncpg.Connection, case_id: UUID, *, reason: str, by: str) -> Case:
    """
    Take a closed case up again, where it was before. How it had ended stays in its history.

    Raises `NotAllowed` without a reason and for an open case; `KeyError`.
    """
    why = clean(reason).strip()
    if not why:
        raise NotAllowed("Say why the case is reopened.")
    async with conn.transaction():
        case = await _locked(conn, case_id)
        after = Status.TRIAGE if case.department is None else Status.ASSIGNED
        check_change(case.status, after, Action.REOPEN)
        now = datetime.now(UTC)
        await conn.execute(REOPEN, case_id, after.value, by)
        data: dict[str, object] = {"reason": why}
        await _happened(conn, case_id, now, "reopened", by, data, public=True)
        reopened = await _locked(conn, case_id)
        told = CaseReopened(
            message_id=uuid4(),
            occurred_at=now,
            case=summary(reopened),
            reason=why,
            reopened_by=await _name(conn, by),
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
        case = await _locked(conn, case_id)
        if case.status is Status.CLOSED:
            raise NotAllowed("This case is closed. Reopen it first.")
        await conn.execute(SET_PROBLEM_TYPE, case_id, clean(problem_type), by)
        if case.problem_type != problem_type:
            data: dict[str, object] = {"problem_type": problem_type, "from": case.problem_type}
            await _happened(conn, case_id, datetime.now(UTC), "retyped", by, data, public=False)
        return await _locked(conn, case_id)


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
        case = await _locked(conn, case_id)
        if case.status is Status.CLOSED:
            raise NotAllowed("This case is closed. Reopen it first.")
        await conn.execute(SET_EMERGENCY, case_id, emergency, by)
        if case.emergency is not emergency:
            kind = "emergency" if emergency else "no_emergency"
            await _happened(conn, case_id, datetime.now(UTC), kind, by, {}, public=False)
        return await _locked(conn, case_id)


def summary(case: Case) -> CaseSummary:
    """What listeners are told of a case."""
    person = None
    if case.assignee is not None:
        person = Person(
            id=case.assignee,
            name=case.assignee_name or case.assignee,
            email=case.assignee_email or "",
            phone=case.assignee_phone,
        )
    return CaseSummary(
        case_id=case.id,
        reference=case.reference,
        channel=case.channel,
        opened_at=case.opened_at,
        text=case.text,
        language=case.language,
        problem_type=case.problem_type,
        department=case.department,
        district=case.district,
        address=case.address,
        lat=case.lat,
        lon=case.lon,
        emergency=case.emergency,
        refer_to=case.refer_to,
        reporter=case.reporter,
        assignee=person,
        attachments=case.attachments,
        mail_id=case.mail_id,
    )


async def _locked(conn: asyncpg.Connection, case_id: UUID) -> Case:
    row = await conn.fetchrow(LOCKED, case_id)
    if row is None:
        raise KeyError(f"no case {case_id}")
    return _case(row)


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
class _Somebody:
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


async def _somebody(conn: asyncpg.Connection, login: str) -> _Somebody:
    row = await conn.fetchrow(SOMEBODY, clean(login))
    if row is None:
        raise NotAllowed(f"Nobody who works here has the sign-in name {login!r}.")
    return _Somebody(**row)


NAME = """
    SELECT name
    FROM accounts
    WHERE login = $1
"""


async def _name(conn: asyncpg.Connection, login: str) -> str:
    return await conn.fetchval(NAME, login) or login


def _case(row: asyncpg.Record) -> Case:
    return Case(
        id=row["id"],
        reference=row["reference"],
        status=Status(row["status"]),
        channel=row["channel"],
        text=row["text"],
        language=row["language"],
        problem_type=row["problem_type"],
        chosen_type=row["chosen_type"],
        predicted_type=row["predicted_type"],
        confidence=row["confidence"],
        alternatives=tuple(Alternative.model_validate(one) for one in row["alternatives"]),
        department=row["department"],
        district=row["district"],
        assignee=row["assignee"],
        assignee_name=row["assignee_name"],
        assignee_email=row["assignee_email"],
        assignee_phone=row["assignee_phone"],
        address=row["address"],
        lat=row["lat"],
        lon=row["lon"],
        place_source=row["place_source"],
        reporter=Contact(
            name=row["reporter_name"],
            email=row["reporter_email"],
            phone=row["reporter_phone"],
            email_works=row["email_works"],
            texts=row["texts"],
        ),
        entered_by=row["entered_by"],
        emergency=row["emergency"],
        reasons=tuple(row["reasons"]),
        model=row["model"],
        opened_at=row["opened_at"],
        routed_at=row["routed_at"],
        assigned_at=row["assigned_at"],
        closed_at=row["closed_at"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        closing_words=row["closing_words"],
        attachments=files_from(row["attachments"]),
        original=None if row["original"] is None else FileRef.model_validate(row["original"]),
        place_asked=row["place_asked"],
        goes_on_from=row["goes_on_from"],
        mail_id=row["mail_id"],
        refer_to=row["refer_to"],
    )
