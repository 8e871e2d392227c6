"""
The counted cases as columns of numbers, for figures that are made of very many of them.

Grouping a million rows in each of the ways that a report tells of takes PostgreSQL several times
as long as handing them over. So each has its numbers packed in one value, these are handed over
once, in large pieces, all as they stand at one moment, and counted here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

_LONG = 30.0  # seconds
_PATIENCE = 10.0  # seconds
_WIDE = timedelta(days=400)
_PIECES = 16  # of a wide span; of a million cases, five megabytes each
_AT_ONCE = 3  # connections; the others of the pool are for whoever does something else meanwhile

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NEVER = 2**63 - 1
"""Later than everything: what has not happened."""

NAMED = ("channel", "department", "problem_type", "district", "assignee")

# In the order of their bits.
_FLAGS = (
    *("imported", "timed", "type_foretold", "type_corrected"),
    *("department_foretold", "department_corrected", "reopened", "duplicate"),
)

Moments = tuple[datetime, datetime]
"""From when until before when."""


# As the migration that made `packed` has it.
_PACKED = np.dtype(
    [
        *((name, ">i8") for name in ("opened_at", "closed_at", "first_action_at")),
        *((name, ">f4") for name in ("lat", "lon")),
        ("flags", ">i2"),
        *((name, ">i8") for name in (*NAMED, "place")),
    ]
)
_COLUMNS: tuple[str, ...] = _PACKED.names or ()


@dataclass(frozen=True, eq=False)
class Cases:
    """
    Cases, column by column; the same place in each column is the same case.

    `opened_at`, `closed_at` and `first_action_at` are microseconds, as `micros` counts them; `lat`
    and `lon` degrees, not a number where nobody knows; `channel`, `department`, `problem_type`,
    `district` and `assignee` say where in `names` their name stands; `place` is a number by which
    cases of one place are known, 0 where there is none.
    """

    columns: Mapping[str, NDArray[Any]]
    names: tuple[str | None, ...]
    which: NDArray[np.intp] | None = None
    """The places of those that are meant; None: all of them."""

    def __len__(self) -> int:
        return len(self.columns["flags"]) if self.which is None else len(self.which)

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self.columns[name]
        return column if self.which is None else column[self.which]

    def flag(self, name: str) -> NDArray[np.bool_]:
        """Whether it is `imported`, `timed`, `reopened`, …"""
        found: NDArray[np.bool_] = (self["flags"] & (1 << _FLAGS.index(name))) != 0
        return found

    def only(self, meant: NDArray[np.bool_]) -> "Cases":
        """Some of them."""
        places = np.flatnonzero(meant)
        return replace(self, which=places if self.which is None else self.which[places])


def micros(moment: datetime) -> int:
    """A moment as the columns hold it, in microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """The other way round."""
    return _EPOCH + timedelta(microseconds=micros)


READ = """
    SELECT string_agg(c.packed, '')
    FROM counted_cases c
    WHERE ({wanted}) AND {piece}
"""
READ_NAMES = "SELECT mark, name FROM counted_names"
REACH = "SELECT min(opened_at) AS first, max(opened_at) AS last FROM counted_cases"
SHARE = "SELECT pg_export_snapshot()"
JOIN_IN = "SET TRANSACTION SNAPSHOT '{}'"
# Compiling such a question takes longer than answering it, and they are asked side by side anyway.
QUICK = "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0"


async def read(pool: asyncpg.Pool, spans: Sequence[Moments]) -> Cases:
    """
    The cases that were opened, closed or first acted upon in one of the spans, and all that are
    open; all as they are at one moment.
    """
    wide = any(end - begin >= _WIDE for begin, end in spans)
    async with _moment(pool, most=_AT_ONCE if wide else 1) as lent:
        rows = await lent[0].fetch(READ_NAMES)
        names = sorted([(0, None), *((row["mark"], row["name"]) for row in rows)])
        marks = np.array([mark for mark, _name in names], dtype=np.int64)
        read: list[dict[str, NDArray[Any]]] = [_unpacked(b"", marks)]

        async def ask_piece(conn: asyncpg.Connection, piece: Moments | None) -> None:
            query, values = _question(spans, piece)
            packed = await conn.fetchval(query, *values, timeout=_LONG)
            read.append(await asyncio.to_thread(_unpacked, packed or b"", marks))

        # Each connection takes the next piece when it is done with one.
        waiting = iter(await _pieces(lent[0]) if wide else [None])

        async def ask(conn: asyncpg.Connection) -> None:
            for piece in waiting:
                await ask_piece(conn, piece)

        try:
            async with asyncio.TaskGroup() as tasks:
                for conn in lent:
                    tasks.create_task(ask(conn), name="read counted cases")
        except ExceptionGroup as errors:
            # Whoever asked knows what to do where the server is away, of one error.
            raise errors.exceptions[0] from None
    columns = await asyncio.to_thread(
        lambda: {name: np.concatenate([one.pop(name) for one in read]) for name in _COLUMNS}
    )
    return Cases(columns, tuple(name for _mark, name in names))


@asynccontextmanager
async def _moment(pool: asyncpg.Pool, most: int) -> AsyncIterator[list[asyncpg.Connection]]:
    """Connections that see the database as it is now, until they are given back."""
    async with AsyncExitStack() as stack:
        shared = ""
        lent: list[asyncpg.Connection] = []
        # Whoever holds one never waits for another: two who do would wait for each other.
        while not lent or (len(lent) < most and _has_one(pool)):
            conn = await stack.enter_async_context(pool.acquire(timeout=_PATIENCE))
            await stack.enter_async_context(
                conn.transaction(isolation="repeatable_read", readonly=True)
            )
            if lent:
                await conn.execute(JOIN_IN.format(shared))
            else:
                shared = await conn.fetchval(SHARE)
            await conn.execute(QUICK)
            lent.append(conn)
        yield lent


def _has_one(pool: asyncpg.Pool) -> bool:
    return bool(pool.get_idle_size()) or pool.get_size() < pool.get_max_size()


async def _pieces(conn: asyncpg.Connection) -> list[Moments | None]:
    """By when they were opened: what is read of wide spans is read in pieces, side by side."""
    row = await conn.fetchrow(REACH)
    if row["first"] is None:
        return [None]
    step = (row["last"] - row["first"]) / _PIECES
    bounds = [row["first"] + step * place for place in range(_PIECES)]
    return list(zip(bounds, [*bounds[1:], row["last"] + timedelta(days=1)], strict=True))


def _question(spans: Sequence[Moments], piece: Moments | None) -> tuple[str, list[datetime]]:
    values: list[datetime] = []

    def within(column: str, moments: Moments) -> str:
        values.extend(moments)
        return f"c.{column} >= ${len(values) - 1} AND c.{column} < ${len(values)}"

    wanted = ["c.closed_at IS NULL"]
    for span in _joined(spans):
        wanted += [within(name, span) for name in ("opened_at", "closed_at", "first_action_at")]
    whole = "true" if piece is None else within("opened_at", piece)
    return READ.format(wanted=" OR ".join(wanted), piece=whole), values


def _joined(spans: Sequence[Moments]) -> list[Moments]:
    """The same time as fewer spans, where one begins before another has ended. Pure."""
    joined: list[Moments] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def _unpacked(packed: bytes, marks: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    rows = np.frombuffer(packed, _PACKED)
    columns = {name: rows[name].astype(_PACKED[name].newbyteorder("=")) for name in _COLUMNS}
    for name in NAMED:
        places = np.searchsorted(marks, columns[name]).astype(np.int32)
        if not np.array_equal(marks[places.clip(max=len(marks) - 1)], columns[name]):
            raise RuntimeError(
                "a counted case has a name that counted_names lacks: `buckstop report recount`"
            )
        columns[name] = places
    return columns
