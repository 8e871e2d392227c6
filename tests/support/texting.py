"""The text channel on a real bus and a real store, with a Twilio of our own, for tests."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from bus.codec import CONTRACT_HEADER, decode
from bus.connect import Bus
from bus.contracts import Fact
from bus.files import Files
from bus.worker import Listener, listen
from channels.base import Ledger, Settled, Surroundings
from channels.intake import Intake
from channels.sms_settings import TwilioSettings
from channels.sms_twilio import TwilioSms
from store import ledger
from store.service import listeners
from tests.support.twilio import ACCOUNT, OURS, TOKEN, Twilio, signed

SECRET = b"a secret of the tests, 32 letters"
PUBLIC = "https://report.example.gov:8443"
WEBHOOK = f"{PUBLIC}/channels/sms"

Line = TestClient[web.Request, web.Application]


def settings_for(twilio: Twilio | None = None, **changes: object) -> TwilioSettings:
    values: dict[str, object] = {
        "account_sid": ACCOUNT,
        "auth_token": SecretStr(TOKEN),
        "numbers": (OURS,),
        "grace": 0.0,
    }
    if twilio is not None:
        values["api_url"] = twilio.url
    return TwilioSettings.model_validate(values | changes)


def ledger_of(pool: asyncpg.Pool) -> Ledger:
    async def read(ids: Sequence[UUID]) -> Mapping[UUID, Settled]:
        async with pool.acquire() as connection:
            ends = await ledger.ends(connection, ids)
        return {id_: Settled(state, reason) for id_, (state, reason) in ends.items()}

    return read


def around(bus: Bus, files: Files, pool: asyncpg.Pool) -> Surroundings:
    return Surroundings(
        intake=Intake(secret=SECRET, files=files, tell=bus.tell),
        tell=bus.tell,
        tell_again=bus.tell,
        files=files,
        ledger=ledger_of(pool),
        secret=SECRET,
        public_url=PUBLIC,
    )


@dataclass(frozen=True)
class City:
    """A city that can be texted."""

    sms: TwilioSms
    line: Line
    bus: Bus
    pool: asyncpg.Pool
    files: Files

    async def text(self, form: Mapping[str, str], **headers: str) -> int:
        """Post a text as Twilio does; the HTTP status that it gets."""
        async with self.line.post(
            "/channels/sms", data=form, headers=signed(WEBHOOK, form) | headers
        ) as answer:
            return answer.status

    async def told(self, stream: str = "COMPLAINTS") -> list[Fact]:
        """Every fact that a stream holds, in its order."""
        state = (await self.bus.js.stream_info(stream)).state
        facts = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            message = await self.bus.js.get_msg(stream, sequence)
            facts.append(decode(message.data or b"", (message.headers or {})[CONTRACT_HEADER]))
        return facts

    async def settled(self, count: int) -> list[asyncpg.Record]:
        """The ledger's rows once there are so many."""
        async with asyncio.timeout(20):
            while True:
                rows: list[asyncpg.Record] = await self.pool.fetch(
                    "SELECT external_id, state, reason, case_id FROM complaints"
                    " WHERE state <> 'received' ORDER BY received_at, external_id"
                )
                if len(rows) >= count:
                    return rows
                await asyncio.sleep(0.05)


@asynccontextmanager
async def city_with(
    bus: Bus, files: Files, pool: asyncpg.Pool, settings: TwilioSettings
) -> AsyncIterator[City]:
    """The channel behind its webhook; nobody hears the bus yet."""
    sms = TwilioSms(around(bus, files, pool), settings)
    app = web.Application()
    app.add_routes(sms.channel().routes)
    async with TestClient(TestServer(app)) as line:
        yield City(sms, line, bus, pool, files)


@asynccontextmanager
async def at_work(city: City, *more: Listener, store: bool = True) -> AsyncIterator[None]:
    """The store hears the bus, and so do `more`."""
    stop = asyncio.Event()
    heard = [*(listeners(city.pool) if store else ()), *more]
    async with asyncio.TaskGroup() as tasks:
        for listener in heard:
            tasks.create_task(listen(city.bus.client, city.bus.tell, listener, stop))
        try:
            yield
        finally:
            stop.set()
