"""Who of a team takes a case: who is there, and has least to do. Chosen once, in the store."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from bus.contracts import CaseAssigned, ComplaintRouted, RuleTried, Team
from bus.identity import fact_id
from store import absences, accounts, alarms, cases, changes
from store.model import NotAllowed, Status
from tests.support.facts import complaint
from tests.support.store import file, kinds, routed, to_tell

STREETS = "MS-STREET MAINTENANCE"
CREW = ("jo.linden", "max.odell", "sid.lowe")
NOW = datetime.now(UTC)


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> asyncpg.Connection:
    """A connection of its own; three people of a crew and their lead work here."""
    async with pool.acquire() as connection:
        for login in (*CREW, "pat.moore"):
            await put(connection, login)
        yield connection


async def put(conn: asyncpg.Connection, login: str, **changes: object) -> None:
    values: dict[str, object] = {
        "login": login,
        "name": login.replace(".", " ").title(),
        "email": f"{login}@independence.example",
        "roles": ["staff"],
        "department": STREETS,
    }
    await accounts.put_account(conn, **values | changes)  # type: ignore[arg-type]


def sent(number: int, *teams: Team, **other: object) -> ComplaintRouted:
    """A routing to the crew, then to the lead."""
    usual = (
        Team(people=CREW, why="works District 2"),
        Team(people=("pat.moore",), why=f"leads {STREETS}, and nobody else there is free"),
        Team(people=("pat.moore",), why="leads it; all others are away", even_away=True),
    )
    values = {"assignee": None, "teams": teams or usual, "rules": "v1", "reasons": ["a pothole"]}
    return routed(complaint(number), **values | other)


async def take(pool: asyncpg.Pool, *told: ComplaintRouted, start: int = 1) -> None:
    heard = [complaint(number) for number in range(start, start + len(told))]
    await file(pool, *heard, *told)


async def the_case(conn: asyncpg.Connection, number: int = 1) -> cases.Case:
    case = await cases.by_id(conn, complaint(number).message_id)
    assert case is not None
    return case


async def away(conn: asyncpg.Connection, login: str, days: int = 7) -> UUID:
    id_ = uuid4()
    begins, ends = NOW - timedelta(days=1), NOW + timedelta(days=days)
    await absences.add(conn, absence_id=id_, login=login, begins=begins, ends=ends, by="pat.moore")
    return id_


async def load(conn: asyncpg.Connection) -> Counter[str]:
    rows = await conn.fetch("SELECT assignee FROM cases WHERE status <> 'closed'")
    return Counter(row["assignee"] for row in rows)


async def test_who_has_the_fewest_open_cases_takes_the_next(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    await take(pool, *(sent(number) for number in range(1, 31)))
    assert await load(conn) == dict.fromkeys(CREW, 10), "within a batch"

    jo = [await the_case(conn, number) for number in range(1, 31)]
    for case in jo:
        if case.assignee == "jo.linden":
            await changes.close(conn, case.id, outcome="fixed", words="Done.", by="jo.linden")
    await take(pool, *(sent(number) for number in range(31, 36)), start=31)
    assert (await load(conn))["jo.linden"] == 5, "what is closed is no load"

    case = await the_case(conn, 31)
    assert case.assignee_name == "Jo Linden"
    assert case.assignee_email == "jo.linden@independence.example"
    assert case.reasons == (
        "a pothole",
        "Jo Linden works District 2, and of 3 nobody has fewer (0 open cases)",
    )


async def test_the_same_routing_told_again_changes_nothing(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    told = [sent(number) for number in range(1, 8)]
    await take(pool, *told)
    before = await load(conn)
    for _ in range(3):
        await file(pool, *told)
        await file(pool, *reversed(told))
    assert await load(conn) == before
    assert len([one for one in await to_tell(conn) if isinstance(one, CaseAssigned)]) == 7


async def test_equals_are_told_apart_the_same_way_every_time(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """Two stores that start from the same desks give the same complaint to the same person."""
    await take(pool, sent(1))
    first = (await the_case(conn)).assignee
    await conn.execute("TRUNCATE cases, complaints, inbox, outbox CASCADE")
    await take(pool, sent(1))
    assert (await the_case(conn)).assignee == first


async def test_several_stores_at_once_place_each_case_once(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    told = [sent(number) for number in range(1, 41)]
    await file(pool, *(complaint(number) for number in range(1, 41)))
    await asyncio.gather(
        *(file(pool, *told[start : start + 10]) for start in range(0, 40, 10)),
        *(file(pool, *told[start : start + 20]) for start in range(0, 40, 20)),
    )
    assert sum((await load(conn)).values()) == 40
    assert len([one for one in await to_tell(conn) if isinstance(one, CaseAssigned)]) == 40
    # Each batch counts for itself; what they cannot see of each other is at most one batch.
    assert min((await load(conn)).values()) >= 10


async def test_who_is_away_is_passed_over_and_named(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    await away(conn, "jo.linden")
    await away(conn, "max.odell")
    await take(pool, sent(1))
    case = await the_case(conn)
    assert case.assignee == "sid.lowe"
    assert case.reasons[1:] == (
        "Jo Linden is away",
        "Max Odell is away",
        "Sid Lowe works District 2",
    )


async def test_an_absence_counts_from_its_first_moment_to_its_last(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    for login, begins, ends in (
        ("jo.linden", NOW - timedelta(days=9), NOW - timedelta(seconds=5)),
        ("max.odell", NOW - timedelta(days=9), None),
        ("sid.lowe", NOW + timedelta(hours=1), NOW + timedelta(days=9)),
    ):
        await absences.add(
            conn, absence_id=uuid4(), login=login, begins=begins, ends=ends, by="pat.moore"
        )
    await take(pool, *(sent(number) for number in range(1, 11)))
    assert await load(conn) == {"jo.linden": 5, "sid.lowe": 5}


async def test_when_a_team_is_away_the_next_takes_it_and_at_last_the_lead_though_away(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    for login in CREW:
        await away(conn, login)
    await take(pool, sent(1))
    assert (await the_case(conn)).assignee == "pat.moore"
    await away(conn, "pat.moore")
    await take(pool, sent(2), start=2)
    case = await the_case(conn, 2)
    assert (case.status, case.assignee) == (Status.ASSIGNED, "pat.moore")
    assert case.reasons[-1] == "Pat Moore leads it; all others are away"


@pytest.mark.parametrize("change", [{"active": False}, {"department": "MS-WATER"}])
async def test_who_has_left_is_passed_over(
    pool: asyncpg.Pool, conn: asyncpg.Connection, change: dict[str, object]
) -> None:
    await put(conn, "jo.linden", **change)
    await take(pool, *(sent(number) for number in range(1, 9)))
    assert set(await load(conn)) == {"max.odell", "sid.lowe"}
    assert "Jo Linden does not work there any more" in (await the_case(conn)).reasons


async def test_where_nobody_works_any_more_it_goes_to_triage_and_raises_an_alarm(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    for login in (*CREW, "pat.moore"):
        await put(conn, login, active=False)
    await take(pool, sent(1), sent(2))
    case = await the_case(conn)
    assert (case.status, case.department, case.assignee) == (Status.TRIAGE, STREETS, None)
    assert case.reasons[-1] == f"No person: nobody works in {STREETS}"
    assert not [one for one in await to_tell(conn) if isinstance(one, CaseAssigned)]
    [alarm] = await alarms.since(conn, NOW - timedelta(minutes=1))
    assert (alarm.reason, alarm.times) == (f"nobody works in {STREETS}", 2)


async def test_a_rule_whose_people_have_all_left_raises_an_alarm_and_the_lead_takes_it(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    await put(conn, "jo.linden", active=False)
    teams = (
        Team(people=("jo.linden",), why="is named by the rule", named=True),
        Team(people=("pat.moore",), why="leads it, and nobody of the rule is free"),
    )
    await take(pool, sent(1, *teams, rule="Sinkholes"))
    assert (await the_case(conn)).assignee == "pat.moore"
    [alarm] = await alarms.since(conn, NOW - timedelta(minutes=1))
    assert (alarm.rule, alarm.reason) == ("Sinkholes", "nobody whom it names works there any more")
    assert alarm.last_case == complaint(1).message_id


async def test_absence_alone_raises_no_alarm(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    await away(conn, "jo.linden")
    teams = (
        Team(people=("jo.linden",), why="is named by the rule", named=True),
        Team(people=("pat.moore",), why="leads it"),
    )
    await take(pool, sent(1, *teams, rule="Sinkholes"))
    assert await alarms.since(conn, NOW - timedelta(minutes=1)) == []


async def test_a_rule_that_cannot_run_raises_one_alarm_however_often_it_is_told(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    broken = RuleTried(rule="Near", outcome="broken", condition="near", found="no place is known")
    told = [
        sent(number, department=None, teams=(), rule="Near", trace=(broken,)) for number in (1, 2)
    ]
    await take(pool, *told)
    await file(pool, *told)
    [alarm] = await alarms.since(conn, NOW - timedelta(minutes=1))
    assert (alarm.rule, alarm.reason, alarm.times) == ("Near", "near: no place is known", 2)
    assert (await the_case(conn)).status is Status.TRIAGE


async def test_what_staff_have_chosen_stays(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    await file(pool, complaint(1))
    await changes.assign(
        conn, complaint(1).message_id, department=STREETS, assignee="max.odell", by="pat.moore"
    )
    await away(conn, "max.odell")
    await file(pool, sent(1))
    assert (await the_case(conn)).assignee == "max.odell"
    assert (await kinds(conn, complaint(1).message_id))[-1] == "routed_late"


async def test_who_has_it_keeps_it_when_the_router_looks_again(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """Somebody else may have less to do by now: that is no reason to move a case."""
    await take(pool, sent(1))
    holder = (await the_case(conn)).assignee
    assert holder is not None
    await take(pool, *(sent(n, Team(people=(holder,), why="x")) for n in range(2, 6)), start=2)
    again = {"message_id": fact_id("again"), "amended": True}
    await file(pool, sent(1).model_copy(update=again))
    case = await the_case(conn)
    assert case.assignee == holder
    assert case.reasons[-1].endswith("works District 2, and has it already")
    assert (await kinds(conn, case.id))[-1] == "looked_again"


async def test_the_trace_stays_with_each_routing(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    trace = (
        RuleTried(rule="A", outcome="differs", condition="time", asks="17:00-07:00", found="noon"),
        RuleTried(rule="B", outcome="fits"),
    )
    await take(pool, sent(1, trace=trace, rule="B"))
    *_, event = await cases.history(conn, complaint(1).message_id)
    assert (event.data["rule"], event.data["rules"]) == ("B", "v1")
    told: Sequence[object] = event.data["trace"]  # type: ignore[assignment]
    assert [RuleTried.model_validate(one) for one in told] == list(trace)


async def test_somebody_whom_no_account_knows_takes_it_when_the_router_does(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    newcomer = {"id": "new.comer", "name": "New Comer", "email": "new.comer@independence.example"}
    team = Team(people=("new.comer",), why="works District 2")
    await take(pool, sent(1, team, assignee=newcomer))
    assert (await the_case(conn)).assignee_name == "New Comer"


# ── absences ────────────────────────────────────────────────────────────────────────────────────


async def test_an_absence_is_said_once(conn: asyncpg.Connection) -> None:
    id_ = await away(conn, "jo.linden")
    await absences.add(
        conn, absence_id=id_, login="jo.linden", begins=NOW, ends=None, by="pat.moore"
    )
    [one] = await absences.upcoming(conn, NOW)
    assert (one.login, one.name, one.said_by_name) == ("jo.linden", "Jo Linden", "Pat Moore")
    assert one.ends is not None
    assert await absences.upcoming(conn, NOW, "MS-WATER") == []
    assert await absences.upcoming(conn, NOW + timedelta(days=8)) == []
    await absences.remove(conn, id_)
    assert await absences.upcoming(conn, NOW) == []


async def test_an_absence_that_cannot_be_is_refused(conn: asyncpg.Connection) -> None:
    with pytest.raises(NotAllowed, match="before the first"):
        await absences.add(
            conn, absence_id=uuid4(), login="jo.linden", begins=NOW, ends=NOW, by="pat.moore"
        )
    with pytest.raises(NotAllowed, match="Nobody who works here"):
        await absences.add(
            conn, absence_id=uuid4(), login="nobody", begins=NOW, ends=None, by="pat.moore"
        )


async def test_the_folders_absences_are_just_those_of_the_folder(conn: asyncpg.Connection) -> None:
    said = await away(conn, "max.odell")
    first = [("jo.linden", NOW - timedelta(days=1), None), ("sid.lowe", None, NOW)]
    for _ in range(2):
        await absences.put_folder(conn, first)
    assert await conn.fetchval("SELECT count(*) FROM absences") == 3
    [folder] = [one for one in await absences.upcoming(conn, NOW) if one.said_by is None]
    assert folder.login == "jo.linden"
    await absences.remove(conn, folder.id)
    assert len(await absences.upcoming(conn, NOW)) == 2, "what the folder says is changed there"
    await absences.put_folder(conn, [])
    assert [one.id for one in await absences.upcoming(conn, NOW)] == [said]
