"""
What every way in does with what it heard: keep the original, mint the reference, tell the bus.

A channel answers its caller after `receive` returned, and never before.
"""

import asyncio
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from bus import traces
from bus.contracts import ComplaintReceived, Contact, FileRef, Follows
from bus.files import Files
from bus.identity import complaint_id, mint_reference
from bus.publish import Tell

LANGUAGES = frozenset({"en", "es"})


@dataclass(frozen=True)
class Heard:
    """What a channel understood, beside the untouched `original` that it understood it from."""

    channel: str
    external_id: str
    original: bytes
    original_type: str
    original_name: str
    text: str
    language: str = "en"
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    place_source: str | None = None
    reporter: Contact = field(default_factory=Contact)
    problem_type: str | None = None
    entered_by: str | None = None
    attachments: tuple[FileRef, ...] = ()
    follows: Follows | None = None
    forwards: tuple[Contact, ...] = ()
    answer: bool = True
    received_at: datetime | None = None
    """When it reached us, where the channel knows better than the clock."""


class Intake:
    """The one door behind all channels."""

    def __init__(
        self,
        *,
        secret: bytes,
        files: Files,
        tell: Tell,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sounds_urgent: Callable[[str], bool] | None = None,
    ) -> None:
        """`sounds_urgent` says whether words are of danger; None leaves that to the router."""
        self._secret = secret
        self._files = files
        self._tell = tell
        self._now = now
        self._sounds_urgent = sounds_urgent

    async def receive(self, heard: Heard) -> ComplaintReceived:
        """
        Returns once the original and the complaint are on disk. The same `external_id` heard
        again is the same complaint with the same reference; the first telling stands.
        """
        (complaint,) = await self.receive_all([heard])
        return complaint

    async def receive_all(self, batch: Sequence[Heard]) -> list[ComplaintReceived]:
        """The same for many at once, in their order."""
        with traces.taking_in((heard.channel, heard.external_id) for heard in batch):
            return await self._receive_all(batch)

    async def _receive_all(self, batch: Sequence[Heard]) -> list[ComplaintReceived]:
        originals = await asyncio.gather(
            *(
                self._files.keep(
                    heard.original, media_type=heard.original_type, name=heard.original_name
                )
                for heard in batch
            )
        )
        now = self._now()
        complaints = [
            complaint_from(
                heard,
                reference=self.reference(heard.channel, heard.external_id),
                original=original,
                received_at=heard.received_at or now,
                emergency=self._is_urgent(heard),
            )
            for heard, original in zip(batch, originals, strict=True)
        ]
        await self._tell(complaints)
        return complaints

    def _is_urgent(self, heard: Heard) -> bool:
        # Of an answer only what is new: our own mails, which it quotes, say "call 911".
        fresh = heard.follows.fresh if heard.follows else None
        return self._sounds_urgent is not None and self._sounds_urgent(fresh or heard.text)

    def reference(self, channel: str, external_id: str) -> str:
        """The reference that this channel's message has or will have."""
        return mint_reference(self._secret, complaint_id(channel, external_id))


def complaint_from(
    heard: Heard,
    *,
    reference: str,
    original: FileRef | None,
    received_at: datetime,
    emergency: bool = False,
) -> ComplaintReceived:
    return ComplaintReceived(
        message_id=complaint_id(heard.channel, heard.external_id),
        occurred_at=received_at,
        channel=heard.channel,
        external_id=heard.external_id,
        reference=reference,
        text=heard.text,
        language=heard.language if heard.language in LANGUAGES else "en",
        address=heard.address,
        lat=heard.lat,
        lon=heard.lon,
        place_source=heard.place_source,
        reporter=heard.reporter,
        problem_type=heard.problem_type,
        entered_by=heard.entered_by,
        original=original,
        attachments=heard.attachments,
        follows=heard.follows,
        forwards=heard.forwards,
        answer=heard.answer,
        emergency=emergency,
    )


def clean_text(typed: str) -> str:
    """
    What somebody typed, without what no person can type: control characters, NUL, halves of
    characters. Line ends become `\\n`; blanks at both ends go.
    """
    lines = typed.replace("\r\n", "\n").replace("\r", "\n")
    if not lines.isprintable():
        lines = "".join(
            letter
            for letter in lines
            if letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cs"}
        )
    return lines.strip()


def clean_line(typed: str) -> str:
    """The same for what stands on one line."""
    return " ".join(clean_text(typed).split())


def read_phone(typed: str, region: str = "US") -> str | None:
    """A number in E.164, as `+18165550123`; None if it cannot be one."""
    try:
        number = phonenumbers.parse(typed, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number) or len(str(number.national_number)) < 8:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def read_email(typed: str) -> str | None:
    """The address in its normal form; None if it cannot be one. Asks no server."""
    try:
        return validate_email(typed, check_deliverability=False).normalized
    except EmailNotValidError:
        return None
