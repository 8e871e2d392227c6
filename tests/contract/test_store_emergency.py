"""Danger: on top from the first moment, told once to whoever must hear, and staff have the word."""

from uuid import UUID

import asyncpg
import pytest

from bus.contracts import CaseAlarmed, CaseAssigned, CaseOpened, ChoiceAsked, Contact, Follows
from bus.identity import fact_id
from store import cases, changes, search
from store.model import NotAllowed, Status
from tests.support.facts import complaint
from tests.support.store import file, kinds, put_staff, routed, to_tell

PHONE = "+18165550142"
OURS = "+18165550100"


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> asyncpg.Connection:
    async with pool.acquire() as connection:
        await put_staff(connection)
        yield connection


async def alarmed(conn: asyncpg.Connection) -> list[CaseAlarmed]:
    return [fact for fact in await to_tell(conn) if isinstance(fact, CaseAlarmed)]


async def is_emergency(conn: asyncpg.Connection, case_id: UUID) -> bool:
    case = await cases.by_id(conn, case_id)
    assert case is not None
    return case.emergency


async def on_triage(conn: asyncpg.Connection) -> list[UUID]:
    triage = search.Filter(statuses=(Status.NEW, Status.TRIAGE), alarming=True, order=search.URGENT)
    return [row.id for row in (await search.find(conn, triage)).cases]


async def test_what_a_channel_heard_as_danger_is_on_top_before_it_is_routed(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    calm, danger = complaint(1), complaint(2, emergency=True)
    await file(pool, calm, danger)
    assert await on_triage(conn) == [danger.message_id, calm.message_id]
    opened = [fact for fact in await to_tell(conn) if isinstance(fact, CaseOpened)]
    assert [fact.case.emergency for fact in opened] == [False, True], "the receipt will say so"


async def test_an_emergency_stays_on_the_triage_desk_until_somebody_begins(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    calm, danger = complaint(1), complaint(2, emergency=True)
    await file(pool, calm, danger, routed(calm), routed(danger, emergency=True))
    assert await on_triage(conn) == [danger.message_id]
    assert (await search.counts(conn, "pat.moore"))["triage"] == 1
    await changes.start(conn, danger.message_id, by="pat.moore")
    assert await on_triage(conn) == []


async def test_danger_that_only_the_router_heard_is_answered_by_itself(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """The receipt went out without the number to call; told twice, it is answered once."""
    told = complaint(1)
    await file(pool, told)
    for _ in range(2):
        await file(pool, routed(told, emergency=True))
    [fact] = await alarmed(conn)
    assert fact.case.case_id == told.message_id
    assert fact.case.emergency
    [assigned] = [one for one in await to_tell(conn) if isinstance(one, CaseAssigned)]
    assert assigned.case.emergency


async def test_danger_that_the_receipt_told_of_is_not_told_again(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    told = complaint(1, emergency=True)
    await file(pool, told, routed(told, emergency=True))
    assert await alarmed(conn) == []


def text(number: int, words: str, **other: object) -> object:
    return complaint(
        number,
        "sms",
        text=words,
        address=None,
        lat=None,
        lon=None,
        attachments=(),
        reporter=Contact(phone=PHONE, texts=True),
        follows=Follows(conversation=OURS),
        **other,
    )


async def test_danger_in_a_further_text_is_answered_at_once(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    first, more = text(1, "a wire hangs low"), text(2, "now it is on fire", emergency=True)
    await file(pool, first)  # type: ignore[arg-type]
    await file(pool, more)  # type: ignore[arg-type]
    case_id = complaint(1, "sms").message_id
    for _ in range(2):
        await file(pool, routed(complaint(2, "sms"), emergency=True))
    assert await is_emergency(conn, case_id)
    [fact] = await alarmed(conn)
    assert fact.case.case_id == case_id
    assert (await kinds(conn, case_id))[-1] == "emergency"


async def test_a_case_and_its_further_text_heard_together_are_answered_once(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """The words joined the case: the router looks at it again, while it routes the text itself."""
    first, more = text(1, "a wire hangs low"), text(2, "now it is on fire", emergency=True)
    await file(pool, first)  # type: ignore[arg-type]
    await file(pool, more)  # type: ignore[arg-type]
    again = {"message_id": fact_id("again"), "amended": True, "emergency": True}
    await file(
        pool,
        routed(complaint(2, "sms"), emergency=True),
        routed(complaint(1, "sms")).model_copy(update=again),
    )
    assert len(await alarmed(conn)) == 1


async def test_danger_waits_for_no_answer_to_a_question(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A text that could belong to several cases is asked about; one of danger opens a case."""
    first = text(1, "a pothole")
    await file(pool, first)  # type: ignore[arg-type]
    await conn.execute("UPDATE cases SET heard_at = heard_at - interval '1 day'")
    await file(pool, text(2, "something else"))  # type: ignore[arg-type]
    assert len([one for one in await to_tell(conn) if isinstance(one, ChoiceAsked)]) == 1
    await file(pool, text(3, "the house is on fire", emergency=True))  # type: ignore[arg-type]
    assert await is_emergency(conn, complaint(3, "sms").message_id)


async def test_what_staff_say_of_an_emergency_stands_until_there_is_new_danger(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    told = complaint(1, emergency=True)
    id_ = told.message_id
    await file(pool, told, routed(told, emergency=True))
    for _ in range(2):
        case = await changes.set_emergency(conn, id_, emergency=False, by="pat.moore")
        assert not case.emergency
    assert (await kinds(conn, id_)).count("no_emergency") == 1
    again = {"message_id": fact_id("again"), "amended": True, "emergency": True}
    await file(pool, routed(told).model_copy(update=again))
    assert not await is_emergency(conn, id_), "the same words say nothing new"
    assert await alarmed(conn) == []


async def test_staff_may_make_a_case_an_emergency(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    told = complaint(1)
    await file(pool, told, routed(told))
    await changes.set_emergency(conn, told.message_id, emergency=True, by="pat.moore")
    assert await on_triage(conn) == [told.message_id]
    await changes.close(conn, told.message_id, outcome="fixed", words="Done.", by="pat.moore")
    with pytest.raises(NotAllowed, match="closed"):
        await changes.set_emergency(conn, told.message_id, emergency=False, by="pat.moore")
