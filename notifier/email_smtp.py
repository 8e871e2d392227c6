"""Email over SMTP: a few connections, each used for one mail after the other and then renewed."""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.encoders import encode_base64
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.mime.base import MIMEBase
from email.policy import Compat32
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal
from uuid import UUID

import aiosmtplib
import structlog
from aiolimiter import AsyncLimiter
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from bus import traces
from bus.contracts import FileRef
from bus.identity import notice_token
from notifier.senders import Again, Failed, Mail, Outcome, Sent, Unknown

log = structlog.stdlib.get_logger()

ReadFile = Callable[[str], Awaitable[bytes]]
"""The bytes of a kept file by its address, as `bus.files.Files.read`; `KeyError`: there is none."""


class _AsWritten(Compat32):
    """Short lines in ASCII, as nearly all of our headers are, need no folding: half the work."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if isinstance(value, str) and value.isascii() and "\n" not in value:
            line = f"{name}: {value}"
            # One word cannot be folded, however long it is.
            if len(line) <= _LONGEST_LINE or (" " not in value and len(line) <= _LONGEST_WORD):
                return line.encode("ascii") + b"\r\n"
        return super().fold_binary(name, value)


_LONGEST_LINE = 78  # RFC 5322, 2.1.1
_LONGEST_WORD = 400  # the longest address of ours and more, far below the 998 that a server takes
_POLICY = _AsWritten(linesep="\r\n")
_MEDIA_TYPE = re.compile(r"([\w.+-]+)/([\w.+-]+)", re.ASCII)
# What strangers wrote, so that nothing but an id can come of it.
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,200}@[!-;=?-~]{1,100}", re.ASCII)
_QUOTED, _ESCAPE = re.compile(r'([\\"])'), r"\\\1"
_HOLDS_ADDRESS = re.compile(r"<?[^\s<>]+@[^\s<>]+>?")
_NO_ADDRESS = "the address is not an email address"

OWN_MAIL = "X-Buckstop-Notice"
"""The header that every mail of ours carries; its value is the notice, as `receipt`."""


class SmtpSettings(BaseModel):
    """The city's mail server. Without a host, mail stays in the local mailbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = ""
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr | None = None
    ca_file: Path | None = None
    """The certificate authority of a mail server inside the house."""
    helo_name: str = ""
    """What we call ourselves; empty: the domain of the sender's address."""
    connections: int = Field(default=8, ge=1, le=32)
    mails_per_second: float = Field(default=200.0, gt=0)
    """A mail server takes only so many; notifier/rush.py says how many while complaints pour in."""
    mails_per_connection: int = Field(default=50, ge=1)
    seconds_per_connection: float = Field(default=60.0, gt=0)
    check_after_idle: float = Field(default=2.0, ge=0)
    """Seconds of silence after which a connection is asked whether it still lives."""
    timeout: float = Field(default=20.0, gt=0)
    """Seconds that the server has for each answer."""
    patience: float = Field(default=45.0, gt=0)
    """Seconds for one batch; what was not begun by then comes again."""
    rest: float = Field(default=2.0, ge=0)
    """Seconds in which a server that could not be reached is left alone."""

    @model_validator(mode="after")
    def _password_has_a_name(self) -> "SmtpSettings":
        if self.password is not None and not self.username:
            raise ValueError("password without username")
        return self


@dataclass(frozen=True)
class Envelope:
    """What every mail of ours says about its sender."""

    from_address: str
    from_name: str
    reply_to: str = ""
    secret: bytes = b""
    """
    With it and with `reply_to`, each mail carries a token that only we can make: an answer comes
    to `local+TOKEN@domain`, and so does a bounce, and names the mail that it belongs to.
    """

    @property
    def domain(self) -> str:
        return self.from_address.rpartition("@")[2]

    def token(self, notice_id: UUID) -> str:
        """What proves that something answers this mail; empty where answers are not read."""
        return _token(self.secret, notice_id) if self.secret and self.reply_to else ""

    def signed(self, token: str) -> str:
        """The address for answers and bounces that names the mail by its token."""
        local, _, domain = self.reply_to.rpartition("@")
        return f"{local}+{token}@{domain}"


# Asked for twice, for the mail and for the envelope around it, and a fifth of the work.
_token = lru_cache(maxsize=256)(notice_token)


@asynccontextmanager
async def open_smtp(
    settings: SmtpSettings, envelope: Envelope, read_file: ReadFile
) -> AsyncIterator["SmtpSender"]:
    """A sender whose connections are closed at the end."""
    # Loading the certificates takes milliseconds, and is done once for all connections.
    context = await asyncio.to_thread(_tls_context, settings)
    sender = SmtpSender(settings, envelope, read_file, context)
    try:
        yield sender
    finally:
        await sender.close()


@dataclass
class _Connection:
    client: aiosmtplib.SMTP
    opened: float
    used: float
    mails: int = 0


class SmtpSender:
    """Carries mails over a pool of connections; see `open_smtp`."""

    name = "smtp"

    def __init__(
        self,
        settings: SmtpSettings,
        envelope: Envelope,
        read_file: ReadFile,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._settings = settings
        self._envelope = envelope
        self._read_file = read_file
        self._tls = tls
        self._free: list[_Connection] = []
        self._away_until = 0.0
        self._pace = AsyncLimiter(settings.mails_per_second, time_period=1.0)
        self._away_reason = ""

    async def send(self, mails: Sequence[Mail]) -> Sequence[Outcome]:
        """
        What became of each mail, in their order.

        When the server cannot be reached, the rest of the batch does not wait for it: each of
        them is to come again.
        """
        outcomes: dict[UUID, Outcome] = {}
        waiting = iter(mails)  # shared: whoever is free takes the next one
        enough = asyncio.get_running_loop().time() + self._settings.patience
        async with asyncio.TaskGroup() as group:
            for number in range(min(self._settings.connections, len(mails))):
                group.create_task(self._carry(waiting, enough, outcomes), name=f"smtp {number}")
        return [outcomes[mail.notice_id] for mail in mails]

    async def close(self) -> None:
        while self._free:
            await _part(self._free.pop())

    async def _carry(
        self, waiting: Iterator[Mail], enough: float, outcomes: dict[UUID, Outcome]
    ) -> None:
        clock = asyncio.get_running_loop().time
        for mail in waiting:
            if clock() < self._away_until:
                outcomes[mail.notice_id] = Again(self._away_reason, nobody_there=True)
            elif clock() > enough:
                outcomes[mail.notice_id] = Again("the mail server is slow", nobody_there=True)
            else:
                await self._pace.acquire()
                work = self._send(mail)
                outcomes[mail.notice_id] = await traces.sending(self.name, mail.notice_id, work)

    async def _send(self, mail: Mail) -> Outcome:
        try:
            recipient = on_the_wire(mail.recipient)
            message = await self._message(mail)
        except ValueError:
            return Failed(_NO_ADDRESS)
        try:
            connection = await self._take_connection()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return self._leave_alone(error)
        try:
            outcome = await self._hand_over(connection.client, mail, recipient, message)
        except BaseException:
            connection.client.close()
            raise
        connection.mails += 1
        connection.used = asyncio.get_running_loop().time()
        if isinstance(outcome, Sent) and not self._is_old(connection, connection.used):
            self._free.append(connection)
        else:
            # After anything but success nobody knows what the server still remembers.
            await _part(connection)
        return outcome

    async def _hand_over(
        self, client: aiosmtplib.SMTP, mail: Mail, recipient: str, message: bytes
    ) -> Outcome:
        options, encoding = [], "ascii"
        if not recipient.isascii():
            if not client.supports_extension("smtputf8"):
                return Failed("the mail server cannot write to an address with such letters")
            options, encoding = ["SMTPUTF8"], "utf-8"
        if client.supports_extension("size"):
            most = client.esmtp_extensions["size"].strip()
            if mail.attachments and most.isdigit() and 0 < int(most) < len(message):
                log.info("sent without attachments", notice_id=str(mail.notice_id), most=int(most))
                message = build_message(mail, self._envelope, ())
            options.append(f"SIZE={len(message)}")
        token = self._envelope.token(mail.notice_id)
        sender = self._envelope.signed(token) if token else self._envelope.from_address
        handed_over = False
        try:
            await client.mail(sender, options=options, encoding=encoding)
            await client.rcpt(recipient, encoding=encoding)
            handed_over = True
            answer = await client.data(message)
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code == 552:
                return Failed(_reason(error))  # too large for this server
            # Our own address or rights are wrong: somebody can mend that, and the mail waits.
            log.error("mail server refuses our sender", code=error.code)
            return Again(_reason(error))
        except (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as error:
            return Failed(_reason(error)) if error.code >= 500 else Again(_reason(error))
        except aiosmtplib.SMTPResponseException as error:
            return Again(_reason(error))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            log.warning(
                "mail server lost",
                notice_id=str(mail.notice_id),
                handed_over=handed_over,
                error=type(error).__name__,
            )
            reason = f"the mail server went away ({type(error).__name__})"
            return Unknown(reason) if handed_over else Again(reason)
        except ValueError:
            return Failed(_NO_ADDRESS)
        return Sent(answer.message.splitlines()[0][:200] if answer.message else None)

    async def _message(self, mail: Mail) -> bytes:
        if not mail.attachments:
            return build_message(mail, self._envelope, ())
        files = []
        for file in mail.attachments:
            try:
                files.append((file, await self._read_file(file.sha256)))
            except KeyError:
                # The mail links to the case; better without the photo than not at all.
                log.error("attachment not found", notice_id=str(mail.notice_id), sha256=file.sha256)
        return await asyncio.to_thread(build_message, mail, self._envelope, files)

    async def _take_connection(self) -> _Connection:
        clock = asyncio.get_running_loop().time
        while self._free:
            connection = self._free.pop()
            if not connection.client.is_connected or self._is_old(connection, clock()):
                connection.client.close()
                continue
            if clock() - connection.used > self._settings.check_after_idle:
                try:
                    await connection.client.rset(timeout=5)
                except (aiosmtplib.SMTPException, OSError, TimeoutError):
                    connection.client.close()
                    continue
                except BaseException:
                    connection.client.close()
                    raise
            return connection
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=settings.password.get_secret_value() if settings.password else None,
            local_hostname=settings.helo_name or self._envelope.domain,
            timeout=settings.timeout,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls,
        )
        # The library limits each step; this limits the way in as a whole.
        async with asyncio.timeout(settings.timeout * 2):
            await client.connect()
            if not client.supports_esmtp:
                await client.ehlo()
        return _Connection(client, opened=clock(), used=clock())

    def _is_old(self, connection: _Connection, now: float) -> bool:
        return (
            now - connection.opened >= self._settings.seconds_per_connection
            or connection.mails >= self._settings.mails_per_connection
        )

    def _leave_alone(self, error: Exception) -> Again:
        code = getattr(error, "code", None)
        kind = type(error).__name__ + (f" {code}" if code else "")
        now = asyncio.get_running_loop().time()
        if now >= self._away_until:
            log.warning("mail server not reached", error=kind)
        self._away_until = now + self._settings.rest
        self._away_reason = f"the mail server cannot be reached ({kind})"
        return Again(self._away_reason, nobody_there=True)


def build_message(mail: Mail, envelope: Envelope, files: Sequence[tuple[FileRef, bytes]]) -> bytes:
    """
    The mail as it travels. Building it again gives the same bytes, so that a mail that was taken
    twice can be told for one. Raises `ValueError` for what is no address.
    """
    # Of our mails only the words differ, so they are put together here: the `email` package looks
    # for a boundary that stands in no part and folds headers that need it not, and takes 0.9 ms
    # (its older half) or 3.3 ms (its newer one) for what takes 0.1 ms.
    body = _words("plain", mail.text)
    if mail.html is not None:
        body = _together("alternative", mail, [body, _words("html", mail.html)])
    if files:
        body = _together("mixed", mail, [body, *(_attachment(file, data) for file, data in files)])
    token = envelope.token(mail.notice_id)
    # Nobody wrote this Message-ID: it only holds together what is about one case. Before it stands
    # the resident's own mail, so that their mail program shows our answers below it.
    thread = f"<case-{mail.case_id}@{envelope.domain}>" if mail.case_id else ""
    asked = f"<{mail.answers}>" if _MESSAGE_ID.fullmatch(mail.answers or "") else ""
    receipt = mail.notice == "receipt"
    headers = {
        "From": _named(envelope.from_name, envelope.from_address),
        "To": _named(mail.recipient_name or "", on_the_wire(mail.recipient)),
        "Subject": _encoded(_shown(mail.subject)),
        "Date": format_datetime(mail.written_at),
        "Message-ID": f"<{token or mail.notice_id}@{envelope.domain}>",
        "In-Reply-To": asked or thread,
        "References": f"{asked} {thread}".strip(),
        "Reply-To": envelope.signed(token) if token else envelope.reply_to,
        # RFC 3834, and what Exchange listens to: nobody's holiday notice comes back.
        "Auto-Submitted": "auto-replied" if receipt else "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Precedence": "bulk" if receipt else "",
        # By this we know our own mail when it comes back to us.
        OWN_MAIL: mail.notice,
        "MIME-Version": "1.0",
    }
    lines = [_POLICY.fold_binary(name, value) for name, value in headers.items() if value]
    return b"".join([*lines, body])


def _words(kind: str, words: str) -> bytes:
    data = base64.encodebytes(words.encode()).replace(b"\n", b"\r\n")
    return (
        f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    ).encode("ascii") + data


def _together(kind: str, mail: Mail, parts: Sequence[bytes]) -> bytes:
    boundary = f"=_{kind}_{mail.notice_id.hex}"  # in base64, as all parts are, there is no "=_"
    between = f"--{boundary}\r\n".encode("ascii")
    return b"".join(
        [
            f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n'.encode("ascii"),
            *(piece for part in parts for piece in (between, part, b"\r\n")),
            f"--{boundary}--\r\n".encode("ascii"),
        ]
    )


def _attachment(file: FileRef, data: bytes) -> bytes:
    known = _MEDIA_TYPE.fullmatch(file.media_type)
    maintype, subtype = known.groups() if known else ("application", "octet-stream")
    part = MIMEBase(maintype, subtype, policy=_POLICY)
    part.set_payload(data)
    encode_base64(part)
    name = re.sub(r"[\x00-\x1f\x7f/\\\"]+", "_", file.name)[:100] or "file"
    part.add_header(
        "Content-Disposition",
        "attachment",
        filename=name if name.isascii() else ("utf-8", "", name),
    )
    return part.as_bytes()


def _named(name: str, address: str) -> str:
    """A name and an address as a header holds them."""
    # An address that keeps other letters travels in a mail that is UTF-8 throughout (RFC 6532).
    address = address.encode().decode("ascii", "surrogateescape")
    shown = _shown(name)
    if not shown.isascii():
        return f"{_encoded(shown)} <{address}>"
    return f'"{_QUOTED.sub(_ESCAPE, shown)}" <{address}>' if shown else address


def _encoded(words: str) -> str:
    return words if words.isascii() else Header(words, "utf-8").encode()


@lru_cache(maxsize=1024)
def on_the_wire(address: str) -> str:
    """
    An address as SMTP takes it, a domain in other letters in ASCII (IDNA); only what stands
    before the @ may keep them. Raises `ValueError` for what is no single address.
    """
    local, at, domain = address.strip().rpartition("@")
    wired = f"{local}{at}{domain if domain.isascii() else domain.encode('idna').decode('ascii')}"
    if len(wired) > 254:
        raise ValueError("too long for an email address")
    try:
        # Its parser knows ASCII only; which letter stands there makes no difference to the form.
        Address(addr_spec=re.sub(r"[^\x00-\x7f]", "x", wired))
    except (ValueError, IndexError, MessageError) as error:
        raise ValueError("not an email address") from error
    return wired


def _shown(words: str) -> str:
    """Words that may stand in a header: one line, nothing invisible."""
    line = " ".join(words.split())
    if line.isprintable():
        return line
    return "".join(letter for letter in line if letter.isprintable())


def _reason(error: aiosmtplib.SMTPResponseException) -> str:
    """What the server said, without the address that it repeats."""
    said = " ".join(str(error.message).split())
    return f"{error.code} {_HOLDS_ADDRESS.sub('the address', said)}"[:300].strip()


async def _part(connection: _Connection) -> None:
    """Say goodbye if the server listens, and close in any case."""
    try:
        if connection.client.is_connected:
            await connection.client.quit(timeout=2)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        log.debug("mail server did not say goodbye", error=type(error).__name__)
    finally:
        connection.client.close()


def _tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    return ssl.create_default_context(cafile=settings.ca_file)
