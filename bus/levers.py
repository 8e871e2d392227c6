"""
Pausing a durable until a time, and telling every process that somebody pulled a lever.

The server holds the pause of a durable and ends it by itself; what arrives meanwhile waits in the
stream. Telling is plain NATS: who was not there when it was told looks again within a minute.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.errors import Refused, Unavailable

log = structlog.stdlib.get_logger()

# Outside of every stream's subjects.
_PULLED = "buckstop.levers"
_LOOK = "buckstop.look"


async def pause(client: Client, stream: str, durable: str, until: datetime) -> None:
    """
    Have the server hand out nothing of this durable until then; what is in hand is finished.

    Raises `Refused` for a durable that is not there, or a server that cannot pause (before 2.11).
    """
    at = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        paused = await client.jetstream().pause_consumer(stream, durable, at)
    except nats.js.errors.NotFoundError as error:
        raise Refused(f"there is no durable {durable}") from error
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"JetStream: {type(error).__name__}") from error
    if not paused.paused and until > datetime.now(UTC):
        raise Refused("this NATS server cannot pause; it must be 2.11 or newer")


async def resume(client: Client, stream: str, durable: str) -> None:
    """Have it handed out again, at once."""
    await pause(client, stream, durable, datetime(1970, 1, 1, tzinfo=UTC))


async def tell(client: Client) -> None:
    """Tell everybody that a lever was pulled."""
    try:
        await client.publish(_PULLED, b"")
        await client.flush(timeout=2)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        log.info("lever not told", error=type(error).__name__)


@asynccontextmanager
async def heard(client: Client) -> AsyncIterator[asyncio.Event]:
    """An event that is set whenever a lever was pulled; who waits for it clears it."""
    pulled = asyncio.Event()

    async def hear(_: Msg) -> None:
        pulled.set()

    async with _subscribed(client, _PULLED, hear):
        yield pulled


async def have_looked(client: Client, channel: str) -> None:
    """
    Have a channel go and look at once, wherever it runs. Whether somebody heard it, their signs of
    life tell. Raises `Unavailable` without a bus.
    """
    try:
        await client.publish(_LOOK, channel.encode())
        await client.flush(timeout=2)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"NATS: {type(error).__name__}") from error


@asynccontextmanager
async def looking_when_asked(
    client: Client, channels: Mapping[str, Callable[[], None]]
) -> AsyncIterator[None]:
    """Calls what has a channel look, whenever somebody wants it to."""

    async def hear(msg: Msg) -> None:
        look = channels.get(msg.data.decode("utf-8", "replace"))
        if look is not None:
            look()

    async with _subscribed(client, _LOOK, hear):
        yield


@asynccontextmanager
async def _subscribed(
    client: Client, subject: str, hear: Callable[[Msg], Awaitable[None]]
) -> AsyncIterator[None]:
    subscription = await client.subscribe(subject, cb=hear)
    try:
        yield
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()
