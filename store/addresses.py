"""
Addresses as people write them, compared: the same house, the same block, the same street. Pure.

Only what stands in the words counts; no map is asked.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from rapidfuzz import fuzz

from store.text import folded

_DIRECTIONS = {
    "n": "n", "north": "n", "s": "s", "south": "s", "e": "e", "east": "e", "w": "w", "west": "w",
    "norte": "n", "sur": "s", "este": "e", "oeste": "w",
}  # fmt: skip
_KINDS = {
    "st": "st", "street": "st", "calle": "st", "ave": "ave", "av": "ave", "avenue": "ave",
    "avenida": "ave", "rd": "rd", "road": "rd", "dr": "dr", "drive": "dr", "ln": "ln", "lane": "ln",
    "ct": "ct", "court": "ct", "cir": "cir", "circle": "cir", "pl": "pl", "place": "pl",
    "ter": "ter", "terr": "ter", "terrace": "ter", "blvd": "blvd", "boulevard": "blvd",
    "pkwy": "pkwy", "parkway": "pkwy", "hwy": "hwy", "highway": "hwy", "trl": "trl", "trail": "trl",
    "way": "way", "sq": "sq", "square": "sq", "aly": "aly", "alley": "aly",
}  # fmt: skip
# What follows names a part of a house, and two flats have one street in front of them.
_UNIT = re.compile(r"\s(?:apt|apartment|unit|ste|suite|lot|bldg|floor|fl|depto|piso)\b.*|#.*")
_CORNER = re.compile(r"\s*(?:&|/|\+|\band\b|\bat\b|\by\b|\bcon\b)\s*")
_CORNER_WORDS = re.compile(r"\b(?:the |la )?(?:corner|intersection|esquina) (?:of|de)\b")
_HOUSE = re.compile(r"(\d{1,6})[a-z]?(?:\s*-\s*\d+)?(?:\s+(?:block of|block))?\s+(?=\S)")
_WORD = re.compile(r"\w+")
_LONGEST = 200
_TYPO = 88  # of 100: `Noland` and `Nolan` are one street, `Maple` and `Apple` are not


class Alike(StrEnum):
    """How much two addresses have in common."""

    SAME = "same"
    """The same house, corner or landmark."""
    BLOCK = "block"
    STREET = "street"
    """The same street, of which nobody says where."""
    NO = "no"
    UNKNOWN = "unknown"
    """They cannot be compared."""


@dataclass(frozen=True)
class Street:
    name: str
    direction: str = ""
    kind: str = ""

    def is_like(self, other: "Street") -> bool:
        """Whether both may be one street: what only one of them says is no difference."""
        for mine, theirs in ((self.direction, other.direction), (self.kind, other.kind)):
            if mine and theirs and mine != theirs:
                return False
        if self.name == other.name:
            return True
        # `23rd` and `33rd` are one letter apart, and ten blocks.
        if any(letter.isdigit() for letter in self.name + other.name):
            return False
        return len(self.name) > 4 and fuzz.ratio(self.name, other.name) >= _TYPO


@dataclass(frozen=True)
class Address:
    """What an address says; `streets` has two at a corner, and none for a landmark."""

    whole: str
    number: int | None = None
    streets: tuple[Street, ...] = ()

    @property
    def words(self) -> str:
        """The words by which a search finds whatever lies there; empty when too much would be."""
        if self.number is not None:
            return f"{self.number} {self.streets[0].name}"
        if len(self.streets) == 1:
            return ""
        if self.streets:
            return " ".join(street.name for street in self.streets)
        words = [word for word in _WORD.findall(self.whole) if len(word) > 2]
        return " ".join(words[:4]) if len(words) > 1 else ""


def read_address(typed: str | None) -> Address | None:
    """What an address says; None when it says nothing."""
    line = folded((typed or "")[:_LONGEST]).strip()
    # Behind the first comma stand the town and the state, or which flat it is.
    line = _CORNER_WORDS.sub(" ", line).partition(",")[0].replace(".", " ")
    line = " ".join(_UNIT.sub("", line).split())
    if not line:
        return None
    parts = [part for part in _CORNER.split(line) if part.strip()]
    if (house := _HOUSE.match(line)) and not _is_numbered_road(parts[0], house):
        street = _street(line[house.end() :])
        if street is not None:
            return Address(line, int(house[1]), (street,))
    if len(parts) == 2:
        corner = tuple(street for street in map(_street, parts) if street is not None)
        if len(corner) == 2:
            return Address(line, None, corner)
    street = _street(line)
    if street is not None and street.kind:
        return Address(line, None, (street,))
    return Address(line)


def compare(one: Address | None, other: Address | None) -> Alike:
    """How much two addresses have in common, as far as they say."""
    if one is None or other is None:
        return Alike.UNKNOWN
    if not one.streets or not other.streets:
        if bool(one.streets) != bool(other.streets):
            return Alike.UNKNOWN
        return Alike.SAME if fuzz.token_sort_ratio(one.whole, other.whole) >= 90 else Alike.NO
    if len(one.streets) == len(other.streets) == 2:
        (first, second), (third, fourth) = one.streets, other.streets
        met = (first.is_like(third) and second.is_like(fourth)) or (
            first.is_like(fourth) and second.is_like(third)
        )
        return Alike.SAME if met else Alike.NO
    if not any(mine.is_like(theirs) for mine in one.streets for theirs in other.streets):
        return Alike.NO
    if one.number is None or other.number is None:
        return Alike.STREET
    if one.number == other.number:
        return Alike.SAME
    return Alike.BLOCK if one.number // 100 == other.number // 100 else Alike.NO


def _is_numbered_road(part: str, house: re.Match[str]) -> bool:
    """`24 Hwy` is a road, where `24 Hickory` is a house."""
    return part[house.end() :].strip() in _KINDS


def _street(words: str) -> Street | None:
    parts = _WORD.findall(words)
    direction = kind = ""
    if len(parts) > 1 and parts[0] in _DIRECTIONS:
        direction = _DIRECTIONS[parts.pop(0)]
    if len(parts) > 1 and parts[0] in ("calle", "avenida"):
        kind = _KINDS[parts.pop(0)]
    if len(parts) > 1 and parts[-1] in _DIRECTIONS:
        direction = direction or _DIRECTIONS[parts[-1]]
        parts.pop()
    if len(parts) > 1 and parts[-1] in _KINDS:
        kind = _KINDS[parts.pop()]
    name = " ".join(parts)
    return Street(name, direction, kind) if name else None
