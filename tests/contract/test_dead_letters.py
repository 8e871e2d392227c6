"""Dead letters: told again as they were or mended, discarded with a reason, whoever dies when."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from bus.codec import CONTRACT_HEADER, decode, encode
from bus.connect import Bus
from bus.contracts import ComplaintReceived, DeadLetter
from bus.errors import Refused, Unavailable
from bus.files import Files
from bus.publish import Letter
from store import grave_acts, graves, ledger, replaying
from store.grave_acts import Mended
from store.graves import Wanted
from store.model import Role
from tests.support.facts import NOON, complaint
from tests.support.graves import dead
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages
from tests.support.store import file, hear

BY = "olga.op"


async def bury(pool: asyncpg.Pool, *letters: DeadLetter) -> list[UUID]:
    await hear(pool, "store_dead", *letters)
    return [letter.message_id for letter in letters]


async def told_on(bus: Bus) -> list[ComplaintReceived]:
    state = (await bus.js.stream_info("COMPLAINTS")).state
    found = []
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        raw = await bus.js.get_msg("COMPLAINTS", sequence)
        fact = decode(raw.data or b"", (raw.headers or {})[CONTRACT_HEADER])
        assert isinstance(fact, ComplaintReceived)
        found.append(fact)
    return found


# ── telling again ───────────────────────────────────────────────────────────────────────────────


async def test_a_letter_is_told_again_as_it_was_and_its_complaint_filed(
    pool: asyncpg.Pool, bus: Bus
) -> None:
    [letter] = await bury(pool, dead(1))
    async with pool.acquire() as conn:
        assert await grave_acts.want_replay(conn, [letter], by=BY, why="mended") == [letter]

    assert await replaying.tell_some(pool, bus.post) > 0
    assert await replaying.tell_some(pool, bus.post) == 0

    assert await told_on(bus) == [complaint(1)]
    await file(pool, complaint(1))
    async with pool.acquire() as conn:
        grave = await graves.by_id(conn, letter)
        assert grave is not None
        assert (grave.resolved_by, grave.resolved_how, grave.resolved_why) == (
            BY, "replayed", "mended",
        )  # fmt: skip
        books = await ledger.equation(conn)
        assert (books.filed, books.quarantined) == (1, 0)
        assert await grave_acts.want_replay(conn, [letter], by=BY) == []


async def test_who_dies_between_telling_and_noting_tells_it_once(
    pool: asyncpg.Pool, bus: Bus
) -> None:
    [letter] = await bury(pool, dead(1))
    async with pool.acquire() as conn:
        await grave_acts.want_replay(conn, [letter], by=BY)

    async def die(letters: Sequence[Letter]) -> None:
        await bus.post(letters)
        raise KeyboardInterrupt  # as a process does that is killed

    with pytest.raises(KeyboardInterrupt):
        await replaying.tell_some(pool, die)
    async with pool.acquire() as conn:
        assert len(await graves.waiting(conn)) == 1
    await replaying.tell_some(pool, bus.post)

    assert len(await told_on(bus)) == 1
    async with pool.acquire() as conn:
        assert await graves.waiting(conn) == []


async def test_a_bus_that_is_away_delays_a_replay_and_one_that_refuses_is_told(
    pool: asyncpg.Pool, bus: Bus
) -> None:
    [letter] = await bury(pool, dead(1))
    async with pool.acquire() as conn:
        await grave_acts.want_replay(conn, [letter], by=BY)

    async def away(letters: Sequence[Letter]) -> None:
        raise Unavailable("no answer")

    async def refuse(letters: Sequence[Letter]) -> None:
        raise Refused("too large")

    with pytest.raises(Unavailable):
        await replaying.tell_some(pool, away)
    await replaying.tell_some(pool, refuse)

    async with pool.acquire() as conn:
        assert len(await graves.waiting(conn)) == 1
        [act] = await grave_acts.acts(conn, [letter])
        assert act.problem == "too large"
        assert await grave_acts.want_replay(conn, [letter], by=BY) == [letter]


async def test_many_are_told_at_the_pace_that_was_asked_for(pool: asyncpg.Pool, bus: Bus) -> None:
    letters = await bury(pool, *(dead(number) for number in range(1, 8)))
    async with pool.acquire() as conn:
        await grave_acts.want_replay(conn, letters, by=BY, per_second=5)

    assert await replaying.tell_some(pool, bus.post) == pytest.approx(1.0)
    assert len(await told_on(bus)) == 5
    assert await replaying.tell_some(pool, bus.post) == pytest.approx(0.4)
    assert len(await told_on(bus)) == 7


async def test_a_mended_copy_is_told_in_its_place(pool: asyncpg.Pool, bus: Bus) -> None:
    [letter] = await bury(pool, dead(1, payload=base64.b64encode(b"{broken").decode()))
    mended = complaint(1, address="625 S Osage St")
    async with pool.acquire() as conn:
        wish = Mended({CONTRACT_HEADER: mended.tag}, base64.b64encode(encode(mended)).decode())
        await grave_acts.want_replay(conn, [letter], by=BY, why="a brace", mended=wish)

    await replaying.tell_some(pool, bus.post)

    assert await told_on(bus) == [mended]
    async with pool.acquire() as conn:
        grave = await graves.by_id(conn, letter)
        assert grave is not None
        assert base64.b64decode(grave.payload) == b"{broken"


# ── looking ─────────────────────────────────────────────────────────────────────────────────────


async def test_they_are_found_by_durable_reason_and_state(pool: asyncpg.Pool) -> None:
    one, two = await bury(
        pool, dead(1), dead(2, durable="router_complaint_received", reason="KeyError: 'x'")
    )
    async with pool.acquire() as conn:
        assert await graves.ids(conn, Wanted(durable="store_complaint")) == [one]
        assert await graves.ids(conn, Wanted(reason="keyerror")) == [two]
        assert await graves.ids(conn, Wanted(since=NOON, resolved=None)) != []
        assert await graves.ids(conn, Wanted(until=NOON)) == []
        await grave_acts.discard(conn, [one], by=BY, why="a test message")
        assert await graves.ids(conn, Wanted()) == [two]
        assert await graves.ids(conn, Wanted(resolved=True)) == [one]
        assert [heap.count for heap in await graves.heaps(conn)] == [1]
        assert await graves.named(conn, str(two)[:8]) == two


# ── the pages ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, BY, [Role.OPERATOR])
    await put_account(pool, "pat.moore", [Role.LEAD])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def test_only_operators_and_admins_see_them(reader: Reader) -> None:
    await reader.sign_in("pat.moore")
    assert "Operator" in await reader.read("/ops/dead", 403)
    await reader.sign_in(BY)
    assert "Every message was handled" in await reader.read("/ops/dead")


async def test_all_that_the_filter_shows_are_told_again(
    reader: Reader, pool: asyncpg.Pool, bus: Bus
) -> None:
    await bury(pool, dead(1), dead(2), dead(3, reason="KeyError: 'x'"))
    await reader.sign_in(BY)
    page = await reader.read("/ops/dead?reason=for+the+test")
    assert page.count('name="letter"') == 2

    form = {"reason": "for the test", "act": "replay", "which": "all", "per_second": "100.0"}
    answer = await reader.send("/ops/dead", form, page)

    assert goes_to(answer) == "/ops/dead?reason=for+the+test&done=replay&count=2"
    await replaying.tell_some(pool, bus.post)
    assert await told_on(bus) == [complaint(1), complaint(2)]
    assert "KeyError" in await reader.read("/ops/dead")


async def test_a_discard_wants_a_reason_and_keeps_what_was_chosen(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    [letter] = await bury(pool, dead(1))
    await reader.sign_in(BY)
    page = await reader.read("/ops/dead")
    form = {"letter": str(letter), "act": "discard", "which": "selected", "per_second": "10.0"}

    answer = await reader.send("/ops/dead", form, page)
    said = await answer.text()
    assert answer.status == 422
    assert "Say in a few words why nobody needs it." in said
    assert f'value="{letter}" checked' in said

    answer = await reader.send("/ops/dead", form | {"why": "a test of ours"}, page)
    assert goes_to(answer) == "/ops/dead?done=discard&count=1"
    async with pool.acquire() as conn:
        [act] = await grave_acts.acts(conn, [letter])
        assert (act.act, act.by, act.why) == ("discard", BY, "a test of ours")
        assert (await ledger.equation(conn)).ignored == 1


async def test_a_letter_is_read_mended_and_told(
    reader: Reader, pool: asyncpg.Pool, bus: Bus
) -> None:
    [letter] = await bury(pool, dead(1))
    await reader.sign_in(BY)
    page = await reader.read(f"/ops/dead/{letter}")
    for told in ("Refused: for the test", "complaint.received.web", "Rosa Lara"):
        assert told in page
    told_before = json.loads(encode(complaint(1)))
    sent = {"mended": "yes", "tag": "complaint.received.v1", "mended-why": "the address was wrong"}

    wrong = json.dumps(told_before | {"message_id": str(uuid4())})
    answer = await reader.send(f"/ops/dead/{letter}/replay", sent | {"payload": wrong}, page)
    assert answer.status == 422
    assert "message_id has to stay" in await answer.text()
    answer = await reader.send(f"/ops/dead/{letter}/replay", sent | {"payload": "{ no"}, page)
    assert answer.status == 422
    assert "{ no</textarea>" in await answer.text()

    right = json.dumps(told_before | {"address": "625 S Osage St"}, indent=2)
    answer = await reader.send(f"/ops/dead/{letter}/replay", sent | {"payload": right}, page)
    assert goes_to(answer) == f"/ops/dead/{letter}?done=replay&count=1"
    assert "1 letter is being told again." in await reader.read(goes_to(answer))
    await replaying.tell_some(pool, bus.post)
    assert await told_on(bus) == [complaint(1, address="625 S Osage St")]
    page = await reader.read(f"/ops/dead/{letter}")
    assert "Told again, mended" in page
    assert "the address was wrong" in page
    assert "What to do" not in page


async def test_a_letter_of_bytes_is_shown_as_such(reader: Reader, pool: asyncpg.Pool) -> None:
    [letter] = await bury(pool, dead(1, payload=base64.b64encode(b"\xff\xfe\x00").decode()))
    await reader.sign_in(BY)
    assert "3 bytes that are no text" in await reader.read(f"/ops/dead/{letter}")
    await reader.read(f"/ops/dead/{uuid4()}", 404)
    await reader.read("/ops/dead/nonsense", 404)
