"""
What Twilio's delivery reports mean: for the notice, and for the number that it went to. Pure.

Reports come late, twice and out of order. Each becomes the same facts however often it comes, and
the store puts them in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bus.contracts import ContactMark, Fact, MessageSetAside, NoticeDelivered, NoticeFailed
from bus.identity import complaint_id, fact_id

_ARRIVED = frozenset({"delivered", "read"})
_FAILED = frozenset({"undelivered", "failed", "canceled"})


@dataclass(frozen=True)
class Trouble:
    """What an error of Twilio's means for us."""

    words: str
    mark: str | None = None
    """What it teaches about the number: `bad` or `stopped`."""
    ours: bool = False
    """Somebody in the city has to do something."""
    passing: bool = False
    """Once more may succeed."""


# https://www.twilio.com/docs/api/errors
TROUBLES: Mapping[int, Trouble] = {
    21610: Trouble("they asked for no more texts", mark="stopped"),
    21211: Trouble("there is no such number", mark="bad"),
    21614: Trouble("the number takes no texts", mark="bad"),
    30002: Trouble("the Twilio account is suspended", ours=True),
    30003: Trouble("the telephone cannot be reached", mark="bad"),
    30004: Trouble("the telephone or its carrier refuses texts"),
    30005: Trouble("there is no such number", mark="bad"),
    30006: Trouble("a landline, or a carrier that takes no texts", mark="bad"),
    30007: Trouble("a carrier took it for spam", ours=True),
    30008: Trouble("lost on the way, and nobody says why", passing=True),
    30034: Trouble("our number is not registered with the carriers (10DLC)", ours=True),
    63018: Trouble("too many texts at once", ours=True),
}


@dataclass(frozen=True)
class Report:
    """One delivery report."""

    sid: str
    status: str
    to: str
    error: int | None = None
    notice: UUID | None = None
    case: UUID | None = None


def read_report(form: Mapping[str, str], query: Mapping[str, str]) -> Report:
    """The report in a form; what cannot be read in it is left out, and nothing raises."""
    error = form.get("ErrorCode", "")
    return Report(
        sid=(form.get("MessageSid") or form.get("SmsSid") or "")[:64],
        status=(form.get("MessageStatus") or form.get("SmsStatus") or "").lower()[:32],
        to=form.get("To", "")[:64],
        error=int(error) if error.isascii() and error.isdigit() and len(error) < 7 else None,
        notice=_uuid(query.get("notice", "")),
        case=_uuid(query.get("case", "")),
    )


def trouble_of(report: Report) -> Trouble | None:
    """What went wrong; None when nothing did, or nothing yet."""
    if report.status not in _FAILED:
        return None
    if report.error is None:
        return Trouble(report.status)
    return TROUBLES.get(report.error, Trouble("not delivered"))


def facts_of(report: Report, now: datetime, again_after: timedelta) -> list[Fact]:
    """
    What the report tells; nothing when the text is still on its way. What was lost is worth once
    more after `again_after`.
    """
    told: list[Fact] = []
    trouble = trouble_of(report)
    reason = _reason(report, trouble) if trouble else ""
    if report.notice is not None and report.case is not None:
        if report.status in _ARRIVED:
            told.append(
                NoticeDelivered(
                    message_id=fact_id(report.notice, "delivered"),
                    occurred_at=now,
                    notice_id=report.notice,
                    case_id=report.case,
                    medium="sms",
                    sender="twilio",
                    provider_id=report.sid,
                )
            )
        elif trouble is not None:
            told.append(
                NoticeFailed(
                    message_id=fact_id(report.notice, "failed", report.sid),
                    occurred_at=now,
                    notice_id=report.notice,
                    case_id=report.case,
                    medium="sms",
                    sender="twilio",
                    reason=reason,
                    again_at=now + again_after if trouble.passing else None,
                )
            )
    if trouble is not None and trouble.mark is not None and report.to.startswith("+"):
        external_id = f"status/{report.sid}/{report.status}"
        told.append(
            MessageSetAside(
                message_id=complaint_id("sms", external_id),
                occurred_at=now,
                channel="sms",
                external_id=external_id,
                outcome="ignored",
                reason=f"a delivery report: {reason}",
                mark=ContactMark(
                    medium="sms", address=report.to, state=trouble.mark, reason=reason
                ),
            )
        )
    return told


def _reason(report: Report, trouble: Trouble) -> str:
    return f"{report.error} {trouble.words}" if report.error else trouble.words


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None
