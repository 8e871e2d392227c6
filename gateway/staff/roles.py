"""Who may do what on the staff pages: one table (pure)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from store.model import Role


class Act(StrEnum):
    READ = "read"
    """See every case of every department, and what residents told us about themselves."""
    ENTER = "enter"
    """Write down a call, for whatever department."""
    NOTE = "note"
    ASSIGN = "assign"
    WORK = "work"
    """Start, set the type, close, reopen."""
    MAILBOX = "mailbox"
    """Read the mails that were written where no mail server is set up."""
    MESSAGES = "messages"
    """Look at messages that were set aside, bring one in as a report, or leave it."""
    PEOPLE = "people"
    """Make accounts, set their passwords, and end them."""
    ABSENCES = "absences"
    """Say who is away."""
    RULES = "rules"
    """See by which rules cases are given out, and which of them could not run."""
    REROUTE = "reroute"
    """Have open cases given out anew after the rules changed."""
    OPERATE = "operate"
    """See how the bus and the services do, and look after dead letters."""
    REPORTS = "reports"
    """Read the figures of all departments."""
    WORKLOAD = "workload"
    """See who has how many cases, and how long theirs take."""


MAY: Mapping[Role, frozenset[Act]] = MappingProxyType(
    {
        Role.CALL_TAKER: frozenset({Act.READ, Act.ENTER, Act.NOTE, Act.ASSIGN}),
        Role.STAFF: frozenset({Act.READ, Act.ENTER, Act.NOTE, Act.ASSIGN, Act.WORK}),
        Role.LEAD: frozenset(
            {
                Act.READ,
                Act.ENTER,
                Act.NOTE,
                Act.ASSIGN,
                Act.WORK,
                Act.MESSAGES,
                Act.ABSENCES,
                Act.RULES,
                Act.REROUTE,
                Act.REPORTS,
                Act.WORKLOAD,
            }
        ),
        Role.OPERATOR: frozenset({Act.READ, Act.MAILBOX, Act.MESSAGES, Act.RULES, Act.OPERATE}),
        Role.ADMIN: frozenset(Act),
    }
)


def acts_of(roles: Iterable[Role]) -> frozenset[Act]:
    """Everything that somebody with these roles may do."""
    return frozenset[Act]().union(*(MAY[role] for role in roles))


def roles_for(act: Act) -> list[Role]:
    """The roles that may do this, in the order of the table."""
    return [role for role, acts in MAY.items() if act in acts]
