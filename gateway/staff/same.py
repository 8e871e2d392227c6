"""
Cases about one problem, on the pages of staff: which may be, which were joined, who is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.keys import LIKELY
from store import cases, followers, incidents
from store.cases import Case, Note
from store.duplicates import Likely
from store.followers import Listed
from store.incidents import Incident
from store.merging import Joined, joined_to
from store.model import Action, Status, actions


@dataclass(frozen=True)
class Same:
    """What a case has to do with others of the same problem."""

    likely: Sequence[Likely] = ()
    """Open cases that may be about the same."""
    joined: Sequence[Joined] = ()
    notes: Mapping[UUID, Sequence[Note]] = field(default_factory=dict)
    """Of each joined case."""
    following: Sequence[Listed] = ()
    stays: Case | None = None
    """The case that this one was joined to; `by_name` says by whom, `at` when."""
    by_name: str = ""
    at: datetime | None = None
    incident: Incident | None = None


async def same_of(request: web.Request, conn: Any, case: Case) -> Same:
    """Everything of it that the page of a case shows."""
    incident = await incidents.by_id(conn, case.incident_id) if case.incident_id else None
    if case.merged_into is not None:
        stays = await cases.by_id(conn, case.merged_into)
        joins = [one for one in await joined_to(conn, case.merged_into) if one.case.id == case.id]
        at = joins[0].at if joins else case.closed_at
        by_name = joins[0].by_name if joins else ""
        return Same(stays=stays, by_name=by_name, at=at, incident=incident)
    joined = await joined_to(conn, case.id)
    return Same(
        likely=(
            await request.config_dict[LIKELY].like_case(conn, case)
            if case.status is not Status.CLOSED
            else ()
        ),
        joined=joined,
        notes={
            one.case.id: await cases.notes(conn, one.case.id, public_only=False) for one in joined
        },
        following=await followers.listed(conn, [case.id]),
        incident=incident,
    )


def possible_with(case: Case) -> set[str]:
    """What can be done to the case: one that was joined to another is only taken out again."""
    if case.merged_into is not None:
        return {Action.UNMERGE.value}
    return {action.value for action in actions(case.status)} - {Action.UNMERGE.value}
