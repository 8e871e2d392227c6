"""A complaint is filed at once and once, and lies where it belongs as soon as that is known."""

import random

import asyncpg
import pytest

from bus.contracts import CaseAssigned, CaseOpened, ComplaintReceived, DeadLetter, Fact
from bus.errors import NotYet
from bus.identity import fact_id, read_reference
from store import cases, changes, grave_acts, graves, ledger, search
from store.model import Status
from tests.support.facts import ASSIGNEE, NOON, PHOTO, complaint
from tests.support.store import file, hear, kinds, put_staff, routed, to_tell


async def test_a_complaint_becomes_a_case_with_all_that_was_said(pool: asyncpg.Pool) -> None:
    told = complaint(problem_type="Pothole", entered_by="pat.moore", language="es")
    await file(pool, told)
    async with pool.acquire() as conn:
        case = await cases.by_reference(conn, told.reference.lower().replace("-", " "))
        assert case is not None
        assert case == await cases.by_id(conn, told.message_id)
        assert (case.status, case.text, case.language) == (Status.NEW, told.text, "es")
        assert (case.lat, case.lon, case.address) == (told.lat, told.lon, told.address)
        assert (case.reporter, case.entered_by) == (told.reporter, "pat.moore")
        assert (case.chosen_type, case.problem_type) == ("Pothole", None)
        assert (case.attachments, case.original) == ((PHOTO,), told.original)
        [fact] = await to_tell(conn)
        assert isinstance(fact, CaseOpened)
        assert fact.case.reference == told.reference
        assert fact.case.attachments == (PHOTO,)
        assert str(await ledger.equation(conn)) == (
            "received 1 = filed 1 + quarantined 0 + ignored 0 + in flight 0"
        )


async def test_the_same_complaint_opens_one_case(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told, told)
    await file(pool, told)
    await file(pool, told.model_copy(update={"text": "Something else"}))
    async with pool.acquire() as conn:
        assert await kinds(conn, told.message_id) == ["opened"]
        assert len(await to_tell(conn)) == 1
        assert (await search.find(conn, search.Filter())).total == 1
        assert (await ledger.equation(conn)).filed == 1
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert case.text == told.text


async def test_a_routed_complaint_lies_on_somebodys_desk(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told, routed(told))
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert (case.status, case.department) == (Status.ASSIGNED, "MS-STREET MAINTENANCE")
        assert (case.assignee, case.assignee_name) == (ASSIGNEE.id, ASSIGNEE.name)
        assert (case.problem_type, case.confidence) == ("Pothole/Street Maintenance", 0.83)
        assert [one.problem_type for one in case.alternatives] == ["Sinkhole"]
        assert case.reasons[1] == "District 2: the point lies in it"
        opened, assigned = await to_tell(conn)
        assert isinstance(opened, CaseOpened)
        assert isinstance(assigned, CaseAssigned)
        assert assigned.case.assignee == ASSIGNEE
        assert assigned.case.reporter == told.reporter
        assert assigned.assigned_by is None
        assert [row.reference for row in await search.desk(conn, ASSIGNEE.id)] == [told.reference]


async def test_being_routed_twice_changes_nothing(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told, routed(told), routed(told))
    await file(pool, routed(told))
    async with pool.acquire() as conn:
        assert await kinds(conn, told.message_id) == ["opened", "routed"]
        assert len(await to_tell(conn)) == 2


async def test_a_department_without_a_person_is_told_and_none_is_triage(
    pool: asyncpg.Pool,
) -> None:
    desk, nobody = complaint(1), complaint(2)
    await file(
        pool,
        desk,
        nobody,
        routed(desk, assignee=None),
        routed(nobody, assignee=None, department=None, district=None, reasons=["no words fit"]),
    )
    async with pool.acquire() as conn:
        one, other = [await cases.by_id(conn, told.message_id) for told in (desk, nobody)]
        assert one is not None
        assert other is not None
        assert (one.status, one.assignee) == (Status.ASSIGNED, None)
        assert (other.status, other.department, other.district) == (Status.TRIAGE, None, None)
        assert [fact.subject for fact in await to_tell(conn)] == [
            "case.opened",
            "case.opened",
            "case.assigned",
        ]


async def test_a_routing_that_comes_before_its_complaint_comes_again(pool: asyncpg.Pool) -> None:
    told = complaint()
    with pytest.raises(NotYet):
        await file(pool, routed(told))
    # In one batch the order does not matter.
    await file(pool, routed(told), told)
    async with pool.acquire() as conn:
        assert await kinds(conn, told.message_id) == ["opened", "routed"]


async def test_a_batch_with_one_that_came_too_early_leaves_nothing_behind(
    pool: asyncpg.Pool,
) -> None:
    here, missing = complaint(1), complaint(2)
    with pytest.raises(NotYet):
        await file(pool, here, routed(here), routed(missing))
    async with pool.acquire() as conn:
        assert (await ledger.equation(conn)).received == 0


async def test_what_staff_chose_before_the_routing_stays(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told)
    async with pool.acquire() as conn:
        await put_staff(conn)
        await changes.set_problem_type(
            conn, told.message_id, problem_type="Water main", by="lee.chan"
        )
        await changes.assign(
            conn, told.message_id, department="MS-WATER", assignee="lee.chan", by="lee.chan"
        )
        await file(pool, routed(told, emergency=True))
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert (case.department, case.assignee) == ("MS-WATER", "lee.chan")
        assert (case.problem_type, case.predicted_type) == (
            "Water main",
            "Pothole/Street Maintenance",
        )
        assert case.emergency
        assert (await kinds(conn, told.message_id))[-1] == "routed_late"
        # Danger is danger: whoever reported it is told whom to call.
        assert [fact.subject for fact in await to_tell(conn)] == [
            "case.opened",
            "case.assigned",
            "case.alarmed",
        ]


async def test_a_closed_case_takes_a_late_routing_as_it_is(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told)
    async with pool.acquire() as conn:
        await changes.close(conn, told.message_id, outcome="cannot", words="Not ours.", by="x")
        await file(pool, routed(told))
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert (case.status, case.department, case.problem_type) == (Status.CLOSED, None, None)
        assert case.predicted_type == "Pothole/Street Maintenance"


async def test_a_reference_that_is_taken_gives_way_to_a_fresh_one(pool: asyncpg.Pool) -> None:
    first = complaint(1)
    second = complaint(2, reference=first.reference)
    third = complaint(3, reference=first.reference)
    await file(pool, first)
    await file(pool, second, third, routed(second))
    async with pool.acquire() as conn:
        found = [await cases.by_id(conn, one.message_id) for one in (first, second, third)]
        references = [case.reference for case in found if case is not None]
        assert len(set(references)) == 3
        assert references[0] == first.reference
        assert all(read_reference(reference) == reference for reference in references)
        [opened, _] = await cases.history(conn, second.message_id)
        assert opened.data["reference_was_taken"] == first.reference
        told = {fact.case.case_id: fact.case.reference for fact in await _case_facts(conn)}
        assert told == dict(
            zip((one.message_id for one in (first, second, third)), references, strict=True)
        )


async def _case_facts(conn: asyncpg.Connection) -> list[CaseOpened | CaseAssigned]:
    return [fact for fact in await to_tell(conn) if isinstance(fact, CaseOpened | CaseAssigned)]


@pytest.mark.parametrize(
    "text",
    ["", "\x00", "a\x00b\x07", "🕳" * 50_000, "x" * 100_000, "שלום \u202e", "word " * 20_000],
    ids=["empty", "nul", "control", "emoji", "one word", "right to left", "many words"],
)
async def test_whatever_somebody_says_is_filed(pool: asyncpg.Pool, text: str) -> None:
    told = complaint(
        text=text,
        address="1\x00 Main",
        external_id="t\x00",
        lat=123.0,
        lon=-500.0,
        reporter={"name": "R\x00", "phone": "\x00"},
    )
    await file(pool, told, routed(told, reasons=["because \x00"], lat=None, lon=None))
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert case.text == text.replace("\x00", "")
        assert (case.address, case.lat, case.lon) == ("1 Main", None, None)
        assert (case.reporter.name, case.reporter.phone) == ("R", "")
        assert case.status is Status.ASSIGNED
        [opened, _] = await cases.history(conn, told.message_id)
        assert opened.data["point_dropped"] == ["123.0", "-500.0"]


def dead(told: ComplaintReceived, durable: str = "store_complaint") -> DeadLetter:
    return DeadLetter(
        message_id=fact_id("dead", told.message_id, durable),
        occurred_at=NOON,
        durable=durable,
        stream="COMPLAINTS",
        sequence=7,
        original_subject="complaint.received.web",
        original_id=str(told.message_id),
        complaint_id=told.message_id,
        reason="Refused: for the test",
        tries=6,
        payload="e30=",
    )


async def test_what_could_not_be_filed_is_in_quarantine_until_it_is_replayed(
    pool: asyncpg.Pool,
) -> None:
    told = complaint()
    for _ in range(2):
        await hear(pool, "store_dead", dead(told), dead(told))
    async with pool.acquire() as conn:
        assert (await ledger.equation(conn)).quarantined == 1
        [grave] = await graves.waiting(conn)
        assert (grave.reason, grave.complaint_id) == ("Refused: for the test", told.message_id)
        await file(pool, told)
        equation = await ledger.equation(conn)
        assert (equation.filed, equation.quarantined, equation.closes) == (1, 0, True)
        assert await grave_acts.want_replay(conn, [grave.id], by="olga.op") == [grave.id]
        assert await grave_acts.want_replay(conn, [grave.id], by="olga.op") == []
        [due] = await grave_acts.due(conn, 10)
        await grave_acts.told(conn, [due.act])
        assert await graves.waiting(conn) == []


async def test_a_discarded_complaint_is_ignored_with_the_reason_for_ever(
    pool: asyncpg.Pool,
) -> None:
    told = complaint()
    await hear(pool, "store_dead", dead(told))
    async with pool.acquire() as conn:
        [grave] = await graves.waiting(conn)
        with pytest.raises(ValueError, match="reason"):
            await grave_acts.discard(conn, [grave.id], by="olga.op", why=" ")
        assert await grave_acts.discard(conn, [grave.id], by="olga.op", why="a test message")
        entry = await ledger.entry(conn, told.message_id)
        assert entry is not None
        assert (entry.state, entry.reason) == ("ignored", "a test message")
        await file(pool, told, routed(told))
        await hear(pool, "store_dead", dead(told, "router_complaint_received"))
        equation = await ledger.equation(conn)
        assert (equation.received, equation.ignored, equation.closes) == (1, 1, True)


async def test_a_filed_complaint_that_cannot_be_routed_goes_to_triage(pool: asyncpg.Pool) -> None:
    told = complaint()
    await file(pool, told)
    for _ in range(2):
        await hear(pool, "store_dead", dead(told, "router_complaint_received"))
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert case.status is Status.TRIAGE
        assert await kinds(conn, told.message_id) == ["opened", "routing_failed"]
        assert (await ledger.equation(conn)).filed == 1
        # The router is mended, the letter replayed: it finds its desk after all.
        await file(pool, routed(told))
        case = await cases.by_id(conn, told.message_id)
        assert case is not None
        assert case.status is Status.ASSIGNED


async def test_a_dead_letter_about_nothing_we_know_is_kept(pool: asyncpg.Pool) -> None:
    letter = dead(complaint()).model_copy(
        update={"complaint_id": None, "headers": {"A": "b\x00"}, "payload": "AA=="}
    )
    await hear(pool, "store_dead", letter)
    async with pool.acquire() as conn:
        grave = await graves.by_id(conn, letter.message_id)
        assert grave is not None
        assert grave.headers == {"A": "b"}
        assert (await ledger.equation(conn)).received == 0


async def test_in_whatever_order_and_however_often_it_is_told_it_is_filed_once(
    pool: asyncpg.Pool,
) -> None:
    """
    Random batches of repeats, reorderings and dead letters, until everything was heard: every
    complaint has one case, every case one desk, and the ledger closes at every step.
    """
    shuffle = random.Random(11)
    told = [complaint(number) for number in range(30)]
    places = [routed(one) for one in told]
    graves_of = [dead(one, durable) for one in told[::5] for durable in ("store_complaint", "r")]
    letters: list[Fact] = [*graves_of, *graves_of]
    messages: list[Fact] = [*told, *places] * 3
    shuffle.shuffle(messages)
    shuffle.shuffle(letters)
    async with pool.acquire() as conn:
        while messages:
            size = shuffle.randint(1, 12)
            batch, messages = messages[:size], messages[size:]
            try:
                await file(pool, *batch)
            except NotYet:
                for fact in batch:
                    try:
                        await file(pool, fact)
                    except NotYet:
                        messages.append(fact)
            if letters and shuffle.random() < 0.3:
                await hear(pool, "store_dead", letters.pop())
            assert (await ledger.equation(conn)).closes
        equation = await ledger.equation(conn)
        assert (equation.received, equation.filed) == (30, 30)
        for one in told:
            happened = await kinds(conn, one.message_id)
            assert sorted(set(happened) - {"routing_failed"}) == ["opened", "routed"]
            assert happened.count("opened") == happened.count("routed") == 1
        assert len(await to_tell(conn)) == 60


async def test_the_ledger_knows_what_it_has(pool: asyncpg.Pool) -> None:
    here, lost, missing = complaint(1), complaint(2), complaint(3)
    await file(pool, here)
    await hear(pool, "store_dead", dead(lost))
    async with pool.acquire() as conn:
        ids = [one.message_id for one in (here, lost, missing)]
        assert await ledger.known(conn, ids) == set(ids[:2])
        equation = (await ledger.equation(conn)).with_in_flight(1)
        assert str(equation) == "received 3 = filed 1 + quarantined 1 + ignored 0 + in flight 1"
        assert equation.closes
