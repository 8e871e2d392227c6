"""Whether a model that runs in shadow may answer, and what closed cases teach. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from router.models import Lesson
from store.guesses import Closed, Judged

FEWEST = 100
"""So many closed cases have to have been answered by both."""
FEWEST_IN_DISTRICT = 10
"""Districts with fewer are counted together: one case more or less would decide."""

_CORRECTED, _CHOSEN, _LEFT = 3.0, 1.5, 1.0


@dataclass(frozen=True)
class Verdict:
    districts: tuple[Judged, ...]
    cases: int
    better: bool
    reasons: tuple[str, ...]
    """Why not, in sentences; or what speaks for it."""


def verdict(judged: Sequence[Judged]) -> Verdict:
    """Better overall and no worse in any district, on enough cases."""
    told = [one for one in judged if one.cases >= FEWEST_IN_DISTRICT]
    few = [one for one in judged if one.cases < FEWEST_IN_DISTRICT]
    if few:
        told.append(
            Judged(
                district="districts with few cases",
                cases=sum(one.cases for one in few),
                active=sum(one.active for one in few),
                shadow=sum(one.shadow for one in few),
            )
        )
    cases = sum(one.cases for one in told)
    active, shadow = sum(one.active for one in told), sum(one.shadow for one in told)
    reasons = []
    if cases < FEWEST:
        reasons.append(
            f"{cases} closed cases were answered by both; it takes {FEWEST} to tell them apart."
        )
    elif shadow <= active:
        reasons.append(f"The shadow named {shadow} of {cases} right, what answers {active}.")
    reasons += [
        f"Worse in {one.district or 'no district'}: "
        f"{one.shadow} of {one.cases} right, where {one.active} were."
        for one in told
        if one.shadow < one.active and cases >= FEWEST
    ]
    if not reasons:
        reasons = [f"The shadow named {shadow} of {cases} right, what answers {active}."]
        return Verdict(tuple(told), cases, True, tuple(reasons))
    return Verdict(tuple(told), cases, False, tuple(reasons))


def lessons(closed: Sequence[Closed]) -> list[Lesson]:
    """
    What closed cases teach. Somebody who changed the type has looked; who left it may not have.
    """
    return [
        Lesson(
            one.problem_type,
            one.text,
            _CORRECTED if one.corrected else _CHOSEN if one.chosen else _LEFT,
            one.place,
        )
        for one in closed
    ]
