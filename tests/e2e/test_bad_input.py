"""
Bad input and bad days, over HTTP against the running product: each gets a clear answer where a
person can mend it, keeps what was typed, and loses nothing that was acknowledged.
"""

import asyncio
import io
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from uuid import uuid4

import aiohttp
import nats
import psutil
import pytest
from PIL import Image

from tests.support.disk import Disk, small_disk
from tests.support.product import Product, copy_of, until, visitor
from tests.support.staff import goes_to

FILED = """
    SELECT c.id, c.reference, c.status, c.text, c.district, c.department, c.reasons, l.original
    FROM cases c JOIN complaints l ON l.id = c.id
    WHERE c.reference = $1
"""


@pytest.fixture(scope="module")
async def house(template: Path) -> AsyncIterator[Product]:
    """One running product for all tests that do it no harm."""
    product = Product(copy_of(template, template.parent, "house"))
    try:
        await product.start()
        yield product
        assert await product.stop() == 0, product.said
    finally:
        await product.clear()


@pytest.fixture
async def browser(house: Product) -> AsyncIterator[aiohttp.ClientSession]:
    async with visitor(house) as browser:
        yield browser


async def send(
    browser: aiohttp.ClientSession, text: str, key: str = "", **fields: str
) -> aiohttp.ClientResponse:
    """A whole report in one request, as a form that a browser sends."""
    return await browser.post(
        "/channels/web",
        data={"text": text, **fields},
        headers={"Idempotency-Key": key or str(uuid4())},
        allow_redirects=False,
    )


def reference_in(answer: aiohttp.ClientResponse) -> str:
    return goes_to(answer).removeprefix("/receipt/")


async def filed(product: Product, reference: str) -> dict[str, object]:
    """The case of a reference, once it is filed and routed."""
    found: list[dict[str, object]] = []

    async def look() -> bool:
        async with product.database() as database:
            row = await database.fetchrow(FILED, reference)
        if row is None or row["status"] == "new":
            return False
        found.append(dict(row))
        return True

    await until(look)
    return found[0]


# ── what is typed ───────────────────────────────────────────────────────────────────────────────


async def test_an_empty_text_is_answered_with_what_to_do(browser: aiohttp.ClientSession) -> None:
    for nothing in ("", "  \n\t ", "\x00\x07"):
        answer = await send(browser, nothing, address="1200 S Noland Rd")
        page = unescape(await answer.text())
        assert answer.status == 422
        assert "Tell us what the problem is." in page
        assert "1200 S Noland Rd" in page, "what was typed is kept"
    machine = await browser.post(
        "/channels/web", json={"text": ""}, headers={"Accept": "application/json"}
    )
    assert machine.status == 422
    assert (await machine.json())["errors"] == [
        {"field": "text", "message": "Tell us what the problem is."}
    ]


@pytest.mark.parametrize("letter", ["x", "🚧"])
async def test_a_text_that_is_much_too_long_is_kept(
    browser: aiohttp.ClientSession, letter: str
) -> None:
    text = "Water in my basement. " + letter * 99_978
    answer = await send(browser, text)
    page = unescape(await answer.text())
    assert answer.status == 422
    assert "Your report has 100,000 characters; we can take 20,000." in page
    assert text in page


@pytest.mark.parametrize(
    ("typed", "readable"),
    [
        ("A\x00 hole\x07 on\x1b[31m 23rd\r\nStreet", "A hole on[31m 23rd\nStreet"),
        ("Trash everywhere 🗑️👩‍👩‍👧 since 🎄", "Trash everywhere 🗑️👩‍👩‍👧 since 🎄"),
        ("هناك حفرة كبيرة في الشارع\u200f 23", "هناك حفرة كبيرة في الشارع\u200f 23"),
        ("'); DROP TABLE cases; -- <script>alert(1)</script>", ...),
    ],
)
async def test_strange_letters_are_filed_and_readable(
    house: Product, browser: aiohttp.ClientSession, typed: str, readable: str
) -> None:
    """What no person can type goes; the original lies untouched in the files."""
    case = await filed(house, reference_in(await send(browser, typed)))
    assert case["text"] == (typed if readable is ... else readable)
    original = case["original"]
    assert isinstance(original, dict)
    sha256 = original["sha256"]
    kept = house.data / "files" / sha256[:2] / sha256[2:]
    await until(lambda: asyncio.to_thread(kept.exists))
    assert json.loads(kept.read_bytes())["fields"]["text"] == typed.replace("\n", "\r\n").replace(
        "\r\r\n", "\r\n"
    )
    track = await (await browser.get(f"/track/{case['reference']}")).text()
    assert "<script>alert" not in track


async def test_a_place_outside_the_city_has_no_district_and_says_why(
    house: Product, browser: aiohttp.ClientSession
) -> None:
    answer = await send(
        browser,
        "A pothole in front of my house",
        address="4520 Main Street, Kansas City",
        lat="39.0458",
        lon="-94.5867",
    )
    case = await filed(house, reference_in(answer))
    assert case["district"] is None
    reasons = case["reasons"]
    assert isinstance(reasons, list)
    assert any("No district" in one for one in reasons), reasons


async def test_fifty_times_the_same_report_at_once_is_one_case(
    house: Product, browser: aiohttp.ClientSession
) -> None:
    key = str(uuid4())
    answers = await asyncio.gather(
        *(send(browser, "The button was pressed many times", key) for _ in range(50))
    )
    [reference] = {reference_in(answer) for answer in answers}
    await filed(house, reference)
    again = await send(browser, "The button was pressed many times", key)
    assert reference_in(again) == reference
    async with house.database() as database:
        count = "SELECT count(*) FROM cases WHERE text = 'The button was pressed many times'"
        assert await database.fetchval(count) == 1


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"text": "half', "application/json"),
        (b'["text"]', "application/json"),
        (b'"text"', "application/json"),
        (b'{"text": "\xff\xfe"}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"text": "x"}', "application/json; charset=klingon"),
        (b"text=x", "application/x-www-form-urlencoded; charset=klingon"),
        (b"--nothing", "multipart/form-data; boundary=x"),
        (b"A pothole", "text/plain"),
        (b"\x00" * 5_000_000, "application/json"),
    ],
)
async def test_what_cannot_be_read_gets_a_clear_refusal(
    house: Product, browser: aiohttp.ClientSession, body: bytes, media_type: str
) -> None:
    """To programs in JSON, to browsers as a page; never a failure of ours."""
    for accept in ("application/json", "text/html"):
        answer = await browser.post(
            "/channels/web", data=body, headers={"Content-Type": media_type, "Accept": accept}
        )
        assert answer.status in (400, 413, 415, 422), await answer.text()
        assert answer.content_type == accept
        said = await answer.text()
        assert re.search(r"[A-Z][a-z ]+", said)
        assert "Traceback" not in said


# ── photos ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_photo_too_large_is_refused_and_the_words_are_kept(
    browser: aiohttp.ClientSession,
) -> None:
    """60 MB, and a file that only says that it is a JPEG; the good photo between them stays."""
    await browser.post("/report/what", data={"text": "A tree fell on the fence"})
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), "green").save(picture, "JPEG")
    form = aiohttp.FormData()
    for name, data in (
        ("huge.jpg", b"\xff\xd8\xff\xe0" + bytes(60 * 1024 * 1024)),
        ("tree.jpg", picture.getvalue()),
        ("letter.jpg", b"Dear city, this is no photo."),
    ):
        form.add_field("photos", data, filename=name, content_type="image/jpeg")
    answer = await browser.post("/report/photos", data=form)
    page = unescape(await answer.text())
    assert "“huge.jpg” was not added: it is larger than 15 MB." in page
    assert "“letter.jpg” was not added: it is not a photo that we can open" in page
    assert page.count("<img") >= 1, "the good one is shown"
    assert "A tree fell on the fence" in unescape(await (await browser.get("/report/what")).text())
    assert len(set(re.findall(r"/report/photos/[0-9a-f]{64}", page))) == 1


# ── forms without their token ───────────────────────────────────────────────────────────────────


async def test_a_staff_form_without_its_token_keeps_what_was_typed(
    house: Product, browser: aiohttp.ClientSession
) -> None:
    case = await filed(house, reference_in(await send(browser, "A sign is gone, on Noland Road")))
    words = "I drove there: the sign lies in the ditch."
    note = {"note_id": str(uuid4()), "audience": "internal", "text": words}
    async with visitor(house, "amy.lindqvist") as amy:
        for token in ({}, {"csrf": "somebody else's"}):
            answer = await amy.post(f"/staff/cases/{case['id']}/note", data=note | token)
            page = unescape(await answer.text())
            assert answer.status == 403
            assert "Nothing was changed yet" in page
            assert words in page
    signed_out = await browser.post(f"/staff/cases/{case['id']}/note", data=note)
    page = unescape(await signed_out.text())
    assert signed_out.status == 401
    assert words in page, "who signs in now can send it again"
    other_site = await browser.post(
        "/report/what", data={"text": words}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert other_site.status == 403
    assert words in unescape(await other_site.text())
    async with house.database() as database:
        assert await database.fetchval("SELECT count(*) FROM notes") == 0


# ── what nobody could have sent ─────────────────────────────────────────────────────────────────


async def test_a_poisoned_message_ends_in_a_grave_and_harms_nobody(product: Product) -> None:
    await product.start()
    client = await nats.connect(product.address["nats_url"])
    async with visitor(product) as browser:
        before = await send(browser, "A pothole, before")
        js = client.jetstream()
        garbage = (b"\x00\xffgarbage", b"{}", b'{"text": 1}', b"")
        for number, body in enumerate(garbage):
            headers = {"Nats-Msg-Id": f"poison-{number}"}
            if number % 2:
                headers["Buckstop-Contract"] = "complaint.received.v1"
            await js.publish("complaint.received.web", body, headers=headers)
        after = await send(browser, "A pothole, after")
    await product.settled(2)
    for answer in (before, after):
        assert (await filed(product, reference_in(answer)))["department"]

    async def buried() -> bool:
        async with product.database() as database:
            return bool(
                await database.fetchval(
                    "SELECT count(*) FROM dead_letters WHERE resolved_at IS NULL"
                )
                >= 2 * len(garbage)
            )

    await until(buried)
    async with product.database() as database:
        graves = await database.fetch("SELECT durable, reason, payload FROM dead_letters")
    # Everybody who hears complaints buries each once, and says why.
    assert len(graves) == 2 * len(garbage)
    assert {row["durable"] for row in graves} == {"store_complaint", "router_complaint_received"}
    assert all(row["reason"].startswith("Unreadable: ") for row in graves), graves
    assert (await js.stream_info("DEAD")).state.messages == 2 * len(garbage)
    await client.close()
    audit = await product.ask("audit")
    assert audit.out == "received 2 = filed 2 + quarantined 0 + ignored 0 + in flight 0\n"
    assert audit.code == 0
    assert await product.stop() == 0, product.said


# ── bad days ────────────────────────────────────────────────────────────────────────────────────


async def test_reports_are_taken_while_the_database_is_away(product: Product) -> None:
    """Killed, then hanging for some seconds: only the bus is needed to acknowledge."""
    await product.start()
    references = set()
    async with visitor(product) as browser:
        reference = reference_in(await send(browser, "Before everything"))
        references.add(reference)
        await filed(product, reference)
        os.kill(product.postgres_pid or 0, signal.SIGKILL)
        for number in range(10):
            references.add(reference_in(await send(browser, f"While it is dead, {number}")))
        await product.ready()

        hanging = [one for one in product.processes() if one.name() == "postgres"]
        hanging += [child for one in hanging for child in one.children(recursive=True)]
        for process in hanging:
            process.suspend()
        try:
            for number in range(10):
                references.add(reference_in(await send(browser, f"While it hangs, {number}")))
                await asyncio.sleep(0.5)
            ready = await browser.get("/readyz")
            assert ready.status == 503
            assert (await ready.json())["pings"]["postgres"] == "no answer"
        finally:
            for process in hanging:
                process.resume()
        await product.ready()
        await product.settled(21)
        async with product.database() as database:
            rows = await database.fetch("SELECT reference FROM cases")
            assert await database.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert {row["reference"] for row in rows} == references
    assert len(rows) == 21
    assert await product.stop() == 0, product.said


async def test_while_the_bus_hangs_nothing_is_acknowledged_and_the_words_are_kept(
    product: Product,
) -> None:
    await product.start()
    words = "The crossing light by the school is out"
    async with visitor(product) as browser:
        await browser.post("/report/what", data={"text": words})
        server = psutil.Process(product.nats_pid)
        server.suspend()
        try:
            answers = await asyncio.gather(
                send(browser, words, "the-key", address="1200 S Noland Rd"),
                browser.post("/report/what", data={"text": words + ", still"}),
                browser.post(
                    "/channels/web",
                    json={"text": words},
                    headers={"Idempotency-Key": "the-key", "Accept": "application/json"},
                ),
                browser.get("/readyz"),
            )
        finally:
            server.resume()
        for answer in answers:
            assert answer.status == 503
        for answer in answers[:3]:
            assert answer.headers["Retry-After"]
        for answer in answers[:2]:
            page = unescape(await answer.text())
            assert "We cannot reach our records right now" in page
            assert words in page
        assert (await answers[2].json())["error"] == "We cannot reach our records right now"

        reference = reference_in(await send(browser, words, "the-key", address="1200 S Noland Rd"))
        await product.settled(1)
        async with product.database() as database:
            rows = await database.fetch("SELECT reference FROM cases")
    assert [row["reference"] for row in rows] == [reference], "sent again, it is one case"
    audit = await product.ask("audit")
    assert audit.out == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0\n"
    assert await product.stop() == 0, product.said


async def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_kept(
    template: Path, folder: Path
) -> None:
    """With room again it goes on by itself, and what was refused can be sent again."""
    with small_disk(folder) as disk:
        product = Product(copy_of(template, disk.folder))
        try:
            await product.start()
            await _fill_and_free(product, disk)
        finally:
            await product.clear()


async def _fill_and_free(product: Product, disk: Disk) -> None:
    async with visitor(product) as browser:
        acknowledged = {reference_in(await send(browser, "While there is room", "first"))}
        await product.settled(1)
        disk.fill(product)
        # Some may still fit into pages that are begun; then nothing does.
        words = "Too much for a full disk. " * 600
        keys = [f"full-{number}" for number in range(8)]
        answers = await asyncio.gather(*(send(browser, words, key) for key in keys))
        refused = [key for key, answer in zip(keys, answers, strict=True) if answer.status != 303]
        assert refused
        for answer in answers:
            if answer.status == 303:
                acknowledged.add(reference_in(answer))
            else:
                assert answer.status == 503
                assert words.strip() in unescape(await answer.text())

        disk.free(product)
        for key in refused:
            while (answer := await send(browser, words, key)).status != 303:
                assert answer.status == 503
                await asyncio.sleep(0.5)
            acknowledged.add(reference_in(answer))
        await product.settled(9)
        await product.ready()
    async with product.database() as database:
        rows = await database.fetch("SELECT reference FROM cases")
    assert {row["reference"] for row in rows} == acknowledged
    assert len(rows) == 9
    audit = await product.ask("audit")
    assert audit.out == "received 9 = filed 9 + quarantined 0 + ignored 0 + in flight 0\n"
    assert await product.stop() == 0, product.said
