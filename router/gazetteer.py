"""
The places that a city knows: its addresses, its streets, corners and landmarks, with their points.

Pure. Addresses are kept street by street in arrays, so that a whole city of them is a few
megabytes. What is not in the lists is not made up: a number between two known ones of the same
block gives a point that says it is approximate, and nothing else is reckoned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA
from rapidfuzz.fuzz import ratio

from router.districts import Numbers
from router.place_words import Street, street_named, street_of, words_of
from router.vocabulary import Vocabulary

_BLOCK = 100
_MEET = 150.0
"""Metres: so close do the addresses of two streets come where they cross."""
_ALIKE = 20.0
"""Metres by which pairs of houses are as close as the closest."""
_MOST_MEETINGS = 2
_APART = 400.0
"""Metres between two places that are two."""
METRES = 111_320.0
"""Of a degree of latitude."""


class Landmark(Protocol):
    """A place of `streets.csv`."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...
    @property
    def lat(self) -> float | None: ...
    @property
    def lon(self) -> float | None: ...
    @property
    def approximate(self) -> bool: ...


class Address(NamedTuple):
    """A house number with its point, as an import wrote it down."""

    number: int
    street: str
    zip: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Spotted:
    """A place that was found: what it is called, and its point if that is known."""

    name: str
    lat: float | None
    lon: float | None
    approximate: bool = False


class _OnStreet(NamedTuple):
    """The addresses of one street, in the order of their numbers."""

    name: str
    street: Street
    numbers: Numbers
    lats: Numbers
    lons: Numbers
    zips: Sequence[str]


class Gazetteer:
    """Looks places up; built once for a city."""

    def __init__(
        self,
        places: Sequence[Landmark] = (),
        addresses: Iterable[Address] = (),
        towns: Sequence[Sequence[str]] = (),
        own_town: str = "",
    ) -> None:
        self._places = [place for place in places if place.kind != "street"]
        self._by_core: dict[str, list[_OnStreet]] = {}
        for one in _by_street(addresses):
            self._by_core.setdefault(one.street.core, []).append(one)
        self._spots: dict[tuple[int, str], list[tuple[Street, Spotted]]] = {}
        self._corners: dict[tuple[str, str], list[Spotted]] = {}
        streets = {one.street for some in self._by_core.values() for one in some}
        called: list[list[str]] = []
        for place in self._places:
            spot = Spotted(place.name, place.lat, place.lon, place.approximate)
            called.append([])
            for name in (place.name, *place.aliases):
                self._enter(name, spot, called[-1], streets)
            called[-1] += [said for name in tuple(called[-1]) for said in _in_spanish(name)]
        for place in places:
            if place.kind == "street":
                streets.update(
                    street
                    for name in (place.name, *place.aliases)
                    if (street := street_named(name)) is not None
                )
        self.vocabulary = Vocabulary(streets, called, towns, own_town)
        self._names = [(" ".join(words_of(name)), number) for number, names in enumerate(called)
                       for name in names if len(name.split()) > 1]  # fmt: skip
        self._closest = lru_cache(maxsize=2048)(self._find_closest)
        self._crossing = lru_cache(maxsize=2048)(self._find_crossing)

    def _enter(self, name: str, spot: Spotted, called: list[str], streets: set[Street]) -> None:
        number, *words = words_of(name) or [""]
        if number.isdigit() and words and (street := street_of(words)) is not None:
            if street.suffix or street.direction or street.is_road:
                self._spots.setdefault((int(number), street.core), []).append((street, spot))
                streets.add(street)
                return
        parts = [street_named(part) for part in name.split(" & ")]
        if len(parts) == 2 and parts[0] and parts[1]:
            corner = self._corners.setdefault(_pair(parts[0].core, parts[1].core), [])
            if spot not in corner:
                corner.append(spot)
            streets.update(part for part in parts if part)
            return
        called.append(name)

    # ── looking up ──────────────────────────────────────────────────────────────────────────────

    @property
    def has_addresses(self) -> bool:
        return bool(self._by_core)

    @property
    def address_count(self) -> int:
        return sum(len(one.numbers) for some in self._by_core.values() for one in some)

    def place(self, which: int) -> Spotted:
        """The place that a mention names."""
        place = self._places[which]
        return Spotted(place.name, place.lat, place.lon, place.approximate)

    def address(self, number: int, street: Street, zip_code: str = "") -> list[Spotted]:
        """
        The points of a number on every street that the words can mean: none, one, or several.
        """
        named = [
            spot
            for known, spot in self._spots.get((number, street.core), ())
            if street.may_be(known)
        ]
        found = []
        for one in self._on(street):
            spot = _point_on(one, number, zip_code)
            if spot is not None:
                found.append(spot)
        exact = [spot for spot in found if not spot.approximate]
        return [*exact, *named] or found

    def block(self, number: int, upto: int | None, street: Street) -> list[Spotted]:
        """The middle of a block, or of a range of numbers, on every street that can be meant."""
        low = number if upto is not None else number // _BLOCK * _BLOCK
        high = upto if upto is not None else low + _BLOCK - 1
        found = []
        for one in self._on(street):
            some = (one.numbers >= min(low, high)) & (one.numbers <= max(low, high))
            if some.any():
                found.append(
                    Spotted(
                        f"{number} block of {one.name}",
                        float(one.lats[some].mean()),
                        float(one.lons[some].mean()),
                        approximate=True,
                    )
                )
        return found

    def corner(self, one: Street, other: Street) -> list[Spotted]:
        """Where two streets meet: none, one, or several."""
        named = self._corners.get(_pair(one.core, other.core))
        if named:
            return named
        if one.core not in self._by_core or other.core not in self._by_core:
            return []
        return list(self._crossing(one, other))

    def is_in_quarters(self, street: Street) -> bool:
        """
        Whether a street that is named without NW, NE, SW or SE lies in several of them: then each
        of its corners may be there more than once, and the lists need not have them all.
        """
        if street.direction:
            return False
        found = {one.street.direction for one in self._on(street)}
        return len(found & {"nw", "ne", "sw", "se"}) > 1

    def closest(self, core: str) -> str | None:
        """
        The one street whose name is a slip of the pen away from `core`; None if none or several.
        """
        return self._closest(core)

    def closest_place(self, words: str) -> int | None:
        """The one place whose name is nearly `words`: `Truman Libary`."""
        asked = " ".join(words_of(words))
        if len(asked) < 8:
            return None
        near = process.extract(
            asked, [name for name, _ in self._names], scorer=ratio, score_cutoff=88, limit=5
        )
        found = {self._names[index][1] for _, _, index in near}
        return found.pop() if len(found) == 1 else None

    def knows(self, street: Street) -> bool:
        """Whether a street of this name is in the lists."""
        return street.core in self.vocabulary.known

    def _on(self, street: Street) -> list[_OnStreet]:
        return [one for one in self._by_core.get(street.core, ()) if street.may_be(one.street)]

    def _find_closest(self, core: str) -> str | None:
        if len(core) < 5 or any(letter.isdigit() for letter in core):
            return None
        slips = 1 if len(core) < 8 else 2
        near = process.extract(
            core, self.vocabulary.cores, scorer=OSA.distance, score_cutoff=slips, limit=6
        )
        found = [name for name, _, _ in near if not any(letter.isdigit() for letter in name)]
        best = [name for name, away, _ in near if near and away == near[0][1] and name in found]
        return best[0] if len(best) == 1 and best[0][0] == core[0] else None

    def _find_crossing(self, one: Street, other: Street) -> tuple[Spotted, ...]:
        """Reckoned from the addresses of two streets, where these come close to each other."""
        found: list[Spotted] = []
        for first in self._on(one):
            for second in self._on(other):
                for lat, lon in _meetings(first, second):
                    if all(metres(lat, lon, spot) > _APART for spot in found):
                        name = f"{first.name} & {second.name}"
                        found.append(Spotted(name, lat, lon, approximate=True))
        return tuple(found)


def metres(lat: float, lon: float, spot: Spotted) -> float:
    """From a point to a place; infinite when its point is not known. Flat earth."""
    if spot.lat is None or spot.lon is None:
        return float("inf")
    north = (lat - spot.lat) * METRES
    east = (lon - spot.lon) * METRES * float(np.cos(np.radians(lat)))
    return float(np.hypot(north, east))


# "Parque McCoy" is McCoy Park.
_SPANISH = {
    "park": "parque", "library": "biblioteca", "center": "centro", "cemetery": "cementerio",
    "museum": "museo", "stadium": "estadio", "square": "plaza", "school": "escuela",
    "hospital": "hospital", "church": "iglesia", "mansion": "mansion", "home": "casa",
}  # fmt: skip


def _in_spanish(name: str) -> list[str]:
    *rest, last = words_of(name) or [""]
    kind = _SPANISH.get(last)
    if not kind or not rest or rest == ["the"]:
        return []
    return [f"{kind} {' '.join(rest)}", f"{kind} de {' '.join(rest)}"]


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)


def _by_street(addresses: Iterable[Address]) -> list[_OnStreet]:
    gathered: dict[str, list[tuple[int, float, float, str]]] = {}
    for address in addresses:
        gathered.setdefault(address.street, []).append(
            (address.number, address.lat, address.lon, address.zip)
        )
    found = []
    for name, some in gathered.items():
        street = street_named(name)
        if street is None:
            continue
        some.sort()
        found.append(
            _OnStreet(
                name,
                street,
                np.array([number for number, _, _, _ in some], dtype=float),
                np.array([lat for _, lat, _, _ in some]),
                np.array([lon for _, _, lon, _ in some]),
                tuple(zip_code for _, _, _, zip_code in some),
            )
        )
    return found


def _point_on(one: _OnStreet, number: int, zip_code: str) -> Spotted | None:
    at = int(np.searchsorted(one.numbers, number))
    called = f"{number} {one.name}"
    while at < len(one.numbers) and one.numbers[at] == number:
        if not zip_code or not one.zips[at] or one.zips[at] == zip_code:
            return Spotted(called, float(one.lats[at]), float(one.lons[at]))
        at += 1
    # Between two houses of the same block, as far along as the number says.
    at = int(np.searchsorted(one.numbers, number))
    if at == 0 or at == len(one.numbers):
        return None
    before, behind = one.numbers[at - 1], one.numbers[at]
    if before // _BLOCK != behind // _BLOCK or before == behind:
        return None
    if zip_code and one.zips[at] and one.zips[at] != zip_code:
        return None
    share = (number - before) / (behind - before)
    lat = one.lats[at - 1] + share * (one.lats[at] - one.lats[at - 1])
    lon = one.lons[at - 1] + share * (one.lons[at] - one.lons[at - 1])
    return Spotted(called, float(lat), float(lon), approximate=True)


def _meetings(first: _OnStreet, second: _OnStreet) -> list[tuple[float, float]]:
    """The places where the houses of two streets stand closest, each once."""
    scale = float(np.cos(np.radians(first.lats[0]))) * METRES
    east = (first.lons[:, None] - second.lons[None, :]) * scale
    north = (first.lats[:, None] - second.lats[None, :]) * METRES
    apart = np.hypot(east, north)
    rows, columns = np.nonzero(apart <= _MEET)
    near = apart[rows, columns]
    # Between the two houses of each pair, in metres east and north.
    x = (first.lons[rows] + second.lons[columns]) / 2 * scale
    y = (first.lats[rows] + second.lats[columns]) / 2 * METRES
    found: list[tuple[float, float]] = []
    left = np.ones(len(near), dtype=bool)
    while left.any() and len(found) <= _MOST_MEETINGS:
        best = int(np.argmin(np.where(left, near, np.inf)))
        around = np.hypot(x - x[best], y - y[best]) <= _APART
        close = left & around & (near <= near[best] + _ALIKE)
        if np.hypot(np.ptp(x[close]), np.ptp(y[close])) > _MEET:
            return []  # they run side by side
        found.append((float(y[best]) / METRES, float(x[best]) / scale))
        left &= ~around
    return found if len(found) <= _MOST_MEETINGS else []
