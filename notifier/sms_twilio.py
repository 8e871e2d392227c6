"""Texts over Twilio: paced, reported back to us, and never sent a second time where that shows."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import structlog
from aiolimiter import AsyncLimiter
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from bus import traces
from bus.contracts import ContactMark
from notifier.senders import Again, Failed, Mail, Outcome, Sent, Unknown
from notifier.sms_settings import SmsSettings
from notifier.sms_text import to_send

log = structlog.stdlib.get_logger()

_TWILIO = "https://api.twilio.com"
_REMEMBERED = 10_000
# A worker that died with a text in hand leaves it for 30 seconds (the listener's ack wait). What is
# younger, and written after we began, nobody can have tried before.
_SURELY_NEW = timedelta(seconds=20)
_CLOCKS_DIFFER = timedelta(seconds=60)
_LOOK_AT = 50  # of the newest texts to one number

# Refused for good, and what that teaches about the number.
_REFUSED: Mapping[int, tuple[str, str | None]] = {
    21610: ("they asked for no more texts", "stopped"),
    21211: ("there is no such number", "bad"),
    21217: ("there is no such number", "bad"),
    21614: ("the number takes no texts", "bad"),
    21635: ("the number is a landline", "bad"),
    21408: ("Twilio may not text to that country", None),
    21612: ("our number cannot text to that number", None),
    21617: ("the text is too long", None),
    21602: ("the text is empty", None),
    30450: ("Twilio took it for unwanted", None),
}
# Something on our side is wrong, or there is too much at once: all texts wait for it.
_WAIT_ALL = {20003, 20005, 20429, 21606, 21611, 21659, 21660, 21703, 21704, 63018, 14107, 30001}

# The SDK logs every address that it calls, and telephone numbers stand in them.
_SILENT = logging.getLogger("notifier.twilio")
_SILENT.disabled = True


@asynccontextmanager
async def open_twilio_sender(settings: SmsSettings) -> AsyncIterator["TwilioSender"]:
    """A sender whose connections are closed at the end."""
    token = settings.auth_token.get_secret_value() if settings.auth_token else ""
    async with _Line(settings.api_url, settings.timeout) as line:
        yield TwilioSender(settings, Client(settings.account_sid, token, http_client=line))


class _Line(AsyncTwilioHttpClient):  # type: ignore[misc]
    def __init__(self, api_url: str, timeout: float) -> None:
        super().__init__(timeout=timeout, logger=_SILENT)
        self._api_url = api_url

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **others: Any,
    ) -> Response:
        known = {"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {}
        # The SDK hands `timeout=None` on, which aiohttp takes for "as long as you like".
        async with asyncio.timeout(self.timeout):
            return await super().request(
                method,
                url.replace(_TWILIO, self._api_url, 1),
                headers={**(headers or {}), **known},
                **others,
            )


class TwilioSender:
    """Carries texts; see `open_twilio_sender`."""

    name = "twilio"

    def __init__(self, settings: SmsSettings, twilio: Any) -> None:
        self._settings = settings
        self._twilio = twilio
        self._pace = AsyncLimiter(max(1.0, settings.texts_per_second), _period(settings))
        self._opened_at = datetime.now(UTC)
        # Of those that Twilio may have taken without our knowing it.
        self._doubtful: OrderedDict[UUID, None] = OrderedDict()
        self._away_until = 0.0
        self._away_reason = ""

    async def send(self, mails: Sequence[Mail]) -> Sequence[Outcome]:
        """What became of each text, in their order."""
        outcomes: dict[UUID, Outcome] = {}
        waiting = iter(mails)  # shared: whoever is free takes the next one
        enough = asyncio.get_running_loop().time() + self._settings.patience
        async with asyncio.TaskGroup() as group:
            for number in range(min(self._settings.at_once, len(mails))):
                group.create_task(self._carry(waiting, enough, outcomes), name=f"twilio {number}")
        return [outcomes[mail.notice_id] for mail in mails]

    async def _carry(
        self, waiting: Iterator[Mail], enough: float, outcomes: dict[UUID, Outcome]
    ) -> None:
        clock = asyncio.get_running_loop().time
        for mail in waiting:
            if clock() < self._away_until:
                outcomes[mail.notice_id] = Again(self._away_reason, nobody_there=True)
            elif clock() > enough:
                outcomes[mail.notice_id] = Again("too many texts at once", nobody_there=True)
            else:
                await self._pace.acquire()
                work = self._send(mail)
                outcomes[mail.notice_id] = await traces.sending(self.name, mail.notice_id, work)

    async def _send(self, mail: Mail) -> Outcome:
        body = to_send(mail.text)
        try:
            if self._may_have_been_sent(mail):
                found = await self._found(mail, body)
                if found is not None:
                    self._doubtful.pop(mail.notice_id, None)
                    return found
        except (TwilioException, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # Unknown stays unknown: whether it was sent cannot be seen now.
            return self._leave_alone(error)
        self._doubtful[mail.notice_id] = None
        outcome = await self._hand_over(mail, body)
        if not isinstance(outcome, Unknown):
            self._doubtful.pop(mail.notice_id, None)
        while len(self._doubtful) > _REMEMBERED:
            self._doubtful.popitem(last=False)
        return outcome

    async def _hand_over(self, mail: Mail, body: str) -> Outcome:
        settings = self._settings
        sender = (
            {"messaging_service_sid": settings.messaging_service_sid}
            if settings.messaging_service_sid
            else {"from_": settings.from_number}
        )
        if settings.status_callback:
            sender["status_callback"] = callback(settings.status_callback, mail)
        try:
            message = await self._twilio.messages.create_async(
                to=mail.recipient, body=body, **sender
            )
        except TwilioRestException as error:
            return self._refused(mail, error)
        except aiohttp.ClientConnectorError as error:
            return self._leave_alone(error)  # it never left
        except (TwilioException, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("Twilio lost", notice_id=str(mail.notice_id), error=type(error).__name__)
            return Unknown(f"Twilio went away ({type(error).__name__})")
        return Sent(str(message.sid))

    def _refused(self, mail: Mail, error: TwilioRestException) -> Outcome:
        code = error.code if isinstance(error.code, int) else error.status
        if code in _REFUSED:
            words, state = _REFUSED[code]
            reason = f"{code} {words}"
            mark = (
                ContactMark(medium="sms", address=mail.recipient, state=state, reason=reason)
                if state
                else None
            )
            return Failed(reason, mark)
        if code in _WAIT_ALL or error.status in (401, 403, 429):
            log.error("Twilio refuses our texts", code=code, status=error.status)
            return self._leave_alone(error)
        if error.status >= 500:
            return Unknown(f"Twilio answered HTTP {error.status}")
        return Failed(f"Twilio refused it ({code})")

    def _may_have_been_sent(self, mail: Mail) -> bool:
        if mail.notice_id in self._doubtful or mail.written_at < self._opened_at:
            return True
        return datetime.now(UTC) - mail.written_at > _SURELY_NEW

    async def _found(self, mail: Mail, body: str) -> Outcome | None:
        """The text in Twilio's list, if an earlier try got there."""
        newest = await self._twilio.messages.list_async(
            to=mail.recipient, limit=_LOOK_AT, page_size=_LOOK_AT
        )
        since = mail.written_at - _CLOCKS_DIFFER
        for one in newest:
            outward = str(one.direction or "").startswith("outbound")
            if outward and one.body == body and one.date_created and one.date_created >= since:
                log.info("text was sent before", notice_id=str(mail.notice_id))
                return Sent(str(one.sid))
        return None

    def _leave_alone(self, error: Exception) -> Again:
        code = getattr(error, "code", None)
        kind = type(error).__name__ + (f" {code}" if code else "")
        now = asyncio.get_running_loop().time()
        if now >= self._away_until:
            log.warning("Twilio not reached", error=kind)
        self._away_until = now + self._settings.rest
        self._away_reason = f"Twilio cannot be reached ({kind})"
        return Again(self._away_reason, nobody_there=True)


def callback(address: str, mail: Mail) -> str:
    """
    Where Twilio reports what became of this text. The fragment asks Twilio to try again when we
    are away; it is not part of what Twilio signs.
    """
    named = {"notice": str(mail.notice_id)} | ({"case": str(mail.case_id)} if mail.case_id else {})
    return f"{address}?{urlencode(named)}#rc=5&rp=all"


def _period(settings: SmsSettings) -> float:
    return max(1.0, 1.0 / settings.texts_per_second)
