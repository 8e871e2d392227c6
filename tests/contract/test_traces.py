"""Traces on a real bus and a real outbox: which hop follows from which, whoever repeats or dies."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from bus import traces
from bus.connect import Bus
from bus.contracts import CaseFollowed, ComplaintReceived, DeadLetter, Fact
from bus.dead import raised
from bus.errors import Refused
from bus.publish import Letter, letter_for
from bus.spans import Spans
from bus.traces import TRACEPARENT
from bus.worker import Listener
from gateway import exporting
from gateway.doctor_traces import BadTraces, look_at_traces
from gateway.exporting import open_recorder, shown, traces_endpoint
from gateway.settings import Settings
from gateway.traces import TraceSettings, recorded, trace_requests
from tests.contract.test_bus import hearing, while_listening
from tests.contract.test_store_outbox import append, facts, relaying, until
from tests.support.collector import collecting
from tests.support.facts import complaint, summary
from tests.support.product import free_port
from tests.support.store import routed

SIZE = "messaging.batch.message_count"


class Recorded:
    """What this process recorded."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def named(self, name: str) -> list[ReadableSpan]:
        return [one for one in self._exporter.get_finished_spans() if one.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span


def recording(sample: float = 1.0) -> Recorded:
    exporter = InMemorySpanExporter()
    traces.switch(Spans([SimpleSpanProcessor(exporter)], sample=sample))
    return Recorded(exporter)


@pytest.fixture
def made() -> Iterator[Recorded]:
    yield recording()
    traces.switch(None)


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exporting, "_EVERY", 100.0)
    yield
    traces.switch(None)


def trace_of(span: ReadableSpan) -> UUID:
    return UUID(int=span.context.trace_id)


def follows(span: ReadableSpan, cause: ReadableSpan) -> bool:
    return (
        span.parent is not None
        and span.parent.span_id == cause.context.span_id
        and span.context.trace_id == cause.context.trace_id
    )


async def header_of(bus: Bus, stream: str, sequence: int) -> str | None:
    message = await bus.js.get_msg(stream, sequence)
    return (message.headers or {}).get(TRACEPARENT)


def routing(bus: Bus, told: list[Fact]) -> Listener:
    """A listener that answers each complaint with its routing, all of a batch at once."""

    async def handle(batch: Sequence[Fact]) -> None:
        heard = [fact for fact in batch if isinstance(fact, ComplaintReceived)]
        with traces.within("transaction", "postgresql"):
            await bus.tell([routed(fact) for fact in heard])
        told.extend(heard)

    return hearing(handle, contracts=(ComplaintReceived,), durable="router_complaint_received")


# ── over the bus ────────────────────────────────────────────────────────────────────────────────


async def test_each_complaint_of_a_batch_goes_on_in_its_own_trace(bus: Bus, made: Recorded) -> None:
    complaints = [complaint(number) for number in range(1, 31)]
    await bus.tell(complaints)
    told: list[Fact] = []
    await while_listening(bus, routing(bus, told), lambda: len(told) == 30)

    began, heard, ended = (
        {trace_of(one): one for one in made.named(name)}
        for name in ("tell complaint.received", "hear complaint.received", "tell complaint.routed")
    )
    assert set(began) == set(heard) == set(ended) == {one.message_id for one in complaints}
    for trace, first in began.items():
        assert first.parent is None
        assert follows(heard[trace], first)
        assert follows(ended[trace], heard[trace])
    for shared in made.named("transaction"):
        assert follows(shared, heard[trace_of(shared)])
    sizes = [int(str((one.attributes or {})[SIZE])) for one in heard.values()]
    assert max(sizes) > 1, "they shared batches"


async def test_the_header_is_the_one_of_w3c(bus: Bus, made: Recorded) -> None:
    await bus.tell([complaint(1)])
    span = made.one("tell complaint.received").context
    expected = f"00-{complaint(1).message_id.hex}-{span.span_id:016x}-01"
    assert await header_of(bus, "COMPLAINTS", 1) == expected


async def test_told_without_a_trace_it_is_heard_in_the_one_of_its_complaint(bus: Bus) -> None:
    """As what an older program told, or one where traces are off."""
    await bus.tell([complaint(1)])
    assert await header_of(bus, "COMPLAINTS", 1) is None
    made, told = recording(), list[Fact]()
    await while_listening(bus, routing(bus, told), lambda: bool(told))
    heard = made.one("hear complaint.received")
    assert (trace_of(heard), heard.parent) == (complaint(1).message_id, None)


@pytest.mark.parametrize("header", ["", "00-0-0-01", f"00-{'0' * 32}-{'1' * 16}-01", "x" * 5000])
async def test_a_header_that_says_nothing_stops_nobody(bus: Bus, header: str) -> None:
    letter = letter_for(complaint(1))
    letter.headers[TRACEPARENT] = header
    await bus.post([letter])
    made, told = recording(), list[Fact]()
    await while_listening(bus, routing(bus, told), lambda: bool(told))
    assert trace_of(made.one("hear complaint.received")) == complaint(1).message_id


async def test_every_try_is_a_hop_of_the_same_trace_and_so_is_the_grave(
    bus: Bus, made: Recorded
) -> None:
    refused: list[Fact] = []

    async def handle(batch: Sequence[Fact]) -> None:
        refused.extend(batch)
        raise Refused("Rosa Lara lives at 1200 S Noland Rd") if len(refused) > 1 else ValueError

    buried: list[Fact] = []

    async def bury(batch: Sequence[Fact]) -> None:
        buried.extend(batch)

    await bus.tell([complaint(1)])
    await while_listening(bus, hearing(handle), lambda: len(refused) > 1)
    dead = hearing(bury, contracts=(DeadLetter,), stream="DEAD", durable="store_dead")
    await while_listening(bus, dead, lambda: bool(buried))

    first = made.one("tell complaint.received")
    tries = made.named("hear complaint.received")
    assert [(one.attributes or {})["buckstop.tries"] for one in tries] == [1, 2]
    assert [(one.attributes or {})["error.type"] for one in tries] == ["ValueError", "Refused"]
    assert all(follows(one, first) and not one.events for one in tries)
    assert not any("Noland" in one.to_json() for one in tries)
    assert follows(made.one("tell dead"), first)
    [letter] = buried
    assert isinstance(letter, DeadLetter)
    # Told again by an operator, it goes on where it stood.
    await bus.post([raised(letter, time=1)])
    assert await header_of(bus, "COMPLAINTS", 2) == await header_of(bus, "COMPLAINTS", 1)


async def test_a_share_is_whole_complaints_and_every_process_agrees_on_them(bus: Bus) -> None:
    complaints = [complaint(number) for number in range(1, 201)]
    here, told = recording(sample=0.5), list[Fact]()
    await bus.tell(complaints)
    there = recording(sample=0.5)
    await while_listening(bus, routing(bus, told), lambda: len(told) == 200)
    chosen = {trace_of(one) for one in here.named("tell complaint.received")}
    assert 60 < len(chosen) < 140
    for name in ("hear complaint.received", "tell complaint.routed"):
        assert {trace_of(one) for one in there.named(name)} == chosen
    none = recording(sample=0.0)
    await bus.tell([complaint(300)])
    assert none.named("tell complaint.received") == []


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────


async def test_a_request_is_a_hop_of_each_complaint_that_it_tells_something_of(
    bus: Bus, pool: asyncpg.Pool, made: Recorded
) -> None:
    async def report(request: web.Request) -> web.Response:
        await bus.tell([complaint(1)])
        await bus.tell([complaint(2)])
        raise web.HTTPSeeOther("/thanks")

    async def close(request: web.Request) -> web.Response:
        await append(pool, 1)
        raise RuntimeError

    async def look(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[trace_requests])
    app.add_routes(
        [web.post("/report", report), web.post("/case/{id}/close", close), web.get("/", look)]
    )
    async with TestClient(TestServer(app)) as client:
        await client.get("/")
        await client.get("/not/there")
        await client.post(
            "/report",
            headers={TRACEPARENT: f"00-{'a' * 32}-{'b' * 16}-01"},
            allow_redirects=False,
        )
        assert (await client.post("/case/7/close", headers={TRACEPARENT: "??"})).status == 500

    asked = made.named("POST /report")
    told = made.named("tell complaint.received")
    assert [trace_of(one) for one in asked] == [complaint(n).message_id for n in (1, 2)]
    assert all(follows(fact, request) for fact, request in zip(told, asked, strict=True))
    assert [[f"{link.context.trace_id:032x}" for link in one.links] for one in asked] == [
        ["a" * 32]
    ] * 2
    closed = made.one("POST /case/{id}/close")
    assert trace_of(closed) == summary().case_id
    assert (closed.attributes or {})["http.response.status_code"] == 500
    assert not closed.status.is_ok
    assert not closed.links
    async with pool.acquire() as conn:
        kept = await conn.fetchval("SELECT traceparent FROM outbox")
    assert f"-{closed.context.span_id:016x}-" in kept
    assert made.named("GET /") == made.named("GET unknown") == []


# ── through the outbox ──────────────────────────────────────────────────────────────────────────


async def test_what_waits_in_the_outbox_goes_on_in_its_trace(
    pool: asyncpg.Pool, bus: Bus, made: Recorded
) -> None:
    async def handle(batch: Sequence[Fact]) -> None:
        with traces.answering(batch):
            await append(pool, 1)

    await bus.tell([complaint(1)])
    heard = hearing(handle, durable="store_complaint", contracts=(ComplaintReceived,))
    await while_listening(bus, heard, lambda: made.named("hear complaint.received"))
    async with relaying(pool, bus.post):
        await until(lambda: bool(made.named("relay case.opened")))
    relayed = made.one("relay case.opened")
    assert follows(relayed, made.one("hear complaint.received"))
    assert relayed.resource.attributes["service.name"] == "buckstop-store"
    assert f"-{relayed.context.span_id:016x}-" in (await header_of(bus, "CASES", 1) or "")


async def test_a_relay_that_records_nothing_passes_the_trace_on(
    pool: asyncpg.Pool, bus: Bus, made: Recorded
) -> None:
    await append(pool, 1)
    traces.switch(None)
    async with relaying(pool, bus.post):
        await told_in(bus, "CASES", 1)
    kept = made.one("keep case.opened").context
    assert await header_of(bus, "CASES", 1) == f"00-{kept.trace_id:032x}-{kept.span_id:016x}-01"


async def test_what_was_told_before_a_relay_died_is_told_again_in_its_trace(
    pool: asyncpg.Pool, made: Recorded
) -> None:
    """Under the same id: the bus keeps the first."""
    told: list[Letter] = []

    async def post(letters: Sequence[Letter]) -> None:
        told.extend(letters)
        if len(told) == 1:
            raise OSError("it died here")

    await append(pool, 1)
    async with relaying(pool, post):
        await until(lambda: len(told) == 2)
        await until(lambda: len(made.named("relay case.opened")) == 2)
    kept = made.one("keep case.opened")
    assert all(follows(one, kept) for one in made.named("relay case.opened"))
    assert {letter.headers["Nats-Msg-Id"] for letter in told} == {str(facts(1)[0].message_id)}


async def test_facts_of_before_and_of_without_leave_beside_those_with_a_trace(
    pool: asyncpg.Pool,
) -> None:
    await append(pool, 0)
    made = recording()
    await append(pool, 1)
    traces.switch(None)
    await append(pool, 2)
    letters: list[Letter] = []

    async def post(some: Sequence[Letter]) -> None:
        letters.extend(some)

    async with relaying(pool, post):
        await until(lambda: len(letters) == 3)
    assert [TRACEPARENT in letter.headers for letter in letters] == [False, True, False]
    assert made.named("relay case.opened") == []


async def test_of_two_facts_about_a_case_each_is_followed_by_its_own(
    bus: Bus, pool: asyncpg.Pool, made: Recorded
) -> None:
    """A complaint and its routing in one batch: what they lead to is not mixed up."""
    first = complaint(1)
    follow_up = CaseFollowed(
        message_id=UUID(int=77),
        occurred_at=first.occurred_at,
        case=facts(1)[0].case,  # type: ignore[attr-defined]
        complaint_id=first.message_id,
        text="",
        verified=True,
    )

    async def handle(batch: Sequence[Fact]) -> None:
        assert len(batch) == 2
        with traces.answering([batch[0]]):
            await append(pool, 1)
        with traces.answering([batch[1]]):
            await append(pool, 2)
        traces.because(batch[0], [follow_up])
        await bus.tell([follow_up])

    await bus.tell([first, routed(first)])
    both = hearing(handle, durable="store_complaint")
    await while_listening(bus, both, lambda: made.named("tell case.followed"))
    received, placed = made.one("hear complaint.received"), made.one("hear complaint.routed")
    async with pool.acquire() as conn:
        kept = await conn.fetch("SELECT traceparent FROM outbox ORDER BY id")
    assert [row["traceparent"].split("-")[2] for row in kept] == [
        f"{one.context.span_id:016x}" for one in (received, placed)
    ]
    assert follows(made.one("tell case.followed"), received)


async def told_in(bus: Bus, stream: str, count: int) -> None:
    async with asyncio.timeout(10):
        while (await bus.js.stream_info(stream)).state.messages < count:
            await asyncio.sleep(0.02)


# ── on the way out ──────────────────────────────────────────────────────────────────────────────


async def test_a_collector_that_is_away_is_spoken_of_once_and_not_for_each_span(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    settings = TraceSettings(endpoint=f"http://user:secret@127.0.0.1:{free_port()}")
    told: list[Fact] = []
    with capture_logs() as lines:
        async with recorded(settings, tmp_path):
            for batch in range(3):
                await bus.tell([complaint(400 * batch + number) for number in range(1, 401)])
                await asyncio.sleep(0.3)
            await while_listening(bus, routing(bus, told), lambda: len(told) == 1200)
    warned = [line for line in lines if line["log_level"] == "warning"]
    assert [line["event"] for line in warned] == ["traces cannot be exported, and are lost"]
    assert not any("secret" in str(line) for line in lines)
    assert caplog.records == []


async def test_a_collector_that_never_answers_holds_up_neither_work_nor_end(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_MOST_WAITING", 600)
    monkeypatch.setattr(exporting, "_LAST", 1.0)

    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    deaf = await asyncio.start_server(listen_only, "127.0.0.1", 0)
    port = deaf.sockets[0].getsockname()[1]
    async with deaf:
        async with recorded(TraceSettings(endpoint=f"http://127.0.0.1:{port}"), tmp_path):
            # More than may wait: the oldest are dropped.
            for batch in range(3):
                await bus.tell([complaint(500 * batch + number) for number in range(1, 501)])
            assert (await bus.js.stream_info("COMPLAINTS")).state.messages == 1500
            asked_to_end = time.monotonic()
        assert time.monotonic() - asked_to_end < 4, "it waits ten seconds for each answer"


async def test_what_was_recorded_last_is_exported_before_the_end(bus: Bus, tmp_path: Path) -> None:
    async with collecting() as collector:
        settings = TraceSettings(endpoint=f"{collector.url}/v1/traces")
        async with recorded(settings, tmp_path):
            await bus.tell([complaint(1)])
    assert [one.name for one in collector.spans] == ["tell complaint.received"], (
        "flushed at the end"
    )


async def test_without_a_collector_a_file_has_a_request_of_otlp_a_line(
    bus: Bus, tmp_path: Path
) -> None:
    async with recorded(TraceSettings(file=Path("traces.jsonl")), tmp_path):
        await bus.tell([complaint(1), complaint(2)])
    lines = [json.loads(line) for line in (tmp_path / "traces.jsonl").read_text().splitlines()]
    spans = [line["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]
    assert {one["traceId"] for one in spans} == {
        complaint(number).message_id.hex for number in (1, 2)
    }
    assert all(len(one["spanId"]) == 16 and one["kind"] == 4 for one in spans)


async def test_a_file_that_cannot_be_written_is_spoken_of_once(bus: Bus, tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with recorded(TraceSettings(file=Path("nowhere/traces.jsonl")), tmp_path):
            await bus.tell([complaint(1)])
            await asyncio.sleep(0.3)
            await bus.tell([complaint(2)])
    said = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert said == ["traces cannot be exported, and are lost"]


def test_the_address_is_completed_and_shown_without_what_is_secret() -> None:
    assert traces_endpoint("http://collector:4318") == "http://collector:4318/v1/traces"
    assert traces_endpoint("http://collector:4318/") == "http://collector:4318/v1/traces"
    assert traces_endpoint("https://x.example/otlp/v1/traces?k=1").endswith("/otlp/v1/traces?k=1")
    assert shown("https://me:secret@x.example:1/v1?key=2") == "https://x.example:1/v1"


OFF = """
import asyncio, sys
from pathlib import Path
import gateway.cli, gateway.compose, gateway.http
from gateway.settings import load
from gateway.settings import Settings
from gateway.traces import recorded

async def run():
    async with recorded(load().traces, Path(".")):
        return [name for name in sys.modules if name.startswith("opentelemetry")]

print(asyncio.run(run()))
"""


def test_off_nothing_of_it_is_even_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFF], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


async def test_doctor_says_what_keeps_traces_from_going_out(tmp_path: Path) -> None:
    def asked(**values: object) -> Settings:
        return Settings(data=tmp_path, traces=TraceSettings.model_validate(values))

    assert await look_at_traces(asked()) == "off: no collector and no file is set"
    async with collecting() as collector:
        there = f"{collector.url}/v1/traces"
        said = await look_at_traces(asked(endpoint=collector.url, file="x.jsonl"))
        assert said == f"{tmp_path}/x.jsonl, {there} takes them"
        for status, words in ((401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "Is the path")):
            collector.refuses = status
            with pytest.raises(BadTraces, match=words):
                await look_at_traces(asked(endpoint=collector.url))
    with pytest.raises(BadTraces, match="does not answer"):
        await look_at_traces(asked(endpoint=collector.url))
    with pytest.raises(BadTraces, match="cannot be written"):
        await look_at_traces(asked(file="nowhere/x.jsonl"))


async def test_a_recorder_ends_with_what_opened_it(tmp_path: Path) -> None:
    async with recorded(TraceSettings(file=Path("x.jsonl")), tmp_path):
        assert traces.recorder() is not None
    assert traces.recorder() is None
    async with open_recorder(TraceSettings(file=Path("x.jsonl")), tmp_path) as spans:
        assert isinstance(spans, Spans)
