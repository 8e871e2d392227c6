"""A report is written, sent and followed in a browser that runs no script."""

from playwright.async_api import expect

from tests.browser.people import (
    Visitors,
    add_photo,
    go_on,
    photo_taken_at,
    placed,
    reference_on,
)
from tests.support.product import Product


async def test_the_whole_report_works_without_script(visitors: Visitors, product: Product) -> None:
    page = await visitors.resident("en", java_script_enabled=False)
    await page.goto("/")
    await page.locator("main").get_by_role("link", name="Report a problem").tap()

    # An empty form comes back with what is wrong, and the browser's title says so.
    await go_on(page)
    await expect(page).to_have_title("Error: What is the problem? – Independence")
    await expect(page.get_by_role("alert")).to_contain_text("Tell us what the problem is.")

    await page.get_by_label("What is the problem?").fill("The street light on our corner is out.")
    await page.get_by_text("Choose the kind of problem yourself").tap()
    await page.get_by_label("Kind of problem").select_option(label="Street light")
    await go_on(page)

    # Two photos are added one by one, and one of them is taken away again.
    for grey in (90, 130):
        await add_photo(page, photo_taken_at(39.0846, -94.4172, grey=grey))
        await page.get_by_role("button", name="Add these photos").tap()
    await expect(page.get_by_role("heading", name="2 photos added")).to_be_visible()
    await page.get_by_role("button", name="Remove photo 2").tap()
    await expect(page.get_by_role("heading", name="1 photo added")).to_be_visible()
    await go_on(page)

    await page.get_by_label("Where is it?").fill("Maple Ave & Liberty St")
    await go_on(page)
    await page.get_by_label("Email").fill("porchlight@")
    await go_on(page)
    await expect(page.locator("#email")).to_have_value("porchlight@")
    await page.get_by_label("Email").fill("porchlight@resident.example")
    await go_on(page)

    # A change from the last page leads back to it.
    await page.get_by_role("link", name="Change Place").tap()
    await page.get_by_label("Where is it?").fill("Maple Ave & Spring St")
    await go_on(page)
    summary = page.locator(".bs-summary")
    for given in ("Street light", "Maple Ave & Spring St", "porchlight@resident.example"):
        await expect(summary).to_contain_text(given)
    # The picture is there without any script of ours having asked for it.
    picture = await page.get_by_alt_text("Photo 1").get_attribute("src")
    assert (await page.request.get(picture or "")).ok
    await visitors.picture(page, "check")
    await page.get_by_role("button", name="Send report").tap()

    reference = await reference_on(page)
    case = await placed(product, reference)
    assert case["status"] == "assigned"
    await page.get_by_role("link", name="Follow this report").tap()
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"Report {reference}")
    await expect(page.locator("main")).to_contain_text("With the department")
    await visitors.picture(page, "track")


async def test_staff_work_without_script(visitors: Visitors, product: Product) -> None:
    page = await visitors.colleague("en", java_script_enabled=False)
    await page.goto("/staff")
    await page.get_by_label("Sign-in name").fill("alex.reed")
    await page.get_by_label("Password").fill("the-buck-stops-here")
    await page.get_by_role("button", name="Sign in").click()

    await page.get_by_role("link", name="New call").first.click()
    await page.get_by_label("1. Where is it?").fill("1805 S Hardy Ave")
    await page.get_by_label("2. What does the caller say?").fill("Grass is knee high next door")
    await page.get_by_text("The caller stays anonymous").click()
    await page.get_by_role("button", name="Save the call").click()
    reference = (await page.locator(".bs-reference").inner_text()).strip()
    case = await placed(product, reference)

    await page.goto(f"/staff/cases/{case['id']}")
    await page.get_by_text("Close the case").first.click()
    form = page.locator("#form-close")
    await form.get_by_role("button", name="Close the case").click()
    await expect(page.get_by_role("alert")).to_contain_text("There is a problem")
    await form.get_by_text("It was done.").click()
    await form.get_by_label("Words for the resident").fill("It is mown.")
    await form.get_by_role("button", name="Close the case").click()
    await expect(page.get_by_role("status").first).to_contain_text("The case is closed.")
