"""The streams are lost: the database knows what was still to be done, and has it told again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from bus.codec import decode
from bus.connect import Bus
from bus.contracts import (
    CaseAmended,
    CaseFact,
    CaseOpened,
    ChoiceAsked,
    Fact,
    IncidentFact,
    NoticeQueued,
    NoticeSent,
)
from bus.files import Files
from bus.identity import fact_id
from bus.topology import ensure_streams
from gateway import retell
from gateway.city_words import words_of
from notifier.expected import expected
from notifier.service import Writer, make_renderer
from notifier.settings import NotifierSettings
from router.rules import CITIES, load_city
from store import levers, outbox
from store.model import Role
from tests.contract.test_operator_commands import ask
from tests.support.facts import complaint, one_of_each
from tests.support.product import clean_environment, until
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages
from tests.support.store import file, hear, routed, to_tell

LATER = datetime.now(UTC) + timedelta(hours=1)


async def tell_all(bus: Bus, pool: asyncpg.Pool) -> list[Fact]:
    """What the relay does, once; what it told."""
    async with pool.acquire() as conn:
        rows = await conn.fetch("SELECT tag, payload FROM outbox WHERE told_at IS NULL ORDER BY id")
        facts = [decode(row["payload"], row["tag"]) for row in rows]
        await bus.tell(facts)
        await conn.execute("UPDATE outbox SET told_at = now() WHERE told_at IS NULL")
    return facts


async def lose_the_streams(bus: Bus) -> None:
    for name in ("COMPLAINTS", "CASES", "NOTICES", "DEAD"):
        await bus.js.delete_stream(name)
    await ensure_streams(bus.js)


def notices_of(fact: CaseOpened) -> list[NoticeQueued]:
    """What the notifier tells of a case that was opened."""
    return [
        NoticeQueued(
            message_id=id_, occurred_at=datetime.now(UTC), case_id=fact.case.case_id,
            reference=fact.case.reference, notice="receipt", medium="email",
            recipient="rosa@resident.example", text="We have your report.",
        )
        for id_ in expected(fact)
    ]  # fmt: skip


async def test_without_a_loss_nothing_is_lacking(bus: Bus, pool: asyncpg.Pool) -> None:
    told = [complaint(number) for number in range(1, 4)]
    await bus.tell(told)
    await file(pool, *told)
    await file(pool, routed(told[0]))
    facts = await tell_all(bus, pool)
    [notice] = notices_of(next(one for one in facts if isinstance(one, CaseOpened)))
    await bus.tell([notice])
    await hear(pool, "store_notice", notice)
    lack = await retell.find(pool, bus, now=LATER)
    assert str(lack) == "not routed 0, facts not heard 0, notices not sent 0"
    assert not lack.any


async def test_what_was_still_to_be_done_is_told_again_and_nothing_else(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    done, written, unrouted = complaint(1), complaint(2), complaint(3)
    await bus.tell([done, written, unrouted])
    await file(pool, done, written, unrouted)
    await file(pool, *(routed(one, assignee=None, department=None) for one in (done, written)))
    opened = {
        one.case.case_id: one for one in await tell_all(bus, pool) if isinstance(one, CaseOpened)
    }
    # Of the first the resident has heard; of the second a mail is written and not sent yet; of the
    # third nobody has heard.
    [sent] = notices_of(opened[done.message_id])
    [queued] = notices_of(opened[written.message_id])
    await bus.tell([sent, queued])
    outcome = NoticeSent(
        message_id=fact_id(sent.message_id, "sent"), occurred_at=datetime.now(UTC),
        notice_id=sent.message_id, case_id=sent.case_id, medium="email", sender="smtp",
        provider_id="x",
    )  # fmt: skip
    await hear(pool, "store_notice", sent, queued)
    await hear(pool, "store_notice", outcome)
    await lose_the_streams(bus)

    lack = await retell.find(pool, bus, now=LATER)
    assert str(lack) == "not routed 1, facts not heard 1, notices not sent 1"
    await retell.tell(pool, lack)
    told = await tell_all(bus, pool)
    assert {type(one) for one in told} == {CaseOpened, CaseAmended, NoticeQueued}
    assert next(one for one in told if isinstance(one, CaseOpened)) == opened[unrouted.message_id]
    asked = next(one for one in told if isinstance(one, CaseAmended))
    assert (asked.case.case_id, asked.rules_changed) == (unrouted.message_id, False)
    again = next(one for one in told if isinstance(one, NoticeQueued))
    assert (again.message_id, again.text) == (queued.message_id, queued.text)

    # The streams hold it now: asked once more, nothing is lacking, though nobody has done it yet.
    assert not (await retell.find(pool, bus, now=LATER)).any

    # The router's word comes, and the case is placed like any other.
    answer = routed(unrouted, message_id=asked.message_id, amended=True)
    await file(pool, answer)
    async with pool.acquire() as conn:
        status = "SELECT status FROM cases WHERE id = $1"
        assert await conn.fetchval(status, unrouted.message_id) == "assigned"


async def test_what_is_under_way_is_left_alone(bus: Bus, pool: asyncpg.Pool) -> None:
    await file(pool, complaint(1, occurred_at=datetime.now(UTC)))
    await tell_all(bus, pool)
    await lose_the_streams(bus)
    assert not (await retell.find(pool, bus)).any


async def test_a_question_to_the_router_that_was_lost_is_asked_again(
    bus: Bus, pool: asyncpg.Pool
) -> None:
    told = complaint(1)
    await file(pool, told)
    await file(pool, routed(told))
    async with pool.acquire() as conn:
        opened = [one for one in await to_tell(conn) if isinstance(one, CaseOpened)]
        asked = CaseAmended(
            message_id=fact_id("x"), occurred_at=datetime.now(UTC), case=opened[0].case
        )
        await conn.execute("DELETE FROM outbox")
        async with conn.transaction():
            await outbox.append(conn, [asked])
    await tell_all(bus, pool)
    assert (await retell.find(pool, bus, now=LATER)).facts == []
    await lose_the_streams(bus)
    assert len((await retell.find(pool, bus, now=LATER)).facts) == 1
    await file(pool, routed(told, message_id=fact_id("answer"), amended=True))
    assert (await retell.find(pool, bus, now=LATER)).facts == []


async def test_what_is_expected_of_a_fact_is_what_the_notifier_tells() -> None:
    told: list[Fact] = []

    async def tell(facts: object) -> None:
        told.extend(facts)  # type: ignore[arg-type]

    renderer = make_renderer(
        NotifierSettings(), words_of(load_city(CITIES / "independence")), base_url="https://x"
    )
    writer = Writer(renderer, tell, staff_language="es")
    wrote = 0
    for fact in one_of_each():
        ids = expected(fact)
        # The router hears the one, and a canary that is lost is not sent again.
        if isinstance(fact, CaseAmended) or not isinstance(
            fact, CaseFact | IncidentFact | ChoiceAsked
        ):
            continue
        told.clear()
        await writer.hear([fact])
        assert {one.message_id for one in told} == ids, fact.tag
        wrote += bool(ids)
    assert wrote >= 8


# ── page and command ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def test_page_and_command_tell_again_and_count_anew(
    reader: Reader, bus: Bus, pool: asyncpg.Pool, dsn: str, nats_url: str
) -> None:
    told = complaint(1)
    await file(pool, told)
    await tell_all(bus, pool)
    await lose_the_streams(bus)
    async with pool.acquire() as conn:
        await conn.execute("UPDATE outbox SET told_at = told_at - interval '1 hour'")
        await conn.execute("UPDATE cases SET opened_at = opened_at - interval '1 hour'")
    environment = clean_environment() | {
        "BUCKSTOP__STORE__DSN": dsn, "BUCKSTOP__BUS__URL": nats_url, "COLUMNS": "200",
    }  # fmt: skip
    looked = await ask(environment, "bus", "retell", "--dry-run")
    assert looked.code == 0, looked.err
    assert "not routed 1, facts not heard 1, notices not sent 0" in looked.out
    assert "Nothing was told." in looked.out

    await reader.sign_in("olga.op")
    form = await reader.read("/ops/levers")
    for act, outcome in (
        ("retell", "not routed 1, facts not heard 1, notices not sent 0"),
        ("recount", "counted otherwise before 1"),
    ):
        answer = await reader.send(f"/ops/levers/{act}", {f"{act}-why": "a trial"}, form)
        assert goes_to(answer) == f"/ops/levers?done={act}"

        async def ended(outcome: str = outcome) -> bool:
            async with pool.acquire() as conn:
                return (await levers.acts(conn))[0].outcome == outcome

        await until(ended)
        await asyncio.sleep(0.05)
    page = await reader.read("/ops/levers")
    assert "counted otherwise before 1" in page
    assert "Told again from the books" in page
    facts = await tell_all(bus, pool)
    assert {type(one) for one in facts} == {CaseOpened, CaseAmended}
