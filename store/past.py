"""Cases of the past, as the router may look at them once more; and having it do so."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from bus.contracts import CaseAmended, CaseSummary, Contact
from bus.identity import fact_id
from store import outbox
from store.model import Status


@dataclass(frozen=True)
class PastCase:
    """What rules may ask of a case, and what became of it. Tells nothing of who reported it."""

    id: UUID
    reference: str
    status: Status
    channel: str
    text: str
    language: str
    opened_at: datetime
    routed_at: datetime | None
    address: str | None
    lat: float | None
    lon: float | None
    problem_type: str | None
    """The one in force."""
    chosen_type: str | None
    entered_by: str | None
    department: str | None
    assignee: str | None
    assignee_name: str | None
    emergency: bool
    placed_by: str | None
    """Who gave it to somebody by hand."""
    typed_by: str | None
    """Who set its type by hand."""

    @property
    def by_hand(self) -> bool:
        """Whether staff have decided something about it that no rule undoes."""
        return self.placed_by is not None or self.typed_by is not None


PAST = """
    SELECT c.id, c.reference, c.status, c.channel, c.text, c.language, c.opened_at, c.routed_at,
           c.address, c.lat, c.lon, c.problem_type, c.chosen_type, c.entered_by,
           c.department, c.assignee, coalesce(a.name, c.assignee_name) AS assignee_name,
           c.emergency, c.placed_by, c.typed_by
    FROM cases c
    LEFT JOIN accounts a ON a.login = c.assignee
    WHERE c.opened_at >= $1 AND (c.status <> 'closed' OR NOT $2)
    ORDER BY c.opened_at, c.id
"""


async def cases_since(
    conn: asyncpg.Connection, since: datetime, *, only_open: bool, batch: int = 128
) -> AsyncIterator[list[PastCase]]:
    """The cases that were opened at this time or later, the oldest first, some at a time."""
    async with conn.transaction():
        cursor = await conn.cursor(PAST, since, only_open)
        while rows := await cursor.fetch(batch):
            yield [PastCase(**(dict(row) | {"status": Status(row["status"])})) for row in rows]


def asking(past: PastCase, rules: str, now: datetime) -> CaseAmended:
    """
    What has the router look at a case by other rules. The same case and the same rules are the
    same question, until it is answered.
    """
    return CaseAmended(
        message_id=fact_id("case.rerouted", past.id, rules, past.routed_at),
        occurred_at=now,
        case=CaseSummary(
            case_id=past.id,
            reference=past.reference,
            channel=past.channel,
            opened_at=past.opened_at,
            text=past.text,
            language=past.language,
            problem_type=past.problem_type,
            department=past.department,
            address=past.address,
            lat=past.lat,
            lon=past.lon,
            emergency=past.emergency,
            reporter=Contact(),
        ),
        chosen_type=past.chosen_type,
        entered_by=past.entered_by,
        rules_changed=True,
    )


async def ask_again(conn: asyncpg.Connection, asked: Sequence[CaseAmended]) -> None:
    """Have the router look at these cases again; what it says comes the way of every routing."""
    async with conn.transaction():
        await outbox.append(conn, asked)


ANSWERED = """
    SELECT DISTINCT ON (e.case_id) e.case_id, e.kind, e.data ->> 'rules' AS rules
    FROM events e
    WHERE e.case_id = ANY ($1::uuid[]) AND e.at >= $2
      AND e.kind IN ('routed', 'looked_again', 'routed_late')
      AND (e.data ->> 'rules_changed')::boolean
    ORDER BY e.case_id, e.id DESC
"""


@dataclass(frozen=True)
class Answered:
    """How a case fared that was looked at again."""

    moved: bool
    rules: str
    """The version of the rules by which it was done."""


async def answers(
    conn: asyncpg.Connection, case_ids: Sequence[UUID], since: datetime
) -> dict[UUID, Answered]:
    """Of these cases, those that were looked at again since then."""
    rows = await conn.fetch(ANSWERED, list(case_ids), since)
    return {row["case_id"]: Answered(row["kind"] == "routed", row["rules"] or "") for row in rows}


USED = """
    SELECT e.data ->> 'rule' AS rule, count(DISTINCT c.id) AS count
    FROM cases c
    JOIN events e ON e.case_id = c.id AND e.kind = 'routed'
    WHERE c.opened_at >= $1 AND e.data ->> 'rule' IS NOT NULL
    GROUP BY 1
"""


async def rules_used(conn: asyncpg.Connection, since: datetime) -> dict[str, int]:
    """How many of the cases that were opened since then each rule has given to somebody."""
    return {row["rule"]: row["count"] for row in await conn.fetch(USED, since)}
