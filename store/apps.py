"""Apps that may report over Open311: who they are, how much they may, a digest of their key."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from store.text import clean

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What an app's id looks like; the database holds it too."""
A_MINUTE = 60
A_DAY = 5_000
_LETTERS = 6  # of a key that stay readable
_KEY_BYTES = 24


@dataclass(frozen=True)
class StoredApp:
    """An app as the store knows it; nobody can read its key again."""

    id: str
    name: str
    contact: str
    key_begins: str
    a_minute: int
    a_day: int
    active: bool
    test: bool
    made_at: datetime
    used_at: datetime | None
    """When its key was last used, to the hour."""


COLUMNS = "id, name, contact, key_begins, a_minute, a_day, active, test, made_at, used_at"

ADD = """
    INSERT INTO apps (id, name, contact, key_sha256, key_begins, a_minute, a_day, test)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


async def add(
    conn: asyncpg.Connection,
    *,
    id: str,
    name: str,
    contact: str,
    a_minute: int = A_MINUTE,
    a_day: int = A_DAY,
    test: bool = False,
) -> str:
    """
    Make an app known; its key, which nobody can ask for again. Raises `KeyError` when there is one
    of that id.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    made = await conn.fetchval(
        ADD, id, clean(name), clean(contact), digest(key), key[:_LETTERS], a_minute, a_day, test
    )
    if made is None:
        raise KeyError(id)
    return key


RENEW = "UPDATE apps SET key_sha256 = $2, key_begins = $3 WHERE id = $1 RETURNING id"


async def renew(conn: asyncpg.Connection, id: str) -> str:
    """Another key in place of the one that it has. Raises `KeyError` for an unknown app."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    if await conn.fetchval(RENEW, id, digest(key), key[:_LETTERS]) is None:
        raise KeyError(id)
    return key


CHANGE = f"""
    UPDATE apps
    SET name = coalesce($2, name),
        contact = coalesce($3, contact),
        a_minute = coalesce($4, a_minute),
        a_day = coalesce($5, a_day),
        active = coalesce($6, active),
        test = coalesce($7, test)
    WHERE id = $1
    RETURNING {COLUMNS}
"""  # noqa: S608  our own names


async def change(
    conn: asyncpg.Connection,
    id: str,
    *,
    name: str | None = None,
    contact: str | None = None,
    a_minute: int | None = None,
    a_day: int | None = None,
    active: bool | None = None,
    test: bool | None = None,
) -> StoredApp:
    """Change what is given, and nothing else. Raises `KeyError` for an unknown app."""
    row = await conn.fetchrow(CHANGE, id, name, contact, a_minute, a_day, active, test)
    if row is None:
        raise KeyError(id)
    return StoredApp(**row)


ALL = f"SELECT {COLUMNS} FROM apps ORDER BY id"  # noqa: S608


async def all_of_them(conn: asyncpg.Connection) -> list[StoredApp]:
    return [StoredApp(**row) for row in await conn.fetch(ALL)]


BY_KEY = f"SELECT {COLUMNS} FROM apps WHERE key_sha256 = $1"  # noqa: S608

# Once an hour: a busy app costs no write for each of its reports.
USED = """
    UPDATE apps
    SET used_at = now()
    WHERE id = $1 AND (used_at IS NULL OR used_at < now() - interval '1 hour')
"""


async def with_key(conn: asyncpg.Connection, key: str) -> StoredApp | None:
    """The app whose key this is, active or not; notes that it was used."""
    row = await conn.fetchrow(BY_KEY, digest(key))
    if row is None:
        return None
    await conn.execute(USED, row["id"])
    return StoredApp(**row)


def digest(key: str) -> bytes:
    """What is kept of a key. Keys are random and long: nothing slower is needed."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
