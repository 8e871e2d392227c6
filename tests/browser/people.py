"""The people of the stories: a resident with a phone, staff at a desk, and what they look at."""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.async_api import Browser, BrowserContext, Error, Locator, Page, Response

from gateway.samples import PASSWORD
from store import accounts
from tests.support.product import Product, until

SCREENSHOTS = Path(__file__).parent / "screenshots"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
LOCALES = {"en": "en-US", "es": "es-US"}
REFERENCE = re.compile(r"[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{2}")

# What a browser says of an answer that is an error on purpose, such as a 422 for an empty form.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4(04|22)")


@dataclass
class Visitors:
    """Opens a browser for each person. What their consoles complain about ends the test."""

    browser: Browser
    product: Product
    story: str
    faults: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)
    _pictures: int = 0

    async def resident(self, language: str = "es", **more: object) -> Page:
        """Somebody with a phone."""
        return await self.visitor(PHONE, language, **more)

    async def colleague(self, language: str = "en", **more: object) -> Page:
        """Somebody at a desk, not signed in."""
        return await self.visitor(DESK, language, **more)

    async def visitor(self, device: dict[str, Any], language: str, **more: Any) -> Page:
        context = await self.browser.new_context(
            base_url=self.product.url, locale=LOCALES[language], **device, **more
        )
        self._contexts.append(context)
        context.set_default_timeout(15_000)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("response", self._look_at)
        page.on(
            "console",
            lambda said: (
                self.faults.append(f"{page.url}: {said.text}")
                if said.type == "error" and not _EXPECTED.match(said.text)
                else None
            ),
        )
        return page

    def _look_at(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.url}: {response.status}")

    async def picture(self, page: Page, name: str) -> None:
        """Keeps a picture of the whole page, numbered in the order of the story."""
        self._pictures += 1
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{self.story}-{self._pictures:02}-{name}.png"
        await page.screenshot(path=path, full_page=True)

    async def leave(self) -> None:
        for context in self._contexts:
            await context.close()
        assert not self.faults, "\n".join(self.faults)


# ── what residents do ───────────────────────────────────────────────────────────────────────────


def photo_taken_at(lat: float, lon: float, *, grey: int = 116) -> bytes:
    """A JPEG in whose EXIF a camera wrote this place (north and west) and its maker's name."""
    image = Image.new("RGB", (1200, 900), (grey, grey, grey - 6))
    draw = ImageDraw.Draw(image)
    draw.ellipse((340, 300, 900, 640), fill=(46, 42, 38))
    draw.line((0, 760, 1200, 690), fill=(226, 200, 60), width=22)
    exif = Image.Exif()
    exif[0x010F] = "Lara's phone"  # Make
    exif[0x8825] = {1: "N", 2: _degrees(lat), 3: "W", 4: _degrees(-lon)}  # GPS
    written = io.BytesIO()
    image.save(written, "JPEG", exif=exif)
    return written.getvalue()


def _degrees(angle: float) -> tuple[float, float, float]:
    minutes = angle % 1 * 60
    return (int(angle), int(minutes), round(minutes % 1 * 60, 3))


async def add_photo(page: Page, data: bytes) -> None:
    photo: Any = {"name": "IMG_0412.jpg", "mimeType": "image/jpeg", "buffer": data}
    await page.set_input_files("#photos", files=[photo])


async def go_on(page: Page) -> None:
    """Presses the button that leads to the next step."""
    await page.locator("main .bs-actions button[type=submit]").click()


async def past_near(page: Page) -> None:
    """Says that theirs is another problem, where another story told of the same."""
    await page.wait_for_url(re.compile("/report/(near|contact)"))
    if page.url.endswith("/report/near"):
        await page.locator("label[for=same-none]").click()
        await go_on(page)


async def reference_on(page: Page) -> str:
    """The reference that a receipt shows."""
    await page.wait_for_url("**/receipt/*")
    reference = (await page.locator(".bs-reference").inner_text()).strip()
    assert REFERENCE.fullmatch(reference), reference
    return reference


# ── what staff do ───────────────────────────────────────────────────────────────────────────────


async def sign_in(page: Page, login: str, password: str = PASSWORD) -> None:
    await page.goto("/staff")
    await page.get_by_label("Sign-in name").or_(page.get_by_label("Nombre de usuario")).fill(login)
    await page.locator("#password").fill(password)
    await page.locator("main form button[type=submit]").click()
    await page.wait_for_url("**/staff")


async def let_in(product: Product, login: str) -> None:
    """Gives somebody of the city's folder the password of the sample logins."""
    async with product.database() as connection:
        person = await accounts.by_login(connection, login)
        assert person is not None, login
        await accounts.put_account(
            connection,
            login=person.login,
            name=person.name,
            email=person.email,
            phone=person.phone,
            department=person.department,
            roles=person.roles,
            password_hash=await accounts.hash_password(PASSWORD),
        )


# ── what the product made of it ─────────────────────────────────────────────────────────────────

_PLACED = """
    SELECT id, department, district, assignee, status
    FROM cases
    WHERE reference = $1 AND status <> 'new'
"""
_UNSETTLED = """
    SELECT count(*)
    FROM deliveries
    JOIN cases ON cases.id = deliveries.case_id
    WHERE cases.reference = $1 AND deliveries.settled_at IS NOT NULL
"""


async def placed(product: Product, reference: str) -> dict[str, Any]:
    """The case of a reference, once it is filed and on somebody's desk or in triage."""
    found: dict[str, Any] = {}

    async def look() -> bool:
        async with product.database() as connection:
            row = await connection.fetchrow(_PLACED, reference)
        found.update(row or {})
        return row is not None

    await until(look)
    return found


async def mails_settled(product: Product, reference: str, count: int) -> None:
    """Returns once as many notices of a case are sent or withheld."""

    async def look() -> bool:
        async with product.database() as connection:
            return bool(await connection.fetchval(_UNSETTLED, reference) >= count)

    await until(look)


# ── what is seen ────────────────────────────────────────────────────────────────────────────────


async def is_drawn(image: Locator) -> bool:
    """Whether a picture has arrived and shows something."""
    try:
        await image.evaluate("image => image.decode()")
    except Error:
        return False
    return bool(await image.evaluate("image => image.naturalWidth > 0"))


async def too_wide(page: Page) -> list[str]:
    """What reaches beyond the right edge, so that the whole page would move sideways."""
    found: list[str] = await page.evaluate(
        """() => {
          if (document.documentElement.scrollWidth <= innerWidth) return [];
          const wide = (one) =>
            one.getBoundingClientRect().right > innerWidth || one.scrollWidth > one.clientWidth + 1;
          const moves = (one) =>
            one && (getComputedStyle(one).overflowX === "auto" || moves(one.parentElement));
          return [...document.querySelectorAll("main, main *")]
            .filter((one) => wide(one) && !moves(one) && ![...one.children].some(wide))
            .map((one) => one.outerHTML.slice(0, 120));
        }"""
    )
    return found
