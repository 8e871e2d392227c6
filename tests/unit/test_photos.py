"""A photo loses what its camera wrote, and hands back what a person may be asked about."""

import io
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from channels.photos import LONGEST_SIDE, NotAPhoto, Point, prepare, thumbnail

EXIF, GPS, TAKEN, OFFSET, ORIENTATION, MAKER = 0x8769, 0x8825, 0x9003, 0x9011, 0x0112, 0x010F


def picture(size: tuple[int, int] = (640, 480), mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", size, "navy")
    image.paste("orange", (0, 0, size[0] // 2, size[1] // 4))
    return image.convert(mode)


def exif(**tags: object) -> Image.Exif:
    written = Image.Exif()
    written[MAKER] = "A telephone"
    if "gps" in tags:
        written[GPS] = tags["gps"]
    if "taken" in tags:
        written[EXIF] = {TAKEN: tags["taken"], OFFSET: tags.get("offset", "")}
    if "orientation" in tags:
        written[ORIENTATION] = tags["orientation"]
    return written


def encoded(image: Image.Image, kind: str = "JPEG", **how: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **how)
    return written.getvalue()


SQUARE = {1: "N", 2: (39.0, 5.0, 28.68), 3: "W", 4: (94.0, 24.0, 57.24)}


def test_the_place_and_the_time_come_back_and_leave_the_picture() -> None:
    photo = prepare(
        encoded(picture(), exif=exif(gps=SQUARE, taken="2026:11:20 08:15:00", offset="-06:00"))
    )
    assert photo.point == Point(39.0913, -94.4159)
    assert photo.taken_at == datetime(2026, 11, 20, 14, 15, tzinfo=UTC)
    kept = Image.open(io.BytesIO(photo.data))
    assert kept.format == "JPEG"
    assert not kept.getexif()
    assert b"telephone" not in photo.data


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (95.0, 0.0, 0.0), 3: "W", 4: (94.0, 0.0, 0.0)},
        {1: "N", 2: (39.0, 5.0)},
    ],
)
def test_a_place_that_is_none_is_no_place(gps: dict[int, object]) -> None:
    assert prepare(encoded(picture(), exif=exif(gps=gps))).point is None


def test_a_photo_stands_upright() -> None:
    photo = prepare(encoded(picture((640, 480)), exif=exif(orientation=6)))
    assert (photo.width, photo.height) == (480, 640)
    kept = Image.open(io.BytesIO(photo.data))
    red, _green, blue = kept.getpixel((470, 5))  # the orange corner, now on the right
    assert red > blue


def test_a_large_photo_gets_smaller_and_a_small_one_stays() -> None:
    assert prepare(encoded(picture((5000, 2500)))).width == LONGEST_SIDE
    assert prepare(encoded(picture((300, 200)))).width == 300


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
    ],
)
def test_what_phones_and_computers_make_is_taken(kind: str, mode: str) -> None:
    image = Image.new("I;16", (40, 30), 40_000) if mode == "I;16" else picture((40, 30), mode)
    photo = prepare(encoded(image, kind))
    assert Image.open(io.BytesIO(photo.data)).mode == "RGB"


def test_a_film_gives_its_first_picture() -> None:
    film = encoded(
        Image.new("RGB", (20, 20), "white"),
        "GIF",
        save_all=True,
        append_images=[Image.new("RGB", (20, 20), "black")],
    )
    assert Image.open(io.BytesIO(prepare(film).data)).getpixel((5, 5)) == (255, 255, 255)


def test_what_is_seen_through_lies_on_white() -> None:
    photo = prepare(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG"))
    assert Image.open(io.BytesIO(photo.data)).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("nothing.jpg", b"", "empty"),
        ("zeros.jpg", b"\0" * 4096, "unknown"),
        ("text.jpg", b"I am a JPEG, believe me.", "unknown"),
        ("page.jpg", b"<!doctype html><script>alert(1)</script>", "unknown"),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unknown"),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "unknown"),
        ("half.jpg", encoded(picture())[:2000], "broken"),
        ("half.png", encoded(picture(), "PNG")[:200], "broken"),
    ],
)
def test_what_is_no_photo_is_refused_with_the_reason(
    name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(NotAPhoto) as refusal:
        prepare(path)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("side", [9_000, 30_000])
def test_a_small_file_with_a_giant_picture_is_never_opened(side: int) -> None:
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + (13).to_bytes(4, "big")
        + header
        + zlib.crc32(header).to_bytes(4, "big")
        + encoded(picture((4, 4)), "PNG")[33:]
    )
    with pytest.raises(NotAPhoto) as refusal:
        prepare(bomb)
    assert refusal.value.reason == "too_many_pixels"


def test_a_thumbnail_is_small() -> None:
    small = thumbnail(prepare(encoded(picture((2000, 1500)))).data)
    assert max(Image.open(io.BytesIO(small)).size) == 360


def test_what_telephones_call_heic_is_taken_with_its_place() -> None:
    photo = prepare(Path(__file__).parents[1] / "fixtures" / "photos" / "telephone.heic")
    assert (photo.width, photo.height) == (64, 48)
    assert photo.point == Point(39.0913, -94.4159)
