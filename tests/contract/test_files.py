"""Files: content-addressed, on disk before anybody speaks of them."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from bus.files import Files, Settings, open_files


async def test_a_kept_file_is_read_back_and_keeping_it_again_changes_nothing(
    tmp_path: Path,
) -> None:
    files = open_files(Settings(), tmp_path)
    first = await files.keep(b"the original", media_type="text/plain", name="a.txt")
    again = await files.keep(b"the original", media_type="text/plain", name="a.txt")
    assert first == again
    assert first.sha256 == hashlib.sha256(b"the original").hexdigest()
    assert await files.read(first.sha256) == b"the original"
    assert len([path for path in (tmp_path / "files").glob("??/*") if path.is_file()]) == 1


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
    (tmp_path / "files" / "journal").write_text("no folder here")
    with pytest.raises(Exception, match=r"."):
        await files.keep(b"lost?", media_type="text/plain", name="x")


async def test_what_was_kept_before_a_crash_is_there_after_it(tmp_path: Path) -> None:
    files = open_files(Settings(), tmp_path)
    kept = [
        await files.keep(f"original {n}".encode(), media_type="text/plain", name="n")
        for n in range(20)
    ]
    while len(list((tmp_path / "files").glob("??/*"))) < 20:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # whoever wrote them lets go, as the dead do
    # The power goes: the journal is on disk, of the files the kernel had written some, one half.
    for ref in kept[5:]:
        path = tmp_path / "files" / ref.sha256[:2] / ref.sha256[2:]
        path.unlink() if ref.sha256 > "8" else path.write_bytes(b"orig")
    (journal,) = (tmp_path / "files" / "journal").iterdir()
    journal.write_bytes(journal.read_bytes() + b"\x00" * 50)
    del files

    again = open_files(Settings(), tmp_path)
    assert [await again.read(ref.sha256) for ref in kept] == [
        f"original {n}".encode() for n in range(20)
    ]
    assert list((tmp_path / "files" / "journal").iterdir()) == []


async def test_a_journal_that_is_still_written_is_left_alone(tmp_path: Path) -> None:
    first = open_files(Settings(), tmp_path)
    await first.keep(b"one", media_type="text/plain", name="n")
    second = open_files(Settings(), tmp_path)
    await second.keep(b"two", media_type="text/plain", name="n")
    assert len(list((tmp_path / "files" / "journal").iterdir())) == 2
    await first.close()
    await second.close()
    assert list((tmp_path / "files" / "journal").iterdir()) == []
