"""Cases: what is known of one. What staff do to it stands in `store/changes.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import Alternative, CaseSummary, Contact, FileRef, Person
from bus.identity import read_reference
from store.model import Outcome, Status
from store.records import files_from
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
    merged_into: UUID | None = None
    """The case that goes on for this one; this one is closed by that."""
    incident_id: UUID | None = None
    """The incident that it is part of."""


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
           c.place_asked_at IS NOT NULL AS place_asked,
           c.goes_on_from, c.refer_to, c.merged_into, c.incident_id,
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
BY_JOINED_REFERENCE = (
    SELECT_CASE + " JOIN joined_references j ON j.case_id = c.id WHERE j.reference = $1"
)
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
    """
    The case with this reference, however it was typed, or the one that the message with this
    reference joined; or None.
    """
    asked = read_reference(reference) or clean(reference)
    row = await conn.fetchrow(BY_REFERENCE, asked) or await conn.fetchrow(
        BY_JOINED_REFERENCE, asked
    )
    return None if row is None else _case(row)


@dataclass(frozen=True)
class Event:
    """
    Something that happened to a case: kind and data, from which a page makes its sentence.

    Kinds: `opened`, `routed`, `routed_late`, `routing_failed`, `assigned`, `started`, `retyped`,
    `noted`, `closed`, `reopened`; of what comes in later `followed`, `amended`, `asked`, `chose`,
    `goes_on`, `looked_again`, `emergency`, `no_emergency`, `automatic_reply`, `bounced`,
    `texts_stopped`, `texts_started`, `brought_in`, `media_missing`; of the same problem `merged`,
    `took_in`, `unmerged`, `gave_back`, `reported_again`, `attached`, `detached`.
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
        merged_into=row["merged_into"],
        incident_id=row["incident_id"],
    )
