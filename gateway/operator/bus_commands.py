"""`buckstop bus`: the operators' figures in a terminal."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
from cyclopts import App, Parameter
from rich.table import Table

from bus.connect import Bus, open_bus
from bus.errors import Unavailable
from channels.registry import CHANNELS
from gateway.command import HERE, Format, Where, err, go, out
from gateway.compose import city_folder
from gateway.engine_process import EngineTrouble
from gateway.engines import Engines
from gateway.operator.canary import CanaryFigures, CanaryWatch
from gateway.operator.expiring import doors
from gateway.operator.figures import SILENT_AFTER, Collector, Connect, DurableFigures, Figures
from gateway.operator.finding import Level, level_of_age
from gateway.operator.lever_commands import drain, pause, resume, retell, undrain
from gateway.operator.ops_page import as_json
from gateway.operator.reread_command import reread
from gateway.operator.trace_command import trace
from gateway.operator.verdict import WELL, judge
from gateway.operator.words import finding_todo, finding_words, rate, seconds, size, span, whole
from gateway.run import running
from gateway.settings import Settings
from router.rules import load_city
from store.pool import prepare

bus = App(name="bus", help="How the streams, the services and the books stand.")

bus.command(trace)
bus.command(pause)
bus.command(resume)
bus.command(drain)
bus.command(undrain)
bus.command(reread)
bus.command(retell)

_COLOURS = {Level.WELL: "green", Level.LOOK: "yellow", Level.WRONG: "red"}


@bus.command
def status(*, where: Where = HERE, format: Format = "text") -> int:
    """
    Print how everything stands, what is wrong and what to do: the figures of the page /ops.

    Exit 1 when somebody waits because of it, 0 else.
    """
    settings = where.settings()

    async def look() -> int:
        async with _collector(settings) as collector:
            # Rates want two looks; who does not answer is called silent after some seconds.
            await collector.look_at_certificates()
            figures = await collector.latest()
            for _ in range(int(SILENT_AFTER) + 1):
                await asyncio.sleep(1.0)
                figures = await collector.latest()
                if not _waits_for_a_word(figures):
                    break
        if format == "json":
            sys.stdout.write(as_json(figures) + "\n")
        else:
            _print(figures)
        return 1 if judge(figures).level is Level.WRONG else 0

    return go(look())


@bus.command
def tail(
    *,
    where: Where = HERE,
    every: Annotated[float, Parameter(help="Seconds between two looks, at least 1")] = 2.0,
    count: Annotated[int, Parameter(help="End after so many lines; 0: go on until Ctrl-C")] = 0,
) -> int:
    """Print a line of the same figures every two seconds, and whenever something goes wrong."""
    settings = where.settings()

    async def follow() -> int:
        said: tuple[str, ...] = ()
        printed = 0
        async with _collector(settings) as collector:
            while True:
                figures = await collector.latest()
                sentences = tuple(finding_words(one) for one in judge(figures).findings)
                causes = tuple(one.cause for one in judge(figures).findings)
                if causes != said:
                    for sentence in sentences or (WELL,):
                        out.print(sentence, style=_COLOURS[judge(figures).level], markup=False)
                    said = causes
                out.print(_line(figures), markup=False)
                sys.stdout.flush()
                printed += 1
                if printed == count:
                    return 0
                await asyncio.sleep(max(1.0, every))

    return go(follow())


def _waits_for_a_word(figures: Figures) -> bool:
    """Whether somebody has not answered, and not for long enough to be called silent."""
    if figures.bus is None:
        return False
    silences = [one.silent for one in figures.bus.durables]
    silences += [one.silent for one in figures.bus.channels]
    return any(1.0 < silent < SILENT_AFTER for silent in silences)


def _line(figures: Figures) -> str:
    parts = [f"{figures.at.astimezone():%H:%M:%S}"]
    if figures.bus is None:
        parts.append("bus away")
    else:
        for stream in figures.bus.streams:
            parts.append(f"{stream.look.name.lower()} {rate(stream.rate)}/s")
        waiting = sum(one.look.waiting for one in figures.bus.durables)
        in_hand = sum(one.look.in_hand for one in figures.bus.durables)
        oldest = max((one.age for one in figures.bus.durables if one.age is not None), default=None)
        parts.append(f"waiting {waiting}  in hand {in_hand}  oldest {seconds(oldest)}")
    if figures.store is None:
        parts.append("PostgreSQL away")
    else:
        store = figures.store
        parts.append(
            f"outbox {store.outbox.count}  notices {store.notices.count}  dead {store.dead.count}"
        )
    return "  ".join(parts)


def _print(figures: Figures) -> None:
    verdict = judge(figures)
    if not verdict.findings:
        out.print(WELL, style="bold green")
    for one in verdict.findings:
        out.print(finding_words(one), style=f"bold {_COLOURS[one.level]}", markup=False)
        out.print(f"  {finding_todo(one)}", markup=False)
    if figures.bus is not None:
        table = Table(box=None, pad_edge=False)
        for title in ("", "waiting", "in hand", "in/s", "out/s", "oldest", "again", "state"):
            words = title in ("", "state")
            table.add_column(title, justify="left" if words else "right", no_wrap=not title)
        for stream in figures.bus.streams:
            look = stream.look
            table.add_row(
                look.name, "", "", rate(stream.rate), "", "", "",
                size(look.bytes), style="bold",
            )  # fmt: skip
            for durable in figures.bus.durables:
                if durable.look.stream == look.name:
                    table.add_row(*_cells(durable))
        out.print(table)
        for channel in figures.bus.channels:
            if channel.looks and channel.unheard:
                out.print(f"channel {channel.name}: nobody looks after it", style="red")
            for place in channel.places:
                looked = (
                    f"looked at {seconds((figures.at - place.looked_at).total_seconds())} ago"
                    if place.looked_at
                    else "not looked at yet"
                )
                out.print(
                    f"{place.place}: {place.trouble or looked}, {place.waiting} waiting",
                    markup=False,
                )
        for sign, silent in figures.bus.processes:
            if silent < SILENT_AFTER:
                state = sign.resting or "works"
                out.print(f"{sign.process}: {', '.join(sign.services)}, {state}", markup=False)
    if figures.store is not None:
        store = figures.store
        out.print(f"today  {store.today}")
        out.print(f"ever   {store.ever}")
        out.print(
            f"outbox {store.outbox.count}, notices to send {store.notices.count}, "
            f"dead letters {store.dead.count}"
        )
    if figures.canary is not None:
        out.print(_canary(figures, figures.canary), markup=False)
    if figures.disk is not None:
        out.print(f"disk   {size(figures.disk.free)} of {size(figures.disk.total)} free")
    for ending in figures.endings:
        days = ending.days(figures.at)
        left = ending.trouble or (f"{days} days left" if days is not None else "")
        out.print(f"{ending.kind} {ending.what}: {left}", markup=False)


def _canary(figures: Figures, canary: CanaryFigures) -> str:
    if canary.last is None or canary.last.ended_at is None:
        return f"canary {canary.state.value}: none has come through yet"
    ago = seconds((figures.at - canary.last.ended_at).total_seconds())
    took = span(canary.took or 0.0)
    return f"canary {canary.state.value}: the last came through {ago} ago in {took}"


def _cells(durable: DurableFigures) -> list[str]:
    look = durable.look
    level = Level.WRONG if durable.unheard else level_of_age(durable.age)
    state = "nobody hears it" if durable.unheard else "behind" if level else "well"
    if not durable.unheard and (durable.drained or look.paused):
        level, state = Level.LOOK, "drained" if durable.drained else "paused"
    if durable.turned_off:
        level, state = Level.WELL, "turned off"
    return [
        f"  {look.name}",
        whole(look.waiting),
        whole(look.in_hand),
        rate(durable.rate_in),
        rate(durable.rate_out),
        seconds(durable.age),
        whole(look.redelivered),
        f"[{_COLOURS[level]}]{state}[/]",
    ]


@asynccontextmanager
async def _collector(settings: Settings) -> AsyncIterator[Collector]:
    engines = running(settings)
    if engines is None:
        raise EngineTrouble(
            f"Buckstop is not running on {settings.data}. Start it with `buckstop run`."
        )
    city = await asyncio.to_thread(load_city, city_folder(settings))
    async with _opened(settings, engines) as opened:
        collector = Collector(
            opened,
            _connect(engines),
            data=settings.data,
            zone=ZoneInfo(city.timezone),
            channels=_turned_on(settings),
            canary=CanaryWatch(settings.canary, opened.js if opened else None),
            doors=doors(settings),
        )
        async with collector.opened():
            yield collector


@asynccontextmanager
async def _opened(settings: Settings, engines: Engines) -> AsyncIterator[Bus | None]:
    at = settings.bus.model_copy(update={"url": engines.nats_url})
    async with AsyncExitStack() as open_things:
        try:
            opened = await open_things.enter_async_context(
                open_bus(at, name="buckstop bus", patience=3)
            )
        except Unavailable as error:
            err.print(f"The bus does not answer: {error}.", markup=False)
            opened = None
        yield opened


def _turned_on(settings: Settings) -> dict[str, bool]:
    """The ways in that the settings turn on, and whether each goes and looks."""
    found = {name: False for name in CHANNELS if name not in ("email", "sms")}
    if settings.channels.email:
        found["email"] = True
    if settings.channels.sms.account_sid:
        found["sms"] = True
    return found


def _connect(engines: Engines) -> Connect:
    # No pool: it would not open while PostgreSQL is away, and that is when one looks.
    @asynccontextmanager
    async def connect() -> AsyncIterator[asyncpg.Connection]:
        conn = await asyncpg.connect(engines.dsn, timeout=3)
        try:
            await prepare(conn)
            yield conn
        finally:
            await conn.close()

    return connect
