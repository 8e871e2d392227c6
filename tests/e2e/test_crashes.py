"""Killed at any moment, as often as it takes: nothing acknowledged is lost, nothing comes twice."""

import asyncio
import os
import random
import signal
from contextlib import suppress
from itertools import islice
from pathlib import Path
from uuid import UUID

import aiohttp
import nats
import nats.errors
import nats.js.errors
import pytest

from tests.support.product import Answer, Product, ended
from tests.support.reports import reports, write_reports

COUNT = 300

PER_CASE = """
    SELECT c.id, c.reference, c.status, c.department, c.reporter_email,
           (SELECT count(*) FROM events e WHERE e.case_id = c.id AND e.kind = 'opened') AS opened,
           (SELECT count(*) FROM events e WHERE e.case_id = c.id AND e.kind = 'routed') AS routed,
           (SELECT count(*) FROM deliveries d
            WHERE d.case_id = c.id AND d.notice = 'receipt') AS receipts,
           (SELECT count(*) FROM deliveries d
            WHERE d.case_id = c.id AND d.notice = 'assignment') AS assignments,
           (SELECT count(*) FROM deliveries d
            WHERE d.case_id = c.id AND d.settled_at IS NULL) AS unsettled
    FROM cases c
"""


@pytest.mark.timeout(400)
async def test_killed_ten_times_while_a_file_is_submitted(product: Product, folder: Path) -> None:
    """
    `buckstop submit` runs on through it all and waits by itself. Every line is one case, routed,
    its assignee told once; the same file again brings nothing new.
    """
    file = write_reports(folder / "reports.jsonl", COUNT)
    await product.start()
    submitting = product.begin("submit", file)
    for turn in range(10):
        await _something_happens(product)
        await product.kill(engines=turn % 2 == 1)
        await product.start()
    submitted = await ended(submitting)

    assert submitted.code == 0, submitted.err
    assert len(submitted.lines) == COUNT
    await _one_case_each(product, submitted)

    again = await product.ask("submit", file)
    assert again.lines == submitted.lines
    await _one_case_each(product, submitted)
    assert await product.stop() == 0, product.said


async def test_an_engine_killed_alone_while_a_file_is_submitted(
    product: Product, folder: Path
) -> None:
    """nats-server and PostgreSQL die and are started again; the process goes on."""
    file = write_reports(folder / "reports.jsonl", COUNT)
    await product.start()
    process = product.process
    submitting = product.begin("submit", file)
    for turn in range(4):
        await _something_happens(product)
        victim = product.postgres_pid if turn % 2 else product.nats_pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        await _replaced(product, victim)
    submitted = await ended(submitting)

    assert submitted.code == 0, submitted.err
    assert len(submitted.lines) == COUNT
    assert product.process is process
    assert product.running
    await product.ready()
    await _one_case_each(product, submitted)
    assert await product.stop() == 0, product.said


@pytest.mark.timeout(240)
async def test_killed_while_residents_send_their_reports(product: Product) -> None:
    """
    What a resident's browser was told to be received is a case, whoever dies: the whole process,
    nats-server or PostgreSQL. One that sends again until it is answered gets one case.
    """
    count = 120
    await product.start()
    async with aiohttp.ClientSession() as browser, asyncio.TaskGroup() as residents:
        sending = [
            residents.create_task(_send(browser, product, report))
            for report in islice(reports(), count)
        ]

        async def crash() -> None:
            for turn in range(4):
                enough = (turn + 1) * count // 5
                while sum(one.done() for one in sending) < enough:
                    await asyncio.sleep(0.01)
                if turn == 0:
                    os.kill(product.nats_pid or 0, signal.SIGKILL)
                elif turn == 1:
                    os.kill(product.postgres_pid or 0, signal.SIGKILL)
                else:
                    await product.kill(engines=turn == 3)
                    await product.start()

        residents.create_task(crash())
    answered = [one.result() for one in sending]

    assert len(set(answered)) == count
    await product.settled(count)
    async with product.database() as database:
        cases = await database.fetch("SELECT id, reference FROM cases")
    assert {(row["id"], row["reference"]) for row in cases} == set(answered)
    audit = await product.ask("audit")
    assert audit.code == 0, audit
    assert audit.out.startswith(f"received {count} = filed {count} + quarantined 0"), audit
    assert await product.stop() == 0, product.said


async def _send(
    browser: aiohttp.ClientSession, product: Product, report: dict[str, object]
) -> tuple[UUID, str]:
    """Sends a report until it is answered, at some moment of the crashes."""
    await asyncio.sleep(random.uniform(0, 10))
    key = str(report["external_id"])
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with browser.post(
                f"{product.url}/channels/web",
                json={name: value for name, value in report.items() if name != "external_id"},
                headers={"Idempotency-Key": key},
                timeout=aiohttp.ClientTimeout(20),
            ) as answer:
                if answer.status == 200:
                    said = await answer.json()
                    return UUID(said["id"]), said["reference"]
                assert answer.status >= 500, await answer.text()
        await asyncio.sleep(0.3)


async def _something_happens(product: Product, within: float = 1.5) -> None:
    """Returns in the middle of things: a moment after the next message is stored, if one is."""
    clock = asyncio.get_running_loop().time
    until, before = clock() + within, None
    with suppress(nats.errors.Error, nats.js.errors.Error, OSError):
        client = await nats.connect(product.address["nats_url"], allow_reconnect=False)
        try:
            while clock() < until:
                info = await client.jetstream(timeout=within).stream_info("COMPLAINTS")
                if before is not None and info.state.last_seq > before:
                    break
                before = info.state.last_seq
                await asyncio.sleep(0.002)
        finally:
            await client.close()
    await asyncio.sleep(random.uniform(0, 0.05))


async def _replaced(product: Product, victim: int) -> None:
    """Returns once the process does not work with the engine `victim` any more, but is ready."""
    async with asyncio.timeout(30):
        while victim in (product.nats_pid, product.postgres_pid):
            await asyncio.sleep(0.05)
    await product.ready()


async def _one_case_each(product: Product, submitted: Answer) -> None:
    """Every reference that was given out is one case: opened, routed and told of once."""
    await product.settled(COUNT)
    async with product.database() as database:
        cases = await database.fetch(PER_CASE)
    assert {row["reference"] for row in cases} == {
        str(line["reference"]) for line in submitted.lines
    }
    assert len(cases) == COUNT
    for row in cases:
        assert row["status"] == ("assigned" if row["department"] else "triage")
        assert (row["opened"], row["routed"], row["receipts"]) == (1, 1, 1)
        assert row["assignments"] == (1 if row["department"] else 0)
        assert row["unsettled"] == 0
    assert sum(row["assignments"] for row in cases) > COUNT // 4
    audit = await product.ask("audit")
    assert audit.out.splitlines() == [
        f"received {COUNT} = filed {COUNT} + quarantined 0 + ignored 0 + in flight 0"
    ]
    assert audit.code == 0, audit
