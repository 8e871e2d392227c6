"""
Trying a draft of the rules on cases of the past: who would gain and who would lose work.

Both the rules in force and the draft are asked about the same cases: what differs is what the
draft changes. Nothing is written anywhere.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from bus.contracts import ComplaintReceived, ComplaintRouted
from router.rules import Worker
from router.service import Router
from store import desks, past
from store.past import PastCase

_EXAMPLES = 3
NOBODY = ""
"""The department, or the person, of what goes to triage."""


@dataclass
class Work:
    """What somebody, or a department, gets of the cases that were tried."""

    now: int = 0
    draft: int = 0
    gained: list[str] = field(default_factory=list)
    """References of some cases that would come."""
    lost: list[str] = field(default_factory=list)
    """References of some that would go."""

    @property
    def difference(self) -> int:
        return self.draft - self.now

    @property
    def changes(self) -> bool:
        return bool(self.gained or self.lost)


@dataclass
class Trial:
    """What a draft would have done."""

    cases: int = 0
    elsewhere: int = 0
    """Cases that another department or another person would have got."""
    departments: dict[str, Work] = field(default_factory=lambda: defaultdict(Work))
    people: dict[str, Work] = field(default_factory=lambda: defaultdict(Work))
    """By name, with the department behind it."""
    fits: Counter[str] = field(default_factory=Counter)
    """How many cases each rule of the draft would have decided."""
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rules of the draft that could not run, each with the reason."""
    unused: tuple[str, ...] = ()
    """Rules of the draft that fit no case."""


async def try_rules(
    conn: asyncpg.Connection, current: Router, draft: Router, since: datetime, now: datetime
) -> Trial:
    """
    What the draft would have done with all cases since then, closed ones too.

    The type is the one that staff have set, where they have; else each router reads the text. Who
    of a team gets a case follows from what the trial itself has given out, from empty desks on.
    """
    trial = Trial()
    hands = (_Hand(current), _Hand(draft))
    async for batch in past.cases_since(conn, since, only_open=False):
        heard = [_as_heard(case) for case in batch]
        results = []
        for hand in hands:
            told = await asyncio.to_thread(hand.router.route, heard)
            await hand.meet(conn, told, now)
            results.append([hand.give(routed) for routed in told])
            if hand is hands[1]:
                _note_rules(trial, told)
        for case, old, new in zip(batch, *results, strict=True):
            _count(trial, case, old, new)
    fitting = trial.fits
    trial.unused = tuple(rule.name for rule in draft.city.rules.rule if not fitting.get(rule.name))
    return trial


class _Hand:
    """One set of rules giving out the cases of a trial."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self._standings: dict[str, desks.Standing] = {}
        self._loads: Counter[str] = Counter()

    async def meet(
        self, conn: asyncpg.Connection, told: Iterable[ComplaintRouted], now: datetime
    ) -> None:
        """Look up the people who are named for the first time."""
        named = {one for routed in told for team in routed.teams for one in team.people}
        new = named - self._standings.keys()
        known = await desks.standings(conn, new, now)
        people: Mapping[str, Worker] = self.router.city.people_by_id
        # A draft may name people whom no account knows yet.
        known |= {login: _newcomer(people[login]) for login in new - known.keys()}
        self._standings |= known

    def give(self, routed: ComplaintRouted) -> tuple[str, str]:
        """The department and the person that a case goes to."""
        if routed.department is None:
            return NOBODY, NOBODY
        person = desks.choose(routed, self._standings, self._loads).person
        if person is None:
            return routed.department, NOBODY
        self._loads[person.id] += 1
        return routed.department, f"{person.name} ({routed.department})"


def _as_heard(case: PastCase) -> ComplaintReceived:
    return ComplaintReceived(
        message_id=case.id,
        occurred_at=case.opened_at,
        channel=case.channel,
        external_id="",
        reference=case.reference,
        text=case.text,
        language=case.language,
        address=case.address,
        lat=case.lat,
        lon=case.lon,
        problem_type=case.problem_type if case.typed_by else case.chosen_type,
        entered_by=case.typed_by or case.entered_by,
    )


def _newcomer(person: Worker) -> desks.Standing:
    return desks.Standing(
        login=person.id,
        name=person.name,
        email=person.email,
        phone=person.phone,
        department=person.department,
        active=person.active,
        away=False,
        open_cases=0,
    )


def _note_rules(trial: Trial, told: Iterable[ComplaintRouted]) -> None:
    for routed in told:
        for tried in routed.trace:
            if tried.outcome == "fits":
                trial.fits[tried.rule] += 1
            elif tried.outcome == "broken":
                trial.broken[tried.rule, tried.found] += 1


def _count(trial: Trial, case: PastCase, old: tuple[str, str], new: tuple[str, str]) -> None:
    trial.cases += 1
    trial.elsewhere += old != new
    for works, before, after in zip((trial.departments, trial.people), old, new, strict=True):
        works[before].now += 1
        works[after].draft += 1
        if before != after:
            _show(works[before].lost, case.reference)
            _show(works[after].gained, case.reference)


def _show(examples: list[str], reference: str) -> None:
    if len(examples) < _EXAMPLES:
        examples.append(reference)
