"""
Messages that were set aside, and texts that were not sent: somebody looks at them, brings one in
as a report, or leaves it with a reason.

A page only tells what was decided; the store decides what becomes of it.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, field_validator
from yarl import URL

from bus.contracts import ComplaintReceived, MessageLeft
from bus.identity import fact_id
from channels.second_look import Aside, as_judged
from gateway.keys import FILES, POOL, SECOND_LOOK, TELL
from gateway.pages.i18n import gettext as _
from gateway.pages.i18n import noted as N_
from gateway.staff.access import requires
from gateway.staff.forms import WORDS, Clean, Form, Line, Problems, at_most, needed, read
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import deliveries, second_look
from store.second_look import SetAside

log = structlog.stdlib.get_logger()

PAGE_SIZE = 25
MOST_SHOWN = 400_000
"""Bytes of an original that a page shows; the download has all of them."""
LONGEST_REPORT = 100_000
_PATIENCE = 4.0  # seconds in which what was brought in is usually filed

VIEWS = ("quarantined", "ignored", "texts")


class Asked(BaseModel):
    """Which messages; what makes no sense in the address is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    view: str = "quarantined"
    channel: str = ""
    reason: str = ""
    page: int = 1

    @field_validator("view")
    @classmethod
    def _known_view(cls, view: str) -> str:
        return view if view in VIEWS else "quarantined"

    @field_validator("channel", "reason")
    @classmethod
    def _short(cls, words: str) -> str:
        return words[:2_000].replace("\0", "")

    @field_validator("page", mode="before")
    @classmethod
    def _a_page(cls, number: Any) -> int:
        text = str(number)
        return min(max(int(text), 1), 100_000) if text.isascii() and text.isdigit() else 1

    def url(self, **changed: Any) -> str:
        """The address with these fields changed; a changed filter starts on page 1."""
        fields = {**self.model_dump(), "page": 1, **changed}
        plain = Asked()
        query = {
            name: str(value) for name, value in fields.items() if value != getattr(plain, name)
        }
        return str(URL("/staff/messages").with_query(query))


class BringInForm(Form):
    text: Annotated[
        str, Clean, needed(N_("Write down what the message reports.")), at_most(LONGEST_REPORT)
    ]
    name: Line = ""
    contact: Line = ""


class LeaveForm(Form):
    why: Annotated[str, Clean, needed(N_("Say why it is no report.")), at_most(WORDS)]


@dataclass(frozen=True)
class Refused:
    """A form that was not taken: what was typed, and what has to be mended."""

    action: str
    typed: Mapping[str, str]
    errors: Problems


@requires(Act.MESSAGES)
async def show_all(request: web.Request) -> web.StreamResponse:
    """What was set aside, or which texts were held back, the newest first."""
    asked = Asked.model_validate(dict(request.query))
    told: dict[str, Any] = {"asked": asked, "nav": "messages", "done": request.query.get("done")}
    async with request.config_dict[POOL].acquire() as conn:
        if asked.view == "texts":
            held, total = await deliveries.held_back(conn, number=asked.page, size=PAGE_SIZE)
            told |= {"held": held}
        else:
            found, total = await second_look.page(
                conn,
                asked.view,
                channel=asked.channel,
                reason=asked.reason,
                number=asked.page,
                size=PAGE_SIZE,
            )
            reasons = await second_look.reasons(conn, asked.view)
            told |= {"found": found, "reasons": [(why, f"{why} ({n})") for why, n in reasons]}
        set_aside = await second_look.counts(conn, datetime.now(UTC))
    told |= {"total": total, "pages": -(-total // PAGE_SIZE), "set_aside": set_aside}
    return await page(request, "staff/messages.html", told)


@requires(Act.MESSAGES)
async def show_one(request: web.Request) -> web.StreamResponse:
    """One message, as far as it can be read, and what can be done with it."""
    return await _show(request, await _message(request))


@requires(Act.MESSAGES)
async def original(request: web.Request) -> web.StreamResponse:
    """
    The message as it came: as plain text, which no browser runs, or with `?download` as a file.
    """
    message = await _message(request)
    if message.original is not None:
        try:
            data = await request.config_dict[FILES].read(message.original.sha256)
        except KeyError:
            log.error("an original is not there", complaint_id=str(message.id))
            raise web.HTTPNotFound from None
    else:
        async with request.config_dict[POOL].acquire() as conn:
            _told, data = await second_look.buried(conn, message.id)
        if not data:
            raise web.HTTPNotFound
    download = "download" in request.query
    ending = ".eml" if message.channel == "email" else ".json"
    name = f"message-{str(message.id)[:8]}{ending}"
    shown = data if download else _shortened(data)
    return web.Response(
        body=shown,
        headers={
            "Content-Type": "application/octet-stream" if download else "text/plain; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"' if download else "inline",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "no-store",
        },
    )


@requires(Act.MESSAGES)
async def bring_in(request: web.Request) -> web.StreamResponse:
    """Has the message filed as a report, in the words of whoever looked at it."""
    message = await _message(request)
    typed = await _typed(request)
    filled = read(BringInForm, typed)
    if isinstance(filled, dict):
        return await _show(request, message, Refused("bring-in", typed, filled), status=422)
    if not _can_come_in(message):  # somebody was quicker
        return await _show(request, message, status=409)
    looked = request.config_dict[SECOND_LOOK]
    try:
        complaint = as_judged(
            await looked.as_complaint(await _aside(request, message)),
            text=filled.text,
            name=filled.name,
            contact=filled.contact,
            by=request[ACCOUNT].login,
        )
    except ValueError:
        errors = {"contact": _("Enter an email address or a phone number, or leave it empty.")}
        return await _show(request, message, Refused("bring-in", typed, errors), status=422)
    await looked.bring_in(complaint)
    log.info("message brought in", complaint_id=str(message.id), by=request[ACCOUNT].login)
    now = await _once_settled(request, message)
    if now.case_id is not None:
        raise web.HTTPSeeOther(f"/staff/cases/{now.case_id}?done=brought-in")
    raise web.HTTPSeeOther(f"/staff/messages/{message.id}?done=brought-in")


@requires(Act.MESSAGES)
async def leave(request: web.Request) -> web.StreamResponse:
    """Has the message counted as no report, with the reason."""
    message = await _message(request)
    typed = await _typed(request)
    filled = read(LeaveForm, typed)
    if isinstance(filled, dict):
        return await _show(request, message, Refused("leave", typed, filled), status=422)
    login = request[ACCOUNT].login
    now = datetime.now(UTC)
    fact = MessageLeft(
        message_id=fact_id("complaint.left", message.id, login, filled.why),
        occurred_at=now,
        complaint_id=message.id,
        by=login,
        why=filled.why,
    )
    await request.config_dict[TELL]([fact])
    log.info("message left", complaint_id=str(message.id), by=login)
    if message.state == "quarantined":
        await _once_settled(request, message)
    raise web.HTTPSeeOther("/staff/messages?done=left")


async def _show(
    request: web.Request, message: SetAside, refused: Refused | None = None, *, status: int = 200
) -> web.Response:
    aside = await _aside(request, message)
    possible = _can_come_in(message)
    complaint = None
    if possible and refused is None:
        complaint = await request.config_dict[SECOND_LOOK].as_complaint(aside)
    typed = dict(refused.typed) if refused is not None else _prefilled(complaint)
    return await page(
        request,
        "staff/message.html",
        {
            "message": message,
            "has_original": message.original is not None or aside.told is not None,
            "possible": possible,
            "unread": complaint is not None and not complaint.text,
            "files": complaint.attachments if complaint is not None else (),
            "typed": typed,
            "errors": refused.errors if refused is not None else {},
            "done": request.query.get("done"),
            "nav": "messages",
        },
        status=status,
    )


def _prefilled(complaint: ComplaintReceived | None) -> dict[str, str]:
    if complaint is None:
        return {}
    who = complaint.reporter
    return {
        "text": complaint.text,
        "name": who.name or "",
        "contact": who.email or who.phone or "",
    }


async def _message(request: web.Request) -> SetAside:
    try:
        wanted = UUID(request.match_info["message"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.config_dict[POOL].acquire() as conn:
        message = await second_look.one(conn, wanted)
    # What was filed all along is a case's own, and shown there.
    if message is None or (message.state == "filed" and "done" not in request.query):
        if message is not None and message.case_id is not None:
            raise web.HTTPSeeOther(f"/staff/cases/{message.case_id}")
        raise web.HTTPNotFound
    return message


async def _aside(request: web.Request, message: SetAside) -> Aside:
    told = None
    if message.original is None:
        async with request.config_dict[POOL].acquire() as conn:
            told, _data = await second_look.buried(conn, message.id)
    return Aside(
        id=message.id,
        channel=message.channel,
        external_id=message.external_id,
        received_at=message.received_at,
        original=message.original,
        told=told,
    )


def _can_come_in(message: SetAside) -> bool:
    # Beside messages the books hold what we only learned, as that a number takes no texts.
    return message.state == "quarantined" or (
        message.state == "ignored" and message.original is not None
    )


async def _once_settled(request: web.Request, message: SetAside) -> SetAside:
    """The message once the store has answered, or after a few seconds."""
    until = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        async with request.config_dict[POOL].acquire() as conn:
            now = await second_look.one(conn, message.id)
        if now is not None and (now.state, now.case_id) != (message.state, message.case_id):
            return now
        if asyncio.get_running_loop().time() > until:
            return message
        await asyncio.sleep(0.1)


async def _typed(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _shortened(data: bytes) -> bytes:
    """What a page shows of it: readable, and no more than a browser shows at ease."""
    shown = data[:MOST_SHOWN]
    if data[:1] == b"{":
        try:
            shown = json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()[:MOST_SHOWN]
        except ValueError:
            pass
    # A NUL would have a browser take it for a file.
    text = shown.replace(b"\0", "␀".encode())
    more = len(data) - len(data[:MOST_SHOWN])
    return text + (f"\n\n[… {more} bytes more]".encode() if more else b"")
