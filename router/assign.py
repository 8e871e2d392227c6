"""
Whose desk a complaint lands on: the type names the department, the department names a person.

Pure tables: the same complaint always finds the same person while nobody comes or goes. Nobody
is invented: without a type there is no department, without a person there is only a department,
and both are answers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from router.rules import City, Department, Worker


@dataclass(frozen=True, slots=True)
class Assigned:
    """Where it goes; None is an answer, and `reasons` says why."""

    department: str | None
    person: Worker | None
    reasons: tuple[str, ...]


def assign(
    city: City, complaint: UUID, problem_type: str | None, district: str | None, today: date
) -> Assigned:
    """The department of a problem type, and who there takes this complaint today."""
    kind = city.types_by_name.get(problem_type) if problem_type else None
    if kind is None:
        return Assigned(
            None, None, ("No department: the type is open, so the triage desk decides",)
        )
    department = city.departments_by_name[kind.department]
    handles = f"{department.name} handles this type"
    person, why = person_for(city, department, complaint, district, today)
    return Assigned(department.name, person, (handles, why))


def person_for(
    city: City, department: Department, complaint: UUID, district: str | None, today: date
) -> tuple[Worker | None, str]:
    """Who in a department takes a complaint on a day, and why; None when nobody is there."""
    staff = city.staff_by_department.get(department.name, ())
    present = [person for person in staff if not is_away(person, today)]

    if district is not None:
        local = [person for person in present if district in person.districts]
        if local:
            return _share(local, complaint), _said(local, complaint, f"works {district}")
    everywhere = [person for person in present if not person.districts]
    if everywhere:
        return _share(everywhere, complaint), _said(
            everywhere, complaint, f"works for {department.name} in the whole city"
        )
    if district is None and present:
        return _share(present, complaint), _said(present, complaint, f"works for {department.name}")

    lead = city.people_by_id.get(department.lead or "")
    if lead is not None and lead.active and not is_away(lead, today):
        nobody = "nobody else there is free" if staff else "it has nobody else"
        return lead, f"{lead.name} leads {department.name}, and {nobody}"
    if present:
        # Everybody here works other districts: better a colleague's desk than none.
        return _share(present, complaint), _said(present, complaint, f"stands in for {district}")
    return None, f"No person: everybody in {department.name} is away"


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


def _said(equals: Sequence[Worker], complaint: UUID, does: str) -> str:
    shared = f", one of {len(equals)} who share the load" if len(equals) > 1 else ""
    return f"{_share(equals, complaint).name} {does}{shared}"
