"""
Routing old cases again after a change of the rules: what would move, and having it moved.

Nothing is moved here. The router is asked once more, and the store decides, as with every routing;
what would move is found with their own functions.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import CaseAmended, ComplaintRouted
from router.service import Router, as_told
from store import desks, past
from store.filing import may_place
from store.past import PastCase


@dataclass(frozen=True)
class Move:
    """A case that another desk would get."""

    case_id: UUID
    reference: str
    problem_type: str | None
    from_department: str | None
    from_person: str | None
    to_department: str | None
    to_person: str | None
    rule: str | None
    asked: CaseAmended


@dataclass(frozen=True)
class Plan:
    """What routing again would do."""

    since: datetime
    rules: str
    """The version of the rules by which it would be done."""
    moves: tuple[Move, ...]
    stay: int
    by_hand: int
    """Cases about which staff have decided something; they are not asked about."""


async def plan(conn: asyncpg.Connection, router: Router, since: datetime, now: datetime) -> Plan:
    """
    What would become of the open cases since then if they were routed now. Changes nothing.

    People are chosen as the store would: what lies on their desks counts, and each move counts for
    the next.
    """
    moves: list[Move] = []
    stay = by_hand = 0
    seats = Seats()
    async for batch in past.cases_since(conn, since, only_open=True):
        open_to_rules = [case for case in batch if not case.by_hand and case.routed_at is not None]
        by_hand += sum(case.by_hand for case in batch)
        asked = [past.asking(case, router.city.version, now) for case in open_to_rules]
        told = await asyncio.to_thread(router.route, [as_told(one) for one in asked], at=now)
        await seats.meet(conn, told, now)
        for case, question, answer in zip(open_to_rules, asked, told, strict=True):
            routed = as_answered(answer)
            if not may_be_placed(case, routed):
                stay += 1
                continue
            person = seats.choose(case, routed)
            if (routed.department, person.login if person else None) == (
                case.department,
                case.assignee,
            ):
                stay += 1
                continue
            moves.append(
                Move(
                    case_id=case.id,
                    reference=case.reference,
                    problem_type=routed.problem_type,
                    from_department=case.department,
                    from_person=case.assignee_name,
                    to_department=routed.department,
                    to_person=person.name if person else None,
                    rule=routed.rule,
                    asked=question,
                )
            )
    return Plan(since, router.city.version, tuple(moves), stay, by_hand)


class Seats:
    """Who would get a case, as the store would choose; each choice counts for the next."""

    def __init__(self) -> None:
        self._standings: dict[str, desks.Standing] = {}
        self._loads: dict[str, int] = {}

    async def meet(
        self, conn: asyncpg.Connection, told: Iterable[ComplaintRouted], now: datetime
    ) -> None:
        """Look up the people who are named for the first time."""
        people = {one for routed in told for team in routed.teams for one in team.people}
        fresh = await desks.standings(conn, people - self._standings.keys(), now)
        self._standings |= fresh
        self._loads |= {login: standing.open_cases for login, standing in fresh.items()}

    def choose(self, case: PastCase, routed: ComplaintRouted) -> "Seat | None":
        """The person who gets the case that the router answered so."""
        found = desks.choose(routed, self._standings, self._loads, held=case.assignee).person
        login = found.id if found else None
        if login != case.assignee:
            if login is not None:
                self._loads[login] = self._loads.get(login, 0) + 1
            if case.assignee in self._loads:
                self._loads[case.assignee] -= 1
        return Seat(found.id, found.name) if found else None


@dataclass(frozen=True)
class Seat:
    """A person who gets a case."""

    login: str
    name: str


def as_answered(answer: ComplaintRouted) -> ComplaintRouted:
    """The router's answer, as it comes to the store when a case is looked at again."""
    return answer.model_copy(update={"amended": True, "rules_changed": True})


def may_be_placed(case: PastCase, routed: ComplaintRouted) -> bool:
    """Whether the router's word decides where it lies: what staff have decided stands."""
    row = {"status": case.status, "placed_by": case.placed_by, "typed_by": case.typed_by}
    return may_place(row, routed)


async def apply(conn: asyncpg.Connection, wanted: Plan) -> None:
    """Have the moves made; asking again for the same ones changes nothing."""
    await past.ask_again(conn, [move.asked for move in wanted.moves])


@dataclass(frozen=True)
class Outcome:
    """What became of the moves."""

    moved: int
    stayed: int
    """A person was quicker, or the load is another by now."""
    waiting: int
    """Not answered yet: nothing runs that could."""
    other_rules: int
    """Answered by a router that has other rules than ours: it was not started again."""


async def await_outcome(
    pool: asyncpg.Pool, wanted: Plan, asked_at: datetime, patience: float
) -> Outcome:
    """What has become of the moves once all are answered, or patience is over."""
    ids = [move.case_id for move in wanted.moves]
    until = asyncio.get_running_loop().time() + patience
    while True:
        async with pool.acquire() as conn:
            answers = await past.answers(conn, ids, asked_at)
        if len(answers) == len(ids) or asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(0.2)
    ours = [one for one in answers.values() if one.rules == wanted.rules]
    moved = sum(one.moved for one in ours)
    return Outcome(
        moved=moved,
        stayed=len(ours) - moved,
        waiting=len(ids) - len(answers),
        other_rules=len(answers) - len(ours),
    )
