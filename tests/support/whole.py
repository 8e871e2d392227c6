"""The whole web application as `buckstop run` serves it, with the router and the store at work."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.web_middlewares import Handler

from bus import connect
from bus.connect import open_bus
from bus.worker import listen
from gateway.compose import open_house
from gateway.engines import Engines
from gateway.house import House
from gateway.http import application
from gateway.settings import HttpSettings, Settings
from router import service as router_service
from store import cases
from store.service import listeners

PUBLIC = "http://311.example.gov"  # not https: over plain HTTP its cookies would not come back

Route = tuple[str, str]
"""A method, and an address with the names of its parts."""


@dataclass(frozen=True)
class Seen:
    """An answer, with all that a reader could see of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def whole(self) -> str:
        """Headers and body; of a picture its bytes as letters."""
        told = self.body.decode("latin-1") if self.is_picture else self.text
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers.items()), told])

    @property
    def is_picture(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("image/jpeg")


@dataclass
class Whole:
    """The application, and which of its routes have answered."""

    house: House
    folder: Path
    routes: frozenset[Route]
    url: str
    answered: set[Route] = field(default_factory=set)

    @property
    def pool(self) -> asyncpg.Pool:
        return self.house.pool

    @asynccontextmanager
    async def browser(self) -> AsyncIterator["Browser"]:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar) as session:
            yield Browser(session)

    async def filed(self, reference: str) -> cases.Case:
        """The case, once it is there and the router has looked."""
        async with asyncio.timeout(20):
            while True:
                async with self.pool.acquire() as conn:
                    case = await cases.by_reference(conn, reference)
                if case is not None and case.status.value != "new":
                    return case
                await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Browser:
    """One person's browser; redirects are not followed."""

    session: aiohttp.ClientSession

    async def get(self, path: str, **how: Any) -> Seen:
        return await self.ask("GET", path, **how)

    async def post(self, path: str, data: object = None, **how: Any) -> Seen:
        return await self.ask("POST", path, data=data, **how)

    async def ask(self, method: str, path: str, **how: Any) -> Seen:
        async with self.session.request(method, path, allow_redirects=False, **how) as answer:
            return Seen(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def whole_application(
    nats_url: str, postgres_dsn: str, template: str, folder: Path, settings: Settings
) -> AsyncIterator[Whole]:
    """On a database of its own and empty streams. `settings` say no engines and no addresses."""
    name = f"t_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(admin.close)
        stack.push_async_callback(admin.execute, f"DROP DATABASE {name} WITH (FORCE)")
        async with open_bus(connect.Settings(url=nats_url), name="test") as before:
            for stream in await before.js.streams_info():
                if not stream.config.name.startswith("KV_"):
                    await before.js.delete_stream(stream.config.name)
        settings = settings.model_copy(
            # As a city's own, not a newcomer's: on the machine itself the mails lie open.
            update={"data": folder, "http": HttpSettings(base_url=PUBLIC, host="0.0.0.0")}
        )
        engines = Engines(nats_url, postgres_dsn.replace("/buckstop?", f"/{name}?"))
        services = {"web", "channels", "router", "store"}
        house = await stack.enter_async_context(open_house(settings, engines, services))
        app = application(house)
        answered: set[Route] = set()

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            status = 500
            try:
                response = await handler(request)
                status = response.status
            except web.HTTPException as error:
                status = error.status
                raise
            finally:
                resource = request.match_info.route.resource
                if resource is not None and (status < 400 or status in (401, 403, 422)):
                    answered.add((request.method, resource.canonical))
            return response

        app.middlewares.insert(0, note)
        server = TestServer(app)
        await stack.enter_async_context(server)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for listener in (
                *listeners(house.pool),
                *router_service.listeners(house.router, house.bus.tell),
            ):
                if listener.durable in ("store_complaint", "router_complaint_received"):
                    tasks.create_task(listen(house.bus.client, house.bus.tell, listener, stop))
            yield Whole(
                house=house,
                folder=folder,
                routes=frozenset(
                    (route.method, route.resource.canonical)
                    for route in app.router.routes()
                    if route.resource is not None and route.method != "HEAD"
                ),
                url=str(server.make_url("/")),
                answered=answered,
            )
            stop.set()
