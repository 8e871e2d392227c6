"""
Where a complaint belongs on the map: from a point to a district, from words to a point.

Pure: a point on a border always falls into the same district, a place that nobody wrote down is
no place, and whoever asks hears the reason.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import shapely
from shapely.geometry.base import BaseGeometry

# An address stands early in what people write; the rest of a novel is not searched for one.
_READ = 4_000


class NamedArea(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def area(self) -> BaseGeometry: ...


class KnownPlace(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def lat(self) -> float: ...
    @property
    def lon(self) -> float: ...
    @property
    def approximate(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Spot:
    """What is asked: whatever a complaint says about its place."""

    lat: float | None
    lon: float | None
    address: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Located:
    """What is known of the place; None is an answer, and `reason` says why."""

    address: str | None
    lat: float | None
    lon: float | None
    district: str | None
    reason: str


class Locator:
    """Answers for one city: its boundary, its districts, its known places."""

    def __init__(
        self,
        boundary: BaseGeometry,
        districts: Sequence[NamedArea],
        places: Sequence[KnownPlace] = (),
    ) -> None:
        ordered = sorted(districts, key=lambda district: district.name)
        self._names = [district.name for district in ordered]
        self._tree = shapely.STRtree([district.area for district in ordered])
        self._boundary = boundary
        shapely.prepare(self._boundary)
        self._places = {
            key: place for place in places for key in map(place_key, (place.name, *place.aliases))
        }

    def locate(self, spots: Sequence[Spot]) -> list[Located]:
        """The places of a batch, in its order."""
        addresses = [_address_of(spot) for spot in spots]
        found = [
            None if _is_point(spot.lat, spot.lon) else self._known(address)
            for spot, address in zip(spots, addresses, strict=True)
        ]
        points = [
            (place.lat, place.lon) if place else (spot.lat, spot.lon)
            for spot, place in zip(spots, found, strict=True)
        ]
        districts = self._districts(points)
        return [
            self._answer(spot, address, place, point, district)
            for spot, address, place, point, district in zip(
                spots, addresses, found, points, districts, strict=True
            )
        ]

    def _known(self, address: str | None) -> KnownPlace | None:
        return self._places.get(place_key(address)) if address else None

    def _districts(self, points: Sequence[tuple[float | None, float | None]]) -> list[str | None]:
        answers: list[str | None] = [None] * len(points)
        asked = [number for number, (lat, lon) in enumerate(points) if _is_point(lat, lon)]
        if not asked or not self._names:
            return answers
        where = shapely.points([(points[number][1], points[number][0]) for number in asked])
        which, hits = self._tree.query(where, predicate="covered_by")
        # A point on a border lies in two districts; the lowest name has it, every time.
        for asked_number, hit in zip(which.tolist(), hits.tolist(), strict=True):
            number, name = asked[asked_number], self._names[hit]
            held = answers[number]
            answers[number] = name if held is None else min(held, name)
        return answers

    def _answer(
        self,
        spot: Spot,
        address: str | None,
        place: KnownPlace | None,
        point: tuple[float | None, float | None],
        district: str | None,
    ) -> Located:
        lat, lon = point
        if not _is_point(lat, lon):
            if lat is not None or lon is not None:
                reason = "No district: the point is not a place on earth"
            elif address is None:
                reason = "No district: no place was given"
            else:
                reason = f'No district: "{_short(address)}" is not among the places we know'
            return Located(address, None, None, None, reason)

        what = f"{place.name} lies in it" if place else "the point lies in it"
        if place and place.approximate:
            what += " (its point is approximate)"
        if district is not None:
            reason = f"{district}: {what}"
        elif shapely.covers(self._boundary, shapely.Point(lon, lat)):
            reason = "No district: the point lies inside the city, but in none of its districts"
        else:
            reason = "No district: the point lies outside the city"
        return Located(address, lat, lon, district, reason)


def _is_point(lat: float | None, lon: float | None) -> bool:
    return (
        lat is not None
        and lon is not None
        and math.isfinite(lat)
        and math.isfinite(lon)
        and -90 <= lat <= 90
        and -180 <= lon <= 180
    )


def _address_of(spot: Spot) -> str | None:
    given = " ".join((spot.address or "").split())
    return given or address_in(spot.text)


def _short(address: str) -> str:
    return address if len(address) <= 80 else address[:79] + "…"


# ── reading addresses ───────────────────────────────────────────────────────────────────────────

_SUFFIX = {
    "street": "st", "st": "st", "str": "st", "avenue": "ave", "ave": "ave", "av": "ave",
    "road": "rd", "rd": "rd", "drive": "dr", "dr": "dr", "court": "ct", "ct": "ct",
    "lane": "ln", "ln": "ln", "boulevard": "blvd", "blvd": "blvd", "terrace": "ter", "ter": "ter",
    "terr": "ter", "circle": "cir", "cir": "cir", "place": "pl", "pl": "pl", "parkway": "pkwy",
    "pkwy": "pkwy", "highway": "hwy", "hwy": "hwy", "trail": "trl", "trl": "trl", "way": "way",
    "square": "sq", "sq": "sq", "trafficway": "trfy", "trfy": "trfy", "alley": "aly", "aly": "aly",
}  # fmt: skip
_DIRECTION = {
    "north": "n", "n": "n", "south": "s", "s": "s", "east": "e", "e": "e", "west": "w", "w": "w",
    "northeast": "ne", "ne": "ne", "northwest": "nw", "nw": "nw",
    "southeast": "se", "se": "se", "southwest": "sw", "sw": "sw",
}  # fmt: skip
_DIRECTIONS = frozenset(_DIRECTION.values())
_SUFFIXES = frozenset(_SUFFIX.values())

_SUFFIX_WORDS = "|".join(sorted(_SUFFIX, key=len, reverse=True))
_DIRECTION_WORDS = r"n|s|e|w|ne|nw|se|sw|north|south|east|west"
_NUMBERED = re.compile(
    # 1109 S Arlington Ave; 111 E. Maple; 1300 blk s hardy; 9701 E US Highway 24
    rf"""(?<![\w$.,/-])(?P<number>\d{{1,5}})\s+
    (?P<block>(?:blk|block)\s+(?:of\s+)?)?
    (?P<direction>(?:{_DIRECTION_WORDS})\b\.?\s+)?
    (?P<street>
        (?:u\.?s\.?\s+)?(?:state\s+)?(?:highway|hwy|route)\s+\d{{1,3}}\b
      | (?:(?!(?:{_SUFFIX_WORDS})\b)(?:\d{{1,3}}(?:st|nd|rd|th)|[^\W\d_][\w'’]*)\s+){{1,3}}
        (?:{_SUFFIX_WORDS})\b\.?
      | (?P<bare>\d{{1,3}}(?:st|nd|rd|th)\b|[^\W\d_][\w'’]{{2,}})
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_STREET = (
    rf"(?:(?:{_DIRECTION_WORDS})\.?\s+)?(?:\d{{1,3}}(?:st|nd|rd|th)|(?:us\s+)?(?:highway|hwy)\s+\d{{1,3}}"
    rf"|\d{{1,3}}\s+(?:highway|hwy)|[^\W\d_][\w'’]+(?:\s+[^\W\d_][\w'’]+)??)(?:\s+(?:{_SUFFIX_WORDS})\b\.?)?"
)
_CORNER = re.compile(
    rf"\b(?:corner\s+of|intersection\s+of|esquina\s+de)\s+(?:la\s+|the\s+)?(?P<corner>{_STREET}"
    rf"\s+(?:and|y|&|at|@)\s+(?:la\s+|the\s+)?{_STREET})(?!\w)",
    re.IGNORECASE,
)
_NEVER_STREETS = frozenset(
    "days day weeks week months month years year hours hour minutes feet foot inches inch people "
    "times cars kids dogs cats houses blocks miles lbs pounds dollars percent and the more other "
    "different big large tires bags trees units rooms families gallons yards acres bound side end "
    "dias semanas meses anos horas perros gatos carros casas bolsas llantas personas veces".split()
)


# Words that no street is called by: "40 of the Archer Court" is half a sentence.
_NO_NAME = re.compile(r"\b(?:of|the|and|is|in|on|at|to|was|from|my|our|this|for|it)\b", re.I)


_DIGIT = re.compile(r"[0-9]")
_SAYS_CORNER = re.compile(r"corner|intersec|esquina", re.I)


def address_in(text: str) -> str | None:
    """
    The first address or street corner that free text names, as it was written; None if none.

    >>> address_in("big pothole at 1109 S Arlington Ave by the school")
    '1109 S Arlington Ave'
    """
    read = text[:_READ]
    if _DIGIT.search(read):
        for found in _NUMBERED.finditer(read):
            bare = found["bare"]
            # "3 dogs" and "2 weeks" are no addresses: without "Street" or "Avenue", a block or a
            # direction has to show that a place is meant.
            if bare and (
                not (found["block"] or found["direction"])
                or not place_words(bare)
                or bare.lower() in _NEVER_STREETS
            ):
                continue
            if not found["number"].strip("0") or _NO_NAME.search(found["street"]):
                continue
            return " ".join(found[0].split()).rstrip(".")
    corner = _CORNER.search(read) if _SAYS_CORNER.search(read) else None
    return " ".join(corner["corner"].split()).rstrip(".") if corner else None


def place_words(text: str) -> list[str]:
    """The words of an address in one form: small letters, `st` for Street, `e` for East."""
    plain = unicodedata.normalize("NFKD", text[:400].lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = re.findall(r"[a-z0-9]+", re.sub(r"['’.]", "", plain).replace("&", " and "))
    return [_DIRECTION.get(word) or _SUFFIX.get(word, word) for word in words]


_STATE_AND_ZIP = re.compile(
    r",? ?\b(?:independence\b[ ,]*)?\b(?:mo|missouri)\b[ ,.]*(?:\d{5}(?:-\d{4})?)?$", re.IGNORECASE
)
_CORNER_OF = re.compile(
    r"^(?:(?:the|la) )?(?:corner|intersection|esquina) (?:of|de) ", re.IGNORECASE
)
_AND = re.compile(r" ?[/@&] ?| (?:and|y|at) ", re.IGNORECASE)


def place_key(text: str) -> str:
    """
    What two ways of writing the same place have in common; empty for what names no place.

    A corner is the same read from either street. City, state and ZIP at the end say nothing
    here, for all places that we know are in the city.
    """
    plain = re.sub(
        r"(?i),?\s*\b(?:independence\b[\s,]*)?(?:mo|missouri)\b[\s,.]*(?:\d{5}(?:-\d{4})?)?\s*$",
        "",
        text[:400],
    )
    plain = re.sub(r"(?i)^\s*(?:the\s+)?(?:corner|intersection|esquina)\s+(?:of|de)\s+", "", plain)
    plain = re.sub(r"\s*(?:/|@|&|\s(?:and|y|at)\s)\s*", " & ", plain, flags=re.IGNORECASE)
    streets = [part for part in plain.split(" & ") if part.strip()]
    if len(streets) == 2:
        corners = [_street_key(place_words(street)) for street in streets]
        return " & ".join(sorted(corners)) if all(corners) else ""
    return " ".join(_numbered_key(place_words(plain)))


def _street_key(words: list[str]) -> str:
    # On a corner, people leave out "East" and "Street": the street's own name has to do.
    kept = [word for word in words if word not in _DIRECTIONS and word not in ("the", "la")]
    if len(kept) > 1 and kept[-1] in _SUFFIXES:
        kept = kept[:-1]
    return " ".join(word for word in kept if word not in ("us", "state")) if kept else ""


def _numbered_key(words: list[str]) -> list[str]:
    if len(words) >= 3 and words[0].isdigit() and words[-1] in _SUFFIXES:
        words = words[:-1]
    return words
