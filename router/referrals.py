"""
Who handles what is not the city's: state highways, neighbour towns, railways, other agencies.

Data of the city's folder (`agencies.csv`, `referrals.csv`, `neighbours.geojson`), read and checked
here, and a pure function that says whom a complaint concerns. A referral never keeps a case from
being filed: it tells staff and the resident who can help, with the number to call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from shapely.geometry.base import BaseGeometry

from router.districts import DistrictMap
from router.folder import (
    Given,
    Listed,
    Maybe,
    Part,
    Words,
    YesNo,
    made,
    read_features,
    read_rows,
    spoken,
)
from router.locate import Located, Outcome
from router.mentions import Kind
from router.place_words import Street, street_named, words_of
from router.sentence import sentence_of
from router.vocabulary import Phrases

AGENCIES, REFERRALS, NEIGHBOURS = "agencies.csv", "referrals.csv", "neighbours.geojson"
HOWS = ("road", "town", "words")


class Agency(Part):
    """Somebody other than the city."""

    name: Given
    label: Words
    phone: Maybe = None
    """For residents; None while nobody has confirmed one."""
    website: str = ""
    check: str = ""
    """What the city has to confirm before it relies on this."""
    source: str = ""


class Rule(Part):
    """What shows that a complaint concerns an agency."""

    name: Given
    how: Given
    """`road`: a numbered road is named; `town`: a town is; `words`: the text says one of these."""
    agency: Given
    aliases: Listed = ()
    except_: Listed = ()
    """Of `words`: what sounds like it and is not."""
    problem_types: Listed = ()
    """Only for these; none: for all."""
    certain: YesNo = False
    """Whether it is theirs for sure, or may be."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Referral:
    """Whom a complaint concerns, and why."""

    agency: str
    because: str
    """What showed it: `US 24`, `Blue Springs`."""
    how: str
    certain: bool


class Neighbour(BaseModel):
    """A neighbour town on the map, under its agency's name."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    area: BaseGeometry


class Referrals:
    """All referrals of a city, made ready for looking up."""

    def __init__(
        self,
        agencies: Sequence[Agency] = (),
        rules: Sequence[Rule] = (),
        neighbours: Sequence[Neighbour] = (),
    ) -> None:
        self.agencies: Mapping[str, Agency] = {agency.name: agency for agency in agencies}
        self.rules = tuple(rules)
        self._roads: dict[str, list[Rule]] = {}
        self._towns = {rule.name.casefold(): rule for rule in rules if rule.how == "town"}
        for rule in rules:
            if rule.how == "road":
                for core in _cores(rule):
                    self._roads.setdefault(core, []).append(rule)
        self._words = [rule for rule in rules if rule.how == "words"]
        self._phrases = Phrases(
            (words_of(phrase), which)
            for which, rule in enumerate(self._words)
            for phrase in (rule.name, *rule.aliases)
        )
        self._exceptions = Phrases(
            (words_of(phrase), which)
            for which, rule in enumerate(self._words)
            for phrase in rule.except_
        )
        self._neighbours = DistrictMap(neighbours) if neighbours else None

    @property
    def towns(self) -> list[list[str]]:
        """The names of each neighbour town, the first of them its own."""
        return [[rule.name, *rule.aliases] for rule in self.rules if rule.how == "town"]

    def of(self, place: Located, problem_type: str | None, text: str) -> Referral | None:
        """
        Whom a complaint concerns, if not the city alone; None: nobody else.

        Where the type is open it is only said that it may concern them.
        """
        if place.outcome is Outcome.OUTSIDE:
            town = place.town
            if not town and self._neighbours and place.lat is not None and place.lon is not None:
                town = self._neighbours.name_of(place.lat, place.lon) or ""
            rule = self._towns.get(town.casefold())
            if rule is not None:
                certain = place.kind is not Kind.TOWN
                return Referral(rule.agency, rule.name, "town", certain=certain)
            return None
        found = None
        # A house on a highway is no matter of the highway's, unless the road is what it is about.
        if problem_type is not None or place.kind is not Kind.ADDRESS:
            found = self._by_road(place.streets, problem_type)
        return found or self._by_words(text, problem_type)

    def _by_road(self, streets: Sequence[Street], problem_type: str | None) -> Referral | None:
        # On a corner with a street of the city either may be meant.
        alone = all(street.core in self._roads for street in streets)
        for street in streets:
            for rule in self._roads.get(street.core, ()):
                if _concerns(rule, problem_type):
                    certain = rule.certain and alone and problem_type is not None
                    return Referral(rule.agency, rule.name, "road", certain=certain)
        return None

    def _by_words(self, text: str, problem_type: str | None) -> Referral | None:
        if not self._words:
            return None
        said = sentence_of(text)
        if not any(word in self._phrases for word in said.words):
            return None
        at = 0
        while at < len(said):
            excepted = self._exceptions.at(said, at)
            if excepted is not None:
                at = excepted[0]
                continue
            found = self._phrases.at(said, at)
            if found is not None:
                end, which = found
                rule = self._words[which]
                if _concerns(rule, problem_type):
                    certain = rule.certain and problem_type is not None
                    return Referral(rule.agency, said.written(at, end), "words", certain=certain)
            at += 1
        return None


def _concerns(rule: Rule, problem_type: str | None) -> bool:
    return problem_type is None or not rule.problem_types or problem_type in rule.problem_types


def _cores(rule: Rule) -> Iterable[str]:
    for name in (rule.name, *rule.aliases):
        street = street_named(name)
        if street is not None:
            yield street.core


# ── the city's folder ───────────────────────────────────────────────────────────────────────────


def read_referrals(
    folder: Path, languages: Sequence[str], problem_types: Sequence[str], faults: list[str]
) -> Referrals:
    """What the folder says of others; nothing when it has no such files."""
    agencies: dict[str, Agency] = {}
    rules: list[Rule] = []
    if (folder / AGENCIES).exists():
        for line, row in read_rows(folder, AGENCIES, ("agency",), faults):
            where = f"{AGENCIES}, line {line}"
            values = {
                "name": row["agency"],
                "label": spoken(row, "label", languages, where, faults),
                **{key: row.get(key, "") for key in ("phone", "website", "check", "source")},
            }
            agency = made(Agency, values, where, faults)
            if agency is None:
                continue
            if agency.name in agencies:
                faults.append(f'{where}: "{agency.name}" stands there twice.')
            if agency.phone and sum(letter.isdigit() for letter in agency.phone) < 7:
                faults.append(f'{where}: "{agency.phone}" is no phone number.')
            agencies[agency.name] = agency
    if (folder / REFERRALS).exists():
        for line, row in read_rows(folder, REFERRALS, ("name", "how", "agency"), faults):
            where = f"{REFERRALS}, line {line}"
            values = {key: value for key, value in row.items() if key in Rule.model_fields}
            if rule := made(Rule, values | {"except_": row.get("except", "")}, where, faults):
                _check_rule(rule, where, agencies, problem_types, faults)
                rules.append(rule)
    neighbours = []
    if (folder / NEIGHBOURS).exists():
        towns = {rule.name for rule in rules if rule.how == "town"}
        for number, properties, area in read_features(folder, NEIGHBOURS, faults):
            name = str(properties.get("name") or properties.get("NAME") or "").strip()
            if name not in towns:
                faults.append(
                    f'{NEIGHBOURS}, feature {number}: "{name}" is no town of {REFERRALS}.'
                )
            else:
                neighbours.append(Neighbour(name=name, area=area))
    return Referrals(list(agencies.values()), rules, neighbours)


def _check_rule(
    rule: Rule,
    where: str,
    agencies: Mapping[str, Agency],
    problem_types: Sequence[str],
    faults: list[str],
) -> None:
    if rule.how not in HOWS:
        faults.append(f'{where}: "{rule.how}" is none of {", ".join(HOWS)}.')
    if rule.agency not in agencies:
        faults.append(f'{where}: the agency "{rule.agency}" is not in {AGENCIES}.')
    for kind in rule.problem_types:
        if kind not in problem_types:
            faults.append(f'{where}: the problem type "{kind}" is not in problem-types.csv.')
    if rule.how == "road":
        for name in (rule.name, *rule.aliases):
            if street_named(name) is None:
                faults.append(f'{where}: "{name}" names no road.')
