"""Email over SMTP: a few connections, each used for one mail after the other and then renewed."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

import aiosmtplib
import structlog
from aiolimiter import AsyncLimiter
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from bus import traces
from notifier.mail_message import Envelope, build_message, on_the_wire
from notifier.senders import Again, Door, Failed, Mail, Outcome, Sent, Unknown

log = structlog.stdlib.get_logger()

ReadFile = Callable[[str], Awaitable[bytes]]
"""The bytes of a kept file by its address, as `bus.files.Files.read`; `KeyError`: there is none."""

Password = Callable[[], str]
"""The newest password of the mail server; may read a file."""

_HOLDS_ADDRESS = re.compile(r"<?[^\s<>]+@[^\s<>]+>?")
_NO_ADDRESS = "the address is not an email address"


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


@asynccontextmanager
async def open_smtp(
    settings: SmtpSettings,
    envelope: Envelope,
    read_file: ReadFile,
    password: Password | None = None,
) -> AsyncIterator["SmtpSender"]:
    """A sender whose connections are closed at the end; without `password`, the settings' own."""
    # Loading the certificates takes milliseconds, and is done once for all connections.
    context = await asyncio.to_thread(_tls_context, settings)
    sender = SmtpSender(settings, envelope, read_file, context, password)
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
        password: Password | None = None,
    ) -> None:
        self._settings = settings
        self._envelope = envelope
        self._read_file = read_file
        self._tls = tls
        self._free: list[_Connection] = []
        self._away_until = 0.0
        self._pace = AsyncLimiter(settings.mails_per_second, time_period=1.0)
        self._away_reason = ""
        self._password = password
        self._knocking: asyncio.Task[None] | None = None
        self.door = Door(f"{settings.host}:{settings.port}")

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

    def look_now(self) -> None:
        """Have it see at once whether the server lets us in; `door` tells."""
        if self._knocking is None or self._knocking.done():
            self._knocking = asyncio.create_task(self._knock(), name="smtp door")

    async def _knock(self) -> None:
        try:
            self._free.append(await self._connect())
            self._away_until = 0.0
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self._leave_alone(error)

    async def close(self) -> None:
        if self._knocking is not None:
            self._knocking.cancel()
            await asyncio.wait([self._knocking])
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
        return await self._connect()

    async def _connect(self) -> _Connection:
        settings, password = self._settings, None
        if settings.username and self._password is not None:
            password = await asyncio.to_thread(self._password)
        elif settings.password is not None:
            password = settings.password.get_secret_value()
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=password or None,
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
        now = asyncio.get_running_loop().time()
        self.door = Door(self.door.place, datetime.now(UTC), datetime.now(UTC))
        return _Connection(client, opened=now, used=now)

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
        refused = isinstance(error, aiosmtplib.SMTPAuthenticationError)
        what = "does not accept our password" if refused else "cannot be reached"
        self._away_reason = f"the mail server {what} ({kind})"
        self.door = replace(
            self.door, tried_at=datetime.now(UTC), trouble=f"it {what} ({kind})", refused=refused
        )
        return Again(self._away_reason, nobody_there=True)


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
