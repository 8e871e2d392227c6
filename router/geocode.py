"""
Asks a geocoder for the points that no list of the city has: Census, Nominatim or ArcGIS.

Off the pure path. An answer is kept, so that nothing is asked twice; questions are spread over time
as the provider's rules want it; one that fails is left alone for a while. What it says is only
believed where it is exact: the number, the street or the name that was asked for, inside the city's
surroundings. Nobody waits for it longer than `patience`.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from aiolimiter import AsyncLimiter
from geopy.adapters import AioHTTPAdapter
from geopy.geocoders import ArcGIS, Nominatim
from rapidfuzz.fuzz import token_set_ratio
from shapely.geometry.base import BaseGeometry

from router.gazetteer import Spotted
from router.locate import Answer
from router.place_reader import mentions_in
from router.place_words import street_named, words_of
from router.settings import GeocoderSettings

log = structlog.stdlib.get_logger()

# The library writes every address that it asks for into its log.
logging.getLogger("geopy").setLevel(logging.WARNING)

_FAILURES = 3
_MOST_WAITING = 200
"""Questions that may wait for their turn; others are asked when the case is looked at again."""
_KEEP_UNKNOWN = 24 * 3600.0
_MOST_KEPT = 200_000
_NEARLY = 85.0
"""How alike a place's name has to be to the one that was asked for."""
_SURE = 90.0
"""ArcGIS's own score for what it is sure of."""
_CENSUS = "https://geocoding.geo.census.gov/geocoder/locations/onelineaddress"
_AGENT = "Buckstop (a city's complaint desk)"

Ask = Callable[[str], Awaitable[list[Spotted]]]
"""One question to a provider. Raises for whatever keeps it from answering."""

NAMES = {"census": "the Census Bureau", "nominatim": "OpenStreetMap", "arcgis": "ArcGIS"}


class Geocoder:
    """Answers many questions at once, from what is kept or from the provider."""

    def __init__(self, settings: GeocoderSettings, ask: Ask, kept: "Kept") -> None:
        self._settings = settings
        self._ask = ask
        self._kept = kept
        self._source = NAMES[settings.provider]
        # Not so many at once after a pause: one, then the next when its time has come.
        self._turns = AsyncLimiter(1, 1 / settings.per_second)
        self._asking: dict[str, asyncio.Task[Answer | None]] = {}
        self._failures = 0
        self._rests_until = 0.0

    async def find(self, queries: Sequence[str]) -> dict[str, Answer]:
        """
        What is known of each place within `patience` seconds. What comes later is kept, and until
        then the answer is `later`.
        """
        wanted = list(dict.fromkeys(queries))
        found = await asyncio.to_thread(self._kept.read, wanted)
        answers = {query: Answer(tuple(spots), self._source) for query, spots in found.items()}
        tasks = {query: task for query in wanted if query not in answers
                 and (task := self._task(query)) is not None}  # fmt: skip
        if tasks:
            await asyncio.wait(set(tasks.values()), timeout=self._settings.patience)
        for query in wanted:
            if query in answers:
                continue
            task = tasks.get(query)
            got = task.result() if task is not None and task.done() else None
            answers[query] = got or Answer(source=self._source, later=True)
        return answers

    async def close(self) -> None:
        """Ask nothing more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._kept.close)

    @property
    def rests(self) -> bool:
        """Whether the provider failed so often that it is left alone for now."""
        return time.monotonic() < self._rests_until

    def _task(self, query: str) -> "asyncio.Task[Answer | None] | None":
        if query in self._asking:
            return self._asking[query]
        if self.rests or len(self._asking) >= _MOST_WAITING:
            return None
        task = asyncio.create_task(self._find(query), name="geocode")
        self._asking[query] = task
        task.add_done_callback(lambda _: self._asking.pop(query, None))
        return task

    async def _find(self, query: str) -> Answer | None:
        async with self._turns:
            if self.rests:
                return None
            try:
                async with asyncio.timeout(self._settings.timeout):
                    spots = await self._ask(query)
            except Exception as error:
                # Whatever it is: the case is routed without it.
                self._failures += 1
                if self._failures >= _FAILURES:
                    self._rests_until = time.monotonic() + self._settings.rest
                log.warning(
                    "geocoder failed",
                    error=type(error).__name__,
                    failures=self._failures,
                    rests=self.rests,
                )
                return None
        self._failures = 0
        await asyncio.to_thread(self._kept.write, query, spots)
        return Answer(tuple(spots), self._source)


# ── what was answered before ────────────────────────────────────────────────────────────────────


class Kept:
    """Answers on disk, under a hash of what was asked; several processes may share the file."""

    def __init__(self, path: Path, provider: str, keep_days: int) -> None:
        self._provider = provider
        self._keep = keep_days * 24 * 3600.0
        self._turn = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open(path)

    def _open(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(asked BLOB PRIMARY KEY, at REAL NOT NULL, found TEXT NOT NULL)"
            )
            self._db.execute("DELETE FROM answers WHERE at < ?", (time.time() - self._keep,))
            self._db.commit()
        except sqlite3.DatabaseError:
            # It holds nothing that could not be asked again.
            self._db.close()
            path.unlink()
            log.warning("the geocoder's answers could not be read and are begun anew")
            self._open(path)

    def read(self, queries: Sequence[str]) -> dict[str, list[Spotted]]:
        """The answers that are kept and not too old."""
        now, found = time.time(), {}
        with self._turn:
            for query in queries:
                row = self._db.execute(
                    "SELECT at, found FROM answers WHERE asked = ?", (self._key(query),)
                ).fetchone()
                if row is None:
                    continue
                spots = [Spotted(*one) for one in json.loads(row[1])]
                if now - row[0] < (self._keep if spots else min(self._keep, _KEEP_UNKNOWN)):
                    found[query] = spots
        return found

    def write(self, query: str, spots: Sequence[Spotted]) -> None:
        found = json.dumps([[one.name, one.lat, one.lon, one.approximate] for one in spots])
        with self._turn, self._db:
            self._db.execute(
                "INSERT INTO answers (asked, at, found) VALUES (?, ?, ?) "
                "ON CONFLICT (asked) DO UPDATE SET at = excluded.at, found = excluded.found",
                (self._key(query), time.time(), found),
            )
            self._db.execute(
                "DELETE FROM answers WHERE rowid IN "
                "(SELECT rowid FROM answers ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (_MOST_KEPT,),
            )

    def close(self) -> None:
        with self._turn:
            self._db.close()

    def _key(self, query: str) -> bytes:
        said = f"{self._provider}\n{' '.join(words_of(query))}"
        return hashlib.sha256(said.encode()).digest()


# ── providers ───────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def open_geocoder(
    settings: GeocoderSettings, boundary: BaseGeometry, data: Path
) -> AsyncIterator[Geocoder | None]:
    """The geocoder of the settings, None without one. Answers are kept in `data`."""
    if not settings.provider:
        yield None
        return
    kept = Kept(data / "geocoder.sqlite3", settings.provider, settings.keep_days)
    opened = {"census": _census, "nominatim": _nominatim, "arcgis": _arcgis}[settings.provider]
    async with opened(settings, boundary) as ask:
        geocoder = Geocoder(settings, ask, kept)
        log.info("geocoder open", provider=settings.provider)
        try:
            yield geocoder
        finally:
            with contextlib.suppress(Exception):
                await geocoder.close()


@asynccontextmanager
async def _census(settings: GeocoderSettings, _boundary: BaseGeometry) -> AsyncIterator[Ask]:
    url = settings.url or _CENSUS
    async with aiohttp.ClientSession(headers={"User-Agent": _agent(settings)}) as session:

        async def ask(query: str) -> list[Spotted]:
            asked = {"address": query, "benchmark": "Public_AR_Current", "format": "json"}
            async with session.get(url, params=asked) as response:
                response.raise_for_status()
                answer = await response.json(content_type=None)
            matches = answer["result"]["addressMatches"]
            return [
                Spotted(str(one["matchedAddress"]), one["coordinates"]["y"],
                        one["coordinates"]["x"], approximate=True)
                for one in matches
                if _is_asked(query, str(one["matchedAddress"]))
            ]  # fmt: skip

        yield ask


@asynccontextmanager
async def _nominatim(settings: GeocoderSettings, boundary: BaseGeometry) -> AsyncIterator[Ask]:
    west, south, east, north = boundary.bounds
    async with Nominatim(
        user_agent=_agent(settings), adapter_factory=AioHTTPAdapter, **_at(settings)
    ) as geocoder:

        async def ask(query: str) -> list[Spotted]:
            places = await geocoder.geocode(
                query,
                exactly_one=False,
                limit=5,
                addressdetails=True,
                country_codes="us",
                viewbox=((north, west), (south, east)),
                bounded=True,
            )
            return [
                Spotted(_named(one.raw, one.address), one.latitude, one.longitude)
                for one in places or ()
                if _is_asked(query, _named(one.raw, one.address), str(one.raw.get("name") or ""))
            ]

        yield ask


@asynccontextmanager
async def _arcgis(settings: GeocoderSettings, _boundary: BaseGeometry) -> AsyncIterator[Ask]:
    async with ArcGIS(
        user_agent=_agent(settings), adapter_factory=AioHTTPAdapter, **_at(settings, path=False)
    ) as geocoder:
        if settings.url:
            geocoder.api = settings.url

        async def ask(query: str) -> list[Spotted]:
            places = await geocoder.geocode(query, exactly_one=False, out_fields="*")
            return [
                Spotted(one.address, one.latitude, one.longitude)
                for one in places or ()
                if float(one.raw.get("score") or 0) >= _SURE
                and _is_asked(query, one.address, one.address)
            ]

        yield ask


def _agent(settings: GeocoderSettings) -> str:
    return f"{_AGENT}; {settings.contact}" if settings.contact else _AGENT


def _at(settings: GeocoderSettings, *, path: bool = True) -> dict[str, str]:
    """A server of one's own, as geopy names it."""
    if not settings.url:
        return {}
    parts = urlsplit(settings.url)
    return {"scheme": parts.scheme, "domain": parts.netloc + (parts.path if path else "")}


def _named(raw: Mapping[str, Any], address: str) -> str:
    """A house as its number and street; else the whole that Nominatim writes."""
    parts = raw.get("address") or {}
    if parts.get("house_number") and parts.get("road"):
        return f"{parts['house_number']} {parts['road']}"
    return address


@dataclass(frozen=True)
class _Sought:
    number: int | None
    cores: frozenset[str]
    direction: str


def _is_asked(query: str, found: str, name: str = "") -> bool:
    """Whether an answer is what was asked for, and not merely near it."""
    sought, got = _sought(query), _sought(found)
    if sought.number is not None:
        return (
            sought.number == got.number
            and sought.cores == got.cores
            and (not sought.direction or sought.direction == got.direction)
        )
    if len(sought.cores) == 2:
        return sought.cores == got.cores
    asked = query.partition(",")[0]
    return bool(name) and token_set_ratio(asked.casefold(), name.casefold()) >= _NEARLY


def _sought(address: str) -> _Sought:
    head = address.partition(",")[0]
    number, *rest = words_of(head) or [""]
    if number.isdigit() and rest:
        street = street_named(" ".join(rest))
        if street is not None:
            return _Sought(int(number), frozenset((street.core,)), street.direction)
    mentions = mentions_in(head)
    if len(mentions) == 1 and len(mentions[0].streets) == 2:
        return _Sought(None, frozenset(one.core for one in mentions[0].streets), "")
    parts = [street_named(part) for part in head.split(" & ")]
    if len(parts) == 2 and parts[0] and parts[1]:
        return _Sought(None, frozenset(part.core for part in parts if part), "")
    return _Sought(None, frozenset(), "")
