"""The audit: what the stream holds and the ledger lacks is brought in, whole and once."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from bus.connect import Bus
from bus.worker import listen
from gateway.audit import audit
from store.service import listeners
from tests.support.facts import complaint
from tests.support.store import routed

STATES = "SELECT status, assignee FROM cases ORDER BY reference"
# As a backup from before they came has it.
FORGET = "TRUNCATE complaints, cases, inbox, outbox, events RESTART IDENTITY CASCADE"


@pytest.fixture
async def store(bus: Bus, pool: asyncpg.Pool) -> AsyncIterator[None]:
    """The store's listener of complaints, at work."""
    (listener,) = [one for one in listeners(pool) if one.durable == "store_complaint"]
    stop = asyncio.Event()
    work = asyncio.create_task(listen(bus.client, bus.tell, listener, stop))
    yield
    stop.set()
    await work


async def test_what_all_services_know_closes_the_equation(
    store: None, bus: Bus, pool: asyncpg.Pool
) -> None:
    await bus.tell([complaint(1), complaint(2)])

    found = await audit(pool, bus, patience=20)

    assert found.closes
    assert found.brought_in == 0
    assert str(found.equation) == "received 2 = filed 2 + quarantined 0 + ignored 0 + in flight 0"


async def test_after_an_old_backup_complaints_come_back_with_their_place(
    store: None, bus: Bus, pool: asyncpg.Pool
) -> None:
    """Minutes after they were told, when the stream would take a new routing for a repeat."""
    heard = [complaint(1), complaint(2)]
    await bus.tell([*heard, *(routed(one) for one in heard)])
    await audit(pool, bus, patience=20)
    before = await _states(pool, "assigned")
    await pool.execute(FORGET)

    found = await audit(pool, bus, patience=20)

    assert (found.closes, found.brought_in) == (True, 2)
    assert await _states(pool, "assigned") == before
    assert (await audit(pool, bus, patience=20)).brought_in == 0


async def test_what_nobody_files_keeps_it_open(bus: Bus, pool: asyncpg.Pool) -> None:
    await bus.tell([complaint(1)])
    (listener,) = [one for one in listeners(pool) if one.durable == "store_complaint"]
    stop = asyncio.Event()
    stop.set()
    await listen(bus.client, bus.tell, listener, stop)  # it is known, and at rest

    found = await audit(pool, bus, patience=1)

    assert not found.closes
    assert found.equation.in_flight == 1


async def _states(pool: asyncpg.Pool, wanted: str) -> list[tuple[str, str | None]]:
    """Status and assignee of every case, once all have the status `wanted`."""
    async with asyncio.timeout(20):
        while True:
            rows = [(row["status"], row["assignee"]) for row in await pool.fetch(STATES)]
            if len(rows) == 2 and all(status == wanted for status, _ in rows):
                return rows
            await asyncio.sleep(0.05)
