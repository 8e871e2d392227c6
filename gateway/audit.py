"""
`buckstop audit`: the ledger's equation, held against the stream and against what lies where
channels fetch from.

Every complaint that a channel acknowledged lies in the stream. One that the ledger does not know
is in flight while the store still has it before it; when the store believes to be done, it is
missing, and is told again.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import structlog

from bus.connect import Bus
from bus.stream import again, stored_in
from channels.base import Channel, Reviewed
from router.service import routed_id
from store.ledger import Equation, equation, known

log = structlog.stdlib.get_logger()

_STREAM = "COMPLAINTS"
_RECEIVED = "complaint.received.>"
_ROUTED = "complaint.routed"
_STORE = "store_complaint"


@dataclass(frozen=True)
class Audit:
    """What the books say."""

    equation: Equation
    brought_in: int
    """Complaints that the store had missed and that were told again."""

    @property
    def closes(self) -> bool:
        return self.equation.closes and self.equation.in_flight == 0


async def audit(pool: asyncpg.Pool, bus: Bus, *, patience: float) -> Audit:
    """
    The equation, once nothing is in flight or `patience` seconds are over. What the store missed
    is told again once, and counted.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    brought_in = 0
    while True:
        unknown = await _unknown(pool, bus)
        async with pool.acquire() as connection:
            books = await equation(connection)
        if unknown and not brought_in and await _store_is_done(bus):
            # Looked at before the store said it was done, so look once more.
            unknown = await _unknown(pool, bus)
            mark = f"audit-{uuid4().hex[:8]}"
            places = [*unknown.values(), *await _routings_of(bus, unknown)]
            await bus.publisher.post(
                [await again(bus.client, _STREAM, sequence, mark) for sequence in places]
            )
            brought_in = len(unknown)
            if brought_in:
                log.warning("told again what the store had missed", complaints=brought_in)
        found = Audit(
            Equation(
                received=books.received + len(unknown),
                filed=books.filed,
                quarantined=books.quarantined,
                ignored=books.ignored,
                in_flight=books.in_flight + len(unknown),
            ),
            brought_in,
        )
        if found.equation.in_flight == 0 or loop.time() >= until:
            return found
        await asyncio.sleep(0.5)


async def review(channels: Iterable[Channel]) -> list[Reviewed]:
    """
    What lies in mailboxes and in other places from which channels fetch, held against the ledger;
    what it lacks is told now.
    """
    found: list[Reviewed] = []
    for channel in channels:
        if channel.audit is not None:
            found += await channel.audit()
    return found


async def _unknown(pool: asyncpg.Pool, bus: Bus) -> dict[UUID, int]:
    """The complaints that the ledger does not know, and where in the stream each lies."""
    missing: dict[UUID, int] = {}
    async for some in stored_in(bus.client, _STREAM, _RECEIVED):
        async with pool.acquire() as connection:
            there = await known(connection, [one.message_id for one in some])
        for one in some:
            if one.message_id not in there:
                missing.setdefault(one.message_id, one.sequence)
    return missing


async def _routings_of(bus: Bus, complaints: Collection[UUID]) -> list[int]:
    """
    Where in the stream their routings lie. The router, which hears the complaints again, tells
    them again too, but what was told minutes ago the stream takes for a repeat.
    """
    wanted = {routed_id(complaint) for complaint in complaints}
    lie_at: dict[UUID, int] = {}
    if wanted:
        async for some in stored_in(bus.client, _STREAM, _ROUTED):
            lie_at |= {one.message_id: one.sequence for one in some if one.message_id in wanted}
    return list(lie_at.values())


async def _store_is_done(bus: Bus) -> bool:
    info = await bus.js.consumer_info(_STREAM, _STORE)
    return not info.num_pending and not info.num_ack_pending
