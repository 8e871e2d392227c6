"""How many texts may go out: each is counted as it is handed over, and over a cap none goes."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from bus.contracts import NoticeQueued
from bus.errors import Unavailable
from store.pool import GONE, renew_after

DAY, MONTH = timedelta(days=1), timedelta(days=30)
_ORDINARY = 0.8
_ACQUIRE_SECONDS = 10.0
# Any number that nobody else in this database uses.
_TURN = 0x42_75_64_67


@dataclass(frozen=True)
class Caps:
    """Texts at most, within 24 hours and within 30 days; 0: as many as there are."""

    a_day: int = 0
    a_month: int = 0
    to_one_a_day: int = 0
    to_one_a_month: int = 0


@dataclass(frozen=True)
class Used:
    """Texts that were handed over."""

    day: int = 0
    month: int = 0


def over(caps: Caps, everybody: Used, number: Used, *, first: bool) -> str | None:
    """
    Why one more may not go; None when it may. The last fifth of each cap is for what goes first.
    """
    for used, cap, words in (
        (number.day, caps.to_one_a_day, "texts to one number a day"),
        (number.month, caps.to_one_a_month, "texts to one number a month"),
        (everybody.day, caps.a_day, "texts a day"),
        (everybody.month, caps.a_month, "texts a month"),
    ):
        room = cap if first else max(1, int(cap * _ORDINARY))
        if cap and used >= room:
            kept = "" if first or used >= cap else ", and what is left is for receipts and danger"
            return f"the cap of {cap} {words} is reached{kept}"
    return None


# Two processes that send must not both take the last one.
TURN = "SELECT pg_advisory_xact_lock($1)"

KNOWN = """
    SELECT notice_id
    FROM text_spending
    WHERE notice_id = ANY ($1::uuid[])
"""

EVERYBODY = """
    SELECT count(*) FILTER (WHERE at > $1) AS day, count(*) AS month
    FROM text_spending
    WHERE at > $2
"""

NUMBERS = """
    SELECT number, count(*) FILTER (WHERE at > $1) AS day, count(*) AS month
    FROM text_spending
    WHERE at > $2 AND number = ANY ($3::text[])
    GROUP BY number
"""

SPEND = """
    INSERT INTO text_spending (notice_id, number, at)
    SELECT notice_id, number, $3
    FROM unnest($1::uuid[], $2::text[]) AS text (notice_id, number)
"""


async def spend(
    conn: asyncpg.Connection,
    texts: Sequence[NoticeQueued],
    caps: Caps,
    now: datetime,
    *,
    first: Collection[UUID],
) -> dict[UUID, str]:
    """
    Which of these texts may not be sent, and why; the others are counted, each once however
    often it is asked about. Those in `first` may use what is left for them.
    """
    async with conn.transaction():
        await conn.execute(TURN, _TURN)
        ids = [one.message_id for one in texts]
        known = {row["notice_id"] for row in await conn.fetch(KNOWN, ids)}
        since = (now - DAY, now - MONTH)
        everybody = await conn.fetchrow(EVERYBODY, *since)
        numbers = sorted({one.recipient for one in texts})
        to_one = {row["number"]: row for row in await conn.fetch(NUMBERS, *since, numbers)}
        spent: dict[UUID, str] = {}
        by_number: Counter[str] = Counter()
        refused: dict[UUID, str] = {}
        for one in texts:
            if one.message_id in known or one.message_id in spent:
                continue
            of_number, more = to_one.get(one.recipient), by_number[one.recipient]
            reason = over(
                caps,
                Used(everybody["day"] + len(spent), everybody["month"] + len(spent)),
                Used(of_number["day"] + more, of_number["month"] + more)
                if of_number
                else Used(more, more),
                first=one.message_id in first,
            )
            if reason is not None:
                refused[one.message_id] = reason
                continue
            spent[one.message_id] = one.recipient
            by_number[one.recipient] += 1
        if spent:
            await conn.execute(SPEND, list(spent), list(spent.values()), now)
    return refused


class TextBudget:
    """What the notifier asks before it sends. Raises `Unavailable` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool, caps: Caps) -> None:
        self._pool = pool
        self._caps = caps

    async def spend(
        self, texts: Sequence[NoticeQueued], first: Collection[UUID]
    ) -> Mapping[UUID, str]:
        """Which of these texts may not be sent, and why; the others are counted."""
        async with self._connection() as conn:
            return await spend(conn, texts, self._caps, datetime.now(UTC), first=first)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as conn:
                yield conn
        except GONE as error:
            await renew_after(self._pool, error)
            raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
