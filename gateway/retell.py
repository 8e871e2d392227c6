"""
Telling again from the database what lost streams had: found by holding the books against what the
streams hold now. Where nothing was lost it finds nothing, and doing it twice tells nothing twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from bus.connect import Bus
from bus.contracts import CaseAmended, Fact
from bus.identity import fact_id
from bus.stream import stored_in
from notifier.expected import expected
from router.service import routed_id
from store import past, retelling
from store.past import PastCase
from store.retelling import Told

log = structlog.stdlib.get_logger()

_UNDER_WAY = timedelta(minutes=1)
"""What is younger may be on its way between the two."""


@dataclass
class Lack:
    """What the books know to be undone and no stream holds any more: nobody would ever do it."""

    cases: list[PastCase] = field(default_factory=list)
    """That nobody has routed."""
    facts: list[int] = field(default_factory=list)
    """Rows of the outbox of which nobody has heard."""
    notices: list[Fact] = field(default_factory=list)
    """That nobody has tried to send."""

    def __str__(self) -> str:
        return (
            f"not routed {len(self.cases)}, facts not heard {len(self.facts)}, "
            f"notices not sent {len(self.notices)}"
        )

    @property
    def any(self) -> bool:
        return bool(self.cases or self.facts or self.notices)


async def find(pool: asyncpg.Pool, bus: Bus, *, now: datetime | None = None) -> Lack:
    """What is lacking. Changes nothing; reads the headers of all that the streams hold."""
    before = (now or datetime.now(UTC)) - _UNDER_WAY
    lack = Lack()
    # First the books: what is told meanwhile is younger, and held by the streams.
    async with pool.acquire() as conn:
        cases = await retelling.unrouted(conn, before)
        notices = await retelling.unsent(conn, before)
        suspects = [
            one async for some in retelling.told(conn, before) for one in await _unheard(conn, some)
        ]
    held: set[UUID] = set()
    for stream, subject in (
        ("COMPLAINTS", "complaint.>"),
        ("CASES", "case.>"),
        ("CASES", "incident.>"),
        ("NOTICES", "notice.queued.>"),
    ):
        async for found in stored_in(bus.client, stream, subject):
            held |= {one.message_id for one in found}
    lack.cases = [
        one
        for one in cases
        if not held & {one.id, routed_id(one.id), _asking(one, before).message_id}
    ]
    lack.facts = [one.row for one in suspects if one.fact.message_id not in held]
    lack.notices = [one for one in notices if one.message_id not in held]
    return lack


async def _unheard(conn: asyncpg.Connection, some: Sequence[Told]) -> list[Told]:
    """Of these facts, those of which the books show no effect though they should have one."""
    wanted = {one.row: expected(one.fact) for one in some}
    known = await retelling.known(conn, {id_ for ids in wanted.values() for id_ in ids})
    amended = {one.row: one.fact.case.case_id for one in some if isinstance(one.fact, CaseAmended)}
    looked = await retelling.looked_at(conn, set(amended.values()))
    undone = [
        one
        for one in some
        if (wanted[one.row] and not wanted[one.row] & known)
        or (one.row in amended and not _since(looked.get(amended[one.row]), one.at))
    ]
    buried = await retelling.buried(conn, [one.fact.message_id for one in undone])
    return [one for one in undone if one.fact.message_id not in buried]


def _since(looked: datetime | None, asked: datetime) -> bool:
    return looked is not None and looked >= asked


def _asking(case: PastCase, now: datetime) -> CaseAmended:
    """The same for a case that nobody has routed, however often."""
    asked = past.asking(case, "", now)
    return asked.model_copy(
        update={"message_id": fact_id("case.retold", case.id), "rules_changed": False}
    )


async def tell(pool: asyncpg.Pool, lack: Lack) -> None:
    """Have all of it told; the outbox does it, in its order."""
    now = datetime.now(UTC)
    asked = [_asking(one, now) for one in lack.cases]
    async with pool.acquire() as conn:
        await retelling.tell_again(conn, lack.facts, [*asked, *lack.notices])
    if lack.any:
        log.warning("told again from the books", lack=str(lack))
