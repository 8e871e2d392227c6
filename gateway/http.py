"""The web application: every audience's pages and every channel's routes behind one port."""

import asyncio

import structlog
from aiohttp import web

from bus import traces
from bus.errors import Unavailable
from channels.photos import Darkroom
from channels.second_look import SecondLook
from channels.web_form import WebForm
from gateway import health, keys
from gateway.compiled import compiled_templates
from gateway.demo.pages import DemoPages
from gateway.house import House
from gateway.likely import LikelyReports
from gateway.open311 import routes as open311
from gateway.open_data import pages as open_data
from gateway.open_data.pages import OPEN_DATA
from gateway.operator import routes as operator
from gateway.pages import layout
from gateway.pages.city_page import page_of
from gateway.resident import routes as resident
from gateway.staff import routes as staff
from gateway.traces import trace_requests
from store.migrate import pending

log = structlog.stdlib.get_logger()

# A text of 100,000 emoji is 1.2 MB when a form sends it, and gets an answer that keeps it.
# Photos are streamed and counted by the page that takes them.
_MOST_BYTES = 4 * 1024 * 1024
_GRACE = 10.0  # seconds that requests under way have to finish


def application(house: House) -> web.Application:
    """The application, not yet served."""
    app = web.Application(client_max_size=_MOST_BYTES)
    app[keys.BUS] = house.bus
    app[keys.KEEPER] = house.keeper
    app[keys.CHANNELS] = house.channels
    app[keys.POOL] = house.pool
    app[keys.FILES] = house.files
    app[keys.DRAFTS] = house.bus.drafts
    app[keys.TELL] = house.bus.tell
    app[keys.CITY] = house.city
    app[keys.ROUTER] = house.router
    app[keys.LIKELY] = LikelyReports(house.pool, house.router, house.settings.store.duplicates)
    app[keys.INTAKE] = house.intake
    app[keys.SECOND_LOOK] = SecondLook(house.around)
    app[keys.SETTINGS] = house.settings
    app[keys.WEB_FORM] = WebForm(
        house.intake, problem_types=[kind.name for kind in house.city.offered]
    )
    app[keys.DARKROOM] = Darkroom()
    layout.prepare(
        app,
        page_of(house.city),
        demo=house.stage is not None,
        compiled=compiled_templates(house.settings),
    )
    app.add_routes(health.routes(pings(house)))
    for channel in house.channels.values():
        app.add_routes(channel.routes)
    app.add_routes(resident.routes())
    if house.open311 is not None:
        open311.prepare(app, house.open311, house.settings, house.city)
    if house.settings.open_data.enabled:
        open_data.prepare(app, house.settings, house.pool, house.city)
    if house.stage is not None:
        app.add_routes(DemoPages(house.stage).routes())
    staff.prepare(app)
    operator.prepare(app)
    if traces.recorder() is not None:
        app.middlewares.insert(0, trace_requests)
    return app


def pings(house: House) -> dict[str, health.Ping]:
    """What the pages stand on, each by name."""

    async def bus() -> None:
        # No question that could time out: `flush` and `rtt` of nats-py do, and the answer that then
        # comes late ends the client's reading loop for a minute.
        if not house.bus.client.is_connected:
            raise Unavailable("not connected")

    async def streams() -> None:
        await house.bus.js.account_info()
        if house.bus.publisher.troubled:
            raise Unavailable("what was told a moment ago was not confirmed")

    async def postgres() -> None:
        async with house.pool.acquire(timeout=2) as connection:
            await connection.fetchval("SELECT 1")

    async def migrations() -> None:
        async with house.pool.acquire(timeout=2) as connection:
            if missing := await pending(connection):
                raise RuntimeError(f"{len(missing)} migrations are missing")

    return {"bus": bus, "streams": streams, "postgres": postgres, "migrations": migrations}


async def serve(house: House, stop: asyncio.Event) -> None:
    """Answer requests until asked to stop; those under way are finished."""
    app = application(house)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        site = web.TCPSite(runner, house.settings.http.host, house.settings.http.port)
        await site.start()
        log.info("pages served", url=house.settings.base_url)
        if OPEN_DATA in app:
            await app[OPEN_DATA].run(stop)
        await stop.wait()
    finally:
        await runner.cleanup()
