"""
What ends some day unless somebody renews it: the certificates that we and our mail servers show,
and the access to mailboxes, as far as its provider says when it ends.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import structlog

from gateway.settings import Settings

log = structlog.stdlib.get_logger()

Manner = Literal["tls", "imap", "smtp"]
_PATIENCE = 15.0  # seconds for one server
_LONGEST_LINE = 4096
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True)
class Door:
    """A server that shows a certificate."""

    host: str
    port: int
    manner: Manner
    """`tls` from the first byte; else after STARTTLS in the words of IMAP or SMTP."""
    ca_file: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Ending:
    """One thing that ends."""

    kind: Literal["certificate", "access"]
    what: str
    """A server as `host:port`, or a mailbox."""
    ends: datetime | None
    """None: it could not be seen, or nobody says."""
    trouble: str = ""
    """Why it could not be seen, in a few words."""

    def days(self, now: datetime) -> int | None:
        """Whole days that are left; negative when it has ended."""
        return None if self.ends is None else (self.ends - now).days


def doors(settings: Settings) -> tuple[Door, ...]:
    """The servers whose certificates matter to us, each once."""
    found: dict[str, Door] = {}

    def add(door: Door) -> None:
        found.setdefault(door.name, door)

    public = urlsplit(settings.base_url)
    if public.scheme == "https" and public.hostname:
        add(Door(public.hostname, public.port or 443, "tls"))
    for mailbox in settings.channels.email:
        if mailbox.security != "none":
            manner: Manner = "tls" if mailbox.security == "tls" else "imap"
            add(Door(mailbox.host, mailbox.at_port, manner, mailbox.ca_file))
    smtp = settings.notifier.smtp
    if smtp.host and smtp.security != "none":
        manner = "tls" if smtp.security == "tls" else "smtp"
        add(Door(smtp.host, smtp.port, manner, smtp.ca_file))
    return tuple(found.values())


async def look_at(many: Sequence[Door]) -> tuple[Ending, ...]:
    """What each of them shows. Never raises for what is away: that is an answer."""
    return tuple(await asyncio.gather(*(_look_at(door) for door in many)))


async def _look_at(door: Door) -> Ending:
    try:
        async with asyncio.timeout(_PATIENCE):
            ends = await _ends(door)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return Ending("certificate", door.name, datetime.now(UTC), "it has expired")
        return Ending("certificate", door.name, None, f"not trusted: {error.verify_message}")
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
        log.info("certificate not seen", host=door.host, error=type(error).__name__)
        return Ending("certificate", door.name, None, f"no answer ({type(error).__name__})")
    return Ending("certificate", door.name, ends)


async def _ends(door: Door) -> datetime:
    context = await asyncio.to_thread(ssl.create_default_context, cafile=door.ca_file)
    at_once = door.manner == "tls"
    reader, writer = await asyncio.open_connection(
        door.host, door.port, limit=_LONGEST_LINE, ssl=context if at_once else None
    )
    try:
        if door.manner == "imap":
            await _line(reader, b"*")
            writer.write(b"a STARTTLS\r\n")
            await _line(reader, b"a OK")
        elif door.manner == "smtp":
            await _line(reader, b"220 ")
            writer.write(b"EHLO localhost\r\n")
            await _line(reader, b"250 ")
            writer.write(b"STARTTLS\r\n")
            await _line(reader, b"220 ")
        if not at_once:
            await writer.start_tls(context, server_hostname=door.host)
        shown = writer.get_extra_info("peercert")
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)


async def _line(reader: asyncio.StreamReader, begin: bytes) -> None:
    """Reads up to the line that begins so; `ValueError` when the server says no."""
    for _ in range(100):
        line = await reader.readuntil(b"\n")
        if line.startswith(begin):
            return
        if line[:1] in b"45" or line.startswith((b"a NO", b"a BAD")):
            break
    raise ValueError("the server does not begin TLS")


def access_of(places: Iterable[tuple[str, datetime | None]]) -> tuple[Ending, ...]:
    """The access to places, by name and when it ends, where its provider has said so."""
    return tuple(Ending("access", place, ends) for place, ends in places if ends is not None)
