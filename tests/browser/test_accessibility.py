"""axe finds nothing serious on any page, in either language, on a phone or at a desk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from gateway.pages import static
from tests.browser.people import (
    Visitors,
    add_photo,
    go_on,
    photo_taken_at,
    placed,
    reference_on,
    sign_in,
    too_wide,
)
from tests.support.product import Product

AXE = Path(static.__file__).resolve().parent.parent / "static/vendor/dev/axe.min.js"
PHONE, DESK = (390, 844), (1440, 900)
# What a wider page could break is not a matter of language.
WIDTHS = {"en": (PHONE, DESK), "es": (PHONE,)}
TEXTS = {
    "en": "A deep pothole. Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
    "es": "Un bache hondo. Electroencefalografistasdesoxirribonucleicosextraordinarios",
}
# What keeps nobody from anything is left to taste.
RUN = """
async () => {
  const found = await axe.run(document, { resultTypes: ["violations"], iframes: false });
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.help}\\n` + one.nodes.map((n) => `    ${n.html}`).join("\\n"));
}
"""


class Judge:
    """Looks at each page at these widths, and remembers what is wrong with it."""

    def __init__(self, page: Page, widths: Sequence[tuple[int, int]]) -> None:
        self.page = page
        self.widths = widths
        self.faults: list[str] = []
        self.seen: list[str] = []

    async def look(self, name: str) -> None:
        self.seen.append(name)
        for width, height in self.widths:
            await self.page.set_viewport_size({"width": width, "height": height})
            if not await self.page.evaluate("'axe' in window"):
                await self.page.evaluate(AXE.read_text())
            for fault in await self.page.evaluate(RUN):
                self.faults.append(f"{name}, {width} px: {fault}")
            if (width, height) == PHONE:
                for element in await too_wide(self.page):
                    self.faults.append(f"{name}: wider than a phone: {element}")


@pytest.mark.parametrize("language", ["en", "es"])
async def test_pages_can_be_used_by_everybody(
    visitors: Visitors, product: Product, language: str
) -> None:
    # Our policy forbids scripts that are not ours; axe is not.
    page = await visitors.visitor({}, language, bypass_csp=True, reduced_motion="reduce")
    judge = Judge(page, WIDTHS[language])
    await _somebody_else(page, product, TEXTS[language])
    reference = await _as_resident(judge, TEXTS[language])
    case: dict[str, Any] = await placed(product, reference)
    await page.goto(f"/track/{reference}")
    await judge.look("track")
    await page.goto("/open311")
    await judge.look("for developers")
    await page.goto("/dashboard")
    await judge.look("the city in numbers")
    await page.goto("/open-data")
    await judge.look("open data")

    await _set_aside(product)
    await _as_staff(judge, reference, str(case["id"]))
    assert len(judge.seen) == 37
    assert not judge.faults, "\n".join(judge.faults)


async def _somebody_else(page: Page, product: Product, text: str) -> None:
    """Told us of the same before."""
    form = {"text": text, "address": "111 E Maple Ave"}
    answer = await page.request.post(
        "/channels/web", data=form, headers={"Accept": "application/json"}
    )
    await placed(product, (await answer.json())["reference"])


async def _as_resident(judge: Judge, text: str) -> str:
    page = judge.page
    await page.goto("/")
    await judge.look("home")
    await page.goto("/nowhere")
    await judge.look("no such page")
    await page.goto("/track?reference=12")
    await judge.look("track: not a reference")

    await page.goto("/report/what")
    await judge.look("what")
    await go_on(page)
    await judge.look("what: empty")
    await page.fill("#text", text + "\nhouse fire, la casa está en llamas")
    await go_on(page)
    await page.wait_for_url("**/report/urgent")
    await judge.look("urgent")
    await page.goto("/report/what")
    await page.fill("#text", text)
    await go_on(page)

    await page.wait_for_url("**/report/photos")
    await add_photo(page, photo_taken_at(39.0846, -94.4172))
    await page.locator("button[value=add]").click()
    await page.locator(".bs-photos").wait_for()
    await judge.look("photos")
    await go_on(page)

    await page.wait_for_url("**/report/where")
    await judge.look("where")
    await page.fill("#address", "1 Main St, Kansas City, MO 64105")
    await go_on(page)
    await judge.look("where: outside")
    await page.fill("#address", "111 E Maple Ave")
    await go_on(page)

    await page.wait_for_url("**/report/near")
    await judge.look("near")
    await go_on(page)
    await judge.look("near: nothing chosen")
    await page.locator("label[for=same-none]").click()
    await go_on(page)

    await page.wait_for_url("**/report/contact")
    await judge.look("contact")
    await page.fill("#name", "Wolfeschlegelsteinhausenbergerdorff Featherstonehaugh")
    await page.fill("#email", "wolfeschlegelsteinhausenbergerdorff@long-names.resident.example")
    await go_on(page)

    await page.wait_for_url("**/report/check")
    await judge.look("check")
    await go_on(page)
    reference = await reference_on(page)
    await judge.look("receipt")
    return reference


async def _set_aside(product: Product) -> None:
    """A message that nobody could read lies in the books."""
    async with product.database() as connection:
        await connection.execute(
            """
            INSERT INTO complaints (id, channel, external_id, received_at, state, reason)
            VALUES (gen_random_uuid(), 'email', '-', now(), 'quarantined', $1)
            """,
            "it could not be fetched in 3 tries",
        )


async def _as_staff(judge: Judge, reference: str, case_id: str) -> None:
    page = judge.page
    await page.goto("/staff/sign-in")
    await judge.look("sign in")
    await sign_in(page, "amy.lindqvist")
    await judge.look("desk")
    await page.goto("/staff/queue?words=" + reference)
    await page.locator(".st-filter__more > summary").click()
    await judge.look("queue")

    await page.goto(f"/staff/cases/{case_id}")
    await page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    await judge.look("case")
    await page.locator("#form-close button[type=submit]").click()
    await page.locator(".bs-errors").wait_for()
    await judge.look("case: refused")

    await page.goto("/staff/calls/new?fresh=1")
    await page.fill("#text", "They smell gas, and there is a pothole in the street")
    await page.locator("#suggestions .st-facts").wait_for()
    await judge.look("call")

    await page.goto("/staff/absences")
    await judge.look("absences")
    await page.select_option("#login", "jo.linden")
    await page.fill("#first", "2026-11-20")
    await page.locator("form.st-card button[type=submit]").click()
    await page.locator(".st-rules__rule").first.wait_for()
    await judge.look("absences: one")
    await page.goto("/staff/rules")
    await judge.look("rules")
    await page.locator("form.st-card button[type=submit]").click()
    await judge.look("what would move")

    await page.goto("/staff/messages")
    await judge.look("messages")
    await page.locator(".st-mails__link").first.click()
    await judge.look("message")

    await page.goto("/staff/incidents")
    await judge.look("incidents")
    await page.goto("/staff/reports")
    await judge.look("reports")
    await page.goto("/staff/reports/service-requests?from=2026-01-01&to=2099-12-31")
    await judge.look("Service Request Report")
    await page.goto("/staff/people")
    await judge.look("people")
    await page.goto("/staff/people/alex.reed")
    await judge.look("person")
    await page.goto("/mailbox")
    await judge.look("mailbox")
    await page.locator(".st-mails__link").first.click()
    await judge.look("mail")
