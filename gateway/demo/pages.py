"""
The demo's page: write an email or a text as a resident would, and see what comes back.

What is written here takes the way of every mail and every text: through a mailbox that the email
channel watches, and through the webhook that Twilio would call. Only the demo has this page.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web

from bus.identity import notice_token
from channels.intake import clean_line, clean_text, read_email, read_phone
from gateway.demo.stage import Stage
from gateway.keys import POOL, SETTINGS
from gateway.pages.i18n import gettext as _
from gateway.pages.layout import render
from gateway.settings import secret_of
from store import deliveries
from store.deliveries import Delivery

log = structlog.stdlib.get_logger()

EMAIL, PHONE = "rosa@resident.example", "+18165550142"
_MOST_SHOWN = 20
_MOST_LETTERS = 20_000
_MOST_TEXT = 1_600


class DemoPages:
    """`/try`: two forms, and under each what came back."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._writers: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/try", self.show),
            web.post("/try/email", self.email),
            web.post("/try/text", self.text),
        ]

    async def show(self, request: web.Request) -> web.Response:
        answered = request.query.get("answer", "")
        return await self._page(request, {"answer": answered}, {})

    async def email(self, request: web.Request) -> web.Response:
        """Deliver a mail to the demo's mailbox."""
        mailbox = self._stage.mailbox
        if mailbox is None:
            raise web.HTTPNotFound
        form = await request.post()
        typed = {name: str(form.get(name, "")) for name in ("from", "subject", "body", "answer")}
        sender = read_email(typed["from"])
        body = clean_text(typed["body"])[:_MOST_LETTERS]
        errors = {}
        if sender is None:
            errors["from"] = _("Write an email address, like rosa@resident.example.")
        if not body:
            errors["body"] = _("Write what the problem is.")
        if sender is None or errors:
            return await self._page(request, typed, errors, status=422)
        mail = EmailMessage()
        mail["From"] = sender
        mail["To"] = mailbox.address
        mail["Subject"] = clean_line(typed["subject"])[:200] or _("A problem")
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = make_msgid(domain="resident.example")
        answered = await self._notice(request, typed["answer"])
        if answered is not None:
            token = notice_token(secret_of(request.config_dict[SETTINGS]), answered.id)
            local, _at, domain = mailbox.address.partition("@")
            mail.replace_header("To", f"{local}+{token}@{domain}")
            mail["In-Reply-To"] = f"<{token}@{domain}>"
        mail.set_content(body)
        photo = await _photo(form.get("photo"))
        if photo is not None:
            mail.add_attachment(photo, maintype="image", subtype="jpeg", filename="photo.jpg")
        self._writers.add(sender)
        await asyncio.to_thread(mailbox.deliver, mail.as_bytes())
        raise web.HTTPSeeOther("/try#came-back")

    async def text(self, request: web.Request) -> web.Response:
        """Send a text to the demo's number, through the signed webhook."""
        phone = self._stage.phone
        if phone is None:
            raise web.HTTPNotFound
        form = await request.post()
        typed = {name: str(form.get(name, "")) for name in ("phone", "words")}
        sender = read_phone(typed["phone"])
        words = clean_text(typed["words"])[:_MOST_TEXT]
        photo = await _photo(form.get("picture"))
        errors = {}
        if sender is None:
            errors["phone"] = _("Write a telephone number with area code, like 816-555-0142.")
        if not words and photo is None:
            errors["words"] = _("Write what the problem is.")
        if sender is None or errors:
            return await self._page(request, typed, errors, status=422)
        webhook = f"{request.config_dict[SETTINGS].base_url}/channels/sms"
        status = await phone.text(webhook, sender, words, photo)
        if status != 200:
            errors = {"words": _("The text was not taken. Try again in a moment.")}
            return await self._page(request, typed, errors, status=502)
        raise web.HTTPSeeOther("/try#conversation")

    async def _page(
        self,
        request: web.Request,
        typed: dict[str, str],
        errors: dict[str, str],
        *,
        status: int = 200,
    ) -> web.Response:
        async with request.config_dict[POOL].acquire() as conn:
            sent = await deliveries.mailbox(conn, 200)
        mails: Sequence[Delivery] = [one for one in sent if one.medium == "email"]
        # Only whoever wrote here; the sample's residents get mail, too.
        residents = [one for one in mails if one.recipient in self._writers]
        phone = read_phone(typed.get("phone", "")) or PHONE
        stage: dict[str, Any] = {
            "mailbox": self._stage.mailbox,
            "phone": self._stage.phone,
            "texts": self._stage.phone.conversation(phone) if self._stage.phone else [],
            "mails": residents[:_MOST_SHOWN],
            "answered": await self._notice(request, typed.get("answer", "")),
        }
        told = {"from": EMAIL, "phone": PHONE, "subject": "", "body": "", "words": ""} | typed
        return render(
            request,
            "demo/try.html",
            {**stage, "typed": told, "errors": errors, "nav": "try"},
            status=status,
        )

    async def _notice(self, request: web.Request, typed: str) -> Delivery | None:
        try:
            notice = UUID(typed)
        except ValueError:
            return None
        async with request.config_dict[POOL].acquire() as conn:
            return await deliveries.by_id(conn, notice)


async def _photo(field: object) -> bytes | None:
    if not isinstance(field, web.FileField):
        return None
    return await asyncio.to_thread(field.file.read) or None
