"""
The poller: asks Twilio for its own list of texts to us, and takes in what no webhook brought.

Nothing is remembered between two starts: the ledger knows what we have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bus.errors import Unavailable
from bus.identity import complaint_id
from bus.waiting import first
from channels.base import Ledger, Reviewed, Watched
from channels.sms_client import TROUBLE, open_twilio
from channels.sms_settings import TwilioSettings
from channels.sms_words import Incoming, read_record

log = structlog.stdlib.get_logger()

TakeRecord = Callable[[Incoming, Mapping[str, Any]], Awaitable[None]]

PLACE = "Twilio"
_TROUBLE: tuple[type[Exception], ...] = (*TROUBLE, Unavailable)
_PAGE = 500
_OVERLAP = timedelta(minutes=15)
_NO_ANSWER = 60.0  # seconds until we ask again after trouble, if that is sooner


@dataclass(frozen=True)
class Look:
    """What one look at Twilio's list found."""

    listed: int
    """Texts to us."""
    missing: tuple[str, ...]
    """The SIDs of those that the ledger lacks."""
    brought_in: int


class Poller:
    """Looks now and then; `last_looked`, `brought_in` and `trouble` tell how it goes."""

    def __init__(
        self,
        settings: TwilioSettings,
        ledger: Ledger,
        take: TakeRecord,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._take = take
        self._now = now
        self.last_looked: datetime | None = None
        self.brought_in = 0
        self.trouble = ""
        """Why the last look failed; empty when it did not."""
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._last_tried: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Look at once and every `poll_every` seconds until asked to stop."""
        since = self._now() - timedelta(hours=self._settings.look_back)
        while not stop.is_set():
            began = self._now()
            wait = self._settings.poll_every
            if await self._try(since):
                since = began - _OVERLAP - timedelta(seconds=self._settings.grace)
            else:
                wait = min(wait, _NO_ANSWER)
            await first(wait, stop, self._wanted)
            self._wanted.clear()

    def look_now(self) -> None:
        """Have it look at once."""
        self._wanted.set()

    async def look(self, since: datetime, *, grace: float | None = None) -> Look:
        """
        Take in what Twilio has had since then and the ledger lacks. `grace`: seconds for which a
        young text is left to the webhook. Raises one of `channels.sms_client.TROUBLE` when Twilio
        cannot be asked, `Unavailable` when the bus cannot take it.
        """
        patience = timedelta(seconds=self._settings.grace if grace is None else grace)
        records = {str(one["sid"]): one for one in await self._listed(since)}
        texts = {sid: read_record(record) for sid, record in records.items()}
        ids = {complaint_id("sms", sid): sid for sid in texts}
        known = await self._ledger(list(ids))
        missing = tuple(sid for id_, sid in ids.items() if id_ not in known)
        taken = 0
        for sid in missing:
            sent_at = texts[sid].sent_at
            if sent_at is not None and self._now() - sent_at < patience:
                continue
            await self._take(texts[sid], records[sid])
            taken += 1
        self.brought_in += taken
        self._waiting = len(missing) - taken
        self.last_looked = self._now()
        if taken:
            log.warning("texts that no webhook brought", count=taken)
        return Look(len(texts), missing, taken)

    def state(self) -> list[Watched]:
        """How it stands with Twilio's list."""
        return [
            Watched(PLACE, self.last_looked, self._waiting, self.trouble, tried_at=self._last_tried)
        ]

    async def audit(self) -> list[Reviewed]:
        """Hold Twilio's list of the last `look_back` hours against the ledger."""
        since = self._now() - timedelta(hours=self._settings.look_back)
        try:
            found = await self.look(since)
        except _TROUBLE as error:
            return [Reviewed(PLACE, 0, 0, _in_words(error))]
        return [Reviewed(PLACE, found.listed, found.brought_in)]

    async def _try(self, since: datetime) -> bool:
        try:
            await self.look(since)
        except _TROUBLE as error:
            self.trouble = _in_words(error)
            self._last_tried = self._now()
            log.warning("Twilio's list not read", error=type(error).__name__)
            return False
        self.trouble = ""
        self._last_tried = self._now()
        return True

    async def _listed(self, since: datetime) -> list[dict[str, Any]]:
        found = []
        async with open_twilio(self._settings) as twilio:
            for number in self._settings.numbers or (None,):
                which = {"to": number} if number else {}
                messages = await twilio.messages.list_async(
                    date_sent_after=since, page_size=_PAGE, **which
                )
                found += [record_of(one) for one in messages if one.direction == "inbound"]
        return found


def _in_words(error: Exception) -> str:
    status = getattr(error, "status", None)
    for said in error.args:  # where the SDK hands its whole answer on
        status = getattr(said, "status_code", status)
    if status in (401, 403):
        return f"Twilio does not know the account or its token (HTTP {status})"
    if status is not None:
        return f"Twilio answers HTTP {status}"
    if isinstance(error, Unavailable):
        return str(error)
    return f"Twilio cannot be reached ({type(error).__name__})"


def record_of(message: Any) -> dict[str, Any]:
    """A row of Twilio's list as we keep it for the original."""
    return {
        "sid": message.sid,
        "from": message.from_,
        "to": message.to,
        "body": message.body,
        "num_media": message.num_media,
        "date_sent": message.date_sent.isoformat() if message.date_sent else None,
        "date_created": message.date_created.isoformat() if message.date_created else None,
        "status": message.status,
        "messaging_service_sid": message.messaging_service_sid,
    }
