"""Where channels look, as operators mend it: look there now, enter another password."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from bus import levers as bus_levers
from bus.connect import Bus
from bus.errors import Unavailable
from bus.signs import Place
from channels.email_settings import MailboxSettings
from channels.imap_session import ImapTrouble
from channels.mailbox_access import Access
from gateway.operator.figures import Collector, Figures
from gateway.settings import Settings
from store import levers as books

log = structlog.stdlib.get_logger()

EMAIL = "email"
_SEEN_WITHIN = 8.0  # seconds in which a channel that was asked to look has looked


class NotLetIn(Exception):
    """The mailbox does not let us in with what was entered; in words."""


@dataclass(frozen=True)
class Spot:
    """One place, with the settings of it that name no secret."""

    channel: str
    place: str
    now: Place | None
    """None: nobody has said."""
    mailbox: MailboxSettings | None = None


def spots(settings: Settings, figures: Figures) -> list[Spot]:
    """Every place where a channel looks, mailboxes first."""
    said: Mapping[str, Place] = (
        {place.place: place for one in figures.bus.channels for place in one.places}
        if figures.bus
        else {}
    )
    ours = [Spot(EMAIL, one.name, said.get(one.name), one) for one in settings.channels.email]
    names = {one.place for one in ours}
    return ours + [
        Spot(one.channel, one.place, one) for one in said.values() if one.place not in names
    ]


async def let_in(
    pool: asyncpg.Pool, settings: Settings, mailbox: MailboxSettings, entered: str, *, by: str
) -> None:
    """
    Sign in with what was entered, and keep it when that went well: from now on it counts.

    Raises `NotLetIn` with the server's words, and then nothing is kept.
    """
    hasty = mailbox.model_copy(update={"connect_seconds": 8.0, "command_seconds": 8.0})
    access = Access(hasty, settings.data)
    async with pool.acquire() as conn:
        number = await books.note(conn, "let_in", what=mailbox.name, by=by)
    outcome = "done"
    try:
        await access.try_with(entered)
        await access.keep(entered)
    except (ImapTrouble, OSError) as error:
        outcome = "failed: it does not let us in"
        raise NotLetIn(str(error) or type(error).__name__) from error
    finally:
        async with pool.acquire() as conn:
            await books.end(conn, number, outcome)
    log.warning("lever pulled", act="let_in", by=by)


async def look_now(bus: Bus, collector: Collector, channel: str) -> tuple[Place, ...]:
    """
    Have a channel look into its places now; how they stand once it has, or after eight seconds.
    Raises `Unavailable` without a bus.
    """
    before = {one.place: one for one in _places(await collector.latest(), channel)}
    await bus_levers.have_looked(bus.client, channel)
    until = asyncio.get_running_loop().time() + _SEEN_WITHIN
    while True:
        await asyncio.sleep(0.5)
        collector.forget()
        now = _places(await collector.latest(), channel)
        looked = now and all(_has_looked(before.get(one.place), one) for one in now)
        if looked or asyncio.get_running_loop().time() >= until:
            return tuple(now)


def _has_looked(before: Place | None, now: Place) -> bool:
    return now.tried_at is not None and (before is None or now.tried_at != before.tried_at)


def _places(figures: Figures, channel: str) -> Sequence[Place]:
    if figures.bus is None:
        raise Unavailable("the bus does not answer")
    return [place for one in figures.bus.channels if one.name == channel for place in one.places]
