"""Who works for the city: their desks, their roles, their passwords."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from store.model import Role
from store.text import clean, clean_or_none


@dataclass(frozen=True)
class Account:
    """Somebody who works for the city; without a password they cannot sign in."""

    login: str
    name: str
    email: str
    phone: str | None
    roles: frozenset[Role]
    department: str | None
    language: str
    active: bool
    has_password: bool


SELECT_ACCOUNT = """
    SELECT a.login, a.name, a.email, a.phone, a.department, a.language, a.active,
           a.password_hash IS NOT NULL AS has_password,
           (
               SELECT coalesce(array_agg(r.role ORDER BY r.role), '{}')
               FROM account_roles r
               WHERE r.login = a.login
           ) AS roles
    FROM accounts a
"""

BY_LOGIN = SELECT_ACCOUNT + " WHERE a.login = $1"
PEOPLE = SELECT_ACCOUNT + (
    " WHERE a.active AND ($1::text IS NULL OR a.department = $1) ORDER BY a.name, a.login"
)


async def by_login(conn: asyncpg.Connection, login: str) -> Account | None:
    """The account with this sign-in name, however its letters are cased; or None."""
    row = await conn.fetchrow(BY_LOGIN, _login(login))
    return None if row is None else _account(row)


async def people(conn: asyncpg.Connection, department: str | None = None) -> list[Account]:
    """Active people by name: of one department, or all."""
    return [_account(row) for row in await conn.fetch(PEOPLE, department)]


DEPARTMENTS = """
    SELECT DISTINCT department
    FROM accounts
    WHERE active AND department IS NOT NULL
    ORDER BY department
"""


async def departments(conn: asyncpg.Connection) -> list[str]:
    """The departments in which somebody works."""
    return [row["department"] for row in await conn.fetch(DEPARTMENTS)]


# The city's folder knows who works where; language, activity and password are not its business.
PUT_PERSON = """
    INSERT INTO accounts (login, name, email, phone, department)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (login) DO UPDATE
    SET name = EXCLUDED.name,
        email = EXCLUDED.email,
        phone = EXCLUDED.phone,
        department = EXCLUDED.department
"""

GIVE_ROLES = """
    INSERT INTO account_roles (login, role)
    SELECT $1, role
    FROM unnest($2::text[]) AS role
    ON CONFLICT (login, role) DO NOTHING
"""


async def put_person(
    conn: asyncpg.Connection,
    *,
    login: str,
    name: str,
    email: str,
    phone: str | None,
    department: str | None,
    roles: Iterable[Role | str],
) -> None:
    """
    Make sure that somebody from the city's folder has a desk. A new one cannot sign in; a known
    one keeps password and language, and the roles that they were given here.
    """
    async with conn.transaction():
        key = _login(login)
        await conn.execute(
            PUT_PERSON,
            key,
            clean(name),
            clean(email),
            clean_or_none(phone),
            clean_or_none(department),
        )
        await conn.execute(GIVE_ROLES, key, _roles(roles))


PUT_ACCOUNT = """
    INSERT INTO accounts (login, name, email, phone, department, language, active, password_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (login) DO UPDATE
    SET name = EXCLUDED.name,
        email = EXCLUDED.email,
        phone = EXCLUDED.phone,
        department = EXCLUDED.department,
        language = EXCLUDED.language,
        active = EXCLUDED.active,
        password_hash = coalesce(EXCLUDED.password_hash, accounts.password_hash)
"""

TAKE_ROLES = """
    DELETE FROM account_roles
    WHERE login = $1 AND role <> ALL ($2::text[])
"""


async def put_account(
    conn: asyncpg.Connection,
    *,
    login: str,
    name: str,
    email: str,
    roles: Iterable[Role | str],
    phone: str | None = None,
    department: str | None = None,
    language: str = "en",
    active: bool = True,
    password_hash: str | None = None,
) -> None:
    """Make or change an account; everything as given, but no `password_hash` keeps the old one."""
    async with conn.transaction():
        key = _login(login)
        await conn.execute(
            PUT_ACCOUNT,
            key,
            clean(name),
            clean(email),
            clean_or_none(phone),
            clean_or_none(department),
            language,
            active,
            password_hash,
        )
        wanted = _roles(roles)
        await conn.execute(TAKE_ROLES, key, wanted)
        await conn.execute(GIVE_ROLES, key, wanted)


# ── passwords ───────────────────────────────────────────────────────────────────────────────────

_HASHER = PasswordHasher()

# One check takes 64 MB and a tenth of a second of a core: two at a time, the others wait.
_HASHING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")

# What is checked for an unknown name, so that the answer takes as long as for a known one. It is
# the hash of forty random bytes that nobody kept.
_NOBODYS_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$"
    "xJXJTc74E9aD8/8vvpGHxg$poih0cgWJnkkuhPhsP6jX+h8gBOi0RoJ+bGCFM4428Y"
)

HASH_OF = """
    SELECT password_hash
    FROM accounts
    WHERE login = $1 AND active AND password_hash IS NOT NULL
"""

RENEW_HASH = """
    UPDATE accounts
    SET password_hash = $2
    WHERE login = $1
"""


async def check_password(conn: asyncpg.Connection, login: str, password: str) -> Account | None:
    """
    Who signs in with this name and password; None, after the same time, for an unknown name, a
    wrong password, an account without one and one that is not active.
    """
    key = _login(login)
    known = await conn.fetchval(HASH_OF, key)
    loop = asyncio.get_running_loop()
    right = await loop.run_in_executor(_HASHING, _is_right, known or _NOBODYS_HASH, password)
    if known is None or not right:
        return None
    if _HASHER.check_needs_rehash(known):
        await conn.execute(RENEW_HASH, key, await hash_password(password))
    return await by_login(conn, key)


async def hash_password(password: str) -> str:
    """What to keep instead of a password."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_HASHING, _HASHER.hash, password.encode(errors="replace"))


def _is_right(known: str, password: str) -> bool:
    try:
        return _HASHER.verify(known, password.encode(errors="replace"))
    except (VerificationError, InvalidHashError):
        return False


def _login(login: str) -> str:
    return clean(login).strip().lower()


def _roles(roles: Iterable[Role | str]) -> list[str]:
    return sorted({Role(role).value for role in roles})


def _account(row: asyncpg.Record) -> Account:
    return Account(**(dict(row) | {"roles": frozenset(Role(role) for role in row["roles"])}))
