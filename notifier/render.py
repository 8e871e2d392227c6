"""Writes notices: a fact and a decision become the words of a mail or of a text message."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

import phonenumbers
from babel.dates import format_date, format_time
from jinja2 import (
    BaseLoader,
    BytecodeCache,
    DictLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    select_autoescape,
)
from markupsafe import Markup, escape

from bus.contracts import (
    CaseAlarmed,
    CaseAssigned,
    CaseChoice,
    CaseClosed,
    CaseFact,
    CaseFollowed,
    CaseIncomplete,
    CaseLocated,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseSummary,
    ChoiceAsked,
    Contact,
    FileRef,
    IncidentFact,
    NoticeQueued,
    Person,
)
from bus.identity import fact_id
from notifier.city_words import CityWords
from notifier.policy import Notice
from notifier.shared import followers_to_try, more_of, samples_of_shared, seen_by
from notifier.sms_fit import LONGEST_CALLED, LONGEST_WRITTEN, Short, TooLong, cut, fitted
from notifier.sms_text import MOST_SEGMENTS

LONGEST_QUOTE = 5_000  # characters of what somebody wrote; the case page holds all of it
LONGEST_SUBJECT = 160
LONGEST_NAME = 80
LONGER_TEXTS = {"choice": 3}
"""Segments of the text messages that may have more than `sms_text.MOST_SEGMENTS`."""

TEMPLATES = Path(__file__).parent / "templates"
_KINDS = {"email": ("subject.txt", "email.txt", "email.html"), "sms": ("sms.txt",)}
_LONGEST_CITY = 24
_LONGEST_LOOK = 2_000  # letters of what somebody wrote that can matter for a text
_LONGEST_SAID = 60  # the beginning of a report, by which a resident knows it again
_LOCALES = {"en": "en_US", "es": "es_US"}

# What a mail or a terminal could take for a command: controls, and marks that turn the direction
# of the text around them. In a quote, line breaks and tabs stay.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
_NOT_IN_QUOTES = re.compile(f"[{_CONTROLS}]")
_NOT_IN_A_LINE = re.compile(f"[{_CONTROLS}\\s\u2028\u2029]+")
_BLANK_LINES = re.compile(r"\n{4,}")
_DIALLED = re.compile(r"[^0-9+]")


class BadTemplate(Exception):
    """A template that is missing, or that cannot be filled in; says which."""


@dataclass(frozen=True)
class Links:
    """Where the links of a notice lead."""

    base_url: str
    map_link: str
    """With `{lat}` and `{lon}`."""
    search_link: str
    """With `{query}`, for a place of which only the address is known."""

    def case(self, case_id: UUID) -> str:
        return f"{self.base_url}/staff/cases/{case_id}"

    def track(self, reference: str) -> str:
        return f"{self.base_url}/track/{reference}"

    def stop(self, key: str) -> str:
        """The page on which somebody who follows a case can stop."""
        return f"{self.base_url}/following/{key}"

    def incident(self, incident_id: UUID) -> str:
        return f"{self.base_url}/staff/incidents/{incident_id}"


@dataclass(frozen=True)
class _Quote:
    html: Markup
    plain: str
    cut: bool


class Renderer:
    """
    Every notice in every language, compiled once.

    `own_templates` is a folder laid out like `notifier/templates`; what it holds comes first.
    Raises `BadTemplate` at once when a template is missing or cannot be filled in, so that wrong
    words stop the start and not a notice.
    """

    def __init__(
        self,
        city: CityWords,
        links: Links,
        *,
        own_templates: Path | None = None,
        replies_read: bool = False,
        attach_up_to: int = 5 * 1024 * 1024,
        compiled: BytecodeCache | None = None,
    ) -> None:
        self._city = city
        self._links = links
        self._zone = ZoneInfo(city.timezone)
        self._attach_up_to = attach_up_to
        folders = [folder for folder in (own_templates, TEMPLATES) if folder is not None]
        self.languages = tuple(sorted(path.stem for path in (TEMPLATES / "words").iterdir()))
        self._words = {language: _words(folders, language) for language in self.languages}
        self._city_in = {language: city_in(city, language) for language in self.languages}
        frame = environment(
            loader=FileSystemLoader(folders),
            bytecode_cache=compiled,
            variable_start_string="[[",
            variable_end_string="]]",
            block_start_string="[%",
            block_end_string="%]",
            comment_start_string="[#",
            comment_end_string="#]",
            keep_trailing_newline=True,
        )
        frame.globals.update(
            city=city,
            band=city.colour,
            on_band=letters_on(city.colour),
            city_short=cut(city.name, _LONGEST_CITY),
            replies_read=replies_read,
        )
        at = ""
        try:
            # The first pass, done once: the frame, the pieces and the city's own words. What is
            # left for each notice is flat, which makes it three times as fast.
            flat = {}
            for notice, media in MEDIA.items():
                for language, labels in self._city_in.items():
                    for kind in (kind for medium in media for kind in _KINDS[medium]):
                        at = f"{notice}/{language}/{kind}"
                        flat[at] = frame.get_template(at).render(
                            language=language, city_name=labels.name, phones=labels.phones
                        )
            notices = environment(loader=DictLoader(flat), bytecode_cache=compiled)
            self._templates = {}
            for at in flat:
                self._templates[at] = notices.get_template(at)
            for notice, facts in _SAMPLES.items():
                for language in self.languages:
                    at = f"{notice}/{language}"
                    for medium in MEDIA[notice]:
                        for who in followers_to_try(notice):
                            to = Notice(notice, medium, _TO[medium], None, language, who)
                            for fact in facts:
                                self.write(fact, to, now=fact.occurred_at)
        except TemplateError as error:
            raise BadTemplate(f"{at}: {type(error).__name__}: {error}") from error
        except TooLong as error:
            raise BadTemplate(f"{at}/sms.txt: {error}") from error

    def write(
        self, told: CaseFact | ChoiceAsked | IncidentFact, to: Notice, *, now: datetime
    ) -> NoticeQueued:
        """The notice, ready to be queued. The same fact and decision give the same id."""
        if isinstance(told, ChoiceAsked):
            return self._text_message(told, to, told.complaint_id, told.reference, {}, now)
        fact, more = seen_by(told, to), self._more(told, to)
        case = fact.case
        if to.medium == "sms":
            return self._text_message(fact, to, case.case_id, case.reference, more, now)
        attached = (
            attachable(case.attachments, self._attach_up_to) if to.notice == "assignment" else ()
        )
        values = self._values(fact, to, attached) | more
        which = f"{to.notice}/{to.language}"
        return NoticeQueued(
            message_id=fact_id(fact.message_id, to.notice, to.recipient),
            occurred_at=now,
            case_id=case.case_id,
            reference=case.reference,
            notice=to.notice,
            medium=to.medium,
            recipient=to.recipient,
            recipient_name=to.recipient_name,
            language=to.language,
            subject_line=one_line(self._fill(f"{which}/subject.txt", values), LONGEST_SUBJECT),
            text=_few_blank_lines(self._fill(f"{which}/email.txt", values)).strip() + "\n",
            html=self._fill(f"{which}/email.html", values),
            attachments=attached,
            urgent=case.emergency,
            answers=case.mail_id if _is_reporter(case, to.recipient) else None,
        )

    def _text_message(
        self,
        fact: CaseFact | ChoiceAsked,
        to: Notice,
        case_id: UUID,
        reference: str,
        more: Mapping[str, Any],
        now: datetime,
    ) -> NoticeQueued:
        which = f"{to.notice}/{to.language}/sms.txt"
        short = (
            _choices(fact)
            if isinstance(fact, ChoiceAsked)
            else self._short(fact, to.language, more)
        )
        most = LONGER_TEXTS.get(to.notice, MOST_SEGMENTS)
        return NoticeQueued(
            message_id=fact_id(fact.message_id, to.notice, to.recipient),
            occurred_at=now,
            case_id=case_id,
            reference=reference,
            notice=to.notice,
            medium=to.medium,
            recipient=to.recipient,
            recipient_name=to.recipient_name,
            language=to.language,
            text=fitted(short, lambda values: self._fill(which, values), most),
            urgent=isinstance(fact, CaseFact) and fact.case.emergency,
        )

    def _more(self, told: CaseFact | IncidentFact, to: Notice) -> dict[str, Any]:
        more = dict(more_of(told, to))
        stop, incident = more.pop("stop"), more.pop("incident_id")
        more["stop_url"] = self._links.stop(stop) if stop else ""
        more["incident_url"] = self._links.incident(incident) if incident else ""
        return more

    def _short(self, fact: CaseFact, language: str, more: Mapping[str, Any]) -> Short:
        case, words = fact.case, self._words[language]
        _, said, outcome = _happening(fact)
        asked = _question(fact)
        ended = words["outcome_sms"].get(outcome) or words["outcome"].get(outcome, outcome)
        type_label = case.problem_type or ""
        type_label = self._city_in[language].types.get(type_label, type_label)
        department = case.department or ""
        department = self._city_in[language].departments.get(department, department)
        return Short(
            fixed={
                "reference": case.reference,
                "case_url": self._links.case(case.case_id),
                "track_url": self._links.track(case.reference),
                "emergency": case.emergency,
                "why": asked["why"],
                **self._referral(fact, language),
                **more,
            },
            written={
                "said": one_line(case.text[:_LONGEST_LOOK], _LONGEST_SAID),
                "words": one_line(said[:_LONGEST_LOOK], LONGEST_WRITTEN),
            },
            called={
                "type_label": one_line(type_label, LONGEST_CALLED),
                "department": one_line(department, LONGEST_CALLED),
                "place": self._place(case)[0],
                "given": one_line(asked["given"], LONGEST_CALLED),
                "outcome_sms": ended,
            },
            choices=tuple(("", name) for name in asked["place_choices"]),
        )

    def _fill(self, name: str, values: dict[str, Any]) -> str:
        # As Template.render does, without copying the values: a flat template has no globals.
        template = self._templates[name]
        return "".join(template.root_render_func(template.new_context(values, shared=True)))

    def _values(self, fact: CaseFact, to: Notice, attached: Sequence[FileRef]) -> dict[str, Any]:
        case, language = fact.case, to.language
        words = self._words[language]
        labels = self._city_in[language]
        told = quoted(case.text)
        by, said, outcome = _happening(fact)
        news = quoted(said) if said.strip() else None
        place, place_url = self._place(case)
        type_label = case.problem_type
        if type_label:
            type_label = labels.types.get(type_label, type_label)
        department = case.department
        if department:
            department = labels.departments.get(department, department)
        return {
            "language": language,
            "city_name": labels.name,
            "phones": labels.phones,
            "emergency_text": labels.emergency_text if case.emergency else "",
            "reference": case.reference,
            "case_url": self._links.case(case.case_id),
            "track_url": self._links.track(case.reference),
            "name": one_line(to.recipient_name or "", LONGEST_NAME),
            "type_label": type_label or "",
            "department": department or "",
            "district": case.district or "",
            "place": place,
            "place_url": place_url,
            "emergency": case.emergency,
            "opened_at": in_words(case.opened_at, language, self._zone),
            "happened_at": in_words(fact.occurred_at, language, self._zone),
            "channel": words["channel"].get(case.channel, case.channel),
            "text_html": told.html,
            "text_plain": told.plain,
            "text_cut": told.cut,
            "words_html": news.html if news else "",
            "words_plain": news.plain if news else "",
            "words_cut": news.cut if news else False,
            "by": one_line(by or "", LONGEST_NAME),
            "outcome": words["outcome"].get(outcome, outcome),
            "outcome_short": words["outcome_short"].get(outcome, outcome),
            "reporter": _Reporter.of(case.reporter),
            **self._referral(fact, language),
            **_question(fact),
            "asks_place": case.channel == "email" and not place,
            "verified": isinstance(fact, CaseFollowed) and fact.verified,
            "same": isinstance(fact, CaseFollowed) and fact.same,
            "added_photos": len(fact.attachments) if isinstance(fact, CaseFollowed) else 0,
            "photos": len(case.attachments),
            "attached": len(attached),
        }

    def _referral(self, fact: CaseFact, language: str) -> dict[str, str]:
        """Who can help, where a case was closed because it is theirs."""
        referred = isinstance(fact, CaseClosed) and fact.outcome == "referred"
        agency = self._city.agencies.get(fact.case.refer_to or "") if referred else None
        if agency is None:
            return {"refer_label": "", "refer_phone": ""}
        label = agency.labels.get(language) or agency.labels.get("en") or fact.case.refer_to
        return {"refer_label": label or "", "refer_phone": agency.number}

    def _place(self, case: CaseSummary) -> tuple[str, str]:
        address = one_line(case.address or "", 200)
        if case.lat is not None and case.lon is not None:
            shown = address or f"{case.lat:.5f}, {case.lon:.5f}"
            lat, lon = f"{case.lat:.6f}", f"{case.lon:.6f}"
            return shown, self._links.map_link.format(lat=lat, lon=lon)
        if address:
            query = quote(f"{address}, {self._city.name}, {self._city.state}", safe="")
            return address, self._links.search_link.format(query=query)
        return "", ""


def _is_reporter(case: CaseSummary, recipient: str) -> bool:
    return recipient.strip().lower() == (case.reporter.email or "").strip().lower()


def _question(fact: CaseFact) -> dict[str, Any]:
    """What is asked about a place; empty for all other facts."""
    if not isinstance(fact, CaseIncomplete):
        return {"why": "", "given": "", "place_choices": ()}
    return {
        "why": fact.why,
        "given": one_line(fact.given, 200),
        "place_choices": tuple(one_line(name, 80) for name in fact.choices[:5]),
    }


def quoted(words: str) -> _Quote:
    """
    What somebody wrote, made safe to show: whole up to `LONGEST_QUOTE` characters, as escaped
    HTML, and as plain text in which every line is marked, so that it cannot pass for ours.
    """
    words = words.replace("\r\n", "\n").replace("\r", "\n").strip()
    cut = len(words) > LONGEST_QUOTE
    words = _NOT_IN_QUOTES.sub("", words[:LONGEST_QUOTE])
    return _Quote(
        html=Markup(str(escape(words)).replace("\n", "<br>\n")),  # noqa: S704 - escaped just here
        plain="\n".join(f"> {line}" for line in words.split("\n")),
        cut=cut,
    )


def _few_blank_lines(words: str) -> str:
    # Looking for them costs as much as writing the mail; nearly no mail has them.
    return _BLANK_LINES.sub("\n\n\n", words) if "\n\n\n\n" in words else words


def one_line(words: str, longest: int) -> str:
    """Words on one line, without anything that a mail header or a page could trip over."""
    line = _NOT_IN_A_LINE.sub(" ", words).strip()
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def attachable(files: Sequence[FileRef], up_to: int) -> tuple[FileRef, ...]:
    """The files, in their order, that fit into `up_to` bytes together."""
    taken, room = [], up_to
    for file in files:
        if file.size <= room:
            taken.append(file)
            room -= file.size
    return tuple(taken)


def in_words(at: datetime, language: str, zone: ZoneInfo) -> str:
    """A point in time as a person of this language says it, where the city is."""
    return _in_words(at.astimezone(zone).replace(second=0, microsecond=0), language)


def letters_on(colour: str) -> str:
    """White or black, whichever is easier to read on `colour` (WCAG's contrast)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"


@lru_cache(maxsize=2048)
def _in_words(at: datetime, language: str) -> str:
    locale = _LOCALES.get(language, language)
    day = format_date(at, "full", locale=locale)
    # CLDR writes a narrow no-break space before the p.m., which old mail programs show as a box.
    hour = format_time(at, "short", locale=locale).replace("\u202f", "\u00a0")
    return f"{day} at {hour}" if language == "en" else f"{day}, {hour}"


def _happening(fact: CaseFact) -> tuple[str | None, str, str]:
    """Who did it, what they said, and the outcome, where the fact has them."""
    match fact:
        case CaseAssigned():
            return fact.assigned_by, "", ""
        case CaseNoted():
            return None, fact.text, ""
        case CaseClosed():
            return fact.closed_by, fact.words, fact.outcome
        case CaseReopened():
            return fact.reopened_by, fact.reason, ""
        case CaseFollowed():
            return None, fact.text, ""
        case _:
            return None, "", ""


def environment(loader: BaseLoader, **syntax: Any) -> Environment:
    return Environment(
        loader=loader,
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        **syntax,
    )


@dataclass(frozen=True)
class _Reporter:
    """Whom to call, as the templates show it."""

    name: str
    phone: str
    dial: str
    email: str
    mailto: str

    @classmethod
    def of(cls, contact: Contact) -> "_Reporter":
        phone, dial = _readable_phone(contact.phone) if contact.phone else ("", "")
        email = one_line(contact.email or "", 254)
        return cls(
            name=one_line(contact.name or "", LONGEST_NAME),
            phone=phone,
            dial=dial,
            email=email,
            mailto=quote(email, safe="@"),
        )

    @property
    def lines(self) -> list[str]:
        return [line for line in (self.name, self.phone, self.email) if line]

    @property
    def known(self) -> bool:
        return bool(self.lines)


@lru_cache(maxsize=2048)
def _readable_phone(given: str) -> tuple[str, str]:
    """A number as it is written where it belongs, and as a telephone dials it."""
    shown = one_line(given, 40)
    try:
        number = phonenumbers.parse(given, "US")
    except phonenumbers.NumberParseException:
        return shown, _DIALLED.sub("", shown)
    form = phonenumbers.PhoneNumberFormat
    style = form.NATIONAL if number.country_code == 1 else form.INTERNATIONAL
    return (
        phonenumbers.format_number(number, style),
        phonenumbers.format_number(number, form.E164),
    )


@dataclass(frozen=True)
class _ShownPhone:
    label: str
    number: str
    dial: str


@dataclass(frozen=True)
class _CityIn:
    """The city's words in one language."""

    name: str
    emergency_text: str
    phones: tuple[_ShownPhone, ...]
    types: Mapping[str, str]
    departments: Mapping[str, str]


def city_in(city: CityWords, language: str) -> _CityIn:
    for said in (city.name, city.state, city.website, *city.full_names.values()):
        _refuse_braces(said)
    for phone in city.phones:
        _refuse_braces(phone.number, *phone.labels.values())
    called = {"en": f"City of {city.name}", "es": f"Ciudad de {city.name}"}
    return _CityIn(
        name=_in(city.full_names, language) or called.get(language, city.name),
        emergency_text=_in(city.emergency_text, language),
        phones=tuple(
            _ShownPhone(_in(phone.labels, language), *_readable_phone(phone.number))
            for phone in city.phones
        ),
        types={**city.type_labels.get("en", {}), **city.type_labels.get(language, {})},
        departments={
            **city.department_labels.get("en", {}),
            **city.department_labels.get(language, {}),
        },
    )


def _refuse_braces(*said: str) -> None:
    # The first pass writes these into the source of the second.
    for words in said:
        if any(mark in words for mark in ("{{", "{%", "{#")):
            raise BadTemplate(f"the city's own words may not hold braces: {words!r}")


def _in(said: Mapping[str, str], language: str) -> str:
    return said.get(language) or said.get("en", "")


def _words(folders: Sequence[Path], language: str) -> dict[str, dict[str, str]]:
    words: dict[str, dict[str, str]] = {}
    for folder in reversed(folders):
        path = folder / "words" / f"{language}.toml"
        if not path.is_file():
            continue
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadTemplate(f"{path}: {error}") from error
        for table, said in tables.items():
            words.setdefault(table, {}).update(said)
    return words


def _choices(asked: ChoiceAsked) -> Short:
    numbers = [str(number) for number in range(1, len(asked.choices) + 1)]
    return Short(
        fixed={"numbers": ", ".join(numbers), "new_number": len(numbers) + 1},
        written={},
        called={},
        choices=tuple(
            (one.reference, one_line(one.words[:_LONGEST_LOOK], _LONGEST_SAID))
            for one in asked.choices
        ),
    )


def _samples() -> dict[str, tuple[CaseFact | ChoiceAsked | IncidentFact, ...]]:
    """For each notice two facts, one that says everything and one that says the least."""
    at = datetime(2026, 1, 15, 18, 30, tzinfo=UTC)
    case_id = fact_id("sample case")
    file = FileRef(sha256="0" * 64, media_type="image/jpeg", name="photo.jpg", size=9)
    large = file.model_copy(update={"size": 1024**3})
    least = CaseSummary(
        case_id=case_id, reference="7KQ-2MX-94", channel="web", opened_at=at, text="x"
    )
    full = least.model_copy(
        update={
            "text": "x" * (LONGEST_QUOTE + 1),
            "problem_type": "Pothole",
            "department": "Streets",
            "district": "District 1",
            "address": "111 E Maple Ave",
            "lat": 39.09,
            "lon": -94.41,
            "emergency": True,
            "reporter": Contact(name="A", email="a@example.org", phone="+18165550123"),
            "assignee": Person(id="b", name="B", email="b@example.org"),
            "attachments": (file, large),
        }
    )
    samples: dict[str, list[CaseFact | ChoiceAsked | IncidentFact]] = {}
    for case, words, who in ((full, full.text, "b"), (least, "", None)):
        common: dict[str, Any] = {"message_id": case_id, "occurred_at": at, "case": case}
        closed = CaseClosed(**common, outcome="fixed", words=words, closed_by=who or "b")
        choice = CaseChoice(case_id=case_id, reference=case.reference, words=words)
        facts: dict[str, CaseFact | ChoiceAsked | IncidentFact] = {
            **samples_of_shared(common, words),
            "receipt": CaseOpened(**common),
            "assignment": CaseAssigned(**common, assigned_by=who),
            "danger": CaseAlarmed(**common),
            "danger_staff": CaseAlarmed(**common),
            "update": CaseNoted(**common, text=words, public=True, author="b"),
            "closure_resident": closed,
            "closure_staff": closed,
            "reopened": CaseReopened(**common, reason=words, reopened_by=who or ""),
            "followed": CaseFollowed(
                **common,
                complaint_id=case_id,
                text=words,
                verified=who is None,
                attachments=case.attachments,
            ),
            "question_place": CaseIncomplete(
                **common,
                missing="place",
                why="ambiguous" if who else "",
                given="111 Maple" if who else "",
                choices=("111 E Maple Ave", "111 W Maple Ave") if who else (),
            ),
            "place_noted": CaseLocated(**common),
            "choice": ChoiceAsked(
                message_id=case_id,
                occurred_at=at,
                complaint_id=case_id,
                reference=case.reference,
                reporter=case.reporter,
                choices=(choice,) * (5 if who else 1),
            ),
        }
        for notice, fact in facts.items():
            samples.setdefault(notice, []).append(fact)
    return {notice: tuple(facts) for notice, facts in samples.items()}


_SAMPLES = _samples()
_TO = {"email": "somebody@example.org", "sms": "+18165550100"}

MEDIA: Mapping[str, tuple[str, ...]] = {
    "apart": ("email", "sms"),
    "assignment": ("email", "sms"),
    "choice": ("sms",),
    "closure_resident": ("email", "sms"),
    "closure_staff": ("email",),
    "danger": ("email", "sms"),
    "danger_staff": ("email", "sms"),
    "follow_receipt": ("email", "sms"),
    "followed": ("email",),
    "follower_closure": ("email", "sms"),
    "follower_update": ("email", "sms"),
    "incident_assignment": ("email",),
    "joined": ("email", "sms"),
    "place_noted": ("sms",),
    "question_place": ("email", "sms"),
    "receipt": ("email", "sms"),
    "reopened": ("email",),
    "update": ("email", "sms"),
}
"""Every notice that there is, with the ways in which it can go out."""
