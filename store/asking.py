"""
What only the resident knows is asked for once, when they had time to tell it by themselves; and
they hear what became of their answer.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from bus.contracts import CaseIncomplete, CaseLocated, ComplaintRouted
from bus.identity import fact_id
from store import cases, outbox
from store.contacts import may_answer
from store.follow import amended, file_unanswered
from store.follow_settings import FollowSettings
from store.places import ask_which_place, due_looks
from store.pool import AWAY
from store.records import NewEvent, add_events

log = structlog.stdlib.get_logger()

_EVERY = 5.0  # seconds
_LONGEST_ROUTING = timedelta(minutes=2)

# Only what has been routed: the router may have found the place in the words.
PLACELESS = """
    UPDATE cases
    SET place_asked_at = $1
    WHERE id IN (
        SELECT id
        FROM cases
        WHERE conversation IS NOT NULL AND place_asked_at IS NULL
          AND address IS NULL AND lat IS NULL AND status <> 'closed'
          AND routed_at IS NOT NULL AND heard_at < $2
        ORDER BY heard_at
        LIMIT 100
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""


async def ask_for_places(conn: asyncpg.Connection, rules: FollowSettings, now: datetime) -> int:
    """Have the senders of texts without a place asked for it; how many."""
    async with conn.transaction():
        rows = await conn.fetch(PLACELESS, now, now - timedelta(seconds=rules.ask_place_after))
        for row in rows:
            case = await cases.by_id(conn, row["id"])
            if case is None:
                continue
            event = NewEvent(
                case_id=case.id, at=now, kind="asked", by=None, public=False,
                data={"missing": "place"},
            )  # fmt: skip
            await add_events(conn, [event])
            fact = CaseIncomplete(
                message_id=fact_id("case.incomplete", case.id, "place"),
                occurred_at=now,
                case=cases.summary(case),
                missing="place",
            )
            await outbox.append(conn, [fact])
    return len(rows)


# Once the router has looked at it; and if it never does, the resident still hears.
ANSWERED = """
    UPDATE cases
    SET place_thanked_at = $1
    WHERE place_told_at IS NOT NULL AND place_thanked_at IS NULL
      AND (id = ANY ($2::uuid[]) OR place_told_at < $3)
    RETURNING id
"""


async def thank_for_places(
    conn: asyncpg.Connection, now: datetime, routed: Sequence[ComplaintRouted] = ()
) -> int:
    """
    Tell, once, that the place for which we had asked is there: of the cases that were just routed
    again, and of those that waited for that in vain. How many.
    """
    again = [one.complaint_id for one in routed if one.amended]
    if routed and not again:
        return 0
    async with conn.transaction():
        rows = await conn.fetch(ANSWERED, now, again, now - _LONGEST_ROUTING)
        for row in rows:
            case = await cases.by_id(conn, row["id"])
            if case is None:
                continue
            phone = case.reporter.phone
            answer = phone is not None and await may_answer(conn, "sms", phone, now)
            fact = CaseLocated(
                message_id=fact_id("case.located", case.id),
                occurred_at=now,
                case=cases.summary(case),
                answer=answer,
            )
            await outbox.append(conn, [fact])
    return len(rows)


async def keep_asking(pool: asyncpg.Pool, rules: FollowSettings, stop: asyncio.Event) -> None:
    """Look now and then until asked to stop; what fails is tried again at the next look."""
    while not stop.is_set():
        try:
            async with pool.acquire(timeout=10.0) as conn:
                now = datetime.now(UTC)
                asked = await ask_for_places(conn, rules, now)
                asked += await ask_which_place(conn, rules, now)
                async with conn.transaction():
                    for case, look in await due_looks(conn, now):
                        await amended(conn, case, look, now)
                filed = await file_unanswered(conn, rules, now)
                thanked = await thank_for_places(conn, now)
            if asked or filed or thanked:
                log.info("conversations looked after", asked=asked, filed=filed, thanked=thanked)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("conversations not looked after", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY)
