"""The page's levers from a terminal: `buckstop bus pause`, `resume`, `drain`, `retell`."""

import asyncio
import getpass
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
from cyclopts import Parameter

from bus.connect import Bus, open_bus
from bus.errors import Refused, Unavailable
from bus.signs import Sign
from channels.registry import CHANNELS
from gateway import retell as retell_
from gateway.command import HERE, Where, go, out, trouble
from gateway.operator import levers
from gateway.run import reach
from gateway.settings import Settings
from store import levers as books
from store.levers import CHANNEL
from store.pool import open_pool, prepare

_SPAN = re.compile(r"(\d{1,4})\s*([mhd])", re.IGNORECASE)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

What = Annotated[
    str, Parameter(help="A durable, as `buckstop bus status` names it, or a channel: email, sms")
]
By = Annotated[str, Parameter(help="Who does it; default: the login at this machine")]


def pause(
    what: What,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for", help="How long, as 30m, 4h, 2d")],
    why: Annotated[str, Parameter(help="Kept beside the act")],
    by: By = "",
    where: Where = HERE,
) -> int:
    """Pause a durable or a channel; it goes on by itself when the time is over."""
    length = _SPAN.fullmatch(for_.strip())
    if length is None:
        return trouble(f"--for {for_}: write it as 30m, 4h or 2d.")
    span = timedelta(**{_UNITS[length[2].lower()]: int(length[1])})
    until = datetime.now(UTC) + span

    async def act(conn: asyncpg.Connection, bus: Bus) -> str:
        await levers.pause(
            conn, bus, _named(what), until=until, by=by or getpass.getuser(), why=why
        )
        return f"{what} is paused until {until.astimezone():%Y-%m-%d %H:%M:%S %Z}"

    return go(_with(where.settings(), act))


def resume(
    what: What,
    /,
    *,
    why: Annotated[str, Parameter(help="Kept beside the act")] = "",
    by: By = "",
    where: Where = HERE,
) -> int:
    """Let a durable or a channel go on at once."""

    async def act(conn: asyncpg.Connection, bus: Bus) -> str:
        await levers.resume(conn, bus, _named(what), by=by or getpass.getuser(), why=why)
        return f"{what} goes on"

    return go(_with(where.settings(), act))


Process = Annotated[
    str, Parameter(help="As `buckstop bus status` names it, or a service that it alone runs")
]


def drain(
    process: Process,
    /,
    *,
    why: Annotated[str, Parameter(help="Kept beside the act")],
    wait: Annotated[float, Parameter(help="Seconds to wait until it has finished")] = 30.0,
    by: By = "",
    where: Where = HERE,
) -> int:
    """Have a process finish what is in hand and take nothing new. Exit 1 when it takes longer."""
    done = True

    async def act(conn: asyncpg.Connection, bus: Bus) -> str:
        nonlocal done
        one = await levers.drain(conn, bus, process, by=by or getpass.getuser(), why=why)
        done = await _finished(bus, one, wait)
        if done:
            return f"{one.process} ({', '.join(one.services)}) is drained: end it when you like"
        return f"{one.process} ({', '.join(one.services)}) finishes what it has in hand"

    return go(_with(where.settings(), act)) or (0 if done else 1)


def undrain(
    process: Process,
    /,
    *,
    why: Annotated[str, Parameter(help="Kept beside the act")] = "",
    by: By = "",
    where: Where = HERE,
) -> int:
    """Have a process that was drained work again."""

    async def act(conn: asyncpg.Connection, bus: Bus) -> str:
        one = await levers.undrain(conn, bus, process, by=by or getpass.getuser(), why=why)
        return f"{one.process} ({', '.join(one.services)}) goes on"

    return go(_with(where.settings(), act))


def retell(
    *,
    dry_run: Annotated[
        bool, Parameter(help="Tell nothing; say what is lacking", negative=())
    ] = False,
    why: Annotated[str, Parameter(help="Kept beside the act")] = "",
    by: By = "",
    where: Where = HERE,
) -> int:
    """
    Tell again from the database what lost streams had: cases to route, facts, notices to send.

    What a stream still holds, or the books show as done, is not told again: without a loss it
    finds nothing.
    """
    settings = where.settings()

    async def work() -> int:
        async with reach(settings) as engines:
            at = settings.bus.model_copy(update={"url": engines.nats_url})
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_bus(at, name="buckstop retell") as bus, open_pool(stored) as pool:
                lack = await retell_.find(pool, bus)
                if not dry_run:
                    async with pool.acquire() as conn:
                        who = by or getpass.getuser()
                        act = await books.note(conn, "retell", by=who, why=why)
                    await retell_.tell(pool, lack)
                    async with pool.acquire() as conn:
                        await books.end(conn, act, str(lack))
        out.print(str(lack), markup=False)
        if lack.any:
            out.print("Nothing was told." if dry_run else "The service store tells it now.")
        return 0

    return go(work())


async def _finished(bus: Bus, one: Sign, wait: float) -> bool:
    until = asyncio.get_running_loop().time() + wait
    while True:
        now = [each for each in await levers.processes(bus) if each.process == one.process]
        if not now or all(each.resting == "drained" for each in now):
            return True
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(0.3)


def _named(what: str) -> str:
    if what in CHANNELS and what not in ("email", "sms"):
        raise Refused(f"the channel {what} is only called upon: it cannot be paused")
    return CHANNEL + what if what in CHANNELS else what


async def _with(
    settings: Settings, act: Callable[[asyncpg.Connection, Bus], Awaitable[str]]
) -> int:
    try:
        async with reach(settings) as engines:
            at = settings.bus.model_copy(update={"url": engines.nats_url})
            async with open_bus(at, name="levers") as bus:
                conn = await asyncpg.connect(engines.dsn, timeout=10)
                try:
                    await prepare(conn)
                    said = await act(conn, bus)
                finally:
                    await conn.close()
    except (Refused, Unavailable) as error:
        return trouble(f"Not done: {error}.", 1)
    out.print(said, markup=False)
    return 0
