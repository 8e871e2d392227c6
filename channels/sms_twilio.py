"""
Text messages through Twilio: the webhooks that bring them, and the poller for what they missed.

The photos of a text are fetched afterwards (channels/sms_photos.py): Twilio wants its answer
within a second.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from multidict import MultiDict
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.twiml.messaging_response import MessagingResponse

from bus.contracts import Contact, ContactMark, FileRef, Follows, MessageSetAside
from bus.errors import Unavailable
from bus.identity import complaint_id
from channels.base import Channel, Surroundings
from channels.intake import Heard
from channels.language import detect, language_asked_for
from channels.sms_photos import Photos
from channels.sms_poll import Poller
from channels.sms_settings import ROUTE, TwilioSettings
from channels.sms_status import facts_of, read_report, trouble_of
from channels.sms_words import Incoming, Wish, read_form

log = structlog.stdlib.get_logger()

NAME = "sms"
_MOST_BYTES = 64 * 1024  # of a webhook; Twilio's have 2
_MOST_FIELDS = 200
_NOTHING_TO_SAY = str(MessagingResponse())
_REMEMBERED = 5_000


def build(around: Surroundings, settings: TwilioSettings) -> Channel | None:
    """The channel; None without an account."""
    return TwilioSms(around, settings).channel() if settings.account_sid else None


class TwilioSms:
    """The channel `sms`."""

    def __init__(
        self,
        around: Surroundings,
        settings: TwilioSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._around = around
        self._settings = settings
        self._now = now
        self._signatures = [RequestValidator(token) for token in settings.tokens]
        self._pace = _Pace(settings)
        self.poller = Poller(settings, around.ledger, self._take_record, now)
        self.photos = Photos(around, settings)

    def channel(self) -> Channel:
        return Channel(
            NAME,
            routes=[web.post(ROUTE, self.receive), web.post(f"{ROUTE}/status", self.hear_status)],
            run=self.poller.run,
            listeners=[self.photos.listener()],
            state=self.poller.state,
            audit=self.poller.audit,
            look_now=self.poller.look_now,
        )

    async def receive(self, request: web.Request) -> web.Response:
        """`POST /channels/sms`: a text. Answers once it is on disk."""
        form = await self._signed_form(request)
        try:
            incoming = read_form(form)
        except KeyError as error:
            raise web.HTTPBadRequest(text=f"{error.args[0]} is missing") from error
        try:
            await self.take(incoming, form)
        except Unavailable as error:
            # Twilio tries again, or the fallback; and the poller finds it in Twilio's list.
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from error
        return web.Response(text=_NOTHING_TO_SAY, content_type="text/xml")

    async def hear_status(self, request: web.Request) -> web.Response:
        """`POST /channels/sms/status?notice=…&case=…`: how far a text of ours came."""
        form = await self._signed_form(request)
        report = read_report(form, request.query)
        trouble = trouble_of(report)
        if trouble is not None:
            how = log.error if trouble.ours else log.info
            how(
                "text not delivered",
                notice_id=str(report.notice),
                provider_id=report.sid,
                code=report.error,
                meaning=trouble.words,
            )
        again_after = timedelta(seconds=self._settings.lost_again_after)
        if facts := facts_of(report, self._now(), again_after):
            try:
                await self._around.tell(facts)
            except Unavailable as error:
                raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from error
        return web.Response(status=204)

    async def take(self, incoming: Incoming, form: Mapping[str, Any]) -> None:
        """Returns once the text and its original are on disk, as a complaint or set aside."""
        original = original_of(form)
        if reason := self._reason_to_ignore(incoming):
            kept = await self._around.files.keep(
                original, media_type="application/json", name="text-message.json"
            )
            aside = set_aside(incoming, reason, kept, incoming.sent_at or self._now())
            await self._around.tell([aside])
            log.info("text set aside", complaint_id=str(aside.message_id), reason=reason)
            return
        answer = self._pace.allows(incoming.sid, incoming.sender) and incoming.is_phone
        complaint = await self._around.intake.receive(
            Heard(
                channel=NAME,
                external_id=incoming.sid,
                original=original,
                original_type="application/json",
                original_name="text-message.json",
                text=incoming.body,
                language=detect(incoming.body),
                reporter=reporter_of(incoming),
                follows=Follows(
                    conversation=incoming.to,
                    chose_language=language_asked_for(incoming.body) is not None,
                ),
                answer=answer,
                received_at=incoming.sent_at,
            )
        )
        log.info("text taken", complaint_id=str(complaint.message_id), media=incoming.media_count)

    async def _take_record(self, incoming: Incoming, record: Mapping[str, Any]) -> None:
        await self.take(incoming, record)

    def _reason_to_ignore(self, incoming: Incoming) -> str | None:
        if incoming.sender in self._settings.numbers or incoming.sender == incoming.to:
            return "it comes from a number of our own"
        match incoming.wish:
            case Wish.STOP:
                return "they ask for no more texts"
            case Wish.START:
                return "they want texts again"
            case Wish.HELP:
                return "they ask what this number is, and Twilio answers"
        if not incoming.body and not incoming.media_count:
            return "it is empty"
        return None

    async def _signed_form(self, request: web.Request) -> MultiDict[str]:
        """The fields that Twilio sent. Raises HTTPForbidden when Twilio did not sign them."""
        body = bytearray()
        async for chunk in request.content.iter_chunked(16 * 1024):
            body += chunk
            if len(body) > _MOST_BYTES:
                raise web.HTTPRequestEntityTooLarge(_MOST_BYTES, len(body))
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
            )
            form = MultiDict(pairs)
            signed = self._is_signed(request, form)
        except ValueError:  # also letters that no form has
            signed = False
        if not signed:
            log.warning("webhook not signed by Twilio", path=request.path)
            raise web.HTTPForbidden(text="not signed by Twilio")
        return form

    def _is_signed(self, request: web.Request, form: MultiDict[str]) -> bool:
        # The address as Twilio knows it, and never what proxies say: its path and query letter by
        # letter, for a proxy that sorts or quotes them anew breaks the signature.
        tail = request.raw_path.removeprefix(ROUTE)
        url = self._around.public_url + self._settings.webhook_path + tail
        signature = request.headers.get("X-Twilio-Signature", "")
        algorithm = get_signature_algorithm(
            request.headers.get("X-Twilio-Webhooks-Signature-Settings")
        )
        return any(one.validate(url, form, signature, algorithm) for one in self._signatures)


def original_of(form: Mapping[str, Any]) -> bytes:
    """The fields as they came, in the one way to write them."""
    fields = (
        {name: _one_or_all(form.getall(name)) for name in form}
        if isinstance(form, MultiDict)
        else dict(form)
    )
    return json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def reporter_of(incoming: Incoming) -> Contact:
    """Who sent it: the number is all that we know."""
    return Contact(phone=incoming.sender or None, texts=incoming.is_phone)


def set_aside(
    incoming: Incoming, reason: str, original: FileRef, received_at: datetime
) -> MessageSetAside:
    """The fact about a text that opens no case. Pure."""
    state = {Wish.STOP: "stopped", Wish.START: "works"}.get(incoming.wish or Wish.HELP)
    return MessageSetAside(
        message_id=complaint_id(NAME, incoming.sid),
        occurred_at=received_at,
        channel=NAME,
        external_id=incoming.sid,
        outcome="ignored",
        reason=reason,
        original=original,
        follows=Follows(conversation=incoming.to),
        mark=ContactMark(medium="sms", address=incoming.sender, state=state, reason=reason)
        if state and incoming.is_phone
        else None,
    )


class _Pace:
    """How many texts of one number are answered; two machines that answer each other end here."""

    def __init__(self, settings: TwilioSettings) -> None:
        self._limits = (
            RateLimitItemPerMinute(settings.most_a_minute),
            RateLimitItemPerHour(settings.most_an_hour),
        )
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._said: OrderedDict[str, bool] = OrderedDict()

    def allows(self, sid: str, sender: str) -> bool:
        """The same for a text that is told twice."""
        if sid not in self._said:
            within = [self._windows.hit(limit, sender) for limit in self._limits]
            self._said[sid] = all(within)
            if len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        return self._said[sid]


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
