"""
Whose desk a complaint lands on: a rule or the type names the department, and these are the people
there who may take it, in order of preference.

Pure: no load is known here, and of absences only those of the city's folder. Who of a team takes it
is the store's to say, which knows the open cases of each and who is away today. Nobody is invented:
without a type there is no department, without a person there is only a department.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from router.match import Decision
from router.rules import City, Department, Worker


@dataclass(frozen=True, slots=True)
class Group:
    """People who share the load."""

    people: tuple[Worker, ...]
    why: str
    """What is said of whoever takes it, as `works District 1`."""
    named: bool = False
    """Whether the rule names them."""
    even_away: bool = False
    """Whether an absence does not count, since nobody else is left."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Where it goes; None is an answer, and `reasons` says why."""

    department: str | None
    groups: tuple[Group, ...]
    """In order of preference."""
    person: Worker | None
    """Who would take it if all had as much to do."""
    reasons: tuple[str, ...]

    @property
    def person_reason(self) -> str:
        """Why it is this person, or nobody."""
        if self.person is None:
            return f"No person: nobody works in {self.department}" if self.department else ""
        group = self.groups[0]
        shared = f", one of {len(group.people)} who share the load" if len(group.people) > 1 else ""
        return f"{self.person.name} {group.why}{shared}"


def assign(
    city: City, decision: Decision, complaint: UUID, district: str | None, today: date
) -> Assigned:
    """The department that was decided on, and who there may take this complaint today."""
    reasons = [_decided(decision)]
    if decision.department is None:
        return Assigned(None, (), None, tuple(reasons))
    department = city.departments_by_name[decision.department]
    named = [city.people_by_id[login] for login in decision.people or ()]
    reasons += [
        f"{person.name} is away" if person.active else f"{person.name} does not work there any more"
        for person in named
        if not is_free(person, today)
    ]
    if decision.people is None:
        groups = _of_department(city, department, district, today)
    else:
        groups = _named(named, decision, department, city, today)
    lead = _lead(city, department)
    if lead is not None:
        left = Group((lead,), f"leads {department.name}; all others there are away", even_away=True)
        groups.append(left)
    there = tuple(group for group in groups if group.people)
    person = _share(there[0].people, complaint) if there else None
    return Assigned(department.name, there, person, tuple(reasons))


def _decided(decision: Decision) -> str:
    department = decision.department
    if decision.caught:
        takes = f"{department} takes it" if department else "the triage desk decides"
        return f'The rule "{decision.rule}" cannot run: {takes}'
    if decision.rule is not None:
        goes = f"to {department}" if department else "to the triage desk"
        return f'The rule "{decision.rule}" sends it {goes}'
    if department is None:
        return "No department: the type is open, so the triage desk decides"
    return f"{department} handles this type"


def _named(
    named: Sequence[Worker],
    decision: Decision,
    department: Department,
    city: City,
    today: date,
) -> list[Group]:
    free = tuple(person for person in named if is_free(person, today))
    if decision.shared:
        groups = [Group(free, "is of the team that the rule names", named=True)]
    else:
        groups = [Group((person,), "is named by the rule", named=True) for person in free]
    lead = _lead(city, department)
    if lead is not None and is_free(lead, today):
        groups.append(Group((lead,), f"leads {department.name}, and nobody of the rule is free"))
    others = tuple(
        person
        for person in city.staff_by_department.get(department.name, ())
        if person not in named and is_free(person, today)
    )
    return [*groups, Group(others, f"stands in at {department.name}")]


def _of_department(
    city: City, department: Department, district: str | None, today: date
) -> list[Group]:
    staff = city.staff_by_department.get(department.name, ())
    present = tuple(person for person in staff if is_free(person, today))
    groups = []
    if district is not None:
        local = tuple(person for person in present if district in person.districts)
        groups.append(Group(local, f"works {district}"))
    everywhere = tuple(person for person in present if not person.districts)
    groups.append(Group(everywhere, f"works for {department.name} in the whole city"))
    if district is None:
        groups.append(Group(present, f"works for {department.name}"))
    lead = _lead(city, department)
    if lead is not None and is_free(lead, today):
        nobody = "nobody else there is free" if staff else "it has nobody else"
        groups.append(Group((lead,), f"leads {department.name}, and {nobody}"))
    if district is not None:
        # Everybody here works other districts: better a colleague's desk than none.
        groups.append(Group(present, f"stands in for {district}"))
    return groups


def _lead(city: City, department: Department) -> Worker | None:
    lead = city.people_by_id.get(department.lead or "")
    return lead if lead is not None and lead.active else None


def is_free(person: Worker, today: date) -> bool:
    """Whether somebody works here and is not away."""
    return person.active and not is_away(person, today)


def is_away(person: Worker, today: date) -> bool:
    """Whether an absence covers a day; the first and the last day are away."""
    if person.away_from is None and person.away_until is None:
        return False
    begun = person.away_from is None or person.away_from <= today
    over = person.away_until is not None and person.away_until < today
    return begun and not over


def _share(equals: Sequence[Worker], complaint: UUID) -> Worker:
    # Highest hash wins: an even share for each, and when one leaves, only their part moves.
    return max(equals, key=lambda person: (_draw(person.id, complaint), person.id))


def _draw(person: str, complaint: UUID) -> bytes:
    return hashlib.blake2b(person.encode(), key=complaint.bytes, digest_size=8).digest()
