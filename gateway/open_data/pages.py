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

from gateway.open311.desk import Open311Desk
from gateway.open311.record import Teller
from gateway.open_data.feed import COLUMNS, FILES, state_of, write_feed
from gateway.pages.layout import render
from gateway.settings import Settings
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

    def __init__(self, settings: Settings, pool: asyncpg.Pool, desk: Open311Desk) -> None:
        self._settings = settings
        self._pool = pool
        self._desk = desk
        self._folder = settings.data / "open-data"
        self._writing: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PAGE, self.page),
            web.get(f"{PAGE}/requests.{{kind:csv|json}}", self.file),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Write the files every night until asked to stop."""
        state = await asyncio.to_thread(state_of, self._folder)
        wait = self._until_night()
        if state is not None and datetime.now(UTC) - state.moment > _TOO_OLD:
            wait = min(wait, _LATER)  # a night was slept through
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
                break
            await self._write()
            wait = self._until_night()
        if self._writing is not None:
            self._writing.cancel()

    async def page(self, request: web.Request) -> web.Response:
        state = await asyncio.to_thread(state_of, self._folder)
        told = {
            "nav": "open-data",
            "state": state,
            "hour": self._settings.open_data.hour,
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

    def _begin(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="open data")

    async def _write(self) -> None:
        desk = self._desk
        teller = Teller(desk.public, desk.book, f"{self._settings.base_url}/open311/v2")
        try:
            await write_feed(self._pool, desk.public.rules, teller, self._folder, rest=_REST)
        except (*AWAY, asyncpg.PostgresError, OSError) as error:
            log.error("open data not written", error=type(error).__name__)

    def _until_night(self) -> float:
        now = datetime.now(self._desk.zone)
        night = now.replace(hour=self._settings.open_data.hour, minute=0, second=0, microsecond=0)
        while night <= now:
            night += timedelta(days=1)
        return (night - now).total_seconds()


OPEN_DATA = web.AppKey("open_data", OpenData)


def prepare(
    app: web.Application, settings: Settings, pool: asyncpg.Pool, desk: Open311Desk
) -> OpenData:
    """Give `app` the page and the files; whoever serves it runs what is returned."""
    open_data = OpenData(settings, pool, desk)
    app.add_routes(open_data.routes())
    aiohttp_jinja2.get_env(app).globals["open_data"] = True
    return open_data
