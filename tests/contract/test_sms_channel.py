"""Text messages: signed, heard once, photos and all, with what the webhook missed."""

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from bus.connect import Bus
from bus.contracts import (
    ComplaintReceived,
    Fact,
    Follows,
    MessageSetAside,
    NoticeDelivered,
    NoticeFailed,
)
from bus.errors import Unavailable
from bus.files import Files
from bus.identity import complaint_id
from channels.photos import Darkroom
from channels.registry import CHANNELS
from channels.settings import ChannelSettings
from channels.sms_media import NotFetched, NotNow, open_fetcher
from channels.sms_photos import Photos
from tests.support.texting import (
    PUBLIC,
    WEBHOOK,
    City,
    around,
    at_work,
    city_with,
    settings_for,
)
from tests.support.twilio import OURS, ROSA, TOKEN, Twilio, running_twilio, signed, text_form

HEIC = (Path(__file__).parents[1] / "fixtures" / "photos" / "telephone.heic").read_bytes()


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with running_twilio() as running:
        yield running


@pytest.fixture
async def city(bus: Bus, files: Files, pool: asyncpg.Pool, twilio: Twilio) -> AsyncIterator[City]:
    async with city_with(bus, files, pool, settings_for(twilio)) as opened:
        yield opened


def jpeg() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(written, "JPEG")
    return written.getvalue()


def media_in(*addresses: str, kind: str = "image/jpeg") -> dict[str, str]:
    """The fields of a form with media."""
    fields = {"NumMedia": str(len(addresses))}
    for number, address in enumerate(addresses):
        fields |= {f"MediaUrl{number}": address, f"MediaContentType{number}": kind}
    return fields


# ── the webhook ─────────────────────────────────────────────────────────────────────────────────


async def test_a_text_is_a_complaint_with_its_original(city: City) -> None:
    form = text_form("Hay un bache grande en la calle 23\0")

    assert await city.text(form) == 200

    (heard,) = await city.told()
    assert isinstance(heard, ComplaintReceived)
    assert heard.message_id == complaint_id("sms", form["MessageSid"])
    assert (heard.channel, heard.text, heard.language) == (
        "sms",
        "Hay un bache grande en la calle 23",
        "es",
    )
    assert (heard.reporter.phone, heard.reporter.texts, heard.answer) == (ROSA, True, True)
    assert heard.follows is not None
    assert heard.follows.conversation == OURS
    assert heard.original is not None
    assert json.loads(await city.files.read(heard.original.sha256)) == form


async def test_the_answer_is_empty_twiml(city: City) -> None:
    form = text_form("Pothole")
    async with city.line.post("/channels/sms", data=form, headers=signed(WEBHOOK, form)) as answer:
        assert answer.content_type == "text/xml"
        assert await answer.text() == '<?xml version="1.0" encoding="UTF-8"?><Response />'


async def test_the_same_text_fifty_times_at_once_is_one_complaint(city: City) -> None:
    form = text_form("Pothole on Main St")

    async def once() -> tuple[int, str]:
        headers = signed(WEBHOOK, form)
        async with city.line.post("/channels/sms", data=form, headers=headers) as answer:
            return answer.status, await answer.text()

    async with at_work(city):
        answers = await asyncio.gather(*(once() for _ in range(50)))
        await city.settled(1)

    assert len(set(answers)) == 1
    assert answers[0][0] == 200
    assert len(await city.told()) == 1
    assert await city.pool.fetchval("SELECT count(*) FROM complaints") == 1
    assert await city.pool.fetchval("SELECT count(*) FROM cases") == 1


@pytest.mark.parametrize(
    "spoil",
    ["wrong token", "no signature", "changed parameter", "parameter more", "other path"],
)
async def test_what_twilio_did_not_sign_is_refused_before_any_work(city: City, spoil: str) -> None:
    form = text_form("Pothole")
    headers = signed(WEBHOOK, form, "another token" if spoil == "wrong token" else TOKEN)
    path = "/channels/sms"
    if spoil == "no signature":
        headers = {}
    if spoil == "changed parameter":
        form["Body"] = "Pothole!"
    if spoil == "parameter more":
        form["Extra"] = ""
    if spoil == "other path":
        path = "/channels/sms?x=1"

    async with city.line.post(path, data=form, headers=headers) as answer:
        assert answer.status == 403
    assert await city.told() == []


async def test_a_query_counts_letter_by_letter(city: City) -> None:
    form = text_form("Pothole")
    headers = signed(f"{WEBHOOK}?b=1&a=2%20x", form)
    for query, status in (("b=1&a=2%20x", 200), ("a=2%20x&b=1", 403), ("b=1&a=2+x", 403)):
        target = f"{city.line.make_url('/channels/sms')}?{query}"
        # The client would tidy the address up; a raw request does not.
        assert await _raw_post(target, form, headers) == status


async def test_a_proxy_in_front_changes_nothing(bus: Bus, files: Files, pool: asyncpg.Pool) -> None:
    # The world calls https://report.example.gov:8443/city/sms?x=1, and signs with or without port.
    settings = settings_for(webhook_path="/city/sms")
    form = text_form("Pothole", From="+18165550199")
    async with city_with(bus, files, pool, settings) as city:
        for address in (PUBLIC, "https://report.example.gov"):
            headers = signed(f"{address}/city/sms?x=1", form) | {
                "X-Forwarded-Host": "evil.example",
                "X-Forwarded-Proto": "http",
            }
            async with city.line.post("/channels/sms?x=1", data=form, headers=headers) as answer:
                assert answer.status == 200


async def test_both_tokens_are_good_while_one_follows_the_other(
    bus: Bus, files: Files, pool: asyncpg.Pool
) -> None:
    settings = settings_for(auth_token="new token", previous_auth_token=TOKEN)
    async with city_with(bus, files, pool, settings) as city:
        for token, status in ((TOKEN, 200), ("new token", 200), ("older token", 403)):
            form = text_form("Pothole")
            headers = signed(WEBHOOK, form, token)
            async with city.line.post("/channels/sms", data=form, headers=headers) as answer:
                assert answer.status == status


async def test_the_newer_signature_is_understood(city: City) -> None:
    form = text_form("Pothole")
    headers = signed(WEBHOOK, form, algorithm="HMAC_SHA256") | {
        "X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    }
    async with city.line.post("/channels/sms", data=form, headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"x" * 70_000, 413), (b"\xff\xfe\x00", 403), (b"&".join([b"a=1"] * 300), 403), (b"", 403)],
    ids=["too large", "no form", "too many fields", "nothing"],
)
async def test_what_is_no_form_is_refused(city: City, body: bytes, status: int) -> None:
    async with city.line.post(
        "/channels/sms",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ) as answer:
        assert answer.status == status


async def test_twilio_is_asked_to_come_again_when_the_bus_is_away(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(facts: object) -> None:
        raise Unavailable("for the test")

    form = text_form("Pothole")
    with monkeypatch.context() as patch:
        patch.setattr(city.sms._around.intake, "_tell", away)
        assert await city.text(form) == 503
    assert await city.text(form) == 200
    assert len(await city.told()) == 1


# ── words that are no complaint ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "others", "state"),
    [
        ("STOP", {}, "stopped"),
        (" stop ", {}, "stopped"),
        ("Unsubscribe", {}, "stopped"),
        ("PARAR", {}, "stopped"),
        ("Start", {}, "works"),
        ("unstop", {}, "works"),
        ("HELP", {}, None),
        ("info", {}, None),
        ("Basta ya", {"OptOutType": "STOP"}, "stopped"),
        ("AYUDA", {"OptOutType": "HELP"}, None),
        ("", {}, None),
    ],
)
async def test_reserved_words_are_set_aside_with_what_they_teach(
    city: City, body: str, others: dict[str, str], state: str | None
) -> None:
    form = text_form(body, **others)

    assert await city.text(form) == 200

    (aside,) = await city.told()
    assert isinstance(aside, MessageSetAside)
    assert (aside.outcome, aside.external_id) == ("ignored", form["MessageSid"])
    assert aside.original is not None
    assert (aside.mark.state if aside.mark else None) == state
    assert aside.mark is None or (aside.mark.medium, aside.mark.address) == ("sms", ROSA)


@pytest.mark.parametrize("body", ["Stop sign is down", "help, a tree fell", "STOP!", "no", "ES"])
async def test_a_sentence_with_such_a_word_is_a_complaint(city: City, body: str) -> None:
    await city.text(text_form(body))

    (heard,) = await city.told()
    assert isinstance(heard, ComplaintReceived)
    assert heard.text == body


@pytest.mark.parametrize(
    ("body", "language", "chose"),
    [
        ("ES", "es", True),
        (" Español. ", "es", True),
        ("english", "en", True),
        ("es bache", "es", False),
    ],
)
async def test_a_language_by_name_is_a_choice_and_no_report(
    city: City, body: str, language: str, chose: bool
) -> None:
    await city.text(text_form(body))

    (heard,) = await city.told()
    assert isinstance(heard, ComplaintReceived)
    assert heard.follows == Follows(conversation=OURS, chose_language=chose)
    assert heard.language == language


async def test_our_own_number_is_not_answered(city: City) -> None:
    await city.text(text_form("Thank you for your report.", From=OURS))

    (aside,) = await city.told()
    assert isinstance(aside, MessageSetAside)
    assert aside.reason == "it comes from a number of our own"


async def test_a_chatterbox_is_kept_and_no_longer_answered(city: City) -> None:
    for number in range(14):
        await city.text(text_form(f"pothole number {number}"))
    await city.text(text_form("tree down", From="+18165550177"))

    heard = [fact for fact in await city.told() if isinstance(fact, ComplaintReceived)]
    assert [one.answer for one in heard] == [True] * 10 + [False] * 4 + [True]


async def test_a_short_code_is_not_answered(city: City) -> None:
    await city.text(text_form("Your code is 1234", From="72345"))

    (heard,) = await city.told()
    assert isinstance(heard, ComplaintReceived)
    assert (heard.answer, heard.reporter.texts, heard.reporter.phone) == (False, False, "72345")


async def test_a_text_that_a_carrier_packed_is_unpacked(city: City) -> None:
    said = "There is a big pothole on 23rd street near the gas station, please fix it"
    await city.text(text_form(base64.b64encode(said.encode()).decode()))

    (heard,) = await city.told()
    assert isinstance(heard, ComplaintReceived)
    assert heard.text == said


# ── photos ──────────────────────────────────────────────────────────────────────────────────────


async def test_photos_follow_their_text_and_are_gone_at_twilio(city: City, twilio: Twilio) -> None:
    kept = twilio.incoming("Pothole on Main")
    form = text_form("Pothole on Main", MessageSid=kept.sid) | media_in(
        twilio.attach(kept, "image/jpeg", jpeg()),
        twilio.attach(kept, "image/jpeg", HEIC),
        twilio.attach(kept, "text/x-vcard", b"BEGIN:VCARD\r\nFN:Rosa\r\nEND:VCARD\r\n"),
    )
    began = time.monotonic()
    assert await city.text(form) == 200
    assert time.monotonic() - began < 1.0
    async with at_work(city, city.sms.photos.listener()):
        rows = await city.settled(2)
        async with asyncio.timeout(10):
            while kept.media:
                await asyncio.sleep(0.05)

    text, photos = [fact for fact in await city.told() if isinstance(fact, ComplaintReceived)]
    assert photos.external_id == f"{kept.sid}/media"
    assert photos.follows == Follows(conversation=OURS, came_with=text.message_id)
    assert (photos.text, photos.reporter) == ("", text.reporter)
    assert [one.media_type for one in photos.attachments] == [
        "image/jpeg",
        "image/jpeg",
        "text/vcard",
    ]
    for one in photos.attachments[:2]:
        with Image.open(io.BytesIO(await city.files.read(one.sha256))) as picture:
            assert picture.format == "JPEG"
            assert not picture.getexif()
    assert twilio.seen_tokens == []
    assert len({row["case_id"] for row in rows}) == 1


async def test_twilio_may_be_slow_and_the_text_is_there_all_the_same(
    city: City, twilio: Twilio
) -> None:
    kept = twilio.incoming("Pothole")
    address = twilio.attach(kept, "image/jpeg", jpeg())
    await city.text(text_form("Pothole", MessageSid=kept.sid) | media_in(address))
    twilio.media_answers = [503, 200]
    async with at_work(city, city.sms.photos.listener()):
        assert len(await city.settled(1)) == 1
        await city.settled(2)
    photos = (await city.told())[-1]
    assert isinstance(photos, ComplaintReceived)
    assert len(photos.attachments) == 1


async def test_what_is_missing_is_said_and_stays_at_twilio(city: City, twilio: Twilio) -> None:
    kept = twilio.incoming("Pothole")
    good = twilio.attach(kept, "image/jpeg", jpeg())
    broken = twilio.attach(kept, "image/jpeg", jpeg()[:200])
    gone = good.rpartition("/")[0] + "/ME" + "0" * 32
    await city.text(text_form("Pothole", MessageSid=kept.sid) | media_in(good, broken, gone))
    (text,) = await city.told()

    await city.sms.photos.hear([text])

    photos = (await city.told())[-1]
    assert isinstance(photos, ComplaintReceived)
    assert len(photos.attachments) == 1
    assert photos.text == "", "the resident said nothing of it"
    assert photos.remark == (
        "2 of 3 attachments of this text could not be brought in: it is no photo that can be"
        " opened (broken); it is not there (HTTP 404)."
    )
    assert list(kept.media) == [broken.rpartition("/")[2]]


async def test_the_last_word_tells_what_there_is(city: City, twilio: Twilio) -> None:
    kept = twilio.incoming("Pothole")
    addresses = [twilio.attach(kept, "image/jpeg", jpeg()) for _ in range(2)]
    await city.text(text_form("Pothole", MessageSid=kept.sid) | media_in(*addresses))
    (text,) = await city.told()
    twilio.media_answers = [200, 500]

    await city.sms.photos.give_up(text, "NotNow: HTTP 500")

    photos = (await city.told())[-1]
    assert isinstance(photos, ComplaintReceived)
    assert len(photos.attachments) == 1
    assert "Twilio did not answer in time" in (photos.remark or "")


class Killed(BaseException):
    """What `kill -9` leaves: nothing after it runs."""


async def test_killed_between_any_two_steps_photos_come_once(
    city: City, twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ("files.keep", "ledger", "tell", "_have_forgotten")
    for number, step in enumerate(steps):
        for after in (False, True):
            kept = twilio.incoming("Pothole", sender=f"+1816556{number}1{after:d}0")
            address = twilio.attach(kept, "image/jpeg", jpeg() + kept.sid.encode())
            form = text_form("Pothole", MessageSid=kept.sid, From=kept.sender)
            await city.text(form | media_in(address))
            text = (await city.told())[-1]

            with pytest.raises(Killed):
                await _dying(city, step, after=after).hear([text])
            await Photos(city.sms._around, settings_for(twilio)).hear([text])

            told = [
                fact
                for fact in await city.told()
                if isinstance(fact, ComplaintReceived) and fact.external_id == f"{kept.sid}/media"
            ]
            assert [len(one.attachments) for one in told] == [1], (step, after)
            assert kept.media == {}, (step, after)


def _dying(city: City, step: str, *, after: bool) -> Photos:
    """The listener in a process that dies before or after a step."""

    class Deadly:
        def __init__(self, target: object, name: str) -> None:
            self._target, self._name = target, name

        def __getattr__(self, name: str) -> object:
            return _deadly(getattr(self._target, name), name == self._name, after=after)

    photos = Photos(city.sms._around, settings_for(api_url=city.sms._settings.api_url))
    if step == "files.keep":
        files = cast(Files, Deadly(city.files, "keep"))
        photos._around = _changed(city, files=files)
    elif step == "_have_forgotten":
        photos._have_forgotten = _deadly(  # type: ignore[method-assign,assignment]
            photos._have_forgotten, True, after=after
        )
    else:
        photos._around = _changed(
            city, **{step: _deadly(getattr(city.sms._around, step), True, after=after)}
        )
    return photos


def _changed(city: City, **changes: object):  # type: ignore[no-untyped-def]
    values = {name: getattr(city.sms._around, name) for name in vars(city.sms._around)}
    return type(city.sms._around)(**(values | changes))


def _deadly(call, dies: bool, *, after: bool):  # type: ignore[no-untyped-def]
    async def dying(*given: object, **named: object) -> object:
        if dies and not after:
            raise Killed
        answer = await call(*given, **named)
        if dies:
            raise Killed
        return answer

    return dying if dies else call


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:{port}/secret",
        "http://127.0.0.1:{port}/secret",
        "http://127.1:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://0x7f000001:{port}/secret",
        "http://0.0.0.0:{port}/secret",
        "http://[::1]:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://10.0.0.7/",
        "https://192.168.1.1/",
        "file:///etc/passwd",
        "http://rosa:secret@example.org/",
        "not an address",
        "",
    ],
)
async def test_nothing_inside_our_house_is_asked(address: str) -> None:
    asked: list[str] = []

    async def secret(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="secret")

    app = web.Application()
    app.router.add_get("/{tail:.*}", secret)
    async with TestServer(app, host="127.0.0.1") as inside:
        async with open_fetcher(settings_for(), Darkroom()) as fetcher:
            with pytest.raises(NotFetched):
                await fetcher.fetch(address.format(port=inside.port), 1)
    assert asked == []


async def test_a_redirect_into_our_house_is_not_followed_nor_a_second_one() -> None:
    asked: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="secret")

    async def away(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound(request.query["to"])

    house, front = web.Application(), web.Application()
    house.router.add_get("/{tail:.*}", inside)
    front.router.add_get("/away", away)
    async with TestServer(house, host="127.0.0.1") as secret, TestServer(front) as server:
        base = str(server.make_url("")).rstrip("/")
        hidden = str(secret.make_url("/secret"))
        async with open_fetcher(settings_for(api_url=base), Darkroom()) as fetcher:
            with pytest.raises(NotFetched):
                await fetcher.fetch(f"{base}/away?to={hidden}", 1)
            with pytest.raises(NotFetched, match="somewhere else again"):
                await fetcher.fetch(f"{base}/away?to={base}/away?to={hidden}", 1)
    assert "/secret" not in asked


async def test_a_name_that_turns_to_us_when_asked_again_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # DNS rebinding: whatever the name server says, the address that is connected to is looked at.
    loop = asyncio.get_running_loop()
    asked = 0

    async def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        nonlocal asked
        asked += 1
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with open_fetcher(settings_for(), Darkroom()) as fetcher:
        with pytest.raises(NotFetched):
            await fetcher.fetch("http://media.example.org/photo", 1)
    assert asked == 1


@pytest.mark.parametrize("how", ["endless", "slow", "claims", "packed"])
async def test_a_hostile_server_costs_little(how: str) -> None:
    sent = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        headers = {"Content-Encoding": "gzip"} if how == "packed" else {}
        if how == "claims":
            headers["Content-Length"] = str(1024**3)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        while True:
            await response.write(b"x" if how == "slow" else b"x" * 65_536)
            sent += 1
            await asyncio.sleep(0.1 if how == "slow" else 0)

    app = web.Application()
    app.router.add_get("/photo", serve)
    async with TestServer(app) as server:
        base = str(server.make_url("")).rstrip("/")
        settings = settings_for(api_url=base, media_timeout=1.0, most_media_bytes=1024 * 1024)
        began = time.monotonic()
        async with open_fetcher(settings, Darkroom()) as fetcher:
            with pytest.raises(NotNow if how == "slow" else NotFetched):
                await fetcher.fetch(f"{base}/photo", 1)
    assert time.monotonic() - began < 3
    assert sent * 65_536 < 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("data", "declared", "kept_as"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/svg+xml", None),
        (b"<html><script>alert(1)</script></html>", "image/jpeg", None),
        (b"MZ\x90\x00 a program", "image/png", None),
        (b"#!AMR\n" + bytes(40), "audio/amr", "audio/amr"),
        (b"%PDF-1.7\n", "image/jpeg", "application/pdf"),
    ],
)
async def test_the_bytes_say_what_a_file_is(
    data: bytes, declared: str, kept_as: str | None
) -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=data, content_type=declared)

    app = web.Application()
    app.router.add_get("/file", serve)
    async with TestServer(app) as server:
        base = str(server.make_url("")).rstrip("/")
        async with open_fetcher(settings_for(api_url=base), Darkroom()) as fetcher:
            fetched = await fetcher.fetch(f"{base}/file", 1, declared)
    assert fetched.media_type == (kept_as or "application/octet-stream")


# ── what the webhook missed ─────────────────────────────────────────────────────────────────────


async def test_a_missed_webhook_arrives_by_the_poller(city: City, twilio: Twilio) -> None:
    twilio.page_size = 2  # several pages
    known = twilio.incoming("Trash on Noland", sender="+18165550111")
    await city.text(text_form("Trash on Noland", MessageSid=known.sid, From=known.sender))
    missed = twilio.incoming("Pothole on Main")
    twilio.attach(missed, "image/jpeg", jpeg())
    stopped = twilio.incoming("STOP", sender="+18165550122")
    old = twilio.incoming("Long ago", age=100 * 3600.0)

    stop = asyncio.Event()
    async with at_work(city, city.sms.photos.listener()):
        await city.settled(1)
        running = asyncio.create_task(city.sms.poller.run(stop))
        rows = {row["external_id"]: row for row in await city.settled(4)}
        stop.set()
        await running
        again = await city.sms.poller.audit()

    assert rows.keys() == {known.sid, missed.sid, f"{missed.sid}/media", stopped.sid}
    assert rows[stopped.sid]["state"] == "ignored"
    assert rows[missed.sid]["case_id"] == rows[f"{missed.sid}/media"]["case_id"]
    assert old.sid not in rows
    assert city.sms.poller.brought_in == 2
    (state,) = city.sms.poller.state()
    assert state.looked_at is not None
    assert (state.waiting, state.trouble) == (0, "")
    assert [(one.held, one.brought_in) for one in again] == [(3, 0)]


async def test_a_text_that_webhook_and_poller_bring_is_one(city: City, twilio: Twilio) -> None:
    kept = twilio.incoming("Pothole on Main")
    await city.sms.poller.look(datetime.now(UTC) - timedelta(hours=1))
    assert await city.text(text_form("Pothole on Main", MessageSid=kept.sid)) == 200
    async with at_work(city):
        await city.settled(1)
    assert len(await city.told()) == 1
    assert await city.pool.fetchval("SELECT count(*) FROM cases") == 1


async def test_a_young_text_is_left_to_its_webhook(
    bus: Bus, files: Files, pool: asyncpg.Pool, twilio: Twilio
) -> None:
    twilio.incoming("Pothole", age=5)
    async with city_with(bus, files, pool, settings_for(twilio, grace=60)) as city:
        look = await city.sms.poller.look(datetime.now(UTC) - timedelta(hours=1))
        assert (look.listed, len(look.missing), look.brought_in) == (1, 1, 0)
        assert await city.told() == []


async def test_a_poller_outlives_a_twilio_that_is_away(city: City, twilio: Twilio) -> None:
    twilio.down = True
    stop = asyncio.Event()
    running = asyncio.create_task(city.sms.poller.run(stop))
    async with asyncio.timeout(10):
        while not city.sms.poller.trouble:
            await asyncio.sleep(0.02)
    assert city.sms.poller.state()[0].trouble == "Twilio answers HTTP 503"
    (review,) = await city.sms.poller.audit()
    assert review.trouble == "Twilio answers HTTP 503"
    stop.set()
    await asyncio.wait_for(running, 2)


# ── delivery reports ────────────────────────────────────────────────────────────────────────────


async def report(city: City, query: str, **form: str) -> int:
    fields = {"MessageSid": "SM" + "a" * 32, "To": ROSA, "From": OURS} | form
    url = f"{WEBHOOK}/status{query}"
    async with city.line.post(
        f"/channels/sms/status{query}", data=fields, headers=signed(url, fields)
    ) as answer:
        return answer.status


async def test_reports_in_any_order_say_what_became_of_a_text(city: City) -> None:
    notice, case = uuid4(), uuid4()
    query = f"?notice={notice}&case={case}"
    for status in ("delivered", "sent", "queued", "delivered", "sending", "never heard of it"):
        assert await report(city, query, MessageStatus=status) == 204

    (delivered,) = await city.told("NOTICES")
    assert isinstance(delivered, NoticeDelivered)
    assert (delivered.notice_id, delivered.case_id) == (notice, case)
    assert delivered.provider_id == "SM" + "a" * 32


@pytest.mark.parametrize(
    ("code", "state"),
    [("21610", "stopped"), ("30003", "bad"), ("30005", "bad"), ("30006", "bad"), ("30007", None)],
)
async def test_an_error_says_what_it_teaches(city: City, code: str, state: str | None) -> None:
    query = f"?notice={uuid4()}&case={uuid4()}"
    for _ in range(2):
        assert await report(city, query, MessageStatus="undelivered", ErrorCode=code) == 204

    (failed,) = await city.told("NOTICES")
    assert isinstance(failed, NoticeFailed)
    assert failed.reason.startswith(code)
    marks: list[Fact] = await city.told()
    assert [one.mark.state for one in marks if isinstance(one, MessageSetAside) and one.mark] == (
        [state] if state else []
    )


async def test_what_a_carrier_lost_is_worth_once_more_later(city: City) -> None:
    began = datetime.now(UTC)
    for code in ("30008", "30004"):
        query = f"?notice={uuid4()}&case={uuid4()}"
        await report(city, query, MessageStatus="undelivered", ErrorCode=code)

    lost, refused = await city.told("NOTICES")
    assert isinstance(lost, NoticeFailed)
    assert isinstance(refused, NoticeFailed)
    assert lost.again_at is not None
    assert 590 < (lost.again_at - began).total_seconds() < 630
    assert refused.again_at is None


async def test_a_report_that_nobody_can_place_harms_nothing(city: City) -> None:
    assert await report(city, "", MessageStatus="delivered") == 204
    assert await report(city, "?notice=x&case=y", MessageStatus="failed", ErrorCode="many") == 204
    assert await report(city, "") == 204
    assert await city.told("NOTICES") == []


async def test_a_report_that_twilio_did_not_sign_is_refused(city: City) -> None:
    notice = uuid4()
    fields = {"MessageSid": "SM" + "a" * 32, "MessageStatus": "delivered", "To": ROSA}
    headers = signed(f"{WEBHOOK}/status?notice={notice}&case={uuid4()}", fields)
    other = f"/channels/sms/status?notice={uuid4()}&case={uuid4()}"
    async with city.line.post(other, data=fields, headers=headers) as answer:
        assert answer.status == 403


async def test_without_an_account_there_is_no_channel(
    bus: Bus, files: Files, pool: asyncpg.Pool
) -> None:
    assert CHANNELS["sms"](around(bus, files, pool), ChannelSettings()) is None


async def _raw_post(target: str, form: dict[str, str], headers: dict[str, str]) -> int:
    at = urlsplit(target)
    body = urlencode(form).encode()
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    lines = [f"POST {at.path}?{at.query} HTTP/1.1", f"Host: {at.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode() + body)
    status = (await reader.readline()).split()[1]
    writer.close()
    return int(status)
