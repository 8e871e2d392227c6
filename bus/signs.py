"""
Signs of life: whoever looks asks, and every process answers for itself.

Plain NATS, no stream: nothing is written, and nobody is asked while nobody looks. Who does not
answer has died, hangs, or cannot be reached, and that is what an operator has to know.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Literal

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import BaseModel, ConfigDict, ValidationError

from bus.errors import Unavailable

log = structlog.stdlib.get_logger()

# Outside of every stream's subjects.
_ASKED = "buckstop.signs"
_FORGOTTEN = 3600.0  # seconds after which a process that is gone is not spoken of any more


WAY_OUT = "notices"
"""The channel of a place to which we bring mail: the city's mail server."""


class Place(BaseModel):
    """A place where a channel goes and looks, or brings mail, as its process sees it."""

    model_config = ConfigDict(frozen=True)

    channel: str
    place: str
    looked_at: datetime | None = None
    waiting: int = 0
    trouble: str = ""
    access_ends: datetime | None = None
    tried_at: datetime | None = None
    refused: bool = False
    """It does not let us in: a password or a token is wrong."""


Resting = Literal["", "finishing", "drained"]
"""Whether a process takes nothing new: it finishes what it has, or has done so."""


class Sign(BaseModel):
    """What one process says of itself. Fields may join with a default."""

    model_config = ConfigDict(frozen=True)

    process: str
    """As `host:pid`."""
    services: tuple[str, ...] = ()
    durables: tuple[str, ...] = ()
    """Those that it hears."""
    places: tuple[Place, ...] = ()
    started_at: datetime
    run: str = ""
    """Another one for each start: a container may be called the same in its next life."""
    resting: Resting = ""


async def answer(client: Client, sign: Callable[[], Sign], stop: asyncio.Event) -> None:
    """Answer whoever asks, until asked to stop."""

    async def tell(question: Msg) -> None:
        if question.reply:
            try:
                await client.publish(question.reply, sign().model_dump_json().encode())
            except (nats.errors.Error, OSError) as error:
                log.info("sign of life not sent", error=type(error).__name__)

    subscription = await client.subscribe(_ASKED, cb=tell)
    try:
        await stop.wait()
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()


@dataclass
class _Heard:
    sign: Sign
    at: float
    unanswered: float | None = None
    """When the first question was asked that it has not answered yet."""


class Signs:
    """Asks, and remembers who answered. Opened with `async with`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._heard: dict[str, _Heard] = {}
        self._asked_first: float | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Signs":
        self._subscription = await self._client.subscribe(self._inbox, cb=self._hear)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()

    async def ask(self, enough: Callable[[tuple[Sign, ...]], bool], patience: float) -> None:
        """
        Ask everybody. Returns once those who answered this time are `enough`, or after `patience`
        seconds: who answers later is heard all the same. Raises `Unavailable` without a bus.
        """
        now = time.monotonic()
        self._asked_first = self._asked_first or now
        for name, one in list(self._heard.items()):
            one.unanswered = one.unanswered or now
            if now - one.at > _FORGOTTEN:
                del self._heard[name]
        try:
            await self._client.publish(_ASKED, b"", reply=self._inbox)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"signs of life: {type(error).__name__}") from error
        try:
            async with asyncio.timeout(patience):
                while not enough(tuple(sign for sign, silent in self.processes if not silent)):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    @property
    def processes(self) -> tuple[tuple[Sign, float], ...]:
        """Who was heard within the last hour, and for how many seconds has not answered."""
        now = time.monotonic()
        return tuple(
            (one.sign, now - one.unanswered if one.unanswered else 0.0)
            for one in self._heard.values()
        )

    def silence(self, speaks: Callable[[Sign], bool]) -> float:
        """
        For how many seconds we have asked and none answered for whom this is true. While nobody
        asks, nothing is known, and no silence begins.
        """
        now = time.monotonic()
        silences = [silent for sign, silent in self.processes if speaks(sign)]
        never = now - self._asked_first if self._asked_first else 0.0
        return min(silences, default=never)

    async def _hear(self, msg: Msg) -> None:
        try:
            sign = Sign.model_validate_json(msg.data)
        except ValidationError:
            log.info("no sign of life that we understand", bytes=len(msg.data))
            return
        self._heard[sign.process] = _Heard(sign, time.monotonic())
        self._news.set()
