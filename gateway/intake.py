"""
`buckstop intake email FOLDER`: a folder of mails goes the way that mail from a mailbox goes.

Every file is read, told and waited for until the ledger says how it ended. Taken in twice, it is
the same: a mail's id comes from what it says.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import asyncpg

from bus.connect import open_bus
from bus.errors import Unavailable
from bus.files import open_files
from channels.base import Surroundings
from channels.email_imap import intake_for, judges_of, reader_for
from channels.email_intake import EmailIntake, Understood, id_of
from channels.mail_reader import MailReader
from gateway.compose import SERVICES, city_folder, open_house, surroundings
from gateway.run import reach, running
from gateway.settings import Settings
from router.rules import load_city
from store.ledger import Equation, equation
from store.pool import open_pool

T = TypeVar("T")

SIDE_BY_SIDE = 8
"""Mails that are being read or wait for it."""
TOGETHER = 50
_LONGEST_WAIT = 5.0  # seconds between two tries


@dataclass
class Taken:
    """What became of a folder of mails."""

    mails: int = 0
    same: int = 0
    """Files that hold a mail which another file holds too."""
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many ended how: (`filed`, ``), (`ignored`, why), (`quarantined`, why)."""
    without_end: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    slowest_file: str = ""
    peak_memory: int = 0
    """Bytes that one reading process took at most."""
    books: Equation | None = None

    def count(self, state: str) -> int:
        return sum(number for (ended, _), number in self.endings.items() if ended == state)

    @property
    def closes(self) -> bool:
        return self.without_end == 0 and self.books is not None and self.books.closes


async def take_folder(settings: Settings, folder: Path, *, patience: float) -> Taken:
    """
    Take in every file below `folder`; returns once the ledger has all of them, or after
    `patience` seconds in which none came to an end.
    """
    paths = await asyncio.to_thread(
        lambda: sorted(one for one in folder.rglob("*") if one.is_file())
    )
    async with _open(settings) as (around, pool), reader_for(settings.channels.email) as reader:
        intake = intake_for(around, settings.channels.email, reader)
        judges = judges_of(settings.channels.email)
        return await take(paths, around, intake, reader, pool, judges=judges, patience=patience)


async def take(
    paths: Iterable[Path],
    around: Surroundings,
    intake: EmailIntake,
    reader: MailReader,
    pool: asyncpg.Pool,
    *,
    judges: Collection[str] = (),
    patience: float,
) -> Taken:
    taken, ids = Taken(), dict[UUID, None]()
    began = time.monotonic()
    waiting: asyncio.Queue[Understood | None] = asyncio.Queue(TOGETHER)

    async def tell_all() -> None:
        ended = 0
        while ended < SIDE_BY_SIDE:
            some = [await waiting.get()]
            while not waiting.empty():
                some.append(waiting.get_nowait())
            ended += some.count(None)
            understood = [one for one in some if one is not None]
            await _patiently(lambda: intake.tell(understood), patience)  # noqa: B023  awaited here
            for one in understood:
                taken.same += id_of(one) in ids
                ids[id_of(one)] = None

    async def read_some(files: Iterator[Path]) -> None:
        for path in files:
            raw = await asyncio.to_thread(path.read_bytes)
            start = time.monotonic()
            understood = await _patiently(
                lambda: intake.understand(raw, judges=judges),  # noqa: B023  awaited here
                patience,
            )
            took = time.monotonic() - start
            if took > taken.slowest:
                taken.slowest, taken.slowest_file = took, str(path)
            taken.mails += 1
            await waiting.put(understood)
        await waiting.put(None)

    files = iter(paths)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell_all(), name="mails told")
        for number in range(SIDE_BY_SIDE):
            tasks.create_task(read_some(files), name=f"mails read {number}")
    taken.peak_memory = reader.peak_memory
    await _wait_for_ends(around, list(ids), taken, patience)
    taken.seconds = time.monotonic() - began
    async with pool.acquire() as connection:
        taken.books = await equation(connection)
    return taken


async def _wait_for_ends(
    around: Surroundings, ids: list[UUID], taken: Taken, patience: float
) -> None:
    loop = asyncio.get_running_loop()
    before, until = -1, loop.time() + patience
    while True:
        ends = await _patiently(lambda: around.ledger(ids), patience)
        ended = {id_: end for id_, end in ends.items() if end.state != "received"}
        if len(ended) != before:
            before, until = len(ended), loop.time() + patience
        if len(ended) == len(ids) or loop.time() > until:
            break
        await asyncio.sleep(0.1)
    taken.without_end = len(ids) - len(ended)
    for end in ended.values():
        taken.endings[end.state, end.reason or ""] += 1


async def _patiently(ask: Callable[[], Awaitable[T]], patience: float) -> T:
    """The answer, once bus, files and database are there to give it."""
    loop = asyncio.get_running_loop()
    until, wait = loop.time() + patience, 0.2
    while True:
        try:
            return await ask()
        except Unavailable:
            if loop.time() > until:
                raise
            await asyncio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[tuple[Surroundings, asyncpg.Pool]]:
    """What channels stand on: of the Buckstop that runs, or of one that files for us meanwhile."""
    engines = running(settings)
    if engines is not None:
        at = settings.bus.model_copy(update={"url": engines.nats_url})
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        files = await asyncio.to_thread(open_files, settings.files, settings.data)
        async with open_bus(at, name="buckstop intake") as bus, open_pool(stored) as pool:
            city = await asyncio.to_thread(load_city, city_folder(settings))
            yield surroundings(settings, bus=bus, pool=pool, files=files, city=city), pool
            await files.close()
        return
    needed = ("router", "store")
    async with reach(settings) as ours, open_house(settings, ours, needed) as house:
        around = surroundings(
            settings, bus=house.bus, pool=house.pool, files=house.files, city=house.city
        )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for name in needed:
                tasks.create_task(SERVICES[name](house).run(stop), name=name)
            try:
                yield around, house.pool
            finally:
                stop.set()
