"""One complaint followed through the real bus and the real books: page and command."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from bus.connect import Bus
from bus.contracts import ComplaintReceived, NoticeQueued, NoticeSent
from bus.files import Files
from bus.identity import complaint_id, fact_id
from bus.topology import ensure_durable
from gateway.operator.follow import Mark, Station, follow, search, sought_in
from store.model import Role
from tests.contract.test_operator_commands import ask
from tests.support.facts import NOON, SECRET, complaint
from tests.support.graves import dead
from tests.support.product import clean_environment
from tests.support.staff import (
    Reader,
    goes_to,
    put_account,
    small_settings,
    staff_pages,
    token_in,
)
from tests.support.store import file, hear, routed


def queued(told: ComplaintReceived) -> NoticeQueued:
    return NoticeQueued(
        message_id=fact_id("receipt", told.message_id), occurred_at=NOON,
        case_id=told.message_id, reference=told.reference, notice="receipt", medium="email",
        recipient="rosa@resident.example", text="Thank you, Rosa",
    )  # fmt: skip


def sent(notice: NoticeQueued) -> NoticeSent:
    return NoticeSent(
        message_id=fact_id("sent", notice.message_id), occurred_at=NOON,
        notice_id=notice.message_id, case_id=notice.case_id, medium="email", sender="smtp",
        provider_id="<our-mail@independence.example>",
    )  # fmt: skip


async def whole_way(bus: Bus, pool: asyncpg.Pool, number: int = 1) -> ComplaintReceived:
    """A complaint that was told, routed, filed, and whose reporter has a mail."""
    told = complaint(number)
    await bus.tell([told, routed(told)])
    await file(pool, told, routed(told))
    notice = queued(told)
    await hear(pool, "store_notice", notice)
    await hear(pool, "store_notice", sent(notice))
    return told


@pytest.mark.parametrize(
    "typed",
    [
        "{reference}",
        "816-555-0142",
        "+1 (816) 555-0142",
        "Rosa@Resident.example",
        "{id}",
        "<our-mail@independence.example>",
        "{token}",
    ],
)
async def test_it_is_found_by_whatever_an_operator_has(
    bus: Bus, pool: asyncpg.Pool, typed: str
) -> None:
    told = await whole_way(bus, pool)
    await file(pool, complaint(2, reporter={"phone": "+18165550999"}))
    sought = sought_in(
        typed.format(reference=told.reference, id=told.message_id, token=told.external_id), SECRET
    )
    assert sought is not None

    async with pool.acquire() as conn:
        assert [one.id for one in await search(conn, bus, sought)] == [told.message_id]


async def test_every_hop_is_there_in_order(bus: Bus, pool: asyncpg.Pool) -> None:
    told = await whole_way(bus, pool)
    async with pool.acquire() as conn:
        trace = await follow(conn, bus, told.message_id)

    assert dict(trace.stations) == {
        Station.CHANNEL: Mark.DONE,
        Station.BUS: Mark.DONE,
        Station.ROUTER: Mark.DONE,
        # Nobody tells the outbox here.
        Station.STORE: Mark.WAITS,
        Station.NOTIFIER: Mark.DONE,
    }
    assert [hop.at for hop in trace.hops] == sorted(hop.at for hop in trace.hops)
    assert [hop.passed.sequence for hop in trace.hops if hop.passed] == [1, 2]
    assert {hop.fact for hop in trace.hops if hop.fact} >= {"case.opened", "case.assigned"}
    [notice] = [hop for hop in trace.hops if hop.notice]
    assert (notice.by, notice.tries, notice.mark) == ("smtp", 1, Mark.DONE)
    assert {"opened", "routed"} <= {hop.event.kind for hop in trace.hops if hop.event}


async def test_a_complaint_that_the_books_lack_is_found_on_the_bus_with_whom_it_waits_for(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    told = complaint(7, channel="sms", external_id="SM" + "7" * 32)
    told = told.model_copy(update={"message_id": complaint_id("sms", told.external_id)})
    await ensure_durable(
        bus.js, stream="COMPLAINTS", durable="store_complaint", contracts=(ComplaintReceived,),
        ack_wait=15, max_ack_pending=10,
    )  # fmt: skip
    await bus.tell([complaint(6), told])
    sought = sought_in("SM" + "7" * 32, SECRET)
    assert sought is not None

    async with pool.acquire() as conn:
        [found] = await search(conn, bus, sought)
        trace = await follow(conn, bus, found.id)

    assert (found.id, found.state) == (told.message_id, "received")
    [hop] = trace.hops
    assert hop.passed is not None
    assert hop.passed.waits_for == ("store_complaint",)
    assert dict(trace.stations)[Station.STORE] is Mark.WAITS


async def test_where_it_died_it_is_stuck_until_somebody_looks_after_it(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    await hear(pool, "store_dead", dead(1))
    async with pool.acquire() as conn:
        trace = await follow(conn, bus, complaint(1).message_id)

    stuck = [station for station, mark in trace.stations if mark is Mark.STUCK]
    [letter] = [hop for hop in trace.hops if hop.letter]
    assert stuck == [letter.station]
    assert letter.tries == dead(1).tries


async def test_without_a_bus_the_books_still_tell(bus: Bus, pool: asyncpg.Pool) -> None:
    told = await whole_way(bus, pool)
    async with pool.acquire() as conn:
        trace = await follow(conn, None, told.message_id)

    assert not trace.bus_asked
    assert trace.known


# ── page and command ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    await put_account(pool, "pat.moore", [Role.LEAD])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def test_the_page_is_for_operators_and_puts_nothing_personal_into_an_address_or_a_log(
    reader: Reader, bus: Bus, pool: asyncpg.Pool
) -> None:
    told = await whole_way(bus, pool)
    await file(pool, complaint(2))  # by the same phone
    here = f"/ops/follow/{told.message_id}"
    for path in ("/ops/follow", here):
        await reader.read(path, 303)
    await reader.sign_in("pat.moore")
    for path in ("/ops/follow", here):
        await reader.read(path, 403)

    await reader.sign_in("olga.op")
    form = await reader.read("/ops/follow")
    with capture_logs() as lines:
        several = await reader.send("/ops/follow", {"what": "816-555-0142"}, form)
    assert [line["found"] for line in lines if line["event"] == "complaints looked for"] == [2]
    assert "0142" not in str(lines)
    listed = await several.text()
    assert several.status == 200
    assert listed.count('href="/ops/follow/') >= 2
    assert "0142" not in str(several.url)
    one = await reader.send("/ops/follow", {"what": told.reference}, form)
    assert goes_to(one) == here
    page = await reader.read(here)
    assert told.reference in page
    assert "/staff/notices/" in page
    assert "Rosa" not in page

    nothing = await reader.send("/ops/follow", {"what": "no such thing"}, form)
    assert nothing.status == 404
    assert 'value="no such thing"' in await nothing.text()
    assert (await reader.send("/ops/follow", {"what": "  "}, form)).status == 422
    await reader.read(f"/ops/follow/{UUID(int=7)}", 404)
    await reader.read("/ops/follow/nothing", 404)
    refused = await reader.client.post("/ops/follow", data={"what": told.reference})
    assert refused.status == 403  # a form without its token
    assert token_in(form)


async def test_the_command_tells_the_same(
    bus: Bus, pool: asyncpg.Pool, dsn: str, nats_url: str
) -> None:
    told = await whole_way(bus, pool)
    environment = clean_environment() | {
        "BUCKSTOP__STORE__DSN": dsn, "BUCKSTOP__BUS__URL": nats_url, "COLUMNS": "200",
        "BUCKSTOP__SECRET": SECRET.decode() + "x" * 8,
    }  # fmt: skip
    answer = await ask(environment, "bus", "trace", told.reference, "--format", "json")
    assert answer.code == 0, answer.err
    trace = json.loads(answer.out)
    assert trace["case"]["reference"] == told.reference
    assert {hop["station"] for hop in trace["hops"]} >= {"channel", "bus", "router", "notifier"}
    assert "Rosa" not in answer.out

    text = await ask(environment, "bus", "trace", str(told.message_id))
    assert (text.code, told.reference in text.out) == (0, True), text.err
