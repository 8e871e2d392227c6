"""Under which ids the notifier tells what becomes of a fact: so that others can see that it has."""

from uuid import UUID

from bus.contracts import CaseFact, ChoiceAsked, Fact, IncidentFact, NoticeQueued
from bus.identity import fact_id
from notifier.policy import Withheld, decide


def expected(fact: Fact) -> frozenset[UUID]:
    """The notices that follow from it, sent or withheld; none for what nobody is written about."""
    if isinstance(fact, NoticeQueued):
        return frozenset({fact.message_id})
    if not isinstance(fact, CaseFact | ChoiceAsked | IncidentFact):
        return frozenset()
    # In whatever language somebody is written to, it is the same notice.
    decisions = decide(fact, languages=("en",), staff_language="en")
    return frozenset(
        withheld_id(fact, one)
        if isinstance(one, Withheld)
        else fact_id(fact.message_id, one.notice, one.recipient)
        for one in decisions
    )


def withheld_id(fact: Fact, decision: Withheld) -> UUID:
    """The id of a notice that is not sent."""
    who = decision.follower
    return fact_id(fact.message_id, decision.notice, "withheld", *([who.id] if who else []))
