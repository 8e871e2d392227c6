"""Open NATS, make its streams agree, and drain it on the way out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from pydantic import BaseModel, ConfigDict, SecretStr

from bus.drafts import Drafts, open_drafts
from bus.errors import Unavailable
from bus.publish import Post, Publisher, Tell
from bus.topology import ensure_streams

log = structlog.stdlib.get_logger()


class Settings(BaseModel):
    """How to reach NATS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    """`nats://host:4222`, several with commas; empty: a server of our own is started."""
    token: SecretStr | None = None
    credentials_file: str | None = None
    replicas: int = 1
    """Copies of each stream: 1, or 3 on a cluster."""


@dataclass(frozen=True)
class Bus:
    """An open bus. `tell`, and `post` for what was encoded before, are the only ways to publish."""

    client: Client
    js: JetStreamContext
    publisher: Publisher
    drafts: Drafts

    @property
    def tell(self) -> Tell:
        return self.publisher.tell

    @property
    def post(self) -> Post:
        return self.publisher.post


@asynccontextmanager
async def open_bus(settings: Settings, *, name: str, patience: float = 30.0) -> AsyncIterator[Bus]:
    """
    The bus, its streams made to agree. Waits `patience` seconds for a server to answer (then
    `Unavailable`), and afterwards reconnects for ever: the client's default of two minutes would
    be a silent end.
    """

    closing = False
    publisher: Publisher | None = None

    async def lost() -> None:
        if publisher is not None:
            publisher.connection_lost()
        if not closing:
            log.warning("bus lost", client=name)

    async def found() -> None:
        log.info("bus found again", client=name)

    async def grumble(error: Exception) -> None:
        log.info("bus error", client=name, error=type(error).__name__)

    clock = asyncio.get_running_loop().time
    until = clock() + patience
    while True:
        try:
            client = await nats.connect(
                settings.url.split(","),
                name=name,
                token=settings.token.get_secret_value() if settings.token else None,
                user_credentials=settings.credentials_file,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.5,
                connect_timeout=3,
                ping_interval=20,
                max_outstanding_pings=2,
                disconnected_cb=lost,
                reconnected_cb=found,
                error_cb=grumble,
                pending_size=16 * 1024 * 1024,
            )
            break
        except (nats.errors.NoServersError, OSError, TimeoutError) as error:
            if clock() > until:
                raise Unavailable(f"no NATS server ({type(error).__name__})") from error
            await asyncio.sleep(0.2)
    try:
        js = client.jetstream(timeout=5)
        while True:
            try:
                await ensure_streams(js, replicas=settings.replicas)
                drafts = await open_drafts(js, replicas=settings.replicas)
                break
            except nats.js.errors.BadRequestError:
                raise  # the server is there, and does not want what we ask for
            except (nats.errors.Error, OSError, TimeoutError) as error:
                # It can go again between the connection and the first question.
                if clock() > until:
                    raise Unavailable(f"no JetStream ({type(error).__name__})") from error
                await asyncio.sleep(0.2)
        publisher = Publisher(client)
        yield Bus(client, js, publisher, drafts)
    finally:
        closing = True
        try:
            async with asyncio.timeout(5):
                await client.drain()
        except (nats.errors.Error, TimeoutError, OSError):
            with suppress(OSError):  # the server is away: there is nobody to say goodbye to
                await client.close()
