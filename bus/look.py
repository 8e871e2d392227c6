"""What the server says of the streams and durables; looking at them consumes nothing."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from bus.errors import Unavailable
from bus.topology import STREAMS

# The age of the oldest message costs questions of its own, and is seldom needed to the second.
_AGES_EVERY = 5.0


@dataclass(frozen=True)
class StreamLook:
    """A stream as it is now."""

    name: str
    messages: int
    bytes: int
    most_bytes: int
    told: int
    """Messages ever stored in it."""


@dataclass(frozen=True)
class DurableLook:
    """A durable as it is now."""

    name: str
    stream: str
    waiting: int
    """Messages that it has not handed out yet."""
    in_hand: int
    """Messages that somebody has and has not answered."""
    most_in_hand: int
    redelivered: int
    """Of those in hand, how many were handed out before."""
    arrived: int
    """Messages that ever came to it; handing out again counts again."""
    answered: int
    """Messages answered without a gap, ever."""
    oldest: datetime | None
    """When the oldest of those that are not answered was stored."""
    paused: bool
    paused_until: datetime | None = None


@dataclass
class Looker:
    """Looks, and remembers of the last look what would be dear to ask again."""

    js: JetStreamContext
    _oldest: dict[str, tuple[float, int, datetime | None]] = field(default_factory=dict)

    async def look(self) -> tuple[list[StreamLook], list[DurableLook]]:
        """Every stream and every durable. Raises `Unavailable` when the server does not say."""
        try:
            streams, durables = await asyncio.gather(
                self.js.streams_info(),
                asyncio.gather(*(self.js.consumers_info(one.name) for one in STREAMS)),
            )
            ours = {one.name for one in STREAMS}
            lasting = [one for some in durables for one in some if one.config.durable_name]
            oldest = await asyncio.gather(*(self._age(one) for one in lasting))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"JetStream: {type(error).__name__}") from error
        return (
            [
                StreamLook(
                    name=one.config.name,
                    messages=one.state.messages,
                    bytes=one.state.bytes,
                    most_bytes=one.config.max_bytes or 0,
                    told=one.state.last_seq,
                )
                for one in streams
                if one.config.name in ours
            ],
            [_durable(one, at) for one, at in zip(lasting, oldest, strict=True)],
        )

    async def _age(self, info: ConsumerInfo) -> datetime | None:
        if not (info.num_pending or info.num_ack_pending):
            return None
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        now = time.monotonic()
        at, known_floor, known = self._oldest.get(info.name, (0.0, -1, None))
        if known is not None and (floor == known_floor or now - at < _AGES_EVERY):
            return known
        oldest = await self._oldest_of(info, floor + 1)
        self._oldest[info.name] = (now, floor, oldest)
        return oldest

    async def _oldest_of(self, info: ConsumerInfo, sequence: int) -> datetime | None:
        heard: Sequence[str] = info.config.filter_subjects or [info.config.filter_subject or ">"]

        async def first(subject: str) -> datetime | None:
            try:
                found = await self.js.get_msg(
                    info.stream_name, sequence, subject, direct=True, next=True
                )
            except nats.js.errors.NotFoundError:
                return None
            return found.time

        times = await asyncio.gather(*(first(subject) for subject in heard))
        return min((at for at in times if at is not None), default=None)


def _durable(info: ConsumerInfo, oldest: datetime | None) -> DurableLook:
    delivered = info.delivered.consumer_seq if info.delivered else 0
    return DurableLook(
        name=info.name,
        stream=info.stream_name,
        waiting=info.num_pending or 0,
        in_hand=info.num_ack_pending or 0,
        most_in_hand=info.config.max_ack_pending or 0,
        redelivered=info.num_redelivered or 0,
        arrived=delivered + (info.num_pending or 0),
        answered=info.ack_floor.consumer_seq if info.ack_floor else 0,
        oldest=oldest,
        paused=bool(info.paused),
        paused_until=_moment(info.config.pause_until) if info.paused else None,
    )


def _moment(written: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(written) if written else None
    except ValueError:
        return None
