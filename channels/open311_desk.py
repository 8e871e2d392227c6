"""What the Open311 channel has to know of the city and of its apps; the gateway hands it in."""

import time
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from aiohttp import web

from channels.open311_services import ServiceBook


@dataclass(frozen=True)
class App:
    """A program that reports for residents, with a key of its own."""

    id: str
    """In small letters, as `fixmystreet`; never changes."""
    name: str
    a_minute: int
    a_day: int
    """Reports and updates at most."""
    active: bool
    test: bool
    """Whether its reports are only checked, and not filed."""


@dataclass(frozen=True)
class NamedCase:
    """A case that an app speaks of."""

    id: UUID
    app: str | None
    """The app that reported it."""
    is_public: bool


class Open311Desk(Protocol):
    """Raises `Unavailable` where it asks the database and that is away."""

    @property
    def book(self) -> ServiceBook: ...

    @property
    def zone(self) -> ZoneInfo: ...

    @property
    def recent(self) -> "Recent": ...

    async def app_with(self, key: str) -> App | None:
        """The app whose key this is."""

    async def case_named(self, reference: str) -> NamedCase | None:
        """The case with this reference, however it was typed."""

    def is_inside(self, lat: float, lon: float) -> bool:
        """Whether a point lies in the city."""

    def warning_for(self, text: str) -> str:
        """What the city says to somebody whose words sound like danger; empty for others."""

    def address_of(self, request: web.Request) -> str:
        """The network address that a request comes from, past our own proxies."""


class Recent:
    """References that were given out a moment ago: their cases are about to be there."""

    _KEPT = 60.0  # seconds
    _MOST = 10_000

    def __init__(self) -> None:
        self._given: dict[str, float] = {}

    def add(self, reference: str) -> None:
        now = time.monotonic()
        self._given.pop(reference, None)
        self._given[reference] = now
        while self._given:
            oldest = next(iter(self._given))
            if now - self._given[oldest] < self._KEPT and len(self._given) <= self._MOST:
                break
            del self._given[oldest]

    def __contains__(self, reference: str) -> bool:
        given = self._given.get(reference)
        return given is not None and time.monotonic() - given < self._KEPT
