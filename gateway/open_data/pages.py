"""The page of the open data, its files, and the clock that has them written every night."""

import asyncio
import gzip
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import BufferedReader

import aiohttp_jinja2
import asyncpg
import structlog
from aiohttp import web

from gateway.open311.book import public_book, services_of
from gateway.open311.record import Teller
from gateway.open_data.dashboard import Dashboard
from gateway.open_data.feed import COLUMNS, FILES, FOLDER, state_of, write_feed
from gateway.pages.layout import render
from gateway.settings import Settings
from router.rules import City
from store.pool import AWAY

log = structlog.stdlib.get_logger()

PAGE = "/open-data"
_TYPES = {"csv": "text/csv", "json": "application/json"}
_PIECE = 256 * 1024
_KEPT = "public, max-age=3600"
_REST = 1.0  # as long as each step took: the pages come first
_TOO_OLD = timedelta(hours=25)
_LATER = 300.0  # seconds


class OpenData:
    """One a process; the files lie in the data directory."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool, city: City) -> None:
        self._settings = settings
        self._pool = pool
        self._zone = city.zone
        self._book = public_book(city)
        self._services = services_of(city, settings)
        self._folder = settings.data / FOLDER
        self._writing: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PAGE, self.page),
            web.get(f"{PAGE}/requests.{{kind:csv|json}}", self.file),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Write the files every night until asked to stop; what is half written then, is left."""
        state = await asyncio.to_thread(state_of, self._folder)
        wait = self._until_night()
        if state is not None and datetime.now(UTC) - state.moment > _TOO_OLD:
            wait = min(wait, _LATER)  # a night was slept through
        stopped = asyncio.create_task(stop.wait(), name="open data stops")
        try:
            while not stop.is_set():
                await asyncio.wait({stopped}, timeout=wait)
                if not stop.is_set():
                    await asyncio.wait(
                        {stopped, self._begin()}, return_when=asyncio.FIRST_COMPLETED
                    )
                wait = self._until_night()
        finally:
            stopped.cancel()
            await self.close()

    async def close(self) -> None:
        """What is being written is given up; the old files stay."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing

    async def page(self, request: web.Request) -> web.Response:
        state = await asyncio.to_thread(state_of, self._folder)
        if state is None:
            self._begin()
        told = {
            "nav": "open-data",
            "state": state,
            "columns": COLUMNS,
            "kinds": tuple(FILES),
        }
        return render(request, "open_data/page.html", told)

    async def file(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        state = await asyncio.to_thread(state_of, self._folder)
        if state is None:
            # Nobody has asked since this city began: whoever is first, waits a little.
            self._begin()
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "15"})
        path = self._folder / FILES[kind]
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": _KEPT,
            "Content-Disposition": f'attachment; filename="requests.{kind}"',
            "Content-Type": f"{_TYPES[kind]}; charset=utf-8",
            "Last-Modified": state.moment.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "Vary": "Accept-Encoding",
        }
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        if packed:
            headers["Content-Encoding"] = "gzip"
        response = web.StreamResponse(headers=headers)
        # Read here and not by aiohttp, which would take the packing for the file's own kind.
        source: BufferedReader | gzip.GzipFile = await asyncio.to_thread(
            lambda: path.open("rb") if packed else gzip.open(path, "rb")
        )
        try:
            await response.prepare(request)
            while piece := await asyncio.to_thread(source.read, _PIECE):
                await response.write(piece)
            await response.write_eof()
        finally:
            source.close()
        return response

    def _begin(self) -> asyncio.Task[None]:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="open data")
        return self._writing

    async def _write(self) -> None:
        teller = Teller(self._book, self._services, f"{self._settings.base_url}/open311/v2")
        try:
            await write_feed(self._pool, self._book.rules, teller, self._folder, rest=_REST)
        except (*AWAY, asyncpg.PostgresError, OSError) as error:
            log.error("open data not written", error=type(error).__name__)

    def _until_night(self) -> float:
        now = datetime.now(self._zone)
        night = now.replace(hour=self._settings.open_data.hour, minute=0, second=0, microsecond=0)
        if night <= now:
            night = (night + timedelta(days=1)).replace(tzinfo=self._zone)
        return night.timestamp() - now.timestamp()


OPEN_DATA = web.AppKey("open_data", OpenData)


def prepare(app: web.Application, settings: Settings, pool: asyncpg.Pool, city: City) -> OpenData:
    """Give `app` the dashboard, the page and the files; whoever serves it runs what is returned."""
    open_data = OpenData(settings, pool, city)
    app.add_routes(open_data.routes())
    app.add_routes(Dashboard(pool, city).routes())
    aiohttp_jinja2.get_env(app).globals["open_data"] = True
    app[OPEN_DATA] = open_data
    return open_data
