"""
What the header lines of a mail say: words, addresses, dates, ids. Values in, values out.

The standard library's newer policy refuses some real headers and throws away letters that were
sent raw, so headers are taken as they stand (`TOLERANT`) and decoded here. Nothing here raises.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime

from channels.mail_charset import decoded

LONGEST_VALUE = 32 * 1024
MOST_ADDRESSES = 500

_FOLD = re.compile(r"\s*[\r\n]+\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_RAW_BYTE = re.compile("[\udc80-\udcff]")
_ID = re.compile(r"<([^<>]+)>")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+")
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")
_SPACE_BETWEEN_WORDS = re.compile(r"(\?=)\s+(=\?)")

_READ_FROM = (
    "X-Gm-Original-To",
    "Delivered-To",
    "Envelope-To",
    "X-Original-To",
    "X-Forwarded-To",
    "Resent-To",
    "To",
    "Cc",
)
"""Where a mail says whom it was for; what a server wrote goes before what the sender wrote."""


@dataclass(frozen=True)
class Address:
    """Somebody in a header; `email` is empty where there is only a name."""

    name: str
    email: str


class _Tolerant(Compat32):
    """Headers as they stand, their raw bytes made readable."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return readable(value)


TOLERANT = _Tolerant()


def readable(value: object) -> str:
    """A header's value on one line, raw bytes decoded, encoded words left alone."""
    text = str(value)[:LONGEST_VALUE]
    if _RAW_BYTE.search(text):
        text = decoded(text.encode("utf-8", "surrogateescape"), None)
    return _FOLD.sub(" ", text).strip()


def words(value: str) -> str:
    """The same with its encoded words decoded."""
    if "=?" not in value:
        return _CONTROL.sub("", value).strip()
    value = _SPACE_BETWEEN_WORDS.sub(r"\1\2", value)
    try:
        chunks = decode_header(value)
    except Exception:  # a word that is not what it says: read the others
        chunks = [(value, None)]
    text = ""
    for chunk, charset in chunks:
        if isinstance(chunk, str):
            text += chunk
        elif charset is None:
            text += chunk.decode("utf-8", "replace")
        else:
            text += decoded(chunk, charset.partition("*")[0])
    return _CONTROL.sub("", _FOLD.sub(" ", text)).strip()


def header(message: Message, name: str) -> str:
    """The first header of that name, decoded; empty when there is none."""
    return words(str(message.get(name, "")))


def headers(message: Message, name: str) -> list[str]:
    """All of that name, as they stand."""
    return [str(value) for value in message.get_all(name, [])]


def addresses(value: str) -> list[Address]:
    """Everybody a header names, in its order."""
    value = value[:LONGEST_VALUE]
    found: list[Address] = []
    try:
        pairs = list(_pairs(value))
    except Exception:  # nested without end, or nothing that the standard knows
        pairs = []
    for name, email in pairs[:MOST_ADDRESSES]:
        name, email = words(name).strip("\"' "), words(email).strip("<> ").replace(" ", "")
        if "@" not in email.strip("@"):
            # Without an @ it is a name, or a name with the address inside.
            name, email = name or email, ""
            if inner := _ADDRESS.search(name):
                name, email = name.replace(inner[0], "").strip(" <>\"'"), inner[0]
        if name or email:
            found.append(Address(name, email))
    if not any(one.email for one in found):
        plain = words(value)
        found = [Address("", one) for one in _ADDRESS.findall(plain)[:MOST_ADDRESSES]] or found
    if not any(one.email for one in found) and (
        name := words(value.partition("<")[0] or value).strip(" \"'<>")
    ):
        found = [Address(name[:254], "")]
    return found


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    # Newer Pythons answer a doubtful header with nothing at all unless told not to.
    try:
        pairs = getaddresses([value], strict=False)
    except TypeError:
        pairs = getaddresses([value])
    yield from pairs


def first_address(message: Message, name: str) -> Address | None:
    for value in headers(message, name):
        for address in addresses(value):
            return address
    return None


def recipients(message: Message) -> tuple[str, ...]:
    """Whom the mail was for, in small letters, the surest first, each once."""
    found = [
        address.email.lower()
        for name in _READ_FROM
        for value in headers(message, name)
        for address in addresses(value)
        if address.email
    ]
    return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]


def message_ids(value: str) -> tuple[str, ...]:
    """The ids in a header without their brackets, in its order; commas and blanks part them."""
    found = _ID.findall(value) or re.split(r"[\s,<>]+", value)
    return tuple(dict.fromkeys("".join(one.split()) for one in found if one.strip()))


def message_id(message: Message) -> str | None:
    for value in headers(message, "Message-ID"):
        for one in message_ids(value):
            return one
    return None


def moment(value: str) -> datetime | None:
    """A date header in UTC; None when it is none."""
    with contextlib.suppress(Exception):
        told = parsedate_to_datetime(value)
        return (told.replace(tzinfo=UTC) if told.tzinfo is None else told).astimezone(UTC)
    return None
