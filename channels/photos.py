"""
A photo as a resident sends it becomes one that staff can open: a plain JPEG without its metadata.

The place and the time that the camera wrote into it are handed back beside the picture, so that
a person can be asked whether they may be used. Pure: bytes in, values out.
"""

import asyncio
import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pi_heif
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF")
MOST_PIXELS = 64_000_000
"""Width times height; a larger one would take a gigabyte of memory to open."""
LONGEST_SIDE = 2560
QUALITY = 85

# What a damaged or hostile file makes Pillow raise.
_BROKEN: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    SyntaxError,
    KeyError,
    IndexError,
    TypeError,
    struct.error,
    ZeroDivisionError,
    OverflowError,
    EOFError,
    MemoryError,
    RuntimeError,
)

_EXIF, _GPS = 0x8769, 0x8825
_TAKEN, _TAKEN_OFFSET, _CHANGED = 0x9003, 0x9011, 0x0132

pi_heif.register_heif_opener()


class NotAPhoto(Exception):
    """
    We cannot use it. `reason`: `empty`, `unknown` (none of our formats, whatever it is called),
    `broken` (cut short or damaged), `too_many_pixels`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Point:
    lat: float
    lon: float


@dataclass(frozen=True)
class Photo:
    data: bytes
    """JPEG, upright, without metadata."""
    width: int
    height: int
    point: Point | None = None
    """Where the camera says it was."""
    taken_at: datetime | None = None
    """When; in UTC where the camera gave its zone, else taken as UTC."""


class Darkroom:
    """Prepares photos in threads, few at a time: one can take 300 MB and most of a second."""

    def __init__(self, at_once: int = 2) -> None:
        self._places = asyncio.Semaphore(at_once)

    async def prepare(self, source: bytes | Path) -> Photo:
        async with self._places:
            return await asyncio.to_thread(prepare, source)

    async def thumbnail(self, data: bytes) -> bytes:
        async with self._places:
            return await asyncio.to_thread(thumbnail, data)


def prepare(source: bytes | Path) -> Photo:
    """The photo, ready to be kept. Raises `NotAPhoto`."""
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size == 0:
        raise NotAPhoto("empty")
    try:
        image = Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
        )
    except Image.DecompressionBombError as error:
        raise NotAPhoto("too_many_pixels") from error
    except UnidentifiedImageError as error:
        raise NotAPhoto("unknown") from error
    except _BROKEN as error:
        raise NotAPhoto("broken") from error
    with image:
        # Nothing is decoded yet: the size is only what the file says.
        if image.width * image.height > MOST_PIXELS:
            raise NotAPhoto("too_many_pixels")
        try:
            # A JPEG is decoded at a half, a quarter or an eighth where that is enough.
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            point, taken_at = _told_by_camera(image)
            picture = _upright(image)
        except _BROKEN as error:
            raise NotAPhoto("broken") from error
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return Photo(written.getvalue(), picture.width, picture.height, point, taken_at)


def thumbnail(data: bytes, side: int = 360) -> bytes:
    """A small picture of a photo that `prepare` made."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft("RGB", (side, side))
        small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=75, optimize=True)
    return written.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    """The first frame in sRGB on white, turned as the camera was held."""
    image.seek(0)
    image.load()
    profile = image.info.get("icc_profile")
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I;16"):
        turned = turned.point(lambda value: value / 256).convert("L")
    if turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info:
        over = turned.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        turned = Image.alpha_composite(white, over)
    elif profile and turned.mode == "RGB":
        turned = _in_srgb(turned, profile)
    plain = Image.new("RGB", turned.size)
    plain.paste(turned.convert("RGB"))
    return plain


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return (
            ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), inPlace=False)
            or image
        )
    except ImageCms.PyCMSError:
        return image  # a strange profile costs a shade of colour, not the photo
    except _BROKEN:
        return image


def _told_by_camera(image: Image.Image) -> tuple[Point | None, datetime | None]:
    try:
        exif = image.getexif()
        return _point(exif.get_ifd(_GPS)), _taken_at(exif.get_ifd(_EXIF), exif)
    except _BROKEN:
        return None, None  # the picture may be good all the same


def _point(gps: Mapping[int, Any]) -> Point | None:
    try:
        lat = _degrees(gps[2], south_or_west=str(gps.get(1, "N")).upper().startswith("S"))
        lon = _degrees(gps[4], south_or_west=str(gps.get(3, "E")).upper().startswith("W"))
    except _BROKEN:
        return None
    if not (math.isfinite(lat) and math.isfinite(lon)) or abs(lat) > 90 or abs(lon) > 180:
        return None
    if lat == 0 and lon == 0:
        return None  # what cameras write before they know
    return Point(round(lat, 6), round(lon, 6))


def _degrees(parts: Any, *, south_or_west: bool) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if south_or_west else value


def _taken_at(exif: Mapping[int, Any], image: Mapping[int, Any]) -> datetime | None:
    told = exif.get(_TAKEN) or image.get(_CHANGED)
    try:
        naive = datetime.strptime(str(told).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    offset = str(exif.get(_TAKEN_OFFSET) or "").strip("\0 ")
    try:
        ahead = datetime.strptime(offset, "%z").tzinfo if offset else UTC
    except ValueError:
        ahead = UTC
    return naive.replace(tzinfo=ahead or timezone(timedelta())).astimezone(UTC)
