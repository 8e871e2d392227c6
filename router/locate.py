"""
Where a complaint belongs on the map: from its point, or from its words to a point, to a district.

Pure. Nothing is guessed: what can be two places is asked about, what lies outside is said to, what
is not in the lists is kept as it was written, and whoever asks hears the reason.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import shapely
from shapely.geometry.base import BaseGeometry

from router.districts import DistrictMap, NamedArea
from router.gazetteer import Gazetteer, Spotted, metres
from router.mentions import Kind, Mention
from router.place_reader import mentions_in
from router.place_words import Street, street_of, words_of

_SAME = 250.0
"""Metres within which two names mean one place."""
_FAR = 1_000.0
"""Metres between a point and the words beside it that are worth a remark."""
_MOST_CHOICES = 5
_NOWHERE = frozenset(
    ("", "na", "n a", "none", "unknown", "idk", "no", "nowhere", "ninguna", "no se")
)


class Outcome(StrEnum):
    """What became of the question where it is."""

    FOUND = "found"
    """A point, inside the city."""
    NAMED = "named"
    """An address, a corner or a place was named whole, and its point is not on our lists."""
    VAGUE = "vague"
    """A street was named, and not where along it."""
    AMBIGUOUS = "ambiguous"
    """It can be several places, or nearly one: `choices`."""
    OUTSIDE = "outside"
    """It lies outside the city."""
    REFER = "refer"
    """Somebody else handles it, wherever it is: for sure."""
    NONE = "none"
    """Nothing was said about a place."""


@dataclass(frozen=True, slots=True)
class Spot:
    """What is asked: whatever a complaint says about its place."""

    lat: float | None
    lon: float | None
    address: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A place that may be meant."""

    name: str
    lat: float | None = None
    lon: float | None = None
    district: str | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """What is known of the place; None is an answer, and `reason` says why."""

    address: str | None
    lat: float | None
    lon: float | None
    district: str | None
    reason: str
    outcome: Outcome = Outcome.NONE
    approximate: bool = False
    choices: tuple[Choice, ...] = ()
    streets: tuple[Street, ...] = ()
    """The streets that were named: two are a corner."""
    town: str = ""
    """Another town that was named, as the city's lists call it."""
    kind: Kind | None = None
    """How the place was named."""
    query: str = ""
    """What a geocoder may be asked; empty where it could not help."""
    later: bool = False
    """A geocoder was asked and did not answer yet."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a geocoder said: places, none, or (`later`) nothing yet."""

    spots: tuple[Spotted, ...] = ()
    source: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the words give, before anybody looked which district it is in."""

    outcome: Outcome
    address: str | None = None
    spot: Spotted | None = None
    choices: tuple[Spotted, ...] = ()
    why: str = ""
    mention: Mention | None = None
    query: str = ""


class Locator:
    """Answers for one city: its boundary, its districts, its known places."""

    def __init__(
        self,
        boundary: BaseGeometry,
        districts: Sequence[NamedArea],
        gazetteer: Gazetteer | None = None,
        *,
        city: str = "",
        state: str = "",
    ) -> None:
        """`city` and `state` (as `MO`) are what a geocoder is told behind an address."""
        self.gazetteer = gazetteer or Gazetteer()
        self.districts = DistrictMap(districts)
        self._boundary = boundary
        shapely.prepare(self._boundary)
        self._behind = ", ".join(filter(None, (city, state)))
        self._state = state.casefold()

    def locate(self, spots: Sequence[Spot]) -> list[Located]:
        """The places of a batch, in its order."""
        readings = [self._read(spot) for spot in spots]
        return self._settled(spots, readings)

    def settle(
        self, spots: Sequence[Spot], located: Sequence[Located], answers: Mapping[str, Answer]
    ) -> list[Located]:
        """
        The same places once a geocoder answered: by `query`. What it does not know stays as it was.
        """
        settled = list(located)
        changed = [
            place
            for place, one in enumerate(located)
            if one.query in answers and one.outcome is Outcome.NAMED
        ]
        readings = [_heard(located[place], answers[located[place].query]) for place in changed]
        for place, one in zip(
            changed, self._settled([spots[place] for place in changed], readings), strict=True
        ):
            before = located[place]
            later = answers[before.query].later
            if one.outcome is Outcome.NAMED:
                why = "the geocoder has not answered yet" if later else "the geocoder knows it not"
                settled[place] = replace(before, reason=f"{before.reason}; {why}", later=later)
            else:
                settled[place] = replace(
                    one, streets=before.streets, kind=before.kind, town=before.town
                )
        return settled

    # ── from words ──────────────────────────────────────────────────────────────────────────────

    def _read(self, spot: Spot) -> _Reading:
        given = " ".join((spot.address or "").split())
        if " ".join(words_of(given)) in _NOWHERE:
            given = ""
        vocabulary = self.gazetteer.vocabulary
        if not given:
            return self._of_mentions(mentions_in(spot.text, vocabulary))
        reading = self._of_mentions(mentions_in(given, vocabulary))
        if reading.outcome is Outcome.NONE:
            bare = self._bare_address(given)
            if bare is not None:
                return bare
            which = self.gazetteer.closest_place(given)
            if which is not None:
                found = self.gazetteer.place(which)
                return self._of_spots(
                    given, [found], None, f'"{_short(given)}" read as {found.name}'
                )
            reading = _Reading(Outcome.NAMED, given, query=self._query(given))
        open_ = reading.outcome in (Outcome.NAMED, Outcome.VAGUE) and reading.spot is None
        # Where a pin says where it is, the text need not.
        if open_ and not _is_point(spot.lat, spot.lon):
            better = self._better_in(given, spot.text, reading)
            if better is not None:
                said = better.address or ""
                whole = given if said.casefold() in given.casefold() else f"{given} ({said})"
                return replace(better, address=whole)
        return replace(reading, address=given)

    def _bare_address(self, given: str) -> _Reading | None:
        """`4202 Forest`, which only in an address is no wood: if the lists know it."""
        number, *words = words_of(given) or [""]
        street = street_of(words) if number.isdigit() and len(number) <= 6 else None
        if street is None:
            return None
        spots = self.gazetteer.address(int(number), street)
        return self._of_spots(given, spots, None) if spots else None

    def _better_in(self, given: str, text: str, reading: _Reading) -> _Reading | None:
        """What the text says where the address alone says too little."""
        if not text or (reading.mention is not None and reading.mention.kind is not Kind.STREET):
            return None
        some = mentions_in(text, self.gazetteer.vocabulary)
        part_of_it = given.casefold() in " ".join(text.split()).casefold()
        if reading.mention is not None and not part_of_it:
            cores = {street.core for street in reading.mention.streets}
            some = [one for one in some if any(each.core in cores for each in one.streets)]
        better = self._of_mentions(some)
        says_more = better.outcome in (Outcome.FOUND, Outcome.AMBIGUOUS, Outcome.NAMED)
        return better if says_more else None

    def _of_mentions(self, mentions: Sequence[Mention]) -> _Reading:
        chosen = _chosen(mentions)
        if not chosen:
            return _Reading(Outcome.NONE)
        if len(chosen) == 1:
            return self._look_up(chosen[0])
        return self._of_several([self._look_up(mention) for mention in chosen])

    def _of_several(self, readings: Sequence[_Reading]) -> _Reading:
        """Several places are named: one if they are the same, else it has to be asked."""
        first = readings[0]
        apart: list[_Reading] = []
        for reading in readings:
            if not any(_same(reading, other) for other in apart):
                apart.append(reading)
        if len(apart) == 1:
            # The one that is on the map says it best.
            return next((one for one in readings if one.spot is not None), first)
        streets = [one for one in apart if one.outcome is Outcome.VAGUE]
        if len(streets) == len(apart):
            return self._of_streets(streets)
        inside = [one for one in apart if one.outcome is not Outcome.OUTSIDE]
        if len(inside) == 1:
            return inside[0]
        choices: list[Spotted] = []
        for one in inside or apart:
            choices.extend(one.choices or (one.spot or Spotted(one.address or "", None, None),))
        return _Reading(
            Outcome.AMBIGUOUS,
            "; ".join(one.address or "" for one in (inside or apart)[:_MOST_CHOICES]),
            choices=tuple(choices[:_MOST_CHOICES]),
            why="several places are named",
            mention=first.mention,
        )

    def _of_streets(self, readings: Sequence[_Reading]) -> _Reading:
        """Streets alone: two of them are likely a corner, which is asked about."""
        mentions = [one.mention for one in readings if one.mention is not None]
        words = " & ".join(mention.words for mention in mentions[:2])
        both = replace(mentions[0], streets=tuple(each.streets[0] for each in mentions))
        why = "streets are named, and not where along them"
        pair = len(mentions) == 2 and all(len(each.streets) == 1 for each in mentions)
        corner = self.gazetteer.corner(*both.streets) if pair else []
        if not corner:
            return _Reading(Outcome.VAGUE, words, why=why, mention=both)
        if len(corner) == 1 and mentions[1].near:
            spot = replace(corner[0], approximate=True)
            return _Reading(Outcome.FOUND, words, spot, mention=both)
        return _Reading(Outcome.AMBIGUOUS, words, choices=tuple(corner), why=why, mention=both)

    def _look_up(self, mention: Mention) -> _Reading:
        elsewhere = self._elsewhere(mention)
        if elsewhere:
            return _Reading(
                Outcome.OUTSIDE, mention.words, why=f"it is in {elsewhere}", mention=mention
            )
        match mention.kind:
            case Kind.ADDRESS:
                reading = self._address(mention)
            case Kind.BLOCK if len(mention.streets) == 3:
                reading = self._between(mention)
            case Kind.BLOCK:
                spots = self.gazetteer.block(mention.number or 0, mention.upto, mention.streets[0])
                reading = self._of_spots(mention.words, spots, mention)
            case Kind.CORNER:
                reading = self._corner(mention)
            case Kind.TOWN:
                reading = _Reading(Outcome.OUTSIDE, mention.words, why="it is a town")
            case Kind.PLACE:
                spot = self.gazetteer.place(mention.place or 0)
                reading = self._of_spots(mention.words, [spot], mention)
            case Kind.NAMED:
                which = self.gazetteer.closest_place(mention.words)
                spots = [] if which is None else [self.gazetteer.place(which)]
                why = f'"{mention.words}" read as {spots[0].name}' if spots else ""
                reading = self._of_spots(mention.words, spots, mention, why)
            case _:
                reading = _Reading(
                    Outcome.VAGUE,
                    mention.words,
                    why="a street is named, and not where along it",
                    mention=mention,
                )
        if mention.near and reading.spot is not None:
            return replace(reading, spot=replace(reading.spot, approximate=True))
        return reading

    def _elsewhere(self, mention: Mention) -> str:
        """The other town or state that stands behind a place; empty when none does."""
        town = mention.town
        if town and town.casefold() != self.gazetteer.vocabulary.own_town.casefold():
            return town
        if mention.state and self._state and mention.state != self._state:
            return "another state"
        return ""

    def _address(self, mention: Mention) -> _Reading:
        known, number = self.gazetteer, mention.number or 0
        (street,) = mention.streets
        spots = known.address(number, street, mention.zip)
        if spots or not known.has_addresses:
            return self._of_spots(mention.words, spots, mention)
        closest = None if known.knows(street) else known.closest(street.core)
        if closest is not None:
            meant = street._replace(core=closest)
            spots = [spot for spot in known.address(number, meant) if not spot.approximate]
            if spots:
                why = f'"{street.core}" read as "{closest}"'
                return self._of_spots(mention.words, spots, mention, why)
        # East for West, or Avenue for Street: likely, and still to be asked.
        nearly = known.address(number, street._replace(suffix="")) or known.address(
            number, street._replace(direction="")
        )
        if nearly:
            return _Reading(
                Outcome.AMBIGUOUS,
                mention.words,
                choices=tuple(nearly[:_MOST_CHOICES]),
                why="there is no such address, and nearly such ones",
                mention=mention,
            )
        return self._of_spots(mention.words, [], mention)

    def _corner(self, mention: Mention) -> _Reading:
        known = self.gazetteer
        one, other = mention.streets
        spots = known.corner(one, other)
        why = ""
        if len(spots) == 1 and known.is_in_quarters(one) and known.is_in_quarters(other):
            return _Reading(
                Outcome.AMBIGUOUS,
                mention.words,
                choices=tuple(spots),
                why="nobody said in which quarter of the city",
                mention=mention,
            )
        if not spots:
            read = [
                None if known.knows(street) else known.closest(street.core)
                for street in (one, other)
            ]
            if any(read):
                spots = known.corner(
                    one._replace(core=read[0] or one.core),
                    other._replace(core=read[1] or other.core),
                )
                said = [
                    f'"{street.core}" read as "{core}"'
                    for street, core in zip((one, other), read, strict=True)
                    if core
                ]
                why = ", ".join(said) if spots else ""
        return self._of_spots(mention.words, spots, mention, why)

    def _between(self, mention: Mention) -> _Reading:
        street, one, other = mention.streets
        ends = [self.gazetteer.corner(street, one), self.gazetteer.corner(street, other)]
        spots = []
        if all(len(end) == 1 and end[0].lat is not None for end in ends):
            (first,), (second,) = ends
            lat = ((first.lat or 0.0) + (second.lat or 0.0)) / 2
            lon = ((first.lon or 0.0) + (second.lon or 0.0)) / 2
            spots = [Spotted(mention.words, lat, lon, approximate=True)]
        return self._of_spots(mention.words, spots, mention)

    def _of_spots(
        self, words: str, spots: Sequence[Spotted], mention: Mention | None, why: str = ""
    ) -> _Reading:
        placed = [spot for spot in spots if spot.lat is not None]
        if not placed:
            # A name that the lists know says more to a geocoder than the words.
            asked = spots[0].name if spots else words
            return _Reading(
                Outcome.NAMED, words, mention=mention, query=self._query(asked), why=why
            )
        first = placed[0]
        if all(metres(spot.lat or 0.0, spot.lon or 0.0, first) <= _SAME for spot in placed[1:]):
            return _Reading(Outcome.FOUND, words, first, why=why, mention=mention)
        return _Reading(
            Outcome.AMBIGUOUS,
            words,
            choices=tuple(placed[:_MOST_CHOICES]),
            why=why or "there are several such places",
            mention=mention,
        )

    def _query(self, words: str) -> str:
        if not self._behind:
            return words
        city = self._behind.partition(",")[0]
        return words if city.casefold() in words.casefold() else f"{words}, {self._behind}"

    # ── to the district ─────────────────────────────────────────────────────────────────────────

    def _settled(self, spots: Sequence[Spot], readings: Sequence[_Reading]) -> list[Located]:
        """One look at the map for all points of a batch, those of the choices too."""
        lats: list[float] = []
        lons: list[float] = []

        def ask(lat: float | None, lon: float | None) -> int:
            if not _is_point(lat, lon) or lat is None or lon is None:
                return -1
            lats.append(lat)
            lons.append(lon)
            return len(lats) - 1

        asked = []
        for spot, reading in zip(spots, readings, strict=True):
            pinned = ask(spot.lat, spot.lon)
            named = ask(reading.spot.lat, reading.spot.lon) if reading.spot else -1
            asked.append((pinned, named, [ask(one.lat, one.lon) for one in reading.choices]))
        names = self.districts.names_of(lats, lons)
        inside = shapely.intersects_xy(self._boundary, lons, lats).tolist() if lats else []

        settled = []
        for spot, reading, (pinned, named, choices) in zip(spots, readings, asked, strict=True):
            about = [
                Choice(
                    one.name,
                    one.lat if at >= 0 else None,
                    one.lon if at >= 0 else None,
                    names[at] if at >= 0 else None,
                )
                for one, at in zip(reading.choices, choices, strict=True)
                if at < 0 or inside[at] or names[at] is not None
            ]
            # Two corners of the same two streets are one question.
            about = list({one.name: one for one in reversed(about)}.values())[::-1]
            if pinned >= 0:
                settled.append(self._pinned(spot, reading, names[pinned], is_inside=inside[pinned]))
            elif named >= 0 and reading.spot is not None:
                is_inside = inside[named] or names[named] is not None
                settled.append(self._named(reading, reading.spot, names[named], is_inside))
            else:
                settled.append(self._pointless(spot, reading, tuple(about)))
        return settled

    def _pinned(
        self, spot: Spot, reading: _Reading, district: str | None, *, is_inside: bool
    ) -> Located:
        reason = _district_said(district, "the point lies in it", is_inside=is_inside)
        if reading.spot is not None and spot.lat is not None and spot.lon is not None:
            away = metres(spot.lat, spot.lon, reading.spot)
            if away > _FAR:
                reason += f"; {reading.spot.name} lies {away / 1000:.1f} km from it"
        found = is_inside or district is not None
        return Located(
            reading.address,
            spot.lat,
            spot.lon,
            district,
            reason,
            Outcome.FOUND if found else Outcome.OUTSIDE,
            streets=reading.mention.streets if reading.mention else (),
            kind=reading.mention.kind if reading.mention else None,
            town="" if found else _town(reading),
        )

    def _named(
        self, reading: _Reading, spot: Spotted, district: str | None, is_inside: bool
    ) -> Located:
        what = f"{spot.name} lies in it"
        if spot.approximate:
            what += " (its point is approximate)"
        reason = _district_said(district, what, is_inside=is_inside)
        if reading.why:
            reason += f"; {reading.why}"
        return Located(
            reading.address,
            spot.lat,
            spot.lon,
            district,
            reason,
            Outcome.FOUND if is_inside else Outcome.OUTSIDE,
            approximate=spot.approximate,
            streets=reading.mention.streets if reading.mention else (),
            kind=reading.mention.kind if reading.mention else None,
        )

    def _pointless(self, spot: Spot, reading: _Reading, choices: tuple[Choice, ...]) -> Located:
        said = f'"{_short(reading.address or "")}"'
        outcome = reading.outcome
        if outcome is Outcome.AMBIGUOUS and not choices:
            outcome = Outcome.NAMED
        match outcome:
            case Outcome.NONE if spot.lat is not None or spot.lon is not None:
                reason = "the point is not a place on earth"
            case Outcome.NONE:
                reason = "no place was given"
            case Outcome.OUTSIDE:
                reason = f"{said} lies outside the city: {reading.why}"
            case Outcome.VAGUE:
                reason = f"{said} is not enough: {reading.why}"
            case Outcome.AMBIGUOUS:
                reason = f"{said} may be {_listed(choices)}: {reading.why}"
            case _:
                reason = f"{said} is not among the places we know"
        # Wherever of these it is, the district is the same.
        district = choices[0].district if choices else None
        if any(choice.district != district for choice in choices):
            district = None
        return Located(
            reading.address,
            None,
            None,
            district,
            f"{district or 'No district'}: {reason}",
            outcome,
            choices=choices if outcome is Outcome.AMBIGUOUS else (),
            streets=reading.mention.streets if reading.mention else (),
            kind=reading.mention.kind if reading.mention else None,
            town=_town(reading) if outcome is Outcome.OUTSIDE else "",
            query=reading.query,
        )


def _chosen(mentions: Sequence[Mention]) -> list[Mention]:
    """Of all places that are named those that may be the one that is meant."""
    here = [mention for mention in mentions if not mention.home]
    home = [mention for mention in mentions if mention.home]
    # Where somebody lives is where it is, if nothing better is said.
    if home and all(
        one.near or (one.kind is Kind.STREET and _on_street_of(one, home)) for one in here
    ):
        here = home
    exact = [one for one in here if one.kind in (Kind.ADDRESS, Kind.BLOCK, Kind.CORNER)]
    if exact:
        numbered = [one for one in exact if one.kind is not Kind.CORNER]
        cores = {street.core for one in numbered for street in one.streets}
        return [
            one
            for one in exact
            if one.kind is not Kind.CORNER or not any(each.core in cores for each in one.streets)
        ]
    places = [one for one in here if one.kind in (Kind.PLACE, Kind.NAMED)]
    if any(one.kind is Kind.PLACE for one in places):
        places = [one for one in places if one.kind is Kind.PLACE]
    streets = [one for one in here if one.kind is Kind.STREET]
    elsewhere = [one for one in streets if one.town]
    if elsewhere:
        return elsewhere
    if streets:
        # "Liberty north of the Square" is somewhere on Liberty.
        places = [one for one in places if not one.aside]
    if places:
        return [one for one in places if not one.near] or places
    # A town is where it is only if nothing else is said.
    return streets or [one for one in here if not one.home]


def _on_street_of(one: Mention, others: Sequence[Mention]) -> bool:
    cores = {street.core for other in others for street in other.streets}
    return all(street.core in cores for street in one.streets)


def _same(one: _Reading, other: _Reading) -> bool:
    """Whether two readings mean one place."""
    if one.spot is not None and other.spot is not None:
        lat, lon = one.spot.lat, one.spot.lon
        return lat is not None and lon is not None and metres(lat, lon, other.spot) <= _SAME
    mine, theirs = one.mention, other.mention
    if mine is None or theirs is None:
        return False
    if mine.kind in (Kind.PLACE, Kind.NAMED) and theirs.kind in (Kind.PLACE, Kind.NAMED):
        return mine.place == theirs.place and words_of(mine.words) == words_of(theirs.words)
    return (
        mine.number == theirs.number
        and mine.kind is theirs.kind
        and {street.core for street in mine.streets} == {street.core for street in theirs.streets}
        and not any(
            a.core == b.core and a.direction and b.direction and a.direction != b.direction
            for a in mine.streets
            for b in theirs.streets
        )
    )


def _heard(located: Located, answer: Answer) -> _Reading:
    """A geocoder's answer as a reading of the words."""
    if not answer.spots:
        return _Reading(Outcome.NAMED, located.address, query=located.query)
    first = answer.spots[0]
    if all(metres(spot.lat or 0.0, spot.lon or 0.0, first) <= _SAME for spot in answer.spots[1:]):
        return _Reading(Outcome.FOUND, located.address, first, why=f"found by {answer.source}")
    return _Reading(
        Outcome.AMBIGUOUS,
        located.address,
        choices=answer.spots[:_MOST_CHOICES],
        why=f"{answer.source} knows several such places",
    )


def _town(reading: _Reading) -> str:
    return reading.mention.town if reading.mention else ""


def _district_said(district: str | None, what: str, *, is_inside: bool) -> str:
    if district is not None:
        return f"{district}: {what}"
    if is_inside:
        return "No district: the point lies inside the city, but in none of its districts"
    return "No district: the point lies outside the city"


def _listed(choices: Sequence[Choice]) -> str:
    names = [f'"{_short(choice.name)}"' for choice in choices]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _is_point(lat: float | None, lon: float | None) -> bool:
    return (
        lat is not None
        and lon is not None
        and math.isfinite(lat)
        and math.isfinite(lon)
        and -90 <= lat <= 90
        and -180 <= lon <= 180
    )


def _short(address: str) -> str:
    return address if len(address) <= 80 else address[:79] + "…"
