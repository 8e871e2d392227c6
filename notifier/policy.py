"""Which notices follow from a fact about a case: to whom, or to nobody and why."""

from collections.abc import Collection
from dataclasses import dataclass

from bus.contracts import (
    CaseAssigned,
    CaseClosed,
    CaseFact,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseSummary,
)

NO_EMAIL = "the resident left no email address"
ONLY_PHONE = "the resident left only a phone number, and text messages are not set up"
NO_PERSON = "the case is on no person's desk"
NO_STAFF_EMAIL = "the assigned person has no email address"
SAME_ADDRESS = "the same address gets the resident's closing words"


@dataclass(frozen=True)
class Notice:
    """Somebody is to be told."""

    notice: str
    """Which templates: `receipt`, `assignment`, `update`, …"""
    medium: str
    recipient: str
    recipient_name: str | None
    language: str


@dataclass(frozen=True)
class Withheld:
    """Somebody would have been told, but cannot be."""

    notice: str
    reason: str


Decision = Notice | Withheld


def decide(
    fact: CaseFact, *, languages: Collection[str], staff_language: str
) -> tuple[Decision, ...]:
    """
    Everybody who hears of `fact`, each once; nothing for facts that concern nobody outside.

    A resident is written to in the language of the report where we have it, else in English.
    """
    case = fact.case
    match fact:
        case CaseOpened():
            return (_to_resident("receipt", case, languages),)
        case CaseAssigned():
            return (_to_assignee("assignment", case, staff_language),)
        case CaseNoted(public=True):
            return (_to_resident("update", case, languages),)
        case CaseClosed():
            return _closing(case, languages, staff_language)
        case CaseReopened():
            return (_to_assignee("reopened", case, staff_language),)
        case _:
            return ()


def _closing(
    case: CaseSummary, languages: Collection[str], staff_language: str
) -> tuple[Decision, ...]:
    resident = _to_resident("closure_resident", case, languages)
    staff = _to_assignee("closure_staff", case, staff_language)
    if (
        isinstance(resident, Notice)
        and isinstance(staff, Notice)
        and resident.recipient.casefold() == staff.recipient.casefold()
    ):
        staff = Withheld("closure_staff", SAME_ADDRESS)
    return (resident, staff)


def _to_resident(notice: str, case: CaseSummary, languages: Collection[str]) -> Decision:
    email = (case.reporter.email or "").strip()
    if not email:
        return Withheld(notice, ONLY_PHONE if case.reporter.phone else NO_EMAIL)
    language = case.language if case.language in languages else "en"
    return Notice(notice, "email", email, case.reporter.name, language)


def _to_assignee(notice: str, case: CaseSummary, language: str) -> Decision:
    if case.assignee is None:
        return Withheld(notice, NO_PERSON)
    email = case.assignee.email.strip()
    if not email:
        return Withheld(notice, NO_STAFF_EMAIL)
    return Notice(notice, "email", email, case.assignee.name, language)
