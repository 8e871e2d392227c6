"""The way to PostgreSQL: one pool per process, with limits on how long anything may take."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog
from pydantic import BaseModel, ConfigDict, Field

from store.follow_settings import FollowSettings
from store.same_settings import DuplicateSettings, StormSettings
from store.text import to_jsonb

log = structlog.stdlib.get_logger()

_STATEMENT_SECONDS = 30
_CONNECT_SECONDS = 10.0

GONE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.DiskFullError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    # What asyncpg says while the server is hanging up.
    asyncpg.InternalClientError,
)
"""What a question raises when the server is away, whatever was asked."""

AWAY: tuple[type[Exception], ...] = (*GONE, asyncpg.InterfaceError)
"""
What a question raises when it is the connection that failed: asking again later may help. A
question that is wrong in itself can raise some of it too.
"""


class Settings(BaseModel):
    """Where the database is; an empty `dsn` means the embedded one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsn: str = ""
    """As `postgresql://user:password@host:5432/database`."""
    pool_size: int = Field(default=10, ge=2, le=200)
    follow: FollowSettings = FollowSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    storms: StormSettings = StormSettings()


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """
    A pool that finds its way back by itself when PostgreSQL was away.

    Nothing waits for ever: a statement ends after 30 seconds, a forgotten transaction after 60.
    """
    pool = await asyncpg.create_pool(
        settings.dsn,
        min_size=1,
        max_size=settings.pool_size,
        timeout=_CONNECT_SECONDS,
        # A little later than the server's own limit, so that its clear answer comes first.
        command_timeout=_STATEMENT_SECONDS + 5,
        server_settings={
            "application_name": "buckstop",
            "statement_timeout": f"{_STATEMENT_SECONDS}s",
            "idle_in_transaction_session_timeout": "60s",
            "timezone": "UTC",
        },
        init=prepare,
        reset=_nothing_left_behind,
    )
    try:
        yield pool
    finally:
        await close(pool)


async def _nothing_left_behind(_conn: asyncpg.Connection) -> None:
    """
    asyncpg rolls back what was broken off. Else it would ask the server, after every loan, to
    forget settings, cursors and locks as well: nobody here leaves any, and it is a way there and
    back for each question.
    """


async def close(pool: asyncpg.Pool) -> None:
    """Close the pool; what still hangs after five seconds is cut off."""
    try:
        await asyncio.wait_for(pool.close(), timeout=5.0)
    except TimeoutError:
        log.warning("the pool did not close in time")
        pool.terminate()


async def prepare(conn: asyncpg.Connection) -> None:
    """Make a connection speak as the store expects: `jsonb` is Python values."""
    await conn.set_type_codec("jsonb", schema="pg_catalog", encoder=to_jsonb, decoder=json.loads)


UNLOCK = "SELECT pg_advisory_unlock($1)"


async def unlock(conn: asyncpg.Connection, number: int) -> None:
    """Give an advisory lock back; with a connection that cannot do it any more, end that."""
    try:
        await conn.execute(UNLOCK, number)
    except BaseException as error:
        conn.terminate()
        if not isinstance(error, Exception):
            raise


async def renew_after(pool: asyncpg.Pool, error: Exception) -> None:
    """
    After an error that speaks of the connection, let the pool open new ones: a server that only
    reads since another took its place would else be asked for ever.
    """
    # A question that took too long, or a pool with nothing free, is no sign of a lost way.
    if isinstance(error, AWAY) and not isinstance(error, TimeoutError):
        log.info("connections renewed", error=type(error).__name__)
        await pool.expire_connections()
