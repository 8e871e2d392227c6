"""Sample facts: one of each contract, always the same."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bus.contracts import (
    Alternative,
    CanaryCarried,
    CanaryFiled,
    CanaryQueued,
    CanaryReceived,
    CanaryRouted,
    CaseAlarmed,
    CaseAmended,
    CaseAssigned,
    CaseChoice,
    CaseClosed,
    CaseFollowed,
    CaseIncomplete,
    CaseLocated,
    CaseMerged,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseSummary,
    CaseUnmerged,
    ChoiceAsked,
    ComplaintReceived,
    ComplaintRouted,
    Contact,
    ContactMark,
    DeadLetter,
    Fact,
    FileRef,
    Follower,
    FollowerJoined,
    Follows,
    IncidentAssigned,
    IncidentClosed,
    IncidentNoted,
    IncidentSummary,
    MessageLeft,
    MessageSetAside,
    NoticeDelivered,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeWithheld,
    Person,
    ReportFigure,
    ReportMade,
    RuleTried,
    Team,
    TypeGuess,
)
from bus.identity import complaint_id, mint_reference

NOON = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
SECRET = b"a secret for tests, long enough"

PHOTO = FileRef(sha256="a" * 64, media_type="image/jpeg", name="photo-1.jpg", size=204_800)
ORIGINAL = FileRef(sha256="b" * 64, media_type="application/json", name="web.json", size=310)
REPORTER = Contact(name="Rosa Lara", email="rosa@resident.example", phone="+18165550142")
ASSIGNEE = Person(
    id="pat.moore", name="Pat Moore", email="pat.moore@independence.example", phone="816-555-0111"
)

FOLLOWER = Follower(
    id=UUID(int=41),
    case_id=UUID(int=41),
    reference="8HE-8V1-BD",
    contact=Contact(name="Luis Ortiz", email="luis@resident.example", texts=True),
    language="es",
    channel="sms",
    stop="Zm9sbG93IHRoZSBtb25leQ",
)
INCIDENT = IncidentSummary(
    incident_id=UUID(int=42),
    case_id=UUID(int=41),
    reference="8HE-8V1-BD",
    problem_type="Street Light Out",
    reports=57,
    first_at=NOON,
    last_at=NOON,
    lat=39.0757,
    lon=-94.4416,
    reach=1000,
    department="IPL",
    assignee=ASSIGNEE,
)


def complaint(number: int = 1, channel: str = "web", **other: object) -> ComplaintReceived:
    """The `number`-th complaint of a channel."""
    id_ = complaint_id(channel, f"token-{number}")
    values: dict[str, object] = {
        "message_id": id_,
        "occurred_at": NOON,
        "channel": channel,
        "external_id": f"token-{number}",
        "reference": mint_reference(SECRET, id_),
        "text": f"Big pothole on 23rd by the gas station, number {number}",
        "address": "11401 E 23rd St",
        "lat": 39.0757,
        "lon": -94.4416,
        "place_source": "pin",
        "reporter": REPORTER,
        "original": ORIGINAL,
        "attachments": (PHOTO,),
    }
    return ComplaintReceived.model_validate(values | other)


def canary(number: int = 1, **other: object) -> CanaryReceived:
    """The `number`-th canary."""
    told = complaint(
        number,
        channel="canary",
        text="Nobody made this report.",
        address=None,
        reporter=Contact(name="Canary", email="canary@buckstop.invalid"),
        attachments=(),
        **other,
    )
    return CanaryReceived(
        message_id=told.message_id,
        occurred_at=told.occurred_at,
        canary=told.message_id,
        released_at=told.occurred_at,
        complaint=told,
    )


def summary() -> CaseSummary:
    told = complaint()
    return CaseSummary(
        case_id=told.message_id,
        reference=told.reference,
        channel=told.channel,
        opened_at=NOON,
        text=told.text,
        problem_type="Pothole/Street Maintenance",
        department="MS-STREET MAINTENANCE",
        district="District 2",
        address=told.address,
        lat=told.lat,
        lon=told.lon,
        reporter=REPORTER,
        assignee=ASSIGNEE,
        attachments=(PHOTO,),
    )


def _id(number: int) -> UUID:
    return UUID(int=number)


def one_of_each() -> list[Fact]:
    told = complaint()
    case = summary()
    sung = canary()
    step: dict[str, Any] = {
        "occurred_at": NOON, "canary": sung.canary, "released_at": sung.released_at,
    }  # fmt: skip
    notice = {"notice_id": _id(8), "case_id": case.case_id, "medium": "email", "sender": "smtp"}
    return [
        told,
        ComplaintRouted(
            message_id=_id(1),
            occurred_at=NOON,
            complaint_id=told.message_id,
            reference=told.reference,
            channel="web",
            problem_type="Pothole/Street Maintenance",
            confidence=0.83,
            alternatives=(Alternative(problem_type="Sinkhole", confidence=0.06),),
            address=told.address,
            lat=told.lat,
            lon=told.lon,
            district="District 2",
            department="MS-STREET MAINTENANCE",
            assignee=ASSIGNEE,
            reasons=("District 2: the point lies in it",),
            model="independence-1",
            guess=TypeGuess(
                problem_type="Pothole/Street Maintenance",
                confidence=0.83,
                words=("pothole", "gas station"),
                sure=True,
                model="independence-1",
            ),
            shadow=TypeGuess(problem_type="Sinkhole", confidence=0.41, model="history-2"),
            teams=(Team(people=("pat.moore", "jo.linden"), why="works District 2"),),
            rule="Potholes by the school",
            trace=(
                RuleTried(
                    rule="Limbs at night",
                    outcome="differs",
                    condition="time",
                    asks="17:00-07:00",
                    found="Fri 2026-11-20 12:00",
                ),
                RuleTried(rule="Potholes by the school", outcome="fits"),
            ),
            rules="0f3a5c7e9b1d",
        ),
        CaseOpened(message_id=_id(2), occurred_at=NOON, case=case),
        CaseAssigned(message_id=_id(3), occurred_at=NOON, case=case, assigned_by="dana.ruiz"),
        CaseNoted(
            message_id=_id(4),
            occurred_at=NOON,
            case=case,
            text="A crew comes on Tuesday.",
            public=True,
            author="Pat Moore",
        ),
        MessageSetAside(
            message_id=_id(14),
            occurred_at=NOON,
            channel="email",
            external_id="<out-of-office@resident.example>",
            outcome="ignored",
            reason="an automatic reply",
            original=ORIGINAL,
            follows=Follows(notices=(_id(8),), message_id="out-of-office@resident.example"),
            mark=ContactMark(
                medium="email", address="rosa@resident.example", state="bad", reason="5.1.1"
            ),
        ),
        CaseFollowed(
            message_id=_id(15),
            occurred_at=NOON,
            case=case,
            complaint_id=_id(16),
            text="It is deeper now.",
            verified=True,
            attachments=(PHOTO,),
        ),
        CaseAmended(
            message_id=_id(17),
            occurred_at=NOON,
            case=case,
            chosen_type="Sinkhole",
            entered_by="tess.calloway",
        ),
        CaseAlarmed(
            message_id=_id(40),
            occurred_at=NOON,
            case=case.model_copy(update={"emergency": True}),
        ),
        CaseIncomplete(message_id=_id(18), occurred_at=NOON, case=case, missing="place"),
        MessageLeft(
            message_id=_id(22),
            occurred_at=NOON,
            complaint_id=told.message_id,
            by="tess.calloway",
            why="advertising",
        ),
        CaseLocated(message_id=_id(21), occurred_at=NOON, case=case),
        ChoiceAsked(
            message_id=_id(19),
            occurred_at=NOON,
            complaint_id=_id(16),
            reference=case.reference,
            language="es",
            reporter=Contact(phone="+18165550142", texts=True),
            choices=(
                CaseChoice(case_id=case.case_id, reference=case.reference, words="Big pothole"),
            ),
        ),
        CaseClosed(
            message_id=_id(5),
            occurred_at=NOON,
            case=case,
            outcome="fixed",
            words="We filled the hole today.",
            closed_by="pat.moore",
        ),
        CaseReopened(
            message_id=_id(6),
            occurred_at=NOON,
            case=case,
            reason="It sank again.",
            reopened_by="dana.ruiz",
        ),
        FollowerJoined(message_id=_id(30), occurred_at=NOON, case=case, follower=FOLLOWER),
        CaseMerged(
            message_id=_id(31),
            occurred_at=NOON,
            case=case,
            into_id=_id(2),
            into_reference="7KQ-2MX-94",
            merged_by="Dana Ruiz",
        ),
        CaseUnmerged(
            message_id=_id(32),
            occurred_at=NOON,
            case=case,
            out_of_id=_id(2),
            out_of_reference="7KQ-2MX-94",
            unmerged_by="Dana Ruiz",
        ),
        IncidentAssigned(
            message_id=_id(33), occurred_at=NOON, incident=INCIDENT, assigned_by="Dana Ruiz"
        ),
        IncidentNoted(
            message_id=_id(34),
            occurred_at=NOON,
            incident=INCIDENT,
            text="A crew is on its way.",
            followers=(FOLLOWER,),
        ),
        IncidentClosed(
            message_id=_id(35),
            occurred_at=NOON,
            incident=INCIDENT,
            outcome="fixed",
            words="The lights are on again.",
            closed_by="Pat Moore",
            followers=(FOLLOWER,),
            rest=True,
        ),
        NoticeQueued(
            message_id=_id(8),
            occurred_at=NOON,
            case_id=case.case_id,
            reference=case.reference,
            notice="receipt",
            medium="email",
            recipient="rosa@resident.example",
            recipient_name="Rosa Lara",
            language="es",
            subject_line="Recibimos su informe",
            text="Gracias.",
            html="<p>Gracias.</p>",
            attachments=(PHOTO,),
        ),
        NoticeSent(message_id=_id(9), occurred_at=NOON, provider_id="<8@buckstop>", **notice),
        NoticeDelivered(
            message_id=_id(20), occurred_at=NOON, provider_id="SM" + "0" * 32, **notice
        ),
        NoticeUnknown(message_id=_id(10), occurred_at=NOON, **notice),
        NoticeFailed(message_id=_id(11), occurred_at=NOON, reason="550 no such user", **notice),
        NoticeWithheld(
            message_id=_id(12),
            occurred_at=NOON,
            case_id=case.case_id,
            notice="receipt",
            reason="the resident left no email address",
        ),
        ReportMade(
            message_id=_id(60),
            occurred_at=NOON,
            report="service-requests",
            title="Service Request Report 10/1/2026 - 10/31/2026",
            language="en",
            recipients=("council@independence.example",),
            figures=(ReportFigure(name="New service requests", value="576"),),
            path="/staff/reports/service-requests?from=2026-10-01&to=2026-10-31",
            attachments=(
                FileRef(
                    sha256="d" * 64,
                    media_type="application/pdf",
                    name="service-requests-2026-10-01-2026-10-31.pdf",
                    size=51200,
                ),
            ),
        ),
        sung,
        CanaryRouted(
            message_id=_id(61),
            problem_type="Pothole/Street Maintenance",
            district="District 2",
            department="MS-STREET MAINTENANCE",
            **step,
        ),
        CanaryFiled(
            message_id=_id(62),
            case=CaseSummary(
                case_id=sung.canary,
                reference=sung.complaint.reference,
                channel="canary",
                opened_at=NOON,
                text=sung.complaint.text,
                problem_type="Pothole/Street Maintenance",
                lat=39.0757,
                lon=-94.4416,
                reporter=sung.complaint.reporter,
            ),
            **step,
        ),
        CanaryQueued(message_id=_id(63), notice="receipt", letters=820, **step),
        CanaryCarried(message_id=_id(64), **step),
        DeadLetter(
            message_id=_id(13),
            occurred_at=NOON,
            durable="router_complaint_received",
            stream="COMPLAINTS",
            sequence=41,
            original_subject="complaint.received.web",
            original_id=str(told.message_id),
            complaint_id=told.message_id,
            reason="Refused: for the test",
            tries=6,
            headers={"Buckstop-Contract": "complaint.received.v1"},
            payload="e30=",
        ),
    ]
