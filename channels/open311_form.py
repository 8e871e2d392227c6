"""
What an app sends, read: a report, or an update of one, and everything that is wrong with it at
once. Pure.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from multidict import MultiDict, MultiMapping

from bus.contracts import Contact
from channels.intake import clean_line, clean_text, read_email, read_phone
from channels.language import detect
from channels.open311_format import Fault
from channels.open311_services import LISTS, Question, Service, ServiceBook, in_language

MOST_LETTERS = 4_000
"""Of a description, as the standard says."""
MOST_OF_A_LINE = 300
MOST_ATTRIBUTES = 100

# How answers stand below the resident's own words, where staff read them.
ANSWER_MARK = "— "

# What FixMyStreet and its like call where a report stands.
STATUSES = frozenset(
    {
        "OPEN",
        "CLOSED",
        "FIXED",
        "IN_PROGRESS",
        "PLANNED",
        "ACTION_SCHEDULED",
        "INVESTIGATING",
        "DUPLICATE",
        "NOT_COUNCILS_RESPONSIBILITY",
        "NO_FURTHER_ACTION",
        "INTERNAL_REFERRAL",
        "CANCELLED",
        "REOPEN",
        "FOR_TRIAGE",
        "UNCHANGED",
    }
)
_TAKES_UP_AGAIN = frozenset({"OPEN", "REOPEN"})

_ATTRIBUTE = re.compile(r"attribute\[(?P<code>[^\]]*)\](?:\[\])?")
_MEDIA = ("media_url", "media_url[]")
_LONGEST_TIME = 60
_LONGEST_LINK = 2_000
_LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """What an app reported, checked."""

    service: Service
    description: str
    """In the resident's own words."""
    answers: tuple[tuple[str, str], ...]
    """Questions and answers, in the order in which they are asked; then what we did not ask."""
    address: str | None
    lat: float | None
    lon: float | None
    reporter: Contact
    language: str
    request_key: str | None
    """The app's own id of the report; the same again is the same report."""
    media: tuple[str, ...]
    """Links to pictures."""
    unread_email: bool
    """Whether an address was given that is none: it stands among the answers."""


@dataclass(frozen=True)
class Update:
    """What an app tells about a report that it made."""

    reference: str
    update_id: str
    status: str
    at: datetime
    description: str
    reporter: Contact
    media: tuple[str, ...]

    @property
    def takes_up_again(self) -> bool:
        """Whether it says that a closed case is not done."""
        return self.status in _TAKES_UP_AGAIN


def given(fields: MultiMapping[str], name: str) -> str:
    """The last value of a field, without blanks around it; an empty field is a missing one."""
    values = fields.getall(name, [])
    return clean_text(values[-1]) if values else ""


def jurisdiction_faults(fields: MultiMapping[str], book: ServiceBook) -> list[Fault]:
    """A fault, if the request means another city."""
    asked = given(fields, "jurisdiction_id")
    if book.is_ours(asked):
        return []
    return [Fault(404, f"jurisdiction_id {asked[:80]!r} is not known here.")]


def read_report(
    fields: MultiDict[str],
    book: ServiceBook,
    is_inside: Callable[[float, float], bool],
    zone: ZoneInfo,
    *,
    idempotency_key: str = "",
) -> tuple[Report | None, list[Fault]]:
    """The report, and every fault in it; without a report there is at least one."""
    faults = jurisdiction_faults(fields, book)

    code = given(fields, "service_code")
    service = book.services.get(code)
    if not code:
        faults.append(Fault(400, "service_code is missing."))
    elif service is None:
        faults.append(Fault(404, f"service_code {code[:80]!r} is not one of our services."))

    lat, lon = _point(fields, is_inside, faults)
    address = clean_line(given(fields, "address_string"))
    address_id = clean_line(given(fields, "address_id"))
    named_a_place = bool(given(fields, "lat") or given(fields, "long"))
    if not (named_a_place or address or address_id):
        faults.append(
            Fault(400, "Say where it is: lat and long, or address_string, or address_id.")
        )
    for name, value in (("address_string", address), ("address_id", address_id)):
        if len(value) > MOST_OF_A_LINE:
            faults.append(Fault(400, f"{name} is longer than {MOST_OF_A_LINE} characters."))

    description = clean_text(given(fields, "description"))
    if len(description) > MOST_LETTERS:
        faults.append(
            Fault(
                400,
                f"description has {len(description):,} characters; {MOST_LETTERS:,} fit.",
            )
        )
    reporter = _contact(fields, faults)
    request_key = _request_key(fields, idempotency_key, faults)
    answers = _answers(fields, service, zone, faults)
    unread = clean_line(given(fields, "email")) if reporter.email is None else ""
    if unread:
        # The report is worth more than the address: staff see what was typed.
        answers += (("email", unread),)
    if service is not None and service.problem_type is None and not description:
        faults.append(
            Fault(400, f"Without a description nobody can tell what it is: {code} needs one.")
        )
    if faults or service is None:
        return None, faults
    media, others = _media(fields)
    answers += tuple(("media_url", one) for one in others)
    if address_id:
        answers += (("address_id", address_id),)
    language = given(fields, "langcode").lower()
    return (
        Report(
            service=service,
            description=description,
            answers=answers,
            address=address or None,
            lat=lat,
            lon=lon,
            reporter=reporter,
            language=language if language in ("en", "es") else detect(description),
            request_key=request_key,
            media=media,
            unread_email=bool(unread),
        ),
        [],
    )


def read_update(
    fields: MultiDict[str], book: ServiceBook, zone: ZoneInfo
) -> tuple[Update | None, list[Fault]]:
    """The update, and every fault in it; without an update there is at least one."""
    faults = jurisdiction_faults(fields, book)
    needed = ("service_request_id", "update_id", "status", "updated_datetime", "description")
    values = {name: given(fields, name) for name in needed}
    faults += [Fault(400, f"{name} is missing.") for name in needed if not values[name]]
    for name in ("service_request_id", "update_id"):
        if len(values[name]) > MOST_OF_A_LINE:
            faults.append(Fault(400, f"{name} is longer than {MOST_OF_A_LINE} characters."))
    status = values["status"].upper()
    if status and status not in STATUSES:
        faults.append(Fault(400, f"status must be one of {', '.join(sorted(STATUSES))}."))
    at = read_time(values["updated_datetime"], zone)
    if values["updated_datetime"] and at is None:
        faults.append(Fault(400, "updated_datetime is no date and time."))
    if len(values["description"]) > MOST_LETTERS:
        faults.append(Fault(400, f"description has more than {MOST_LETTERS:,} characters."))
    reporter = _contact(fields, faults)
    if faults or at is None:
        return None, faults
    return (
        Update(
            reference=values["service_request_id"],
            update_id=values["update_id"],
            status=status,
            at=at,
            description=values["description"],
            reporter=reporter,
            media=_media(fields)[0],
        ),
        [],
    )


def text_of(description: str, answers: Sequence[tuple[str, str]]) -> str:
    """The words of a report as staff read them: the resident's, and below them the answers."""
    lines = [f"{ANSWER_MARK}{label}: {value}" for label, value in answers]
    return "\n\n".join(part for part in (description, "\n".join(lines)) if part)


def words_and_answers(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What `text_of` put together, apart again."""
    lines = text.split("\n")
    first = len(lines)
    while first and lines[first - 1].startswith(ANSWER_MARK):
        first -= 1
    answers = []
    for line in lines[first:]:
        label, _, value = line.removeprefix(ANSWER_MARK).partition(": ")
        answers.append((label, value))
    return "\n".join(lines[:first]).rstrip(), tuple(answers)


def read_time(typed: str, zone: ZoneInfo) -> datetime | None:
    """
    A date and time in ISO 8601; None if it is none. Without a zone it is the city's own time. A
    blank in front of the zone is the `+` that a query string lost.
    """
    if len(typed) > _LONGEST_TIME:
        return None
    typed = re.sub(r"(?<=\d) (?=\d\d:?\d\d$)", "+", typed.strip())
    try:
        moment = datetime.fromisoformat(typed)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        moment.astimezone(ZoneInfo("UTC"))  # the first and the last day of all years have none
    except (ValueError, OverflowError):
        return None
    return moment


def _point(
    fields: MultiDict[str], is_inside: Callable[[float, float], bool], faults: list[Fault]
) -> tuple[float | None, float | None]:
    lat, lon = given(fields, "lat"), given(fields, "long")
    if not lat and not lon:
        return None, None
    if not lat or not lon:
        faults.append(Fault(400, "lat and long belong together: one of them is missing."))
        return None, None
    point = _degrees(lat, 90), _degrees(lon, 180)
    if point[0] is None or point[1] is None:
        faults.append(Fault(400, "lat and long must be degrees, as 39.0911 and -94.4155."))
        return None, None
    if not is_inside(point[0], point[1]):
        faults.append(Fault(400, "lat and long lie outside the city."))
    return point


def _degrees(typed: str, most: int) -> float | None:
    try:
        value = float(typed)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= most else None


def _contact(fields: MultiDict[str], faults: list[Fault]) -> Contact:
    lines = {}
    for name in ("first_name", "last_name", "email", "phone"):
        lines[name] = clean_line(given(fields, name))
        if len(lines[name]) > MOST_OF_A_LINE:
            faults.append(Fault(400, f"{name} is longer than {MOST_OF_A_LINE} characters."))
            lines[name] = ""
    email = read_email(lines["email"]) if lines["email"] else None
    name = clean_line(f"{lines['first_name']} {lines['last_name']}")
    # A number that cannot be read is kept as it was given: a person may still make sense of it.
    phone = read_phone(lines["phone"]) or lines["phone"] or None
    return Contact(name=name or None, email=email, phone=phone)


def _request_key(fields: MultiDict[str], idempotency_key: str, faults: list[Fault]) -> str | None:
    key = clean_line(idempotency_key) or clean_line(given(fields, "client_request_id"))
    if not key and (theirs := clean_line(given(fields, "attribute[fixmystreet_id]"))):
        # FixMyStreet sends a report anew under its old id when its category was changed.
        key = f"fixmystreet/{theirs}/{given(fields, 'service_code')}"
    if len(key) > MOST_OF_A_LINE:
        faults.append(Fault(400, f"client_request_id is longer than {MOST_OF_A_LINE} characters."))
    return key or None


def _answers(
    fields: MultiDict[str], service: Service | None, zone: ZoneInfo, faults: list[Fault]
) -> tuple[tuple[str, str], ...]:
    sent: dict[str, list[str]] = {}
    for name, value in fields.items():
        if found := _ATTRIBUTE.fullmatch(name):
            values = sent.setdefault(found["code"], [])
            if value := clean_text(value):
                values.append(value)
    if len(sent) > MOST_ATTRIBUTES:
        faults.append(Fault(400, f"There are more than {MOST_ATTRIBUTES} attributes."))
        return ()
    for code, values in sent.items():
        if any(len(value) > MOST_LETTERS for value in values):
            faults.append(Fault(400, f"attribute[{code[:80]}] is longer than {MOST_LETTERS:,}."))
    answers = []
    for question in service.questions if service is not None else ():
        if not question.variable:
            continue
        values = sent.pop(question.code, [])
        fault = _wrong_answer(question, values, zone)
        if fault:
            faults.append(Fault(400, f"attribute[{question.code}] {fault}"))
        elif values:
            shown = [in_language(question.names.get(one, {"en": one}), "en") for one in values]
            answers.append((in_language(question.ask, "en"), "; ".join(shown)))
    # What we did not ask is kept: FixMyStreet sends names of its own.
    answers += [(clean_line(code), "; ".join(values)) for code, values in sent.items() if values]
    return tuple((label, clean_line(value)) for label, value in answers)


def _wrong_answer(question: Question, values: Sequence[str], zone: ZoneInfo) -> str:
    """What is wrong with the answer to a question; empty when nothing is."""
    asked = in_language(question.ask, "en")
    if not values:
        return f"is required: {asked}" if question.required else ""
    if question.datatype != "multivaluelist" and len(values) > 1:
        return f"takes one answer: {asked}"
    if question.datatype in LISTS:
        unknown = [value for value in values if value not in question.names]
        keys = ", ".join(question.names)
        return f"has no choice {unknown[0][:80]!r}: choose of {keys}." if unknown else ""
    if question.datatype == "number":
        try:
            finite = math.isfinite(float(values[0]))
        except ValueError:
            finite = False
        return "" if finite else "must be a number."
    if question.datatype == "datetime" and read_time(values[0], zone) is None:
        return "must be a date and time in ISO 8601."
    return ""


def _media(fields: MultiDict[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Links that can be followed, and what stood in their place."""
    values = [clean_line(value) for name in _MEDIA for value in fields.getall(name, [])]
    values = list(dict.fromkeys(value for value in values if value))
    links = tuple(one for one in values if len(one) <= _LONGEST_LINK and _LINK.fullmatch(one))
    return links, tuple(one[:MOST_OF_A_LINE] for one in values if one not in links)
