"""
What a text message says, read from Twilio's form: who, to which number, which words, and whether
it is one of the words that carriers reserve. Pure.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from channels.intake import clean_text, read_phone

MOST_LETTERS = 20_000


class Wish(Enum):
    """What a reserved word asks for; Twilio itself obeys it and answers."""

    STOP = "stop"
    START = "start"
    HELP = "help"


# Twilio's own, as of 2026: single words, whatever their case. None of them is a command of ours.
_RESERVED: Mapping[str, Wish] = {
    **dict.fromkeys(
        ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"), Wish.STOP
    ),
    **dict.fromkeys(("start", "unstop", "yes"), Wish.START),
    **dict.fromkeys(("help", "info"), Wish.HELP),
    # Twilio reserves no Spanish word unless a city adds it (Advanced Opt-Out); whoever asks us to
    # stop in Spanish is obeyed by us. AYUDA alone stays a message, for else nobody would answer it.
    **dict.fromkeys(("parar", "pare", "alto", "detener", "baja", "cancelar", "salir"), Wish.STOP),
    **dict.fromkeys(("iniciar", "comenzar", "reanudar"), Wish.START),
}
_OPT_OUT_TYPES = {"STOP": Wish.STOP, "START": Wish.START, "HELP": Wish.HELP}


@dataclass(frozen=True)
class Media:
    """A photo or another file that came along; it still lies at Twilio."""

    url: str
    declared: str
    """What the sender's phone calls it, as `image/jpeg`."""


@dataclass(frozen=True)
class Incoming:
    """One text message."""

    sid: str
    sender: str
    """In E.164 where it is a number; a short code or a name as it was given."""
    to: str
    body: str
    media_count: int
    media: tuple[Media, ...]
    """Fewer than `media_count` where only Twilio's list knows them."""
    opt_out_type: str = ""
    sent_at: datetime | None = None
    """Known to Twilio's list only."""

    @property
    def is_phone(self) -> bool:
        """Whether the sender can be written to: not a short code, not a name."""
        return self.sender.startswith("+")

    @property
    def wish(self) -> Wish | None:
        """What its only word asks for, or what Twilio heard in it."""
        known = _OPT_OUT_TYPES.get(self.opt_out_type.strip().upper())
        return known or _RESERVED.get(self.body.strip().lower())


def read_form(form: Mapping[str, str]) -> Incoming:
    """The fields of Twilio's webhook. Raises `KeyError` without a MessageSid, From or To."""
    count = _count(form.get("NumMedia", ""))
    media = []
    for number in range(count):
        if url := form.get(f"MediaUrl{number}", ""):
            media.append(Media(url, form.get(f"MediaContentType{number}", "")))
    return Incoming(
        sid=_sid(form["MessageSid"] if "MessageSid" in form else form["SmsMessageSid"]),
        sender=_number(form["From"]),
        to=_number(form["To"]),
        body=words_of(form.get("Body", "")),
        media_count=count,
        media=tuple(media),
        opt_out_type=form.get("OptOutType", ""),
    )


def read_record(record: Mapping[str, Any]) -> Incoming:
    """The same from a row of Twilio's list of messages, as `channels.sms_poll` writes it down."""
    sent = record.get("date_sent") or record.get("date_created")
    return Incoming(
        sid=_sid(str(record["sid"] or "")),
        sender=_number(str(record["from"] or "")),
        to=_number(str(record["to"] or "")),
        body=words_of(str(record.get("body") or "")),
        media_count=_count(str(record.get("num_media") or "")),
        media=(),
        sent_at=datetime.fromisoformat(str(sent)).astimezone(UTC) if sent else None,
    )


def read_original(kept: bytes) -> Incoming:
    """The same from what we keep of it. Raises `KeyError` or `ValueError` for anything else."""
    fields = json.loads(kept)
    if not isinstance(fields, dict):
        raise ValueError("not the fields of a text")
    return read_record(fields) if "sid" in fields else read_form(fields)


def words_of(body: str) -> str:
    """What the resident typed, as it can be kept."""
    return clean_text(_unpacked(body))[:MOST_LETTERS]


_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")


def _unpacked(body: str) -> str:
    # Some carriers hand a long text on in base64. A web address or a long word is none: what comes
    # out has to be words.
    packed = re.sub(r"\r?\n", "", body.strip())
    if len(packed) % 4 or not _BASE64.fullmatch(packed):
        return body
    try:
        text = base64.b64decode(packed, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return body
    said = sum(letter.isalnum() or letter.isspace() for letter in text)
    return text if " " in text and said > 0.8 * len(text) else body


def _sid(sid: str) -> str:
    sid = sid.strip()
    if not sid or len(sid) > 64:
        raise KeyError("MessageSid")
    return sid


def _number(given: str) -> str:
    # `whatsapp:+1816…` and names stay as they are.
    given = clean_text(given)[:64]
    return (read_phone(given) or given) if given.startswith("+") else given


def _count(given: str) -> int:
    return min(int(given), 100) if given.isascii() and given.isdigit() else 0
