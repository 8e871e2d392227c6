"""Who is signed in. The database knows only the digest of a session's id."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg

from store.text import clean_or_none

READ = """
    SELECT data
    FROM sessions
    WHERE id_sha256 = $1 AND expires_at > $2
"""


async def read(conn: asyncpg.Connection, sid: str) -> dict[str, object] | None:
    """What the session holds; None if there is none, or it is over."""
    data: dict[str, object] | None = await conn.fetchval(READ, _digest(sid), datetime.now(UTC))
    return data


WRITE = """
    INSERT INTO sessions (id_sha256, login, data, expires_at)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (id_sha256) DO UPDATE
    SET login = EXCLUDED.login, data = EXCLUDED.data, expires_at = EXCLUDED.expires_at
"""


async def write(
    conn: asyncpg.Connection,
    sid: str,
    data: Mapping[str, object],
    expires: datetime,
    login: str | None = None,
) -> None:
    """
    Keep the session until it expires. `login` is whose it is, for `forget_all`; without it, what
    `data` (or the `session` in it, as aiohttp-session writes it) calls `login`.
    """
    whose = clean_or_none(login or _login_in(data))
    await conn.execute(WRITE, _digest(sid), whose, dict(data), expires)


FORGET = """
    DELETE FROM sessions
    WHERE id_sha256 = $1
"""


async def forget(conn: asyncpg.Connection, sid: str) -> None:
    """End one session."""
    await conn.execute(FORGET, _digest(sid))


FORGET_ALL = """
    DELETE FROM sessions
    WHERE login = $1
"""


async def forget_all(conn: asyncpg.Connection, login: str) -> None:
    """End every session of somebody: their password changed, or they left."""
    await conn.execute(FORGET_ALL, login)


def _login_in(data: Mapping[str, object]) -> str | None:
    inner = data.get("session")
    for place in (data, inner if isinstance(inner, Mapping) else {}):
        login = place.get("login")
        if isinstance(login, str):
            return login
    return None


def _digest(sid: str) -> bytes:
    return hashlib.sha256(sid.encode(errors="replace")).digest()
