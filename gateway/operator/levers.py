"""
The operators' levers: pause a durable or a channel until a time, resume it, drain a process, run
the audit, make again what was lost. The page and `buckstop bus` use the same; every act is written
down first.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from bus import levers as bus_levers
from bus.connect import Bus
from bus.errors import Refused, Unavailable
from bus.signs import Sign, Signs
from bus.topology import STREAMS
from gateway import retell
from gateway.audit import audit
from gateway.draining import PAGES
from store import counting, levers
from store.levers import CHANNEL

log = structlog.stdlib.get_logger()

LONGEST = timedelta(days=7)
_AUDIT_WAITS = 15.0  # seconds until nothing is in flight
_ANSWERS = 0.6  # seconds in which processes answer


async def durables(bus: Bus) -> dict[str, str]:
    """Every durable, and the stream that it hears."""
    found = {}
    for stream in STREAMS:
        for one in await bus.js.consumers_info(stream.name):
            if one.config.durable_name:
                found[one.name] = stream.name
    return found


async def pause(
    conn: asyncpg.Connection, bus: Bus, what: str, *, until: datetime, by: str, why: str
) -> None:
    """
    Pause a durable, or with `channel:NAME` a channel that goes and looks, until then.

    Raises `Refused` for what is not there, a time that is over, or more than seven days.
    """
    now = datetime.now(UTC)
    if not now < until <= now + LONGEST:
        raise Refused("the time must lie within the next seven days")
    await _pull(conn, bus, "pause", what, by=by, why=why, until=until)


async def resume(conn: asyncpg.Connection, bus: Bus, what: str, *, by: str, why: str = "") -> None:
    """Let it go on, at once. Raises `Refused` for what is not there."""
    await _pull(conn, bus, "resume", what, by=by, why=why, until=None)


async def _pull(
    conn: asyncpg.Connection,
    bus: Bus,
    act: str,
    what: str,
    *,
    by: str,
    why: str,
    until: datetime | None,
) -> None:
    known = {} if what.startswith(CHANNEL) else await durables(bus)
    if not what.startswith(CHANNEL) and what not in known:
        raise Refused(f"there is no durable {what}")
    number = await levers.note(conn, act, what=what, by=by, why=why, until=until)
    try:
        if what in known and until is not None:
            await bus_levers.pause(bus.client, known[what], what, until)
        elif what in known:
            await bus_levers.resume(bus.client, known[what], what)
    except (Refused, Unavailable) as error:
        await levers.end(conn, number, f"failed: {error}")
        raise
    await levers.end(conn, number, "done")
    await bus_levers.tell(bus.client)
    log.warning("lever pulled", act=act, what=what, by=by)


class NotOne(Refused):
    """No process is called so, or several are."""


async def processes(bus: Bus) -> list[Sign]:
    """The processes that answer now."""
    async with Signs(bus.client) as signs:
        await signs.ask(lambda answers: False, _ANSWERS)
        return sorted((one for one, _ in signs.processes), key=lambda one: one.process)


async def drain(conn: asyncpg.Connection, bus: Bus, named: str, *, by: str, why: str) -> Sign:
    """
    Have a process finish what is in hand and take nothing new. `named` as signs of life call it,
    or by a service that nobody else runs. Raises `Refused`; returns before it has finished.
    """
    one = _one(await processes(bus), named)
    if set(one.services) <= {PAGES}:
        raise Refused(f"{one.process} only serves pages, and takes nothing from the bus")
    await _have(conn, bus, "drain", one, by=by, why=why)
    return one


async def undrain(
    conn: asyncpg.Connection, bus: Bus, named: str, *, by: str, why: str = ""
) -> Sign:
    """Have it work again. Raises `Refused`."""
    one = _one(await processes(bus), named)
    await _have(conn, bus, "undrain", one, by=by, why=why)
    return one


async def _have(
    conn: asyncpg.Connection, bus: Bus, act: str, one: Sign, *, by: str, why: str
) -> None:
    what = levers.process_named(one.process, one.run)
    await levers.note(conn, act, what=what, by=by, why=why, outcome="done")
    await bus_levers.tell(bus.client)
    log.warning("lever pulled", act=act, what=what, by=by)


def _one(signs: Sequence[Sign], named: str) -> Sign:
    found = [one for one in signs if one.process == named]
    found = found or [one for one in signs if named in one.services]
    if len(found) != 1:
        known = ", ".join(f"{one.process} ({' '.join(one.services)})" for one in signs)
        how = "several processes are" if found else "no process is"
        raise NotOne(f"{how} called {named}; there are: {known or 'none'}")
    return found[0]


async def run_audit(
    pool: asyncpg.Pool, bus: Bus, *, act: int, patience: float = _AUDIT_WAITS
) -> None:
    """Run the audit that was noted as `act`, and write down what it found."""

    async def work() -> str:
        found = await audit(pool, bus, patience=patience)
        brought = f"; brought in {found.brought_in}" if found.brought_in else ""
        return f"{found.equation}{brought}"

    await _run(pool, act, work)


async def run_recount(pool: asyncpg.Pool, *, act: int) -> None:
    """Count every case anew, from which reports and dashboards read."""

    async def work() -> str:
        async with pool.acquire() as conn:
            found = await counting.recount(conn)
        return f"counted otherwise before {found.changed}"

    await _run(pool, act, work)


async def run_retell(pool: asyncpg.Pool, bus: Bus, *, act: int) -> None:
    """Tell again from the books what no stream holds any more and nobody has done."""

    async def work() -> str:
        lack = await retell.find(pool, bus)
        await retell.tell(pool, lack)
        return str(lack)

    await _run(pool, act, work)


async def _run(pool: asyncpg.Pool, act: int, work: Callable[[], Awaitable[str]]) -> None:
    try:
        outcome = await work()
    except Exception as error:  # it stands in the list; the log has all of it
        outcome = f"failed: {type(error).__name__}"
        log.warning("lever failed", number=act, error=type(error).__name__)
    async with pool.acquire() as conn:
        await levers.end(conn, act, outcome)
