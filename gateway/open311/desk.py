"""What the Open311 channel stands on, from the city's folder and the store."""

from zoneinfo import ZoneInfo

import asyncpg
import shapely
from aiohttp import web

from bus.errors import Unavailable
from bus.identity import read_reference
from channels.open311_desk import App, NamedCase, Recent
from channels.open311_services import ServiceBook
from gateway.open311.book import PublicBook, public_book, services_of
from gateway.pages.client import address_of
from gateway.settings import Settings
from router.rules import City
from store import apps, published
from store.pool import AWAY

_ACQUIRE_SECONDS = 5.0


class Open311Desk:
    """Asks the store; says `Unavailable` when that is away."""

    def __init__(self, city: City, settings: Settings, pool: asyncpg.Pool) -> None:
        self.book: ServiceBook = services_of(city, settings)
        self.public: PublicBook = public_book(city)
        self.zone: ZoneInfo = city.zone
        self.recent = Recent()
        self._pool = pool
        self._city = city

    async def app_with(self, key: str) -> App | None:
        try:
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as conn:
                known = await apps.with_key(conn, key)
        except AWAY as error:
            raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
        if known is None:
            return None
        return App(
            id=known.id,
            name=known.name,
            a_minute=known.a_minute,
            a_day=known.a_day,
            active=known.active,
            test=known.test,
        )

    async def case_named(self, reference: str) -> NamedCase | None:
        known = read_reference(reference)
        if known is None:
            return None
        try:
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as conn:
                case = await published.named(conn, self.public.rules, known)
        except AWAY as error:
            raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
        return None if case is None else NamedCase(case.id, case.app, case.is_public)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north of the city, in degrees."""
        west, south, east, north = self._city.boundary.bounds
        return west, south, east, north

    def is_inside(self, lat: float, lon: float) -> bool:
        return bool(shapely.covers(self._city.boundary, shapely.Point(lon, lat)))

    def warning_for(self, text: str) -> str:
        urgent = self._city.emergency_words.found_in(text) is not None
        return self._city.emergency.text.get("en", "") if urgent else ""

    def address_of(self, request: web.Request) -> str:
        return address_of(request)
