"""
A city as data: its folder is read and checked here, whole, before the first complaint comes.

A city is a folder that anybody can write with an editor and a spreadsheet (docs/city.md says
how). `load_city` finds every fault at once and says each in a sentence that names file and line:
a bad rule stops the start, not a complaint.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import shapely
from pydantic import BeforeValidator, Field, ValidationError
from shapely.geometry.base import BaseGeometry

from router.districts import in_order
from router.emergency import EmergencyWords
from router.emergency import faults as bad_phrases
from router.examples import Example, check_examples, read_examples, read_patterns
from router.folder import (
    Given,
    Latitude,
    Listed,
    Longitude,
    Maybe,
    MaybeDay,
    MaybeMetres,
    Part,
    Words,
    YesNo,
    or_none,
)
from router.folder import made as _made
from router.folder import read_features as _features
from router.folder import read_rows as _rows
from router.folder import read_text as _text
from router.folder import sentences as _sentences
from router.folder import spoken as _spoken
from router.gazetteer import Gazetteer
from router.patterns import Patterns
from router.place_files import (
    ADDRESSES,
    PLACES,
    Place,
    check_places,
    read_gazetteer,
    read_places,
)
from router.public_record import FILE as PUBLIC_FILE
from router.public_record import PublicRecord, read_public_record
from router.referrals import REFERRALS, Referrals, read_referrals
from router.reporting import TypeInReports, read_reporting
from router.routing import FILE, Known, RoutingRules, faults_of, read_rules

CITIES = Path(__file__).parent / "cities"
"""The cities that come with Buckstop; any other folder serves as well."""

ROLES = ("call_taker", "staff", "lead", "operator", "admin")
KNOWN_LANGUAGES = ("en", "es")

# A city's own map has slivers where two layers were drawn by two people; these are no faults.
_SLIVER = 0.001


class BadCity(Exception):
    """The folder cannot be a city; `faults` says in sentences what to mend, all of it."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


# ── what a city is ──────────────────────────────────────────────────────────────────────────────


class ProblemType(Part):
    name: Given
    department: Given
    offered: YesNo
    """Whether residents may choose it and the router may guess it; no means staff only."""
    label: Words
    hint: Words
    share: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(or_none)] = None
    """Of a thousand complaints so many are of this type, roughly, before the city's own history
    tells; None: as many as of others."""
    origin: str = ""
    reach: MaybeMetres = None
    """
    Metres between two reports that are usually about one problem; None: what the settings say;
    0: two of these are never one problem.
    """
    shared: YesNo = True
    """Whether a resident who reports the same near it is shown that somebody did already."""


class Department(Part):
    name: Given
    label: Words
    phone: Maybe = None
    lead: Maybe = None
    """The sign-in name of who answers for it."""
    aliases: Listed = ()
    """Other names under which the city's own papers know it."""
    source: str = ""


class Worker(Part):
    """Somebody who works for the city and may sign in."""

    id: Given
    name: Given
    email: Given
    phone: Maybe = None
    department: Maybe = None
    roles: Listed
    active: YesNo
    districts: Listed = ()
    """Where they work; empty is everywhere."""
    away_from: MaybeDay = None
    away_until: MaybeDay = None
    """The first and the last day of an absence; open when one is missing."""


class District(Part):
    name: Given
    area: BaseGeometry
    sample: bool = False


class Area(Part):
    """A part of the city that rules name: a park, a school's surroundings."""

    name: Given
    area: BaseGeometry


class ContactNumber(Part):
    key: Given
    phone: Given
    label: Words
    in_mails: bool = False
    """Whether it stands under the emails to residents: two or three are enough there."""


class Emergency(Part):
    """What residents are told to do when somebody is in danger."""

    phone: Given = "911"
    text: Words


class DangerKind(Part):
    """One kind of danger, and the phrases that speak of it in each language."""

    kind: Given
    lasting: bool = False
    """Whether it is danger as well where it began yesterday, or is only feared."""
    words: dict[str, tuple[str, ...]]

    @property
    def phrases(self) -> tuple[str, ...]:
        return tuple(phrase for phrases in self.words.values() for phrase in phrases)


class Dangers(Part):
    """What `emergency.toml` says: `router.emergency` tells what the lists are for."""

    except_: tuple[str, ...] = Field(default=(), alias="except")
    over: tuple[str, ...] = ()
    long_over: tuple[str, ...] = ()
    now: tuple[str, ...] = ()
    unreal: tuple[str, ...] = ()
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    danger: tuple[DangerKind, ...] = ()


class MapView(Part):
    lat: Latitude
    lon: Longitude
    zoom: int = Field(default=12, ge=1, le=20)


class ClassifierRules(Part):
    precision: float = Field(default=0.8, gt=0, lt=1)
    """How many of the complaints that are sorted by themselves have to be right."""
    residents_right: float = Field(default=0.9, gt=0, lt=1)
    """How many of the types that residents choose themselves are right; with that they weigh in."""


class About(Part):
    """What `city.toml` says."""

    name: Given
    state: Given
    state_code: str = ""
    timezone: Given
    colour: str = Field(default="#1f4173", pattern=r"^#[0-9a-fA-F]{6}$")
    logo_text: str = ""
    tagline: Words = Field(default_factory=dict)
    title: Words
    website: str = ""
    city_hall: str = ""
    languages: tuple[str, ...] = ("en", "es")
    sample: bool = False
    """Whether people and lines are invented, to try Buckstop with."""
    sample_note: Words = Field(default_factory=dict)
    map: MapView
    contacts: tuple[ContactNumber, ...] = ()
    emergency: Emergency
    classifier: ClassifierRules = ClassifierRules()


class City(About):
    """A whole city, checked; `load_city` makes it."""

    folder: Path
    problem_types: tuple[ProblemType, ...]
    departments: tuple[Department, ...]
    people: tuple[Worker, ...]
    districts: tuple[District, ...]
    boundary: BaseGeometry
    places: tuple[Place, ...] = ()
    gazetteer: Gazetteer = Field(default_factory=Gazetteer)
    """Those places and all addresses, made ready for looking up."""
    referrals: Referrals = Field(default_factory=Referrals)
    """Who handles what is not the city's."""
    examples: tuple[Example, ...] = ()
    patterns: Patterns = Patterns()
    areas: tuple[Area, ...] = ()
    dangers: Dangers = Dangers()
    rules: RoutingRules = RoutingRules()
    version: str = ""
    """Of everything that decides who must act; another one may decide otherwise."""
    public: PublicRecord = PublicRecord()
    """What everybody may know of a case, and how other programs see the problem types."""
    reporting: tuple[TypeInReports, ...] = ()
    """What reports know of problem types besides."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> "City":
        """A copy with other values; what was worked out from the old ones is worked out anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in tuple(copy.__dict__):
            if name not in City.model_fields:
                del copy.__dict__[name]
        return copy

    @cached_property
    def types_by_name(self) -> Mapping[str, ProblemType]:
        return {kind.name: kind for kind in self.problem_types}

    @cached_property
    def departments_by_name(self) -> Mapping[str, Department]:
        """Every department under its name and under its aliases."""
        known = {alias: each for each in self.departments for alias in each.aliases}
        return known | {each.name: each for each in self.departments}

    @cached_property
    def staff_by_department(self) -> Mapping[str, Sequence[Worker]]:
        """Who works cases in each department, in the order of the folder."""
        found: dict[str, list[Worker]] = {}
        for person in self.people:
            if person.department is not None and person.active and "staff" in person.roles:
                found.setdefault(person.department, []).append(person)
        return found

    @cached_property
    def people_by_id(self) -> Mapping[str, Worker]:
        return {person.id: person for person in self.people}

    @cached_property
    def department_of_type(self) -> Mapping[str, str]:
        return {
            kind.name: self.departments_by_name[kind.department].name for kind in self.problem_types
        }

    @cached_property
    def department_of_person(self) -> Mapping[str, str | None]:
        return {person.id: person.department for person in self.people}

    @cached_property
    def teaching(self) -> tuple[Example, ...]:
        """The written examples, and what each type is called and said to be."""
        labels = (
            Example(kind.name, words[language], language)
            for kind in self.offered
            for words in (kind.label, kind.hint)
            for language in self.languages
        )
        return (*self.examples, *labels)

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """How often complaints of a type come, where the folder says it."""
        return {kind.name: kind.share for kind in self.offered if kind.share is not None}

    @cached_property
    def points(self) -> Mapping[str, tuple[float, float]]:
        """The points of the known places, by name and by every other name."""
        return {
            name: (place.lat, place.lon)
            for place in self.places
            if place.lat is not None and place.lon is not None
            for name in (*place.aliases, place.name)
        }

    @cached_property
    def areas_by_name(self) -> Mapping[str, BaseGeometry]:
        return {area.name: area.area for area in self.areas}

    @cached_property
    def emergency_words(self) -> EmergencyWords:
        return EmergencyWords(self.dangers)

    @cached_property
    def offered(self) -> tuple[ProblemType, ...]:
        """The problem types that residents choose from, in the city's order."""
        return tuple(kind for kind in self.problem_types if kind.offered)

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def district_names(self) -> tuple[str, ...]:
        return tuple(district.name for district in self.districts)

    def label_of(self, problem_type: str, language: str) -> str:
        """The plain words for a problem type; its own name when the city does not know it."""
        kind = self.types_by_name.get(problem_type)
        return kind.label.get(language, kind.label["en"]) if kind else problem_type

    def department_label(self, department: str, language: str) -> str:
        """The plain words for a department; its own name when the city does not know it."""
        known = self.departments_by_name.get(department)
        return known.label.get(language, known.label["en"]) if known else department


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def load_city(path: Path) -> City:
    """
    The city that a folder describes; raises BadCity with every fault that was found.
    """
    faults: list[str] = []
    path = Path(path)
    if not path.is_dir():
        raise BadCity([f"{path} is no folder: a city is a folder with a city.toml in it."])

    about = _about(path, faults)
    languages = about.languages if about else KNOWN_LANGUAGES
    departments = _departments(path, languages, faults)
    problem_types = _problem_types(path, languages, faults)
    people = _people(path, faults)
    boundary = read_boundary(path, faults)
    districts = read_districts(path, faults)
    places = read_places(path, faults)
    referrals = read_referrals(path, languages, [kind.name for _, kind in problem_types], faults)
    gazetteer = read_gazetteer(
        path, places, referrals.towns, about.name if about else "", boundary, faults
    )
    examples = read_examples(path, faults)
    patterns = read_patterns(path, faults)
    areas = _areas(path, faults)
    dangers = _dangers(path, languages, faults)
    rules_text = _text(path, FILE, faults) if (path / FILE).exists() else None
    rules = read_rules(rules_text or "", faults)
    public = read_public_record(
        _text(path, PUBLIC_FILE, faults) if (path / PUBLIC_FILE).exists() else None,
        [kind.name for _, kind in problem_types],
        languages,
        faults,
    )
    reporting = read_reporting(path, {kind.name for _, kind in problem_types}, faults)

    _check_departments(departments, people, faults)
    _check_types(problem_types, departments, faults)
    _check_people(people, departments, districts, faults)
    _check_map(boundary, districts, faults)
    check_places(places, boundary, faults)
    check_examples(examples, patterns, [kind for _, kind in problem_types], faults)
    known = _known(
        [department for _, department in departments],
        [kind for _, kind in problem_types],
        [person for _, person in people],
        districts,
        [place for _, place in places],
        areas,
        languages,
    )
    faults.extend(faults_of(rules, known, rules_text or ""))
    if faults or about is None or boundary is None:
        raise BadCity(faults)

    return City.model_construct(
        **dict(about),
        folder=path,
        problem_types=tuple(kind for _, kind in problem_types),
        departments=tuple(department for _, department in departments),
        people=tuple(person for _, person in people),
        districts=tuple(sorted(districts, key=lambda district: in_order(district.name))),
        boundary=boundary,
        places=tuple(place for _, place in places),
        gazetteer=gazetteer,
        referrals=referrals,
        examples=tuple(example for _, example in examples),
        patterns=patterns,
        areas=tuple(areas),
        dangers=dangers,
        rules=rules,
        version=_version(path),
        public=public,
        reporting=reporting,
    )


def city_with_rules(city: City, text: str) -> City:
    """The city with other rules than its own; raises BadCity with every fault of them."""
    faults: list[str] = []
    rules = read_rules(text, faults)
    known = _known(
        city.departments,
        city.problem_types,
        city.people,
        city.districts,
        city.places,
        city.areas,
        city.languages,
    )
    faults.extend(faults_of(rules, known, text))
    if faults:
        raise BadCity(faults)
    version = hashlib.sha256(f"{city.version}\n{text}".encode()).hexdigest()[:12]
    return city.model_copy(update={"rules": rules, "version": version})


def _known(
    departments: Iterable[Department],
    problem_types: Iterable[ProblemType],
    people: Iterable[Worker],
    districts: Iterable[District],
    places: Iterable[Place],
    areas: Iterable[Area],
    languages: Sequence[str],
) -> Known:
    return Known(
        departments={department.name for department in departments},
        types={kind.name: kind.department for kind in problem_types},
        people={person.id: person for person in people},
        districts={district.name for district in districts},
        places={
            name
            for place in places
            if place.lat is not None
            for name in (place.name, *place.aliases)
        },
        areas={area.name for area in areas},
        languages=languages,
    )


_DECIDES = (
    "problem-types.csv",
    "departments.csv",
    "people.csv",
    "districts.geojson",
    "boundary.geojson",
    "areas.geojson",
    PLACES,
    ADDRESSES,
    REFERRALS,
    FILE,
)


def _version(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in _DECIDES:
        file = folder / name
        digest.update(name.encode() + b"\0" + (file.read_bytes() if file.exists() else b"") + b"\0")
    return digest.hexdigest()[:12]


def _about(folder: Path, faults: list[str]) -> About | None:
    text = _text(folder, "city.toml", faults)
    if text is None:
        return None
    try:
        about = About.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        faults.append(f"city.toml is no TOML: {error}.")
        return None
    except ValidationError as error:
        faults.extend(f"city.toml: {sentence}" for sentence in _sentences(error))
        return None

    found = len(faults)
    for language in about.languages:
        if language not in KNOWN_LANGUAGES:
            known = " and ".join(KNOWN_LANGUAGES)
            faults.append(f'city.toml: languages has "{language}"; Buckstop speaks {known}.')
    if "en" not in about.languages:
        faults.append('city.toml: languages needs "en".')
    try:
        ZoneInfo(about.timezone)
    except (KeyError, ValueError, OSError):
        faults.append(f'city.toml: timezone "{about.timezone}" is no IANA time zone.')
    spoken: list[tuple[str, Words]] = [
        ("title", about.title),
        ("emergency.text", about.emergency.text),
    ]
    spoken += [(f'contacts "{each.key}" label', each.label) for each in about.contacts]
    spoken += [("tagline", about.tagline)] if about.tagline else []
    spoken += [("sample_note", about.sample_note)] if about.sample_note else []
    for what, words in spoken:
        for language in about.languages:
            if not words.get(language, "").strip():
                faults.append(f'city.toml: {what} has no "{language}".')
    return about if len(faults) == found else None


def _dangers(folder: Path, languages: Sequence[str], faults: list[str]) -> Dangers:
    file = "emergency.toml"
    text = _text(folder, file, faults)
    if text is None:
        return Dangers()
    try:
        value = tomllib.loads(text)
        kinds = [
            {key: each[key] for key in each if key in ("kind", "lasting")}
            | {"words": {key: each[key] for key in each if key not in ("kind", "lasting")}}
            for each in value.pop("danger", [])
        ]
        dangers = Dangers.model_validate(value | {"danger": kinds})
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{file} is no TOML: {error}.")
        return Dangers()
    except (AttributeError, TypeError):
        faults.append(f'{file}: a danger begins with "[[danger]]", in double brackets.')
        return Dangers()
    except ValidationError as error:
        faults.extend(f"{file}: {sentence}" for sentence in _sentences(error))
        return Dangers()
    for danger in dangers.danger:
        for language in danger.words:
            if language not in languages:
                faults.append(
                    f'{file}: danger "{danger.kind}" has "{language}", which is no language of '
                    "the city."
                )
        for language in languages:
            if not danger.words.get(language):
                faults.append(f'{file}: danger "{danger.kind}" has no "{language}".')
    if not dangers.danger:
        faults.append(f"{file}: there is no danger in it; nobody would be told to call 911.")
    faults.extend(f"{file}: {sentence}" for sentence in bad_phrases(dangers))
    return dangers


def _departments(
    folder: Path, languages: Sequence[str], faults: list[str]
) -> list[tuple[int, Department]]:
    read = []
    for line, row in _rows(folder, "departments.csv", ("department", "lead"), faults):
        where = f"departments.csv, line {line}"
        values = {
            "name": row.get("department", ""),
            "label": _spoken(row, "label", languages, where, faults),
            "phone": row.get("phone", ""),
            "lead": row["lead"],
            "aliases": row.get("aliases", ""),
            "source": row.get("source", ""),
        }
        if department := _made(Department, values, where, faults):
            read.append((line, department))
    return read


def _problem_types(
    folder: Path, languages: Sequence[str], faults: list[str]
) -> list[tuple[int, ProblemType]]:
    read = []
    columns = ("problem_type", "department", "offered")
    for line, row in _rows(folder, "problem-types.csv", columns, faults):
        where = f"problem-types.csv, line {line}"
        values = {
            "name": row["problem_type"],
            "department": row["department"],
            "offered": row["offered"],
            "share": row.get("share", ""),
            "origin": row.get("origin", ""),
            "reach": row.get("reach", ""),
            "shared": row.get("shared", "").strip() or "yes",
            "label": _spoken(row, "label", languages, where, faults),
            "hint": _spoken(row, "hint", languages, where, faults),
        }
        if kind := _made(ProblemType, values, where, faults):
            read.append((line, kind))
    return read


def _people(folder: Path, faults: list[str]) -> list[tuple[int, Worker]]:
    read = []
    for line, row in _rows(
        folder, "people.csv", ("id", "name", "email", "department", "roles", "active"), faults
    ):
        where = f"people.csv, line {line}"
        known = {key: value for key, value in row.items() if key in Worker.model_fields}
        if person := _made(Worker, known, where, faults):
            read.append((line, person))
    return read


def read_boundary(folder: Path, faults: list[str]) -> BaseGeometry | None:
    """The city's outline."""
    features = _features(folder, "boundary.geojson", faults)
    areas = [area for _, _, area in features]
    return shapely.union_all(areas) if areas else None


def read_districts(folder: Path, faults: list[str]) -> list[District]:
    """The city's districts, in the order of its file."""
    read: list[District] = []
    for number, properties, area in _features(folder, "districts.geojson", faults):
        name = properties.get("name")
        if not isinstance(name, str) or not name.strip():
            faults.append(f"districts.geojson, feature {number}: properties.name is missing.")
        elif name.strip() in {district.name for district in read}:
            faults.append(f'districts.geojson, feature {number}: "{name}" stands there twice.')
        else:
            sample = properties.get("status") == "SAMPLE"
            read.append(District(name=name, area=area, sample=sample))
    return read


def _areas(folder: Path, faults: list[str]) -> list[Area]:
    file = "areas.geojson"
    if not (folder / file).exists():
        return []
    read: list[Area] = []
    for number, properties, area in _features(folder, file, faults):
        name = properties.get("name")
        if not isinstance(name, str) or not name.strip():
            faults.append(f"{file}, feature {number}: properties.name is missing.")
        elif name.strip() in {each.name for each in read}:
            faults.append(f'{file}, feature {number}: "{name}" stands there twice.')
        else:
            read.append(Area(name=name, area=area))
    return read


# ── checking ────────────────────────────────────────────────────────────────────────────────────


def _check_departments(
    departments: Sequence[tuple[int, Department]],
    people: Sequence[tuple[int, Worker]],
    faults: list[str],
) -> None:
    _check_unique(
        "departments.csv",
        ((line, name) for line, each in departments for name in (each.name, *each.aliases)),
        faults,
    )
    everybody = {person.id: person for _, person in people}
    for line, department in departments:
        where = f"departments.csv, line {line}"
        lead = everybody.get(department.lead or "")
        if department.lead and lead is None:
            faults.append(f'{where}: the lead "{department.lead}" is not in people.csv.')
        elif lead is not None and not lead.active:
            faults.append(f'{where}: the lead "{lead.id}" is not active in people.csv.')
        works = any(
            person.active and person.department == department.name and "staff" in person.roles
            for person in everybody.values()
        )
        if not works and not department.lead:
            faults.append(
                f"{where}: {department.name} has neither an active staff person nor a lead."
            )


def _check_types(
    problem_types: Sequence[tuple[int, ProblemType]],
    departments: Sequence[tuple[int, Department]],
    faults: list[str],
) -> None:
    if not problem_types:
        faults.append("problem-types.csv has no problem type that could be read.")
    _check_unique("problem-types.csv", ((line, each.name) for line, each in problem_types), faults)
    names = {department.name for _, department in departments}
    for line, kind in problem_types:
        if kind.department not in names:
            faults.append(
                f'problem-types.csv, line {line}: the department "{kind.department}" of '
                f'"{kind.name}" is not in departments.csv.'
            )


def _check_people(
    people: Sequence[tuple[int, Worker]],
    departments: Sequence[tuple[int, Department]],
    districts: Sequence[District],
    faults: list[str],
) -> None:
    _check_unique("people.csv", ((line, person.id) for line, person in people), faults)
    _check_unique("people.csv", ((line, person.email.lower()) for line, person in people), faults)
    names = {department.name for _, department in departments}
    known = {district.name for district in districts}
    for line, person in people:
        where = f"people.csv, line {line}"
        if person.department is not None and person.department not in names:
            faults.append(
                f'{where}: the department "{person.department}" is not in departments.csv.'
            )
        if person.id != person.id.lower() or any(letter.isspace() for letter in person.id):
            faults.append(f'{where}: the id "{person.id}" needs small letters and no blanks.')
        if (
            person.email.count("@") != 1
            or person.email.startswith("@")
            or person.email.endswith("@")
        ):
            faults.append(f'{where}: "{person.email}" is no email address.')
        for role in person.roles:
            if role not in ROLES:
                faults.append(f'{where}: "{role}" is no role; roles are {", ".join(ROLES)}.')
        if not person.roles:
            faults.append(f"{where}: {person.id} has no role; roles are {', '.join(ROLES)}.")
        for district in person.districts:
            if district not in known:
                faults.append(f'{where}: the district "{district}" is not in districts.geojson.')
        if person.away_from and person.away_until and person.away_until < person.away_from:
            faults.append(f"{where}: {person.id} comes back before leaving.")


def _check_map(
    boundary: BaseGeometry | None,
    districts: Sequence[District],
    faults: list[str],
) -> None:
    for number, one in enumerate(districts):
        for other in districts[number + 1 :]:
            shared = one.area.intersection(other.area).area
            if shared > _SLIVER * min(one.area.area, other.area.area):
                faults.append(f'districts.geojson: "{one.name}" and "{other.name}" overlap.')
    if boundary is None:
        return
    for district in districts:
        if district.area.difference(boundary).area > _SLIVER * district.area.area:
            faults.append(f'districts.geojson: "{district.name}" reaches outside boundary.geojson.')


def _check_unique(file: str, names: Iterable[tuple[int, str]], faults: list[str]) -> None:
    first: dict[str, int] = {}
    for line, name in names:
        if name in first:
            faults.append(f'{file}, line {line}: "{name}" already stands in line {first[name]}.')
        first.setdefault(name, line)
