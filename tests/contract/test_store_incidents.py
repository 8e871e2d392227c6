"""A storm becomes one incident: proposed or made; one word to each; undone report by report."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from bus.contracts import (
    CaseAssigned,
    CaseClosed,
    CaseNoted,
    ComplaintReceived,
    Contact,
    Fact,
    IncidentAssigned,
    IncidentClosed,
    IncidentNoted,
    Person,
)
from store import cases, changes, incident_changes, incidents, search
from store.incidents import Incident, State
from store.merging import merge
from store.model import NotAllowed, Outcome, Status
from store.public import public_view
from store.same_settings import StormSettings
from store.storms import look
from tests.support.facts import NOON, complaint
from tests.support.store import file, kinds, put_staff, routed, to_tell

LIGHT = "Street Light Out"
STORM = StormSettings(reports=4, within_metres=1000, within_minutes=60)
BY_ITSELF = STORM.model_copy(update={"attach": True})
DANA = Person(id="dana.ruiz", name="Dana Ruiz", email="dana.ruiz@independence.example")
LATER = NOON + timedelta(minutes=20)


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as acquired:
        await put_staff(acquired)
        yield acquired


async def report(
    pool: asyncpg.Pool,
    number: int,
    *,
    at: datetime | None = None,
    email: str | None = None,
    **router: object,
) -> ComplaintReceived:
    """A dark street light, a hundred metres from the one before."""
    told = complaint(
        number,
        lat=39.0757 + number * 0.0009,
        occurred_at=at or NOON + timedelta(seconds=number),
        reporter=Contact(email=email or f"r{number}@resident.example"),
        text=f"The street light is out, number {number}",
    )
    await file(pool, told, routed(told, problem_type=LIGHT, **router))
    return told


async def storm(pool: asyncpg.Pool, count: int = 4) -> list[UUID]:
    return [(await report(pool, number)).message_id for number in range(1, count + 1)]


async def only(conn: asyncpg.Connection) -> Incident:
    [one] = await incidents.alive(conn)
    return one


async def of(conn: asyncpg.Connection, kind: type[Fact]) -> list[Fact]:
    return [fact for fact in await to_tell(conn) if isinstance(fact, kind)]


async def attached(conn: asyncpg.Connection, incident: Incident) -> set[UUID]:
    return {row.id for row in await incidents.attached(conn, incident.id)}


async def desk(conn: asyncpg.Connection, login: str = "pat.moore") -> set[UUID]:
    return {row.id for row in await search.desk(conn, login)}


@pytest.fixture
async def begun(conn: asyncpg.Connection, pool: asyncpg.Pool) -> tuple[Incident, list[UUID]]:
    """An incident of four reports that takes in what comes later."""
    four = await storm(pool)
    await look(conn, BY_ITSELF, LATER)
    return await only(conn), four


# ── how it begins ───────────────────────────────────────────────────────────────────────────────


async def test_many_reports_are_proposed_as_one_incident_once(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    some = await storm(pool, 3)
    assert await look(conn, STORM, LATER) == 0
    some.append((await report(pool, 4)).message_id)
    assert [await look(conn, STORM, LATER) for _ in range(3)] == [1, 0, 0]
    one = await only(conn)
    assert (one.state, one.problem_type, one.reports) == (State.PROPOSED, LIGHT, 0)
    assert {row.id for row in await incidents.fitting(conn, one.id)} == set(some)
    assert await desk(conn) == set(some), "nothing has happened to them"
    assert await of(conn, IncidentAssigned) == []
    assert (await search.counts(conn, None))["incidents"] == 1


async def test_what_is_old_closed_elsewhere_or_an_emergency_makes_no_storm(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    some = await storm(pool, 3)
    await report(pool, 4, at=NOON - timedelta(hours=2))
    await report(pool, 5, emergency=True)
    fresh = complaint(6, lat=39.0757)
    await file(pool, fresh)  # not routed yet
    assert await look(conn, STORM, LATER) == 0
    await report(pool, 7)
    await changes.close(conn, some[0], outcome="fixed", words="Done.", by="pat.moore")
    assert await look(conn, STORM, LATER) == 0


async def test_two_stores_that_look_at_once_find_it_once(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await storm(pool)

    async def one_look() -> int:
        async with pool.acquire() as own:
            return await look(own, BY_ITSELF, LATER)

    assert sum(await asyncio.gather(*(one_look() for _ in range(4)))) == 1
    assert (await only(conn)).reports == 4


async def test_a_person_begins_it_and_whoever_has_most_of_it_gets_it(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    some = await storm(pool, 3)
    some.append((await report(pool, 4, assignee=DANA)).message_id)
    await look(conn, STORM, LATER)
    proposed = await only(conn)
    for _ in range(2):
        await incident_changes.begin(conn, proposed.id, some[1:], takes_in=True, by="dana.ruiz")
    one = await only(conn)
    assert (one.state, one.opened_by, one.takes_in) == (State.OPEN, "dana.ruiz", True)
    assert (one.department, one.assignee) == ("MS-STREET MAINTENANCE", "pat.moore")
    assert await attached(conn, one) == set(some[1:])
    assert await desk(conn) == {some[0]}
    assert [each.id for each in await incidents.on_desk(conn, "pat.moore")] == [one.id]
    [told] = await of(conn, IncidentAssigned)
    assert isinstance(told, IncidentAssigned)
    assert (told.incident.reports, told.incident.case_id) == (3, some[1])
    assert told.incident.assignee is not None
    assert told.incident.assignee.email == "pat.moore@independence.example"
    assert (await kinds(conn, some[1]))[-1] == "attached"


async def test_one_that_was_dismissed_is_not_proposed_again_while_reports_keep_coming(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await storm(pool)
    await look(conn, STORM, LATER)
    one = await only(conn)
    for _ in range(2):
        await incident_changes.dismiss(conn, one.id, by="dana.ruiz")
    for number in range(5, 12):
        at = NOON + timedelta(minutes=20 * number)
        await report(pool, number, at=at)
        assert await look(conn, STORM, at) == 0
    assert await incidents.alive(conn) == []
    with pytest.raises(NotAllowed, match="was dismissed"):
        await incident_changes.begin(conn, one.id, [], takes_in=True, by="dana.ruiz")


async def test_a_proposal_that_nobody_answers_fades(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    await storm(pool)
    await look(conn, STORM, LATER)
    await look(conn, STORM, NOON + timedelta(hours=26))
    assert await incidents.alive(conn) == []


# ── its reports ─────────────────────────────────────────────────────────────────────────────────


async def test_a_further_report_is_attached_while_it_is_placed_and_nobody_gets_a_mail(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, four = begun
    mails = len(await of(conn, CaseAssigned))
    late = await report(pool, 5, at=NOON + timedelta(minutes=50))
    assert await attached(conn, incident) == {*four, late.message_id}
    assert len(await of(conn, CaseAssigned)) == mails
    case = await cases.by_id(conn, late.message_id)
    assert case is not None
    assert (case.status, case.assignee, case.incident_id) == (
        Status.ASSIGNED,
        "pat.moore",
        incident.id,
    )
    far = complaint(6, lat=39.2, occurred_at=LATER)
    await file(pool, far, routed(far, problem_type=LIGHT))
    other = complaint(7, occurred_at=LATER)
    await file(pool, other, routed(other))
    danger = await report(pool, 8, emergency=True)
    too_late = await report(pool, 9, at=NOON + timedelta(hours=3))
    alone = {one.message_id for one in (far, other, danger, too_late)}
    assert await desk(conn) == alone
    assert len(await of(conn, CaseAssigned)) == mails + 4


async def test_the_next_look_lengthens_it_and_brings_what_was_typed_by_hand(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, four = begun
    at = NOON + timedelta(minutes=50)
    mistyped = complaint(5, occurred_at=at)
    await file(pool, mistyped, routed(mistyped))
    await changes.set_problem_type(conn, mistyped.message_id, problem_type=LIGHT, by="pat.moore")
    await look(conn, BY_ITSELF, at)
    now = await only(conn)
    assert await attached(conn, incident) == {*four, mistyped.message_id}
    assert now.last_at == at


async def test_what_does_not_take_in_offers_what_fits(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    some = await storm(pool)
    await look(conn, STORM, LATER)
    one = await only(conn)
    await incident_changes.begin(conn, one.id, some, takes_in=False, by="dana.ruiz")
    late = (await report(pool, 5)).message_id
    await look(conn, STORM, LATER)
    assert late not in await attached(conn, one)
    [fits] = await incidents.fitting(conn, one.id)
    assert fits.id == late
    assert await incident_changes.attach(conn, one.id, [late], by="dana.ruiz") == 1
    assert await incident_changes.attach(conn, one.id, [late, uuid4()], by="dana.ruiz") == 0


async def test_a_report_is_taken_out_and_stays_by_itself(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, four = begun
    for _ in range(2):
        await incident_changes.detach(conn, four[0], by="pat.moore")
    await look(conn, BY_ITSELF, LATER)
    assert await attached(conn, incident) == set(four[1:])
    assert await desk(conn) == {four[0]}
    assert (await kinds(conn, four[0])).count("detached") == 1
    with pytest.raises(KeyError):
        await incident_changes.detach(conn, uuid4(), by="pat.moore")


async def test_danger_in_one_of_them_is_seen_on_the_desk(
    conn: asyncpg.Connection, begun: tuple[Incident, list[UUID]]
) -> None:
    _, four = begun
    assert await desk(conn) == set()
    assert (await search.counts(conn, "pat.moore"))["mine"] == 0
    await conn.execute("UPDATE cases SET emergency = true WHERE id = $1", four[2])
    assert await desk(conn) == {four[2]}
    assert (await search.counts(conn, "pat.moore"))["mine"] == 1


# ── one word, one end ───────────────────────────────────────────────────────────────────────────


def told_to(facts: Sequence[Fact]) -> list[str | None]:
    return [
        one.contact.email
        for fact in facts
        if isinstance(fact, IncidentNoted | IncidentClosed)
        for one in fact.followers
    ]


async def test_one_public_note_reaches_each_person_once_and_stands_on_every_page(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    some = [await report(pool, n, email="ana@resident.example") for n in (1, 2)]
    some += [await report(pool, n) for n in (3, 4)]
    same = complaint(9, reporter=Contact(email="luis@resident.example"))
    await file(pool, same, routed(same, problem_type=LIGHT, lat=39.2, lon=-94.0))
    await merge(conn, same.message_id, into=some[2].message_id, by="pat.moore")
    await look(conn, BY_ITSELF, LATER)
    incident = await only(conn)
    note = uuid4()
    for _ in range(2):
        await incident_changes.add_note(
            conn, incident.id, note_id=note, text="A crew is out.", public=True, by="pat.moore"
        )
    assert told_to(await of(conn, IncidentNoted)) == [
        "ana@resident.example",
        "r3@resident.example",
        "r4@resident.example",
        "luis@resident.example",
    ]
    assert await of(conn, CaseNoted) == [], "no flood"
    for one in some:
        view = await public_view(conn, one.reference)
        assert view is not None
        assert [each.text for each in view.notes] == ["A crew is out."]
    await incident_changes.add_note(
        conn, incident.id, note_id=uuid4(), text="Tom is slow.", public=False, by="pat.moore"
    )
    assert len(await of(conn, IncidentNoted)) == 1
    assert [one.public for one in await incidents.notes(conn, incident.id)] == [True, False]
    view = await public_view(conn, some[0].reference)
    assert view is not None
    assert len(view.notes) == 1


async def test_who_reports_it_later_hears_what_was_said_last_and_nobody_twice(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, _ = begun
    for words in ("We know.", "A crew is out."):
        await incident_changes.add_note(
            conn, incident.id, note_id=uuid4(), text=words, public=True, by="pat.moore"
        )
    before = len(await of(conn, IncidentNoted))
    late = await report(pool, 5)
    again = await report(pool, 6, email="r1@resident.example")
    new = (await of(conn, IncidentNoted))[before:]
    assert told_to(new) == ["r5@resident.example"]
    assert [fact.text for fact in new if isinstance(fact, IncidentNoted)] == ["A crew is out."]
    for one in (late, again):
        view = await public_view(conn, one.reference)
        assert view is not None
        assert [each.text for each in view.notes] == ["A crew is out."]


async def test_closing_it_closes_its_reports_and_each_can_be_opened_again(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, four = begun
    await changes.close(conn, four[0], outcome="cannot", words="Not ours.", by="pat.moore")
    singly = len(await of(conn, CaseClosed))
    for _ in range(2):
        await incident_changes.close(
            conn, incident.id, outcome="fixed", words="All lights are on.", by="dana.ruiz"
        )
    ended = [await cases.by_id(conn, one) for one in four]
    assert [one and (one.status, one.outcome) for one in ended] == [
        (Status.CLOSED, Outcome.CANNOT),
        *[(Status.CLOSED, Outcome.FIXED)] * 3,
    ]
    [told] = await of(conn, IncidentClosed)
    assert isinstance(told, IncidentClosed)
    assert (told.outcome, told.words, told.closed_by) == (
        "fixed",
        "All lights are on.",
        "Dana Ruiz",
    )
    assert told_to([told]) == [f"r{n}@resident.example" for n in (2, 3, 4)]
    assert len(await of(conn, CaseClosed)) == singly, "one mail each, by the incident"
    one = await incidents.by_id(conn, incident.id)
    assert one is not None
    assert (one.state, one.open_reports, one.settled_by) == (State.CLOSED, 0, "dana.ruiz")
    assert await incidents.alive(conn) == []
    assert [each.id for each in await incidents.closed_lately(conn)] == [incident.id]

    again = await changes.reopen(conn, four[1], reason="Ours is dark.", by="pat.moore")
    assert (again.status, again.incident_id) == (Status.ASSIGNED, None)
    assert await desk(conn) == {four[1]}
    assert await attached(conn, incident) == {four[0], *four[2:]}
    await look(conn, BY_ITSELF, LATER)
    assert await incidents.alive(conn) == []


async def test_reports_of_one_that_is_over_are_a_new_storm(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, _ = begun
    await incident_changes.close(conn, incident.id, outcome="fixed", words="Done.", by="dana.ruiz")
    for number in range(5, 9):
        await report(pool, number)
    assert await look(conn, STORM, LATER) == 1


async def test_it_goes_to_somebody_else(
    conn: asyncpg.Connection, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, _ = begun
    for _ in range(2):
        await incident_changes.assign(conn, incident.id, assignee="lee.chan", by="pat.moore")
    one = await only(conn)
    assert (one.department, one.assignee, one.assignee_name) == ("MS-WATER", "lee.chan", "Lee Chan")
    *_, told = await of(conn, IncidentAssigned)
    assert isinstance(told, IncidentAssigned)
    assert told.assigned_by == "Pat Moore"
    assert len(await of(conn, IncidentAssigned)) == 2
    with pytest.raises(NotAllowed, match="ghost"):
        await incident_changes.assign(conn, incident.id, assignee="ghost", by="pat.moore")


async def test_what_cannot_be_done_is_refused_in_words(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    some = await storm(pool)
    await look(conn, STORM, LATER)
    one = (await only(conn)).id
    with pytest.raises(NotAllowed, match="has not begun"):
        await incident_changes.close(conn, one, outcome="fixed", words="Done.", by="x")
    with pytest.raises(NotAllowed, match="None of these"):
        await incident_changes.begin(conn, one, [uuid4()], takes_in=True, by="x")
    assert (await only(conn)).state is State.PROPOSED
    await incident_changes.begin(conn, one, some, takes_in=True, by="x")
    with pytest.raises(NotAllowed, match="has begun already"):
        await incident_changes.dismiss(conn, one, by="x")
    for words, outcome, why in (("", "fixed", "how it ended"), ("x", "gone", "not one of")):
        with pytest.raises(NotAllowed, match=why):
            await incident_changes.close(conn, one, outcome=outcome, words=words, by="x")
    with pytest.raises(NotAllowed, match="needs words"):
        await incident_changes.add_note(conn, one, note_id=uuid4(), text=" ", public=True, by="x")
    with pytest.raises(KeyError):
        await incident_changes.dismiss(conn, uuid4(), by="x")


async def test_closing_while_reports_come_in_loses_none(
    conn: asyncpg.Connection, pool: asyncpg.Pool, begun: tuple[Incident, list[UUID]]
) -> None:
    incident, four = begun
    more = range(5, 15)

    async def end() -> None:
        async with pool.acquire() as own:
            await incident_changes.close(
                own, incident.id, outcome="fixed", words="Done.", by="dana.ruiz"
            )

    await asyncio.gather(end(), *(report(pool, number) for number in more))
    numbers = [complaint(number).message_id for number in more]
    for case_id in (*four, *numbers):
        case = await cases.by_id(conn, case_id)
        assert case is not None
        assert case.status is Status.CLOSED or case_id in await desk(conn)


async def test_many_people_are_told_in_parts(
    conn: asyncpg.Connection,
    begun: tuple[Incident, list[UUID]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    incident, _ = begun
    monkeypatch.setattr("store.followers.IN_ONE_FACT", 3)
    await incident_changes.close(conn, incident.id, outcome="fixed", words="Done.", by="x")
    parts = await of(conn, IncidentClosed)
    assert [(len(one.followers), one.rest) for one in parts if isinstance(one, IncidentClosed)] == [
        (3, False),
        (1, True),
    ]
