"""
Draining a process: it finishes what is in hand and takes nothing new, until it is undrained or
replaced. The pages that it serves stay, and it goes on answering who asks how it is.
"""

import asyncio

import asyncpg
import structlog
from nats.aio.client import Client

from bus.levers import heard
from bus.service import Service
from bus.signs import Resting
from bus.waiting import first
from gateway.pausing import LOOK_AGAIN
from store import levers
from store.pool import AWAY

log = structlog.stdlib.get_logger()

PAGES = "web"
"""The service that goes on in a process that is drained."""


class Drain:
    """Whether this process takes anything new, and whether it has finished what it had."""

    def __init__(self, process: str, run: str) -> None:
        """`process` as it is called in signs of life; `run` tells its next life from this one."""
        self._what = levers.process_named(process, run)
        self._shut = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._working: set[str] = set()

    @property
    def resting(self) -> Resting:
        """For the signs of life."""
        if not self._shut.is_set():
            return ""
        return "finishing" if self._working else "drained"

    def around(self, service: Service) -> Service:
        """The service, which ends while this process is drained and begins again after it."""
        if service.name == PAGES:
            return service

        async def run(stop: asyncio.Event) -> None:
            await self._run(service, stop)

        return Service(service.name, run, service.durables)

    async def _run(self, service: Service, stop: asyncio.Event) -> None:
        while not stop.is_set():
            ours = asyncio.Event()
            self._working.add(service.name)
            try:
                async with asyncio.TaskGroup() as tasks:
                    asked = tasks.create_task(self._ask_to_stop(ours, stop))
                    await service.run(ours)
                    asked.cancel()
            finally:
                self._working.discard(service.name)
            if not ours.is_set():
                return  # it had nothing to do
            if self._shut.is_set():
                log.warning("drained", service=service.name)
                await first(None, stop, self._open)

    async def _ask_to_stop(self, ours: asyncio.Event, stop: asyncio.Event) -> None:
        await first(None, stop, self._shut)
        ours.set()

    async def watch(self, client: Client, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
        """Follow what operators want of this process until asked to stop."""
        async with heard(client) as pulled:
            while not stop.is_set():
                pulled.clear()
                self._set(await self._wanted(pool))
                await first(LOOK_AGAIN, stop, pulled)

    def _set(self, drained: bool) -> None:
        if drained and not self._shut.is_set():
            self._open.clear()
            self._shut.set()
        elif not drained and self._shut.is_set():
            log.warning("undrained")
            self._shut.clear()
            self._open.set()

    async def _wanted(self, pool: asyncpg.Pool) -> bool:
        """While PostgreSQL is away, what was known stands."""
        try:
            async with pool.acquire(timeout=5.0) as conn:
                return self._what in {one.what for one in await levers.drained(conn)}
        except (*AWAY, asyncpg.PostgresError) as error:
            log.info("not asked who is drained", error=type(error).__name__)
            return self._shut.is_set()
