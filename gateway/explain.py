"""`buckstop route`: where complaints would go, as JSON or in sentences."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bus.contracts import ComplaintRouted, Team
from channels.intake import Heard, complaint_from
from gateway.rule_words import tried_words
from router.match import DIFFERS, UNKNOWN
from router.service import Router

_SHOWN = 70  # letters of what a resident said


def route_heard(router: Router, heard: Sequence[Heard]) -> list[ComplaintRouted]:
    """Where these would go if they came in now, or when they say."""
    complaints = [
        complaint_from(
            one, reference="", original=None, received_at=one.received_at or datetime.now(UTC)
        )
        for one in heard
    ]
    return router.route(complaints)


def in_json(heard: Heard, routed: ComplaintRouted, *, explain: bool) -> dict[str, object]:
    """A line of figures for programs."""
    told: dict[str, object] = {
        "external_id": heard.external_id,
        "problem_type": routed.problem_type,
        "confidence": routed.confidence,
        "alternatives": [
            {"problem_type": other.problem_type, "confidence": other.confidence}
            for other in routed.alternatives
        ],
        "district": routed.district,
        "department": routed.department,
        "assignee": routed.assignee.id if routed.assignee else None,
        "emergency": routed.emergency,
        "rule": routed.rule,
        "reasons": [*routed.reasons, *_person_reason(routed)],
    }
    if explain:
        told["trace"] = [tried.model_dump() for tried in routed.trace]
        told["teams"] = [team.model_dump() for team in routed.teams]
        told["rules"] = routed.rules
    return told


def in_sentences(heard: Heard, routed: ComplaintRouted, *, explain: bool) -> str:
    """The same for people: where it goes, and why."""
    said = " ".join(heard.text.split())
    short = said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
    goes = routed.department or "the triage desk"
    if routed.assignee is not None:
        goes = f"{routed.assignee.name}, {goes}"
    lines = [f"“{short}”", f"  goes to {goes}"]
    lines += [f"  {reason}" for reason in (*routed.reasons, *_person_reason(routed))]
    if explain and routed.trace:
        lines.append("  Rules that were tried:")
        lines += [f"    {tried.rule}: {tried_words(tried)}" for tried in routed.trace]
        if routed.trace[-1].outcome in (DIFFERS, UNKNOWN):
            lines.append("    None fits: the type says the department.")
    if explain and routed.teams:
        lines.append("  Who may take it, in order:")
        lines += [f"    {_team_words(team)}" for team in routed.teams]
    return "\n".join(lines) + "\n"


def _person_reason(routed: ComplaintRouted) -> list[str]:
    if routed.assignee is None or not routed.teams:
        return []
    team = routed.teams[0]
    count = len(team.people)
    shared = f", one of {count} who share the load" if count > 1 else ""
    return [f"{routed.assignee.name} {team.why}{shared}"]


def _team_words(team: Team) -> str:
    names = ", ".join(team.people)
    return f"{names} ({'each ' if len(team.people) > 1 else ''}{team.why})"
