"""
What an app posts: the fields of a form, and pictures beside them, however large, on disk.

Pictures become photos (`Photos.take`) only once the app is known and its report is in order.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDict
from yarl import URL

from bus.contracts import FileRef
from bus.files import Files
from channels.open311_format import Fault, Refusal
from channels.open311_settings import Open311Settings
from channels.photos import Darkroom, NotAPhoto
from channels.sms_media import outward_socket

_MOST_OF_ALL = 160 * 1024 * 1024
_MOST_OF_A_FIELD = 64 * 1024
_MOST_PARTS = 300
_PIECE = 256 * 1024
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_FROM_QUERY = ("api_key", "jurisdiction_id")
_HOPS = 4

_REASONS = {
    "empty": "it is empty",
    "unknown": "it is no JPEG, PNG, HEIC, WebP or GIF",
    "broken": "it is damaged or cut short",
    "too_many_pixels": "it has more than 64 megapixels",
    "too_large": "it is too large",
    "too_many": "there are too many",
    "away": "it could not be fetched",
}


@dataclass
class Body:
    """A form as it came."""

    fields: MultiDict[str] = field(default_factory=MultiDict)
    pictures: list[Path | None] = field(default_factory=list)
    """Files that came along; None: one that was too large, and was not kept."""


@dataclass
class Taken:
    """The photos of a report, and why the others are missing."""

    photos: list[FileRef] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    """Links whose picture is missing."""


@asynccontextmanager
async def received(request: web.Request, settings: Open311Settings) -> AsyncIterator[Body]:
    """The body of a POST; its files are gone at the end. Raises `Refusal`."""
    if request.content_type not in _FORMS:
        if request.can_read_body:
            raise Refusal(
                Fault(400, "Send the request as a form: application/x-www-form-urlencoded.")
            )
        body = Body()
        _add_query(body, request)
        yield body
        return
    with tempfile.TemporaryDirectory(prefix="buckstop-open311-") as folder:
        if request.content_type == "multipart/form-data":
            body = await _read_parts(request, Path(folder), settings)
        else:
            body = Body(await _read_form(request))
        _add_query(body, request)
        yield body


def _add_query(body: Body, request: web.Request) -> None:
    for name in _FROM_QUERY:
        if name not in body.fields and name in request.query:
            body.fields.add(name, request.query[name])


async def _read_form(request: web.Request) -> MultiDict[str]:
    try:
        form = await request.post()
    except (ValueError, LookupError) as error:  # bytes of no encoding, or of an unknown one
        raise Refusal(Fault(400, "The form could not be read: it must be UTF-8.")) from error
    return MultiDict((name, value) for name, value in form.items() if isinstance(value, str))


async def _read_parts(request: web.Request, folder: Path, settings: Open311Settings) -> Body:
    if request.content_length is None:
        raise Refusal(Fault(411, "Say how much you send (Content-Length)."))
    if request.content_length > _MOST_OF_ALL:
        raise Refusal(Fault(413, f"More than {_MOST_OF_ALL // 1024**2} MB were sent at once."))
    body = Body()
    try:
        reader = await request.multipart()
        count = 0
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                continue  # a form inside a form
            count += 1
            if count > _MOST_PARTS:
                raise Refusal(Fault(400, f"The form has more than {_MOST_PARTS} parts."))
            if part.filename is None:
                await _read_field(part, body)
                continue
            path = folder / f"{len(body.pictures)}"
            size = await _read_file(part, path, settings.most_photo_bytes)
            if size or part.filename:  # else a file field in which nothing was chosen
                body.pictures.append(path if size <= settings.most_photo_bytes else None)
    except (ValueError, LookupError, AssertionError, HttpProcessingError) as error:
        raise Refusal(Fault(400, "The form is not cut into parts as it says.")) from error
    return body


async def _read_field(part: BodyPartReader, body: Body) -> None:
    data = bytearray()
    while piece := await part.read_chunk(_PIECE):
        data += piece
        if len(data) > _MOST_OF_A_FIELD:
            raise Refusal(Fault(400, f"The field {(part.name or '')[:80]} is too long."))
    body.fields.add(part.name or "", bytes(data).decode("utf-8", "replace"))


async def _read_file(part: BodyPartReader, path: Path, most: int) -> int:
    """Write a part to a file; its size. Past `most` it is read on and thrown away."""
    size = 0
    # The pages of a local file are written by the kernel: not worth a thread for each piece.
    with path.open("wb") as target:
        while piece := await part.read_chunk(_PIECE):
            size += len(piece)
            if size <= most:
                target.write(piece)
    return size


class Photos:
    """Makes plain JPEGs of what apps send along or link to; nobody's report is lost by one."""

    def __init__(self, files: Files, settings: Open311Settings) -> None:
        self._files = files
        self._settings = settings
        self._darkroom = Darkroom()

    async def take(self, pictures: Sequence[Path | None], links: Sequence[str]) -> Taken:
        """Keeps what can be used, at most as many as the settings say."""
        taken = Taken()
        for picture in pictures:
            try:
                if picture is None:
                    raise NotAPhoto("too_large")
                await self._keep(picture, taken)
            except NotAPhoto as reason:
                taken.refused.append(_REASONS[reason.reason])
        for link, data in zip(links, await self._fetch_all(links), strict=True):
            try:
                if isinstance(data, NotAPhoto):
                    raise data
                await self._keep(data, taken)
            except NotAPhoto as reason:
                taken.links.append(link)
                if self._settings.fetch_media:
                    taken.refused.append(_REASONS[reason.reason])
        return taken

    async def _keep(self, source: bytes | Path, taken: Taken) -> None:
        if len(taken.photos) >= self._settings.most_photos:
            raise NotAPhoto("too_many")
        photo = await self._darkroom.prepare(source)
        name = f"photo-{len(taken.photos) + 1}.jpg"
        kept = await self._files.keep(photo.data, media_type="image/jpeg", name=name)
        taken.photos.append(kept)

    async def _fetch_all(self, links: Sequence[str]) -> list[bytes | NotAPhoto]:
        if not links or not self._settings.fetch_media:
            return [NotAPhoto("away")] * len(links)
        most = self._settings.most_photos
        connector = aiohttp.TCPConnector(socket_factory=outward_socket, use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=self._settings.media_seconds)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "Buckstop"},
        ) as session:
            fetched = await asyncio.gather(*(self._fetch(session, one) for one in links[:most]))
        return [*fetched, *([NotAPhoto("too_many")] * (len(links) - most))]

    async def _fetch(self, session: aiohttp.ClientSession, link: str) -> bytes | NotAPhoto:
        try:
            async with asyncio.timeout(self._settings.media_seconds):
                return await self._bytes(session, URL(link))
        except NotAPhoto as reason:
            return reason
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return NotAPhoto("away")

    async def _bytes(self, session: aiohttp.ClientSession, url: URL) -> bytes:
        for _ in range(_HOPS):
            if url.scheme not in ("http", "https") or not url.host or url.user:
                break
            # Each hop gets a socket of its own, which refuses what lies inside our house.
            async with session.get(url, allow_redirects=False) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = url.join(URL(answer.headers.get("Location", "")))
                    continue
                if answer.status != 200:
                    break
                data = bytearray()
                async for chunk in answer.content.iter_chunked(_PIECE):
                    data += chunk
                    if len(data) > self._settings.most_photo_bytes:
                        raise NotAPhoto("too_large")
                return bytes(data)
        raise NotAPhoto("away")
