"""What a case can be and become: statuses, outcomes, roles and the table of allowed changes."""

from enum import StrEnum


class Status(StrEnum):
    """Where a case stands."""

    NEW = "new"
    """Filed; nobody has said yet where it belongs."""
    TRIAGE = "triage"
    """No department is known for it: a person has to find one."""
    ASSIGNED = "assigned"
    """It lies on somebody's desk, or with a department."""
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a case ended."""

    FIXED = "fixed"
    NO_VIOLATION = "no_violation"
    REFERRED = "referred"
    DUPLICATE = "duplicate"
    CANNOT = "cannot"


class Role(StrEnum):
    """What somebody who works for the city may do; one person can have several."""

    CALL_TAKER = "call_taker"
    STAFF = "staff"
    LEAD = "lead"
    OPERATOR = "operator"
    ADMIN = "admin"


class Action(StrEnum):
    """What moves a case from one status to another."""

    PLACE = "place"
    """Given to a department or a person, or sent to triage."""
    START = "start"
    CLOSE = "close"
    REOPEN = "reopen"
    MERGE = "merge"
    """Joined to another case, which goes on for it."""
    UNMERGE = "unmerge"
    """Taken out again: it is what it was."""


class NotAllowed(Exception):
    """What was asked cannot be done to this case; the message is a sentence for who asked."""


OPEN: frozenset[Status] = frozenset(Status) - {Status.CLOSED}

# Every change that can happen, by what, and why it must be possible. What is not here is refused.
ALLOWED: dict[tuple[Status, Status, Action], str] = {
    (Status.NEW, Status.ASSIGNED, Action.PLACE): "the router or a person found the department",
    (Status.NEW, Status.TRIAGE, Action.PLACE): "no department is known for it",
    (Status.NEW, Status.CLOSED, Action.CLOSE): "it can be answered before it is routed",
    (Status.TRIAGE, Status.ASSIGNED, Action.PLACE): "a person found the department",
    (Status.TRIAGE, Status.CLOSED, Action.CLOSE): "it may belong to nobody in this city",
    (Status.TRIAGE, Status.CLOSED, Action.MERGE): "another case is about the same",
    (Status.ASSIGNED, Status.ASSIGNED, Action.PLACE): "it goes to another desk",
    (Status.ASSIGNED, Status.TRIAGE, Action.PLACE): "the department says it is not theirs",
    (Status.ASSIGNED, Status.IN_PROGRESS, Action.START): "work begins",
    (Status.ASSIGNED, Status.CLOSED, Action.CLOSE): "small things are done at once",
    (Status.ASSIGNED, Status.CLOSED, Action.MERGE): "another case is about the same",
    (Status.IN_PROGRESS, Status.ASSIGNED, Action.PLACE): "somebody else goes on with it",
    (Status.IN_PROGRESS, Status.TRIAGE, Action.PLACE): "it turned out to be another's",
    (Status.IN_PROGRESS, Status.CLOSED, Action.CLOSE): "the work is done",
    (Status.IN_PROGRESS, Status.CLOSED, Action.MERGE): "it turned out to be the same as another",
    (Status.CLOSED, Status.ASSIGNED, Action.REOPEN): "it goes back to who had it",
    (Status.CLOSED, Status.TRIAGE, Action.REOPEN): "nobody had it",
    (Status.CLOSED, Status.TRIAGE, Action.UNMERGE): "it was not the same; nobody had it",
    (Status.CLOSED, Status.ASSIGNED, Action.UNMERGE): "it was not the same, and goes back",
    (Status.CLOSED, Status.IN_PROGRESS, Action.UNMERGE): "it was not the same; work goes on",
}


def can_change(before: Status, after: Status) -> bool:
    """Whether a case may go from one status to the other."""
    return any((before, after, action) in ALLOWED for action in Action)


def actions(status: Status) -> frozenset[Action]:
    """What can be done to a case that stands here."""
    return frozenset(action for before, _, action in ALLOWED if before is status)


def check_change(before: Status, after: Status, action: Action) -> None:
    """Raises `NotAllowed` unless the table has this change for this action."""
    if (before, after, action) in ALLOWED:
        return
    if action is Action.UNMERGE:
        raise NotAllowed("This case is not joined to another one.")
    if action is Action.MERGE and before is Status.NEW:
        raise NotAllowed("This case is still being sorted. Wait a moment, or give it a department.")
    if before is Status.CLOSED:
        raise NotAllowed("This case is closed. Reopen it first.")
    if action is Action.REOPEN:
        raise NotAllowed("This case is open already.")
    if action is Action.START:
        raise NotAllowed("This case has no department yet. Give it to one first.")
    raise NotAllowed(f"A case that is {_said(before)} cannot become {_said(after)}.")


def _said(status: Status) -> str:
    return status.value.replace("_", " ")
