"""One complaint, all the way: from a phone in Spanish to the closing words in the mailbox."""

import io
import re

from PIL import Image
from playwright.async_api import Page, expect

from tests.browser.people import (
    Visitors,
    add_photo,
    is_drawn,
    let_in,
    mails_settled,
    past_near,
    photo_taken_at,
    placed,
    reference_on,
    sign_in,
    too_wide,
)
from tests.support.product import Product

NAME = "Rosa Lara Quintanilla"
EMAIL = "rosa.lara@resident.example"
ADDRESS = "625 S Osage St"
COMPLAINT = "Hay un bache enorme en la calle frente a mi casa, ya se cayeron dos ciclistas."
NOTE = "Mañana por la mañana viene una cuadrilla a rellenar el bache."
CLOSING = "El bache está rellenado y la calle está abierta. Gracias por avisarnos."


async def test_a_complaint_from_a_phone_is_closed_with_words(
    visitors: Visitors, product: Product
) -> None:
    resident = await visitors.resident("es")
    reference = await _report(visitors, resident)

    case = await placed(product, reference)
    assert case["department"] == "MS-STREET MAINTENANCE"
    assert case["district"] == "District 1"
    assert case["assignee"] in ("jo.linden", "max.odell")
    await let_in(product, case["assignee"])

    staff = await visitors.colleague("en")
    await _work(visitors, staff, case["assignee"], reference)
    await mails_settled(product, reference, 5)

    neighbour = await visitors.resident("es")
    await _follow(visitors, neighbour, reference)
    await _read_mails(visitors, neighbour, case["assignee"], reference)


async def _report(visitors: Visitors, page: Page) -> str:
    await page.goto("/")
    await expect(page.locator("html")).to_have_attribute("lang", "es")
    await visitors.picture(page, "home")
    await page.locator("main").get_by_role("link", name="Reportar un problema").tap()

    await page.get_by_label("¿Cuál es el problema?").fill(COMPLAINT)
    await visitors.picture(page, "what")
    await page.get_by_role("button", name="Continuar").tap()

    await expect(page.get_by_role("heading", level=1)).to_have_text("¿Tiene fotos?")
    await add_photo(page, photo_taken_at(39.0846, -94.4172))
    await page.get_by_role("button", name="Agregar estas fotos").tap()
    await expect(page.get_by_text("1 foto agregada")).to_be_visible()
    assert await is_drawn(page.get_by_alt_text("Foto 1"))
    await visitors.picture(page, "photos")
    await page.get_by_role("button", name="Continuar").tap()

    await page.get_by_label("¿Dónde está?").fill(ADDRESS)
    await page.get_by_text("Usar el lugar donde se tomó la foto").tap()
    await visitors.picture(page, "where")
    await page.get_by_role("button", name="Continuar").tap()
    await past_near(page)

    await page.get_by_label("Su nombre").fill(NAME)
    await page.get_by_label("Correo electrónico").fill(EMAIL)
    await expect(page.get_by_role("radio", name="Español")).to_be_checked()
    await visitors.picture(page, "contact")
    await page.get_by_role("button", name="Continuar").tap()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Revise su reporte")
    for given in (COMPLAINT, ADDRESS, "El lugar donde se tomó la foto", NAME, EMAIL, "Español"):
        await expect(page.locator(".bs-summary")).to_contain_text(given)
    assert await is_drawn(page.get_by_alt_text("Foto 1"))
    await visitors.picture(page, "check")
    await page.get_by_role("button", name="Enviar reporte").tap()

    reference = await reference_on(page)
    await visitors.picture(page, "receipt")
    assert not await too_wide(page)
    return reference


async def _work(visitors: Visitors, page: Page, login: str, reference: str) -> None:
    await sign_in(page, login)
    row = page.locator(".st-row", has_text=reference)
    await expect(row).to_contain_text("Pothole")
    await visitors.picture(page, "desk")
    await row.get_by_role("link").click()

    await expect(page.locator(".st-said").first).to_have_text(COMPLAINT)
    for told in (ADDRESS, "District 1", NAME, EMAIL, "MS-STREET MAINTENANCE"):
        await expect(page.locator(".st-case__side")).to_contain_text(told)
    photo = page.get_by_alt_text("Photo 1 of 1")
    assert await is_drawn(photo)
    await _holds_no_exif(page, await photo.get_attribute("src") or "")
    await visitors.picture(page, "case")

    await page.get_by_role("button", name="Start work").click()
    await expect(page.get_by_role("status").first).to_contain_text("Work has started.")

    await page.get_by_role("link", name="Write a note").click()
    form = page.locator("#form-note")
    await form.get_by_text("The resident will see this").click()
    await form.get_by_label("Note").fill(NOTE)
    await visitors.picture(page, "note")
    await form.get_by_role("button", name="Save the note").click()
    await expect(page.locator(".st-note--public")).to_contain_text(NOTE)

    await page.get_by_role("link", name="Close", exact=True).click()
    form = page.locator("#form-close")
    await form.get_by_text("It was done.").click()
    await form.get_by_label("Words for the resident").fill(CLOSING)
    await expect(form.locator(".st-told")).to_contain_text(EMAIL)
    await visitors.picture(page, "close")
    await form.get_by_role("button", name="Close the case").click()
    await expect(page.get_by_role("status").first).to_contain_text("The case is closed.")
    await visitors.picture(page, "closed")

    await page.goto("/staff")
    await expect(page.locator(".st-row", has_text=reference)).to_have_count(0)


async def _holds_no_exif(page: Page, address: str) -> None:
    answer = await page.request.get(address)
    data = await answer.body()
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"Exif" not in data
    assert b"Lara" not in data
    assert not Image.open(io.BytesIO(data)).getexif()


async def _follow(visitors: Visitors, page: Page, reference: str) -> None:
    await page.goto("/")
    await page.get_by_label("Su referencia").fill(reference.replace("-", " ").lower())
    await page.get_by_role("button", name="Ver en qué va").tap()
    await page.wait_for_url(f"**/track/{reference}")
    main = page.locator("main")
    for told in (reference, "Cerrado", "Mantenimiento de Calles", NOTE, CLOSING):
        await expect(main).to_contain_text(told)
    await visitors.picture(page, "track")
    whole = await page.content()
    for private in (NAME, "Rosa", EMAIL, ADDRESS, "Osage", COMPLAINT, "ciclistas", "/files/"):
        assert private not in whole
    assert not await too_wide(page)


async def _read_mails(visitors: Visitors, page: Page, login: str, reference: str) -> None:
    staff = f"{login}@independence.example"
    await _read_mail(
        visitors, page, reference, staff, "New case for you",
        "A case is on your desk", COMPLAINT, ADDRESS, NAME, EMAIL, "Open the case",
    )  # fmt: skip
    await _read_mail(
        visitors, page, reference, EMAIL, "Recibimos su reporte",
        f"Hola, {NAME}", reference, COMPLAINT,
    )  # fmt: skip
    await _read_mail(visitors, page, reference, EMAIL, "Cerramos su reporte", "Hola", CLOSING)
    await _read_mail(visitors, page, reference, staff, "Closed", CLOSING)


async def _read_mail(
    visitors: Visitors, page: Page, reference: str, to: str, subject: str, *told: str
) -> None:
    await page.goto("/mailbox")
    line = page.locator(".st-mails__link", has_text=reference).filter(has_text=to)
    await line.filter(has_text=re.compile(subject)).tap()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile(subject))
    await expect(page.locator(".st-facts")).to_contain_text(to)
    mail = page.frame_locator("iframe.st-mail").locator("body")
    for words in told:
        await expect(mail).to_contain_text(words)
    await visitors.picture(page, f"mail-{to.partition('@')[0]}")
