"""
What can be started again without a shell: the services beside the pages, and our own engines.

Whoever serves the pages keeps it. A service that nobody here keeps can be begun here: it shares its
durables with whoever else runs it, and so takes nothing from them but work.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bus.errors import Refused
from bus.service import Service
from gateway.companion import Companion
from gateway.engines import Engines

NATS, POSTGRESQL = "nats", "postgresql"

How = Literal["again", "begin", "pages", "elsewhere"]
"""
It is ours, and can be started again; it could be run beside the pages; it lives and dies with the
pages; it is an engine that somebody else runs.
"""


@dataclass(frozen=True)
class Kept:
    """Services of one process, or an engine."""

    names: tuple[str, ...]
    how: How


class Keeper:
    """Starts again what hangs or has ended; `service` looks after what was begun here."""

    def __init__(
        self,
        engines: Engines,
        beside: Sequence[Companion],
        begin: Callable[[Sequence[str]], Companion],
        *,
        known: Collection[str],
        here: Collection[str] = (),
    ) -> None:
        """
        `beside` run already. `begin` makes a companion for services of the `known` that nobody here
        has; those of this very process are named by `here`.
        """
        self._engines = engines
        self._companions = list(beside)
        self._begin = begin
        self._known = tuple(known)
        self._here = frozenset(here)
        self._begun: asyncio.Queue[Companion] = asyncio.Queue()
        self._one = asyncio.Lock()
        self.service = Service("keeper", self._look_after)

    def kept(self) -> tuple[Kept, ...]:
        """Every service, with those that share its process, and both engines."""
        return (*self._services(), *self._both_engines())

    def _services(self) -> Iterator[Kept]:
        beside = {name: one.names for one in self._companions for name in one.names}
        told = set[str]()
        for name in self._known:
            names = beside.get(name, (name,))
            if told.isdisjoint(names):
                told.update(names)
                yield Kept(
                    names,
                    "again" if name in beside else "pages" if name in self._here else "begin",
                )

    def _both_engines(self) -> Iterator[Kept]:
        for name in (NATS, POSTGRESQL):
            yield Kept((name,), "again" if name in self._engines.again else "elsewhere")

    async def start_again(self, what: str) -> None:
        """
        Returns once it runs. What hangs is ended by force: what it had in hand comes again.

        Raises `Refused` for what is not ours, `EngineTrouble` when it does not start.
        """
        if again := self._engines.again.get(what):
            return await again()
        if ours := self._companion_of(what):
            return await ours.start_again()
        if what not in self._known or what in self._here:
            raise Refused(f"{what} is not ours to start")
        async with self._one:  # two people may want it at once
            if self._companion_of(what) is None:
                await self._run_here(what)

    def _companion_of(self, service: str) -> Companion | None:
        return next((one for one in self._companions if service in one.names), None)

    async def _run_here(self, service: str) -> None:
        companion = self._begin([service])
        await companion.start(self._engines)
        self._companions.append(companion)
        self._begun.put_nowait(companion)

    async def _look_after(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(stop.wait(), name="keeper waits")
            while not stop.is_set():
                begun = asyncio.create_task(self._begun.get(), name="what is begun here")
                await asyncio.wait([waiting, begun], return_when=asyncio.FIRST_COMPLETED)
                if begun.done():
                    service = begun.result().service
                    tasks.create_task(service.run(stop), name=service.name)
                else:
                    begun.cancel()
