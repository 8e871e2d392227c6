"""What a way in is: called upon, goes and looks, or both; and what it may stand on."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from aiohttp import web

from bus.files import Files
from bus.publish import Tell
from bus.worker import Listener
from channels.intake import Intake
from channels.mailbox_memory import MailboxMemory
from channels.open311_desk import Open311Desk


@dataclass(frozen=True)
class Watched:
    """How it stands with a place where a channel goes and looks."""

    place: str
    looked_at: datetime | None
    """When it last looked and could see everything."""
    waiting: int
    """Messages there that the books do not have yet."""
    trouble: str = ""
    """In words, for an operator; empty when all is well."""
    access_ends: datetime | None = None
    """When somebody has to allow us in again; None: never, or nobody has said."""
    tried_at: datetime | None = None
    """When it last tried to look, well or not."""
    refused: bool = False
    """It does not let us in: somebody has to enter another password, or allow us in again."""


@dataclass(frozen=True)
class Reviewed:
    """What lies at such a place, held against the ledger."""

    place: str
    held: int
    """Messages that lie there."""
    brought_in: int
    """Those that the ledger did not know and that were told now."""
    trouble: str = ""
    """Why it could not be looked at, in words."""


@dataclass(frozen=True)
class Channel:
    """
    One way in which residents reach us. `routes` are what others call; `run(stop)`, where there
    is one, goes and looks by itself and returns once `stop` is set and what was in hand is done.
    """

    name: str
    routes: Sequence[web.RouteDef] = ()
    run: Callable[[asyncio.Event], Coroutine[Any, Any, None]] | None = None
    state: Callable[[], Sequence[Watched]] | None = None
    """The places where it goes and looks, as they are now."""
    look_now: Callable[[], None] | None = None
    """Has it go and look at once, whatever it waits for."""
    audit: Callable[[], Coroutine[Any, Any, Sequence[Reviewed]]] | None = None
    """Holds what lies there against the ledger, and brings in what is missing."""
    listeners: Sequence[Listener] = ()
    """What it hears on the bus, to do what its caller need not wait for."""


@dataclass(frozen=True)
class Settled:
    """How a message ended, as the ledger has it."""

    state: str
    """`received`, `filed`, `quarantined`, `ignored`."""
    reason: str | None


Ledger = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Settled]]]
"""What became of messages, by the ids that their channel gave them; what it lacks is not there."""


@dataclass(frozen=True)
class Surroundings:
    """What a channel may stand on. The gateway opens it; tests open it too."""

    intake: Intake
    tell: Tell
    tell_again: Tell
    """
    The same for what the bus may have heard under the same id a moment ago, and has to hear anew.
    """
    files: Files
    ledger: Ledger
    secret: bytes
    public_url: str
    """Where the world reaches our pages, without a slash at the end."""
    data: Path | None = None
    """The data directory, for what a channel may keep on this machine only."""
    mailboxes: MailboxMemory | None = None
    """What the mail channel remembers; it cannot run without."""
    open311: Open311Desk | None = None
    """What the Open311 channel knows of the city and its apps; it cannot run without."""


def noted(text: str) -> str:
    """Marks a sentence for translation; whoever shows it translates it."""
    return text
