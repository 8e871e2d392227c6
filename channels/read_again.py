"""
What today's code makes of a message that came in some time ago, from its original: its words, or
why it would be set aside. Nothing is kept and nothing is told.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bus.contracts import FileRef
from bus.files import Files
from channels.email_intake import CHANNEL as EMAIL
from channels.email_intake import reason_to_ignore, words_of
from channels.language import detect
from channels.mail_reader import MailReader, Unparseable
from channels.sms_twilio import NAME as SMS
from channels.sms_words import read_original

CHANNELS = (EMAIL, SMS)
"""Where words are read out of something. On the others somebody typed them into a field."""


@dataclass(frozen=True)
class Reading:
    """What a message says, as today's code reads it."""

    text: str = ""
    language: str = "en"
    aside: str = ""
    """Why it would open no case; empty when it would."""


class ReadAgain:
    """Reads originals anew; `ours` are the addresses that we write from and read."""

    def __init__(
        self, files: Files, reader: MailReader, *, secret: bytes, ours: Collection[str] = ()
    ) -> None:
        self._files = files
        self._reader = reader
        self._secret = secret
        self._ours = frozenset(one.lower() for one in ours)

    async def read(self, channel: str, original: FileRef | None) -> Reading | None:
        """None where there is nothing to read: typed words, or an original that was not kept."""
        if channel not in CHANNELS or original is None:
            return None
        try:
            raw = await self._files.read(original.sha256)
        except KeyError:
            return None
        if channel == SMS:
            return _text_message(raw)
        try:
            mail = await self._reader.read(raw)
        except Unparseable as error:
            return Reading(aside=error.reason)
        if reason := reason_to_ignore(mail, self._ours, self._secret):
            return Reading(aside=reason)
        text = words_of(mail)
        return Reading(text, detect(text))


def _text_message(raw: bytes) -> Reading | None:
    try:
        incoming = read_original(raw)
    except (KeyError, ValueError):
        return None
    return Reading(incoming.body, detect(incoming.body))
