"""
Rules that could not do what they say: one row for each rule and reason, for operators to read.

The complaint is safe by then; what is broken is the rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from bus.contracts import ComplaintRouted
from store.text import clean

log = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class Alarm:
    """A rule that could not do what it says."""

    rule: str
    reason: str
    first_at: datetime
    last_at: datetime
    times: int
    last_case: UUID
    rules: str
    """The version of the rules that it came from."""


def alarm_of(routed: ComplaintRouted, reason: str, now: datetime) -> Alarm:
    """The alarm that a routing gives rise to."""
    rule = routed.rule or ""
    return Alarm(rule, reason, now, now, 1, routed.complaint_id, routed.rules)


RAISE = """
    INSERT INTO rule_alarms (rule, reason, first_at, last_at, times, last_case, rules)
    VALUES ($1, $2, $3, $3, 1, $4, $5)
    ON CONFLICT (rule, reason) DO UPDATE
    SET last_at = greatest(rule_alarms.last_at, EXCLUDED.last_at),
        times = rule_alarms.times + 1,
        last_case = EXCLUDED.last_case,
        rules = EXCLUDED.rules
"""


async def raise_alarms(conn: asyncpg.Connection, alarms: Sequence[Alarm]) -> None:
    """Write down alarms, in the transaction of what gave rise to them; and log each."""
    # In one order, so that two transactions never wait for each other in a circle.
    for alarm in sorted(alarms, key=lambda one: (one.rule, one.reason)):
        await conn.execute(
            RAISE,
            clean(alarm.rule),
            clean(alarm.reason),
            alarm.last_at,
            alarm.last_case,
            clean(alarm.rules),
        )
        log.error("rule alarm", rule=alarm.rule, reason=alarm.reason, case_id=str(alarm.last_case))


SINCE = """
    SELECT rule, reason, first_at, last_at, times, last_case, rules
    FROM rule_alarms
    WHERE last_at >= $1
    ORDER BY last_at DESC, rule, reason
"""


async def since(conn: asyncpg.Connection, when: datetime) -> list[Alarm]:
    """The alarms that were raised at this time or later, the newest first."""
    return [Alarm(**row) for row in await conn.fetch(SINCE, when)]
