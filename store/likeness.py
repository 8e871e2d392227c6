"""
How likely two complaints are about one problem, and why. Pure.

Place is the gate: what is far away is another problem, however alike the words. The type, the
words and the time then say how sure it is.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy
from rapidfuzz import fuzz, process

from store.addresses import Address, Alike, compare
from store.text import folded

LIKELY = 0.45
"""From this score on, people are shown it."""
STRONG = 0.75
"""From this score on, it is nearly sure."""

_HALF_LIFE = timedelta(days=30)  # both are open: an old one is not much less likely
_AT_REACH = 0.7  # what is left of the likeness at the type's usual reach
_READ = 2_000  # letters: what matters stands early
_MOST_WORDS = 60
_FEWEST_WORDS = 4  # two texts of three words each say next to nothing
_ONE_WORD = 85  # of 100: `pothole` and `potholes`, `brocken` and `broken`
_NO_WORDS = 0.35  # what words would say on average, where they cannot be compared

_TYPE_WEIGHT, _WORDS_WEIGHT, _AGE_WEIGHT = 0.5, 0.3, 0.2
_SAME_REPORTER = 0.12

_PLACE = {Alike.SAME: 0.97, Alike.BLOCK: 0.75, Alike.STREET: 0.3, Alike.NO: 0.0, Alike.UNKNOWN: 0.0}
_PLACE_OF_ONE_REPORTER = 0.6  # the same person, who said no place

_WORD = re.compile(r"[a-z0-9ñ]{3,}")
_STOP = frozenset(
    """
    the and for are was were has have had been being not but with without from this that these
    those there their they them then than when where which who what why how can could would should
    will just very really also too out into onto off over under our your you his her its she him
    get gets got please need needs someone somebody something thing things lot lots still again
    already ever every all any some one two about because since after before now here
    los las una uno unos unas del que con por para pero como mas muy esta este esto estan hay
    son fue ser sus les nos mis muchas mucho gracias favor necesita necesitan alguien algo
    desde hasta cuando donde porque tambien aqui alli ahora
    """.split()
)


class TypeMatch(StrEnum):
    SAME = "same"
    ALIKE = "alike"
    """One is among the other's runners-up."""
    UNKNOWN = "unknown"
    OTHER = "other"


_TYPE = {TypeMatch.SAME: 1.0, TypeMatch.ALIKE: 0.6, TypeMatch.UNKNOWN: 0.5, TypeMatch.OTHER: 0.1}


@dataclass(frozen=True)
class Problem:
    """What is known of a problem that somebody told us."""

    text: str
    at: datetime
    language: str = "en"
    problem_type: str | None = None
    alternatives: Collection[str] = ()
    """Types that it may be as well."""
    address: Address | None = None
    lat: float | None = None
    lon: float | None = None
    reporter: frozenset[str] = frozenset()
    """An email address in lower case, a number in E.164: what shows that two are one person."""


@dataclass(frozen=True)
class Why:
    """The evidence, from which a page makes its sentence in the reader's language."""

    metres: float | None
    """None: one of them has no point."""
    address: Alike
    type: TypeMatch
    age: timedelta
    """Between the two."""
    words: float | None
    """The share of words that both have, 0 to 1; None: two languages, or too few words."""
    same_reporter: bool = False


@dataclass(frozen=True)
class Reaches:
    """How far apart two reports of one problem usually are, in metres, by its type."""

    usual: float = 120.0
    of_type: Mapping[str, float] = field(default_factory=dict)
    """0: two of these are never one problem, whatever they say (a bill, a licence)."""

    def of(self, problem_type: str | None) -> float:
        return self.usual if problem_type is None else self.of_type.get(problem_type, self.usual)


def liken(one: Problem, other: Problem, reaches: Reaches) -> tuple[float, Why]:
    """How likely both are one problem, 0 to 1, and the evidence."""
    kind = _types(one, other)
    why = Why(
        metres=metres_between(one.lat, one.lon, other.lat, other.lon),
        address=compare(one.address, other.address),
        type=kind,
        age=abs(one.at - other.at),
        words=shared_words(one, other),
        same_reporter=bool(one.reporter & other.reporter),
    )
    reach = min(
        reaches.of(one.problem_type or other.problem_type),
        reaches.of(other.problem_type or one.problem_type),
    )
    place = _place(why, reach)
    words = _NO_WORDS if why.words is None else why.words
    age = math.pow(0.5, why.age / _HALF_LIFE)
    score = place * (_TYPE_WEIGHT * _TYPE[kind] + _WORDS_WEIGHT * words + _AGE_WEIGHT * age)
    if score and why.same_reporter:
        score = min(1.0, score + _SAME_REPORTER)
    return score, why


def _place(why: Why, reach: float) -> float:
    if reach <= 0:
        return 0.0
    said = _PLACE[why.address]
    if why.metres is not None:
        near = math.pow(_AT_REACH, (why.metres / reach) ** 2)
        # A point may be where the photo was taken, or the middle of the street: the same house is
        # the same house. The words of two points say nothing less than that.
        return max(near, said) if why.address is Alike.SAME else near
    if said == 0 and why.same_reporter and why.address is Alike.UNKNOWN:
        return _PLACE_OF_ONE_REPORTER
    return said


def _types(one: Problem, other: Problem) -> TypeMatch:
    if one.problem_type is None or other.problem_type is None:
        known, guesses = (
            (other.problem_type, one.alternatives)
            if one.problem_type is None
            else (one.problem_type, other.alternatives)
        )
        return TypeMatch.ALIKE if known is not None and known in guesses else TypeMatch.UNKNOWN
    if one.problem_type == other.problem_type:
        return TypeMatch.SAME
    if one.problem_type in other.alternatives or other.problem_type in one.alternatives:
        return TypeMatch.ALIKE
    return TypeMatch.OTHER


def shared_words(one: Problem, other: Problem) -> float | None:
    """The share of words of the shorter text that the other one has too; typos are forgiven."""
    if one.language != other.language:
        return None
    mine, theirs = words_of(one.text), words_of(other.text)
    few, many = sorted((mine, theirs), key=len)
    if len(few) < 2:
        return None
    alike = process.cdist(few, many, scorer=fuzz.ratio, score_cutoff=_ONE_WORD, dtype=numpy.uint8)
    return float((alike.max(axis=1) > 0).sum()) / max(len(few), _FEWEST_WORDS)


def words_of(text: str) -> list[str]:
    """The words of a text that say something, each once."""
    found = _WORD.findall(folded(text[:_READ]))
    return list(dict.fromkeys(word for word in found if word not in _STOP))[:_MOST_WORDS]


def metres_between(
    lat: float | None, lon: float | None, other_lat: float | None, other_lon: float | None
) -> float | None:
    """Metres, on a flat Earth: good enough within a city. None without both points."""
    if lat is None or lon is None or other_lat is None or other_lon is None:
        return None
    north = (lat - other_lat) * METRES_PER_DEGREE
    east = (lon - other_lon) * METRES_PER_DEGREE * math.cos(math.radians(lat))
    return math.hypot(north, east)


METRES_PER_DEGREE = 111_320.0
"""Of latitude."""
