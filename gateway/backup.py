"""
A backup of one moment: the database, the streams with their durables, the files, the secret; and
the way back into an empty place.

For the few seconds in which that moment is taken every durable is paused and what is in hand is
finished, so that the books and the bus agree: nothing is missing, and nothing is sent twice.
Residents notice nothing: what comes in meanwhile is acknowledged, and handled a moment later.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import structlog

from bus import levers as bus_levers
from bus import snapshots
from bus.connect import Bus
from bus.errors import Refused
from channels.kept_secret import PASSWORDS, TOKENS
from gateway.engine_postgres import postgres_program
from gateway.operator.levers import durables
from gateway.settings import Settings
from store.ledger import equation
from store.migrate import pending, version

log = structlog.stdlib.get_logger()

FORMAT = 1
_BESIDE = ("secret", TOKENS, PASSWORDS)
"""What else of the data directory is kept: small, and not to be made anew."""
_STILL = 20.0  # seconds until nothing is in hand
_LONGEST_PAUSE = timedelta(minutes=10)
"""Should we die: then everything goes on by itself."""


class BackupTrouble(Exception):
    """A sentence for whoever ran the command."""


async def backup(settings: Settings, bus: Bus, dsn: str, target: Path) -> dict[str, Any]:
    """Write a backup into `target`, an empty or new folder; its manifest."""
    await asyncio.to_thread(_make_folder, target)
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        async with (
            _still(conn, bus) as paused,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            snapshot = await conn.fetchval("SELECT pg_export_snapshot()")
            books = await equation(conn)
            counts = await _counts(conn)
            at = datetime.now(UTC)
            dumping = asyncio.create_task(
                _run(
                    "pg_dump", dsn, "--format=custom", f"--snapshot={snapshot}",
                    "--no-owner", "--no-privileges", "--file", str(target / "database.dump"),
                )
            )  # fmt: skip
            try:
                streams = await _save_streams(bus, target)
            finally:
                await dumping
        schema = await version(conn)
    finally:
        await conn.close()
    files = await asyncio.to_thread(_copy_files, settings, target)
    manifest = {
        "format": FORMAT,
        "at": at.isoformat(),
        "schema": schema,
        "ledger": asdict(books),
        "counts": counts,
        "streams": streams,
        "paused": paused,
        "files": files,
        "sha256": await asyncio.to_thread(_digests, target),
    }
    await asyncio.to_thread(_write_manifest, target, manifest)
    return manifest


async def restore(settings: Settings, bus: Bus, dsn: str, source: Path) -> dict[str, Any]:
    """
    Bring a backup into an empty place. Raises `BackupTrouble`, before anything is changed, where
    the backup is not whole or the place is not empty.
    """
    manifest = await asyncio.to_thread(read_manifest, source)
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        if await conn.fetchval("SELECT to_regclass('cases') IS NOT NULL"):
            raise BackupTrouble("The database is not empty. Restore into an empty one.")
        for stream in await snapshots.streams(bus.client):
            if stream.state.messages:
                raise BackupTrouble(f"The stream {stream.config.name} is not empty.")
        await asyncio.to_thread(_bring_files, settings, source)
        await _run(
            "pg_restore", dsn, "--no-owner", "--no-privileges", "--exit-on-error",
            "--single-transaction", str(source / "database.dump"),
        )  # fmt: skip
        for name, about in manifest["streams"].items():
            await _restore_stream(bus, name, source / "streams" / name, about)
        for durable, heard in (await durables(bus)).items():
            if durable in manifest["paused"]:  # for the backup itself, and not by an operator
                await bus_levers.resume(bus.client, heard, durable)
        books, counts = await equation(conn), await _counts(conn)
        if asdict(books) != manifest["ledger"] or counts != manifest["counts"]:
            raise BackupTrouble("What was brought in is not what was saved; use another backup.")
        if missing := await pending(conn):
            log.info("migrations are missing", count=len(missing))
    finally:
        await conn.close()
    return manifest


def _make_folder(target: Path) -> None:
    if target.exists() and any(target.iterdir()):
        raise BackupTrouble(f"{target} is not empty. Name a new folder for each backup.")
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)
    (target / "streams").mkdir()


def _write_manifest(target: Path, manifest: dict[str, Any]) -> None:
    draft = target / "manifest.json.new"
    draft.write_text(json.dumps(manifest, indent=2) + "\n")
    draft.replace(target / "manifest.json")  # only a whole backup has one


def read_manifest(source: Path) -> dict[str, Any]:
    """A backup's manifest, once every part was found as it was written."""
    try:
        manifest: dict[str, Any] = json.loads((source / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BackupTrouble(f"{source} holds no whole backup: no manifest.json.") from error
    if manifest.get("format") != FORMAT:
        raise BackupTrouble(f"{source} was written by another version of Buckstop.")
    for name, digest in manifest["sha256"].items():
        try:
            there = _digest(source / name)
        except OSError as error:
            raise BackupTrouble(f"{source / name} is missing.") from error
        if there != digest:
            raise BackupTrouble(f"{source / name} is not as it was written.")
    return manifest


@asynccontextmanager
async def _still(conn: asyncpg.Connection, bus: Bus) -> AsyncIterator[list[str]]:
    """Nobody handles anything meanwhile, and what was in hand is done; the durables paused."""
    known = await durables(bus)
    mine: list[str] = []
    try:
        for name, stream in known.items():
            if not (await bus.js.consumer_info(stream, name)).paused:
                until = datetime.now(UTC) + _LONGEST_PAUSE
                await bus_levers.pause(bus.client, stream, name, until)
                mine.append(name)
        await _until_nothing_moves(conn, bus, known)
        yield mine
    finally:
        for name in mine:
            await bus_levers.resume(bus.client, known[name], name)


async def _until_nothing_moves(conn: asyncpg.Connection, bus: Bus, known: dict[str, str]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + _STILL
    while True:
        infos = [await bus.js.consumer_info(stream, name) for name, stream in known.items()]
        untold = await conn.fetchval(
            "SELECT count(*) FROM outbox WHERE told_at IS NULL AND problem IS NULL"
        )
        if not untold and not any(info.num_ack_pending for info in infos):
            return
        if loop.time() >= until:
            # A message that is tried again and again: it is in the stream, and is tried again
            # after a restore as well.
            log.warning("backup of a moment in which something was in hand")
            return
        await asyncio.sleep(0.2)


async def _save_streams(bus: Bus, target: Path) -> dict[str, Any]:
    return {
        stream.config.name: await snapshots.save(
            bus.client, stream.config.name, target / "streams" / stream.config.name
        )
        for stream in await snapshots.streams(bus.client)
        if stream.config.name
    }


async def _restore_stream(bus: Bus, name: str, source: Path, about: dict[str, Any]) -> None:
    for stream in await snapshots.streams(bus.client):
        if stream.config.name == name:
            await bus.js.delete_stream(name)  # empty: it was looked at before
    await snapshots.restore(bus.client, name, source, about)


_COUNTED = ("cases", "complaints", "events", "notes", "files", "deliveries", "dead_letters")


async def _counts(conn: asyncpg.Connection) -> dict[str, int]:
    return {
        table: await conn.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own words
        for table in _COUNTED
    }


def _copy_files(settings: Settings, target: Path) -> dict[str, int]:
    """The folder of files: they are only ever added, so that later than the database is right."""
    count = size = 0
    ours = settings.data / "files"
    if not settings.files.url and ours.is_dir():
        for path in sorted(ours.rglob("*")):
            if path.is_file():
                place = target / "files" / path.relative_to(ours)
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    shutil.copy2(path, place)
                except FileNotFoundError:
                    continue  # the journal was written out: its files have their names by now
                count, size = count + 1, size + place.stat().st_size
    for name in _BESIDE:
        source = settings.data / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.is_file():
            shutil.copy2(source, target / name)
    return {"count": count, "bytes": size}


def _bring_files(settings: Settings, source: Path) -> None:
    settings.data.mkdir(parents=True, exist_ok=True)
    if (source / "files").is_dir() and not settings.files.url:
        shutil.copytree(source / "files", settings.data / "files", dirs_exist_ok=True)
    for name in _BESIDE:
        if (source / name).is_dir():
            shutil.copytree(source / name, settings.data / name, dirs_exist_ok=True)
        elif (source / name).is_file():
            shutil.copy2(source / name, settings.data / name)


def _digests(target: Path) -> dict[str, str]:
    return {
        str(path.relative_to(target)): _digest(path)
        for path in sorted(target.rglob("*"))
        if path.is_file() and path.name != "manifest.json.new"
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _run(program: str, dsn: str, *words: str) -> None:
    # By the environment: a command line can be read by everybody on a machine.
    process = await asyncio.create_subprocess_exec(
        postgres_program(program),
        *words,
        *(("--dbname", _database(dsn)) if program == "pg_restore" else ()),
        env=os.environ | _libpq(dsn),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise BackupTrouble(f"{program}: {said.decode(errors='replace').strip()}")


def _database(dsn: str) -> str:
    return urlsplit(dsn).path.lstrip("/") or "postgres"


def _libpq(dsn: str) -> dict[str, str]:
    """A PostgreSQL address as libpq's variables."""
    parts = urlsplit(dsn)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    known = {
        "PGHOST": query.get("host") or parts.hostname or "",
        "PGPORT": str(parts.port or query.get("port") or ""),
        "PGUSER": unquote(parts.username or "") or query.get("user", ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": _database(dsn),
        "PGSSLMODE": query.get("sslmode", ""),
    }
    return {name: value for name, value in known.items() if value}


def unfit(error: Exception) -> str:
    """What went wrong, as a sentence."""
    if isinstance(error, Refused):
        return f"The bus refused: {error}."
    return str(error)
