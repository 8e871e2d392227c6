"""
A column map: which column of another system's export says what, and what its words mean.

It is a TOML file, so that a city brings its own past without a programmer (docs/history.md).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from store.model import Outcome

MAPS = Path(__file__).parent / "maps"
"""The maps that come with Buckstop."""

OPEN = "open"

Folded = Literal["department", "problem_type", "district", "channel"]


class BadMap(Exception):
    """A column map that cannot be used; `faults` says in sentences what to mend."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Columns(BaseModel):
    """The names of the columns; only the first two have to be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str
    """What a request is called there; each has its own."""
    opened: str
    opened_time: str | None = None
    """Where the time of day has a column of its own."""
    closed: str | None = None
    closed_time: str | None = None
    days_to_close: str | None = None
    """Their own count: a closed request without one is left out of the times to close."""
    status: str | None = None
    """Without one, whatever has a closing date is closed."""
    problem_type: str | None = None
    department: str | None = None
    district: str | None = None
    channel: str | None = None
    address: str | None = None
    lat: str | None = None
    lon: str | None = None
    text: str | None = None
    closing_words: str | None = None


class ColumnMap(BaseModel):
    """How one system's export is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    """Under it their numbers are unique, for ever: a map keeps its name."""
    about: str = ""
    timezone: str
    """In which the export's days and hours are told."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    dates: tuple[str, ...] = ("iso",)
    """As Python's `strptime` writes them, in the order in which they are tried; or `iso`."""
    times: tuple[str, ...] = ("%H:%M", "%H:%M:%S")
    nothing: tuple[str, ...] = (
        *("NULL", "None", "N/A"),
        *("No Department Assigned", "No District Assigned"),
    )
    """What stands in a cell that says nothing; an empty cell always does."""
    whole_numbers: tuple[str, ...] = ()
    """The columns, by our names, in which `3.0` is the number 3."""
    channel: str = "import"
    """The channel of those that name none."""
    columns: Columns
    status: Mapping[str, str] = {}
    """Their words for `open`, and for each of our outcomes."""
    names: Mapping[Folded, Mapping[str, str]] = {}
    """What their words are called here, by our column's name; others are kept."""

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f'"{name}" is no time zone, as "America/Chicago" is one') from error
        return name

    @field_validator("encoding")
    @classmethod
    def _an_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError as error:
            raise ValueError(f'"{name}" is no encoding, as "utf-8" and "cp1252" are') from error
        return name

    @field_validator("status")
    @classmethod
    def _known_ends(cls, status: Mapping[str, str]) -> Mapping[str, str]:
        known = {OPEN, *Outcome}
        if unknown := sorted(set(status.values()) - known):
            raise ValueError(f"{', '.join(unknown)}: choose of {', '.join(sorted(known))}")
        return status

    @field_validator("whole_numbers")
    @classmethod
    def _known_columns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(names) - set(Columns.model_fields)):
            raise ValueError(f"{', '.join(unknown)}: there is no such column of ours")
        return names


class Open311Columns(Columns):
    """
    Which part of an Open311 request says what; unless said otherwise, as GeoReport v2 has it. A
    part of a part is written with a dot: `extended_attributes.ward`.
    """

    number: str = "service_request_id"
    opened: str = "requested_datetime"
    closed: str | None = "updated_datetime"
    status: str | None = "status"
    problem_type: str | None = "service_name"
    department: str | None = "agency_responsible"
    address: str | None = "address"
    lat: str | None = "lat"
    lon: str | None = "long"
    text: str | None = "description"
    closing_words: str | None = "status_notes"

    @property
    def extended(self) -> bool:
        """Whether something of it is told only when extensions are asked for."""
        return any("." in (getattr(self, name) or "") for name in Columns.model_fields)


class Open311Map(ColumnMap):
    """How the requests of one Open311 endpoint are read."""

    columns: Open311Columns = Open311Columns()
    status: Mapping[str, str] = {
        **dict.fromkeys(("open", "for_triage", "investigating", "in_progress"), OPEN),
        **dict.fromkeys(("planned", "action_scheduled", "internal_referral", "reopen"), OPEN),
        **dict.fromkeys(("closed", "fixed"), "fixed"),
        **dict.fromkeys(("no_further_action", "cancelled"), "cannot"),
        "not_councils_responsibility": "referred",
        "duplicate": "duplicate",
    }
    """Those of the standard, and those that FixMyStreet and its like have besides."""


M = TypeVar("M", bound=ColumnMap)


def load_map(named: str, kind: type[M]) -> M:
    """
    The map of that name that comes with Buckstop, or the one in that file.

    Raises `BadMap` with every fault.
    """
    ours = MAPS / f"{named}.toml"
    path = ours if ours.parent == MAPS and ours.is_file() else Path(named)
    try:
        return kind.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        known = ", ".join(sorted(one.stem for one in MAPS.glob("*.toml")))
        raise BadMap(
            [f"{named}: there is no such map, and no such file. Maps that come along: {known}."]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMap([f"{path} is not TOML: {error}."]) from error
    except ValidationError as error:
        raise BadMap([_sentence(path, fault) for fault in error.errors()]) from error


def _sentence(path: Path, fault: ErrorDetails) -> str:
    where = ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{path}, {where}: there is no such line in a map."
    if fault["type"] == "missing":
        return f"{path}, {where}: this line is missing."
    return f"{path}, {where}: {fault['msg'].removeprefix('Value error, ')}."
