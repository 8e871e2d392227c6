"""What is open while Buckstop runs; `gateway/compose.py` opens it."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from bus.connect import Bus
from bus.files import Files
from channels.base import Channel, Surroundings
from channels.intake import Intake
from gateway.demo.stage import Stage
from gateway.keeper import Keeper
from gateway.open311.desk import Open311Desk
from gateway.settings import Settings
from notifier.senders import Sender
from router.rules import City
from router.service import Router


@dataclass(frozen=True)
class House:
    """Everything that is open while Buckstop runs."""

    settings: Settings
    city: City
    reader: Router | None
    """None where neither the pages nor the router run: what it learned is large."""
    bus: Bus
    pool: asyncpg.Pool
    files: Files
    intake: Intake
    around: Surroundings
    """What channels stand on."""
    sender: Sender
    texts: Sender
    """What carries text messages."""
    channels: Mapping[str, Channel]
    open311: Open311Desk | None = None
    """None: the interface for other programs is turned off."""
    stage: Stage | None = None
    """The demo's own servers."""
    keeper: Keeper | None = None
    """What an operator can have started again; None: nothing."""

    @property
    def router(self) -> Router:
        if self.reader is None:
            raise RuntimeError("a house without a router")
        return self.reader
