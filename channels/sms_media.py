"""
The photos of a text message, fetched from where Twilio keeps them, and from nowhere else by
mistake: not from a machine inside our house, and nobody but Twilio is shown the account's token.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import filetype
from yarl import URL

from channels.intake import clean_text
from channels.photos import Darkroom, NotAPhoto, Point
from channels.sms_settings import TwilioSettings
from channels.sms_words import MOST_LETTERS

_TWILIO = "twilio.com"
_CHUNK = 64 * 1024


class NotFetched(Exception):
    """It will not come, however often we ask; the reason is for people."""


class NotNow(Exception):
    """It may come later."""


class _Inside(OSError):
    """A private address, to which nothing that a message names may lead us."""


@dataclass(frozen=True)
class Fetched:
    """A file as it is kept, or the words of one that holds nothing else."""

    data: bytes
    media_type: str
    name: str
    point: Point | None = None
    """Where the camera says it was."""
    words: str | None = None


@asynccontextmanager
async def open_fetcher(settings: TwilioSettings, darkroom: Darkroom) -> AsyncIterator["Fetcher"]:
    def session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=settings.media_timeout),
        )

    pinned = aiohttp.TCPConnector(socket_factory=outward_socket, use_dns_cache=False)
    async with (
        session(pinned) as outward,
        session(aiohttp.TCPConnector()) as chosen,
    ):
        yield Fetcher(settings, darkroom, outward, chosen)


class Fetcher:
    """Fetches one file after the other; see `open_fetcher`."""

    def __init__(
        self,
        settings: TwilioSettings,
        darkroom: Darkroom,
        outward: aiohttp.ClientSession,
        chosen: aiohttp.ClientSession,
    ) -> None:
        self._settings = settings
        self._darkroom = darkroom
        self._outward = outward
        self._chosen = chosen
        self._api = URL(settings.api_url).origin()

    async def fetch(self, address: str, number: int, declared: str = "") -> Fetched:
        """The `number`-th file of a message. Raises `NotFetched` or `NotNow`."""
        try:
            async with asyncio.timeout(self._settings.media_timeout):
                data = await self._bytes(address)
        except aiohttp.InvalidURL as error:
            raise NotFetched("it has an address that we do not ask") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if _comes_from(error, _Inside):
                raise NotFetched("it lies at an address that we do not ask") from error
            raise NotNow(type(error).__name__) from error
        return await self._prepared(data, number, declared)

    async def _bytes(self, address: str) -> bytes:
        url = _url(address)
        token = self._settings.auth_token.get_secret_value() if self._settings.auth_token else ""
        known = aiohttp.encode_basic_auth(self._settings.account_sid, token)
        headers = {"Authorization": known} if self._may_see_the_token(url) else {}
        for hop in range(2):
            # The second address has its rights in itself: it gets no token, whoever it is.
            async with self._session(url).get(
                url, headers=headers if hop == 0 else {}, allow_redirects=False
            ) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    if hop:
                        break
                    url = _url(str(url.join(URL(answer.headers.get("Location", "")))))
                    continue
                if answer.status in (408, 425, 429) or answer.status >= 500:
                    raise NotNow(f"HTTP {answer.status}")
                if answer.status != 200:
                    raise NotFetched(f"it is not there (HTTP {answer.status})")
                return await self._read(answer)
        raise NotFetched("it is somewhere else, and there somewhere else again")

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        most = self._settings.most_media_bytes
        data = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > most:
                raise NotFetched(f"it is larger than {most // 1024**2} MB")
        return bytes(data)

    def _may_see_the_token(self, url: URL) -> bool:
        host = (url.host or "").rstrip(".")
        ours = url.scheme == "https" and url.port == 443
        at_twilio = ours and (host == _TWILIO or host.endswith(f".{_TWILIO}"))
        return at_twilio or url.origin() == self._api

    def _session(self, url: URL) -> aiohttp.ClientSession:
        return self._chosen if url.origin() == self._api else self._outward

    async def _prepared(self, data: bytes, number: int, declared: str) -> Fetched:
        if not data:
            raise NotFetched("it is empty")
        try:
            photo = await self._darkroom.prepare(data)
        except NotAPhoto as reason:
            if reason.reason != "unknown":
                raise NotFetched(f"it is no photo that can be opened ({reason.reason})") from reason
        else:
            return Fetched(photo.data, "image/jpeg", f"photo-{number}.jpg", photo.point)
        return as_it_is(data, number, declared)


def as_it_is(data: bytes, number: int, declared: str) -> Fetched:
    """A file that is no photo, under the name of what it is; what it says it is counts little."""
    declared = declared.partition(";")[0].strip().lower()
    guess: Any = filetype.guess(data[:8192])
    if guess is not None and guess.mime.partition("/")[0] in ("audio", "video"):
        kind = guess.mime.partition("/")[0]
        return Fetched(data, guess.mime, f"{kind}-{number}.{guess.extension}")
    if guess is not None and guess.mime == "application/pdf":
        return Fetched(data, guess.mime, f"file-{number}.pdf")
    if data[:64].lstrip(b"\xef\xbb\xbf\r\n ").upper().startswith(b"BEGIN:VCARD"):
        return Fetched(data, "text/vcard", f"contact-{number}.vcf")
    if declared == "text/plain" and (words := _words(data)):
        # A phone that sends a long text as a file: these are the resident's own words.
        return Fetched(data, "text/plain", f"text-{number}.txt", words=words)
    if declared in ("audio/amr", "audio/3gpp", "video/3gpp") and guess is None:
        return Fetched(data, declared, f"file-{number}.{declared.partition('/')[2]}")
    return Fetched(data, "application/octet-stream", f"file-{number}")


def outward_socket(address: tuple[Any, ...]) -> socket.socket:
    """
    A socket for one resolved address, or `OSError`: private, looped back, reserved.

    It is asked for the very address that is connected to, so that no second answer of a name
    server can slip in between.
    """
    family, kind, protocol, _, where = address
    if not is_outside(str(where[0])):
        raise _Inside("not an address of the world outside")
    return socket.socket(family, kind, protocol)


_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_TRANSLATED_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")


def is_outside(address: str) -> bool:
    """Whether an IP address belongs to the world outside."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_outside(str(ip.ipv4_mapped))
        # IPv6 that carries an IPv4 address inside could lead anywhere.
        if ip.sixtofour is not None or ip.teredo is not None:
            return False
        if ip in _TRANSLATED or ip in _TRANSLATED_LOCAL or ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _url(address: str) -> URL:
    try:
        url = URL(address)
    except ValueError as error:
        raise NotFetched("its address cannot be read") from error
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password:
        raise NotFetched("it has an address that we do not ask")
    return url


def _comes_from(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error of this kind lies at the ground of another."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, kind) or isinstance(getattr(error, "os_error", None), kind):
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(_comes_from(one, kind) for one in error.exceptions)
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _words(data: bytes) -> str:
    try:
        return clean_text(data.decode())[:MOST_LETTERS]
    except UnicodeDecodeError:
        return ""
