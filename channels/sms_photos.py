"""
The photos of texts that we already have: a durable listener fetches them, tells them as a message
that follows the text, and has Twilio forget them.

It may die between any two lines: what it heard comes again, what it kept has its hash for a name,
what it told has the same id, and Twilio forgets only what was told.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeGuard
from urllib.parse import urlsplit

import structlog

from bus.contracts import ComplaintReceived, Fact, FileRef, Follows
from bus.errors import Refused
from bus.identity import complaint_id
from bus.worker import Listener
from channels.base import Surroundings
from channels.photos import Darkroom, Point
from channels.sms_client import TROUBLE, open_twilio
from channels.sms_media import Fetched, Fetcher, NotFetched, NotNow, open_fetcher
from channels.sms_settings import TwilioSettings
from channels.sms_words import Incoming, Media, read_original

log = structlog.stdlib.get_logger()

DURABLE = "channels_complaint_received"
SUFFIX = "/media"
_AT_ONCE = 4
_TRIES = 24  # about four hours, as long as an address of Twilio's holds


class Photos:
    """Hears of texts and brings in their photos."""

    def __init__(self, around: Surroundings, settings: TwilioSettings) -> None:
        self._around = around
        self._settings = settings
        self._darkroom = Darkroom(at_once=1)

    def listener(self) -> Listener:
        return Listener(
            durable=DURABLE,
            stream="COMPLAINTS",
            contracts=(ComplaintReceived,),
            only="sms",
            handle=self.hear,
            batch=32,
            tries=_TRIES,
            ack_wait=30.0,
            last_words=self.give_up,
        )

    async def hear(self, facts: Sequence[Fact]) -> None:
        """Returns once the photos of these texts are told. Raises when some must come again."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(text: ComplaintReceived) -> None:
            async with places:
                await self._bring_in(text, last_time=False)

        texts = [fact for fact in facts if _may_have_photos(fact)]
        # All of them have their turn, though one fails.
        for outcome in await asyncio.gather(*(one(text) for text in texts), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def give_up(self, fact: Fact, reason: str) -> None:
        """The last word: what can be had is told, and what is missing is said."""
        if _may_have_photos(fact):
            await self._bring_in(fact, last_time=True)

    async def _bring_in(self, text: ComplaintReceived, *, last_time: bool) -> None:
        incoming = await self._original(text)
        if not incoming.media_count:
            return
        brought = await self._fetch_all(incoming, last_time=last_time)
        if brought.missing:
            log.warning(
                "attachments of a text missing",
                complaint_id=str(text.message_id),
                missing=len(brought.missing),
                of=incoming.media_count,
            )
        external_id = text.external_id + SUFFIX
        follower = complaint_id(text.channel, external_id)
        # Told before we died: then only what is left of it at Twilio is fetched again, to be gone.
        if follower not in await self._around.ledger([follower]):
            reference = self._around.intake.reference(text.channel, external_id)
            await self._around.tell(
                [follow_up(text, external_id, reference, brought, incoming.media_count)]
            )
        if self._settings.delete_media:
            await self._have_forgotten(brought.kept, last_time=last_time)

    async def _fetch_all(self, incoming: Incoming, *, last_time: bool) -> "_Brought":
        brought = _Brought()
        media = incoming.media
        if not media:
            try:
                media = await self._list(incoming)
            except TROUBLE:
                if not last_time:
                    raise
        if len(media) < incoming.media_count:
            absent = incoming.media_count - len(media)
            brought.missing += ["Twilio does not name it"] * absent
        if len(media) > self._settings.most_media:
            brought.missing += ["there are too many"] * (len(media) - self._settings.most_media)
        async with open_fetcher(self._settings, self._darkroom) as fetcher:
            for number, one in enumerate(media[: self._settings.most_media], start=1):
                try:
                    fetched = await _fetched(fetcher, one, number, last_time=last_time)
                except NotFetched as reason:
                    brought.missing.append(str(reason))
                    continue
                brought.attachments.append(await self._keep(fetched))
                brought.kept.append(one)
                brought.point = brought.point or fetched.point
                if fetched.words:
                    brought.words.append(fetched.words)
        return brought

    async def _keep(self, fetched: Fetched) -> FileRef:
        return await self._around.files.keep(
            fetched.data, media_type=fetched.media_type, name=fetched.name
        )

    async def _original(self, text: ComplaintReceived) -> Incoming:
        if text.original is None:
            raise Refused("a text without its original")
        return read_original(await self._around.files.read(text.original.sha256))

    async def _list(self, incoming: Incoming) -> tuple[Media, ...]:
        """Where Twilio keeps the media of a text that the poller found."""
        async with open_twilio(self._settings) as twilio:
            kept = await twilio.messages(incoming.sid).media.list_async(limit=100)
        base = self._settings.api_url
        return tuple(
            Media(base + one.uri.removesuffix(".json"), one.content_type or "") for one in kept
        )

    async def _have_forgotten(self, kept: Sequence[Media], *, last_time: bool) -> None:
        """Have Twilio delete what we keep now; what it no longer has is no trouble."""
        async with open_twilio(self._settings) as twilio:
            for one in kept:
                message, _, sid = urlsplit(one.url).path.rpartition("/Media/")
                message = message.rpartition("/")[2]
                if not (sid.startswith("ME") and message[:2] in ("MM", "SM")):
                    continue
                try:
                    await twilio.messages(message).media(sid).delete_async()
                except TROUBLE as error:
                    if getattr(error, "status", None) == 404:
                        continue
                    if not last_time:
                        raise
                    log.error("media not deleted at Twilio", error=type(error).__name__)


@dataclass
class _Brought:
    """What came of a text's media."""

    attachments: list[FileRef] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Why, for each that is."""
    kept: list[Media] = field(default_factory=list)
    point: Point | None = None


def follow_up(
    text: ComplaintReceived, external_id: str, reference: str, brought: _Brought, count: int
) -> ComplaintReceived:
    """The message that brings the photos of a text. Pure."""
    point = brought.point
    return ComplaintReceived(
        message_id=complaint_id(text.channel, external_id),
        occurred_at=text.occurred_at,
        channel=text.channel,
        external_id=external_id,
        reference=reference,
        text="\n".join(brought.words),
        language=text.language,
        lat=point.lat if point else None,
        lon=point.lon if point else None,
        place_source="photo" if point else None,
        reporter=text.reporter,
        original=text.original,
        attachments=tuple(brought.attachments),
        follows=(text.follows or Follows()).model_copy(update={"came_with": text.message_id}),
        answer=False,
        remark=sentence(brought.missing, count) if brought.missing else None,
    )


def sentence(missing: Sequence[str], count: int) -> str:
    """What staff read where photos are missing."""
    reasons = "; ".join(dict.fromkeys(missing))
    what = "The attachment" if count == 1 else f"{len(missing)} of {count} attachments"
    return f"{what} of this text could not be brought in: {reasons}."


def _may_have_photos(fact: Fact) -> TypeGuard[ComplaintReceived]:
    if not isinstance(fact, ComplaintReceived) or fact.channel != "sms":
        return False
    # Those that were told before `came_with` was there are known by the id that we gave them.
    is_follow_up = fact.follows is not None and fact.follows.came_with is not None
    return not is_follow_up and not fact.external_id.endswith(SUFFIX)


async def _fetched(fetcher: Fetcher, one: Media, number: int, *, last_time: bool) -> Fetched:
    try:
        return await fetcher.fetch(one.url, number, one.declared)
    except NotNow as error:
        if not last_time:
            raise
        raise NotFetched("Twilio did not answer in time") from error
