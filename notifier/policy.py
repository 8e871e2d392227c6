"""Which notices follow from a fact about a case: to whom, or to nobody and why."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import phonenumbers

from bus.contracts import (
    CaseAlarmed,
    CaseAssigned,
    CaseClosed,
    CaseFact,
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
    Contact,
    Follower,
    FollowerJoined,
    IncidentAssigned,
    IncidentClosed,
    IncidentFact,
    IncidentNoted,
    Person,
)

NO_EMAIL = "the resident left no email address"
ONLY_PHONE = "the resident left only a phone number, and never wrote to us by text message"
MAIL_COMES_BACK = "mail to the resident comes back"
NO_MORE_TEXTS = "the resident wants no more text messages"
NO_ANSWER = "the resident asked for no automatic answer, or had many of them"
NO_PERSON = "the case is on no person's desk"
NO_STAFF_EMAIL = "the assigned person has no email address"
NO_STAFF_NUMBER = "the assigned person wants text messages, but has no number that takes them"
SAME_ADDRESS = "the same address hears of it already"


@dataclass(frozen=True)
class Notice:
    """Somebody is to be told."""

    notice: str
    """Which templates: `receipt`, `assignment`, `update`, …"""
    medium: str
    """`email` or `sms`."""
    recipient: str
    recipient_name: str | None
    language: str
    follower: Follower | None = None
    """Whoever gets it, where that is not the reporter or the assignee of a case."""


@dataclass(frozen=True)
class Withheld:
    """Somebody would have been told, but cannot be."""

    notice: str
    reason: str
    follower: Follower | None = None


Decision = Notice | Withheld


def decide(
    fact: CaseFact | ChoiceAsked | IncidentFact,
    *,
    languages: Collection[str],
    staff_language: str,
) -> tuple[Decision, ...]:
    """
    Everybody who hears of `fact`, no address twice; nothing for facts that concern nobody outside.

    A resident is written to in the language of the report where we have it, else in English: by
    email where it arrives, else by text message, and the other way round when the report came by
    text message.
    """
    if isinstance(fact, ChoiceAsked):
        language = _spoken(fact.language, languages)
        return (_by_text("choice", fact.reporter, language) or Withheld("choice", NO_MORE_TEXTS),)
    if isinstance(fact, IncidentFact):
        return _of_incident(fact, languages, staff_language)
    case = fact.case
    match fact:
        case CaseOpened(answer=False):
            return (Withheld("receipt", NO_ANSWER),)
        case CaseOpened():
            return (_to_resident("receipt", case, languages),)
        case CaseIncomplete(missing="place"):
            return (_to_resident("question_place", case, languages),)
        case CaseLocated(answer=False):
            return (Withheld("place_noted", NO_ANSWER),)
        case CaseLocated():
            thanks = _by_text("place_noted", case.reporter, _spoken(case.language, languages))
            return (thanks or Withheld("place_noted", NO_MORE_TEXTS),)
        case CaseAssigned():
            return _assignment("assignment", case, staff_language)
        case CaseAlarmed():
            warned = _to_resident("danger", case, languages)
            nobody = case.assignee is None
            return (warned, *(() if nobody else _assignment("danger_staff", case, staff_language)))
        case CaseNoted(public=True):
            followers = _to_each("follower_update", fact.followers, languages)
            if fact.rest:
                return _once_each(followers)
            return _once_each((_to_resident("update", case, languages), *followers))
        case CaseFollowed():
            return (_to_assignee("followed", case, staff_language),)
        case CaseClosed():
            followers = _to_each("follower_closure", fact.followers, languages)
            if fact.rest:
                return _once_each(followers)
            return _once_each(
                (
                    _to_resident("closure_resident", case, languages),
                    *followers,
                    _to_assignee("closure_staff", case, staff_language),
                )
            )
        case CaseReopened():
            return (_to_assignee("reopened", case, staff_language),)
        case FollowerJoined():
            return _to_each("follow_receipt", (fact.follower,), languages)
        case CaseMerged():
            return (_to_resident("joined", case, languages),)
        case CaseUnmerged():
            return (_to_resident("apart", case, languages),)
        case _:
            return ()


def _of_incident(
    fact: IncidentFact, languages: Collection[str], staff_language: str
) -> tuple[Decision, ...]:
    match fact:
        case IncidentAssigned():
            assignee = fact.incident.assignee
            return (_to_person("incident_assignment", assignee, staff_language),)
        case IncidentNoted():
            return _once_each(_to_each("follower_update", fact.followers, languages))
        case IncidentClosed():
            return _once_each(_to_each("follower_closure", fact.followers, languages))
        case _:
            return ()


def _to_each(
    notice: str, followers: Iterable[Follower], languages: Collection[str]
) -> tuple[Decision, ...]:
    return tuple(_to_follower(notice, follower, languages) for follower in followers)


def _to_follower(notice: str, follower: Follower, languages: Collection[str]) -> Decision:
    who, language = follower.contact, _spoken(follower.language, languages)
    mail, text = _by_email(notice, who, language), _by_text(notice, who, language)
    chosen = text or mail if follower.channel == "sms" else mail or text
    if chosen is None:
        return Withheld(notice, _why_not(who, follower.channel), follower)
    return replace(chosen, follower=follower)


def _once_each(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The same, but who was told once is not told again."""
    told: set[str] = set()
    decided: list[Decision] = []
    for decision in decisions:
        if isinstance(decision, Notice):
            address = decision.recipient.casefold()
            if address in told:
                decision = Withheld(decision.notice, SAME_ADDRESS, decision.follower)
            told.add(address)
        decided.append(decision)
    return tuple(decided)


def _to_resident(notice: str, case: CaseSummary, languages: Collection[str]) -> Decision:
    who, language = case.reporter, _spoken(case.language, languages)
    mail, text = _by_email(notice, who, language), _by_text(notice, who, language)
    # Who wrote a text has the telephone in hand; a text is short, though, and mail holds all.
    chosen = text or mail if case.channel == "sms" else mail or text
    return chosen or Withheld(notice, _why_not(who, case.channel))


def _by_email(notice: str, who: Contact, language: str) -> Notice | None:
    email = (who.email or "").strip()
    if not email or not who.email_works:
        return None
    return Notice(notice, "email", email, who.name, language)


def _by_text(notice: str, who: Contact, language: str) -> Notice | None:
    number = _number(who.phone) if who.texts else None
    return Notice(notice, "sms", number, who.name, language) if number else None


def _why_not(who: Contact, channel: str) -> str:
    if (who.email or "").strip():
        return MAIL_COMES_BACK
    if channel == "sms":
        return NO_MORE_TEXTS
    return ONLY_PHONE if who.phone else NO_EMAIL


def _assignment(notice: str, case: CaseSummary, language: str) -> tuple[Decision, ...]:
    mail = _to_assignee(notice, case, language)
    if case.assignee is None or not case.assignee.texts:
        return (mail,)
    number = _number(case.assignee.phone)
    if number is None:
        # One reason is enough where both ways are closed.
        withheld = Withheld(notice, NO_STAFF_NUMBER)
        return (mail,) if isinstance(mail, Withheld) else (mail, withheld)
    text = Notice(notice, "sms", number, case.assignee.name, language)
    return (text,) if isinstance(mail, Withheld) else (mail, text)


def _to_assignee(notice: str, case: CaseSummary, language: str) -> Decision:
    return _to_person(notice, case.assignee, language)


def _to_person(notice: str, person: Person | None, language: str) -> Decision:
    if person is None:
        return Withheld(notice, NO_PERSON)
    email = person.email.strip()
    if not email:
        return Withheld(notice, NO_STAFF_EMAIL)
    return Notice(notice, "email", email, person.name, language)


def _spoken(language: str, languages: Collection[str]) -> str:
    return language if language in languages else "en"


def _number(given: str | None) -> str | None:
    """A telephone number in E.164; None for what is none."""
    if not given:
        return None
    try:
        number = phonenumbers.parse(given, "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
