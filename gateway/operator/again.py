"""Having services and engines started again, with who wanted it; also while the books are away."""

import asyncio
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg
import structlog

from bus.errors import Refused
from gateway.engine_process import EngineTrouble
from gateway.keeper import NATS, POSTGRESQL, How, Keeper
from gateway.operator.figures import SILENT_AFTER, Figures
from store import levers as books
from store.pool import AWAY

log = structlog.stdlib.get_logger()

LONGEST = 40.0
"""Seconds after which nobody waits any more; what was begun goes on."""
_NOTED_WITHIN = 15.0  # seconds in which a database that was just started takes what is written down

_GOING_ON: set[asyncio.Task[None]] = set()

State = Literal["works", "silent", "unknown"]


@dataclass(frozen=True)
class Startable:
    """What an operator may want to be started again, and how it stands."""

    names: tuple[str, ...]
    how: How
    state: State
    where: str = ""
    """Where an engine that is not ours answers, as `host:port`."""

    @property
    def what(self) -> str:
        return self.names[0]

    @property
    def possible(self) -> bool:
        """Whether it can be done from here. One that works elsewhere needs nobody here."""
        return self.how == "again" or (self.how == "begin" and self.state != "works")


def startable(keeper: Keeper, figures: Figures, *, nats_url: str, dsn: str) -> list[Startable]:
    """All of it, as the figures show it."""
    where = {NATS: _where(nats_url), POSTGRESQL: _where(dsn)}
    return [
        Startable(
            one.names,
            one.how,
            max((_state(name, figures) for name in one.names), key=_WORST.index),
            where[one.names[0]] if one.how == "elsewhere" else "",
        )
        for one in keeper.kept()
    ]


_WORST: tuple[State, ...] = ("works", "unknown", "silent")


def _state(name: str, figures: Figures) -> State:
    if name == NATS:
        return "silent" if figures.bus is None else "works"
    if name == POSTGRESQL:
        return "silent" if figures.store is None else "works"
    if figures.bus is None:
        return "unknown"
    silences = [silent for sign, silent in figures.bus.processes if name in sign.services]
    return "works" if min(silences, default=SILENT_AFTER) < SILENT_AFTER else "silent"


def _where(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
        return f"{host}:{parts.port}" if parts.port else host
    except ValueError:
        return ""


async def start_again(
    keeper: Keeper, pool: asyncpg.Pool, what: str, *, by: str, why: str, books_answer: bool
) -> None:
    """
    Have it started again, and return once it runs. Written down first; where the books do not
    answer, or are themselves what is started again, as soon as they do.

    Raises `Refused` for what is not ours, `EngineTrouble` when it does not start in time.
    """
    log.warning("lever pulled", act="start_again", what=what, by=by)
    number = None
    if books_answer and what != POSTGRESQL:
        async with pool.acquire() as conn:
            number = await books.note(conn, "start_again", what=what, by=by, why=why)
    outcome = "done"
    # Whoever gives up the waiting breaks nothing off.
    work = asyncio.create_task(keeper.start_again(what), name=f"{what} is started again")
    _GOING_ON.add(work)
    work.add_done_callback(_GOING_ON.discard)
    try:
        await asyncio.wait({work}, timeout=LONGEST)
        if not work.done():
            raise EngineTrouble(f"it does not run after {LONGEST:.0f} seconds")
        work.result()
    except (Refused, EngineTrouble) as error:
        outcome = f"failed: {error}"
        raise
    finally:
        await _note(pool, number, what, by=by, why=why, outcome=outcome)


async def _note(
    pool: asyncpg.Pool, number: int | None, what: str, *, by: str, why: str, outcome: str
) -> None:
    until = asyncio.get_running_loop().time() + _NOTED_WITHIN
    while True:
        try:
            async with asyncio.timeout_at(until), pool.acquire() as conn:
                if number is not None:
                    return await books.end(conn, number, outcome)
                await books.note(conn, "start_again", what=what, by=by, why=why, outcome=outcome)
                return None
        except (*AWAY, asyncpg.PostgresError) as error:
            if asyncio.get_running_loop().time() >= until:
                log.warning("an act is not written down", what=what, error=type(error).__name__)
                return None
            await asyncio.sleep(0.3)
