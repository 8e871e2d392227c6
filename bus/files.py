"""
Attachments and untouched originals, content-addressed: the name of a file is its SHA-256.

Kept means on disk before `keep` returns, so that the bus never speaks of a file that a power cut
could take: a large file is fsynced itself, small ones share an fsync (bus/journal.py).
"""

import asyncio
import hashlib
import os
from pathlib import Path

import obstore
import structlog
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store
from pydantic import BaseModel, ConfigDict

from bus.contracts import FileRef
from bus.errors import Unavailable
from bus.journal import Journal, left_over

log = structlog.stdlib.get_logger()

_JOURNAL = "journal"
_AT_ONCE = 256  # files in one append
_SMALL = 256 * 1024  # bytes; what is larger is worth an fsync of its own
# Where many keep files at a time they come again and again: the next batch gathers for a moment.
_MANY = 6
_GATHER = 0.015  # seconds
_LATER = 0.1  # seconds until many files are written that the journal holds


class Settings(BaseModel):
    """Where files lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    """`s3://bucket/prefix` for several hosts; empty: a folder `files` in the data directory."""


class Files:
    """The city's files; one instance a process."""

    def __init__(self, store: LocalStore | S3Store, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self._journal = Journal(folder / _JOURNAL) if folder is not None else None
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._unwritten: dict[str, bytes] = {}
        self._scribe: asyncio.Task[None] | None = None
        self._filer: asyncio.Task[None] | None = None
        self._large = asyncio.Semaphore(4)

    async def keep(self, data: bytes, *, media_type: str, name: str) -> FileRef:
        """
        Keep bytes; returns once they are on disk. Keeping them again changes nothing. Raises
        `Unavailable` when they cannot be written now: the disk is full, the bucket is away.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            if self._folder and self._journal and len(data) <= _SMALL:
                await self._note(self._folder, self._journal, sha256, data)
            else:
                await self._put(sha256, data)
        except (OSError, BaseError) as error:
            raise Unavailable(f"files: {type(error).__name__}") from error
        return FileRef(sha256=sha256, media_type=media_type, name=name, size=len(data))

    async def keep_path(self, path: Path, *, media_type: str, name: str) -> FileRef:
        """
        Keep a finished temporary file, however large; the caller deletes its own copy. Raises
        `Unavailable` as `keep` does.
        """

        def look() -> tuple[str, int]:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size

        sha256, size = await asyncio.to_thread(look)
        try:
            await self._put(sha256, path)
        except (OSError, BaseError) as error:
            raise Unavailable(f"files: {type(error).__name__}") from error
        return FileRef(sha256=sha256, media_type=media_type, name=name, size=size)

    async def read(self, sha256: str) -> bytes:
        """The file's bytes; `KeyError` when there is none of that address."""
        if sha256 in self._unwritten:
            return self._unwritten[sha256]
        # Another process may have it in its journal and be about to write it.
        for patience in (0.05, 0.15, 0.3, None):
            try:
                answer = await obstore.get_async(self._store, _place(sha256))
            except (NotFoundError, FileNotFoundError) as error:
                if patience is None:
                    raise KeyError(sha256) from error
                await asyncio.sleep(patience)
            else:
                return bytes(await answer.bytes_async())
        raise KeyError(sha256)

    async def close(self) -> None:
        """Everything kept is on disk under its own name."""
        for task in (self._scribe, self._filer):
            if task is not None:
                await task
        if self._journal is not None and not self._unwritten:
            await asyncio.to_thread(self._journal.close)

    async def _put(self, sha256: str, data: bytes | Path) -> None:
        def put() -> None:
            obstore.put(self._store, _place(sha256), data)
            if self._folder is not None:
                path = self._folder / _place(sha256)
                _sync(path)
                _sync(path.parent)

        async with self._large:
            await asyncio.to_thread(put)

    async def _note(self, folder: Path, journal: Journal, sha256: str, data: bytes) -> None:
        noted = asyncio.get_running_loop().create_future()
        self._waiting.append((sha256, data, noted))
        if self._scribe is None:
            note_all = self._note_all(folder, journal)
            self._scribe = asyncio.create_task(note_all, name="files journal")
        await asyncio.shield(noted)

    async def _note_all(self, folder: Path, journal: Journal) -> None:
        try:
            while self._waiting:
                if journal.is_full:
                    if self._filer is not None:
                        await self._filer
                    if not self._unwritten:
                        await asyncio.to_thread(journal.close)
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                files = [(sha256, data) for sha256, data, _ in batch]
                try:
                    await asyncio.to_thread(journal.append, files)
                except Exception as error:
                    for _, _, noted in batch:
                        noted.set_exception(error)
                        noted.exception()  # seen here even if the keeper was cancelled
                else:
                    self._unwritten.update(files)
                    for _, _, noted in batch:
                        noted.set_result(None)
                    if self._filer is None:
                        self._filer = asyncio.create_task(self._file_all(folder), name="files")
                if len(batch) >= _MANY:
                    await asyncio.sleep(_GATHER)
        finally:
            self._scribe = None

    async def _file_all(self, folder: Path) -> None:
        # Off the way of whoever waits for an answer: the journal holds these already.
        def write(files: list[tuple[str, bytes]]) -> None:
            for sha256, data in files:
                _write(folder, sha256, data)

        try:
            while self._unwritten:
                if len(self._unwritten) >= _MANY:
                    await asyncio.sleep(_LATER)
                files = list(self._unwritten.items())[:_AT_ONCE]
                await asyncio.to_thread(write, files)
                for sha256, _ in files:
                    del self._unwritten[sha256]
        except Exception as error:
            # They stay readable here and safe in the journal; the next file kept tries again.
            log.error("files not written yet", count=len(self._unwritten), error=str(error))
        finally:
            self._filer = None


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


def _write(folder: Path, sha256: str, data: bytes) -> None:
    # What obstore does, without handing each over to a thread of its own: a third of the work.
    path = folder / _place(sha256)
    part = path.with_name(f"{path.name}#{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)
