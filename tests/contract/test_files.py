"""Files: content-addressed, on disk before anybody speaks of them."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from bus.files import Files, Settings, open_files


async def test_a_kept_file_is_read_back_and_keeping_it_again_changes_nothing(
    files: Files, tmp_path: Path
) -> None:
    first = await files.keep(b"the original", media_type="text/plain", name="a.txt")
    again = await files.keep(b"the original", media_type="text/plain", name="a.txt")
    assert first == again
    assert first.sha256 == hashlib.sha256(b"the original").hexdigest()
    assert await files.read(first.sha256) == b"the original"
    assert len([path for path in (tmp_path / "files").rglob("*") if path.is_file()]) == 1


async def test_a_large_file_is_kept_from_its_path(files: Files, tmp_path: Path) -> None:
    photo = tmp_path / "photo"
    photo.write_bytes(b"\xff\xd8" + bytes(3_000_000))
    kept = await files.keep_path(photo, media_type="image/jpeg", name="photo.jpg")
    assert kept.size == 3_000_002
    assert await files.read(kept.sha256) == photo.read_bytes()


async def test_many_at_once_are_all_kept(files: Files) -> None:
    refs = await asyncio.gather(
        *(files.keep(f"{n}".encode(), media_type="text/plain", name="n") for n in range(200))
    )
    assert [await files.read(ref.sha256) for ref in refs] == [f"{n}".encode() for n in range(200)]


@pytest.mark.parametrize("address", ["", "../../etc/passwd", "A" * 64, "0" * 64])
async def test_an_address_that_is_none_or_unknown_is_a_key_error(
    files: Files, address: str
) -> None:
    with pytest.raises(KeyError):
        await files.read(address)


async def test_a_full_disk_is_told_to_the_one_who_keeps(tmp_path: Path) -> None:
    files = open_files(Settings(), tmp_path)
    for number in range(256):
        folder = tmp_path / "files" / f"{number:02x}"
        folder.rmdir()
        folder.write_text("no folder here")
    with pytest.raises(Exception, match=r"."):
        await files.keep(b"lost?", media_type="text/plain", name="x")
