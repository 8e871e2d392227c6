"""The pages about reports of one problem: shown to residents and staff, naming nobody."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from bus.connect import Bus
from bus.contracts import ComplaintReceived, Contact
from bus.files import Files
from bus.identity import complaint_id
from gateway.likely import block_of
from router.rules import CITIES, load_city
from router.service import Router, open_router
from store import cases, followers, incidents, ledger
from store.merging import merge
from store.model import Role, Status
from store.same_settings import StormSettings
from store.storms import look
from tests.support.facts import complaint
from tests.support.staff import (
    Reader,
    goes_to,
    put_account,
    small_settings,
    staff_pages,
    value_in,
)
from tests.support.store import file, routed
from tests.support.web import Browser, complaints_on, resident_pages

POTHOLE = "Pothole/Street Maintenance"
STREETS = "MS-STREET MAINTENANCE"
WORDS = "A big pothole on 23rd by the gas station, my tire blew"
SECRETS = ("Rosa", "rosa@", "816555", "11401", "gas station, number")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    city = load_city(CITIES / "independence")
    return open_router(city, tmp_path_factory.mktemp("models"))


@pytest.fixture
async def browser(
    bus: Bus, files: Files, pool: asyncpg.Pool, router: Router
) -> AsyncIterator[Browser]:
    async with resident_pages(bus, files, pool, router=router) as client:
        yield client


@pytest.fixture
async def pat(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> AsyncIterator[Reader]:
    """Pat of Streets, signed in."""
    await put_account(pool, "pat.moore", [Role.STAFF], department=STREETS)
    await put_account(pool, "casey.caller", [Role.CALL_TAKER])
    async with staff_pages(pool, bus, files, router, small_settings(tmp_path)) as reader:
        await reader.sign_in("pat.moore")
        yield reader


async def filed(pool: asyncpg.Pool, number: int = 1, **other: object) -> ComplaintReceived:
    """A pothole that Rosa reported yesterday, on Pat's desk."""
    told = complaint(number, **({"occurred_at": datetime.now(UTC) - timedelta(days=1)} | other))
    await file(pool, told, routed(told))
    return told


async def go(browser: Browser, path: str, **fields: str) -> str:
    answer = await browser.post(path, data=fields, allow_redirects=False)
    assert answer.status == 303, await answer.text()
    return answer.headers["Location"]


async def page(browser: Browser, path: str, status: int = 200) -> str:
    answer = await browser.get(path)
    text = await answer.text()
    assert answer.status == status, text
    return text


async def write(browser: Browser, text: str = WORDS, address: str = "11405 E 23rd St") -> str:
    """Up to the place; where it leads."""
    await go(browser, "/report/what", text=text)
    await go(browser, "/report/photos", go="on")
    return await go(
        browser,
        "/report/where",
        address=address,
        lat="39.07575",
        lon="-94.4416",
        place_source="device",
    )


# ── residents ───────────────────────────────────────────────────────────────────────────────────


async def test_a_resident_sees_what_was_reported_near_and_nothing_of_anybody(
    browser: Browser, pool: asyncpg.Pool
) -> None:
    told = await filed(pool)
    assert await write(browser) == "/report/near"
    shown = await page(browser, "/report/near")
    assert "Pothole or street repair" in shown
    assert "11400 block of E 23rd St" in shown
    assert "within 100 meters" in shown
    assert re.search(r"reported (1 day|2\d hours) ago", shown)
    assert "with the department" in shown
    for secret in (*SECRETS, told.reference, str(told.message_id)):
        assert secret not in shown
    spanish = await page(browser, "/report/near?lang=es")
    assert "cuadra 11400 de E 23rd St" in spanish
    assert "avisado hace" in spanish


async def test_calling_it_the_same_adds_theirs_to_it_and_they_follow(
    browser: Browser, pool: asyncpg.Pool, bus: Bus
) -> None:
    there = await filed(pool)
    await write(browser)
    again = await browser.post("/report/near", data={})
    assert again.status == 422
    assert "Choose one" in await again.text()
    assert await go(browser, "/report/near", same="0") == "/report/contact"
    await go(browser, "/report/contact", email="luis@resident.example", language="es")
    check = await page(browser, "/report/check")
    assert "Your report is added to one that we have: Pothole or street repair" in check
    assert WORDS in check
    form = value_in(check, "form_id")
    receipts = {await go(browser, "/report/send", form_id=form) for _ in range(2)}
    [sent] = await complaints_on(bus)
    assert receipts == {f"/receipt/{sent.reference}"}
    assert sent.follows is not None
    assert (sent.follows.same_as, sent.text) == (there.message_id, WORDS)
    assert "added to the report of the same problem" in await page(browser, receipts.pop())
    await file(pool, sent)

    track = await page(browser, f"/track/{sent.reference}")
    assert there.reference in track
    assert "Others told us of the same problem" in track
    async with pool.acquire() as conn:
        [one] = await followers.listed(conn, [there.message_id])
        assert one.follower.contact.email == "luis@resident.example"
        [note] = await cases.notes(conn, there.message_id, public_only=False)
        assert note.text == WORDS


async def test_theirs_can_always_be_sent_and_nothing_typed_is_lost(
    browser: Browser, pool: asyncpg.Pool, bus: Bus
) -> None:
    await filed(pool)
    await write(browser)
    assert await go(browser, "/report/near", same="none") == "/report/contact"
    await go(browser, "/report/contact", language="en")
    check = await page(browser, "/report/check")
    assert "is added to one" not in check
    await go(browser, "/report/send", form_id=value_in(check, "form_id"))
    [sent] = await complaints_on(bus)
    assert sent.follows is None
    assert (sent.text, sent.address) == (WORDS, "11405 E 23rd St")


async def test_it_is_asked_once_and_again_only_where_words_or_place_changed(
    browser: Browser, pool: asyncpg.Pool
) -> None:
    await filed(pool)
    await write(browser)
    await go(browser, "/report/near", same="0")
    where = {"address": "11405 E 23rd St", "lat": "39.07575", "lon": "-94.4416"}
    assert await go(browser, "/report/where", **where, place_source="device") == "/report/contact"
    await go(browser, "/report/contact", language="en")
    assert "is added to one" in await page(browser, "/report/check")
    # Other words: what was the same is so no more until they say it again.
    changed = {"text": "Loud music every night from the bar"}
    assert await go(browser, "/report/what?then=check", **changed) == "/report/check"
    assert "is added to one" not in await page(browser, "/report/check")
    assert await go(browser, "/report/what?then=check", text=WORDS) == "/report/near?then=check"
    assert await go(browser, "/report/near?then=check", same="0") == "/report/check"
    assert "is added to one" in await page(browser, "/report/check")


@pytest.mark.parametrize(
    "hidden",
    [
        {"problem_type": "Homeless Encampment"},
        {"emergency": True},
        {"problem_type": None, "department": None, "assignee": None},
    ],
)
async def test_what_a_city_does_not_share_and_danger_is_not_shown(
    browser: Browser, pool: asyncpg.Pool, hidden: dict[str, object]
) -> None:
    told = complaint(1, occurred_at=datetime.now(UTC))
    await file(pool, told, routed(told, **hidden))
    assert await write(browser) == "/report/contact"


async def test_a_choice_that_was_not_offered_is_none(browser: Browser, pool: asyncpg.Pool) -> None:
    await filed(pool)
    await write(browser)
    for same in ("7", "-1", "²", "x" * 500, "0x0", "9" * 20):
        assert await go(browser, "/report/near", same=same) == "/report/contact"
        assert "is added to one" not in await page(browser, "/report/check")


async def test_the_pages_lead_back_to_the_beginning_where_nothing_is_written(
    browser: Browser, pool: asyncpg.Pool
) -> None:
    assert (await browser.get("/report/near", allow_redirects=False)).headers["Location"] == (
        "/report/what"
    )
    assert await go(browser, "/report/near", same="0") == "/report/what"
    await go(browser, "/report/what", text=WORDS)
    answer = await browser.get("/report/near", allow_redirects=False)
    assert answer.headers["Location"] == "/report/contact"


async def test_a_store_that_is_away_holds_no_report_up(
    browser: Browser, pool: asyncpg.Pool
) -> None:
    await filed(pool)
    await pool.close()
    assert await write(browser) == "/report/contact"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("11401 E 23rd St Apt 4, Independence", (11400, "E 23rd St")),
        ("42 Maple", (0, "Maple")),
        ("noland rd & 23rd", (None, "Noland Rd & 23rd")),
        ("behind Maria's house, the blue one", (None, "")),
        ("the house of John Smith on Maple Ave", (None, "")),
        ("Maria's blue house & 23rd St", (None, "")),
        (None, (None, "")),
    ],
)
def test_a_place_is_shown_by_its_block_and_never_by_what_somebody_wrote(
    address: str | None, shown: tuple[int | None, str]
) -> None:
    assert block_of(address) == shown


async def test_the_link_in_a_mail_asks_before_it_ends_anything(
    browser: Browser, pool: asyncpg.Pool
) -> None:
    stays, joins = await filed(pool, 1), await filed(pool, 2, reporter=Contact(email="l@x.org"))
    async with pool.acquire() as conn:
        await merge(conn, joins.message_id, into=stays.message_id, by="pat.moore")
        [one] = await followers.listed(conn, [stays.message_id])
    link = f"/following/{one.follower.stop}"
    for _ in range(2):
        assert "Hear no more?" in await page(browser, link)
    for _ in range(2):
        assert await go(browser, link) == link
    assert "We do not write to you about report" in await page(browser, link)
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, stays.message_id)
        assert case is not None
        assert await followers.followers_of(conn, case) == []
    assert "leads nowhere" in await page(browser, "/following/nonsense", 404)
    assert await go(browser, "/following/nonsense") == "/following/nonsense"


# ── staff: two cases ────────────────────────────────────────────────────────────────────────────


async def case_of(pool: asyncpg.Pool, case_id: UUID) -> cases.Case:
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, case_id)
    assert case is not None
    return case


async def test_the_case_page_shows_likely_ones_with_reasons_and_joins_them(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    old, new = await filed(pool, 1), await filed(pool, 2, reporter=Contact(email="l@x.org"))
    path = f"/staff/cases/{new.message_id}"
    shown = await pat.read(path)
    assert "1 may be the same" in shown
    assert re.search(r"same address · same type · .* ago · \d+% of words alike", shown)
    form = {"other": str(old.message_id), "reference": "", "stays": "that"}
    done = await pat.send(f"{path}/merge", form, shown)
    assert goes_to(done) == f"{path}?done=merge"
    joined = await pat.read(path)
    assert f"/staff/cases/{old.message_id}" in joined
    assert "This case was joined to another one by Pat Moore" in joined
    assert "form-reopen" not in joined
    stays = await pat.read(f"/staff/cases/{old.message_id}")
    for told in (new.reference, new.text, "l@x.org", "Reports joined to it", "Who else is told"):
        assert told in stays
    photo = re.search(rf"/staff/files/\w+\?case={new.message_id}", stays)
    assert photo, "its photos are shown, too"

    done = await pat.send(f"/staff/cases/{new.message_id}/unmerge", {}, stays)
    assert goes_to(done) == f"{path}?done=unmerge"
    assert (await case_of(pool, new.message_id)).status is Status.ASSIGNED
    assert "Reports joined to it" not in await pat.read(f"/staff/cases/{old.message_id}")


async def test_the_other_one_can_be_typed_and_can_be_the_one_that_is_closed(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    here = await filed(pool, 1)
    far = await filed(pool, 2, lat=39.12, address="100 N Main St")
    path = f"/staff/cases/{here.message_id}"
    typed = {"reference": far.reference.lower().replace("-", " "), "stays": "this"}
    await pat.send(f"{path}/merge", typed, await pat.read(path))
    assert (await case_of(pool, far.message_id)).merged_into == here.message_id
    assert (await case_of(pool, here.message_id)).status is Status.ASSIGNED


async def test_a_join_that_cannot_be_is_said_and_keeps_what_was_typed(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    here = await filed(pool, 1)
    path = f"/staff/cases/{here.message_id}"
    shown = await pat.read(path)
    for reference, stays, told in (
        ("", "that", "Choose a case, or enter the reference"),
        ("000-000-00", "that", "There is no case with this reference"),
        (here.reference, "that", "cannot be joined to itself"),
        (here.reference, "neither", "Choose which of the two goes on."),
    ):
        form = {"reference": reference, "stays": stays}
        answer = await pat.send(f"{path}/merge", form, shown)
        assert answer.status in (409, 422)
        text = await answer.text()
        assert told in text
        assert f'name="reference" type="text" value="{reference}"' in text


async def test_a_call_taker_may_not_join_cases(pat: Reader, pool: asyncpg.Pool) -> None:
    one, other = await filed(pool, 1), await filed(pool, 2)
    await pat.send("/staff/sign-out", {})
    await pat.sign_in("casey.caller")
    path = f"/staff/cases/{one.message_id}"
    assert "form-merge" not in await pat.read(path)
    form = {"other": str(other.message_id), "stays": "that"}
    assert (await pat.send(f"{path}/merge", form)).status == 403
    assert (await pat.send("/staff/incidents/x/begin", {})).status == 403


# ── staff: a call ───────────────────────────────────────────────────────────────────────────────


async def test_likely_ones_are_shown_while_a_call_is_typed(pat: Reader, pool: asyncpg.Pool) -> None:
    there = await filed(pool)
    form = await pat.read("/staff/calls/new?fresh")
    call = {
        "call": value_in(form, "call"),
        "text": WORDS,
        "address": "11401 E 23rd St",
        "problem_type": POTHOLE,
    }
    piece = await (await pat.send("/staff/calls/suggest", call, form)).text()
    assert "Perhaps reported already" in piece
    assert there.reference in piece
    assert "same address · same type" in piece
    assert f'name="same_as" value="{there.message_id}" form="call"' in piece
    # Only the number is typed yet: who calls again may call about the same.
    number = await pat.send("/staff/calls/suggest", {"phone": "(816) 555-0142"}, form)
    assert "the same person" in await number.text()
    anonymous = {"phone": "(816) 555-0142", "anonymous": "yes"}
    piece = await (await pat.send("/staff/calls/suggest", anonymous, form)).text()
    assert there.reference not in piece


async def test_without_script_the_page_asks_before_a_likely_duplicate_is_saved(
    pat: Reader, pool: asyncpg.Pool, bus: Bus
) -> None:
    there = await filed(pool)
    form = await pat.read("/staff/calls/new?fresh")
    call = {
        "call": value_in(form, "call"),
        "text": WORDS,
        "address": "11401 E 23rd St",
        "problem_type": POTHOLE,
        "phone": "816-555-0177",
        "name": "Luis Ortiz",
    }
    answer = await pat.send("/staff/calls/new", call, form)
    asked = await answer.text()
    assert answer.status == 422
    assert there.reference in asked
    assert "Nothing is saved yet" in asked
    assert await complaints_on(bus) == []
    seen = {**call, "likely_seen": "yes", "same_as": str(there.message_id)}
    assert goes_to(await pat.send("/staff/calls/new", seen, asked)).startswith("/staff/calls/")
    [sent] = await complaints_on(bus)
    assert sent.follows is not None
    assert sent.follows.same_as == there.message_id
    await file(pool, sent)

    # The reference that is read out, and the case behind the button.
    assert sent.message_id == complaint_id("phone", call["call"])
    shown = await pat.read(f"/staff/cases/{sent.message_id}")
    for told in (there.reference, "Luis Ortiz", WORDS, "Somebody else told us of the same: Phone"):
        assert told in shown
    assert there.reference in await pat.read(f"/staff/cases/{sent.reference}")
    async with pool.acquire() as conn:
        entry = await ledger.entry(conn, sent.message_id)
    assert entry is not None
    assert entry.case_id == there.message_id


async def test_a_new_case_is_saved_as_one_once_the_list_was_seen(
    pat: Reader, pool: asyncpg.Pool, bus: Bus
) -> None:
    await filed(pool)
    form = await pat.read("/staff/calls/new?fresh")
    call = {
        "call": value_in(form, "call"),
        "text": WORDS,
        "address": "11401 E 23rd St",
        "anonymous": "yes",
        "likely_seen": "yes",
        "same_as": "",
    }
    goes_to(await pat.send("/staff/calls/new", call, form))
    [sent] = await complaints_on(bus)
    assert sent.follows is None


# ── staff: an incident ──────────────────────────────────────────────────────────────────────────


async def storm(pool: asyncpg.Pool) -> tuple[UUID, list[ComplaintReceived]]:
    some = [
        await filed(
            pool,
            number,
            occurred_at=datetime.now(UTC) - timedelta(minutes=number),
            lat=39.0757 + number * 0.001,
            reporter=Contact(email=f"r{number}@resident.example"),
        )
        for number in range(1, 5)
    ]
    async with pool.acquire() as conn:
        await look(conn, StormSettings(reports=4), datetime.now(UTC))
        [one] = await incidents.alive(conn)
    return one.id, some


async def test_an_incident_from_the_proposal_to_its_end(pat: Reader, pool: asyncpg.Pool) -> None:
    one, some = await storm(pool)
    path = f"/staff/incidents/{one}"
    listed = await pat.read("/staff/incidents")
    assert path in listed
    proposed = await pat.read(path)
    assert all(told.reference in proposed for told in some)
    await pat.client.post(
        f"{path}/begin",
        data=[
            ("csrf", value_in(proposed, "csrf")),
            ("takes_in", "yes"),
            *(("case", str(told.message_id)) for told in some[:3]),
        ],
    )
    desk = await pat.read("/staff")
    assert path in desk
    assert "3 open reports" in desk
    assert some[0].reference not in desk
    assert some[3].reference in desk
    begun = await pat.read(path)

    empty = await pat.send(f"{path}/note", {"note_id": value_in(begun, "note_id")}, begun)
    assert empty.status == 422
    note = {
        "note_id": value_in(begun, "note_id"),
        "audience": "public",
        "text": "A crew is on its way.",
    }
    goes_to(await pat.send(f"{path}/note", note, begun))
    assert "A crew is on its way." in await pat.read(f"/staff/cases/{some[0].message_id}")

    wrong = await pat.send(f"{path}/attach", {"reference": "000-000-00"}, begun)
    assert "There is no case with this reference" in await wrong.text()
    goes_to(await pat.send(f"{path}/attach", {"reference": some[3].reference}, begun))
    case = await pat.read(f"/staff/cases/{some[3].message_id}")
    assert "It is part of an incident" in case
    goes_to(await pat.send(f"{path}/detach", {"case": str(some[3].message_id)}, begun))
    assert some[3].reference in await pat.read("/staff")

    words = {"outcome": "fixed", "words": "All holes are filled."}
    assert goes_to(await pat.send(f"{path}/close", words, begun)) == f"{path}?done=close"
    closed = await pat.read(path)
    assert "All holes are filled." in closed
    assert f"/staff/cases/{some[0].message_id}#form-reopen" in closed
    for told in some[:3]:
        assert (await case_of(pool, told.message_id)).status is Status.CLOSED
    again = await pat.send(f"{path}/close", {**words, "words": "Other words."}, begun)
    assert again.status == 409
    assert "This incident is closed." in await again.text()


async def test_a_proposal_can_be_dismissed_and_given_to_nobody_who_is_not_there(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    one, _ = await storm(pool)
    path = f"/staff/incidents/{one}"
    page_ = await pat.read(path)
    nobody = await pat.send(f"{path}/assign", {"assignee": "ghost"}, page_)
    assert nobody.status == 422
    goes_to(await pat.send(f"{path}/dismiss", {}, page_))
    assert path not in await pat.read("/staff/incidents")
    await pat.read("/staff/incidents/nonsense", 404)
    await pat.read("/staff/incidents/00000000-0000-0000-0000-000000000000", 404)
