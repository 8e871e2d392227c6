"""`buckstop bus reread`: messages of a span read again by today's code; what would differ."""

import asyncio
import getpass
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from typing import Annotated

from cyclopts import Parameter

from bus.connect import open_bus
from bus.files import open_files
from channels.email_imap import reader_for
from channels.read_again import ReadAgain
from channels.registry import CHANNELS
from channels.second_look import SecondLook
from gateway import reread as reread_
from gateway.command import HERE, Format, Where, go, line, out, progress, trouble
from gateway.compose import city_folder, surroundings
from gateway.days import begin_of, end_of
from gateway.reread import Applied, Change, Plan
from gateway.run import reach
from gateway.settings import secret_of
from router.rules import load_city
from router.service import open_router
from store import levers, spans
from store.pool import open_pool

_MOST_SHOWN = 200


def reread(
    *,
    since: Annotated[date, Parameter(help="The first day, as 2026-03-31")],
    until: Annotated[date, Parameter(help="The last day")],
    channel: Annotated[str, Parameter(help="web, phone, email, sms, open311; default: any")] = "",
    apply: Annotated[bool, Parameter(help="Have all of it changed", negative=())] = False,
    only: Annotated[
        list[str] | None, Parameter(help="With --apply: only these references or ids")
    ] = None,
    why: Annotated[str, Parameter(help="Kept beside the act; needed with --apply")] = "",
    by: Annotated[str, Parameter(help="Who does it; default: the login at this machine")] = "",
    most: Annotated[int, Parameter(help="Read at most so many messages")] = 100_000,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Read the messages of some days again by today's code, and say what would be otherwise.

    Changes nothing without --apply. Mails and texts are read from their originals; what was typed
    into a field is taken as it stands. What staff have decided stays. Prints no words of residents.
    """
    if channel and channel not in CHANNELS:
        return trouble(f"There is no channel {channel}: choose of {', '.join(CHANNELS)}.")
    if until < since:
        return trouble("The last day lies before the first.")
    if apply and not why.strip():
        return trouble("Say why, with --why.")
    settings = where.settings()
    city = load_city(city_folder(settings))

    async def work() -> int:
        async with AsyncExitStack() as opened:
            engines = await opened.enter_async_context(reach(settings))
            at = settings.bus.model_copy(update={"url": engines.nats_url})
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            bus = await opened.enter_async_context(open_bus(at, name="buckstop reread"))
            pool = await opened.enter_async_context(open_pool(stored))
            files = await asyncio.to_thread(open_files, settings.files, settings.data)
            opened.push_async_callback(files.close)
            mailboxes = settings.channels.email
            reader = await opened.enter_async_context(reader_for(mailboxes))
            router = await asyncio.to_thread(open_router, city, settings.data / "models")
            again = ReadAgain(
                files,
                reader,
                secret=secret_of(settings),
                ours={one for box in mailboxes for one in box.ours},
            )
            span = (begin_of(since, city.zone), end_of(until, city.zone), channel)
            async with pool.acquire() as conn:
                total = await spans.count(conn, *span)
            plan = Plan(*span, version=city.version, total=total)
            with progress("read", min(total, most)) as step:
                await reread_.plan(
                    pool, router, again, plan, datetime.now(UTC), most=most, step=step
                )
            done = None
            if apply:
                look = SecondLook(surroundings(settings, bus=bus, pool=pool, files=files))
                opened.push_async_callback(look.close)
                async with pool.acquire() as conn:
                    who = by or getpass.getuser()
                    act = await levers.note(conn, "read_again", by=who, why=why)
                done = await reread_.apply(pool, look, plan, _keys(plan, only), who)
                async with pool.acquire() as conn:
                    await levers.end(conn, act, str(done))
        _tell(plan, done, format)
        return 0

    return go(work())


def _keys(plan: Plan, only: list[str] | None) -> set[str] | None:
    if only is None:
        return None
    return {one.key for one in plan.differences if {one.key, one.reference} & set(only)}


def _tell(plan: Plan, done: Applied | None, format: str) -> None:
    if format == "json":
        line(
            {
                "messages": plan.total,
                "read": plan.read,
                "counts": dict(plan.counts()),
                "differences": [
                    {
                        "id": one.key,
                        "reference": one.reference,
                        "channel": one.channel,
                        "changes": {
                            change.field: [change.before, change.after] for change in one.changes
                        },
                        "stays": one.stays,
                    }
                    for one in plan.differences
                ],
                "applied": vars(done) if done else None,
            }
        )
        return
    for one in plan.differences[:_MOST_SHOWN]:
        changes = ", ".join(_in_words(change) for change in one.changes)
        stays = f"  (stays: {one.stays.replace('_', ' ')})" if one.stays else ""
        out.print(f"{one.reference or one.key}  {changes}{stays}", markup=False)
    if len(plan.differences) > _MOST_SHOWN:
        out.print(f"and {len(plan.differences) - _MOST_SHOWN} more")
    out.print(
        f"{plan.read} of {plan.total} messages read, {len(plan.differences)} would be otherwise, "
        f"{len(plan.applicable)} of them can be changed."
    )
    if done is not None:
        out.print(f"{done}. The cases' histories say what became of it.")
    elif plan.applicable:
        out.print("Nothing has changed. With --apply and --why it is.")


def _in_words(change: Change) -> str:
    if change.field == "text":
        return "other words"
    return f"{change.field}: {change.before or 'nothing'} -> {change.after or 'nothing'}"
