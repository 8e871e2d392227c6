"""
Every message that our services tell each other: frozen, versioned, without behaviour.

A message is a promise: a field may join with a default, a field that changes its meaning is a
new version with a new tag. `tests/fixtures/messages/` holds one golden file per contract, which
must stay readable for as long as a stream may hold it.
"""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Part(BaseModel):
    """A value inside a message."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Fact(BaseModel):
    """Something that happened, told once under one id however often it is delivered."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tag: ClassVar[str]
    subject: ClassVar[str]

    message_id: UUID
    occurred_at: AwareDatetime


class FileRef(Part):
    """A file that `bus.files` keeps; `sha256` is its address."""

    sha256: str
    media_type: str
    name: str
    size: int
    """Bytes."""


class Contact(Part):
    """How to reach the resident who reported; all of it may be missing, then they are anonymous."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    """In E.164, as `+18165550123`, where it could be read as a number; else as it was given."""


class Person(Part):
    """Somebody who works for the city."""

    id: str
    """Their sign-in name, unique in the city."""
    name: str
    email: str
    phone: str | None = None


# ── what residents tell us ──────────────────────────────────────────────────────────────────────


class ComplaintReceived(Fact):
    """
    A resident told us something, on any channel. `message_id` is the complaint's id and becomes
    the case's primary key: `bus.identity.complaint_id(channel, external_id)`.
    """

    tag = "complaint.received.v1"
    subject = "complaint.received"  # told on `complaint.received.<channel>`

    channel: str
    external_id: str
    """The channel's own id: Message-ID, MessageSid, form token, idempotency key."""
    reference: str
    """The code the resident reads out, as `7KQ-2MX-94`."""
    text: str
    language: str = "en"
    """The language we answer in: `en` or `es`."""
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    place_source: str | None = None
    """Where the point came from: `pin`, `device`, `photo`, `address`."""
    reporter: Contact = Contact()
    problem_type: str | None = None
    """What the resident or the call taker chose, kept beside the prediction."""
    entered_by: str | None = None
    """The sign-in name of the staff member who wrote it down for a caller."""
    original: FileRef | None = None
    attachments: tuple[FileRef, ...] = ()


class Alternative(Part):
    problem_type: str
    confidence: float


class ComplaintRouted(Fact):
    """Where a complaint belongs. No department and no district are real answers: triage."""

    tag = "complaint.routed.v1"
    subject = "complaint.routed"

    complaint_id: UUID
    reference: str
    channel: str
    problem_type: str | None = None
    confidence: float | None = None
    """The calibrated probability of `problem_type`, 0 to 1."""
    alternatives: tuple[Alternative, ...] = ()
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    department: str | None = None
    assignee: Person | None = None
    emergency: bool = False
    reasons: tuple[str, ...] = ()
    """Why, in plain words, in the order in which it was decided."""
    model: str = ""
    """The classifier's version."""


# ── what happened to a case ─────────────────────────────────────────────────────────────────────


class CaseSummary(Part):
    """What a listener needs to know of a case to write about it."""

    case_id: UUID
    reference: str
    channel: str
    opened_at: AwareDatetime
    text: str
    language: str = "en"
    problem_type: str | None = None
    department: str | None = None
    district: str | None = None
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    emergency: bool = False
    reporter: Contact = Contact()
    assignee: Person | None = None
    attachments: tuple[FileRef, ...] = ()


class CaseFact(Fact):
    case: CaseSummary


class CaseOpened(CaseFact):
    """A case exists; it may not have been routed yet."""

    tag = "case.opened.v1"
    subject = "case.opened"


class CaseAssigned(CaseFact):
    """The case lies on somebody's desk: `case.assignee`, or a department's without a person."""

    tag = "case.assigned.v1"
    subject = "case.assigned"

    assigned_by: str | None = None
    """Who moved it; None when the router did."""


class CaseNoted(CaseFact):
    tag = "case.noted.v1"
    subject = "case.noted"

    text: str
    public: bool
    author: str
    """The author's name as staff know it; never shown to the public."""


class CaseClosed(CaseFact):
    tag = "case.closed.v1"
    subject = "case.closed"

    outcome: str
    """`fixed`, `no_violation`, `referred`, `duplicate`, `cannot`."""
    words: str
    """What the city says to the resident."""
    closed_by: str


class CaseReopened(CaseFact):
    tag = "case.reopened.v1"
    subject = "case.reopened"

    reason: str
    reopened_by: str


# ── what we send ────────────────────────────────────────────────────────────────────────────────


class NoticeQueued(Fact):
    """A notice is written and waits to be sent; the same facts always give the same id."""

    tag = "notice.queued.v1"
    subject = "notice.queued"

    case_id: UUID
    reference: str
    notice: str
    """Which template: `receipt`, `assignment`, `closure_resident`, `closure_staff`."""
    medium: str
    """`email` or `sms`."""
    recipient: str
    """An email address or a phone number."""
    recipient_name: str | None = None
    language: str = "en"
    subject_line: str = ""
    text: str
    html: str | None = None
    attachments: tuple[FileRef, ...] = ()


class NoticeOutcome(Fact):
    notice_id: UUID
    case_id: UUID
    medium: str
    sender: str
    """What carried it: `smtp`, `mailbox`."""


class NoticeSent(NoticeOutcome):
    """The next hop took it: an SMTP server answered 250, or the local mailbox holds it."""

    tag = "notice.sent.v1"
    subject = "notice.sent"

    provider_id: str | None = None


class NoticeUnknown(NoticeOutcome):
    """We handed it over, and never heard whether it was taken; it is tried again."""

    tag = "notice.unknown.v1"
    subject = "notice.unknown"


class NoticeFailed(NoticeOutcome):
    """It will not be tried again."""

    tag = "notice.failed.v1"
    subject = "notice.failed"

    reason: str


class NoticeWithheld(Fact):
    """A fact for which somebody gets no notice, and why."""

    tag = "notice.withheld.v1"
    subject = "notice.withheld"

    case_id: UUID
    notice: str
    reason: str


# ── what could not be handled ───────────────────────────────────────────────────────────────────


class DeadLetter(Fact):
    """A message that nobody could handle, with its reason; `message_id` is the dead letter's."""

    tag = "dead.letter.v1"
    subject = "dead"  # told on `dead.<durable>`

    durable: str
    stream: str
    sequence: int
    """Where the original still lies in its stream."""
    original_subject: str
    original_id: str
    """The `Nats-Msg-Id` of the message, or empty."""
    complaint_id: UUID | None = None
    """The complaint it speaks of, where that could be read."""
    reason: str
    tries: int
    headers: dict[str, str] = {}
    payload: str
    """The message as it came, base64."""


CONTRACTS: tuple[type[Fact], ...] = (
    ComplaintReceived,
    ComplaintRouted,
    CaseOpened,
    CaseAssigned,
    CaseNoted,
    CaseClosed,
    CaseReopened,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeFailed,
    NoticeWithheld,
    DeadLetter,
)
"""The table of contracts: what can travel on the bus."""
