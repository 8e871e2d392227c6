"""
Attachments and untouched originals, content-addressed: the name of a file is its SHA-256.

Kept means on disk before `keep` returns, so that the bus never speaks of a file that a power cut
could take: a large file is fsynced itself, small ones share an fsync (bus/journal.py).
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, S3Store
from pydantic import BaseModel, ConfigDict

from bus.contracts import FileRef
from bus.journal import Journal, left_over

_JOURNAL = "journal"
_SMALL = 256 * 1024  # bytes; what is larger is worth an fsync of its own


class Settings(BaseModel):
    """Where files lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    """`s3://bucket/prefix` for several hosts; empty: a folder `files` in the data directory."""


@dataclass
class _Waiting:
    sha256: str
    data: bytes | Path
    kept: "asyncio.Future[None]"


class Files:
    """The city's files. One writer thread takes all that wait, so that they share its fsync."""

    def __init__(self, store: LocalStore | S3Store, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self._journal = Journal(folder / _JOURNAL) if folder is not None else None
        self._queue: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, data: bytes, *, media_type: str, name: str) -> FileRef:
        """Keep bytes; returns once they are on disk. Keeping them again changes nothing."""
        sha256 = hashlib.sha256(data).hexdigest()
        await self._write(sha256, data)
        return FileRef(sha256=sha256, media_type=media_type, name=name, size=len(data))

    async def keep_path(self, path: Path, *, media_type: str, name: str) -> FileRef:
        """Keep a finished temporary file, however large; the caller deletes its own copy."""

        def look() -> tuple[str, int]:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size

        sha256, size = await asyncio.to_thread(look)
        await self._write(sha256, path)
        return FileRef(sha256=sha256, media_type=media_type, name=name, size=size)

    async def read(self, sha256: str) -> bytes:
        """The file's bytes; `KeyError` when there is none of that address."""
        try:
            answer = await obstore.get_async(self._store, _place(sha256))
        except (NotFoundError, FileNotFoundError) as error:
            raise KeyError(sha256) from error
        return bytes(await answer.bytes_async())

    async def _write(self, sha256: str, data: bytes | Path) -> None:
        waiting = _Waiting(sha256, data, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name="files")
        await asyncio.shield(waiting.kept)

    async def _write_all(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue[:64], self._queue[64:]
                try:
                    await asyncio.to_thread(self._put, batch)
                except Exception as error:
                    for one in batch:
                        one.kept.set_exception(error)
                        one.kept.exception()  # seen here even if the keeper was cancelled
                else:
                    for one in batch:
                        one.kept.set_result(None)
        finally:
            self._writer = None

    async def close(self) -> None:
        """Everything kept is on disk under its own name."""
        if self._journal is not None:
            await asyncio.to_thread(self._journal.close)

    def _put(self, batch: list[_Waiting]) -> None:
        if self._journal is not None:
            small = [
                (one.sha256, one.data)
                for one in batch
                if isinstance(one.data, bytes) and len(one.data) <= _SMALL
            ]
            if small:
                self._journal.append(small)
        for one in batch:
            obstore.put(self._store, _place(one.sha256), one.data)
            if self._folder is not None and (isinstance(one.data, Path) or len(one.data) > _SMALL):
                path = self._folder / _place(one.sha256)
                _sync(path)
                _sync(path.parent)
        if self._journal is not None:
            self._journal.turn_over()


def open_files(settings: Settings, data: Path) -> Files:
    """
    The files that the settings name; the folder is made when it is not there, and what a crash
    left in a journal is written.
    """
    if settings.url:
        return Files(S3Store.from_url(settings.url), None)
    folder = data / "files"
    folder.mkdir(parents=True, exist_ok=True)
    # All folders there are, made at once: a new folder would ask for one more fsync of its parent.
    for number in range(256):
        (folder / f"{number:02x}").mkdir(exist_ok=True)
    _sync(folder)
    store = LocalStore(folder)
    for sha256, kept in left_over(folder / _JOURNAL):
        obstore.put(store, _place(sha256), kept)
    return Files(store, folder)


def _place(sha256: str) -> str:
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise KeyError(sha256)
    return f"{sha256[:2]}/{sha256[2:]}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
