"""
What several people hear of one thing: each fact as one of them may see it. Pure.

Whoever told us of the same problem is told what the city says, under their own reference. Nothing
of another resident's report stands in what is left here, so no template can show it.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bus.contracts import (
    CaseAssigned,
    CaseClosed,
    CaseFact,
    CaseMerged,
    CaseNoted,
    CaseSummary,
    CaseUnmerged,
    Contact,
    Follower,
    FollowerJoined,
    IncidentAssigned,
    IncidentClosed,
    IncidentFact,
    IncidentNoted,
    IncidentSummary,
)
from notifier.policy import Notice

_FOR_FOLLOWERS = frozenset({"follow_receipt", "follower_update", "follower_closure"})


def seen_by(fact: CaseFact | IncidentFact, to: Notice) -> CaseFact:
    """The fact as whoever gets the notice may see it."""
    if isinstance(fact, IncidentFact):
        fact = _of_incident(fact, to.follower)
    elif to.follower is not None:
        fact = fact.model_copy(update={"case": _anothers(fact.case, to.follower)})
    return fact


def more_of(fact: CaseFact | IncidentFact, to: Notice) -> Mapping[str, Any]:
    """
    What templates may say besides: `stop` (what stands in the link to hear no more),
    `other_reference`, `incident_id` and `reports` of an incident.
    """
    other = ""
    if isinstance(fact, CaseMerged):
        other = fact.into_reference
    elif isinstance(fact, CaseUnmerged):
        other = fact.out_of_reference
    incident = fact.incident if isinstance(fact, IncidentFact) else None
    return {
        "stop": to.follower.stop if to.follower is not None else "",
        "other_reference": other,
        "incident_id": incident.incident_id if incident is not None else "",
        "reports": incident.reports if incident is not None else 0,
    }


def _anothers(case: CaseSummary, follower: Follower) -> CaseSummary:
    return CaseSummary(
        case_id=follower.case_id,
        reference=follower.reference,
        channel=follower.channel,
        opened_at=case.opened_at,
        text="",
        language=follower.language,
        problem_type=case.problem_type,
        department=case.department,
    )


def _of_incident(fact: IncidentFact, follower: Follower | None) -> CaseFact:
    about = fact.incident
    case = CaseSummary(
        case_id=about.case_id,
        reference=about.reference,
        channel="web",
        opened_at=about.first_at,
        text="",
        problem_type=about.problem_type,
        department=about.department,
        lat=about.lat,
        lon=about.lon,
        reporter=Contact(),
        assignee=about.assignee,
    )
    if follower is not None:
        case = _anothers(case, follower)
    told: dict[str, Any] = {
        "message_id": fact.message_id,
        "occurred_at": fact.occurred_at,
        "case": case,
    }
    match fact:
        case IncidentAssigned():
            return CaseAssigned(**told, assigned_by=fact.assigned_by)
        case IncidentNoted():
            return CaseNoted(**told, text=fact.text, public=True, author="")
        case IncidentClosed():
            return CaseClosed(
                **told, outcome=fact.outcome, words=fact.words, closed_by=fact.closed_by
            )
        case _:
            raise TypeError(f"{fact.tag} is told to nobody")


# ── for trying the templates out ────────────────────────────────────────────────────────────────

_SAMPLE = UUID(int=0)
_FOLLOWER = Follower(
    id=_SAMPLE, case_id=_SAMPLE, reference="7KQ-2MX-94", contact=Contact(), stop="x" * 24
)


def followers_to_try(notice: str) -> tuple[Follower | None, ...]:
    """Who a notice has to be written to, to know that its templates hold."""
    if notice not in _FOR_FOLLOWERS:
        return (None,)
    return (_FOLLOWER, _FOLLOWER.model_copy(update={"stop": ""}))


def samples_of_shared(common: Mapping[str, Any], words: str) -> dict[str, CaseFact | IncidentFact]:
    """For each notice a fact; `common` is its id, time and case."""
    case: CaseSummary = common["case"]
    incident = IncidentSummary(
        incident_id=_SAMPLE,
        case_id=case.case_id,
        reference=case.reference,
        problem_type=case.problem_type or "Pothole",
        reports=57,
        first_at=case.opened_at,
        last_at=case.opened_at,
        lat=39.09,
        lon=-94.41,
        reach=800,
        department=case.department,
        assignee=case.assignee,
    )
    plain = {name: value for name, value in common.items() if name != "case"}
    return {
        "follow_receipt": FollowerJoined(**common, follower=_FOLLOWER),
        "follower_update": CaseNoted(**common, text=words, public=True, author="b"),
        "follower_closure": CaseClosed(**common, outcome="fixed", words=words, closed_by="b"),
        "joined": CaseMerged(**common, into_id=_SAMPLE, into_reference="7KQ-2MX-94", merged_by="b"),
        "apart": CaseUnmerged(
            **common, out_of_id=_SAMPLE, out_of_reference="7KQ-2MX-94", unmerged_by="b"
        ),
        "incident_assignment": IncidentAssigned(
            **plain, incident=incident, assigned_by="b" if words else None
        ),
    }
