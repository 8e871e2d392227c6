"""
A message that was set aside, looked at by a person: what it would be as a complaint, and how it is
told when they find that it is one. It goes the way of every complaint, under the id that it has.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bus.contracts import ComplaintReceived, Contact, FileRef, Follows
from channels.base import Surroundings
from channels.email_intake import CHANNEL as EMAIL
from channels.email_intake import EmailIntake
from channels.intake import Heard, clean_line, clean_text, complaint_from, read_email, read_phone
from channels.language import detect
from channels.mail_reader import MailReader
from channels.photos import Darkroom
from channels.sms_twilio import NAME as SMS
from channels.sms_twilio import reporter_of
from channels.sms_words import read_original

SECONDS = 6.0
"""For one reading: somebody waits for the page."""
IDLE = 60.0
"""Seconds for which its reading process waits for another mail."""


@dataclass(frozen=True)
class Aside:
    """A message as the ledger has it."""

    id: UUID
    channel: str
    external_id: str
    received_at: datetime
    original: FileRef | None
    told: ComplaintReceived | None = None
    """As the bus had it, where the store could not file it."""


class SecondLook:
    """Reads messages that were set aside once more, and brings them in; to be closed at the end."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._reader = MailReader(seconds=SECONDS, workers=1, idle=IDLE)

    async def close(self) -> None:
        await self._reader.close()

    async def as_complaint(self, aside: Aside) -> ComplaintReceived:
        """
        What it would be as a complaint. Where nobody can read it, its text is empty: then the
        person who looks at the original says what stands in it. Raises `Unavailable`.
        """
        if aside.told is not None:
            return aside.told
        heard = await self._read(aside) or Heard(
            channel=aside.channel,
            external_id=aside.external_id,
            original=b"",
            original_type="",
            original_name="",
            text="",
        )
        complaint = complaint_from(
            heard,
            reference=self._around.intake.reference(aside.channel, aside.external_id),
            original=aside.original,
            received_at=aside.received_at,
        )
        # Its own channel may call it differently now; the ledger goes on with the name that it has.
        return complaint.model_copy(
            update={
                "message_id": aside.id,
                "channel": aside.channel,
                "external_id": aside.external_id or f"aside/{aside.id}",
            }
        )

    async def bring_in(self, complaint: ComplaintReceived) -> None:
        """Returns once it is told, whatever the bus heard about it before. Raises `Unavailable`."""
        await self._around.tell_again([complaint])

    async def _read(self, aside: Aside) -> Heard | None:
        if aside.original is None:
            return None
        try:
            raw = await self._around.files.read(aside.original.sha256)
        except KeyError:
            return None
        if aside.channel == EMAIL:
            intake = EmailIntake(self._around, self._reader, darkroom=Darkroom(at_once=1))
            return await intake.understand_anyway(raw)
        return _text_message(aside, raw) if aside.channel == SMS else None


def _text_message(aside: Aside, raw: bytes) -> Heard | None:
    try:
        incoming = read_original(raw)
    except (KeyError, ValueError):
        return None
    return Heard(
        channel=SMS,
        external_id=incoming.sid,
        original=raw,
        original_type="application/json",
        original_name="text-message.json",
        text=incoming.body,
        language=detect(incoming.body),
        reporter=reporter_of(incoming),
        follows=Follows(conversation=incoming.to),
        received_at=aside.received_at,
    )


def as_judged(
    complaint: ComplaintReceived, *, text: str, name: str, contact: str, by: str
) -> ComplaintReceived:
    """
    The complaint as the person who looked at it has corrected it. `contact` is an email address
    or a telephone number; raises `ValueError` for what is neither. Pure.
    """
    text, name, contact = clean_text(text), clean_line(name), clean_line(contact).lower()
    before = complaint.reporter
    email, phone = (read_email(contact), None) if "@" in contact else (None, read_phone(contact))
    if contact and not (email or phone):
        raise ValueError(contact)
    reporter = Contact(
        name=name or None,
        email=email,
        phone=phone,
        texts=before.texts and phone == before.phone,
    )
    follows = complaint.follows
    if follows is not None and clean_text(complaint.text) != text:
        follows = follows.model_copy(update={"fresh": text})  # what the person says, counts
    return complaint.model_copy(
        update={
            "text": text,
            "language": detect(text),
            "reporter": reporter,
            "follows": follows,
            "brought_in_by": by,
        }
    )
