"""The mail channel on a real bus and a real store, as the house runs it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from bus.connect import Bus
from bus.files import Files
from bus.worker import listen
from channels.base import Surroundings
from channels.email_imap import EmailChannel
from channels.email_settings import MailboxSettings
from gateway.compose import surroundings
from gateway.settings import Settings
from store.ledger import Equation, equation
from store.service import listeners

SECRET = b"a secret for tests, long enough to be one"


class Mailroom:
    """What a test needs to know of what became of mails."""

    def __init__(self, bus: Bus, pool: asyncpg.Pool, files: Files) -> None:
        self.bus = bus
        self.pool = pool
        self.files = files
        settings = Settings(data=Path("/nowhere"), secret=SecretStr(SECRET.decode()))
        self.around: Surroundings = surroundings(settings, bus=bus, pool=pool, files=files)

    async def books(self) -> Equation:
        async with self.pool.acquire() as connection:
            return await equation(connection)

    async def texts(self) -> list[str]:
        rows = await self.pool.fetch("SELECT text FROM cases ORDER BY opened_at, text")
        return [row["text"] for row in rows]

    async def reasons(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch(
            "SELECT state, reason FROM complaints WHERE state <> 'filed' ORDER BY reason"
        )
        return [(row["state"], row["reason"]) for row in rows]

    async def settled(self, count: int, *, within: float = 20.0) -> Equation:
        """The books, once that many messages came to an end."""

        async def look() -> bool:
            books = await self.books()
            return books.received - books.in_flight >= count

        await until(look, within=within)
        return await self.books()

    @asynccontextmanager
    async def storing(self) -> AsyncIterator[None]:
        """The store listens meanwhile."""
        (listener,) = [one for one in listeners(self.pool) if one.durable == "store_complaint"]
        stop = asyncio.Event()
        task = asyncio.create_task(listen(self.bus.client, self.bus.tell, listener, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    @asynccontextmanager
    async def watching(self, *mailboxes: MailboxSettings) -> AsyncIterator[EmailChannel]:
        """The channel watches these mailboxes meanwhile."""
        channel, stop = EmailChannel(self.around, mailboxes), asyncio.Event()
        task = asyncio.create_task(channel.run(stop))
        try:
            yield channel
        finally:
            stop.set()
            async with asyncio.timeout(15):
                await task


async def until(look: Callable[[], Awaitable[bool]], *, within: float = 20.0) -> None:
    """Returns once `look` is true."""
    async with asyncio.timeout(within):
        while not await look():
            await asyncio.sleep(0.03)
