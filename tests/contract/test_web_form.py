"""`POST /channels/web`: answered once it is on disk, the same token is the same complaint."""

import json
from collections.abc import AsyncIterator

import pytest

from bus.connect import Bus
from bus.files import Files
from bus.identity import complaint_id, read_reference
from tests.support.web import Browser, complaints_on, resident_pages

POTHOLE = {
    "text": "A pothole as deep as a bathtub",
    "address": "111 E Maple Ave",
    "email": "ana@example.com",
    "phone": "(816) 555-0123",
    "language": "es",
    "token": "form-1",
}


@pytest.fixture
async def browser(bus: Bus, files: Files) -> AsyncIterator[Browser]:
    async with resident_pages(bus, files) as client:
        yield client


async def test_a_form_is_answered_with_its_receipt(
    browser: Browser, bus: Bus, files: Files
) -> None:
    answer = await browser.post("/channels/web", data=POTHOLE, allow_redirects=False)
    assert answer.status == 303
    (complaint,) = await complaints_on(bus)
    assert answer.headers["Location"] == f"/receipt/{complaint.reference}"
    assert read_reference(complaint.reference) == complaint.reference
    assert complaint.message_id == complaint_id("web", "form-1")
    assert complaint.text == POTHOLE["text"]
    assert complaint.reporter.phone == "+18165550123"
    assert complaint.language == "es"
    assert complaint.original is not None
    kept = json.loads(await files.read(complaint.original.sha256))
    assert kept["fields"]["phone"] == "(816) 555-0123"


async def test_a_program_gets_json(browser: Browser, bus: Bus) -> None:
    answer = await browser.post(
        "/channels/web",
        json={"text": "Smoke", "lat": 39.0911, "lon": -94.4155},
        headers={"Idempotency-Key": "key-1"},
    )
    assert answer.status == 200
    told = await answer.json()
    (complaint,) = await complaints_on(bus)
    assert told == {"reference": complaint.reference, "id": str(complaint.message_id)}
    assert (complaint.lat, complaint.lon, complaint.place_source) == (39.0911, -94.4155, "pin")


async def test_told_twice_it_is_one_complaint(browser: Browser, bus: Bus) -> None:
    answers = [
        await browser.post("/channels/web", data=POTHOLE, allow_redirects=False) for _ in range(3)
    ]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(await complaints_on(bus)) == 1


async def test_without_a_token_each_report_is_its_own(browser: Browser, bus: Bus) -> None:
    for _ in range(2):
        await browser.post("/channels/web", data={"text": "Noise"}, allow_redirects=False)
    assert len(await complaints_on(bus)) == 2


async def test_every_fault_is_told_at_once(browser: Browser, bus: Bus) -> None:
    answer = await browser.post(
        "/channels/web",
        json={"text": " ", "email": "nobody", "problem_type": "Dragons"},
    )
    assert answer.status == 422
    assert {one["field"] for one in (await answer.json())["errors"]} == {
        "text",
        "email",
        "problem_type",
    }
    assert await complaints_on(bus) == []


async def test_a_field_of_another_kind_is_named(browser: Browser, bus: Bus) -> None:
    answer = await browser.post("/channels/web", json={"text": "Smoke", "name": ["Ana"], "lat": {}})
    assert answer.status == 422
    assert [one["field"] for one in (await answer.json())["errors"]] == ["name", "lat"]
    assert await complaints_on(bus) == []


async def test_a_novel_is_refused_and_kept_for_shortening(browser: Browser) -> None:
    novel = "👻" * 100_000
    answer = await browser.post(
        "/channels/web", data={"text": novel}, headers={"Accept": "text/html"}
    )
    assert answer.status == 422
    page = await answer.text()
    assert novel in page
    assert "100,000 characters; we can take 20,000" in page
    assert "<title>Error:" in page


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"not json", "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"text": "' + b"[" * 100_000 + b'"}', "application/json; charset=bogus"),
        (b"[" * 100_000, "application/json"),
        (b"text=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"text=a", "application/x-www-form-urlencoded; charset=bogus"),
    ],
)
async def test_what_cannot_be_read_is_a_bad_request(
    browser: Browser, body: bytes, kind: str
) -> None:
    answer = await browser.post("/channels/web", data=body, headers={"Content-Type": kind})
    assert answer.status == 400


async def test_half_a_character_and_nul_are_taken_out_of_the_text(
    browser: Browser, bus: Bus
) -> None:
    answer = await browser.post(
        "/channels/web",
        data=b'{"text": "A\\ud800 hole\\u0000 here", "name": "\\udc00"}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 200
    (complaint,) = await complaints_on(bus)
    assert complaint.text == "A hole here"
    assert complaint.reporter.name is None


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil"}],
)
async def test_another_site_sends_nothing_in_my_name(
    browser: Browser, bus: Bus, headers: dict[str, str]
) -> None:
    answer = await browser.post(
        "/channels/web", data=POTHOLE, headers=headers | {"Accept": "text/html"}
    )
    assert answer.status == 403
    assert POTHOLE["text"] in await answer.text()
    assert await complaints_on(bus) == []
