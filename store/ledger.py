"""The ledger: every message received, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from bus.contracts import FileRef


@dataclass(frozen=True)
class Equation:
    """What was received and what became of it; it closes when nothing is missing."""

    received: int
    filed: int
    quarantined: int
    ignored: int
    in_flight: int

    @property
    def closes(self) -> bool:
        """Whether every message received is accounted for."""
        return self.received == self.filed + self.quarantined + self.ignored + self.in_flight

    def with_in_flight(self, more: int) -> "Equation":
        """The equation with messages that are on the bus and not yet in the ledger."""
        return replace(self, received=self.received + more, in_flight=self.in_flight + more)

    def __str__(self) -> str:
        sign = "=" if self.closes else "≠"
        return (
            f"received {self.received} {sign} filed {self.filed} + quarantined {self.quarantined}"
            f" + ignored {self.ignored} + in flight {self.in_flight}"
        )


# Filed is what has a case, not what says that it has one.
EQUATION = """
    SELECT count(*) AS received,
           count(c.id) FILTER (WHERE l.state = 'filed') AS filed,
           count(*) FILTER (WHERE l.state = 'quarantined') AS quarantined,
           count(*) FILTER (WHERE l.state = 'ignored') AS ignored,
           count(*) FILTER (WHERE l.state = 'received') AS in_flight
    FROM complaints l
    LEFT JOIN cases c ON c.id = l.case_id
"""


async def equation(conn: asyncpg.Connection) -> Equation:
    """The ledger's sums at this moment."""
    return Equation(**await conn.fetchrow(EQUATION))


KNOWN = """
    SELECT id
    FROM complaints
    WHERE id = ANY ($1::uuid[])
"""


async def known(conn: asyncpg.Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these complaints the ledger has, in whatever state."""
    return {row["id"] for row in await conn.fetch(KNOWN, list(ids))}


ORIGINALS = """
    SELECT id, original
    FROM complaints
    WHERE id = ANY ($1::uuid[]) AND original IS NOT NULL
"""


async def originals(conn: asyncpg.Connection, ids: Sequence[UUID]) -> dict[UUID, FileRef]:
    """These messages as they came, where they were kept."""
    rows = await conn.fetch(ORIGINALS, list(ids))
    return {row["id"]: FileRef.model_validate(row["original"]) for row in rows}


ENDS = """
    SELECT id, state, reason
    FROM complaints
    WHERE id = ANY ($1::uuid[])
"""


async def ends(conn: asyncpg.Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[str, str | None]]:
    """How these messages ended, as (state, reason); what the ledger lacks is left out."""
    rows = await conn.fetch(ENDS, list(ids))
    return {row["id"]: (row["state"], row["reason"]) for row in rows}


@dataclass(frozen=True)
class Entry:
    """One message in the ledger."""

    id: UUID
    channel: str
    external_id: str
    state: str
    reason: str | None
    case_id: UUID | None


ENTRY = """
    SELECT id, channel, external_id, state, reason, case_id
    FROM complaints
    WHERE id = $1
"""


async def entry(conn: asyncpg.Connection, complaint_id: UUID) -> Entry | None:
    """What became of one complaint."""
    row = await conn.fetchrow(ENTRY, complaint_id)
    return None if row is None else Entry(**row)
