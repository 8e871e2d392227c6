"""
The canary takes the way of every complaint, on the real bus, through the real router, store and
notifier; it leaves no trace but its own, and says where it stopped.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from bus import codec
from bus.connect import Bus
from bus.contracts import (
    CanaryCarried,
    CanaryFiled,
    CanaryQueued,
    CanaryRouted,
    DeadLetter,
)
from bus.dead import letter_of
from bus.errors import Refused
from bus.files import Files
from bus.service import Service
from bus.topology import STREAMS, ensure_streams, stream_config
from bus.worker import Listener, listen
from channels.intake import Intake
from gateway.audit import audit
from gateway.canary import TEXT, as_canaries, keep_releasing, release
from gateway.canary_settings import CanarySettings
from gateway.city_words import words_of
from gateway.compose import CITIES
from gateway.operator import levers
from gateway.operator.canary import CanaryFigures, CanaryWatch, Hop, State
from gateway.operator.figures import Collector, of_pool
from gateway.operator.finding import Level
from gateway.operator.verdict import judge
from gateway.operator.words import finding_words
from notifier import service as notifier_service
from notifier.console import MailboxSender
from notifier.settings import NotifierSettings
from router import service as router_service
from router.rules import load_city
from router.service import Router, open_router
from store import canaries, housekeeping
from store import service as store_service
from store.canaries import Flight
from store.model import Role
from tests.contract.test_operator_figures import working
from tests.support.facts import SECRET, canary, complaint
from tests.support.product import until
from tests.support.staff import put_account, small_settings, staff_pages
from tests.support.store import hear, to_tell

ALL = ("relay", "store", "router", "notifier")
QUICK = CanarySettings(every=0.5, aim=1.5)
TURN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    city = load_city(CITIES / "independence")
    return open_router(city, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def written(router: Router) -> list[Listener]:
    """What the notifier hears; its templates are made ready once."""
    return notifier_service.listeners(
        NotifierSettings(), words_of(router.city), _tell_later, MailboxSender(),
        base_url="https://report.example.gov",
    )  # fmt: skip


_bus: list[Bus] = []


async def _tell_later(facts: object) -> None:
    await _bus[-1].tell(facts)  # type: ignore[arg-type]


@pytest.fixture
def intake(bus: Bus, files: Files) -> Intake:
    return Intake(secret=SECRET, files=files, tell=as_canaries(bus.tell))


@pytest.fixture
def hearers(
    bus: Bus, pool: asyncpg.Pool, router: Router, written: list[Listener]
) -> Mapping[str, Listener]:
    _bus.append(bus)
    heard = [
        *router_service.listeners(router, bus.tell), *store_service.listeners(pool), *written
    ]  # fmt: skip
    return {one.durable: one for one in heard}


@asynccontextmanager
async def at_work(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], *names: str
) -> AsyncIterator[None]:
    """Services, durables, or the relay, at work."""
    async with AsyncExitStack() as working_:
        for durable, listener in hearers.items():
            if durable in names or durable.partition("_")[0] in names:
                await working_.enter_async_context(working(_hearing(bus, listener)))
        for service in store_service.services(pool, bus.post):
            if service.name in names:
                await working_.enter_async_context(working(service))
        yield


def _hearing(bus: Bus, listener: Listener) -> Service:
    async def run(stop: asyncio.Event) -> None:
        await listen(bus.client, bus.tell, listener, stop)

    return Service(listener.durable, run, (listener.durable,))


async def flights(pool: asyncpg.Pool) -> list[Flight]:
    rows = await pool.fetch(f"SELECT {canaries.COLUMNS} FROM canaries ORDER BY released_at")
    return [Flight(**row) for row in rows]


async def through(pool: asyncpg.Pool, count: int = 1) -> bool:
    return len([one for one in await flights(pool) if one.ended_at]) >= count


async def rows_of_all_tables(pool: asyncpg.Pool) -> dict[str, int]:
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        one["tablename"]: await pool.fetchval(f"SELECT count(*) FROM {one['tablename']}")
        for one in tables
    }


async def look(
    pool: asyncpg.Pool,
    bus: Bus,
    *,
    later: float = 0.0,
    paused: Collection[str] = (),
) -> CanaryFigures:
    """The figures `later` seconds from now."""
    now = datetime.now(UTC) + timedelta(seconds=later)
    async with pool.acquire() as conn:
        books = await canaries.books(conn, now)
    watch = CanaryWatch(CanarySettings(), bus.js)
    found = await watch.look(books, since=None, paused=paused, now=now)
    assert found is not None
    return found


# ── the way ─────────────────────────────────────────────────────────────────────────────────────


async def test_it_comes_through_the_whole_house_and_leaves_no_trace_but_its_own(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router
) -> None:
    before = await rows_of_all_tables(pool)
    async with at_work(bus, pool, hearers, *ALL):
        await release(intake, router.city, TURN)
        await until(lambda: through(pool), within=20)

    [one] = await flights(pool)
    assert None not in (
        one.received_at, one.routed_at, one.filed_at, one.told_at, one.noticed_at
    )  # fmt: skip
    assert one.problem_type == "Pothole/Street Maintenance"
    assert one.department
    assert one.district
    after = await rows_of_all_tables(pool)
    changed = {name for name, count in after.items() if count != before[name]}
    assert changed == {"canaries", "outbox"}
    async with pool.acquire() as conn:
        [told] = await to_tell(conn)
    assert isinstance(told, CanaryFiled)
    assert told.case.text == TEXT
    found = await look(pool, bus)
    assert found.state is State.WELL
    assert found.took is not None
    assert 0 < found.took < 10
    assert set(found.hops) == set(Hop) - {Hop.RELEASED}


async def test_the_books_close_and_complaints_beside_it_are_filed(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router
) -> None:
    async with at_work(bus, pool, hearers, *ALL):
        await release(intake, router.city, TURN)
        await bus.tell([complaint(1), canary(2), complaint(2)])
        await release(intake, router.city, TURN + timedelta(minutes=1))
        await until(lambda: through(pool, 3), within=20)
        found = await audit(pool, bus, patience=20)

    assert (found.closes, found.brought_in) == (True, 0)
    assert str(found.equation) == "received 2 = filed 2 + quarantined 0 + ignored 0 + in flight 0"
    desks = await pool.fetchval("SELECT count(*) FROM cases WHERE status = 'assigned'")
    assert desks == 2
    assert not await pool.fetchval("SELECT count(*) FROM deliveries WHERE notice = 'canary'")


async def test_all_that_is_told_of_it_may_be_told_again_and_in_any_order(
    pool: asyncpg.Pool, hearers: Mapping[str, Listener], router: Router
) -> None:
    one = canary(1)
    [routing] = [
        router_service.canary_routed(one, routed) for routed in router.route([one.complaint])
    ]
    step = {"occurred_at": one.occurred_at, "canary": one.canary, "released_at": one.released_at}
    queued = CanaryQueued(message_id=complaint(3).message_id, notice="receipt", letters=9, **step)
    carried = CanaryCarried(message_id=complaint(4).message_id, **step)

    await hear(pool, "store_complaint", routing)  # before the canary itself
    await hear(pool, "store_complaint", one, routing)
    [known] = await flights(pool)
    assert known.filed_at is not None
    await hear(pool, "store_complaint", routing, one)
    await hear(pool, "store_notice", carried, queued)
    [ended] = await flights(pool)
    assert ended.ended_at is not None
    for _ in range(2):
        await hear(pool, "store_complaint", one, routing)
        await hear(pool, "store_notice", queued, carried)

    assert await flights(pool) == [ended]
    async with pool.acquire() as conn:
        assert [type(fact) for fact in await to_tell(conn)] == [CanaryFiled]
    assert await pool.fetchval("SELECT heard FROM canaries") is None


async def test_however_many_send_it_off_there_is_one_in_each_turn(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router
) -> None:
    stop = asyncio.Event()
    async with at_work(bus, pool, hearers, *ALL):
        work = [
            asyncio.create_task(keep_releasing(intake, router.city, 1.0, stop)) for _ in range(3)
        ]
        await until(lambda: through(pool, 2), within=20)
        stop.set()
        await asyncio.gather(*work)
    released = [one.released_at for one in await flights(pool)]
    turns = [at.replace(microsecond=0) for at in released]
    assert len(set(turns)) == len(turns)
    assert (await bus.js.stream_info("COMPLAINTS")).state.messages <= 2 * len(turns) + 1


async def test_what_could_not_be_sent_off_misses_its_turn_and_no_more(
    bus: Bus, intake: Intake, router: Router
) -> None:
    await bus.js.delete_stream("COMPLAINTS")
    stop = asyncio.Event()
    work = asyncio.create_task(keep_releasing(intake, router.city, 0.3, stop))
    await asyncio.sleep(0.5)
    await ensure_streams(bus.js)

    async def sent_off() -> bool:
        return (await bus.js.stream_info("COMPLAINTS")).state.messages > 0

    await until(sent_off, within=10)
    stop.set()
    await work


async def test_the_streams_forget_it_long_before_complaints(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(codec._LASTS, canary(1).tag, {"Nats-TTL": "1"})
    await bus.tell([canary(number) for number in range(20)])  # as one batch
    await bus.tell([complaint(1), canary(30)])

    async def only_the_complaint() -> bool:
        return (await bus.js.stream_info("COMPLAINTS")).state.messages == 1

    await until(only_the_complaint, within=10)
    assert (await bus.js.get_last_msg("COMPLAINTS", "complaint.>")).subject == (
        "complaint.received.web"
    )


async def test_a_stream_from_before_there_were_canaries_takes_them(bus: Bus) -> None:
    [stream] = [one for one in STREAMS if one.name == "COMPLAINTS"]
    before = stream_config(stream, 1)
    before.allow_msg_ttl = None
    await bus.js.delete_stream("COMPLAINTS")
    await bus.js.add_stream(before)
    await bus.tell([complaint(1)])
    with pytest.raises(Refused):
        await bus.tell([canary(1)])

    await ensure_streams(bus.js)

    await bus.tell([canary(1)])
    assert (await bus.js.stream_info("COMPLAINTS")).state.messages == 2


async def test_old_ones_are_swept(pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    await hear(pool, "store_complaint", canary(1, occurred_at=now - timedelta(days=36)))
    await hear(pool, "store_complaint", canary(2, occurred_at=now - timedelta(days=34)))
    async with pool.acquire() as conn:
        assert await housekeeping.sweep(conn, now) == 1
    assert len(await flights(pool)) == 1


# ── where it stops ──────────────────────────────────────────────────────────────────────────────


async def test_each_step_that_it_does_not_reach_names_who_has_it(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router
) -> None:
    """Nobody works at first; then one after the other begins, in the order of the way."""
    async with at_work(bus, pool, hearers, *ALL):  # one came through before
        await release(intake, router.city, TURN)
        await until(lambda: through(pool), within=20)

    async def stops(hop: Hop, service: str) -> bool:
        found = await look(pool, bus, later=200)
        assert found.state is State.LOST
        assert found.stop is not None
        return (found.stop.hop, found.stop.service) == (hop, service)

    assert await stops(Hop.RELEASED, "web")
    await release(intake, router.city, TURN + timedelta(minutes=1))
    assert await stops(Hop.RECEIVED, "store")
    async with AsyncExitStack() as begun:
        for name, hop, service in (
            ("store_complaint", Hop.ROUTED, "router"),
            ("router", Hop.TOLD, "store"),
            ("relay", Hop.TOLD, "notifier"),
            ("notifier_case", Hop.NOTICE, "notifier"),
            ("notifier_notice_queued", Hop.RECORDED, "store"),
        ):
            await begun.enter_async_context(at_work(bus, pool, hearers, name))
            await until(lambda hop=hop, service=service: stops(hop, service), within=10)  # type: ignore[misc]
        await begun.enter_async_context(at_work(bus, pool, hearers, "store_notice"))
        await until(lambda: through(pool, 2), within=10)
    assert (await look(pool, bus)).state is State.WELL


@asynccontextmanager
async def collecting(bus: Bus, pool: asyncpg.Pool, folder: Path) -> AsyncIterator[Collector]:
    collector = Collector(
        bus, of_pool(pool), data=folder, zone=ZoneInfo("America/Chicago"), channels={},
        canary=CanaryWatch(QUICK, bus.js, datetime.now(UTC)),
    )  # fmt: skip
    async with collector.opened():
        yield collector


async def test_without_a_router_the_page_says_so_within_the_turn_and_all_is_well_again_with_it(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("gateway.operator.figures._AT_MOST_EVERY", 0.0)
    monkeypatch.setattr("gateway.operator.figures._ANSWERS", 0.05)
    stop = asyncio.Event()
    async with (
        collecting(bus, pool, tmp_path) as collector,
        at_work(bus, pool, hearers, "store", "relay", "notifier"),
    ):
        work = asyncio.create_task(keep_releasing(intake, router.city, QUICK.every, stop))

        async def state(*wanted: State) -> bool:
            found = (await collector.latest()).canary
            return found is not None and found.state in wanted

        async with at_work(bus, pool, hearers, "router"):
            await until(lambda: state(State.WELL), within=20)
        await until(lambda: state(State.LATE), within=5)
        await until(lambda: state(State.LOST), within=5)
        figures = await collector.latest()
        [finding] = [one for one in judge(figures).findings if one.cause == "canary_lost"]
        assert finding.level is Level.WRONG
        assert "look at the service router" in finding_words(finding)
        async with at_work(bus, pool, hearers, "router"):
            await until(lambda: state(State.WELL), within=20)
        stop.set()
        await work


async def test_a_pause_is_no_loss_and_names_what_is_paused(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router
) -> None:
    durable = "router_complaint_received"
    async with at_work(bus, pool, hearers, *ALL):
        await release(intake, router.city, TURN)
        await until(lambda: through(pool), within=20)
        async with pool.acquire() as conn:
            await levers.pause(
                conn, bus, durable, until=datetime.now(UTC) + timedelta(hours=1), by="olga",
                why="x",
            )  # fmt: skip
        await release(intake, router.city, TURN + timedelta(minutes=1))
        await until(lambda: _received(pool, 2), within=10)
        found = await look(pool, bus, later=600, paused={durable})
        assert (found.state, found.paused) == (State.PAUSED, durable)
        assert (await look(pool, bus, later=600)).state is State.LOST
        async with pool.acquire() as conn:
            await levers.resume(conn, bus, durable, by="olga")
        await until(lambda: through(pool, 2), within=20)


async def _received(pool: asyncpg.Pool, count: int) -> bool:
    return len([one for one in await flights(pool) if one.received_at]) == count


async def test_one_that_nobody_can_handle_lies_in_its_own_book_with_the_reason(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    one = canary(1, occurred_at=datetime.now(UTC))
    await bus.tell([one])
    subscription = await bus.js.pull_subscribe("complaint.canary_received", durable="a_test")
    [message] = await subscription.fetch(1)
    letter = letter_of(
        message, durable="router_complaint_received", fact=one, reason=Refused("no such word")
    )
    await hear(pool, "store_complaint", one)
    for _ in range(2):
        await hear(pool, "store_dead", letter, _of_a_complaint(letter))

    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 1  # the complaint's
    assert await pool.fetchval("SELECT count(*) FROM complaints") == 1
    [known] = await flights(pool)
    assert known.buried_by == "router_complaint_received"
    found = await look(pool, bus, later=200)
    assert found.stop is not None
    assert (found.stop.hop, found.stop.service) == (Hop.ROUTED, "router")
    assert found.reason == "Refused: no such word"


def _of_a_complaint(letter: DeadLetter) -> DeadLetter:
    told = complaint(1)
    return letter.model_copy(
        update={
            "message_id": told.message_id,
            "original_subject": "complaint.received.web",
            "complaint_id": told.message_id,
            "headers": {"Buckstop-Contract": told.tag},
        }
    )


async def test_one_that_was_overtaken_is_told(
    bus: Bus, pool: asyncpg.Pool, hearers: Mapping[str, Listener], intake: Intake, router: Router
) -> None:
    async with at_work(bus, pool, hearers, *ALL):
        now = datetime.now(UTC)
        # As if its routing had been lost with a stream: it was taken in, and nothing more is told.
        await hear(pool, "store_complaint", canary(7, occurred_at=now - timedelta(minutes=5)))
        await release(intake, router.city, TURN)
        await until(lambda: through(pool), within=20)
    found = await look(pool, bus)
    assert found.state is State.WELL
    assert len(found.overtaken) == 1


# ── page, metrics ───────────────────────────────────────────────────────────────────────────────


async def test_the_page_and_the_metrics_say_when_it_came_and_how_long_each_step_took(
    bus: Bus, pool: asyncpg.Pool, files: Files, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    one = canary(1, occurred_at=now - timedelta(seconds=2))
    step = {"occurred_at": now, "canary": one.canary, "released_at": one.released_at}
    routing = CanaryRouted(message_id=complaint(3).message_id, **step)
    await hear(pool, "store_complaint", one, routing)
    await hear(
        pool, "store_notice",
        CanaryQueued(message_id=complaint(4).message_id, notice="receipt", letters=9, **step),
        CanaryCarried(message_id=complaint(5).message_id, **step),
    )  # fmt: skip
    await put_account(pool, "olga.op", [Role.OPERATOR])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as reader:
        await reader.sign_in("olga.op")
        page = await reader.read("/ops")
        metrics = await reader.read("/metrics")
        as_json = json.loads(await reader.read("/ops/figures.json"))

    assert "The last came through" in page
    assert "All is well" in page
    assert as_json["canary"]["state"] == "well"
    assert as_json["canary"]["last"]["id"] == str(one.canary)
    assert "buckstop_canary_last_success_timestamp_seconds 1." in metrics
    for hop in ("received", "routed", "filed", "told", "notice", "recorded"):
        assert f'buckstop_canary_hop_seconds{{hop="{hop}"}}' in metrics
    assert "buckstop_canary_stopped_seconds{" not in metrics
