"""What the books say to operators, asked every second or two: cheap, or not asked so often."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from store import alarms, canaries, levers, outbox
from store.alarms import Alarm
from store.canaries import NO_CANARIES, CanaryBooks
from store.ledger import Equation
from store.levers import OperatorAct
from store.outbox import Backlog

_LATELY = timedelta(days=1)
_SHARE = 50
"""A question that took a second is asked again after so many seconds at the soonest."""


@dataclass(frozen=True)
class Waiting:
    """What waits, and since when the longest."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class ChannelBooks:
    """What came in by one channel."""

    today: int
    last: datetime | None


@dataclass(frozen=True)
class StoreFigures:
    """What the books say at one moment; the sums may be some seconds older on a large ledger."""

    outbox: Backlog
    notices: Waiting
    """Notices that are neither sent nor given up."""
    notices_failed_today: int
    dead: Waiting
    replaying: int
    """Dead letters that are being told again."""
    ever: Equation
    today: Equation
    channels: Mapping[str, ChannelBooks]
    alarms: tuple[Alarm, ...] = ()
    """Rules that could not do what they say within the last day, the newest first."""
    pauses: tuple[OperatorAct, ...] = ()
    """What operators have paused."""
    canary: CanaryBooks = NO_CANARIES
    drains: tuple[OperatorAct, ...] = ()
    """The processes that were told to take nothing new."""


NOW = """
    SELECT (SELECT count(*) FROM deliveries WHERE settled_at IS NULL) AS notices,
           (SELECT min(queued_at) FROM deliveries WHERE settled_at IS NULL) AS notices_oldest,
           (SELECT count(*) FROM dead_letters WHERE resolved_at IS NULL) AS dead,
           (SELECT min(at) FROM dead_letters WHERE resolved_at IS NULL) AS dead_oldest,
           (SELECT count(*) FROM grave_acts WHERE done_at IS NULL) AS replaying
"""

# By channel, so that one pass through the ledger answers both questions.
SUMS = """
    SELECT l.channel,
           count(*) AS received,
           count(c.id) FILTER (WHERE l.state = 'filed') AS filed,
           count(*) FILTER (WHERE l.state = 'quarantined') AS quarantined,
           count(*) FILTER (WHERE l.state = 'ignored') AS ignored,
           count(*) FILTER (WHERE l.state = 'received') AS in_flight,
           max(l.received_at) AS last
    FROM complaints l
    LEFT JOIN cases c ON c.id = l.case_id
    WHERE l.received_at >= $1
    GROUP BY l.channel
"""

FAILED = """
    SELECT count(*)
    FROM deliveries
    WHERE queued_at >= $1 AND state = 'failed'
"""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Remembered:
    at: float
    cost: float
    since: datetime | None
    rows: list[asyncpg.Record]
    failed: int


class StoreLooker:
    """Asks the books, and dear questions seldom: together they never take 4 % of a core."""

    def __init__(self) -> None:
        self._sums: dict[str, _Remembered] = {}

    async def look(self, conn: asyncpg.Connection, midnight: datetime) -> StoreFigures:
        """The figures now; `midnight` is when the city's day began."""
        now = await conn.fetchrow(NOW)
        ever = await self._asked(conn, "ever", None)
        today = await self._asked(conn, "today", midnight)
        counted = {row["channel"]: row["received"] for row in today.rows}
        return StoreFigures(
            outbox=await outbox.backlog(conn),
            notices=Waiting(now["notices"], now["notices_oldest"]),
            notices_failed_today=today.failed,
            dead=Waiting(now["dead"], now["dead_oldest"]),
            replaying=now["replaying"],
            ever=_equation(ever.rows),
            today=_equation(today.rows),
            channels={
                row["channel"]: ChannelBooks(counted.get(row["channel"], 0), row["last"])
                for row in [*ever.rows, *today.rows]
                if row["channel"]
            },
            alarms=tuple(await alarms.since(conn, datetime.now(UTC) - _LATELY)),
            pauses=tuple(await levers.paused(conn)),
            canary=await canaries.books(conn, datetime.now(UTC)),
            drains=tuple(await levers.drained(conn)),
        )

    async def _asked(
        self, conn: asyncpg.Connection, name: str, since: datetime | None
    ) -> _Remembered:
        known = self._sums.get(name)
        began = time.monotonic()
        if (
            known is None
            or known.since != since
            or began - known.at > max(1.0, _SHARE * known.cost)
        ):
            rows = await conn.fetch(SUMS, since or _BEGINNING)
            failed = await conn.fetchval(FAILED, since) if since is not None else 0
            known = _Remembered(began, time.monotonic() - began, since, rows, failed)
            self._sums[name] = known
        return known


def _equation(rows: list[asyncpg.Record]) -> Equation:
    def sum_of(name: str) -> int:
        return sum(row[name] for row in rows)

    return Equation(
        received=sum_of("received"),
        filed=sum_of("filed"),
        quarantined=sum_of("quarantined"),
        ignored=sum_of("ignored"),
        in_flight=sum_of("in_flight"),
    )
