"""Where channels look and mail leaves, as operators mend it: look now, enter another password."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg
import structlog

from bus import levers as bus_levers
from bus.connect import Bus
from bus.errors import Unavailable
from bus.signs import WAY_OUT, Place
from channels.imap_session import ImapTrouble
from channels.mailbox_access import Access
from gateway.mail_server import BadMailServer, MailServerAccess, name_of
from gateway.operator.figures import Collector, Figures
from gateway.settings import Settings
from store import levers as books

log = structlog.stdlib.get_logger()

EMAIL = "email"
_SEEN_WITHIN = 8.0  # seconds in which a channel that was asked to look has looked


class NotLetIn(Exception):
    """The place does not let us in with what was entered; in words."""


class Lock(Protocol):
    """What a password or a token opens."""

    async def try_with(self, entered: str) -> None:
        """Raises `ImapTrouble` or `BadMailServer` with the server's words; nothing is kept."""
        ...

    async def keep(self, entered: str) -> None:
        """From now on this one counts. Raises `OSError` when the disk refuses."""
        ...


@dataclass(frozen=True)
class Spot:
    """One place, with what the settings say of it that is no secret."""

    channel: str
    place: str
    server: str = ""
    """As `host:port`."""
    security: str = ""
    username: str = ""
    lock: Lock | None = None
    """None: nobody enters anything."""
    takes_tokens: bool = False
    now: Place | None = None
    """None: nobody has said."""


def spots(settings: Settings, figures: Figures) -> list[Spot]:
    """The mailboxes and the mail server of the settings, then whatever else channels look at."""
    said = {one.place: one for one in _all_places(figures)}
    ours = [*_mailboxes(settings, said), *_mail_server(settings, said)]
    names = {one.place for one in ours}
    return ours + [
        Spot(one.channel, one.place, now=one) for one in said.values() if one.place not in names
    ]


def _mailboxes(settings: Settings, said: dict[str, Place]) -> Iterator[Spot]:
    for one in settings.channels.email:
        hasty = one.model_copy(update={"connect_seconds": 8.0, "command_seconds": 8.0})
        yield Spot(
            EMAIL,
            one.name,
            f"{one.host}:{one.at_port}",
            one.security,
            one.username,
            Access(hasty, settings.data),
            one.oauth is not None,
            said.get(one.name),
        )


def _mail_server(settings: Settings, said: dict[str, Place]) -> Iterator[Spot]:
    smtp = settings.notifier.smtp
    if smtp.host:
        yield Spot(
            WAY_OUT,
            name_of(smtp),
            name_of(smtp),
            smtp.security,
            smtp.username,
            MailServerAccess(settings) if smtp.username else None,
            now=said.get(name_of(smtp)),
        )


async def let_in(pool: asyncpg.Pool, spot: Spot, entered: str, *, by: str) -> None:
    """
    Sign in with what was entered, and keep it when that went well: from now on it counts.

    Raises `NotLetIn` with the server's words, and then nothing is kept.
    """
    if spot.lock is None:
        raise NotLetIn("it asks for no password")
    async with pool.acquire() as conn:
        number = await books.note(conn, "let_in", what=spot.place, by=by)
    outcome = "done"
    try:
        await spot.lock.try_with(entered)
        await spot.lock.keep(entered)
    except (ImapTrouble, BadMailServer, OSError) as error:
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
    return [one for one in _all_places(figures) if one.channel == channel]


def _all_places(figures: Figures) -> Sequence[Place]:
    if figures.bus is None:
        return ()
    ways_in = [place for one in figures.bus.channels for place in one.places]
    return [*ways_in, *figures.bus.ways_out]
