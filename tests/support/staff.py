"""A web application with the pages of staff on real servers, and a browser's manners in tests."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher

from bus.connect import Bus
from bus.files import Files
from channels.intake import Intake
from channels.second_look import SecondLook
from gateway import keys
from gateway.compiled import compiled_templates
from gateway.compose import surroundings
from gateway.keeper import Keeper
from gateway.likely import LikelyReports
from gateway.operator import routes as operator
from gateway.pages import layout
from gateway.pages.city_page import page_of
from gateway.settings import Settings
from gateway.staff import routes as staff
from router.rules import CITIES, load_city
from router.service import Router
from store import accounts
from store.model import Role
from tests.support.facts import SECRET

PASSWORD = "a password for tests"
# Hashing is slow on purpose; once is enough for all who have this password.
_HASH = PasswordHasher().hash(PASSWORD)


@dataclass(frozen=True)
class Reader:
    """Somebody at a browser: keeps cookies, reads pages, fills in forms with their token."""

    client: TestClient[web.Request, web.Application]

    async def read(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path, allow_redirects=False)
        text = await answer.text()
        assert answer.status == status, (answer.status, text)
        return text

    async def send(
        self, path: str, form: dict[str, str], page: str | None = None
    ) -> ClientResponse:
        """Send a form of the page `page` (else of the staff's desk)."""
        shown = page if page is not None else await self.read("/staff")
        return await self.client.post(
            path, data={"csrf": token_in(shown), **form}, allow_redirects=False
        )

    async def sign_in(self, login: str, password: str = PASSWORD) -> ClientResponse:
        return await self.client.post(
            "/staff/sign-in", data={"login": login, "password": password}, allow_redirects=False
        )


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return found[1]


def value_in(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return found[1]


def goes_to(answer: ClientResponse) -> str:
    """Where a redirect leads, without its host."""
    assert answer.status == 303, answer.status
    parts = urlsplit(answer.headers["Location"])
    return parts.path + (f"?{parts.query}" if parts.query else "")


@asynccontextmanager
async def staff_pages(
    pool: asyncpg.Pool,
    bus: Bus,
    files: Files,
    router: Router | None,
    settings: Settings,
    keeper: Keeper | None = None,
) -> AsyncIterator[Reader]:
    """The application, served; a fresh browser in front of it. Some pages need no router."""
    city = router.city if router is not None else load_city(CITIES / "independence")
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app[keys.BUS] = bus
    app[keys.KEEPER] = keeper
    app[keys.CHANNELS] = {}
    app[keys.POOL] = pool
    app[keys.FILES] = files
    app[keys.DRAFTS] = bus.drafts
    app[keys.TELL] = bus.tell
    words = city.emergency_words
    app[keys.INTAKE] = Intake(
        secret=SECRET,
        files=files,
        tell=bus.tell,
        sounds_urgent=lambda text: words.found_in(text) is not None,
    )
    around = surroundings(settings, bus=bus, pool=pool, files=files)
    app[keys.SECOND_LOOK] = SecondLook(around)
    app[keys.SETTINGS] = settings
    app[keys.CITY] = city
    if router is not None:
        app[keys.ROUTER] = router
        app[keys.LIKELY] = LikelyReports(pool, router, settings.store.duplicates)
    layout.prepare(app, page_of(city), compiled=compiled_templates(settings))
    staff.prepare(app)
    operator.prepare(app)
    async with TestClient(TestServer(app)) as client:
        yield Reader(client)


async def put_account(
    pool: asyncpg.Pool,
    login: str,
    roles: Iterable[Role],
    *,
    department: str | None = None,
    active: bool = True,
) -> None:
    """Somebody who can sign in with `PASSWORD`."""
    async with pool.acquire() as conn:
        await accounts.put_account(
            conn,
            login=login,
            name=login.replace(".", " ").title(),
            email=f"{login}@independence.example",
            roles=roles,
            department=department,
            active=active,
            password_hash=_HASH,
        )


def small_settings(folder: Path, **http: object) -> Settings:
    return Settings.model_validate({"data": folder, "http": http})
