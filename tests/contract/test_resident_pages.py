"""Reporting a problem page by page: nothing typed is lost, nothing sent is doubled."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiohttp import FormData
from PIL import Image

from bus import connect
from bus.connect import Bus, open_bus
from bus.files import Files
from gateway.engine_nats import Nats
from store.service import listeners
from tests.support.web import Browser, complaints_on, resident_pages

TEXT = "Un bache enorme en la calle"


@pytest.fixture
async def browser(bus: Bus, files: Files, pool: asyncpg.Pool) -> AsyncIterator[Browser]:
    async with resident_pages(bus, files, pool) as client:
        yield client


async def go(browser: Browser, path: str, **fields: str) -> str:
    """Send a step; returns where it leads."""
    answer = await browser.post(path, data=fields, allow_redirects=False)
    assert answer.status == 303, await answer.text()
    return answer.headers["Location"]


async def page(browser: Browser, path: str, status: int = 200) -> str:
    answer = await browser.get(path)
    assert answer.status == status
    return await answer.text()


def photos(*files: tuple[str, bytes]) -> FormData:
    form = FormData(quote_fields=False)
    for name, data in files:
        form.add_field("photos", data, filename=name, content_type="image/jpeg")
    form.add_field("go", "on")
    return form


def photo(colour: str = "navy", *, placed: bool = False) -> bytes:
    exif = Image.Exif()
    if placed:
        exif[0x8825] = {1: "N", 2: (39.0, 5.0, 28.68), 3: "W", 4: (94.0, 24.0, 57.24)}
    written = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(written, "JPEG", exif=exif)
    return written.getvalue()


async def fill_in(browser: Browser) -> None:
    assert await go(browser, "/report/what", text=TEXT) == "/report/photos"
    assert await go(browser, "/report/photos", go="on") == "/report/where"
    assert await go(browser, "/report/where", address="111 E Maple Ave") == "/report/contact"
    assert await go(browser, "/report/contact", language="es", name="Ana") == "/report/check"


def form_id(check_page: str) -> str:
    found = re.search(r'name="form_id" value="(\w+)"', check_page)
    assert found
    return found[1]


async def test_a_report_goes_all_the_way(browser: Browser, bus: Bus, files: Files) -> None:
    await go(browser, "/report/what", text=TEXT)
    answer = await browser.post(
        "/report/photos",
        data=photos(("one.jpg", photo(placed=True)), ("two.jpg", photo("red"))),
        allow_redirects=False,
    )
    assert answer.headers["Location"] == "/report/where"
    assert "where the photo was taken" in await page(browser, "/report/where")
    await go(browser, "/report/where", address="At the corner", use_photo_place="yes")
    await go(browser, "/report/contact", language="es", name="Ana", email="a@example.com", phone="")
    check = await page(browser, "/report/check")
    assert TEXT in check
    assert "Ana" in check
    receipt = await go(browser, "/report/send", form_id=form_id(check))

    (complaint,) = await complaints_on(bus)
    assert receipt == f"/receipt/{complaint.reference}"
    assert complaint.text == TEXT
    assert (complaint.lat, complaint.lon) == (39.0913, -94.4159)
    assert complaint.place_source == "photo"
    assert complaint.language == "es"
    assert [one.media_type for one in complaint.attachments] == ["image/jpeg"] * 2
    assert not Image.open(io.BytesIO(await files.read(complaint.attachments[0].sha256))).getexif()
    shown = await page(browser, receipt)
    assert complaint.reference in shown
    assert "email address" in shown
    assert "a@example.com" not in shown
    assert TEXT not in await page(browser, "/report/what")


async def test_sent_twice_it_is_one_complaint_with_one_receipt(browser: Browser, bus: Bus) -> None:
    await fill_in(browser)
    mine = form_id(await page(browser, "/report/check"))
    receipts = {await go(browser, "/report/send", form_id=mine) for _ in range(3)}
    assert len(receipts) == 1
    assert len(await complaints_on(bus)) == 1


async def test_an_old_page_sent_again_after_a_new_report_gives_its_own_receipt(
    browser: Browser, bus: Bus
) -> None:
    await fill_in(browser)
    first = form_id(await page(browser, "/report/check"))
    receipt = await go(browser, "/report/send", form_id=first)
    await fill_in(browser)
    assert await go(browser, "/report/send", form_id=first) == receipt
    second = form_id(await page(browser, "/report/check"))
    assert await go(browser, "/report/send", form_id=second) != receipt
    assert len(await complaints_on(bus)) == 2


async def test_without_its_token_a_form_is_shown_again_and_not_sent(
    browser: Browser, bus: Bus
) -> None:
    await fill_in(browser)
    answer = await browser.post("/report/send", data={}, allow_redirects=False)
    assert answer.status == 409
    assert TEXT in await answer.text()
    assert await complaints_on(bus) == []


async def test_a_lost_draft_costs_no_words(browser: Browser, bus: Bus) -> None:
    await fill_in(browser)
    mine = form_id(await page(browser, "/report/check"))
    browser.session.cookie_jar.clear()
    answer = await browser.post(
        "/report/send", data={"form_id": mine, "text": TEXT, "name": "Ana"}, allow_redirects=False
    )
    assert answer.status == 409
    again = await answer.text()
    assert TEXT in again
    assert form_id(again) == mine
    assert await go(browser, "/report/send", form_id=mine)
    assert len(await complaints_on(bus)) == 1


@pytest.mark.parametrize(
    ("path", "field", "typed"),
    [("/report/where", "address", "111 E Maple Ave"), ("/report/contact", "name", "Ana")],
)
async def test_a_step_without_a_draft_keeps_what_it_carried(
    browser: Browser, path: str, field: str, typed: str
) -> None:
    answer = await browser.post(path, data={field: typed}, allow_redirects=False)
    assert answer.status == 409
    assert "open too long" in await answer.text()
    await go(browser, "/report/what", text=TEXT)
    assert typed in await page(browser, "/report/check")


async def test_an_empty_text_is_asked_for(browser: Browser) -> None:
    answer = await browser.post("/report/what", data={"text": " \0 "})
    assert answer.status == 422
    shown = await answer.text()
    assert "<title>Error:" in shown
    assert 'href="#text"' in shown


async def test_a_novel_is_shown_again_whole(browser: Browser) -> None:
    novel = "ñ" * 100_000
    answer = await browser.post("/report/what", data={"text": novel})
    assert answer.status == 422
    assert novel in await answer.text()


async def test_danger_leads_to_911_first(browser: Browser) -> None:
    assert await go(browser, "/report/what", text="I smell gas in my house") == "/report/urgent"
    assert "tel:911" in await page(browser, "/report/urgent")
    check = await page(browser, "/report/check")
    assert "I smell gas" in check
    assert check.index("tel:911") < check.index("I smell gas"), "before anything can be sent"


async def test_danger_stands_on_the_receipt_and_goes_with_the_complaint(
    browser: Browser, bus: Bus
) -> None:
    await go(browser, "/report/what", text="Un cable de luz caído soltando chispas")
    await go(browser, "/report/where", address="111 E Maple Ave")
    await go(browser, "/report/contact", language="es")
    form = form_id(await page(browser, "/report/check"))
    receipt = await go(browser, "/report/send", form_id=form)
    assert 'class="bs-911' in await page(browser, receipt)
    (complaint,) = await complaints_on(bus)
    assert complaint.emergency

    await fill_in(browser)
    form = form_id(await page(browser, "/report/check"))
    receipt = await go(browser, "/report/send", form_id=form)
    assert 'class="bs-911' not in await page(browser, receipt), "that was another report"


@pytest.mark.parametrize(("language", "says"), [("en", "Call 911"), ("es", "Llame al 911")])
async def test_a_program_that_reports_danger_is_told_what_to_show(
    browser: Browser, language: str, says: str
) -> None:
    report = {"text": "the shed is on fire", "language": language}
    answer = await browser.post("/channels/web", json=report)
    assert (await answer.json())["emergency"].startswith(says)
    answer = await browser.post("/channels/web", json=report | {"text": "a pothole"})
    assert "emergency" not in await answer.json()
    answer = await browser.post("/channels/web", data=report, allow_redirects=False)
    assert "tel:911" in await page(browser, answer.headers["Location"])


async def test_bad_photos_are_named_and_good_ones_kept(browser: Browser) -> None:
    await go(browser, "/report/what", text=TEXT)
    answer = await browser.post(
        "/report/photos",
        data=photos(
            ("good.jpg", photo()),
            ("a <b>.jpg", b"hello"),
            ("huge.jpg", b"\xff\xd8" + b"\0" * (60 * 1024 * 1024)),
        ),
    )
    assert answer.status == 422
    shown = await answer.text()
    assert "“a &lt;b&gt;.jpg” was not added: it is not a photo" in shown
    assert "“huge.jpg” was not added: it is larger than 15 MB" in shown
    assert "1 photo added" in shown
    (sha256,) = set(re.findall(r"/report/photos/(\w{64})", shown))
    small = await browser.get(f"/report/photos/{sha256}")
    assert small.content_type == "image/jpeg"
    await go(browser, "/report/photos/remove", photo=sha256)
    assert sha256 not in await page(browser, "/report/photos")
    assert (await browser.get(f"/report/photos/{sha256}")).status == 404


async def test_ten_photos_and_no_more(browser: Browser, bus: Bus) -> None:
    await go(browser, "/report/what", text=TEXT)
    many = [(f"{number}.jpg", photo(f"hsl({number * 25}, 80%, 50%)")) for number in range(11)]
    answer = await browser.post("/report/photos", data=photos(*many))
    assert answer.status == 422
    shown = await answer.text()
    assert "“10.jpg” was not added: a report can have 10 photos" in shown
    assert "10 photos added" in shown


async def test_a_form_that_is_cut_wrongly_is_a_bad_request(browser: Browser) -> None:
    await go(browser, "/report/what", text=TEXT)
    answer = await browser.post(
        "/report/photos", data=b"nothing", headers={"Content-Type": "multipart/form-data"}
    )
    assert answer.status == 400


async def test_a_place_outside_the_city_is_said_and_taken(browser: Browser) -> None:
    await go(browser, "/report/what", text=TEXT)
    far = "1200 Main St, Kansas City, MO 64105"
    answer = await browser.post("/report/where", data={"address": far}, allow_redirects=False)
    assert answer.status == 200
    assert "outside the city" in await answer.text()
    assert await go(browser, "/report/where", address=far) == "/report/contact"


async def test_a_report_without_a_place_says_so(browser: Browser) -> None:
    await go(browser, "/report/what", text=TEXT)
    answer = await browser.post("/report/where", data={"address": ""}, allow_redirects=False)
    assert answer.status == 422
    assert await go(browser, "/report/where", address="", no_place="yes") == "/report/contact"


async def test_changing_one_answer_leads_back_to_the_last_page(browser: Browser) -> None:
    await fill_in(browser)
    assert await go(browser, "/report/what?then=check", text="Other words") == "/report/check"
    assert "Other words" in await page(browser, "/report/check")


async def test_spanish_stays_once_chosen(browser: Browser) -> None:
    assert 'lang="es"' in await page(browser, "/?lang=es")
    assert "¿Cuál es el problema?" in await page(browser, "/report/what")
    answer = await browser.post("/report/what", data={"text": ""})
    assert "Díganos cuál es el problema." in await answer.text()
    assert "No encontramos esa página" in await page(browser, "/nowhere", 404)


async def test_a_browser_is_answered_in_its_language(browser: Browser) -> None:
    answer = await browser.get("/", headers={"Accept-Language": "fr;q=0.9, es-MX, en;q=0.5"})
    assert answer.headers["Content-Language"] == "es"


async def test_a_case_is_followed_by_its_reference(
    browser: Browser, bus: Bus, pool: asyncpg.Pool
) -> None:
    await fill_in(browser)
    receipt = await go(
        browser, "/report/send", form_id=form_id(await page(browser, "/report/check"))
    )
    reference = receipt.rpartition("/")[2]
    early = await browser.get(f"/track/{reference}")
    assert early.status == 202
    assert "being filed" in await early.text()

    await listeners(pool)[0].handle(await complaints_on(bus))
    shown = await page(browser, f"/track/{reference}")
    assert "Received" in shown
    assert "Ana" not in shown
    assert TEXT not in shown
    assert "111 E Maple Ave" not in shown
    typed = await browser.get(f"/track?reference={reference.lower().replace('-', ' ')}")
    assert typed.status == 200


async def test_a_mistyped_reference_is_explained(browser: Browser) -> None:
    assert "is not one of our references" in await page(browser, "/track?reference=7KQ-2MX-95", 422)
    assert "is not one of our references" in await page(browser, "/track/nonsense", 404)


async def test_nobody_tries_many_references(browser: Browser) -> None:
    statuses = [(await browser.get("/track/000-000-00?again=9")).status for _ in range(31)]
    assert statuses[:30] == [404] * 30
    assert statuses[30] == 429


async def test_pages_carry_their_guards(browser: Browser) -> None:
    answer = await browser.get("/")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    shown = await answer.text()
    assert " style=" not in shown
    assert "<style" not in shown
    assert not re.search(r"<script(?![^>]*\bsrc=)", shown)
    for url in re.findall(r'(?:href|src)="(/(?:static|city-)[^"#]+)"', shown):
        asset = await browser.get(url)
        assert asset.status == 200, url
        assert "immutable" in asset.headers["Cache-Control"]


async def test_a_bus_that_is_away_costs_no_words(
    files: Files, pool: asyncpg.Pool, server_folder: Path
) -> None:
    server = Nats(server_folder / "nats-away")
    await server.start()
    async with (
        open_bus(connect.Settings(url=server.url), name="away") as bus,
        resident_pages(bus, files, pool) as browser,
    ):
        await server.stop()
        step, whole = await asyncio.gather(
            browser.post("/report/what", data={"text": TEXT}),
            browser.post(
                "/channels/web", data={"text": TEXT}, headers={"Accept": "application/json"}
            ),
        )
        assert (step.status, whole.status) == (503, 503)
        shown = await step.text()
        assert TEXT in shown
        assert 'action="/report/what"' in shown
