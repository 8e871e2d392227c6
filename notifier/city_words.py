"""What a notice needs to know of the city: its names, colour, phones, and labels in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phone:
    """A number that residents may call, with what it is for in each language."""

    number: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CityWords:
    """
    A city in words. Every mapping goes from a language (`en`, `es`) to what is said in it; what
    is missing falls back to English, then to the name itself.
    """

    name: str
    """As people say it: `Independence`."""
    state: str
    timezone: str = "America/Chicago"
    colour: str = "#1a4480"
    """The band on top of every mail, as `#rrggbb`; white or black letters are chosen to suit."""
    website: str = ""
    phones: tuple[Phone, ...] = ()
    full_names: Mapping[str, str] = field(default_factory=dict)
    """Where `City of <name>` is not what it is called: `{"en": "Village of Oak"}`."""
    emergency_text: Mapping[str, str] = field(default_factory=dict)
    """Whom to call when somebody is in danger, in the city's own words."""
    type_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Language, then problem type, then its label in plain words."""
    department_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Language, then department, then its label in plain words."""
    agencies: Mapping[str, Phone] = field(default_factory=dict)
    """Others who help with what is not the city's, by their name in its folder."""
