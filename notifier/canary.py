"""
What the notifier does for a canary: it decides on the receipt and writes it as for anybody, has it
queued, and takes it out of the queue again. Nobody is written to.
"""

from datetime import datetime

from bus.contracts import CanaryCarried, CanaryFiled, CanaryQueued, CaseOpened
from bus.errors import Refused
from bus.identity import fact_id
from notifier.policy import Notice, decide
from notifier.render import Renderer


def queued(
    filed: CanaryFiled, renderer: Renderer, *, staff_language: str, now: datetime
) -> CanaryQueued:
    """
    That its receipt was written. Raises `Refused` when nobody would get one: then residents would
    get none either.
    """
    opened = CaseOpened(message_id=filed.message_id, occurred_at=filed.occurred_at, case=filed.case)
    decisions = decide(opened, languages=renderer.languages, staff_language=staff_language)
    written = [renderer.write(opened, one, now=now) for one in decisions if isinstance(one, Notice)]
    if not written:
        raise Refused("no receipt follows from a canary")
    return CanaryQueued(
        message_id=fact_id("canary queued", filed.canary),
        occurred_at=now,
        canary=filed.canary,
        released_at=filed.released_at,
        notice=written[0].notice,
        letters=len(written[0].text),
    )


def carried(queued: CanaryQueued, now: datetime) -> CanaryCarried:
    """That it came out of the queue."""
    return CanaryCarried(
        message_id=fact_id("canary carried", queued.canary),
        occurred_at=now,
        canary=queued.canary,
        released_at=queued.released_at,
    )
