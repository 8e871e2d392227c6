"""Another system's requests become cases, in large sets."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

from bus.identity import mint_reference
from gateway.compose import city_folder
from gateway.history.column_map import ColumnMap, Folded
from gateway.history.reader import Reading, read_past
from gateway.reports.names import OTHERS, names_of
from gateway.run import reach
from gateway.settings import Settings, secret_of
from router.rules import City, load_city
from store.history import PastCase, Taken, take_in
from store.ledger import Equation, equation
from store.pool import open_pool

TOGETHER = 5_000
"""Requests that are one transaction."""


@dataclass
class Imported:
    """What became of an export."""

    city: str
    reading: Reading = field(default_factory=Reading)
    taken: Taken = field(default_factory=Taken)
    foreign: dict[Folded, list[tuple[str, int]]] = field(default_factory=dict)
    """Names that our city does not have, and how often; they are kept as they are."""
    goes_on_from: datetime | None = None
    """From an endpoint: it had been broken off, and what is newer than this was there already."""
    seconds: float = 0.0
    books: Equation | None = None


async def import_past(
    settings: Settings,
    path: Path,
    how: ColumnMap,
    *,
    dry: bool = False,
    read_so_far: Callable[[int], None] = lambda rows: None,
) -> Imported:
    """
    Take in an export, whether Buckstop runs or not. Killed at any time and begun again, it goes on
    where it was. With `dry` nothing is written, and the rest is as it would be.

    Raises `gateway.history.reader.NotReadable`.
    """
    city = load_city(city_folder(settings))
    imported = Imported(city.name)
    with closing(read_past(path, how, imported.reading)) as past:
        some = _some(past)  # a file that cannot be read is no reason to start anything
        async with taking(settings, city, how, imported, dry=dry) as take:
            while some:
                await take(some)
                read_so_far(imported.reading.rows)
                some = _some(past)
    return imported


Take = Callable[[list[PastCase]], Awaitable[None]]


@asynccontextmanager
async def taking(
    settings: Settings, city: City, how: ColumnMap, imported: Imported, *, dry: bool
) -> AsyncIterator[Take]:
    """
    Gives what takes in a set of requests, each set all or nothing; what becomes of them is added up
    in `imported`, which is whole when the context ends.
    """
    began = time.monotonic()
    secret = secret_of(settings)
    now = datetime.now(UTC)

    def mint(case: UUID, attempt: int) -> str:
        return mint_reference(secret, case, attempt)

    async with reach(settings) as engines:
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        async with open_pool(stored) as pool:

            async def take(some: list[PastCase]) -> None:
                async with pool.acquire() as connection:
                    imported.taken += await take_in(
                        connection, how.name, some, mint=mint, now=now, write=not dry
                    )

            yield take
            async with pool.acquire() as connection:
                imported.books = await equation(connection)
    imported.foreign = foreign_to(city, imported.reading)
    imported.seconds = time.monotonic() - began


def _some(past: Iterator[PastCase]) -> list[PastCase]:
    return list(islice(past, TOGETHER))


def foreign_to(city: City, reading: Reading) -> dict[Folded, list[tuple[str, int]]]:
    """The departments, problem types and districts that the city does not have, most first."""
    names = names_of(city)
    ours: dict[Folded, Collection[str]] = {
        "department": city.departments_by_name,
        "problem_type": {*city.types_by_name, *names.type_aliases},
        "district": {*names.districts, OTHERS},
    }
    return {
        kind: [
            (name, count) for name, count in reading.names[kind].most_common() if name not in known
        ]
        for kind, known in ours.items()
    }
