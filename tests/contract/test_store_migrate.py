"""The schema comes and goes by plain SQL files, whoever asks for it and how often."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from store.migrate import MIGRATIONS, MigrationFailed, _dbmate, migrate, pending, version


@pytest.fixture
async def nowhere(postgres_dsn: str) -> AsyncIterator[str]:
    """The address of a database that does not exist yet."""
    name = f"m_{uuid4().hex}"
    yield postgres_dsn.replace("/buckstop?", f"/{name}?")
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.close()


async def test_a_missing_database_is_made_and_migrating_again_changes_nothing(
    nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await migrate(nowhere)
    await migrate(nowhere)
    conn = await asyncpg.connect(nowhere)
    newest = max(path.name for path in MIGRATIONS.glob("*.sql")).partition("_")[0]
    assert await version(conn) == newest
    assert await pending(conn) == []
    await conn.close()
    assert os.listdir(tmp_path) == []


async def test_several_at_once_wait_for_each_other(nowhere: str, postgres_dsn: str) -> None:
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute(f"CREATE DATABASE {_name(nowhere)}")
    await admin.close()
    async with asyncio.TaskGroup() as several:
        for _ in range(3):
            several.create_task(migrate(nowhere))
    conn = await asyncpg.connect(nowhere)
    assert await pending(conn) == []
    await conn.close()


async def test_a_database_without_schema_has_everything_pending(postgres_dsn: str) -> None:
    conn = await asyncpg.connect(postgres_dsn)
    assert await version(conn) is None
    assert len(await pending(conn)) == len(list(MIGRATIONS.glob("*.sql")))
    await conn.close()


async def test_every_migration_can_be_taken_back(nowhere: str) -> None:
    await migrate(nowhere)
    for _ in MIGRATIONS.glob("*.sql"):
        await _dbmate("rollback", nowhere)
    conn = await asyncpg.connect(nowhere)
    left = await conn.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    assert [row["relname"] for row in left] == ["schema_migrations"]
    await conn.close()
    await migrate(nowhere)


async def test_a_server_that_is_not_there_is_named_as_the_reason(tmp_path: Path) -> None:
    with pytest.raises(MigrationFailed, match="the database does not answer"):
        await migrate(f"postgresql://postgres@/x?host={tmp_path}")


async def test_what_dbmate_says_of_a_failure_is_passed_on(dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    await conn.execute("DELETE FROM schema_migrations")
    await conn.close()
    with pytest.raises(MigrationFailed, match='"cases" already exists'):
        await migrate(dsn)


def _name(dsn: str) -> str:
    return re.search(r"m_[0-9a-f]+", dsn).group()  # type: ignore[union-attr]
