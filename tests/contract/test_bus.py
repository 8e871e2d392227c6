"""The bus on a real nats-server: stored once, answered in batches, buried with a reason."""

import asyncio
import base64
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from nats.js.api import ConsumerConfig

from bus import connect
from bus.connect import Bus, open_bus
from bus.contracts import CaseOpened, ComplaintReceived, ComplaintRouted, DeadLetter, Fact
from bus.dead import raised
from bus.errors import NotYet, Refused, Unavailable
from bus.topology import STREAMS, ensure_streams
from bus.worker import Listener, listen
from gateway.engine_nats import Nats
from tests.support.facts import complaint


class Ear:
    """Collects what a listener hears."""

    def __init__(self) -> None:
        self.batches: list[list[Fact]] = []

    @property
    def facts(self) -> list[Fact]:
        return [fact for batch in self.batches for fact in batch]

    async def __call__(self, facts: Sequence[Fact]) -> None:
        self.batches.append(list(facts))


def hearing(handle: object, **other: object) -> Listener:
    values = {
        "durable": "test_complaint",
        "stream": "COMPLAINTS",
        "contracts": (ComplaintReceived, ComplaintRouted),
        "handle": handle,
        "tries": 2,
    }
    return Listener(**(values | other))  # type: ignore[arg-type]


async def while_listening(bus: Bus, listener: Listener, until: object, seconds: float = 20) -> None:
    """Run the worker loop until `until()` is true."""
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, listener, stop))
    try:
        async with asyncio.timeout(seconds):
            while not until():  # type: ignore[operator]
                await asyncio.sleep(0.02)
                if loop.done():
                    loop.result()
    finally:
        stop.set()
        await loop


async def messages_in(bus: Bus, stream: str) -> int:
    return (await bus.js.stream_info(stream)).state.messages


async def test_the_streams_agree_with_the_code_on_every_start(bus: Bus) -> None:
    await bus.tell([complaint(1)])
    config = (await bus.js.stream_info("COMPLAINTS")).config
    await bus.js.update_stream(config.evolve(max_age=7200, description="somebody else's"))
    await ensure_streams(bus.js)
    now = (await bus.js.stream_info("COMPLAINTS")).config
    assert now.description == STREAMS[0].about
    assert now.max_age == STREAMS[0].keep.total_seconds()
    assert await messages_in(bus, "COMPLAINTS") == 1


async def test_a_complaint_told_twice_lies_once_in_the_stream(bus: Bus) -> None:
    await bus.tell([complaint(1)])
    await bus.tell([complaint(1)])
    assert await messages_in(bus, "COMPLAINTS") == 1


async def test_a_batch_with_an_old_fact_in_it_still_stores_the_new_ones(bus: Bus) -> None:
    await bus.tell([complaint(2)])
    await bus.tell([complaint(number) for number in range(1, 6)])
    assert await messages_in(bus, "COMPLAINTS") == 5


async def test_many_tellers_at_once_keep_their_order_and_lose_nothing(bus: Bus) -> None:
    await asyncio.gather(*(bus.tell([complaint(number)]) for number in range(1, 301)))
    ear = Ear()
    await while_listening(bus, hearing(ear), lambda: len(ear.facts) >= 300)
    assert [fact.message_id for fact in ear.facts] == [
        complaint(number).message_id for number in range(1, 301)
    ]
    assert len(ear.batches) < 50, "what waits is handed over in batches"


async def test_a_fact_too_large_for_the_bus_is_refused_at_once(bus: Bus) -> None:
    with pytest.raises(Refused):
        await bus.tell([complaint(1, text="x" * 9_000_000)])


async def test_one_message_is_answered_at_once_and_not_held_for_a_batch(bus: Bus) -> None:
    ear = Ear()
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, hearing(ear), stop))
    await asyncio.sleep(0.5)
    started = asyncio.get_running_loop().time()
    await bus.tell([complaint(1)])
    while not ear.facts:
        await asyncio.sleep(0.002)
    assert asyncio.get_running_loop().time() - started < 0.25
    stop.set()
    await loop


async def test_a_slow_worker_that_lives_keeps_its_messages(bus: Bus) -> None:
    """Also those that lie ready behind the ones in hand."""
    heard: list[Fact] = []

    async def handle(facts: Sequence[Fact]) -> None:
        await asyncio.sleep(2.5)
        heard.extend(facts)

    await bus.tell([complaint(1), complaint(2)])
    slow = hearing(handle, ack_wait=1.0, batch=1)
    await while_listening(bus, slow, lambda: len(heard) >= 2)
    assert [fact.message_id for fact in heard] == [
        complaint(1).message_id,
        complaint(2).message_id,
    ]
    info = await bus.js.consumer_info("COMPLAINTS", "test_complaint")
    assert info.delivered is not None
    assert info.delivered.consumer_seq == 2, "each was delivered once"


async def test_what_a_dead_worker_had_in_hand_comes_soon_to_the_next(bus: Bus) -> None:
    async def handle(facts: Sequence[Fact]) -> None:
        await asyncio.sleep(3600)

    await bus.tell([complaint(number) for number in range(1, 4)])
    dying = hearing(handle, ack_wait=2.0)
    loop = asyncio.create_task(listen(bus.client, bus.tell, dying, asyncio.Event()))
    await asyncio.sleep(3.0)
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
    ear = Ear()
    await while_listening(bus, hearing(ear, ack_wait=2.0), lambda: len(ear.facts) >= 3, seconds=5)


async def test_a_server_that_comes_back_at_once_is_nobodys_trouble(server_folder: Path) -> None:
    """Who was telling when it died waits a moment longer; nothing is stored twice."""
    folder = server_folder / "dying"
    server = Nats(folder)
    await server.start()
    try:
        async with open_bus(connect.Settings(url=server.url), name="test") as bus:
            await bus.tell([complaint(1)])
            process = psutil.Process(int((folder / "nats.pid").read_text()))
            process.suspend()
            telling = asyncio.create_task(bus.tell([complaint(number) for number in range(1, 4)]))
            await asyncio.sleep(0.2)
            process.kill()
            await server.start()
            await asyncio.wait_for(telling, 5)
            assert await messages_in(bus, "COMPLAINTS") == 3
    finally:
        await server.stop()


async def test_of_a_batch_only_the_bad_message_suffers(bus: Bus) -> None:
    bad = complaint(3).message_id
    answered: list[Fact] = []

    async def handle(facts: Sequence[Fact]) -> None:
        if any(fact.message_id == bad for fact in facts):
            raise Refused("for the test")
        answered.extend(facts)

    await bus.tell([complaint(number) for number in range(1, 6)])
    await while_listening(bus, hearing(handle), lambda: len(answered) >= 4)
    assert await messages_in(bus, "DEAD") == 1
    letter = await the_dead_letter(bus)
    assert letter.complaint_id == bad
    assert letter.reason == "Refused: for the test"
    assert letter.durable == "test_complaint"


async def the_dead_letter(bus: Bus) -> DeadLetter:
    raw = await bus.js.get_last_msg("DEAD", "dead.test_complaint")
    assert raw.data is not None
    return DeadLetter.model_validate_json(raw.data)


async def test_what_fails_every_time_is_tried_again_and_then_buried(bus: Bus) -> None:
    tries = 0

    async def handle(facts: Sequence[Fact]) -> None:
        nonlocal tries
        tries += 1
        raise ValueError("broken")

    await bus.tell([complaint(1)])
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, hearing(handle), stop))
    async with asyncio.timeout(20):
        while await messages_in(bus, "DEAD") == 0:
            await asyncio.sleep(0.05)
    stop.set()
    await loop
    assert tries == 2
    letter = await the_dead_letter(bus)
    assert letter.tries == 2
    assert letter.reason == "ValueError: broken"
    assert base64.b64decode(letter.payload)


async def test_while_what_a_handler_stands_on_is_away_the_facts_wait(bus: Bus) -> None:
    """They are not counted as tried, nobody is buried, and they keep their order."""
    tries = 0
    answered: list[Fact] = []

    async def handle(facts: Sequence[Fact]) -> None:
        nonlocal tries
        tries += 1
        if tries <= 4:
            raise Unavailable("the database is away")
        answered.extend(facts)

    told = [complaint(number) for number in range(1, 6)]
    await bus.tell(told)
    waiting = hearing(handle, tries=1, ack_wait=1.0)
    await while_listening(bus, waiting, lambda: len(answered) >= 5)
    assert [fact.message_id for fact in answered] == [fact.message_id for fact in told]
    info = await bus.js.consumer_info("COMPLAINTS", "test_complaint")
    assert info.delivered is not None
    assert info.delivered.consumer_seq == 5, "each was delivered once"
    assert await messages_in(bus, "DEAD") == 0


async def test_what_came_too_early_comes_again(bus: Bus) -> None:
    tries = 0

    async def handle(facts: Sequence[Fact]) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise NotYet("its complaint is not here")

    await bus.tell([complaint(1)])
    await while_listening(bus, hearing(handle), lambda: tries >= 4)
    assert await messages_in(bus, "DEAD") == 0


async def test_bytes_that_are_no_message_of_ours_are_buried_with_their_bytes(bus: Bus) -> None:
    await bus.js.publish("complaint.received.web", b"\x00garbage")
    await bus.tell([complaint(1)])
    ear = Ear()
    await while_listening(bus, hearing(ear), lambda: len(ear.facts) >= 1)
    async with asyncio.timeout(5):
        while await messages_in(bus, "DEAD") == 0:
            await asyncio.sleep(0.05)
    assert base64.b64decode((await the_dead_letter(bus)).payload) == b"\x00garbage"


async def test_a_dead_letter_raised_again_is_heard_again(bus: Bus) -> None:
    mended = False
    answered: list[Fact] = []

    async def handle(facts: Sequence[Fact]) -> None:
        if not mended:
            raise Refused("not mended yet")
        answered.extend(facts)

    await bus.tell([complaint(1)])
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, hearing(handle), stop))
    async with asyncio.timeout(20):
        while await messages_in(bus, "DEAD") == 0:
            await asyncio.sleep(0.05)
        mended = True
        await bus.publisher.post([raised(await the_dead_letter(bus), time=1)])
        while not answered:
            await asyncio.sleep(0.05)
    stop.set()
    await loop
    assert answered == [complaint(1)]


async def test_a_worker_that_stops_finishes_what_it_has_in_hand(bus: Bus) -> None:
    begun, finished = asyncio.Event(), False

    async def handle(facts: Sequence[Fact]) -> None:
        nonlocal finished
        begun.set()
        await asyncio.sleep(0.5)
        finished = True

    await bus.tell([complaint(1)])
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, hearing(handle), stop))
    await begun.wait()
    stop.set()
    await loop
    assert finished
    info = await bus.js.consumer_info("COMPLAINTS", "test_complaint")
    assert info.num_ack_pending == 0


async def test_an_idle_worker_stops_when_it_is_asked_to(bus: Bus) -> None:
    ear = Ear()
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, hearing(ear), stop))
    await bus.tell([complaint(1)])
    async with asyncio.timeout(20):
        while not ear.facts:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)  # it waits for the next one
    stop.set()
    # It would look up by itself after a second.
    async with asyncio.timeout(0.8):
        await loop


async def test_a_durable_taken_away_is_missed_and_the_rest_is_heard_once_it_is_back(
    bus: Bus,
) -> None:
    ear = Ear()
    stop = asyncio.Event()
    loop = asyncio.create_task(listen(bus.client, bus.tell, hearing(ear), stop))
    await bus.tell([complaint(1)])
    async with asyncio.timeout(30):
        while len(ear.facts) < 1:
            await asyncio.sleep(0.05)
        config = (await bus.js.consumer_info("COMPLAINTS", "test_complaint")).config
        await bus.js.delete_consumer("COMPLAINTS", "test_complaint")
        await bus.tell([complaint(2)])
        await bus.js.add_consumer("COMPLAINTS", ConsumerConfig(**config.__dict__))
        while complaint(2) not in ear.facts:
            await asyncio.sleep(0.05)
    stop.set()
    await loop


async def test_services_side_by_side_hear_the_same_complaint(bus: Bus) -> None:
    one, other = Ear(), Ear()
    await bus.tell([complaint(1), complaint(2)])
    await while_listening(bus, hearing(one), lambda: len(one.facts) >= 2)
    await while_listening(bus, hearing(other, durable="test_other"), lambda: len(other.facts) >= 2)
    assert one.facts == other.facts


async def test_a_listener_hears_only_its_contracts(bus: Bus) -> None:
    ear = Ear()
    await bus.tell([complaint(1)])
    await while_listening(
        bus,
        hearing(ear, durable="test_case", stream="CASES", contracts=(CaseOpened,)),
        lambda: True,
    )
    assert ear.facts == []


async def test_a_draft_is_kept_for_its_writer_alone(bus: Bus) -> None:
    await bus.drafts.write("token one", b"typed")
    assert await bus.drafts.read("token one") == b"typed"
    assert await bus.drafts.read("token two") is None
    await bus.drafts.forget("token one")
    assert await bus.drafts.read("token one") is None
    with pytest.raises(Refused):
        await bus.drafts.write("token one", b"x" * 600_000)
