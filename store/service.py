"""The store as a service: what it hears, and the relay that tells what it has done."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import asyncpg

from bus import traces
from bus.contracts import (
    CanaryCarried,
    CanaryFact,
    CanaryQueued,
    CanaryReceived,
    CanaryRouted,
    ComplaintReceived,
    ComplaintRouted,
    DeadLetter,
    Fact,
    MessageLeft,
    MessageSetAside,
    NoticeDelivered,
    NoticeFailed,
    NoticeQueued,
    NoticeSent,
    NoticeUnknown,
    NoticeWithheld,
)
from bus.errors import Refused, Unavailable
from bus.publish import Post
from bus.service import Service
from bus.worker import Listener
from store import (
    asking,
    canaries,
    counting,
    deliveries,
    filing,
    follow,
    graves,
    housekeeping,
    outbox,
    replaying,
    resending,
    storms,
)
from store.aside import set_aside
from store.follow_settings import FollowSettings
from store.pool import GONE, renew_after
from store.same_settings import StormSettings
from store.second_look import leave

_ACQUIRE_SECONDS = 10.0
RULES = FollowSettings()
STORMS = StormSettings()

Effect = Callable[[asyncpg.Connection, Sequence[Fact]], Awaitable[None]]


def listeners(pool: asyncpg.Pool, rules: FollowSettings = RULES) -> list[Listener]:
    """What the store hears; each batch is one transaction."""

    async def complaints(conn: asyncpg.Connection, told: Sequence[Fact]) -> None:
        await _complaints(conn, told, rules)

    return [
        Listener(
            durable=filing.CONSUMER,
            stream="COMPLAINTS",
            contracts=(
                ComplaintReceived,
                ComplaintRouted,
                MessageSetAside,
                MessageLeft,
                CanaryReceived,
                CanaryRouted,
            ),
            handle=_in_one_transaction(pool, complaints),
            linger=0.03,
        ),
        Listener(
            durable=deliveries.CONSUMER,
            stream="NOTICES",
            contracts=(
                NoticeQueued,
                NoticeSent,
                NoticeDelivered,
                NoticeUnknown,
                NoticeFailed,
                NoticeWithheld,
                CanaryQueued,
                CanaryCarried,
            ),
            handle=_in_one_transaction(pool, _notices),
            linger=0.25,
        ),
        Listener(
            durable="store_dead",
            stream="DEAD",
            contracts=(DeadLetter,),
            handle=_in_one_transaction(pool, _dead),
        ),
    ]


def services(
    pool: asyncpg.Pool,
    post: Post,
    rules: FollowSettings = RULES,
    storms_: StormSettings = STORMS,
) -> list[Service]:
    """
    What runs beside the listeners: who tells, asks back, sends lost texts again, tells dead letters
    again, counts, looks for storms, and sweeps.
    """

    async def relay(stop: asyncio.Event) -> None:
        await outbox.relay(pool, post, stop)

    async def keep_house(stop: asyncio.Event) -> None:
        await housekeeping.keep_house(pool, stop)

    async def resend(stop: asyncio.Event) -> None:
        await resending.keep_sending_again(pool, stop)

    async def ask(stop: asyncio.Event) -> None:
        await asking.keep_asking(pool, rules, stop)

    async def replay(stop: asyncio.Event) -> None:
        await replaying.keep_replaying(pool, post, stop)

    async def look(stop: asyncio.Event) -> None:
        await storms.keep_looking(pool, storms_, stop)

    async def count(stop: asyncio.Event) -> None:
        await counting.keep_counting(pool, stop)

    return [
        Service("relay", relay),
        Service("counting", count),
        Service("asking", ask),
        Service("resending", resend),
        Service("replaying", replay),
        Service("storms", look),
        Service("housekeeping", keep_house),
    ]


async def _complaints(
    conn: asyncpg.Connection, told: Sequence[Fact], rules: FollowSettings
) -> None:
    # A routing can stand before its complaint in a batch that was put together from repeats.
    if received := [fact for fact in told if isinstance(fact, ComplaintReceived)]:
        with traces.answering(received):
            await follow.file_complaints(conn, received, rules)
    if routed := [fact for fact in told if isinstance(fact, ComplaintRouted)]:
        with traces.answering(routed):
            await filing.place_complaints(conn, routed)
            await asking.thank_for_places(conn, datetime.now(UTC), routed)
    if left := [fact for fact in told if isinstance(fact, MessageLeft)]:
        await leave(conn, left)
    if aside := [fact for fact in told if isinstance(fact, MessageSetAside)]:
        await set_aside(conn, aside)
    if released := [fact for fact in told if isinstance(fact, CanaryFact)]:
        await canaries.file_canaries(conn, released)


async def _notices(conn: asyncpg.Connection, told: Sequence[Fact]) -> None:
    if notices := [fact for fact in told if not isinstance(fact, CanaryFact)]:
        await deliveries.record(conn, notices)
    if carried := [fact for fact in told if isinstance(fact, CanaryFact)]:
        await canaries.end_canaries(conn, carried)


async def _dead(conn: asyncpg.Connection, told: Sequence[Fact]) -> None:
    letters = [fact for fact in told if isinstance(fact, DeadLetter)]
    if others := await canaries.bury_canaries(conn, letters):
        await graves.bury(conn, others)


def _in_one_transaction(
    pool: asyncpg.Pool, effect: Effect
) -> Callable[[Sequence[Fact]], Awaitable[None]]:
    async def handle(facts: Sequence[Fact]) -> None:
        try:
            with traces.within("transaction", "postgresql"):
                async with pool.acquire(timeout=_ACQUIRE_SECONDS) as conn, conn.transaction():
                    await effect(conn, facts)
        except (
            asyncpg.DataError,
            asyncpg.CheckViolationError,
            asyncpg.NotNullViolationError,
        ) as error:
            # The values can never be stored. PostgreSQL's own message may quote them, and they
            # are somebody's address: only the name of what was broken goes further.
            broken = error.constraint_name or error.column_name or error.sqlstate
            raise Refused(f"{type(error).__name__}: {broken}") from error
        except asyncpg.QueryCanceledError:
            raise  # it took too long: these facts may be the cause
        except GONE as error:
            await renew_after(pool, error)
            raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
        except Exception as error:
            await renew_after(pool, error)
            raise

    return handle
