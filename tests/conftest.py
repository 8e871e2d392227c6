"""Real servers for the tests: started once a session on free ports, clean for every test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from bus import connect
from bus.connect import Bus, open_bus
from bus.files import Files, open_files
from bus.files import Settings as FileSettings
from gateway.engine_nats import Nats
from gateway.engine_postgres import Postgres
from store.migrate import migrate
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from tests.support.mail import SmtpSink

_ROOM = 3 * 1024**3  # bytes; for all workers


def pytest_configure(config: pytest.Config) -> None:
    """One cache of compiled templates for all workers, their applications and their products."""
    if not hasattr(config, "workerinput"):
        os.environ["BUCKSTOP__CACHE"] = tempfile.mkdtemp(prefix="buckstop-cache-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("BUCKSTOP__CACHE"), ignore_errors=True)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """
    A folder of its own: not pytest's, whose parents other users may not enter. In memory where
    there is room: each test empties the bus and copies a database, and no power fails here.
    """
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM
    folder = Path(tempfile.mkdtemp(prefix="buckstop-test-", dir=memory if roomy else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def nats_url(server_folder: Path) -> AsyncIterator[str]:
    server = Nats(server_folder / "nats")
    await server.start()
    yield server.url
    await server.stop()


@pytest.fixture(scope="session")
async def postgres_dsn(server_folder: Path) -> AsyncIterator[str]:
    server = Postgres(server_folder / "pg")
    await server.start()
    yield server.dsn
    await server.stop()


@pytest.fixture(scope="session")
async def template(postgres_dsn: str) -> str:
    """The name of a migrated database that each test copies."""
    admin = await asyncpg.connect(postgres_dsn)
    await admin.execute("CREATE DATABASE migrated")
    await admin.close()
    await migrate(postgres_dsn.replace("/buckstop?", "/migrated?"))
    return "migrated"


@pytest.fixture
async def dsn(postgres_dsn: str, template: str) -> AsyncIterator[str]:
    """A fresh migrated database."""
    name = f"t_{uuid4().hex}"
    admin = await asyncpg.connect(postgres_dsn)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield postgres_dsn.replace("/buckstop?", f"/{name}?")
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(PoolSettings(dsn=dsn)) as opened:
        yield opened


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connected bus whose streams are empty and that nobody else hears."""
    async with open_bus(connect.Settings(url=nats_url), name="test") as opened:
        for stream in await opened.js.streams_info():
            if stream.config.name == "KV_DRAFTS":
                await opened.js.purge_stream(stream.config.name)
            else:
                await opened.js.delete_stream(stream.config.name)
    async with open_bus(connect.Settings(url=nats_url), name="test") as opened:
        yield opened


@pytest.fixture
def files(server_folder: Path) -> Files:
    """One folder for all tests: what is kept goes by its content alone."""
    return open_files(FileSettings(), server_folder)


@pytest.fixture
async def smtp_sink() -> AsyncIterator[SmtpSink]:
    sink = SmtpSink()
    await asyncio.to_thread(sink.start)
    yield sink
    await asyncio.to_thread(sink.stop)
