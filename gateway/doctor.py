"""`buckstop doctor`: tries every setting and says in words what is wrong."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from bus.connect import open_bus
from bus.files import open_files
from channels.email_settings import MailboxSettings
from gateway.compose import city_folder
from gateway.doctor_geocoder import BadGeocoder, look_at_geocoder
from gateway.doctor_mailboxes import BadMailbox, look_at_mailbox
from gateway.doctor_texts import BadAccount, look_at_texts
from gateway.doctor_traces import BadTraces, look_at_traces
from gateway.engine_process import EngineTrouble
from gateway.mail_server import BadMailServer, look_at_mail_server, password_of
from gateway.run import reach
from gateway.settings import Settings
from router.rules import BadCity, load_city
from store import alarms
from store.migrate import pending

_LATELY = timedelta(days=7)
_LEAST_DISK = 2 * 1024**3
_PATIENCE = 15.0  # seconds for one look


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    words: str


class _Wrong(Exception):
    """What a look found, as a sentence that says what to do."""


async def examine(settings: Settings) -> list[Finding]:
    """Every look, in the order in which a person would mend things."""
    findings = [
        await _look("python", _python),
        await _look("data directory", lambda: _directory(settings)),
        await _look("city", lambda: _city(settings)),
        await _look("geocoder", lambda: _geocoder(settings)),
        await _look("files", lambda: _files(settings)),
    ]
    try:
        async with reach(settings) as engines:
            findings.append(await _look("postgres", lambda: _postgres(engines.dsn)))
            findings.append(await _look("rules", lambda: _rules(settings, engines.dsn)))
            findings.append(await _look("bus", lambda: _bus(settings, engines.nats_url)))
    except EngineTrouble as error:
        findings.append(Finding("engines", False, str(error)))
    findings.append(await _look("mail", lambda: _mail(settings)))
    findings += [await _mailbox(one, settings.data) for one in settings.channels.email]
    findings.append(await _look("texts", lambda: look_at_texts(settings)))
    findings.append(await _look("traces", lambda: look_at_traces(settings)))
    return findings


async def _mailbox(settings: MailboxSettings, data: Path) -> Finding:
    return await _look(f"mailbox {settings.name}", lambda: look_at_mailbox(settings, data))


async def _look(what: str, look: Callable[[], Awaitable[str]]) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            return Finding(what, True, await look())
    except (_Wrong, BadAccount, BadGeocoder, BadMailServer, BadMailbox, BadTraces) as error:
        return Finding(what, False, str(error))
    except TimeoutError:
        return Finding(what, False, f"no answer within {_PATIENCE:.0f} seconds.")
    except Exception as error:
        # Whatever a driver raises is a finding: this is the command that must not crash.
        return Finding(what, False, f"{type(error).__name__}: {error}")


async def _python() -> str:
    return f"{sys.version.split()[0]} on {sys.platform}"


async def _directory(settings: Settings) -> str:
    data = settings.data.absolute()
    await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
    if not os.access(data, os.W_OK):
        raise _Wrong(f"{data} cannot be written. Choose another with --data.")
    free = shutil.disk_usage(data).free
    if free < _LEAST_DISK:
        raise _Wrong(f"only {free // 1024**2} MB are free under {data}; make room.")
    return f"{data}, {free // 1024**3} GB free"


async def _city(settings: Settings) -> str:
    try:
        city = await asyncio.to_thread(load_city, city_folder(settings))
    except BadCity as error:
        raise _Wrong(
            f"{len(error.faults)} faults, and `buckstop city check` names them: {error.faults[0]}"
        ) from error
    return f"{city.name}, {city.state}" + (" (SAMPLE)" if city.sample else "")


async def _geocoder(settings: Settings) -> str:
    try:
        city = load_city(city_folder(settings))
    except BadCity as error:
        raise _Wrong("the city has to be mended first.") from error
    return await look_at_geocoder(settings, city)


async def _files(settings: Settings) -> str:
    files = await asyncio.to_thread(open_files, settings.files, settings.data)
    kept = await files.keep(b"buckstop doctor", media_type="text/plain", name="doctor.txt")
    if await files.read(kept.sha256) != b"buckstop doctor":
        raise _Wrong("a file came back changed; look at the disk or the bucket.")
    return settings.files.url or str((settings.data / "files").absolute())


async def _postgres(dsn: str) -> str:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        version: str = await connection.fetchval("SHOW server_version")
        missing = await pending(connection)
    finally:
        await connection.close()
    if missing:
        raise _Wrong(f"{len(missing)} migrations are missing; run `buckstop migrate`.")
    return f"PostgreSQL {version}, schema up to date"


async def _rules(settings: Settings, dsn: str) -> str:
    city = await asyncio.to_thread(load_city, city_folder(settings))
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        if await pending(connection):
            return f"{len(city.rules.rule)} rules; migrations are missing to see how they fare"
        raised = await alarms.since(connection, datetime.now(UTC) - _LATELY)
    finally:
        await connection.close()
    # What other rules could not do is mended.
    ours = [alarm for alarm in raised if alarm.rules == city.version]
    if ours:
        one = ours[0]
        raise _Wrong(
            f"{len(ours)} could not do what they say. Lately “{one.rule}”, {one.times} times: "
            f"{one.reason}. Mend rules.toml; /staff/rules lists all."
        )
    return f"{len(city.rules.rule)} rules, all of them could run"


async def _bus(settings: Settings, url: str) -> str:
    at = settings.bus.model_copy(update={"url": url})
    async with open_bus(at, name="buckstop doctor", patience=8) as bus:
        account = await bus.js.account_info()
        server = bus.client.connected_server_version
        version = f"{server.major}.{server.minor}.{server.patch}"
        return f"NATS {version}, {account.streams} streams"


async def _mail(settings: Settings) -> str:
    smtp = settings.notifier.smtp
    if not smtp.host:
        return "no mail server is set: mail stays in the local mailbox page"
    kept = password_of(settings)
    password = await asyncio.to_thread(kept.read) if kept else None
    return await look_at_mail_server(smtp, password)
