"""
The embedded engines: a real nats-server and a real PostgreSQL in the data directory.

They start and stop with the process, and one that dies alone is started again. Nothing else in
the code knows whether the engines are ours: what comes out is a URL and a DSN.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.engine_nats import Nats
from gateway.engine_postgres import Postgres
from gateway.engine_process import EngineTrouble

log = structlog.stdlib.get_logger()

StartAgain = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Engines:
    """Where the engines answer."""

    nats_url: str
    dsn: str
    again: Mapping[str, StartAgain] = field(default_factory=dict)
    """
    Ends one of our own engines, by force where it hangs, and returns once it runs again: `nats`,
    `postgresql`. Raises `EngineTrouble`.
    """


class _Kept:
    """An engine of ours that is started again when it died alone, or when somebody asks for it."""

    def __init__(self, engine: Nats | Postgres) -> None:
        self._engine = engine
        self._name = type(engine).__name__
        self._one = asyncio.Lock()

    async def look(self) -> None:
        async with self._one:
            if self._engine.alive():
                return
            log.error("engine died or is stuck, starting it again", engine=self._name)
            try:
                await self._engine.start()
                log.warning("engine runs again", engine=self._name)
            except Exception as error:
                # Whatever it is: a watch that ends here would never start it again.
                log.error("engine does not start", engine=self._name, error=repr(error))

    async def start_again(self) -> None:
        async with self._one:
            log.warning("engine is started again", engine=self._name)
            try:
                await self._engine.start_again()
            except (OSError, TimeoutError) as error:
                raise EngineTrouble(f"{self._name}: {type(error).__name__}.") from error


@asynccontextmanager
async def open_engines(
    data: Path, *, nats_url: str, dsn: str, patience: float = 1.0
) -> AsyncIterator[Engines]:
    """
    Engines for a process: those that the settings name, or our own in `data`.

    Ours are looked at every `patience` seconds and started again when they died alone.
    """
    nats = None if nats_url else Nats(data / "nats")
    postgres = None if dsn else Postgres(data / "pg")
    ours = [engine for engine in (nats, postgres) if engine is not None]
    kept = {name: _Kept(one) for name, one in (("nats", nats), ("postgresql", postgres)) if one}
    watch: asyncio.Task[None] | None = None
    try:
        await asyncio.gather(*(engine.start() for engine in ours))
        watch = asyncio.create_task(_watch([*kept.values()], patience), name="engines")
        yield Engines(
            nats_url=nats.url if nats else nats_url,
            dsn=postgres.dsn if postgres else dsn,
            again={name: one.start_again for name, one in kept.items()},
        )
    finally:
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        for engine in ours:
            await engine.stop()


async def _watch(engines: Sequence[_Kept], patience: float) -> None:
    while True:
        await asyncio.sleep(patience)
        for engine in engines:
            await engine.look()
