"""
The whole product as its users start it: `buckstop run` as a process, on a directory and a port of
its own, and the other commands beside it.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil

from gateway.samples import PASSWORD
from store.pool import prepare

BUCKSTOP = str(Path(sysconfig.get_path("scripts")) / "buckstop")
_READY = 60.0  # seconds; a machine that does much else is slow, and that is not what we measure


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


class Product:
    """`buckstop run` on the directory `data`; may be started, killed and started again."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.parent / f"{data.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = clean_environment() | environment

    # ── starting and ending ─────────────────────────────────────────────────────────────────────

    async def start(self, *words: str, ready: bool = True, command: str = "run") -> float:
        """Starts it, with `words` behind `buckstop run`; the seconds until it was ready."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = await asyncio.to_thread(
                subprocess.Popen,
                [BUCKSTOP, command, "--data", self.data, "--port", str(self.port), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        if ready:
            await self.ready()
        return time.monotonic() - began

    async def ready(self) -> None:
        """Returns once every ping of `/readyz` is answered."""
        async with asyncio.timeout(_READY), aiohttp.ClientSession() as session:
            while True:
                assert self.running, f"it ended with {self.code}:\n{self.said}"
                with suppress(aiohttp.ClientError, TimeoutError):
                    answer = await session.get(
                        f"{self.url}/readyz", timeout=aiohttp.ClientTimeout(5)
                    )
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.05)

    async def said_so(self, words: str, within: float = _READY) -> None:
        """Returns once `words` stand in what it printed."""
        await until(self._has_said(words), within=within)

    def _has_said(self, words: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            assert self.running or words in self.said, f"it ended with {self.code}:\n{self.said}"
            return words in self.said

        return look

    async def stop(self, number: int = signal.SIGTERM, within: float = 30.0) -> int:
        """Asks it to end; its exit code."""
        assert self.process is not None
        if self.running:
            self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, within)

    async def kill(self, *, engines: bool = False) -> None:
        """`kill -9`; with `engines`, for all its processes: what a power cut does to them."""
        assert self.process is not None
        victims = self.processes() if engines else [psutil.Process(self.process.pid)]
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        await asyncio.to_thread(self.process.wait, 10)

    async def clear(self) -> None:
        """Ends whatever still works on the directory."""
        if self.process is not None and self.running:
            await self.kill()
        for process in (*self.processes("submit"), *self.processes("run"), *self.processes("demo")):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                await asyncio.to_thread(process.wait, 10)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def code(self) -> int | None:
        return self.process.poll() if self.process is not None else None

    @property
    def said(self) -> str:
        """Everything that it printed and logged since it was first started."""
        return self.log.read_text() if self.log.exists() else ""

    # ── its processes ───────────────────────────────────────────────────────────────────────────

    def processes(self, command: str = "run") -> list[psutil.Process]:
        """The processes of a command on its directory, and the engines that work there."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            ours = str(self.data) in words and command in words
            if ours or any(word.startswith(f"{self.data}/") for word in words):
                found.append(process)
        return found

    @property
    def services(self) -> list[psutil.Process]:
        """The processes of our own program that run beside the pages."""
        assert self.process is not None
        ours = psutil.Process(self.process.pid)
        # Forked they bear our own name; started again they have one of their own.
        return [
            one
            for one in ours.children()
            if one.cmdline() == ours.cmdline() or "gateway.cli" in one.cmdline()
        ]

    @property
    def nats_pid(self) -> int | None:
        return _pid_in(self.data / "nats" / "nats.pid")

    @property
    def postgres_pid(self) -> int | None:
        return _pid_in(self.data / "pg" / "postmaster.pid")

    @property
    def address(self) -> dict[str, Any]:
        """Where its engines answer."""
        address: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return address

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.address["dsn"], timeout=10)
        try:
            await prepare(connection)
            yield connection
        finally:
            await connection.close()

    # ── what is asked of it ─────────────────────────────────────────────────────────────────────

    def begin(self, *words: str | Path) -> subprocess.Popen[bytes]:
        """Starts a command on its directory, and does not wait for it."""
        return subprocess.Popen(
            [BUCKSTOP, *words, "--data", self.data],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        )

    async def ask(self, *words: str | Path, within: float = 60.0) -> Answer:
        """Runs a command on its directory."""
        return await ended(await asyncio.to_thread(self.begin, *words), within=within)

    async def settled(self, count: int, within: float = 60.0) -> None:
        """Returns once `count` complaints are filed and routed, and every notice is settled."""

        async def look() -> bool:
            try:
                async with self.database() as connection:
                    return bool(await connection.fetchval(SETTLED, count))
            except (OSError, asyncpg.PostgresError):
                return False

        await until(look, within=within)


# A case has a receipt, and an assignment when it has a department; both may be withheld.
SETTLED = """
    SELECT (SELECT count(*) FROM cases) >= $1
       AND NOT EXISTS (SELECT FROM cases WHERE status = 'new')
       AND NOT EXISTS (SELECT FROM outbox WHERE told_at IS NULL)
       AND (SELECT count(*) FROM deliveries)
           >= (SELECT count(*) + count(department) FROM cases)
       AND NOT EXISTS (SELECT FROM deliveries WHERE settled_at IS NULL)
"""


async def ended(process: "subprocess.Popen[bytes]", within: float = 60.0) -> Answer:
    """What a command said, once it has ended."""
    try:
        out, err = await asyncio.to_thread(process.communicate, None, within)
    except BaseException:
        process.kill()
        raise
    return Answer(process.returncode, out.decode(), err.decode())


async def until(look: Callable[[], Awaitable[bool]], within: float = 30.0) -> None:
    """Returns once `look` answers True."""
    async with asyncio.timeout(within):
        while not await look():
            await asyncio.sleep(0.1)


def clean_environment() -> dict[str, str]:
    """
    Our environment without what would change the product's settings or slow its start. The cache
    of compiled templates is one for all tests.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("BUCKSTOP") or name == "BUCKSTOP__CACHE")
        and name != "PYTHONDONTWRITEBYTECODE"
    }


def free_port() -> int:
    """A port that nobody uses, outside the range that the kernel gives to outgoing connections."""
    while True:
        port = random.randint(15_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder whose parents PostgreSQL's own user may enter: pytest's are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="buckstop-e2e-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def make_template(folder: Path) -> Path:
    """
    A data directory that a product has run on: migrated, its model trained, the sample logins
    made, nothing reported yet.
    """
    product = Product(folder / "template")
    try:
        await product.start("--sample-logins")
        await product.said_so("Ctrl-C stops it.")
        assert await product.stop() == 0, product.said
    finally:
        await product.clear()
    for name in ("run.json", "nats/port"):  # each copy finds a port of its own
        (product.data / name).unlink()
    return product.data


@asynccontextmanager
async def with_sample_logins(**environment: str) -> AsyncIterator[Product]:
    """`buckstop run --sample-logins` on a new directory, ready; it ends well when it is left."""
    with own_folder() as folder:
        product = Product(folder / "data", **environment)
        try:
            await product.start("--sample-logins")
            await product.said_so("Ctrl-C stops it.")
            yield product
            assert await product.stop() == 0, product.said
        finally:
            await product.clear()


def copy_of(template: Path, folder: Path, name: str = "data") -> Path:
    """A copy with the same owners: as root, PostgreSQL's files belong to a user of its own."""
    subprocess.run(["cp", "-a", template, folder / name], check=True)
    return folder / name


def _pid_in(file: Path) -> int | None:
    try:
        pid = int(file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return pid if psutil.pid_exists(pid) else None


@asynccontextmanager
async def visitor(product: Product, login: str = "") -> AsyncIterator[aiohttp.ClientSession]:
    """A browser on the product's pages; with `login`, of a sample person who is signed in."""
    async with aiohttp.ClientSession(
        base_url=product.url,
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # the product's address is a number
        headers={"Accept": "text/html"},
        timeout=aiohttp.ClientTimeout(40),
    ) as browser:
        if login:
            answer = await browser.post(
                "/staff/sign-in",
                data={"login": login, "password": PASSWORD},
                allow_redirects=False,
            )
            assert answer.status == 303, await answer.text()
        yield browser
