"""
The demo's telephone company: just enough of Twilio's API for texts to go out and come in.

What comes in is signed as Twilio signs it and sent to the real webhook; what goes out stays here,
where the demo's page shows it.
"""

import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

_MOST = 2_000  # texts that are remembered


@dataclass(frozen=True)
class Text:
    """One text message, from or to a resident's phone."""

    sid: str
    sender: str
    to: str
    body: str
    incoming: bool
    at: datetime
    media: tuple[str, ...] = ()


@dataclass
class Phone:
    """The account, its number, and every text that went through it."""

    account: str
    token: str
    number: str
    texts: deque[Text] = field(default_factory=lambda: deque(maxlen=_MOST))
    photos: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    """Where its API is served, once it is."""

    def application(self) -> web.Application:
        """Its API; `api_url` of the channel and of the sender leads here."""
        base = f"/2010-04-01/Accounts/{self.account}"
        app = web.Application()
        app.add_routes(
            [
                web.post(f"{base}/Messages.json", self._send),
                web.get(f"{base}/Messages.json", self._list),
                web.get(f"{base}.json", self._account),
                web.get(f"{base}/IncomingPhoneNumbers.json", self._numbers),
                web.get(f"{base}/Messages/{{sid}}/Media/{{photo}}", self._photo),
                web.delete(f"{base}/Messages/{{sid}}/Media/{{photo}}.json", self._forget),
            ]
        )
        return app

    async def text(self, webhook: str, sender: str, body: str, photo: bytes | None) -> int:
        """Text our number from a resident's phone; the HTTP status of the webhook's answer."""
        sid = f"MM{secrets.token_hex(16)}" if photo else f"SM{secrets.token_hex(16)}"
        media: tuple[str, ...] = ()
        if photo:
            name = f"ME{secrets.token_hex(16)}"
            self.photos[name] = photo
            media = (f"{self.url}/2010-04-01/Accounts/{self.account}/Messages/{sid}/Media/{name}",)
        self.texts.append(Text(sid, sender, self.number, body, True, datetime.now(UTC), media))
        fields = {
            "MessageSid": sid,
            "AccountSid": self.account,
            "From": sender,
            "To": self.number,
            "Body": body,
            "NumMedia": str(len(media)),
            **{f"MediaUrl{place}": url for place, url in enumerate(media)},
            **{f"MediaContentType{place}": "image/jpeg" for place, _ in enumerate(media)},
        }
        signature = RequestValidator(self.token).compute_signature(webhook, fields)
        headers = {"X-Twilio-Signature": signature}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session,
            session.post(webhook, data=fields, headers=headers) as answer,
        ):
            return answer.status

    def conversation(self, phone: str) -> list[Text]:
        """All texts with one resident's phone, oldest first."""
        return [one for one in self.texts if phone in (one.sender, one.to)]

    async def _send(self, request: web.Request) -> web.Response:
        form = await request.post()
        text = Text(
            f"SM{secrets.token_hex(16)}",
            self.number,
            str(form.get("To", "")),
            str(form.get("Body", "")),
            False,
            datetime.now(UTC),
        )
        self.texts.append(text)
        return web.json_response(self._record(text), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        to, sender = request.query.get("To"), request.query.get("From")
        found = [
            self._record(one)
            for one in reversed(self.texts)
            if to in (None, one.to) and sender in (None, one.sender)
        ]
        return web.json_response(
            {"messages": found, "next_page_uri": None, "page": 0, "page_size": len(found)}
        )

    async def _account(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"sid": self.account, "status": "active", "friendly_name": "Demo", "type": "Trial"}
        )

    async def _numbers(self, request: web.Request) -> web.Response:
        number = {
            "sid": f"PN{'0' * 32}",
            "phone_number": self.number,
            "capabilities": {"sms": True, "mms": True, "voice": False},
        }
        return web.json_response({"incoming_phone_numbers": [number], "next_page_uri": None})

    async def _photo(self, request: web.Request) -> web.Response:
        photo = self.photos.get(request.match_info["photo"])
        if photo is None:
            raise web.HTTPNotFound
        return web.Response(body=photo, content_type="application/octet-stream")

    async def _forget(self, request: web.Request) -> web.Response:
        self.photos.pop(request.match_info["photo"], None)
        return web.Response(status=204)

    def _record(self, text: Text) -> dict[str, object]:
        base = f"/2010-04-01/Accounts/{self.account}/Messages/{text.sid}"
        return {
            "sid": text.sid,
            "account_sid": self.account,
            "from": text.sender,
            "to": text.to,
            "body": text.body,
            "direction": "inbound" if text.incoming else "outbound-api",
            "status": "received" if text.incoming else "sent",
            "num_media": str(len(text.media)),
            "num_segments": "1",
            "date_created": format_datetime(text.at),
            "date_updated": format_datetime(text.at),
            "date_sent": format_datetime(text.at),
            "error_code": None,
            "error_message": None,
            "api_version": "2010-04-01",
            "uri": f"{base}.json",
            "subresource_uris": {"media": f"{base}/Media.json"},
        }
