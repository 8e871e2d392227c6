"""Writes down once a minute how the bus stands, so that a page can show the last hour and day."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog
from nats.js import JetStreamContext

from bus.errors import Unavailable
from bus.look import Looker
from store import samples
from store.pool import AWAY
from store.samples import DurableSample, Sample

log = structlog.stdlib.get_logger()

_EVERY = 60.0  # seconds, on the minute
_PATIENCE = 10.0  # seconds
_KEEP = timedelta(days=2)


async def keep_sampling(js: JetStreamContext, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Look every minute until asked to stop. A minute in which something is away is a gap."""
    looker = Looker(js)
    while not stop.is_set():
        try:
            async with asyncio.timeout(_PATIENCE):
                sample = await look(looker)
                async with pool.acquire() as conn:
                    if await samples.add(conn, sample):
                        await samples.sweep(conn, sample.at - _KEEP)
        except (*AWAY, asyncpg.PostgresError, Unavailable, TimeoutError) as error:
            log.info("no sample of this minute", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY - time.time() % _EVERY + 0.05)


async def look(looker: Looker) -> Sample:
    """How the bus stands now. Raises `Unavailable` when it does not say."""
    streams, durables = await looker.look()
    return Sample(
        at=datetime.now(UTC),
        streams={one.name: one.told for one in streams},
        durables={
            one.name: DurableSample(one.waiting + one.in_hand, one.arrived, one.answered)
            for one in durables
        },
    )
