"""What was set aside can be looked at, brought in and left; the books close whatever is done."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from bus.codec import CONTRACT_HEADER, decode, encode
from bus.connect import Bus
from bus.contracts import ComplaintReceived, DeadLetter, MessageLeft, NoticeQueued, NoticeWithheld
from bus.files import Files
from channels.email_imap import intake_for, reader_for
from channels.second_look import as_judged
from gateway.compose import CITIES
from router.rules import load_city
from router.service import Router, open_router
from store import cases, graves
from store.model import Role
from tests.support.facts import NOON, complaint
from tests.support.letters import bounce, mail
from tests.support.mailroom import Mailroom
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages
from tests.support.store import file, hear, kinds
from tests.support.twilio import OURS, ROSA, text_form

EVIL = b"<script>alert(1)</script>\x00 these bytes are no mail"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    city = load_city(CITIES / "independence")
    return open_router(city, tmp_path_factory.mktemp("models"))


@pytest.fixture
async def room(bus: Bus, pool: asyncpg.Pool, files: Files) -> AsyncIterator[Mailroom]:
    """The store hears the bus."""
    mailroom = Mailroom(bus, pool, files)
    async with mailroom.storing():
        yield mailroom


@pytest.fixture
async def opal(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> AsyncIterator[Reader]:
    """An operator, signed in."""
    await put_account(pool, "opal.rate", [Role.OPERATOR])
    await put_account(pool, "pat.moore", [Role.STAFF])
    async with staff_pages(pool, bus, files, router, small_settings(tmp_path)) as reader:
        await reader.sign_in("opal.rate")
        yield reader


async def take_in(room: Mailroom, *mails: bytes) -> list[UUID]:
    async with reader_for(()) as reader:
        intake = intake_for(room.around, (), reader)
        ids = await intake.tell([await intake.understand(raw) for raw in mails])
    await room.settled(len(mails))
    return ids


async def set_aside(room: Mailroom, *junk: bytes) -> list[UUID]:
    """What nobody can read, told as the channel tells it."""
    intake = intake_for(room.around, (), reader_for(()))
    ids = await intake.tell(
        [await intake.quarantined(raw, "these bytes are no mail") for raw in junk]
    )
    await room.settled(len(junk))
    return ids


async def sums(room: Mailroom) -> str:
    return str(await room.books())


async def test_operators_see_what_was_set_aside_and_the_original_runs_nothing(
    opal: Reader, room: Mailroom
) -> None:
    junk, _away = await take_in(room, EVIL, mail("I am away.", Auto_Submitted="auto-replied"))

    assert "1 message could not be taken in." in await opal.read("/staff")
    listed = await opal.read("/staff/messages")
    assert "These bytes are no mail" in listed
    assert "An automatic reply" not in listed
    assert "An automatic reply" in await opal.read("/staff/messages?view=ignored")
    other = await opal.read("/staff/messages?view=quarantined&reason=another")
    assert f"/staff/messages/{junk}" not in other
    shown = await opal.read(f"/staff/messages/{junk}")
    assert "Buckstop cannot read it." in shown
    assert "<script>alert" not in shown

    for query, kind in (("", "text/plain"), ("?download", "application/octet-stream")):
        async with opal.client.get(f"/staff/messages/{junk}/original{query}") as answer:
            assert answer.content_type == kind
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
            body = await answer.read()
    assert body == EVIL, "the download is what came, to the last byte"


async def test_only_who_looks_after_messages_may_see_them(opal: Reader, room: Mailroom) -> None:
    (junk,) = await set_aside(room, EVIL)
    await opal.send("/staff/sign-out", {})
    await opal.sign_in("pat.moore")

    assert "could not be taken in" not in await opal.read("/staff")
    for path in ("/staff/messages", f"/staff/messages/{junk}", f"/staff/messages/{junk}/original"):
        assert "Your role" in await opal.read(path, 403)
    for action in ("bring-in", "leave"):
        answer = await opal.send(f"/staff/messages/{junk}/{action}", {"text": "x", "why": "x"})
        assert answer.status == 403
    assert await sums(room) == "received 1 = filed 0 + quarantined 1 + ignored 0 + in flight 0"


async def test_what_nobody_could_read_becomes_a_case_in_the_words_of_who_looked(
    opal: Reader, room: Mailroom
) -> None:
    (junk,) = await set_aside(room, EVIL)
    path = f"/staff/messages/{junk}"
    page = await opal.read(path)

    answer = await opal.send(f"{path}/bring-in", {"text": " ", "name": "Rosa"}, page)
    assert answer.status == 422
    refused = await answer.text()
    assert "Write down what the message reports." in refused
    assert 'value="Rosa"' in refused, "what was typed is kept"
    wrong = {"text": "A tree fell", "contact": "next door"}
    answer = await opal.send(f"{path}/bring-in", wrong, page)
    assert "Enter an email address or a phone number" in await answer.text()

    right = wrong | {"contact": "Rosa@resident.example", "name": "Rosa Lara"}
    # Within the bus's memory for ids, and told twice.
    for _ in range(2):
        answer = await opal.send(f"{path}/bring-in", right, page)
    assert goes_to(answer) == f"/staff/cases/{junk}"

    assert await sums(room) == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"
    async with room.pool.acquire() as conn:
        case = await cases.by_id(conn, junk)
        assert await kinds(conn, junk) == ["opened", "brought_in"]
    assert case is not None
    assert (case.text, case.reporter.email, case.channel) == (
        "A tree fell", "rosa@resident.example", "email",
    )  # fmt: skip
    assert case.original is not None
    assert await room.files.read(case.original.sha256) == EVIL
    assert "Opal Rate looked at the message" in await opal.read(f"/staff/cases/{junk}")
    assert goes_to(await opal.client.get(path, allow_redirects=False)) == f"/staff/cases/{junk}"


async def test_what_a_rule_ignored_comes_in_whole(opal: Reader, room: Mailroom) -> None:
    raw = mail("A tree fell on Noland Rd.", subject="Tree", List_Id="<neighbours.example>")
    (ignored,) = await take_in(room, raw)
    page = await opal.read(f"/staff/messages/{ignored}")
    assert "A tree fell on Noland Rd." in page
    assert "rosa@resident.example" in page

    form = {"text": "Tree\n\nA tree fell on Noland Rd.", "contact": "rosa@resident.example"}
    answer = await opal.send(f"/staff/messages/{ignored}/bring-in", form, page)

    assert goes_to(answer).startswith(f"/staff/cases/{ignored}")
    assert await sums(room) == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"
    # The mailbox brings the same mail again: it is in the books.
    await take_in(room, raw)
    assert await sums(room) == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"


async def test_what_is_left_says_by_whom_and_why_and_can_still_come_in(
    opal: Reader, room: Mailroom
) -> None:
    (junk,) = await set_aside(room, EVIL)
    path = f"/staff/messages/{junk}"
    page = await opal.read(path)
    answer = await opal.send(f"{path}/leave", {"why": ""}, page)
    assert "Say why it is no report." in await answer.text()

    for _ in range(2):
        answer = await opal.send(f"{path}/leave", {"why": "only noise"}, page)
        assert goes_to(answer) == "/staff/messages?done=left"
    assert await sums(room) == "received 1 = filed 0 + quarantined 0 + ignored 1 + in flight 0"
    page = await opal.read(path)
    assert "Opal Rate: only noise" in page

    answer = await opal.send(f"{path}/bring-in", {"text": "A tree fell"}, page)
    assert goes_to(answer).startswith(f"/staff/cases/{junk}")
    assert await sums(room) == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"
    # A late telling changes nothing.
    late = MessageLeft(
        message_id=junk, occurred_at=NOON, complaint_id=junk, by="opal.rate", why="only noise"
    )
    await hear(room.pool, "store_complaint", late)
    assert await sums(room) == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"


async def test_a_complaint_that_could_not_be_filed_comes_in_as_it_was_told(
    opal: Reader, room: Mailroom
) -> None:
    heard = complaint(1, original=None)
    letter = DeadLetter(
        message_id=complaint(2).message_id,
        occurred_at=NOON,
        durable="store_complaint",
        stream="COMPLAINTS",
        sequence=1,
        original_subject="complaint.received.web",
        original_id=str(heard.message_id),
        complaint_id=heard.message_id,
        reason="Refused: for the test",
        tries=6,
        headers={CONTRACT_HEADER: heard.tag},
        payload=base64.b64encode(encode(heard)).decode(),
    )
    await hear(room.pool, "store_dead", letter)
    page = await opal.read(f"/staff/messages/{heard.message_id}")
    assert heard.text in page
    told = await opal.read(f"/staff/messages/{heard.message_id}/original")
    assert json.loads(told)["address"] == heard.address

    form = {"text": heard.text, "name": "Rosa Lara", "contact": "rosa@resident.example"}
    await opal.send(f"/staff/messages/{heard.message_id}/bring-in", form, page)

    async with room.pool.acquire() as conn:
        case = await cases.by_id(conn, heard.message_id)
        assert await graves.waiting(conn) == []
    assert case is not None
    assert (case.reference, case.address, case.channel) == (heard.reference, heard.address, "web")
    assert await sums(room) == "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"


async def test_a_text_that_was_set_aside_reads_as_it_was_sent(opal: Reader, room: Mailroom) -> None:
    form = text_form("Alto! Hay un bache", OptOutType="STOP")
    original = await room.files.keep(
        json.dumps(form).encode(), media_type="application/json", name="text-message.json"
    )
    await room.pool.execute(
        """
        INSERT INTO complaints (id, channel, external_id, received_at, state, reason, original)
        VALUES ($1, 'sms', $2, now(), 'ignored', 'they ask for no more texts', $3)
        """,
        UUID(int=5),
        form["MessageSid"],
        original.model_dump(),
    )
    page = await opal.read(f"/staff/messages/{UUID(int=5)}")
    assert "Alto! Hay un bache" in page
    answer = await opal.send(
        f"/staff/messages/{UUID(int=5)}/bring-in", {"text": "Hay un bache", "contact": ROSA}, page
    )
    assert goes_to(answer).startswith(f"/staff/cases/{UUID(int=5)}")
    async with room.pool.acquire() as conn:
        case = await cases.by_id(conn, UUID(int=5))
    assert case is not None
    assert (case.text, case.language, case.reporter.texts) == ("Hay un bache", "es", True)
    assert await room.pool.fetchval("SELECT conversation FROM cases") == OURS


async def test_what_only_taught_us_something_cannot_come_in(opal: Reader, room: Mailroom) -> None:
    (came_back,) = await take_in(room, bounce("311@city.example"))
    await room.pool.execute("UPDATE complaints SET original = NULL")
    page = await opal.read(f"/staff/messages/{came_back}")
    assert "Nothing of it was kept." in page
    assert "What it reports" not in page
    answer = await opal.send(f"/staff/messages/{came_back}/bring-in", {"text": "x"}, page)
    assert answer.status == 409
    assert await sums(room) == "received 1 = filed 0 + quarantined 0 + ignored 1 + in flight 0"


async def test_texts_that_a_cap_held_back_are_listed(opal: Reader, room: Mailroom) -> None:
    told = complaint()
    await file(room.pool, told)
    notice = NoticeQueued(
        message_id=UUID(int=7),
        occurred_at=NOON,
        case_id=told.message_id,
        reference=told.reference,
        notice="update",
        medium="sms",
        recipient=ROSA,
        text="We come on Monday.",
    )
    held = NoticeWithheld(
        message_id=UUID(int=8),
        occurred_at=NOON,
        case_id=told.message_id,
        notice="update",
        reason="the cap of 5 texts a day is reached",
        notice_id=notice.message_id,
    )
    await hear(room.pool, "store_notice", notice, held)
    await room.pool.execute("UPDATE deliveries SET settled_at = now()")
    assert "1 text message was not sent since yesterday" in await opal.read("/staff")
    listed = await opal.read("/staff/messages?view=texts")
    assert "the cap of 5 texts a day is reached" in listed
    assert told.reference in listed
    assert "We come on Monday." in await opal.read(f"/staff/notices/{notice.message_id}")


async def test_the_router_hears_what_was_brought_in(opal: Reader, room: Mailroom) -> None:
    (junk,) = await set_aside(room, EVIL)
    page = await opal.read(f"/staff/messages/{junk}")
    await opal.send(f"/staff/messages/{junk}/bring-in", {"text": "A tree fell"}, page)
    raw = await room.bus.js.get_last_msg("COMPLAINTS", "complaint.received.email")
    told = decode(raw.data or b"", (raw.headers or {})[CONTRACT_HEADER])
    assert isinstance(told, ComplaintReceived)
    assert (told.message_id, told.text, told.brought_in_by) == (junk, "A tree fell", "opal.rate")


@pytest.mark.parametrize(
    ("contact", "email", "phone", "texts"),
    [
        ("Ana@resident.example", "ana@resident.example", None, False),
        ("816-555-0142", None, "+18165550142", True),
        ("816-555-0199", None, "+18165550199", False),
        ("", None, None, False),
    ],
)
def test_who_looked_says_where_the_answer_goes(
    contact: str, email: str | None, phone: str | None, texts: bool
) -> None:
    told = complaint(reporter={"phone": "+18165550142", "texts": True})
    judged = as_judged(told, text="x", name="", contact=contact, by="opal.rate")
    who = judged.reporter
    assert (who.email, who.phone, who.texts) == (email, phone, texts)
    assert (judged.brought_in_by, judged.message_id) == ("opal.rate", told.message_id)
