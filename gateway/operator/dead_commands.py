"""`buckstop dead`: dead letters from a terminal, by the functions that the page uses."""

import asyncio
import base64
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import asyncpg
from cyclopts import App, Parameter

from bus.codec import CONTRACT_HEADER
from bus.connect import Bus, open_bus
from bus.dead import mend
from bus.errors import Refused
from gateway.command import HERE, Format, Where, err, go, line, out, trouble
from gateway.operator.dead_page import letter_of, payload_text
from gateway.run import reach
from gateway.settings import Settings
from store import grave_acts, graves, replaying
from store.grave_acts import GraveAct, Mended
from store.graves import Grave, Wanted
from store.pool import open_pool

dead = App(name="dead", help="Dead letters: what nobody could handle, and what to do about it.")

_MOST = 10_000


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Options that choose among dead letters."""

    durable: Annotated[str, Parameter(help="Only those of this durable")] = ""
    reason: Annotated[str, Parameter(help="Only those with these words in the reason")] = ""
    since: Annotated[datetime | None, Parameter(help="Buried at or after, as 2026-11-23T08:00")] = (
        None
    )
    until: Annotated[datetime | None, Parameter(help="Buried before")] = None

    def wanted(self, resolved: bool | None = False) -> Wanted:
        return Wanted(
            durable=self.durable,
            reason=self.reason,
            since=_utc(self.since),
            until=_utc(self.until),
            resolved=resolved,
        )


ALL_WAITING = Which()
By = Annotated[str, Parameter(help="Who does it; default: the login at this machine")]
Why = Annotated[str, Parameter(help="Kept beside the act")]


@dead.command(name="list")
def list_(
    *,
    which: Which = ALL_WAITING,
    every: Annotated[
        bool, Parameter(name="--all", help="Also those that somebody looked after")
    ] = False,
    limit: Annotated[int, Parameter(help="At most so many, the oldest first")] = 200,
    format: Format = "text",
    where: Where = HERE,
) -> int:
    """List dead letters: id, when, durable, tries, reason; reading them changes nothing."""

    async def look(pool: asyncpg.Pool, bus: Bus) -> int:
        wanted = which.wanted(None if every else False)
        async with pool.acquire() as conn:
            found = await graves.find(conn, wanted, limit=limit)
            total = await graves.count(conn, wanted)
        for grave in found:
            if format == "json":
                line(_facts(grave))
            else:
                done = (
                    f" [{grave.resolved_how} by {grave.resolved_by}]" if grave.resolved_at else ""
                )
                out.print(
                    f"{grave.id}  {grave.at:%Y-%m-%d %H:%M:%S}Z  {grave.durable}  "
                    f"{grave.tries} tries  {grave.reason}{done}",
                    markup=False,
                )
        if format == "text":
            out.print(f"{total} in all" if total > len(found) else f"{total}")
        return 0

    return _with_house(where.settings(), look)


@dead.command
def show(
    letter: Annotated[str, Parameter(help="The id, or its beginning")],
    *,
    payload: Annotated[bool, Parameter(help="Print the payload alone, as it came")] = False,
    format: Format = "text",
    where: Where = HERE,
) -> int:
    """Show one dead letter: why, headers, payload, and all that was done about it."""

    async def look(pool: asyncpg.Pool, bus: Bus) -> int:
        async with pool.acquire() as conn:
            grave = await _one(conn, letter)
            if grave is None:
                return _unknown(letter)
            acts = await grave_acts.acts(conn, [grave.id])
        if payload:
            sys.stdout.buffer.write(base64.b64decode(grave.payload))
            return 0
        text = payload_text(grave)
        if format == "json":
            line(
                _facts(grave)
                | {
                    "headers": dict(grave.headers),
                    "payload": grave.payload,
                    "acts": [_act(act) for act in acts],
                }
            )
            return 0
        for name, value in _facts(grave).items():
            out.print(f"{name:<16} {value if value is not None else '-'}", markup=False)
        for name, value in grave.headers.items():
            out.print(f"  {name}: {value}", markup=False)
        out.print(text if text is not None else f"(base64) {grave.payload}", markup=False)
        for act in acts:
            out.print(" ".join(str(value) for value in _act(act).values() if value), markup=False)
        return 0

    return _with_house(where.settings(), look)


@dead.command
def replay(
    *letters: Annotated[str, Parameter(help="Ids, or their beginnings")],
    which: Which = ALL_WAITING,
    every: Annotated[
        bool, Parameter(name="--all", help="All that wait and that the options let through")
    ] = False,
    per_second: Annotated[float, Parameter(help="How many are told in a second")] = 10.0,
    payload: Annotated[
        Path | None, Parameter(help="Tell this file in place of the one letter's own bytes")
    ] = None,
    contract: Annotated[
        str, Parameter(help="The contract of --payload; default: the letter's own")
    ] = "",
    why: Why = "",
    by: By = "",
    where: Where = HERE,
) -> int:
    """
    Have dead letters told again: those named, or all. Returns once they are.

    Who had answered one knows it by its id and does nothing twice.
    """
    if bool(letters) == every:
        return trouble("Name letters, or say --all (with options to choose among them).", code=1)
    if per_second <= 0:
        return trouble("--per-second has to be more than 0.", code=1)
    if payload is not None and (len(letters) != 1 or not why.strip()):
        return trouble("--payload goes with one letter, and with --why.", code=1)
    instead = payload.read_bytes() if payload is not None else None

    async def work(pool: asyncpg.Pool, bus: Bus) -> int:
        async with pool.acquire() as conn:
            chosen = await _chosen(conn, letters, which)
            if isinstance(chosen, str):
                return _unknown(chosen)
            mended = None
            if instead is not None:
                grave = await graves.by_id(conn, chosen[0])
                if grave is None:
                    return _unknown(letters[0])
                tag = contract or grave.headers.get(CONTRACT_HEADER, "")
                try:
                    mended = Mended(*mend(letter_of(grave), instead.decode(), tag))
                except (Refused, UnicodeDecodeError) as reason:
                    return trouble(f"This copy cannot be told: {reason}.", code=1)
            wanted = await grave_acts.want_replay(
                conn, chosen, by=_who(by), why=why, per_second=per_second, mended=mended
            )
        if not wanted:
            return trouble("None of them waits: somebody looked after them before.", code=1)
        problems = await _until_told(pool, bus, wanted)
        out.print(f"{len(wanted) - len(problems)} told again")
        for act in problems:
            err.print(f"{act.letter_id}: {act.problem}", markup=False)
        return 1 if problems else 0

    return _with_house(where.settings(), work)


@dead.command
def discard(
    *letters: Annotated[str, Parameter(help="Ids, or their beginnings")],
    why: Annotated[str, Parameter(help="Needed: why nobody needs them")],
    which: Which = ALL_WAITING,
    every: Annotated[
        bool, Parameter(name="--all", help="All that wait and that the options let through")
    ] = False,
    by: By = "",
    where: Where = HERE,
) -> int:
    """Discard dead letters with a reason: a complaint in quarantine counts as ignored from then."""
    if bool(letters) == every:
        return trouble("Name letters, or say --all (with options to choose among them).", code=1)
    if not why.strip():
        return trouble("Say with --why in a few words why nobody needs them.", code=1)

    async def work(pool: asyncpg.Pool, bus: Bus) -> int:
        async with pool.acquire() as conn:
            chosen = await _chosen(conn, letters, which)
            if isinstance(chosen, str):
                return _unknown(chosen)
            gone = await grave_acts.discard(conn, chosen, by=_who(by), why=why)
        if not gone:
            return trouble("None of them waits: somebody looked after them before.", code=1)
        out.print(f"{len(gone)} discarded")
        return 0

    return _with_house(where.settings(), work)


async def _until_told(pool: asyncpg.Pool, bus: Bus, letters: Sequence[UUID]) -> list[GraveAct]:
    # The store tells them too, where it runs; whoever comes first. Here nothing waits for it.
    while True:
        pause = await replaying.tell_some(pool, bus.post)
        async with pool.acquire() as conn:
            acts = {act.letter_id: act for act in await grave_acts.acts(conn, letters)}
        if all(act.done_at is not None for act in acts.values()):
            return [act for act in acts.values() if act.problem]
        await asyncio.sleep(pause or 0.2)


async def _chosen(
    conn: asyncpg.Connection, letters: Sequence[str], which: Which
) -> list[UUID] | str:
    """The letters; or the one that nobody knows, as it was named."""
    if not letters:
        return await graves.ids(conn, which.wanted(), limit=_MOST)
    found = []
    for name in letters:
        letter = await graves.named(conn, name)
        if letter is None:
            return name
        found.append(letter)
    return found


async def _one(conn: asyncpg.Connection, name: str) -> Grave | None:
    letter = await graves.named(conn, name)
    return None if letter is None else await graves.by_id(conn, letter)


def _unknown(name: str) -> int:
    return trouble(f"There is no dead letter {name!r}, or more than one begins so.", code=1)


def _facts(grave: Grave) -> dict[str, str | int | None]:
    return {
        "id": str(grave.id),
        "at": grave.at.isoformat(),
        "durable": grave.durable,
        "reason": grave.reason,
        "tries": grave.tries,
        "subject": grave.original_subject,
        "stream": grave.stream,
        "sequence": grave.sequence,
        "message": grave.original_id,
        "complaint_id": str(grave.complaint_id) if grave.complaint_id else None,
        "resolved": grave.resolved_how,
        "resolved_by": grave.resolved_by,
    }


def _act(act: GraveAct) -> dict[str, str | bool | None]:
    return {
        "at": act.at.isoformat(),
        "act": act.act,
        "by": act.by,
        "why": act.why,
        "mended": act.mended,
        "done_at": act.done_at.isoformat() if act.done_at else None,
        "problem": act.problem,
    }


def _who(named: str) -> str:
    return named or f"{getpass.getuser()} (terminal)"


def _utc(moment: datetime | None) -> datetime | None:
    # Without a zone it is this machine's own.
    return None if moment is None else moment.astimezone(UTC)


Work = Callable[[asyncpg.Pool, Bus], Awaitable[int]]


def _with_house(settings: Settings, work: Work) -> int:
    async def do() -> int:
        async with _engines(settings) as (pool, bus):
            return await work(pool, bus)

    return go(do())


@asynccontextmanager
async def _engines(settings: Settings) -> AsyncIterator[tuple[asyncpg.Pool, Bus]]:
    async with reach(settings) as engines:
        at = settings.bus.model_copy(update={"url": engines.nats_url})
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        async with open_bus(at, name="buckstop dead") as bus, open_pool(stored) as pool:
            yield pool, bus
