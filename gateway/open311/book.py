"""The city's folder as Open311 shows it: the services, and what is published of a case."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from channels.open311_services import UNSURE, Choice, Question, Service, ServiceBook, Words
from gateway.settings import Settings
from router.public_record import QuestionPart
from router.rules import City
from store.model import Outcome
from store.published import PublicRules

UNSURE_NAME: Words = {"en": "Not sure: the city decides", "es": "No sé: la ciudad decide"}
_UNSURE_HINT: Words = {
    "en": "Describe it in your own words, and the city finds out what it is and whose.",
    "es": "Descríbalo con sus palabras, y la ciudad averigua qué es y de quién.",
}
_SOMETHING_ELSE: Words = {"en": "Something else", "es": "Otra cosa"}
# What mySociety's software understands: reports of this kind are not shown in public.
_PRIVATE = "private"
_FILES = ("city.toml", "problem-types.csv", "departments.csv", "public.toml")


@dataclass(frozen=True)
class PublicBook:
    """All that a public record says besides what stands in the case."""

    rules: PublicRules
    exact_places: bool
    codes: Mapping[str, str]
    """The service code of every problem type that is public."""
    types: Mapping[str, str]
    """And the other way round."""
    names: Mapping[str, Words]
    """Of the public problem types, in plain words."""
    keywords: Mapping[str, tuple[str, ...]]
    departments: Mapping[str, Words]
    landmarks: frozenset[str]
    """Names of places that are no street address, folded."""
    towns: frozenset[str]
    """Names that may stand behind a street, folded."""
    zone: ZoneInfo


def services_of(city: City, settings: Settings) -> ServiceBook:
    """What can be reported, by group and name; what the city has not sorted comes last."""
    services = [
        Service(
            code=city.public.code_of(kind.name),
            problem_type=kind.name,
            name=kind.label,
            description=kind.hint,
            group=_group(city, kind.name, kind.department),
            keywords=_keywords(city, kind.name),
            questions=tuple(_question(one) for one in _questions(city, kind.name)),
        )
        for kind in city.offered
    ]
    services.sort(key=lambda one: (one.group["en"].casefold(), one.name["en"].casefold()))
    services.append(
        Service(
            code=UNSURE,
            problem_type=None,
            name=UNSURE_NAME,
            description=_UNSURE_HINT,
            group=_SOMETHING_ELSE,
            keywords=("other", "unknown"),
        )
    )
    return ServiceBook(
        services,
        jurisdiction=jurisdiction_of(city, settings),
        changed=_changed(city),
    )


def public_book(city: City) -> PublicBook:
    """What the city publishes."""
    record = city.public
    public = [kind for kind in city.problem_types if kind.name not in record.private_types]
    codes = {kind.name: record.code_of(kind.name) for kind in public}
    return PublicBook(
        rules=PublicRules(
            types=tuple(codes),
            known=tuple(kind.name for kind in city.problem_types),
            words=record.descriptions,
            photos=record.photos,
            exact_places=record.places == "exact",
            notes=record.notes,
        ),
        exact_places=record.places == "exact",
        codes=codes,
        types={code: name for name, code in codes.items()},
        names={kind.name: kind.label for kind in public},
        keywords={kind.name: _keywords(city, kind.name) for kind in public},
        departments={name: one.label for name, one in city.departments_by_name.items()},
        landmarks=frozenset(
            name.casefold()
            for place in city.places
            if place.kind == "landmark"
            for name in (place.name, *place.aliases)
        ),
        towns=frozenset({city.name.casefold()}),
        zone=city.zone,
    )


def jurisdiction_of(city: City, settings: Settings) -> str:
    """What other programs call the city: as the settings say, else its website's host."""
    host = urlsplit(city.website).hostname or city.name.lower().replace(" ", "-")
    return settings.channels.open311.jurisdiction_id or host.removeprefix("www.")


OUTCOMES: Mapping[Outcome, Words] = {
    Outcome.FIXED: {"en": "It was fixed.", "es": "Se arregló."},
    Outcome.NO_VIOLATION: {
        "en": "The city looked, and found no violation.",
        "es": "La ciudad revisó y no encontró ninguna infracción.",
    },
    Outcome.REFERRED: {
        "en": "It was passed on to who is responsible.",
        "es": "Se pasó a quien es responsable.",
    },
    Outcome.DUPLICATE: {
        "en": "It had been reported before.",
        "es": "Ya se había reportado antes.",
    },
    Outcome.CANNOT: {"en": "The city cannot do this.", "es": "La ciudad no puede hacer esto."},
}
"""How a case ended, where the city says no words of its own."""


def _group(city: City, problem_type: str, department: str) -> Words:
    part = city.public.services.get(problem_type)
    if part is not None and part.group:
        return part.group
    return {language: city.department_label(department, language) for language in city.languages}


def _keywords(city: City, problem_type: str) -> tuple[str, ...]:
    part = city.public.services.get(problem_type)
    words = part.keywords if part is not None else ()
    private = (_PRIVATE,) if problem_type in city.public.private_types else ()
    return (*(word.replace(",", " ") for word in words), *private)


def _questions(city: City, problem_type: str) -> tuple[QuestionPart, ...]:
    part = city.public.services.get(problem_type)
    return part.questions if part is not None else ()


def _question(part: QuestionPart) -> Question:
    return Question(
        code=part.code,
        ask=part.ask,
        datatype=part.datatype,
        required=part.required and not part.shown_only,
        variable=not part.shown_only,
        help=part.help,
        choices=tuple(Choice(one.key, one.name) for one in part.choices),
    )


def _changed(city: City) -> str:
    # Apps expire what they keep of us by this: it has to grow, so a hash would not do.
    paths = [city.folder / name for name in _FILES]
    newest = max(path.stat().st_mtime for path in paths if path.exists())
    return datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
