"""
From a mail's bytes to what the bus is told about it: a complaint, or a message set aside and why.

The mailboxes and `buckstop intake email` both go through here. Deciding is pure
(`reason_to_ignore`, `follows_of`, `words_of`); around it stand reading process, darkroom and files.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from uuid import UUID

import structlog

from bus.contracts import Contact, ContactMark, FileRef, Follows, MessageSetAside
from bus.errors import Refused
from bus.identity import complaint_id, read_notice_token, read_reference
from channels.base import Surroundings
from channels.intake import Heard, clean_line, clean_text
from channels.language import detect
from channels.mail_automatic import BOUNCE, OWN
from channels.mail_reader import MailReader, Unparseable
from channels.mime import Attachment, Mail, dmarc_passed
from channels.photos import Darkroom, NotAPhoto, Point

log = structlog.stdlib.get_logger()

CHANNEL = "email"
LONGEST_TEXT = 200_000
"""Letters of a mail that a case holds; the original holds all of them."""
MOST_ANSWERED = 5
"""Message-IDs of other mails that are looked at, the nearest first."""

_TOKEN = re.compile(r"(?<![a-z2-7])[a-z2-7]{39}(?![a-z2-7])")
_REPLY_WORD = re.compile(
    r"^(?:\s*(?:re|aw|sv|antw|odp|ref|res|fwd?|wg|tr|rv)\s*(?:\[\d+\])?\s*[:：])+", re.IGNORECASE
)
_REFERENCE = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Za-z]{3}[- ]?[0-9A-Za-z]{3}[- ]?[0-9A-Za-z]{2}(?![0-9A-Za-z])"
)
_ADDRESS = re.compile(r"[^@\s<>\"',;]{1,64}@[^@\s<>\"',;]{1,189}")

_WHY = {
    OWN: "one of our own mails came back",
    "loop": "a mail that goes in circles",
    "out_of_office": "an out-of-office reply",
    "auto_reply": "an automatic reply",
    "list": "mail to a list",
    "bulk": "mail to many",
    "no_reply": "from an address that reads no answers",
}
_UNREADABLE = {
    "smime": "(This mail is encrypted with S/MIME and cannot be read here.)",
    "pgp": "(This mail is encrypted with PGP and cannot be read here.)",
}
_NOTHING = "(This mail has no text.)"
_GOES_ON = "(The mail goes on; its original has all of it.)"
_PHOTO_TYPES = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/gif", "image/heic", "image/heif"}
)

Understood = Heard | MessageSetAside


class EmailIntake:
    """What every mail goes through, from wherever it was fetched."""

    def __init__(
        self,
        around: Surroundings,
        reader: MailReader,
        *,
        ours: Collection[str] = (),
        darkroom: Darkroom | None = None,
    ) -> None:
        """`ours`: the addresses that we write from and read."""
        self._around = around
        self._reader = reader
        self._ours = frozenset(one.lower() for one in ours)
        self._darkroom = darkroom or Darkroom()

    async def understand(self, raw: bytes, *, judges: Collection[str] = ()) -> Understood:
        """
        What the mail asks for; nothing is told yet. `judges`: the servers of ours whose
        Authentication-Results say whether its sender is who it says; none: nobody is asked.

        Raises `Unavailable` when the reading process or the files cannot be had: try again.
        """
        try:
            mail = await self._reader.read(raw)
        except Unparseable as error:
            return await self.quarantined(raw, error.reason)
        if _is_no_mail(mail):
            return await self.quarantined(raw, "these bytes are no mail")
        external_id = _external_id(mail)
        follows = follows_of(mail, self._around.secret, judges)
        if reason := reason_to_ignore(mail, self._ours, self._around.secret):
            return self._set_aside(
                external_id,
                "ignored",
                reason,
                original=await self._keep_original(raw),
                follows=follows,
                mark=mark_of(mail) if follows.notices else None,
            )
        return await self._heard(raw, mail, follows)

    async def understand_anyway(self, raw: bytes) -> Heard | None:
        """
        What the mail asks for though we would set it aside, since a person found that it asks for
        something; None when nobody can read it.
        """
        try:
            mail = await self._reader.read(raw)
        except Unparseable:
            return None
        if _is_no_mail(mail):
            return None
        return await self._heard(raw, mail, follows_of(mail, self._around.secret))

    async def _heard(self, raw: bytes, mail: Mail, follows: Follows) -> Heard:
        kept = await self._keep_attachments(mail.attachments)
        text = words_of(mail)
        return Heard(
            channel=CHANNEL,
            external_id=_external_id(mail),
            original=raw,
            original_type="message/rfc822",
            original_name="mail.eml",
            text=text,
            language=detect(follows.fresh or text),
            forwards=tuple(
                Contact(name=clean_line(one.name)[:200] or None, email=one.email.lower())
                for one in mail.forwarded_from
                if one.email.lower() not in self._ours
            ),
            lat=kept.point.lat if kept.point else None,
            lon=kept.point.lon if kept.point else None,
            place_source="photo" if kept.point else None,
            reporter=reporter_of(mail),
            attachments=kept.files,
            follows=follows,
            answer=not mail.no_answer,
        )

    async def quarantined(
        self, raw: bytes | None, reason: str, *, known_as: str = ""
    ) -> MessageSetAside:
        """A mail that nobody could read; `known_as` says which, where its bytes do not."""
        named = hashlib.sha256(known_as.encode() if known_as or raw is None else raw).hexdigest()
        return self._set_aside(
            f"-/{named[:24]}",
            "quarantined",
            reason,
            original=None if raw is None else await self._keep_original(raw),
        )

    async def tell(self, understood: Sequence[Understood]) -> list[UUID]:
        """Their ids, in order, once the bus has them all. Raises `Unavailable`."""
        heard = [one for one in understood if isinstance(one, Heard)]
        aside = [one for one in understood if isinstance(one, MessageSetAside)]
        if heard:
            try:
                await self._around.intake.receive_all(heard)
            except Refused:
                # One of them can never be stored: the others shall not wait for it.
                for one in heard:
                    await self._tell_one(one)
        if aside:
            await self._around.tell(aside)
        return [id_of(one) for one in understood]

    async def _tell_one(self, heard: Heard) -> None:
        try:
            await self._around.intake.receive(heard)
        except Refused as error:
            log.error("a mail that the bus does not take", reason=type(error).__name__)
            original = await self._keep_original(heard.original)
            reason = "the bus does not take what it says"
            await self._around.tell(
                [self._set_aside(heard.external_id, "quarantined", reason, original=original)]
            )

    def _set_aside(
        self,
        external_id: str,
        outcome: str,
        reason: str,
        *,
        original: FileRef | None,
        follows: Follows | None = None,
        mark: ContactMark | None = None,
    ) -> MessageSetAside:
        return MessageSetAside(
            message_id=complaint_id(CHANNEL, external_id),
            occurred_at=datetime.now(UTC),
            channel=CHANNEL,
            external_id=external_id,
            outcome=outcome,
            reason=reason,
            original=original,
            follows=follows,
            mark=mark,
        )

    async def _keep_original(self, raw: bytes) -> FileRef:
        return await self._around.files.keep(raw, media_type="message/rfc822", name="mail.eml")

    async def _keep_attachments(self, attachments: Iterable[Attachment]) -> "_Kept":
        files: list[FileRef] = []
        point: Point | None = None
        for one in attachments:
            data, media_type, name = one.data, one.media_type, one.name
            if media_type in _PHOTO_TYPES:
                try:
                    photo = await self._darkroom.prepare(data)
                except NotAPhoto:
                    log.info("an attachment that is no photo", media_type=media_type)
                else:
                    data, media_type = photo.data, "image/jpeg"
                    name = f"{PurePath(name).stem}.jpg"
                    point = point or photo.point
            files.append(await self._around.files.keep(data, media_type=media_type, name=name))
        # The same file twice in a mail is one.
        return _Kept(tuple({one.sha256: one for one in files}.values()), point)


@dataclass(frozen=True)
class _Kept:
    files: tuple[FileRef, ...]
    point: Point | None


def _external_id(mail: Mail) -> str:
    return f"{mail.message_id or '-'}/{mail.content_key[:24]}"


def id_of(understood: Understood) -> UUID:
    """The id under which the ledger has it."""
    return complaint_id(understood.channel, understood.external_id)


def reason_to_ignore(mail: Mail, ours: Collection[str], secret: bytes) -> str | None:
    """Why it opens no case, in words; None for what a person wrote to us."""
    if mail.bounce is not None:
        return " ".join(("a bounce:", mail.bounce.kind, mail.bounce.status)).strip()
    if mail.automatic == BOUNCE:
        return "a bounce"
    if mail.automatic is not None:
        return _WHY.get(mail.automatic, f"sent by a machine ({mail.automatic})")
    is_ours = mail.sender is not None and mail.sender.email.lower() in ours
    if is_ours or any(_proven([mail.message_id or ""], secret)):
        return _WHY[OWN]
    return None


def follows_of(mail: Mail, secret: bytes, judges: Collection[str] = ()) -> Follows:
    """Which mails it answers, proven and said, and whether its sender is."""
    answered = mail.references[:MOST_ANSWERED]
    named = [address.rpartition("@")[0] for address in mail.recipients]
    named += [one.rpartition("@")[0] for one in mail.references]
    if mail.bounce is not None and mail.bounce.original_message_id:
        named.append(mail.bounce.original_message_id.rpartition("@")[0])
        answered = (mail.bounce.original_message_id, *answered)[:MOST_ANSWERED]
    return Follows(
        notices=tuple(dict.fromkeys(_proven(named, secret))),
        message_ids=answered,
        message_id=mail.message_id,
        # What somebody forwards is what they tell us, though it looks like a quotation.
        fresh=None if mail.forwarded else _clipped(clean_text(mail.fresh)) or None,
        mentions=_mentioned(mail.subject),
        sender_proven=not judges or _is_proven(mail, judges),
    )


def _is_proven(mail: Mail, judges: Collection[str]) -> bool:
    # Where our answer goes is who reported: whoever proves one address says nothing of another.
    return mail.reply_to is None and any(dmarc_passed(mail, judge) for judge in judges)


def _proven(named: Iterable[str], secret: bytes) -> Iterable[UUID]:
    for one in named:
        for token in _TOKEN.findall(one.lower()):
            if (notice := read_notice_token(secret, token)) is not None:
                yield notice


def _mentioned(subject: str) -> str | None:
    found = (read_reference(one) for one in _REFERENCE.findall(subject))
    return next((one for one in found if one), None)


def mark_of(mail: Mail) -> ContactMark | None:
    """What a bounce says about an address; only what answers a notice of ours is to be believed."""
    if mail.bounce is None:
        return None
    states = {"hard": "bad", "soft": "soft"}
    for kind, state in states.items():
        for one in mail.bounce.recipients:
            if one.kind == kind and one.address:
                reason = clean_line(f"{one.status} {one.diagnostic}")[:300] or one.kind
                return ContactMark(
                    medium="email", address=one.address.lower(), state=state, reason=reason
                )
    return None


def words_of(mail: Mail) -> str:
    """
    What a case shows: the subject, where it says something, and the whole text. Of a first
    message everything counts, so nothing is taken away.
    """
    body = clean_text(mail.text)
    subject = clean_line(_REPLY_WORD.sub("", mail.subject))
    if mail.unreadable is not None:
        body = "\n\n".join((_UNREADABLE.get(mail.unreadable, _NOTHING), body)).strip()
    if subject and not body.lower().startswith(subject.lower()):
        body = f"{subject}\n\n{body}".strip()
    return _clipped(body) or _NOTHING


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n\n{_GOES_ON}"


def reporter_of(mail: Mail) -> Contact:
    """Who wrote it, and where our answer goes."""
    if mail.sender is None:
        return Contact()
    address = (mail.reply_to or mail.sender).email.strip().lower()
    name = clean_line(mail.sender.name)[:200]
    return Contact(name=name or None, email=address if _ADDRESS.fullmatch(address) else None)


def _is_no_mail(mail: Mail) -> bool:
    return not (mail.sender or mail.subject or mail.message_id or mail.recipients or mail.sent_at)
