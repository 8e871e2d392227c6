"""
A mail's bytes as what it says: who, when, what text, which files, and whether a machine sent it.

Pure, and for every sort of bytes: what cannot be read becomes one of the mail's `problems`, and
the rest is read all the same. It can still take long or much memory for what was made to hurt, so
it runs in a process that can be killed (channels/mail_reader.py).
"""

import hashlib
import mimetypes
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import ParamSpec, TypeVar, cast

import filetype
import quotequail
from tnefparse import TNEF

from channels.mail_automatic import BOUNCE, OWN, automatic, is_own, wants_no_answer
from channels.mail_bounce import Bounce, Bounced, kind_of, read_bounce
from channels.mail_charset import decode, decoded, plain
from channels.mail_headers import (
    TOLERANT,
    Address,
    addresses,
    first_address,
    header,
    headers,
    message_id,
    message_ids,
    moment,
    recipients,
    words,
)
from channels.mail_reply import split_reply
from channels.mail_text import (
    html_to_text,
    meta_charset,
    rtf_to_text,
    take_out_files,
    unflowed,
)

__all__ = [
    "Address",
    "Attachment",
    "Bounce",
    "Bounced",
    "Mail",
    "content_key",
    "dmarc_passed",
    "kind_of",
    "read_mail",
]

LONGEST_SUBJECT = 254
LONGEST_NAME = 120
MOST_TEXT = 2_000_000
MOST_REFERENCES = 50
MOST_HEAD = 256 * 1024
NAMELESS = "-"
"""The authserv-id of a server that writes none."""
DEEPEST = 60
"""How deep parts may lie in parts; below, they are kept as they stand."""

_TRACE = re.compile(
    rb"(?:received|delivered-to|return-path|envelope-to|authentication-results|received-spf|"
    rb"arc-[a-z-]+|x-[^:]*|dkim-filter|errors-to|resent-[a-z-]+)\s*:",
    re.IGNORECASE,
)
P = ParamSpec("P")
T = TypeVar("T")

_NO_HEADER = re.compile(
    rb"^(?![!-9;-~]+[ \t]*:|[ \t])[^\r\n]*\r?\n|^[!-9;-~]+[ \t]+:[^\r\n]*\r?\n", re.MULTILINE
)
_KNOWN = re.compile(
    rb"^(?:from|to|subject|date|mime-version|message-id|content-type|content-transfer-encoding):",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARD = re.compile(
    r"^\W*(?:fwd?|wg|tr|rv|enc|doorst|vb|vs|i|пересл|転送|转发|轉寄)\s*[:：]", re.IGNORECASE
)
_REPLY = re.compile(r"^\W*(?:re|aw|sv|antw|odp|ref|res|ynt|回复|回覆|返信)\s*[:：]", re.IGNORECASE)
_FORWARDED = re.compile(
    r"^[>\s*-]*(?:begin forwarded message|forwarded message|mensaje reenviado)\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARD_HEAD = 5_000  # letters above which nobody starts to forward
_MOST_FORWARDS = 4
_MAILTO = re.compile(r"\[mailto:([^\]\s]+)\]", re.IGNORECASE)
_PGP = re.compile(r"^-----BEGIN PGP MESSAGE-----", re.MULTILINE)
_COMMENT = re.compile(r"\([^()]*\)")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"|?*\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_BOUNDARY = re.compile(
    r"^--([^\s\"](?:[^\r\n\"]{0,90}[^\s\"])?)[ \t]*\r?\n(?:content-[a-z-]+:|\r?\n)",
    re.MULTILINE | re.I,
)
_HEADED = re.compile(r"content-[a-z-]+[ \t]*:", re.IGNORECASE)
_MOST_PIECES = 50
_EDGE = re.compile(r"^--\S{1,100}[ \t]*\r?$", re.MULTILINE)
_PAGE = re.compile(r"\s*<(?:!doctype|html|body|div|p)\b", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_PADDED = re.compile(r"[A-Za-z0-9+/]=?=")
_CID = re.compile(r"cid:([^\s\"'<>)]+)", re.IGNORECASE)
_ENDINGS = {
    "image/jpeg": ".jpg",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/webp": ".webp",
    "image/tiff": ".tif",
    "text/plain": ".txt",
    "text/calendar": ".ics",
    "text/html": ".html",
    "message/rfc822": ".eml",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/pgp-signature": ".asc",
    "application/octet-stream": ".bin",
}


@dataclass(frozen=True)
class Attachment:
    """A part that is not the text. Its name is safe for a file system, and its own in its mail."""

    name: str
    media_type: str
    """What the bytes are, where they tell; else what the mail says."""
    data: bytes
    inline: bool = False
    """The mail shows it inside its text. Only a hint for the page."""
    content_id: str | None = None


@dataclass(frozen=True)
class Mail:
    """What a mail says."""

    content_key: str
    """The same for the same mail, whichever way it came."""
    message_id: str | None = None
    subject: str = ""
    sender: Address | None = None
    """From; its `email` is empty when only a name is given."""
    reply_to: Address | None = None
    """Where an answer should go when not to the sender."""
    recipients: tuple[str, ...] = ()
    sent_at: datetime | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    """Newest first, the one in In-Reply-To among them."""
    text: str = ""
    html: str | None = None
    fresh: str = ""
    """The text without what it quotes and how it is signed. For answers only: of a first message
    everything counts."""
    elided: str = ""
    """What `fresh` leaves out."""
    attachments: tuple[Attachment, ...] = ()
    automatic: str | None = None
    """Which sort of machine sent it (channels/mail_automatic.py); None for a person."""
    no_answer: bool = False
    """The sender asks for no automatic answer."""
    forwarded: bool = False
    forwarded_from: tuple[Address, ...] = ()
    """
    Who wrote what was forwarded, where the text or a mail inside it tells; whoever forwarded it
    before stands before whom they had it from.
    """
    bounce: Bounce | None = None
    unreadable: str | None = None
    """`smime`, `pgp`: encrypted, nobody here has the key."""
    authentication: str | None = None
    """The topmost Authentication-Results, as it stands."""
    authors: int = 1
    """How many addresses From names; more than one proves nobody."""
    is_own: bool = False
    problems: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The sender's own id of this mail; made from its content where it has none."""
        return self.message_id or f"gen-{self.content_key}"


def read_mail(raw: bytes, *, own_domains: Collection[str] = ()) -> Mail:
    """What these bytes say. `own_domains` are those of our own Message-IDs. Never raises."""
    problems: list[str] = []
    key = content_key(raw)
    try:
        message: Message = message_from_bytes(_without_envelope(raw), policy=TOLERANT)
    except Exception as error:  # too deep for the parser, or nothing that it knows
        problems.append(f"The parts could not be taken apart ({type(error).__name__}).")
        try:
            message = BytesHeaderParser(policy=TOLERANT).parsebytes(_without_envelope(raw))
        except Exception:
            return Mail(key, problems=(*problems, "The headers could not be read."))
    if not message.keys():
        problems.append("It has no headers: this may be no mail.")

    reading = _Reading(problems)
    _try(problems, "The parts", reading.take, message)
    mail = _from_headers(message, key, problems, own_domains)
    text, html = reading.body()
    attachments = _named(reading.attachments, html or "")
    mail = replace(
        mail,
        text=text,
        html=html,
        attachments=attachments,
        unreadable=reading.unreadable or ("pgp" if _PGP.search(text[:MOST_TEXT]) else None),
    )
    bounce = _try(problems, "The bounce", read_bounce, message, text)
    forwarded = not _REPLY.match(mail.subject) and bool(
        _FORWARD.match(mail.subject) or _FORWARDED.search(text[:_FORWARD_HEAD])
    )
    fresh, elided = _try(problems, "The quotations", split_reply, text) or (text, "")
    return replace(
        mail,
        automatic=OWN if mail.is_own else BOUNCE if bounce else mail.automatic,
        bounce=bounce,
        forwarded=forwarded,
        forwarded_from=_forwarded_from(text, attachments) if forwarded else (),
        fresh=fresh,
        elided=elided,
        problems=tuple(dict.fromkeys(problems)),
    )


def content_key(raw: bytes) -> str:
    """
    A fingerprint of what was sent: the same mail that came twice, by two ways or to two of our
    addresses, has one, whatever the servers on its way wrote above it.
    """
    text = _without_envelope(raw).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    head, _, body = text.partition(b"\n\n")
    kept: list[bytes] = []
    is_trace = False
    for line in head.split(b"\n"):
        if line[:1] in {b" ", b"\t"}:
            if not is_trace and kept:
                kept[-1] += b" " + line.strip()
            continue
        is_trace = bool(_TRACE.match(line))
        if not is_trace:
            name, colon, value = line.partition(b":")
            kept.append(name.strip().lower() + colon + value.strip())
    digest = hashlib.sha256(b"\n".join(kept) + b"\n\n")
    digest.update(body.rstrip(b"\n"))
    return digest.hexdigest()


def dmarc_passed(mail: Mail, authserv_id: str) -> bool:
    """
    Whether our own server, the one of that id, found that the sender's domain stands behind the
    mail. Only its topmost word counts: what stands below, anybody can have written. The id `-` is
    that of a server which names itself by none, as Microsoft's.
    """
    if not mail.authentication or not authserv_id or mail.sender is None or mail.authors != 1:
        return False
    said = mail.authentication
    for _ in range(10):
        said, changed = _COMMENT.subn(" ", said)
        if not changed:
            break
    said = re.sub(r'"[^"]*"', " ", said)
    server, *results = [one.strip() for one in said.split(";")]
    if "=" in server:
        server, results = NAMELESS, [server, *results]
    if server.split(" ")[0].lower() != authserv_id.lower():
        return False
    found = [one for one in results if re.match(r"dmarc\s*=", one, re.IGNORECASE)]
    if len(found) != 1 or not re.match(r"dmarc\s*=\s*pass\b", found[0], re.IGNORECASE):
        return False
    about = re.search(r"header\.from\s*=\s*@?([^\s;]+)", found[0], re.IGNORECASE)
    domain = mail.sender.email.rpartition("@")[2].lower()
    return bool(domain) and (about is None or about[1].rpartition("@")[2].lower() == domain)


def _try(
    problems: list[str], what: str, do: Callable[P, T], *given: P.args, **named: P.kwargs
) -> T | None:
    """What `do` answers; None and a problem when it cannot."""
    try:
        return do(*given, **named)
    except Exception as error:  # one thing that cannot be read takes nothing else with it
        problems.append(f"{what} could not be read ({type(error).__name__}).")
        return None


def _without_envelope(raw: bytes) -> bytes:
    """The mail without what stands above and between its headers and is none."""
    raw = raw.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    while raw[:5] in {b"From ", b">From"} and b"\n" in raw[:2000]:
        raw = raw.partition(b"\n")[2]
    if b"\n" not in raw[:65536] and b"\r" in raw[:65536]:
        raw = raw.replace(b"\r", b"\n")
    # A line that is no header would make a body of all that follow it.
    head = raw[: end + 1] if 0 < (end := min(_blank_lines(raw))) < MOST_HEAD else b""
    for _ in range(20):
        at = next(
            (one for one in _NO_HEADER.finditer(head) if _KNOWN.search(head, one.end())), None
        )
        if at is None:
            break
        raw, head = raw[: at.start()] + raw[at.end() :], head[: at.start()] + head[at.end() :]
    return raw


def _blank_lines(raw: bytes) -> list[int]:
    found = [raw.find(blank, 0, MOST_HEAD) for blank in (b"\n\n", b"\n\r\n")]
    return [one for one in found if one >= 0] or [len(raw)]


def _from_headers(
    message: Message, key: str, problems: list[str], own_domains: Collection[str]
) -> Mail:
    sender = _try(problems, "The sender", _sender, message)
    subject = plain(header(message, "Subject"))
    in_reply_to = next(iter(message_ids(str(message.get("In-Reply-To", "")))), None)
    references = [
        one for value in headers(message, "References") for one in reversed(message_ids(value))
    ]
    machine = _try(problems, "What sort of mail it is", automatic, message, sender, subject)
    return Mail(
        content_key=key,
        message_id=message_id(message),
        subject=" ".join(subject.split())[:LONGEST_SUBJECT],
        sender=sender,
        reply_to=None if machine else _try(problems, "Reply-To", _reply_to, message, sender),
        recipients=_try(problems, "The recipients", recipients, message) or (),
        sent_at=moment(str(message.get("Date", ""))),
        in_reply_to=in_reply_to,
        references=tuple(dict.fromkeys([*([in_reply_to] if in_reply_to else []), *references]))[
            :MOST_REFERENCES
        ],
        automatic=machine,
        no_answer=wants_no_answer(message),
        authentication=next(iter(headers(message, "Authentication-Results")), None),
        authors=sum(len(addresses(value)) for value in headers(message, "From")),
        is_own=is_own(message, own_domains),
    )


def _sender(message: Message) -> Address | None:
    for name in ("From", "Sender", "Return-Path"):
        found = first_address(message, name)
        if found and (found.email or found.name):
            return Address(plain(found.name)[:254], found.email)
    return None


def _reply_to(message: Message, sender: Address | None) -> Address | None:
    # X-Original-From: a group or list that wrote itself into From.
    for name in ("Reply-To", "X-Original-From"):
        found = first_address(message, name)
        if found and _can_be_address(found.email):
            is_same = sender is not None and found.email.lower() == sender.email.lower()
            return None if is_same else found
    return None


def _can_be_address(email: str) -> bool:
    local, _, domain = email.rpartition("@")
    return bool(local) and "." in domain.strip(".") and " " not in email and len(email) <= 254


def _forwarded_from(text: str, attachments: Sequence[Attachment]) -> tuple[Address, ...]:
    """Who wrote the mails that a forwarded one holds; its lines tell, or the mail that it holds."""
    head = "\n".join(line[:500] for line in text.split("\n")[:200])
    found: list[Address] = []
    for _ in range(_MOST_FORWARDS):
        try:
            told = quotequail.unwrap(head) or {}
        except Exception:
            break
        sender = _MAILTO.sub(r"<\1>", told.get("from") or "")
        found += [one for one in addresses(sender) if _can_be_address(one.email)][:1]
        head = told.get("text") or ""
    for one in attachments[:_MOST_FORWARDS]:
        if one.media_type == "message/rfc822":
            inside = BytesHeaderParser(policy=TOLERANT).parsebytes(one.data[:65536])
            inner = first_address(inside, "From")
            found += [inner] if inner and _can_be_address(inner.email) else []
    return tuple({one.email.lower(): one for one in found}.values())


@dataclass
class _Body:
    """One stretch of text, in whichever forms it was sent."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)

    def text(self) -> str:
        text = "\n".join(self.plain)
        if text.strip(" \n\t\xa0"):
            return text
        return "\n".join(html_to_text(one) for one in self.html)


class _Reading:
    """Walks through the parts: what is text, what is a file. In doubt it is a file."""

    def __init__(self, problems: list[str]) -> None:
        self.attachments: list[Attachment] = []
        self.unreadable: str | None = None
        self._problems = problems
        self._bodies: list[_Body] = []
        self._boundaries: set[str] = set()
        self._epilogues: list[str] = []

    def body(self) -> tuple[str, str | None]:
        """The whole readable text, and the HTML where there is some."""
        texts = [text for one in self._bodies if (text := one.text()).strip()]
        html = "\n".join(one for body in self._bodies for one in body.html) or None
        text = plain("\n\n".join(text.strip("\n") for text in texts)).strip("\n")
        if len(text) > MOST_TEXT:
            self._problems.append("Its text is longer than we show.")
        return text[:MOST_TEXT], html

    def take(self, message: Message) -> None:
        self._part(message, None, depth=0, first=True)
        if not self.attachments and not any(one.text().strip() for one in self._bodies):
            # Where parts ended too early, what was meant to be one stands below them.
            below, self._epilogues = self._epilogues, []
            for words in below[:_MOST_PIECES]:
                self._part(_as_part(words), None, depth=0, first=True)

    def _part(
        self, part: Message, body: _Body | None, *, depth: int, first: bool, within: str = "mixed"
    ) -> None:
        """One part. `body` gathers the forms of one text; None where each text stands alone."""
        kind = part.get_content_type()
        if depth > DEEPEST:
            self._problems.append("Parts lie too deep inside each other.")
            return
        if part.get_content_maintype() == "multipart":
            if boundary := _parameter(part, "boundary"):
                self._boundaries.add(boundary)
            if not part.is_multipart():
                part = self._salvaged(part)
                kind = part.get_content_type()
            if part.is_multipart():
                self._multipart(part, kind, body, depth, first, within)
                return
        pieces = self._pieces(part)
        _try(self._problems, "A part", self._leaf, part, kind, body, first, within)
        for piece in pieces:
            self._part(_as_part(piece), None, depth=depth + 1, first=False)

    def _pieces(self, part: Message) -> list[str]:
        """
        What a part holds of others, taken out of it: lines that part an outer or an earlier
        multipart tell that its own end is missing.
        """
        written = part.get_payload()
        if not isinstance(written, str):
            return []
        found = [one for one in sorted(self._boundaries)[:_MOST_PIECES] if f"--{one}" in written]
        if not found:
            return []
        marks = "|".join(re.escape(one) for one in sorted(found, key=len, reverse=True))
        mark = rf"^--({marks})(--)?[ \t]*\r?(?:\n|\Z)"
        first, *others = re.split(mark, written, flags=re.MULTILINE)
        # An end that stands on the last line of the words themselves.
        first = re.sub(rf"--(?:{marks})--\s*\Z", "", first)
        if first == written:
            return []
        self._problems.append("Its parts are not parted as it says.")
        part.set_payload(first)
        pieces = []
        for closing, piece in zip(others[1::3], others[2::3], strict=True):
            if closing:
                break  # what stands below the end is no part
            pieces.append(piece)
        return pieces[:_MOST_PIECES]

    def _salvaged(self, part: Message) -> Message:
        """Parts whose boundary is not the one that was promised; else its bytes as text."""
        self._problems.append("Its parts are not parted as it says.")
        written = str(part.get_payload() or "")
        found = _BOUNDARY.search(written)
        subtype = part.get_content_subtype() if found else "plain"
        head = (
            f'Content-Type: multipart/{subtype}; boundary="{found[1]}"'
            if found
            else ("Content-Type: text/html" if _PAGE.match(written) else "Content-Type: text/plain")
        )
        if not found:
            written = _EDGE.sub("", written)
        mended = f"{head}\n\n{written}".encode("utf-8", "surrogateescape")
        return message_from_bytes(mended, policy=TOLERANT)

    def _multipart(
        self, part: Message, kind: str, body: _Body | None, depth: int, first: bool, within: str
    ) -> None:
        inside = cast(list[Message], part.get_payload())
        if len(str(part.epilogue or "").strip()) > 1:
            self._epilogues.append(str(part.epilogue))
        subtype = kind.partition("/")[2]
        if subtype == "encrypted":
            self.unreadable = "pgp"
        if subtype == "alternative" and body is None:
            body = _Body()
            self._bodies.append(body)
        above = str(part.preamble or "").strip()
        if above and len(headers(part, "Content-Type")) > 1:
            # The line that should part it from its headers is missing: these are words.
            self._text(Message(), "text/plain", above.encode("utf-8", "surrogateescape"), body)
        for at, one in enumerate(inside):
            self._part(
                one,
                body,
                depth=depth + 1,
                # The first of a text's parts is the text, though it may have a name.
                first=at == 0 and (first or subtype != "related"),
                within=subtype,
            )

    def _leaf(self, part: Message, kind: str, body: _Body | None, first: bool, within: str) -> None:
        if part.get_content_maintype() == "message" and isinstance(part.get_payload(), list):
            self._mail_inside(part, kind)
            return
        data = self._bytes(part)
        name = _name(part)
        disposition = str(part.get_content_disposition() or "")
        if "pkcs7-mime" in kind and "signed-data" not in str(part.get_param("smime-type", "")):
            self.unreadable = "smime"
        if kind == "application/ms-tnef" or name.lower() == "winmail.dat":
            if self._tnef(data, body):
                return
        is_text = kind in {"text/plain", "text/html", "text/enriched", "text/richtext"}
        is_first_named = first and within not in {"related"} and not disposition
        if (
            is_text
            and disposition != "attachment"
            and (
                not name
                or is_first_named
                or (disposition == "inline" and first)
                or within == "alternative"
            )
        ):
            self._text(part, kind, data, body)
            return
        self._attach(
            name,
            kind,
            data,
            inline=disposition == "inline" or (within == "related" and not first),
            content_id=str(part.get("Content-ID", "")).strip(" <>") or None,
        )

    def _bytes(self, part: Message) -> bytes:
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
            self._mend_base64(part)
        try:
            data = part.get_payload(decode=True)
        except Exception:
            data = None
        if not isinstance(data, bytes):
            payload = part.get_payload()
            data = str(payload).encode("utf-8", "surrogateescape") if payload else b""
            self._problems.append("A part is not in the encoding that it names.")
        return data

    def _mend_base64(self, part: Message) -> None:
        payload = part.get_payload()
        if not isinstance(payload, str):
            return
        head = payload.lstrip()[:400]
        if re.match(r"\S+ \S+ \S", head) or len(_BASE64.sub("", head)) > len(head) // 9:
            # It says so, and is none.
            self._problems.append("A part is not in the encoding that it names.")
            del part["Content-Transfer-Encoding"]
        elif (end := _PADDED.search(payload)) and _BASE64.sub("", payload[end.end() :]):
            part.set_payload(payload[: end.end()])  # what a list wrote below it
        elif end and re.search(r"\S[ \t]\S|^\s*\w{1,20}\s*$", payload[end.end() :]):
            part.set_payload(payload[: end.end()])

    def _text(self, part: Message, kind: str, data: bytes, body: _Body | None) -> None:
        charset = _parameter(part, "charset")
        if kind == "text/html":
            charset = charset or meta_charset(data) or ""
        text, is_whole = decode(data, charset)
        if not is_whole:
            self._problems.append("Some letters of the text could not be read.")
        text = plain(text)
        is_rich = kind in {"text/enriched", "text/richtext"}
        if is_rich and any(one.text().strip() for one in self._bodies):
            self._attach(_name(part), kind, data)
            return
        if body is None:
            body = _Body()
            self._bodies.append(body)
        if kind == "text/html":
            body.html.append(text)
            return
        if is_rich:
            text = html_to_text(text.replace("\n\n", "<br>"))
        if (_parameter(part, "format") or "").lower() == "flowed":
            text = unflowed(text, delete_space=(_parameter(part, "delsp") or "").lower() == "yes")
        text, files = take_out_files(text)
        for name, file in files:
            self._attach(name, "application/octet-stream", file)
        body.plain.append(text)

    def _mail_inside(self, part: Message, kind: str) -> None:
        if kind in {
            "message/delivery-status",
            "message/feedback-report",
            "message/disposition-notification",
        }:
            name = _name(part) or f"{kind.partition('/')[2]}.txt"
            self._attach(name, "text/plain", _written(part))
            return
        inner = part.get_payload(0)
        assert isinstance(inner, Message)  # noqa: S101  the parser puts nothing else there
        data = _written(inner)
        encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
        if encoding in {"base64", "quoted-printable"} and not inner.keys():
            holder = Message(policy=compat32)
            holder["Content-Transfer-Encoding"] = encoding
            holder.set_payload(str(inner.get_payload()))
            data = self._bytes(holder)
            inner = BytesHeaderParser(policy=TOLERANT).parsebytes(data[:65536])
        name = _name(part)
        if not name and kind in {"message/rfc822", "message/global"}:
            name = f"{header(inner, 'Subject')[:80]}.eml" if header(inner, "Subject") else ""
        self._attach(name, "message/rfc822" if kind == "message/global" else kind, data)

    def _tnef(self, data: bytes, body: _Body | None) -> bool:
        """Outlook's own wrapping; whether it could be opened."""
        try:
            opened = TNEF(data, do_checksum=False)
            files = [(one.long_filename(), bytes(one.data)) for one in opened.attachments]
        except Exception as error:
            self._problems.append(f"winmail.dat could not be opened ({type(error).__name__}).")
            return False
        target = body or _Body()
        if body is None:
            self._bodies.append(target)
        if not any(one.text().strip() for one in self._bodies):
            _try(self._problems, "The text in winmail.dat", _tnef_text, opened, target)
        for name, file in files:
            self._attach(str(name or ""), "application/octet-stream", file)
        return True

    def _attach(
        self,
        name: str,
        kind: str,
        data: bytes,
        *,
        inline: bool = False,
        content_id: str | None = None,
    ) -> None:
        self.attachments.append(Attachment(name, _sniffed(data, kind), data, inline, content_id))


def _as_part(words: str) -> Message:
    """Headers and what stands below them, or only words."""
    if not _HEADED.match(words):
        words = f"\n{words}"
    return message_from_bytes(words.encode("utf-8", "surrogateescape"), policy=TOLERANT)


def _tnef_text(opened: TNEF, body: _Body) -> None:
    for told, into in ((opened.body, body.plain), (opened.htmlbody, body.html)):
        if told:
            into.append(plain(decoded(told, None) if isinstance(told, bytes) else str(told)))
    if not body.plain and not body.html and (rtf := opened.rtfbody):
        body.plain.append(
            rtf_to_text(rtf.decode("latin-1") if isinstance(rtf, bytes) else str(rtf))
        )


def _written(message: Message) -> bytes:
    """A mail inside a mail, as bytes again."""
    return message.as_bytes(policy=compat32.clone(max_line_length=None))


def _parameter(part: Message, name: str) -> str | None:
    try:
        value = part.get_content_charset() if name == "charset" else part.get_param(name)
    except Exception:  # a header that is none
        return None
    return value if isinstance(value, str) else value[2] if value else None


def _name(part: Message) -> str:
    """What the sender calls a part; empty when nothing does."""
    try:
        name = part.get_filename("")
    except Exception:  # encoded as nothing that there is
        name = ""
    if not name:
        location = str(part.get("Content-Location", "")).split("?")[0].rpartition("/")[2]
        name = location if "." in location else ""
    return words(name)


def _sniffed(data: bytes, said: str) -> str:
    """What the bytes are; what the mail says where they do not tell."""
    found = filetype.guess_mime(data[:8192]) if len(data) >= 4 else None
    if found and not (found == "application/zip" and "officedocument" in said):
        return str(found)
    if said.startswith(("image/", "video/", "audio/")) and said != "image/svg+xml":
        return "application/octet-stream"  # it says so, and is none
    return (
        said if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,100}", said) else "application/octet-stream"
    )


def _named(attachments: Sequence[Attachment], html: str) -> tuple[Attachment, ...]:
    """Each with a name of its own that harms no file system."""
    shown = {found.lower() for found in _CID.findall(html)}
    taken: set[str] = set()
    named = []
    for number, one in enumerate(attachments, 1):
        name = _safe(one.name)
        if not name.strip("."):
            ending = (
                _ENDINGS.get(one.media_type) or mimetypes.guess_extension(one.media_type) or ".bin"
            )
            what = "photo" if one.media_type.startswith("image/") else "attachment"
            what = "invitation" if one.media_type == "text/calendar" else what
            name = f"{what}-{number}{ending}"
        name = _untaken(name, taken)
        taken.add(name.lower())
        inline = one.inline or (one.content_id or "").lower() in shown
        named.append(replace(one, name=name, inline=inline))
    return tuple(named)


def _safe(name: str) -> str:
    name = unicodedata.normalize("NFC", plain(name)).replace("\\", "/").rpartition("/")[2]
    name = " ".join(_UNSAFE.sub("_", name).split()).strip(" _") if name else ""
    stem, dot, ending = name.rpartition(".")
    if len(name) > LONGEST_NAME:
        ending = ending[:16]
        name = (
            f"{stem[: LONGEST_NAME - len(ending) - 1]}{dot}{ending}"
            if stem
            else name[:LONGEST_NAME]
        )
    return name.lstrip(".") if name.strip(".") else ""


def _untaken(name: str, taken: Collection[str]) -> str:
    return next(one for one in _variants(name) if one.lower() not in taken)


def _variants(name: str) -> Iterator[str]:
    yield name
    stem, dot, ending = name.rpartition(".")
    for number in range(2, 10_000):
        yield f"{stem}-{number}{dot}{ending}" if stem else f"{name}-{number}"
