"""
Whose desk a case lands on: of the teams that may take it, the first in which somebody is there, and
in it who has the fewest open cases.

The router names the teams, for the rules are its own; here it is chosen, for here is known who is
away, who has left, and how much lies on each desk. It happens in the transaction that places the
case, once for each routing however often it is heard, so any number of routers may ask.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import ComplaintRouted, Person, Team
from store.alarms import alarm_of, raise_alarms
from store.text import clean

# Nobody looks whether somebody has a thousand open cases or two: from there on they share evenly.
# It also bounds what a storm costs.
_MOST_COUNTED = 500


@dataclass(frozen=True)
class Standing:
    """How somebody stands who may take a case."""

    login: str
    name: str
    email: str
    phone: str | None
    department: str | None
    active: bool
    away: bool
    open_cases: int


@dataclass(frozen=True)
class Chosen:
    """Who takes it, and why; `reasons` name those who would have come first, too."""

    person: Person | None
    reasons: tuple[str, ...]
    alarm: str
    """Why nobody whom a rule names could take it, for good; empty where all is well."""


STANDINGS = """
    SELECT a.login, a.name, a.email, a.phone, a.department, a.active,
           EXISTS (
               SELECT FROM absences x
               WHERE x.login = a.login
                 AND coalesce(x.begins <= $2, true) AND coalesce(x.ends > $2, true)
           ) AS away,
           (
               SELECT count(*)
               FROM (
                   SELECT FROM cases c
                   WHERE c.assignee = a.login AND c.status <> 'closed'
                   LIMIT $3
               ) AS few
           ) AS open_cases
    FROM accounts a
    WHERE a.login = ANY ($1::text[])
"""


async def standings(
    conn: asyncpg.Connection, logins: Iterable[str], now: datetime
) -> dict[str, Standing]:
    """How these people stand; who has no account is left out."""
    wanted = sorted({clean(login) for login in logins})
    rows = await conn.fetch(STANDINGS, wanted, now, _MOST_COUNTED) if wanted else []
    return {row["login"]: Standing(**row) for row in rows}


async def seat(
    conn: asyncpg.Connection,
    told: Mapping[UUID, ComplaintRouted],
    held: Mapping[UUID, str | None],
    now: datetime,
) -> dict[UUID, ComplaintRouted]:
    """
    The same routings, each with the person who takes it and the reason why. `held` names the cases
    that are to be placed, and who has each now; others stay as they are.
    """
    placing = [told[case_id] for case_id in held if told[case_id].teams]
    asked = {login for routed in placing for team in routed.teams for login in team.people}
    known = await standings(conn, asked, now)
    loads = {login: standing.open_cases for login, standing in known.items()}
    seated = dict(told)
    alarms = []
    for case_id in held:
        routed = told[case_id]
        if routed.teams and routed.department is not None:
            chosen = choose(routed, known, loads, held=held[case_id])
            if chosen.person is not None and chosen.person.id != held[case_id]:
                loads[chosen.person.id] = loads.get(chosen.person.id, 0) + 1
            reasons = (*routed.reasons, *chosen.reasons)
            seated[case_id] = routed.model_copy(
                update={"assignee": chosen.person, "reasons": reasons}
            )
            if chosen.alarm:
                alarms.append(alarm_of(routed, chosen.alarm, now))
        alarms += [
            alarm_of(routed, f"{tried.condition}: {tried.found}".removeprefix(": "), now)
            for tried in routed.trace
            if tried.outcome == "broken"
        ]
    await raise_alarms(conn, alarms)
    return seated


async def foreseen(
    conn: asyncpg.Connection, routed: ComplaintRouted, now: datetime
) -> Person | None:
    """Who would take it if it came in now; for pages."""
    if not routed.teams or routed.department is None:
        return routed.assignee
    known = await standings(conn, (one for team in routed.teams for one in team.people), now)
    loads = {login: standing.open_cases for login, standing in known.items()}
    return choose(routed, known, loads).person


def choose(
    routed: ComplaintRouted,
    known: Mapping[str, Standing],
    loads: Mapping[str, int],
    *,
    held: str | None = None,
) -> Chosen:
    """
    Who takes it. Pure.

    Who has it already keeps it while they are of the first team that is there. Equals of whom
    nobody has less to do are told apart by a draw that is always the same for a complaint.
    """
    reasons: list[str] = []
    said: set[str] = set()
    for team in routed.teams:
        there = []
        for login in team.people:
            standing = known.get(login) or _foretold(routed, login)
            why_not = _why_not(standing, routed, team)
            if standing is not None and not why_not:
                there.append(standing)
            elif why_not and login not in said:
                said.add(login)
                reasons.append(why_not if standing is None else f"{standing.name} {why_not}")
        if there:
            person = _least(there, loads, routed.complaint_id, held)
            reasons.append(_said(person, team, there, loads, held))
            return Chosen(_person(person), tuple(reasons), _alarm(routed, known))
    reasons.append(f"No person: nobody works in {routed.department}")
    return Chosen(None, tuple(reasons), f"nobody works in {routed.department}")


def _why_not(standing: Standing | None, routed: ComplaintRouted, team: Team) -> str:
    if standing is None:
        return "Somebody who was named has no account"
    if not standing.active or standing.department != routed.department:
        return "does not work there any more"
    if standing.away and not team.even_away:
        return "is away"
    return ""


def _alarm(routed: ComplaintRouted, known: Mapping[str, Standing]) -> str:
    """Where a rule named people by name, and none of them works there any more."""
    people = [login for team in routed.teams if team.named for login in team.people]
    gone = [login for login in people if _has_left(known.get(login), routed)]
    if people and len(gone) == len(people):
        return "nobody whom it names works there any more"
    return ""


def _has_left(standing: Standing | None, routed: ComplaintRouted) -> bool:
    return standing is not None and (
        not standing.active or standing.department != routed.department
    )


def _foretold(routed: ComplaintRouted, login: str) -> Standing | None:
    # The router knows people of the city's folder that no account knows yet.
    person = routed.assignee
    if person is None or person.id != login:
        return None
    return Standing(
        login=person.id,
        name=person.name,
        email=person.email,
        phone=person.phone,
        department=routed.department,
        active=True,
        away=False,
        open_cases=0,
    )


def _least(
    there: Sequence[Standing], loads: Mapping[str, int], complaint: UUID, held: str | None
) -> Standing:
    for person in there:
        if person.login == held:
            return person
    return max(
        there,
        key=lambda one: (
            -min(loads.get(one.login, 0), _MOST_COUNTED),
            _draw(one.login, complaint),
            one.login,
        ),
    )


def _draw(login: str, complaint: UUID) -> bytes:
    return hashlib.blake2b(login.encode(), key=complaint.bytes, digest_size=8).digest()


def _said(
    person: Standing,
    team: Team,
    there: Sequence[Standing],
    loads: Mapping[str, int],
    held: str | None,
) -> str:
    said = f"{person.name} {team.why}"
    if person.login == held:
        return f"{said}, and has it already"
    if len(there) == 1:
        return said
    count = loads.get(person.login, 0)
    cases = "1 open case" if count == 1 else f"{count} open cases"
    return f"{said}, and of {len(there)} nobody has fewer ({cases})"


def _person(standing: Standing) -> Person:
    return Person(id=standing.login, name=standing.name, email=standing.email, phone=standing.phone)
