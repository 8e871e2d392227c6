"""Whoever names a road that is not the city's is told whose it is, and is heard all the same."""

from playwright.async_api import expect

from tests.browser.people import Visitors, go_on, placed, reference_on, too_wide
from tests.support.product import Product

MODOT = "(888) 275-6636"


async def test_a_road_of_the_state_is_reported_from_a_phone(
    visitors: Visitors, product: Product
) -> None:
    page = await visitors.resident("es")
    await page.goto("/report/what")
    await page.fill("#text", "Hay un bache enorme")
    await go_on(page)
    await page.wait_for_url("**/report/photos")
    await go_on(page)

    # A street alone is too long to find anything along it.
    await page.wait_for_url("**/report/where")
    await page.fill("#address", "Blue Ridge Blvd")
    await go_on(page)
    await expect(page.get_by_role("alert")).to_contain_text("es larga")
    assert await too_wide(page) == []
    await visitors.picture(page, "vague")

    await page.fill("#address", "I-70 a la salida de Noland")
    await go_on(page)
    told = page.get_by_role("alert")
    await expect(told).to_contain_text(MODOT)
    await expect(told.get_by_role("link", name=MODOT)).to_have_attribute("href", "tel:+18882756636")
    await expect(page.locator("#address")).to_have_value("I-70 a la salida de Noland")
    assert await too_wide(page) == []
    await visitors.picture(page, "whose-road")

    # Said once; who goes on is not asked again.
    await go_on(page)
    await page.wait_for_url("**/report/contact")
    await go_on(page)
    await page.wait_for_url("**/report/check")
    await go_on(page)
    reference = await reference_on(page)
    case = await placed(product, reference)
    assert case["assignee"]

    await page.goto(f"/track/{reference}")
    await expect(page.locator(".bs-refer")).to_contain_text(MODOT)
    assert await too_wide(page) == []
    await visitors.picture(page, "track")
