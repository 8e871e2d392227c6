"""What the mail channel remembers of its mailboxes: the mails that lie in a folder, by UID."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from bus.errors import Unavailable
from store.pool import GONE, renew_after

_ACQUIRE_SECONDS = 10.0


@dataclass(frozen=True)
class Remembered:
    """One mail in a folder."""

    tries: int
    complaint: UUID | None
    settled: bool


# Locked, so that two processes on one mailbox never forget each other's UIDs half.
KNOWN = """
    SELECT uidvalidity
    FROM mailbox_folders
    WHERE mailbox = $1 AND folder = $2
    FOR UPDATE
"""

ENTER = """
    INSERT INTO mailbox_folders (mailbox, folder, uidvalidity)
    VALUES ($1, $2, $3)
    ON CONFLICT (mailbox, folder) DO UPDATE
    SET uidvalidity = EXCLUDED.uidvalidity, done_up_to = 0
"""

DONE = """
    SELECT done_up_to
    FROM mailbox_folders
    WHERE mailbox = $1 AND folder = $2
"""

ADVANCE = """
    UPDATE mailbox_folders
    SET done_up_to = greatest(done_up_to, $3)
    WHERE mailbox = $1 AND folder = $2
"""

FORGET_ALL = """
    DELETE FROM mailbox_mails
    WHERE mailbox = $1 AND folder = $2
"""

RECALL = """
    SELECT uid, tries, complaint_id, settled
    FROM mailbox_mails
    WHERE mailbox = $1 AND folder = $2 AND uid > $3
"""

BEGIN = """
    INSERT INTO mailbox_mails AS known (mailbox, folder, uid, tries)
    SELECT $1, $2, uid, 1
    FROM unnest($3::bigint[]) AS begun (uid)
    ON CONFLICT (mailbox, folder, uid) DO UPDATE SET tries = known.tries + 1
"""

EXCUSE = """
    UPDATE mailbox_mails
    SET tries = greatest(tries - 1, 0)
    WHERE mailbox = $1 AND folder = $2 AND uid = ANY ($3::bigint[])
"""

# It came to an end, so what was counted before says nothing any more.
TOLD = """
    INSERT INTO mailbox_mails (mailbox, folder, uid, complaint_id)
    SELECT $1, $2, uid, complaint_id
    FROM unnest($3::bigint[], $4::uuid[]) AS told (uid, complaint_id)
    ON CONFLICT (mailbox, folder, uid) DO UPDATE
    SET complaint_id = EXCLUDED.complaint_id, tries = 0
"""

SETTLE = """
    UPDATE mailbox_mails
    SET settled = true
    WHERE mailbox = $1 AND folder = $2 AND uid = ANY ($3::bigint[])
"""

FORGET = """
    DELETE FROM mailbox_mails
    WHERE mailbox = $1 AND folder = $2 AND uid = ANY ($3::bigint[])
"""


class MailboxMemory:
    """
    Every change is on disk when it returns. Raises `Unavailable` while PostgreSQL is away: the
    mail stays where it is meanwhile.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def enter(self, mailbox: str, folder: str, validity: int) -> int | None:
        """The folder's UIDVALIDITY until now; another one now, and its mails are forgotten."""
        async with self._connection() as conn, conn.transaction():
            before: int | None = await conn.fetchval(KNOWN, mailbox, folder)
            if before != validity:
                await conn.execute(FORGET_ALL, mailbox, folder)
                await conn.execute(ENTER, mailbox, folder, validity)
        return before

    async def done_up_to(self, mailbox: str, folder: str) -> int:
        """Every mail up to this UID is in the books and stays where it lies, or is gone."""
        async with self._connection() as conn:
            return await conn.fetchval(DONE, mailbox, folder) or 0

    async def advance(self, mailbox: str, folder: str, up_to: int) -> None:
        """From now on that is so up to this UID."""
        async with self._connection() as conn:
            await conn.execute(ADVANCE, mailbox, folder, up_to)

    async def recall(
        self, mailbox: str, folder: str, *, after: int = 0
    ) -> Mapping[int, Remembered]:
        """By UID, those that are greater than `after`."""
        async with self._connection() as conn:
            rows = await conn.fetch(RECALL, mailbox, folder, after)
        return {
            row["uid"]: Remembered(row["tries"], row["complaint_id"], row["settled"])
            for row in rows
        }

    async def begin(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """They are about to be tried once more."""
        async with self._connection() as conn:
            await conn.execute(BEGIN, mailbox, folder, list(uids))

    async def excuse(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """That they were begun in vain was no fault of theirs."""
        async with self._connection() as conn:
            await conn.execute(EXCUSE, mailbox, folder, list(uids))

    async def told(self, mailbox: str, folder: str, mails: Mapping[int, UUID]) -> None:
        """They were told to the bus under these ids."""
        async with self._connection() as conn:
            await conn.execute(TOLD, mailbox, folder, list(mails), list(mails.values()))

    async def settle(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """The books have them."""
        async with self._connection() as conn:
            await conn.execute(SETTLE, mailbox, folder, list(uids))

    async def forget(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """They lie there no more."""
        async with self._connection() as conn:
            await conn.execute(FORGET, mailbox, folder, list(uids))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as conn:
                yield conn
        except GONE as error:
            await renew_after(self._pool, error)
            raise Unavailable(f"PostgreSQL: {type(error).__name__}") from error
