"""A city that other programs can report to and read from, on a real bus and a real store."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import asyncpg
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from bus import connect
from bus.connect import Bus, open_bus
from bus.files import Files, open_files
from bus.files import Settings as FileSettings
from bus.identity import mint_reference
from bus.worker import listen
from channels.base import Surroundings
from channels.intake import Intake
from channels.open311_settings import Open311Settings
from channels.photos import Darkroom
from channels.registry import open_channels
from channels.web_form import WebForm
from gateway import health, keys
from gateway.compiled import compiled_templates
from gateway.open311 import routes as open311
from gateway.open311.desk import Open311Desk
from gateway.open_data import pages as open_data
from gateway.pages import layout
from gateway.pages.city_page import page_of
from gateway.resident.pages import ResidentPages
from gateway.settings import HttpSettings, Settings
from router.rules import City
from store import apps, cases
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from store.service import listeners
from tests.support.store import put_staff
from tests.support.texting import SECRET, ledger_of
from tests.support.web import CITY

BASE = "/open311/v2"
PUBLIC = "https://311.example.gov"
INSIDE = {"lat": "39.0911", "long": "-94.4155"}

Client = TestClient[web.Request, web.Application]


def settings_with(**changes: object) -> Settings:
    values: dict[str, object] = {"reads_a_minute": 100_000, "strangers_a_minute": 100_000}
    section = Open311Settings.model_validate(values | changes)
    plain = Settings(http=HttpSettings(base_url=PUBLIC))
    return plain.model_copy(
        update={"channels": plain.channels.model_copy(update={"open311": section})}
    )


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json; charset=utf-8"
        return json.loads(self.body)

    @property
    def xml(self) -> ElementTree.Element:
        assert self.headers["Content-Type"] == "text/xml; charset=utf-8"
        assert self.body.startswith(b'<?xml version="1.0" encoding="utf-8"?>')
        return ElementTree.fromstring(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Reach:
    """The city, as a program reaches it."""

    client: Client
    bus: Bus
    pool: asyncpg.Pool
    files: Files
    desk: Open311Desk
    key: str
    """Of the app `tester`."""
    folder: Path
    """The data directory."""

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        whole = path if path.startswith("//") else BASE + path
        return await self._ask("GET", whole.replace("//", "/"), headers=headers)

    async def post(self, path: str, fields: object, *, key: str | None = "", **how: Any) -> Answer:
        """Posts a form with the app's key; another `key`, or None for none."""
        if isinstance(fields, FormData):
            data: object = fields
        else:
            pairs = list(fields.items() if isinstance(fields, Mapping) else fields)  # type: ignore[call-overload]
            if key is not None:
                pairs.insert(0, ("api_key", key or self.key))
            data = pairs
        return await self.ask("POST", path, data=data, **how)

    async def ask(self, method: str, path: str, **how: Any) -> Answer:
        return await self._ask(method, BASE + path, **how)

    async def report(self, **fields: str) -> str:
        """Files a report; its id, once its case is there."""
        told = {"service_code": "pothole", "description": "Big hole", **INSIDE} | fields
        answer = await self.post("/requests.json", told)
        assert answer.status == 200, answer.text
        reference = str(answer.json[0]["service_request_id"])
        await self.filed(reference)
        return reference

    async def filed(self, reference: str) -> cases.Case:
        """The case, once it is there."""
        async with asyncio.timeout(20):
            while True:
                async with self.pool.acquire() as conn:
                    case = await cases.by_reference(conn, reference)
                if case is not None:
                    return case
                await asyncio.sleep(0.02)

    async def app(self, id: str, **limits: Any) -> str:
        """The key of another app."""
        async with self.pool.acquire() as conn:
            return await apps.add(conn, id=id, name=id.title(), contact=f"{id}@x.org", **limits)

    async def _ask(self, method: str, path: str, **how: Any) -> Answer:
        async with self.client.request(method, path, **how) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def reachable(
    nats_url: str,
    postgres_dsn: str,
    template: str,
    folder: Path,
    *,
    city: City = CITY,
    settings: Settings | None = None,
) -> AsyncIterator[Reach]:
    """A city with a database and streams of its own, and a store at work."""
    settings = (settings or settings_with()).model_copy(update={"data": folder})
    name = f"t_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(admin.close)
        stack.push_async_callback(admin.execute, f"DROP DATABASE {name} WITH (FORCE)")
        where = PoolSettings(dsn=postgres_dsn.replace("/buckstop?", f"/{name}?"))
        pool = await stack.enter_async_context(open_pool(where))
        at = connect.Settings(url=nats_url)
        async with open_bus(at, name="test") as before:
            for stream in await before.js.streams_info():
                if not stream.config.name.startswith("KV_"):
                    await before.js.delete_stream(stream.config.name)
        bus = await stack.enter_async_context(open_bus(at, name="test"))
        files = open_files(FileSettings(), folder)
        desk = Open311Desk(city, settings, pool)
        around = Surroundings(
            intake=Intake(secret=SECRET, files=files, tell=bus.tell),
            tell=bus.tell,
            tell_again=bus.tell,
            files=files,
            ledger=ledger_of(pool),
            secret=SECRET,
            public_url=settings.base_url,
            open311=desk,
        )
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app[keys.POOL], app[keys.FILES], app[keys.SETTINGS] = pool, files, settings
        app[keys.DARKROOM] = Darkroom()
        app[keys.DRAFTS] = bus.drafts
        layout.prepare(app, page_of(city), compiled=compiled_templates(settings))
        app.add_routes(open_channels(around, settings.channels)["open311"].routes)
        open311.prepare(app, desk, settings, city)
        filed = open_data.prepare(app, settings, pool, city)
        stack.push_async_callback(filed.close)
        app.add_routes(ResidentPages().routes())
        web_form = WebForm(around.intake, problem_types=[kind.name for kind in city.offered])
        app.add_routes(web_form.channel().routes)
        app.add_routes(health.routes({"postgres": partial(pool.fetchval, "SELECT 1")}))
        client = await stack.enter_async_context(TestClient(TestServer(app)))
        async with pool.acquire() as conn:
            await put_staff(conn)
            key = await apps.add(conn, id="tester", name="Tester", contact="t@x.org", a_minute=9999)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for listener in listeners(pool):
                if listener.durable == "store_complaint":
                    tasks.create_task(listen(bus.client, bus.tell, listener, stop))
            yield Reach(client, bus, pool, files, desk, key, folder)
            stop.set()


def picture(colour: str = "navy") -> bytes:
    """A photo with where it was taken written into it."""
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (39.0, 5.0, 28.68), 3: "W", 4: (94.0, 24.0, 57.24)}
    written = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(written, "JPEG", exif=exif)
    return written.getvalue()


OPEN = """
    INSERT INTO cases (id, reference, status, channel, text, language, opened_at, problem_type,
                       chosen_type, department, address, lat, lon, reporter_name, reporter_email,
                       reporter_phone)
    VALUES ($1, $2, $3, $4, $5, 'en', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""


async def put_case(pool: asyncpg.Pool, **values: Any) -> str:
    """A case that is simply there, at a time that a test chooses; its reference."""
    id_ = uuid4()
    reference = mint_reference(SECRET, id_)
    told = {
        "status": "triage",
        "channel": "web",
        "text": "The words of a resident",
        "opened_at": datetime.now(UTC),
        "problem_type": None,
        "chosen_type": None,
        "department": None,
        "address": None,
        "lat": None,
        "lon": None,
        "reporter_name": None,
        "reporter_email": None,
        "reporter_phone": None,
    } | values
    await pool.execute(OPEN, id_, reference, *told.values())
    return reference


def codes(rows: Sequence[Mapping[str, Any]], name: str = "service_request_id") -> list[str]:
    return [str(row[name]) for row in rows]
