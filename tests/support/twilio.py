"""
A Twilio of our own: a server that answers as Twilio's API does, and notes every request that the
API does not know. It also signs webhooks with Twilio's own validator.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from twilio.request_validator import RequestValidator

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "the token of the tests, 32 signs"
OURS = "+18165550100"
ROSA = "+18165550142"

_ROOT = "/2010-04-01/Accounts"
_SID = {"message": re.compile(r"(SM|MM)[0-9a-fA-F]{32}"), "media": re.compile(r"ME[0-9a-f]{32}")}
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
# What the API knows of each call that we make; `!` must be there.
_KNOWN: Mapping[tuple[str, str], frozenset[str]] = {
    ("POST", "messages"): frozenset(
        {"To!", "Body", "From", "MessagingServiceSid", "StatusCallback", "MediaUrl"}
    ),
    ("GET", "messages"): frozenset(
        {"To", "From", "DateSent", "DateSent<", "DateSent>", "PageSize", "Page", "PageToken"}
    ),
    ("GET", "message"): frozenset(),
    ("GET", "media list"): frozenset({"PageSize", "Page", "PageToken", "DateCreated>"}),
    ("DELETE", "media"): frozenset(),
    ("GET", "account"): frozenset(),
    ("GET", "numbers"): frozenset({"PhoneNumber", "PageSize", "Page", "PageToken"}),
}


def sid(kind: str = "SM") -> str:
    return kind + uuid4().hex


def signed(
    url: str, form: Mapping[str, str], token: str = TOKEN, algorithm: str | None = None
) -> dict[str, str]:
    """The headers that Twilio sends with this form to this address."""
    signature = RequestValidator(token).compute_signature(url, form, algorithm)
    return {"X-Twilio-Signature": signature}


def text_form(body: str, **others: str) -> dict[str, str]:
    """The form of a text, as Twilio posts it."""
    form = {
        "ToCountry": "US",
        "ToState": "MO",
        "SmsMessageSid": "",
        "NumMedia": "0",
        "FromCity": "",
        "Body": body,
        "To": OURS,
        "From": ROSA,
        "MessageSid": sid(),
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "NumSegments": "1",
    } | others
    form["SmsMessageSid"] = form["SmsSid"] = form["MessageSid"]
    return form


@dataclass
class Kept:
    """A message that Twilio has."""

    sid: str
    sender: str
    to: str
    body: str
    direction: str
    at: datetime
    status: str = "received"
    media: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By its SID: the type and the bytes."""


class Twilio:
    """The server. `answers` are given to the next texts that we send, then all are taken."""

    def __init__(self) -> None:
        self.messages: list[Kept] = []
        self.answers: list[str | tuple[int, int]] = []
        """`hang up`, `stall` (both after the text was taken), or (HTTP status, error code)."""
        self.media_answers: list[int] = []
        self.calls: list[str] = []
        self.callbacks: list[str] = []
        self.faults: list[str] = []
        """What we asked that the API does not know."""
        self.seen_tokens: list[str] = []
        """Paths of the other host that were asked with an Authorization header."""
        self.down = False
        self.page_size = 1000
        self.check: Callable[[web.Request, bytes], Awaitable[None]] | None = None
        self.number: dict[str, object] = {
            "phone_number": OURS,
            "sms_url": "",
            "sms_method": "POST",
            "capabilities": {"sms": True, "mms": True, "voice": True, "fax": False},
            "sms_application_sid": "",
        }
        self.url = ""

    def incoming(self, body: str, *, sender: str = ROSA, age: float = 600.0) -> Kept:
        """A text to us that Twilio has, whether its webhook came through or not."""
        at = datetime.now(UTC) - timedelta(seconds=age)
        kept = Kept(sid(), sender, OURS, body, "inbound", at)
        self.messages.append(kept)
        return kept

    def attach(self, kept: Kept, media_type: str, data: bytes) -> str:
        """Media of a message; the address that a webhook would name."""
        media = sid("ME")
        kept.media[media] = (media_type, data)
        return f"{self.url}{_ROOT}/{ACCOUNT}/Messages/{kept.sid}/Media/{media}"

    @property
    def sent(self) -> list[Kept]:
        return [one for one in self.messages if one.direction != "inbound"]

    def application(self) -> web.Application:
        app = web.Application()
        account = f"{_ROOT}/{{account}}"
        app.add_routes(
            [
                web.post(f"{account}/Messages.json", self._send),
                web.get(f"{account}/Messages.json", self._list),
                web.get(f"{account}/Messages/{{message}}/Media.json", self._media_list),
                web.delete(f"{account}/Messages/{{message}}/Media/{{media}}.json", self._forget),
                web.get(f"{account}/Messages/{{message}}/Media/{{media}}", self._media),
                web.get("/cdn/{message}/{media}", self._cdn),
                web.get(f"{account}/IncomingPhoneNumbers.json", self._numbers),
                web.get(f"{account}.json", self._account),
            ]
        )
        return app

    async def _asked(self, request: web.Request, call: str) -> Mapping[str, str]:
        """The parameters of a call, looked at; raises what Twilio would answer instead."""
        body = await request.read()
        if self.check is not None:
            await self.check(request, body)
        given: Mapping[str, str] = dict(request.query)
        if request.method == "POST":
            given = {key: str(value) for key, value in (await request.post()).items()}
            if request.content_type != "application/x-www-form-urlencoded":
                self.faults.append(f"{call}: {request.content_type}")
        self.calls.append(f"{request.method} {call}")
        known = _KNOWN[request.method, call]
        names = {name.rstrip("!") for name in known}
        self.faults += [f"{call}: {name} is no parameter" for name in given if name not in names]
        for name in known:
            if name.endswith("!") and name[:-1] not in given:
                self.faults.append(f"{call}: {name[:-1]} is missing")
        for name in ("DateSent", "DateSent<", "DateSent>"):
            if name in given:
                datetime.fromisoformat(given[name])
        if not 1 <= int(given.get("PageSize", "50")) <= 1000:
            self.faults.append(f"{call}: PageSize {given['PageSize']}")
        for part, shape in _SID.items():
            if part in request.match_info and not shape.fullmatch(request.match_info[part]):
                self.faults.append(f"{call}: {request.match_info[part]} is no SID")
        if request.match_info["account"] != ACCOUNT:
            raise _error(web.HTTPNotFound, 20404)
        if request.headers.get("Authorization") != aiohttp.encode_basic_auth(ACCOUNT, TOKEN):
            raise _error(web.HTTPUnauthorized, 20003)
        if self.down:
            raise _error(web.HTTPServiceUnavailable, 20503)
        return given

    async def _send(self, request: web.Request) -> web.Response:
        given = await self._asked(request, "messages")
        if not ("From" in given or "MessagingServiceSid" in given):
            self.faults.append("messages: nobody sends it")
        if not _PHONE.fullmatch(given["To"]):
            raise _error(web.HTTPBadRequest, 21211)
        if not given.get("Body"):
            raise _error(web.HTTPBadRequest, 21602)
        if len(given["Body"]) > 1600:
            raise _error(web.HTTPBadRequest, 21617)
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, tuple):
            status, code = answer
            return web.json_response(_words(code, status), status=status)
        kept = Kept(
            sid(),
            given.get("From", OURS),
            given["To"],
            given["Body"],
            "outbound-api",
            datetime.now(UTC),
            "queued",
        )
        self.messages.append(kept)
        self.callbacks.append(given.get("StatusCallback", ""))
        if answer == "hang up":
            assert request.transport is not None
            request.transport.close()
        if answer == "stall":
            await asyncio.sleep(5)
        return web.json_response(self._row(kept), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        given = await self._asked(request, "messages")
        after = datetime.fromisoformat(given["DateSent>"]) if "DateSent>" in given else None
        found = [
            one
            for one in sorted(self.messages, key=lambda one: one.at, reverse=True)
            if given.get("To", one.to) == one.to and (after is None or one.at >= after)
        ]
        page, size = int(given.get("Page", "0")), int(given.get("PageSize", "50"))
        size = min(size, self.page_size)
        rows = found[page * size : (page + 1) * size]
        more = len(found) > (page + 1) * size
        again = {**given, "Page": str(page + 1), "PageToken": "PT" + "0" * 32}
        following = str(request.rel_url.with_query(again)) if more else None
        return web.json_response(
            {
                "messages": [self._row(one) for one in rows],
                "page": page,
                "page_size": size,
                "next_page_uri": following,
                "previous_page_uri": None,
                "first_page_uri": "",
                "start": 0,
                "end": len(rows),
                "uri": str(request.rel_url),
            }
        )

    async def _media_list(self, request: web.Request) -> web.Response:
        await self._asked(request, "media list")
        kept = self._kept(request)
        rows = [
            {
                "sid": media,
                "account_sid": ACCOUNT,
                "parent_sid": kept.sid,
                "content_type": media_type,
                "uri": f"{_ROOT}/{ACCOUNT}/Messages/{kept.sid}/Media/{media}.json",
                "date_created": format_datetime(kept.at),
                "date_updated": format_datetime(kept.at),
            }
            for media, (media_type, _) in kept.media.items()
        ]
        return web.json_response({"media_list": rows, "page": 0, "next_page_uri": None})

    async def _forget(self, request: web.Request) -> web.Response:
        await self._asked(request, "media")
        if self._kept(request).media.pop(request.match_info["media"], None) is None:
            raise _error(web.HTTPNotFound, 20404)
        return web.Response(status=204)

    async def _media(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != aiohttp.encode_basic_auth(ACCOUNT, TOKEN):
            raise _error(web.HTTPUnauthorized, 20003)
        if self.media_answers and (status := self.media_answers.pop(0)) != 200:
            return web.Response(status=status)
        message, media = request.match_info["message"], request.match_info["media"]
        if media not in self._kept(request).media:
            raise _error(web.HTTPNotFound, 20404)
        return web.Response(status=307, headers={"Location": f"{self.url}/cdn/{message}/{media}"})

    async def _cdn(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            self.seen_tokens.append(request.path)
        media_type, data = self._kept(request).media[request.match_info["media"]]
        return web.Response(body=data, content_type=media_type)

    async def _account(self, request: web.Request) -> web.Response:
        await self._asked(request, "account")
        return web.json_response(
            {"sid": ACCOUNT, "friendly_name": "City", "status": "active", "type": "Full"}
        )

    async def _numbers(self, request: web.Request) -> web.Response:
        given = await self._asked(request, "numbers")
        ours = self.number["phone_number"] == given.get("PhoneNumber", OURS)
        rows = [{"sid": "PN" + "0" * 32, **self.number}] if ours else []
        return web.json_response({"incoming_phone_numbers": rows, "page": 0, "next_page_uri": None})

    def _kept(self, request: web.Request) -> Kept:
        for one in self.messages:
            if one.sid == request.match_info["message"]:
                return one
        raise _error(web.HTTPNotFound, 20404)

    def _row(self, one: Kept) -> dict[str, object]:
        at = format_datetime(one.at.astimezone(UTC))
        return {
            "sid": one.sid,
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "body": one.body,
            "date_created": at,
            "date_sent": at,
            "date_updated": at,
            "direction": one.direction,
            "error_code": None,
            "error_message": None,
            "from": one.sender,
            "messaging_service_sid": None,
            "num_media": str(len(one.media)),
            "num_segments": "1",
            "price": None,
            "price_unit": None,
            "status": one.status,
            "subresource_uris": {},
            "to": one.to,
            "uri": f"{_ROOT}/{ACCOUNT}/Messages/{one.sid}.json",
        }


@asynccontextmanager
async def running_twilio() -> AsyncIterator[Twilio]:
    """Twilio on a free port; every request of ours was one that the API knows."""
    twilio = Twilio()
    async with TestServer(twilio.application(), host="127.0.0.1") as server:
        twilio.url = str(server.make_url("")).rstrip("/")
        yield twilio
    assert twilio.faults == []


def _words(code: int, status: int) -> dict[str, object]:
    return {
        "code": code,
        "message": f"error {code}",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def _error(kind: type[web.HTTPError], code: int) -> web.HTTPError:
    status = kind.status_code
    return kind(text=json.dumps(_words(code, status)), content_type="application/json")
