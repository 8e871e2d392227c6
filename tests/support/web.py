"""The residents' pages on a real bus, for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bus.codec import CONTRACT_HEADER, decode
from bus.connect import Bus
from bus.contracts import ComplaintReceived
from bus.files import Files
from channels.intake import Intake
from channels.photos import Darkroom
from channels.web_form import WebForm
from gateway import keys
from gateway.compiled import compiled_templates
from gateway.likely import LikelyReports, NearReport
from gateway.pages import layout
from gateway.pages.city_page import page_of
from gateway.resident.routes import routes
from gateway.settings import Settings
from router import rules
from router.service import Router

SECRET = b"a secret of the tests, 32 letters"
CITY = rules.load_city(Path(rules.__file__).parent / "cities" / "independence")

Browser = TestClient[web.Request, web.Application]


class NothingNear(LikelyReports):
    """Where no case is open yet."""

    def __init__(self) -> None: ...

    async def near(self, heard: ComplaintReceived) -> list[NearReport]:
        return []


@asynccontextmanager
async def resident_pages(
    bus: Bus,
    files: Files,
    pool: asyncpg.Pool | None = None,
    city: rules.City = CITY,
    router: Router | None = None,
) -> AsyncIterator[Browser]:
    """A client with a cookie jar, as one resident's browser. Redirects are not followed."""
    app = web.Application(client_max_size=4 * 1024 * 1024)
    intake = Intake(
        secret=SECRET,
        files=files,
        tell=bus.tell,
        sounds_urgent=lambda text: CITY.emergency_words.found_in(text) is not None,
    )
    app[keys.FILES] = files
    app[keys.DRAFTS] = bus.drafts
    app[keys.CITY] = city
    app[keys.SETTINGS] = Settings()
    app[keys.DARKROOM] = Darkroom()
    app[keys.WEB_FORM] = WebForm(intake, problem_types=[kind.name for kind in city.offered])
    app[keys.LIKELY] = NothingNear()
    if pool is not None:
        app[keys.POOL] = pool
        if router is not None:
            app[keys.LIKELY] = LikelyReports(pool, router, Settings().store.duplicates)
    layout.prepare(app, page_of(city), compiled=compiled_templates(Settings()))
    app.add_routes(routes())
    app.add_routes(app[keys.WEB_FORM].channel().routes)
    async with TestClient(TestServer(app)) as client:
        yield client


async def complaints_on(bus: Bus) -> list[ComplaintReceived]:
    """Every complaint that the stream holds, in its order."""
    state = (await bus.js.stream_info("COMPLAINTS")).state
    heard = []
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        message = await bus.js.get_msg("COMPLAINTS", sequence)
        fact = decode(message.data or b"", (message.headers or {})[CONTRACT_HEADER])
        if isinstance(fact, ComplaintReceived):
            heard.append(fact)
    return heard
