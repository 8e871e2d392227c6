"""`buckstop bus trace`: one complaint, hop by hop, in a terminal; the hops of the page."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from cyclopts import Parameter
from rich.table import Table

from bus.connect import Bus, open_bus
from bus.errors import Unavailable
from gateway.command import HERE, Format, Where, err, go, out, trouble
from gateway.engines import Engines
from gateway.operator.follow import Hop, Mark, Trace, follow, search, sought_in
from gateway.operator.words import exact, span
from gateway.run import reach
from gateway.settings import Settings, secret_of
from store.pool import prepare
from store.tracing import Found

_COLOURS = {Mark.DONE: "green", Mark.WAITS: "yellow", Mark.STUCK: "red", Mark.NONE: "dim"}


def trace(
    what: Annotated[
        str,
        Parameter(
            help="A reference, phone number, address, Message-ID, MessageSid or id. Without it, or "
            "as -, it is read from standard input, so that no number stays in a shell's memory",
            allow_leading_hyphen=True,
        ),
    ] = "-",
    /,
    *,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Follow one complaint: every hop with its time, who handled it, tries, notices, dead letters.

    Exit 1 when nothing fits, or when it is stuck.
    """
    settings = where.settings()
    typed = sys.stdin.readline() if what == "-" else what
    sought = sought_in(typed, secret_of(settings))
    if sought is None:
        return trouble("Name a reference, a phone number, an address, a Message-ID or an id.")

    async def look() -> int:
        async with reach(settings) as engines, AsyncExitStack() as open_things:
            bus = await _bus(open_things, settings, engines)
            conn = await asyncpg.connect(engines.dsn, timeout=10)
            open_things.push_async_callback(conn.close)
            await prepare(conn)
            found = await search(conn, bus, sought)
            if not found:
                return trouble("Nothing fits.", 1)
            if len(found) > 1:
                _choose(found, format)
                return 0
            followed = await follow(conn, bus, found[0].id)
        if format == "json":
            sys.stdout.write(json.dumps(as_json(followed), ensure_ascii=False) + "\n")
        else:
            _print(followed)
        return 1 if any(mark is Mark.STUCK for _, mark in followed.stations) else 0

    return go(look())


async def _bus(open_things: AsyncExitStack, settings: Settings, engines: Engines) -> Bus | None:
    at = settings.bus.model_copy(update={"url": engines.nats_url})
    try:
        async with asyncio.timeout(5):
            return await open_things.enter_async_context(open_bus(at, name="trace", patience=3))
    except (Unavailable, TimeoutError):
        err.print("The bus does not answer: what lies there is not shown.")
        return None


def _choose(found: list[Found], format: Format) -> None:
    for one in found:
        if format == "json":
            known = {"id": str(one.id), "reference": one.reference, "state": one.state}
            sys.stdout.write(json.dumps(known) + "\n")
        else:
            out.print(
                f"{one.id}  {one.reference or '-':11}  {one.state:11}  {one.channel:8}  "
                f"{one.received_at.astimezone():%Y-%m-%d %H:%M}",
                markup=False,
            )


def _print(followed: Trace) -> None:
    case = followed.books.case
    title = case.reference if case is not None else "no case"
    out.print(f"{title}  {followed.id}", markup=False, style="bold")
    way = "  >  ".join(f"[{_COLOURS[mark]}]{at} {mark}[/]" for at, mark in followed.stations)
    out.print(way)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for _ in range(3):
        table.add_column()
    zone = followed.hops[0].at.astimezone().tzinfo
    for hop in followed.hops:
        table.add_row(
            f"{hop.at.astimezone():%Y-%m-%d} {exact(hop.at, zone)}",
            "" if hop.took is None else f"+{span(hop.took)}",
            f"[{_COLOURS[hop.mark]}]{hop.station}[/]",
            hop.by,
            what_of(hop),
        )
    out.print(table)


def what_of(hop: Hop) -> str:
    """What happened, in a few words that name no resident."""
    said = ""
    if hop.message:
        said = f"came in, {hop.message.state}"
    elif hop.passed:
        said = f"on disk as {hop.passed.subject}, number {hop.passed.sequence}"
        if hop.passed.waits_for:
            said += f"; not given out yet to {', '.join(hop.passed.waits_for)}"
        if hop.passed.in_hand_of:
            said += f"; in hand of {', '.join(hop.passed.in_hand_of)}"
    elif hop.event:
        said = hop.event.kind.replace("_", " ")
    elif hop.notice:
        said = f"{hop.notice.notice} by {hop.notice.medium or 'nobody'}: {hop.notice.state}"
    elif hop.letter:
        said = f"dead letter {str(hop.letter.id)[:8]}, {hop.letter.resolved_how or 'waits'}"
    elif hop.fact:
        said = f"{hop.fact} waits in the outbox"
    tries = f", {hop.tries} tries" if hop.tries > 1 else ""
    return said + tries + (f" ({hop.problem})" if hop.problem else "")


def as_json(followed: Trace) -> dict[str, Any]:
    """The hops for a program; times are ISO 8601 in UTC."""
    case = followed.books.case
    return {
        "id": str(followed.id),
        "case": None if case is None else {"id": str(case.id), "reference": case.reference},
        "stations": {station.value: mark.value for station, mark in followed.stations},
        "hops": [
            {
                "at": hop.at.isoformat(),
                "took": hop.took,
                "station": hop.station.value,
                "mark": hop.mark.value,
                "by": hop.by,
                "tries": hop.tries,
                "what": what_of(hop),
                "id": _id_of(hop),
            }
            for hop in followed.hops
        ],
    }


def _id_of(hop: Hop) -> str | None:
    of: UUID | None = None
    if hop.message:
        of = hop.message.id
    elif hop.passed:
        of = hop.passed.message_id
    elif hop.notice:
        of = hop.notice.id
    elif hop.letter:
        of = hop.letter.id
    return None if of is None else str(of)
