"""`buckstop run`: engines, house, services; ready within seconds, stopped by a signal."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import structlog

from gateway.companion import Companion, tell_ready
from gateway.compose import SERVICES, city_of, drainable, open_house
from gateway.demo.stage import Stage
from gateway.draining import PAGES
from gateway.engine_process import EngineTrouble
from gateway.engines import Engines, open_engines
from gateway.house import House
from gateway.instance import Address, hold
from gateway.keeper import Keeper
from gateway.settings import Settings
from gateway.traces import recorded
from store.migrate import MigrationFailed, migrate, pending

log = structlog.stdlib.get_logger()

Welcome = Callable[[House, float], Awaitable[None]]
"""Called once all services run, with the seconds that it took."""


async def run(
    settings: Settings,
    names: Collection[str],
    welcome: Welcome,
    *,
    beside: Sequence[Companion] = (),
    config: Path | None = None,
    stage: Stage | None = None,
) -> None:
    """
    Run the named services until SIGTERM or Ctrl-C; what is in hand is finished first. Those that
    `beside` has run in processes of their own. `config` is the file of the settings, for processes
    that an operator has started later.

    Raises `EngineTrouble` with a sentence, or `BadCity`, when it cannot start. A service that
    crashes ends the process with its error.
    """
    try:
        await _run(settings, names, welcome, beside, config, stage)
    finally:
        for companion in beside:
            await companion.end()


async def _run(
    settings: Settings,
    names: Collection[str],
    welcome: Welcome,
    beside: Sequence[Companion],
    config: Path | None,
    stage: Stage | None,
) -> None:
    began = time.monotonic()
    if "web" in names:
        # A thread that comes back from a disk waits this long for the event loop to let go; the
        # default of 5 ms would be the longest part of an answer. Elsewhere nobody waits for it.
        sys.setswitchinterval(0.0005)
    look_rarely()
    if "web" in names:
        _look_at_port(settings)
    city_of(settings)  # its faults are told before anything starts
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with engines_of(settings) as engines:
        if not (settings.bus.url and settings.store.dsn):
            # Else the settings tell every command; and several instances may share the directory.
            Address(
                nats_url=engines.nats_url,
                dsn=engines.dsn,
                base_url=settings.base_url,
                pid=os.getpid(),
            ).write(settings.data)
        await _make_schema_agree(settings, engines)
        async with AsyncExitStack() as open_things:
            await open_things.enter_async_context(recorded(settings.traces, settings.data))
            if stage is not None:
                await open_things.enter_async_context(stage.open())
            starting = []
            for companion in beside:
                task = asyncio.create_task(companion.start(engines), name=companion.service.name)
                open_things.push_async_callback(_end, companion, task)
                starting.append(task)
            apart = {name for companion in beside for name in companion.names}
            ours = [name for name in names if name not in apart]
            keeper = Keeper(
                engines,
                beside,
                lambda names: Companion(settings, names, config),
                known=[name for name in SERVICES if name != PAGES],
                here=ours,
            )
            house = await open_things.enter_async_context(
                open_house(settings, engines, ours, stage, keeper)
            )
            services = [*drainable(house, [SERVICES[name](house) for name in ours]), keeper.service]
            for companion, task in zip(beside, starting, strict=True):
                await task
                services.append(companion.service)
            async with asyncio.TaskGroup() as tasks:
                for service in services:
                    tasks.create_task(service.run(stop), name=service.name)
                what_is_there_stays()
                if not stop.is_set():
                    await welcome(house, time.monotonic() - began)
                    tell_ready()
                await stop.wait()
                log.info("stopping: what is in hand is finished first")


def look_rarely() -> None:
    """Have the garbage collector look seldom: it was a tenth of the work."""
    gc.set_threshold(20_000, 20, 50)


def what_is_there_stays() -> None:
    """What is open by now is looked through no more; that would hold the loop for 0.1 s."""
    gc.collect()
    gc.freeze()


async def _end(companion: Companion, starting: "asyncio.Task[None]") -> None:
    await companion.end()
    with contextlib.suppress(EngineTrouble):  # whatever ends us was told already
        await starting
    await companion.end()  # it had not been there yet the first time


def companions(settings: Settings, names: Collection[str], config: Path | None) -> list[Companion]:
    """The processes that run beside this one, when the pages are to run here."""
    if "web" not in names or settings.processes == 1:
        return []
    # Whoever writes and sends mails has half of the work, and waits for none of the others.
    groups = [[name for name in names if name not in ("web", "notifier")], ["notifier"]]
    if settings.processes == 2:
        groups = [[name for name in names if name != "web"]]
    return [Companion(settings, group, config) for group in groups if set(group) & set(names)]


@asynccontextmanager
async def engines_of(settings: Settings) -> AsyncIterator[Engines]:
    """
    The engines of a directory that is ours alone while they are open, or those that the settings
    name.
    """
    if settings.bus.url and settings.store.dsn:
        settings.data.mkdir(parents=True, exist_ok=True)
        yield Engines(settings.bus.url, settings.store.dsn)
        return
    with hold(settings.data):
        async with open_engines(
            settings.data.absolute(), nats_url=settings.bus.url, dsn=settings.store.dsn
        ) as engines:
            yield engines


@asynccontextmanager
async def reach(settings: Settings) -> AsyncIterator[Engines]:
    """
    The engines of a running instance; where none runs, ours, for as long as a command takes.
    """
    try:
        async with engines_of(settings) as engines:
            await _make_schema_agree(settings, engines)
            yield engines
            return
    except EngineTrouble:
        address = Address.read(settings.data)
        if address is None or not _alive(address.pid):
            raise
    yield Engines(address.nats_url, address.dsn)


def running(settings: Settings) -> Engines | None:
    """The engines of a running instance, or those that the settings name; None if none runs."""
    if settings.bus.url and settings.store.dsn:
        return Engines(settings.bus.url, settings.store.dsn)
    address = Address.read(settings.data)
    if address is None or not _alive(address.pid):
        return None
    return Engines(address.nats_url, address.dsn)


async def _make_schema_agree(settings: Settings, engines: Engines) -> None:
    try:
        connection = await asyncpg.connect(engines.dsn, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise EngineTrouble(
            f"PostgreSQL does not answer ({type(error).__name__}). Is store.dsn right?"
        ) from error
    try:
        missing = await pending(connection)
    finally:
        await connection.close()
    if not missing:
        return
    if settings.store.dsn:
        # Several workers starting at once must not each change the city's database.
        raise EngineTrouble(
            f"The database lacks {len(missing)} migrations. Run `buckstop migrate` once, first."
        )
    try:
        await migrate(engines.dsn)
    except MigrationFailed as error:
        raise EngineTrouble(str(error)) from error


def _look_at_port(settings: Settings) -> None:
    """Say at once that the port is taken, and not after the engines have started."""
    host, port = settings.http.host, settings.http.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EngineTrouble(
                f"Port {port} on {host} cannot be used ({error.strerror}). "
                "Stop what uses it, or choose another with --port."
            ) from error


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
