"""Reporting, and writing down a call, with the keyboard alone: no mouse, no touch."""

from playwright.async_api import Locator, Page, expect

from tests.browser.people import Visitors, placed, reference_on
from tests.support.product import Product

_VISIBLE = """
() => {
  const one = document.activeElement;
  const box = one.matches("input[type=radio], input[type=checkbox]");
  const shown = box ? one.nextElementSibling : one;
  const style = [getComputedStyle(shown), getComputedStyle(shown, "::before")];
  return style.some((s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2);
}
"""


async def tab_to(page: Page, wanted: Locator, most: int = 40) -> None:
    """Presses Tab until the focus is there; every stop on the way has to show that it has it."""
    element = await wanted.element_handle()
    for _ in range(most):
        await page.keyboard.press("Tab")
        here = await page.evaluate_handle("document.activeElement")
        assert await page.evaluate(_VISIBLE), await here.evaluate("one => one.outerHTML")
        if await page.evaluate("([one, other]) => one === other", [here, element]):
            return
    raise AssertionError(f"{most} times Tab did not lead to {wanted}")


async def test_a_resident_reports_by_keyboard(visitors: Visitors, product: Product) -> None:
    page = await visitors.colleague("en")
    keys = page.keyboard
    await page.goto("/")
    skip = page.get_by_role("link", name="Skip to main content")
    await tab_to(page, skip, most=1)
    await expect(skip).to_be_in_viewport()
    await keys.press("Enter")
    await tab_to(page, page.locator("main").get_by_role("link", name="Report a problem"))
    await keys.press("Enter")
    await page.wait_for_url("**/report/what")

    await tab_to(page, page.get_by_role("button", name="Continue"))
    await keys.press("Enter")
    # The focus goes to what is wrong, and from there into the field.
    await expect(page.get_by_role("alert")).to_be_focused()
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(page.get_by_label("What is the problem?")).to_be_focused()
    await keys.type("Two large dogs run loose every morning.")
    await tab_to(page, page.get_by_role("button", name="Continue"))
    await keys.press("Enter")

    await page.wait_for_url("**/report/photos")
    await tab_to(page, page.get_by_role("button", name="Continue"))
    await keys.press("Enter")

    await page.wait_for_url("**/report/where")
    await tab_to(page, page.get_by_label("Where is it?"))
    await keys.type("9700 E Winner Rd")
    await keys.press("Enter")

    await page.wait_for_url("**/report/contact")
    await tab_to(page, page.get_by_label("Email"))
    await keys.type("dogwalker@resident.example")
    await tab_to(page, page.get_by_role("radio", name="English"))
    await keys.press("ArrowDown")
    await expect(page.get_by_role("radio", name="Español")).to_be_checked()
    await tab_to(page, page.get_by_role("button", name="Continue"))
    await keys.press("Enter")

    await page.wait_for_url("**/report/check")
    await tab_to(page, page.get_by_role("button", name="Send report"))
    await keys.press("Enter")
    case = await placed(product, await reference_on(page))
    assert case["department"] == "HAS-ANIMAL SERVICES"


async def test_a_call_for_another_department_is_written_down_by_keyboard(
    visitors: Visitors, product: Product
) -> None:
    page = await visitors.colleague("en")
    keys = page.keyboard
    await page.goto("/staff")
    await expect(page.get_by_label("Sign-in name")).to_be_focused()
    await keys.type("alex.reed")
    await tab_to(page, page.get_by_label("Password"), most=1)
    await keys.type("the-buck-stops-here")
    await keys.press("Enter")
    await page.wait_for_url("**/staff")
    await tab_to(page, page.get_by_role("link", name="New call").first)
    await keys.press("Enter")

    # The cursor stands where a call begins, and Enter leads on instead of sending.
    await expect(page.get_by_label("1. Where is it?")).to_be_focused()
    await keys.type("3108 S Crysler Ave")
    await keys.press("Enter")
    await expect(page.get_by_label("2. What does the caller say?")).to_be_focused()
    await keys.type("Sewage comes up in the basement floor drain")
    guess = page.locator("#suggestions")
    await expect(guess).to_contain_text("MS-SEWER MAINTENANCE")
    await visitors.picture(page, "guess")
    await tab_to(page, page.get_by_label("3. Type of problem"), most=1)
    await keys.type("Sewer Prob")
    await keys.press("Enter")
    await expect(page.get_by_role("textbox", name="Phone")).to_be_focused()
    await keys.type("816 555 0145")
    await keys.press("Control+Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Call saved")
    await expect(page.get_by_role("link", name="Next call")).to_be_focused()
    await visitors.picture(page, "saved")
    reference = (await page.locator(".bs-reference").inner_text()).strip()
    case = await placed(product, reference)
    # Alex Reed belongs to neighborhood services; the call went to those whose work it is.
    assert case["department"] == "MS-SEWER MAINTENANCE"
    assert case["assignee"] == "olga.reyes"

    await keys.press("Tab")
    await keys.press("Enter")
    await expect(page.locator(".st-case__side")).to_contain_text("written down by Alex Reed")
    await expect(page.locator(".st-case__side")).to_contain_text("(816) 555-0145")
