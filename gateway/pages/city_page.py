"""What pages show of the city: its name, colour, phone numbers and words, from its folder."""

import colorsys
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import shapely
import usaddress

from gateway.pages.places import Ask, Helper, asking, helpers_of
from router.locate import Locator, Spot
from router.rules import City

Words = Mapping[str, str]
"""One text in several languages, by language code."""

_NEAR = 400.0  # metres
_MADE_UP = {"en": "Demonstration: the data of this city is made up."}


@dataclass(frozen=True)
class Phone:
    label: Words
    number: str
    """As people write it: `(816) 325-7000`."""

    @property
    def href(self) -> str:
        digits = re.sub(r"\D", "", self.number)
        return f"tel:+1{digits}" if len(digits) == 10 else f"tel:{digits}"


@dataclass(frozen=True)
class Choice:
    """A problem type as residents may choose it."""

    value: str
    label: Words
    hint: Words = field(default_factory=dict)


@dataclass(frozen=True)
class CityPage:
    name: str
    state: str
    colour: str
    """As `#1a4480`; what is drawn with it is darkened until it can be read."""
    timezone: str
    title: Words = field(default_factory=dict)
    """As `City of Independence`."""
    website: str = ""
    city_hall: str = ""
    logo_text: str = ""
    tagline: Words = field(default_factory=dict)
    phones: tuple[Phone, ...] = ()
    emergency: Words = field(default_factory=dict)
    """When to call 911 instead, in the city's words."""
    choices: tuple[Choice, ...] = ()
    """The problem types that residents may choose."""
    types: Mapping[str, Words] = field(default_factory=dict)
    """The plain words for every problem type, those of staff too."""
    departments: Mapping[str, Words] = field(default_factory=dict)
    sample: Words = field(default_factory=dict)
    """What marks a folder whose data is made up; empty for a real city."""
    sounds_urgent: Callable[[str], bool] = lambda text: False
    place_named: Callable[[str], tuple[float, float] | None] = lambda address: None
    """The point of an address that the city knows."""
    place_near: Callable[[float, float], str] = lambda lat, lon: ""
    """A known place close to a point; empty when there is none."""
    is_inside: Callable[[float, float], bool] = lambda lat, lon: True
    helpers: Mapping[str, Helper] = field(default_factory=dict)
    """Who helps with what is not the city's, by the name in the city's folder."""
    doubt: Ask = lambda spot, problem_type: None
    """What is open about a place that somebody gives."""

    def is_elsewhere(self, address: str, lat: float | None, lon: float | None) -> bool:
        """Whether a place lies outside the city, as far as a point or a town's name tells."""
        if lat is not None and lon is not None:
            return not self.is_inside(lat, lon)
        if not address or self.place_named(address):
            return False
        town = town_of(address)
        return bool(town) and town.casefold() != self.name.casefold()

    def label_of(self, problem_type: str, language: str) -> str:
        return in_language(self.types.get(problem_type, {}), language) or problem_type

    def department_label(self, department: str, language: str) -> str:
        return in_language(self.departments.get(department, {}), language) or department

    @property
    def style(self) -> str:
        """The style sheet with the city's colour."""
        main = readable(self.colour)
        return (
            ":root {\n"
            f"  --city: {main};\n"
            f"  --city-dark: {_mixed(main, '#000000', 0.35)};\n"
            f"  --city-pale: {_mixed(main, '#ffffff', 0.92)};\n"
            f"  --city-line: {_mixed(main, '#ffffff', 0.75)};\n"
            "}\n"
        )

    @property
    def style_url(self) -> str:
        return f"/city-{hashlib.sha256(self.style.encode()).hexdigest()[:12]}.css"


def page_of(city: City) -> CityPage:
    """What pages show of a city that was loaded."""
    locator = Locator(
        city.boundary, city.districts, city.gazetteer, city=city.name, state=city.state_code
    )

    def place_named(address: str) -> tuple[float, float] | None:
        (found,) = locator.locate([Spot(None, None, address, "")])
        return (found.lat, found.lon) if found.lat is not None and found.lon is not None else None

    def place_near(lat: float, lon: float) -> str:
        nearest = min(
            (
                (_metres(lat, lon, place.lat, place.lon), place.name)
                for place in city.places
                if place.lat is not None and place.lon is not None
            ),
            default=(math.inf, ""),
        )
        return nearest[1] if nearest[0] < _NEAR else ""

    return CityPage(
        name=city.name,
        state=city.state,
        colour=city.colour,
        timezone=city.timezone,
        title=city.title,
        website=city.website,
        city_hall=city.city_hall,
        logo_text=city.logo_text,
        tagline=city.tagline,
        phones=tuple(Phone(one.label, one.phone) for one in city.contacts),
        emergency=city.emergency.text,
        choices=tuple(Choice(kind.name, kind.label, kind.hint) for kind in city.offered),
        types={kind.name: kind.label for kind in city.problem_types},
        departments={name: one.label for name, one in city.departments_by_name.items()},
        sample=(city.sample_note or _MADE_UP) if city.sample else {},
        sounds_urgent=lambda text: city.emergency_words.found_in(text) is not None,
        place_named=place_named,
        place_near=place_near,
        helpers=helpers_of(city),
        doubt=asking(city, locator),
        is_inside=lambda lat, lon: bool(shapely.covers(city.boundary, shapely.Point(lon, lat))),
    )


def town_of(address: str) -> str:
    """The town that an address names beside its state or ZIP code; empty when it names none."""
    try:
        parts, _ = usaddress.tag(address)
    except usaddress.RepeatedLabelError:
        return ""
    if "StateName" not in parts and "ZipCode" not in parts:
        return ""  # a lone last word may be anything
    return str(parts.get("PlaceName", "")).strip(" ,.")


def in_language(words: Words, language: str) -> str:
    """The text in this language, else in English, else in any."""
    return words.get(language) or words.get("en") or next(iter(words.values()), "")


def readable(colour: str) -> str:
    """The colour, darkened until white text on it has a contrast of 4.5 or better."""
    shown = colour.lower()
    while _contrast_with_white(shown) < 4.5:
        hue, light, saturation = colorsys.rgb_to_hls(*_channels(shown))
        shown = _written(*colorsys.hls_to_rgb(hue, max(light - 0.02, 0.0), saturation))
    return shown


def _contrast_with_white(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in _channels(colour)
    )
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _mixed(colour: str, other: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return _written(*(mine * (1 - share) + theirs * share for mine, theirs in pairs))


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _written(red: float, green: float, blue: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in (red, green, blue))


def _metres(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    # Flat earth: good enough within a city.
    north = (lat - other_lat) * 111_320
    east = (lon - other_lon) * 111_320 * math.cos(math.radians(lat))
    return math.hypot(north, east)
