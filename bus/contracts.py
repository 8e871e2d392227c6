"""
Every message that our services tell each other: frozen, versioned, without behaviour.

A message is a promise: a field may join with a default, a field that changes its meaning is a
new version with a new tag. `tests/fixtures/messages/` holds one golden file per contract, which
must stay readable for as long as a stream may hold it.
"""

from datetime import timedelta
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
    lasts: ClassVar[timedelta | None] = None
    """After so long its stream forgets it; None: as long as the stream keeps any."""

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
    email_works: bool = True
    """False once mail to it has bounced for good; any mail from it clears that."""
    texts: bool = False
    """Whether they write to us by text message and have not opted out: then we may text them."""


class Person(Part):
    """Somebody who works for the city."""

    id: str
    """Their sign-in name, unique in the city."""
    name: str
    email: str
    phone: str | None = None
    texts: bool = False
    """Whether they want their assignments as text messages, too."""


class Follows(Part):
    """Hints and proofs of the case that a message belongs to; the store decides."""

    notices: tuple[UUID, ...] = ()
    """
    Notices of ours that it answers, nearest first: proven by a token that we signed
    (`bus.identity.notice_token`), not only named.
    """
    message_ids: tuple[str, ...] = ()
    """Message-IDs that it answers, nearest first, without brackets; perhaps of residents' mails."""
    message_id: str | None = None
    """Its own Message-ID, under which later mails may name it."""
    conversation: str | None = None
    """Our phone number, in E.164: texts from one phone to it are one conversation."""
    chose_language: bool = False
    """It is no report: all it says is in which language its sender wants our answers."""
    came_with: UUID | None = None
    """The message whose photos and files these are, fetched after it; by its id."""
    same_as: UUID | None = None
    """An open case that its sender, or the call taker, was shown and called the same problem."""
    fresh: str | None = None
    """What is new in a reply; the `text` beside it holds everything."""
    mentions: str | None = None
    """A reference that stands in the subject. Anyone can write one: it grants nothing."""
    sender_proven: bool = True
    """
    False: our mail server did not find that the sender's domain stands behind it, so whoever it
    says it is from may not have written it. It still tells us something.
    """
    case: UUID | None = None
    """The case that an app speaks of which has a key with us."""
    vouched: bool = False
    """Whether that app reported `case`: then it may speak for its reporter."""
    reopens: bool = True
    """False: it takes no closed case up again."""


class ContactMark(Part):
    """What we have learned about a way to reach somebody."""

    medium: str
    """`email` or `sms`."""
    address: str
    """An email address in lower case, or a number in E.164."""
    state: str
    """`bad`, `soft` (failed for now), `stopped` (they asked for no more), `works`."""
    reason: str


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
    """The sign-in name of the staff member who wrote it down for a caller, or passed it on."""
    forwards: tuple[Contact, ...] = ()
    """
    Who wrote the mails that this one forwards, as its text says; the store believes it of a
    colleague only.
    """
    original: FileRef | None = None
    attachments: tuple[FileRef, ...] = ()
    follows: Follows | None = None
    """None: it can only be the beginning of something."""
    answer: bool = True
    """False: whoever sent it asked for no automatic answer (`X-Auto-Response-Suppress`)."""
    remark: str | None = None
    """What we have to say of it ourselves, for staff: which photos could not be had, and why."""
    brought_in_by: str | None = None
    """
    The sign-in name of the staff member who looked at it after it had been set aside, and found
    that it is a report.
    """
    emergency: bool = False
    """Whether its words sound like danger: then its first answer says whom to call."""


class MessageSetAside(Fact):
    """
    A message from outside that opens no case, and why: an automatic reply, a bounce, a STOP, mail
    that cannot be read. `message_id` is what `bus.identity.complaint_id` gives, as for a complaint.
    """

    tag = "complaint.set_aside.v1"
    subject = "complaint.set_aside"  # told on `complaint.set_aside.<channel>`

    channel: str
    external_id: str
    outcome: str
    """`ignored` or `quarantined`: where it goes in the ledger."""
    reason: str
    """For operators, in words; names no person."""
    original: FileRef | None = None
    follows: Follows | None = None
    """The case that gets to know of it, if one does."""
    mark: ContactMark | None = None
    """What it taught us about an address or a number."""


class MessageLeft(Fact):
    """Somebody looked at a message in quarantine, and it opens no case."""

    tag = "complaint.left.v1"
    subject = "complaint.left"

    complaint_id: UUID
    by: str
    """Their sign-in name."""
    why: str


class Alternative(Part):
    problem_type: str
    confidence: float


class RuleTried(Part):
    """One of the city's rules, and why it decided or not."""

    rule: str
    """Its name."""
    outcome: str
    """
    `fits`; `differs`; `unknown`: nobody can tell yet, as no place is known; `broken`: it cannot
    run, and the catch-all takes the complaint.
    """
    condition: str = ""
    """The one that decided: `district`, `time`, …; empty: all of them held."""
    asks: str = ""
    """What the rule asks for there."""
    found: str = ""
    """What there was instead; of a broken one, what is wrong."""


class Team(Part):
    """People who share the load."""

    people: tuple[str, ...]
    """Sign-in names."""
    why: str
    """What is said of whoever takes it, as `works District 1`."""
    named: bool = False
    """Whether the rule that decided names them."""
    even_away: bool = False
    """Whether an absence does not count, since nobody else is left."""


class PlaceChoice(Part):
    """A place that may be meant."""

    name: str
    lat: float | None = None
    lon: float | None = None


class Referral(Part):
    """Somebody other than the city whom a complaint concerns, and what showed it."""

    agency: str
    """Its name in the city's folder, which has its number and its name in plain words."""
    how: str
    """`road`, `town` or `words`."""
    because: str
    """`US 24`, `Blue Springs`, or the words that were said."""
    certain: bool = False
    """False: it may concern them."""


class TypeGuess(Part):
    """What a classifier read out of a text, whether it was heeded or not."""

    problem_type: str
    confidence: float
    """The calibrated probability, 0 to 1; the resident's own choice has weighed in."""
    words: tuple[str, ...] = ()
    """Which words decided, strongest first."""
    sure: bool = False
    """Whether that was enough for the city; else a person decides."""
    model: str = ""


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
    amended: bool = False
    """True: it was looked at again because more was told of it."""
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    place: str = ""
    """
    What became of the question where it is: `found`, `unknown` (named, and not on our lists),
    `vague` (a street alone), `ambiguous`, `outside` (the city), `refer` (theirs whom `referral`
    names, for sure), `none`. Empty: it was routed before we told.
    """
    place_choices: tuple[PlaceChoice, ...] = ()
    """Of `ambiguous`: which it may be; one alone is nearly what was said."""
    place_later: bool = False
    """A geocoder was asked and has not answered yet: worth another look."""
    referral: Referral | None = None
    district: str | None = None
    department: str | None = None
    assignee: Person | None = None
    """Who would take it if all had as much to do."""
    emergency: bool = False
    reasons: tuple[str, ...] = ()
    """Why, in plain words, in the order in which it was decided."""
    model: str = ""
    """The classifier's version."""
    guess: TypeGuess | None = None
    """What the classifier said, also where somebody's choice or nobody's stands."""
    shadow: TypeGuess | None = None
    """What a newer model, which is being tried, would have said; nobody heeds it."""
    teams: tuple[Team, ...] = ()
    """
    In order of preference: the store gives it to the first in which somebody is there, and in it
    to who has least to do. Empty: to `assignee`.
    """
    rule: str | None = None
    """The city's rule that decided; None: the type's department, or nobody's."""
    trace: tuple[RuleTried, ...] = ()
    """Every rule that was tried, in order."""
    rules: str = ""
    """The version of the city's rules."""
    rules_changed: bool = False
    """True: it was looked at again because the rules changed."""


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
    refer_to: str | None = None
    """An agency of the city's folder whom it concerns, or may concern."""
    reporter: Contact = Contact()
    assignee: Person | None = None
    attachments: tuple[FileRef, ...] = ()
    mail_id: str | None = None
    """The Message-ID of the mail by which its reporter opened it, without brackets."""


class CaseFact(Fact):
    case: CaseSummary


class CaseOpened(CaseFact):
    """A case exists; it may not have been routed yet."""

    tag = "case.opened.v1"
    subject = "case.opened"

    answer: bool = True
    """False: its reporter gets no receipt; they wanted none, or had many."""


class CaseAssigned(CaseFact):
    """The case lies on somebody's desk: `case.assignee`, or a department's without a person."""

    tag = "case.assigned.v1"
    subject = "case.assigned"

    assigned_by: str | None = None
    """Who moved it; None when the router did."""


class Follower(Part):
    """Somebody who hears of a case besides its reporter: they told us of the same problem."""

    id: UUID
    """Their own case, which was joined to this one; else the message that joined it."""
    case_id: UUID
    """The case on whose page it is kept what we write to them."""
    reference: str
    """Of what they told us; it leads to the page of the case."""
    contact: Contact
    language: str = "en"
    channel: str = "web"
    stop: str = ""
    """What stands in the link by which they want to hear no more; empty: there is none."""


class CaseNoted(CaseFact):
    tag = "case.noted.v1"
    subject = "case.noted"

    text: str
    public: bool
    author: str
    """The author's name as staff know it; never shown to the public."""
    followers: tuple[Follower, ...] = ()
    """Of a public note; no person twice, and never the reporter."""
    rest: bool = False
    """True: told before with the first followers; it is only told for these further ones."""


class CaseFollowed(CaseFact):
    """The resident, or somebody who answered our mail to them, told more about the case."""

    tag = "case.followed.v1"
    subject = "case.followed"

    complaint_id: UUID
    """The message that told it."""
    text: str
    verified: bool
    """
    False: it came from an address or number to which we had not written, or nothing proves that
    it came from there.
    """
    attachments: tuple[FileRef, ...] = ()
    same: bool = False
    """Somebody else told us of the same problem, and was shown this case."""


class CaseAmended(CaseFact):
    """Words or a place joined the case, or the rules changed: the router looks at it again."""

    tag = "case.amended.v1"
    subject = "case.amended"

    chosen_type: str | None = None
    """What the resident or the call taker chose when it came in."""
    entered_by: str | None = None
    """The sign-in name of who wrote it down for a caller."""
    rules_changed: bool = False
    """True: nothing joined the case; it is routed again by other rules."""


class CaseAlarmed(CaseFact):
    """
    Words of danger came to a case whose receipt did not say whom to call: whoever wrote them is
    told now.
    """

    tag = "case.alarmed.v1"
    subject = "case.alarmed"


class CaseIncomplete(CaseFact):
    """The case lacks something that only the resident knows; they are asked once."""

    tag = "case.incomplete.v1"
    subject = "case.incomplete"

    missing: str
    """`place`."""
    why: str = ""
    """`vague`, `ambiguous`, `outside`; empty: nothing was said of a place."""
    given: str = ""
    """The place as it was understood."""
    choices: tuple[str, ...] = ()
    """Of `ambiguous`: which it may be, numbered from 1; one alone is nearly what was said."""


class CaseLocated(CaseFact):
    """The resident told the place for which we had asked, and the router has looked at it."""

    tag = "case.located.v1"
    subject = "case.located"

    answer: bool = True
    """False: they get no thanks; they had many automatic answers."""


class CaseChoice(Part):
    case_id: UUID
    reference: str
    words: str
    """How the resident would recognise it: the beginning of what they wrote."""


class ChoiceAsked(Fact):
    """A text could belong to more than one case: its sender is asked which."""

    tag = "case.choice_asked.v1"
    subject = "case.choice_asked"

    complaint_id: UUID
    """The message that waits for the answer."""
    reference: str
    language: str = "en"
    reporter: Contact
    choices: tuple[CaseChoice, ...]
    """Numbered from 1; the number after the last one means a new report."""


class CaseClosed(CaseFact):
    tag = "case.closed.v1"
    subject = "case.closed"

    outcome: str
    """`fixed`, `no_violation`, `referred`, `duplicate`, `cannot`."""
    words: str
    """What the city says to the resident."""
    closed_by: str
    followers: tuple[Follower, ...] = ()
    """No person twice, and never the reporter."""
    rest: bool = False
    """True: told before with the first followers; it is only told for these further ones."""


class CaseReopened(CaseFact):
    tag = "case.reopened.v1"
    subject = "case.reopened"

    reason: str
    reopened_by: str
    """Empty: the resident, who wrote again."""


class FollowerJoined(CaseFact):
    """Somebody told us of the same problem, was shown this case, and follows it now."""

    tag = "case.follower_joined.v1"
    subject = "case.follower_joined"

    follower: Follower


class CaseMerged(CaseFact):
    """`case` was joined to another one that is about the same problem, and is closed by that."""

    tag = "case.merged.v1"
    subject = "case.merged"

    into_id: UUID
    into_reference: str
    merged_by: str


class CaseUnmerged(CaseFact):
    """`case` was taken out of the one that it had been joined to, and is what it was before."""

    tag = "case.unmerged.v1"
    subject = "case.unmerged"

    out_of_id: UUID
    out_of_reference: str
    unmerged_by: str


# ── what happened to an incident ────────────────────────────────────────────────────────────────


class IncidentSummary(Part):
    """Many reports of one kind in one area within a short time."""

    incident_id: UUID
    case_id: UUID
    reference: str
    """Of its first report, on whose page it is kept what we write to staff."""
    problem_type: str
    reports: int
    first_at: AwareDatetime
    last_at: AwareDatetime
    lat: float
    lon: float
    """The middle of its reports."""
    reach: float
    """Metres from the middle to the farthest place that belongs to it."""
    department: str | None = None
    assignee: Person | None = None


class IncidentFact(Fact):
    incident: IncidentSummary


class IncidentAssigned(IncidentFact):
    """The incident, with all its reports, lies on somebody's desk."""

    tag = "incident.assigned.v1"
    subject = "incident.assigned"

    assigned_by: str | None = None
    """Who moved it; None when Buckstop did."""


class IncidentNoted(IncidentFact):
    """One word of the city for all who reported it; told in parts when they are many."""

    tag = "incident.noted.v1"
    subject = "incident.noted"

    text: str
    followers: tuple[Follower, ...]
    """No person twice, in all parts together."""


class IncidentClosed(IncidentFact):
    """It is over, and the reports that were still open are closed; told in parts."""

    tag = "incident.closed.v1"
    subject = "incident.closed"

    outcome: str
    """As in `CaseClosed`."""
    words: str
    closed_by: str
    followers: tuple[Follower, ...] = ()
    """No person twice, in all parts together."""
    rest: bool = False
    """True: told before with the first followers; it is only told for these further ones."""


# ── what we send ────────────────────────────────────────────────────────────────────────────────


class NoticeQueued(Fact):
    """A notice is written and waits to be sent; the same facts always give the same id."""

    tag = "notice.queued.v1"
    subject = "notice.queued"  # told on `notice.queued.<medium>`

    case_id: UUID
    reference: str
    notice: str
    """Which template: `receipt`, `assignment`, `closure_resident`, …"""
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
    instead_of: UUID | None = None
    """The notice that was lost on its way and that this one repeats."""
    urgent: bool = False
    """It is about what may be an emergency."""
    answers: str | None = None
    """The Message-ID of the recipient's own mail that it answers, without brackets."""


class NoticeOutcome(Fact):
    notice_id: UUID
    case_id: UUID
    medium: str
    sender: str
    """What carried it: `smtp`, `mailbox`, `twilio`."""


class NoticeSent(NoticeOutcome):
    """The next hop took it: an SMTP server answered 250, or the local mailbox holds it."""

    tag = "notice.sent.v1"
    subject = "notice.sent"

    provider_id: str | None = None


class NoticeDelivered(NoticeOutcome):
    """It reached the phone, or the mailbox, as the provider tells us."""

    tag = "notice.delivered.v1"
    subject = "notice.delivered"

    provider_id: str | None = None


class NoticeUnknown(NoticeOutcome):
    """We handed it over, and never heard whether it was taken; it is tried again."""

    tag = "notice.unknown.v1"
    subject = "notice.unknown"


class NoticeFailed(NoticeOutcome):
    """It will not be tried again; at most, another notice says the same once more."""

    tag = "notice.failed.v1"
    subject = "notice.failed"

    reason: str
    again_at: AwareDatetime | None = None
    """When it is worth saying once more: it was lost on its way, and perhaps only this time."""


class NoticeWithheld(Fact):
    """A fact for which somebody gets no notice, and why."""

    tag = "notice.withheld.v1"
    subject = "notice.withheld"

    case_id: UUID
    notice: str
    reason: str
    notice_id: UUID | None = None
    """The notice, where it was written and queued before it was held back."""


# ── what is counted ─────────────────────────────────────────────────────────────────────────────


class ReportFigure(Part):
    """One line of a report, in the language of its readers."""

    name: str
    value: str


class ReportMade(Fact):
    """A report was made that somebody wants by email; it names nobody but who gets it."""

    tag = "report.made.v1"
    subject = "report.made"

    report: str
    """Which: `service-requests`, …"""
    title: str
    language: str = "en"
    recipients: tuple[str, ...]
    """Email addresses, from the city's settings."""
    figures: tuple[ReportFigure, ...] = ()
    """The most important ones, for whoever opens no attachment."""
    path: str = ""
    """Where in our pages it stands, for whoever may sign in; begins with a slash."""
    attachments: tuple[FileRef, ...] = ()


# ── the canary ──────────────────────────────────────────────────────────────────────────────────


class CanaryFact(Fact):
    """
    How far a canary came: a complaint that nobody made, sent through the whole house now and then
    to see that it goes through. Facts of their own, so that none can be taken for a resident's.
    """

    lasts = timedelta(days=2)

    canary: UUID
    """Its id; of all facts about it the same."""
    released_at: AwareDatetime


class CanaryReceived(CanaryFact):
    """It came in by the door behind all channels, as a complaint does."""

    tag = "complaint.canary_received.v1"
    subject = "complaint.canary_received"

    complaint: ComplaintReceived
    """What a channel would have told; its channel is `canary`, which is none."""


class CanaryRouted(CanaryFact):
    """The router said where it would belong."""

    tag = "complaint.canary_routed.v1"
    subject = "complaint.canary_routed"

    problem_type: str | None = None
    district: str | None = None
    department: str | None = None


class CanaryFiled(CanaryFact):
    """The store wrote it down, apart from cases, with where it would belong."""

    tag = "case.canary_filed.v1"
    subject = "case.canary_filed"

    case: CaseSummary


class CanaryQueued(CanaryFact):
    """Its notice is written and waits in the queue of mails."""

    tag = "notice.canary_queued.v1"
    subject = "notice.canary_queued"

    notice: str
    """Which template."""
    letters: int
    """How long the mail would be. The mail itself ends here."""


class CanaryCarried(CanaryFact):
    """Whoever sends mails took its notice out of the queue, and sent nothing."""

    tag = "notice.canary_carried.v1"
    subject = "notice.canary_carried"


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
    MessageSetAside,
    MessageLeft,
    CaseOpened,
    CaseAssigned,
    CaseNoted,
    CaseFollowed,
    CaseAmended,
    CaseAlarmed,
    CaseIncomplete,
    CaseLocated,
    ChoiceAsked,
    CaseClosed,
    CaseReopened,
    FollowerJoined,
    CaseMerged,
    CaseUnmerged,
    IncidentAssigned,
    IncidentNoted,
    IncidentClosed,
    NoticeQueued,
    NoticeSent,
    NoticeDelivered,
    NoticeUnknown,
    NoticeFailed,
    NoticeWithheld,
    ReportMade,
    CanaryReceived,
    CanaryRouted,
    CanaryFiled,
    CanaryQueued,
    CanaryCarried,
    DeadLetter,
)
"""The table of contracts: what can travel on the bus."""
