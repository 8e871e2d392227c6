"""The operators' figures, from a real bus and real books: page, stream of events, metrics."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bus.connect import Bus
from bus.files import Files
from bus.service import Service
from bus.signs import Place, Sign, answer
from bus.worker import listen
from gateway.operator import figures as figures_
from gateway.operator.expiring import Door
from gateway.operator.figures import Collector, of_pool
from gateway.operator.verdict import judge
from store.model import Role
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from store.service import listeners
from tests.support.facts import complaint
from tests.support.graves import dead
from tests.support.staff import Reader, put_account, small_settings, staff_pages
from tests.support.store import file, hear, routed

MAILBOX = "help@independence.example"


@asynccontextmanager
async def working(service: Service) -> AsyncIterator[None]:
    stop = asyncio.Event()
    work = asyncio.create_task(service.run(stop))
    yield
    stop.set()
    await work


def the_store(bus: Bus, pool: asyncpg.Pool) -> Service:
    [listener] = [one for one in listeners(pool) if one.durable == "store_complaint"]

    async def run(stop: asyncio.Event) -> None:
        await listen(bus.client, bus.tell, listener, stop)

    return Service("store", run, (listener.durable,))


def speaking(bus: Bus, *durables: str, trouble: str = "") -> Service:
    place = Place(channel="email", place=MAILBOX, looked_at=datetime.now(UTC), trouble=trouble)
    sign = Sign(
        process="here:1",
        services=("store", "channels"),
        durables=durables,
        places=(place,),
        started_at=datetime.now(UTC),
    )

    async def run(stop: asyncio.Event) -> None:
        await answer(bus.client, lambda: sign, stop)

    return Service("signs of life", run)


@asynccontextmanager
async def collecting(
    bus: Bus, pool: asyncpg.Pool, folder: Path, *, doors: Sequence[Door] = ()
) -> AsyncIterator[Collector]:
    collector = Collector(
        bus, of_pool(pool), data=folder, zone=ZoneInfo("America/Chicago"),
        channels={"web": False, "email": True}, doors=doors,
    )  # fmt: skip
    async with collector.opened():
        yield collector


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for that long in a test; what is decided stays the same."""
    monkeypatch.setattr(figures_, "_AT_MOST_EVERY", 0.0)
    monkeypatch.setattr(figures_, "_ANSWERS", 0.3)
    monkeypatch.setattr(figures_, "SILENT_AFTER", 1.0)


async def test_the_figures_are_those_of_the_bus_and_of_the_books(
    bus: Bus, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    async with (
        collecting(bus, pool, tmp_path) as collector,
        working(the_store(bus, pool)),
        working(speaking(bus, "store_complaint")),
    ):
        await bus.tell([complaint(1), complaint(2)])
        await asyncio.sleep(0.5)
        await collector.latest()
        await bus.tell([complaint(3), complaint(4)])
        await asyncio.sleep(1.1)  # sums are taken once a second at most
        found = await collector.latest()

    assert found.bus is not None
    assert found.store is not None
    assert judge(found).findings == ()
    streams = {one.look.name: one for one in found.bus.streams}
    assert list(streams) == ["COMPLAINTS", "CASES", "NOTICES", "DEAD"]
    assert streams["COMPLAINTS"].look.messages == 4
    rate = streams["COMPLAINTS"].rate
    assert rate is not None
    assert 1.0 < rate < 4.0
    [durable] = found.bus.durables
    assert (durable.look.waiting, durable.look.in_hand, durable.age) == (0, 0, None)
    assert durable.rate_out is not None
    assert durable.rate_out > 1.0
    assert found.store.ever.filed == found.store.ever.received == 4
    assert found.store.channels["web"].last is not None
    assert found.store.outbox.count == 4  # nobody tells them here
    email = next(one for one in found.bus.channels if one.name == "email")
    assert [place.place for place in email.places] == [MAILBOX]
    assert found.disk is not None


async def test_a_service_that_stopped_is_told_with_what_waits_for_it(
    bus: Bus, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    async with collecting(bus, pool, tmp_path) as collector:
        async with working(the_store(bus, pool)), working(speaking(bus, "store_complaint")):
            await bus.tell([complaint(1)])
            await asyncio.sleep(0.5)
            assert judge(await collector.latest()).findings == ()
        await bus.tell([complaint(2), complaint(3)])
        await collector.latest()
        await asyncio.sleep(1.1)
        found = await collector.latest()

        assert found.bus is not None
        [durable] = found.bus.durables
        assert durable.unheard
        assert durable.look.waiting == 2
        assert durable.age is not None
        assert 1.0 < durable.age < 30.0
        causes = {one.cause: one for one in judge(found).findings}
        assert causes["service_silent"].values["waiting"] == 2
        assert "channel_silent" in causes

        async with working(the_store(bus, pool)), working(speaking(bus, "store_complaint")):
            await asyncio.sleep(0.5)
            assert judge(await collector.latest()).findings == ()


async def test_a_mailbox_in_trouble_is_told_in_its_own_words(
    bus: Bus, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    wrong = "The password is not accepted."
    async with (
        collecting(bus, pool, tmp_path) as collector,
        working(speaking(bus, trouble=wrong)),
    ):
        [one] = judge(await collector.latest()).findings

    assert (one.cause, one.values["trouble"]) == ("place_in_trouble", wrong.rstrip("."))


async def test_without_postgres_the_bus_is_still_shown(bus: Bus, dsn: str, tmp_path: Path) -> None:
    async with open_pool(PoolSettings(dsn=dsn)) as pool:
        async with collecting(bus, pool, tmp_path) as collector, working(speaking(bus)):
            assert (await collector.latest()).store is not None
            pool.terminate()  # as when the server is gone: every question fails
            found = await collector.latest()

    assert found.store is None
    assert found.bus is not None
    assert [one.cause for one in judge(found).findings] == ["store_away"]


async def test_all_who_ask_at_once_share_one_look(
    bus: Bus, pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_, "_AT_MOST_EVERY", 1.0)
    asked: list[str] = []

    async def ask(subject: str, *rest: object, **more: object) -> object:
        asked.append(subject)
        return await request(subject, *rest, **more)

    request = bus.client.request
    monkeypatch.setattr(bus.client, "request", ask)
    async with collecting(bus, pool, tmp_path) as collector, working(speaking(bus)):
        looks = await asyncio.gather(*(collector.latest() for _ in range(20)))

    assert len({look.at for look in looks}) == 1
    assert len(asked) == 5  # the streams, and the durables of each of four


# ── the pages ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    await put_account(pool, "pat.moore", [Role.LEAD])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def test_the_page_says_all_is_well_and_only_to_operators(
    reader: Reader, bus: Bus, pool: asyncpg.Pool
) -> None:
    for path in ("/ops", "/ops/live", "/ops/figures.json"):
        await reader.read(path, 303)
    await reader.sign_in("pat.moore")
    for path in ("/ops", "/ops/live", "/ops/figures.json"):
        await reader.read(path, 403)
    assert 'href="/ops"' not in await reader.read("/staff")

    await reader.sign_in("olga.op")
    told = complaint(1)
    await file(pool, told, routed(told))
    page = await reader.read("/ops")
    assert "All is well" in page
    assert "COMPLAINTS" in page
    assert 'href="/ops"' in page
    assert "Rosa" not in page
    as_json = json.loads(await reader.read("/ops/figures.json"))
    assert (as_json["level"], as_json["findings"]) == ("well", [])
    assert as_json["store"]["ever"]["filed"] == 1


async def test_the_stream_tells_what_changes_and_ends_for_who_may_not_watch_any_more(
    reader: Reader, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operator.ops_page.EVERY", 0.1)
    monkeypatch.setattr("gateway.operator.ops_page._STILL_ALLOWED", 0.5)
    await reader.sign_in("olga.op")
    async with asyncio.timeout(20), reader.client.get("/ops/live") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = await _event(answer.content)
        assert first["level"] == "well"
        assert "All is well" in first["html"]

        await put_account(pool, "olga.op", [Role.OPERATOR], active=False)
        while (line := await answer.content.readline()) and line != b"event: over\n":
            pass
        assert line == b"event: over\n"


async def _event(stream: asyncio.StreamReader) -> dict[str, str]:
    while True:
        line = await stream.readline()
        if line.startswith(b"data: {"):
            event: dict[str, str] = json.loads(line[6:])
            return event


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────


async def test_metrics_hold_the_figures_and_the_requests(
    reader: Reader, bus: Bus, pool: asyncpg.Pool
) -> None:
    told = complaint(1)
    await file(pool, told, routed(told))
    async with working(the_store(bus, pool)):
        await bus.tell([told])
        await asyncio.sleep(0.5)
        text = await reader.read("/metrics")

    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["buckstop_up", "bus"] == found["buckstop_up", "store"] == 1
    assert found["buckstop_ledger_messages", "ever", "filed"] == 1
    assert found["buckstop_ledger_closes",] == 1
    assert found["buckstop_dead_letters",] == 0
    assert found["buckstop_durable_oldest_seconds", "COMPLAINTS", "store", "store_complaint"] == 0
    assert (
        found["buckstop_durable_messages_answered_total", "COMPLAINTS", "store", "store_complaint"]
        == 1
    )
    assert "Rosa" not in text
    again = await reader.read("/metrics")
    assert 'route="/metrics",status="200"' in again


async def test_an_address_appears_in_the_metrics_as_its_route(reader: Reader) -> None:
    await reader.sign_in("olga.op")
    await reader.read(f"/staff/cases/{complaint(1).message_id}", 404)
    await reader.client.get("/nobody/rosa@resident.example")
    text = await reader.read("/metrics")
    assert 'route="/staff/cases/{case}",status="404"' in text
    assert 'route="unknown",status="404"' in text
    assert "rosa" not in text
    assert str(complaint(1).message_id) not in text


async def test_metrics_are_for_this_machine_or_for_who_bears_the_token(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> None:
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as reader:
        answer = await reader.client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
        assert answer.status == 403
    settings = small_settings(tmp_path, metrics_token="open sesame")
    async with staff_pages(pool, bus, files, None, settings) as reader:
        await reader.read("/metrics", 401)
        for word, status in (("open sesame", 200), ("guessed", 401)):
            answer = await reader.client.get(
                "/metrics", headers={"Authorization": f"Bearer {word}"}
            )
            assert answer.status == status


async def test_dead_letters_are_in_all_of_them(reader: Reader, pool: asyncpg.Pool) -> None:
    await hear(pool, "store_dead", dead(1))
    await reader.sign_in("olga.op")
    page = await reader.read("/ops")
    assert "Messages that nobody could handle wait as dead letters: 1." in page
    assert "buckstop_dead_letters 1.0" in await reader.read("/metrics")
