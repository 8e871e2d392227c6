"""
Photos from a form, however many and however large: read in pieces, judged one by one.

A bad photo is named with its reason and costs only itself.
"""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from bus.files import Files
from channels.intake import clean_line
from channels.photos import Darkroom, NotAPhoto
from gateway.pages.i18n import gettext as _
from gateway.resident.draft import DraftPhoto

MOST_PHOTOS = 10
MOST_BYTES = 15 * 1024 * 1024
"""Of one photo."""
_MOST_OF_ALL = 220 * 1024 * 1024
_MOST_OF_A_FIELD = 64 * 1024
_PIECE = 256 * 1024


@dataclass
class Upload:
    """What came with a form: its fields, the photos that are kept, sentences for the others."""

    fields: dict[str, str] = field(default_factory=dict)
    photos: list[DraftPhoto] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


async def read_upload(
    request: web.Request,
    *,
    files: Files,
    darkroom: Darkroom,
    already: frozenset[str] = frozenset(),
) -> Upload:
    """
    Read a multipart form to its end, keeping each good photo. `already` names photos by SHA-256
    that the report has; they count, and are not taken twice.
    """
    if request.content_length is None:
        raise web.HTTPLengthRequired  # every browser says how much it sends
    if request.content_length > _MOST_OF_ALL:
        raise web.HTTPRequestEntityTooLarge(_MOST_OF_ALL, request.content_length)
    upload = Upload()
    taken = set(already)
    with tempfile.TemporaryDirectory(prefix="buckstop-photos-") as folder:
        path = Path(folder) / "photo"
        async for part in _parts(request):
            size = await _read_part(part, path)
            if part.filename is None:
                if part.name and size <= _MOST_OF_A_FIELD:
                    upload.fields[part.name] = path.read_bytes().decode("utf-8", "replace")
                continue
            if size == 0 and not part.filename:
                continue  # a file field in which nothing was chosen
            try:
                if size > MOST_BYTES:
                    raise NotAPhoto("too_large")
                if len(taken) >= MOST_PHOTOS:
                    raise NotAPhoto("too_many")
                photo = await darkroom.prepare(path)
            except NotAPhoto as reason:
                upload.refusals.append(
                    _("%(name)s was not added: %(reason)s.")
                    % {"name": short_name(part.filename), "reason": refusal_words(reason.reason)}
                )
                continue
            kept = await files.keep(
                photo.data, media_type="image/jpeg", name=f"photo-{len(taken) + 1}.jpg"
            )
            if kept.sha256 not in taken:
                taken.add(kept.sha256)
                lat, lon = (photo.point.lat, photo.point.lon) if photo.point else (None, None)
                upload.photos.append(DraftPhoto(file=kept, lat=lat, lon=lon))
    return upload


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader):  # else a form inside a form: no browser sends one
                yield part
    except (ValueError, AssertionError, HttpProcessingError) as error:
        raise web.HTTPBadRequest from error  # not cut into parts as it says


async def _read_part(part: BodyPartReader, path: Path) -> int:
    """
    Write a part to a file; returns its size. Past 15 MB it is read on and thrown away, as a
    browser shows no answer before it has sent everything.
    """
    size = 0
    # The pages of a local file are written by the kernel: not worth a thread for each piece.
    with path.open("wb") as target:
        while piece := await part.read_chunk(_PIECE):
            size += len(piece)
            if size <= MOST_BYTES:
                target.write(piece)
    return size


def refusal_words(reason: str) -> str:
    """Why a photo cannot be used, as the end of a sentence."""
    return {
        "too_large": _("it is larger than 15 MB"),
        "too_many": _("a report can have 10 photos"),
        "empty": _("the file is empty"),
        "unknown": _("it is not a photo that we can open; use JPEG, PNG, HEIC, WebP or GIF"),
        "broken": _("the file is damaged or cut short"),
        "too_many_pixels": _("it has more than 64 megapixels"),
    }[reason]


def short_name(name: str) -> str:
    line = clean_line(name.replace("\\", "/").rsplit("/", 1)[-1])
    return f"“{line[:57]}…”" if len(line) > 60 else f"“{line}”"
