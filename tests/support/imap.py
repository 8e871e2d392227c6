"""
Real mail servers for the tests: pymap from PyPI and Dovecot from Debian, each a process on a free
port, and a proxy before them that can do what networks do.
"""

import asyncio
import grp
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from channels.email_settings import MailboxSettings

USER = "311@city.example"
PASSWORD = 'let "me" in \\ please'
SECONDS = 20.0
ROOT = Path(__file__).parents[2]

imaplib._MAXLINE = 10_000_000


class HasPort(Protocol):
    port: int


class MailServer(HasPort, Protocol):
    """A mail server with one mailbox of `USER`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def renumber(self) -> None:
        """The same mails under another UIDVALIDITY."""


@dataclass
class Address:
    """A server that somebody else has started."""

    port: int


def settings_of(server: HasPort, port: int = 0, **other: Any) -> MailboxSettings:
    """Settings under which a test need not wait."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port or server.port,
        "security": "none",
        "username": USER,
        "password": PASSWORD,
        "poll_every": 0.5,
        "idle": 10.0,
        "connect_seconds": 3.0,
        "command_seconds": 2.0,
        "fetch_seconds": 5.0,
    }
    return MailboxSettings.model_validate(values | other)


class Pymap:
    """In memory: what it holds is gone when it stops."""

    def __init__(self, folder: Path) -> None:
        self.password = PASSWORD
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "pymap.log"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-m",
                        "tests.support.pymap_quick",
                        "--host",
                        "127.0.0.1",
                        "--port",
                        str(self.port),
                        "--no-tls",
                    ),
                    *("dict", "--demo-user", USER, "--demo-password", self.password),
                ],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        _await_port(self.port, self._process, self._log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def renumber(self) -> None:
        held = {name: mails_in(self, name) for name in folders_of(self)}
        self.stop()
        time.sleep(1.1)  # pymap makes it of the second
        self.start()
        for name, mails in held.items():
            deliver(self, *mails, folder=name)


_CONFIG = """
protocols = imap
base_dir = {run}
state_dir = {run}
log_path = {log}
mail_location = maildir:{mail}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 0
first_valid_gid = 0
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
disable_plaintext_auth = no
ssl = {ssl}
listen = 127.0.0.1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {users}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={mail} allow_all_users=yes
}}
"""


class NoDovecot(Exception):
    """It is not installed; the sentence says what to do."""


class Dovecot:
    """Debian's, in the foreground on a folder of its own, as whoever runs the tests."""

    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._log = folder / "dovecot.log"
        self._certificate = certificate

    def start(self) -> None:
        dovecot = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if dovecot is None:
            raise NoDovecot(
                "These tests need Dovecot: install Debian's package `dovecot-imapd` "
                "(`.ci/run` does), or leave them out with `make test`."
            )
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        if os.geteuid() == 0:
            user, group = "nobody", "nogroup"  # it serves no mail as root
        for name in ("run", "mail"):
            (self._folder / name).mkdir(exist_ok=True)
        users = self._folder / "users"
        users.write_text(f"{USER}:{{PLAIN}}{PASSWORD}::::::\n")
        ssl = "no"
        if self._certificate is not None:
            ssl = (
                f"yes\nssl_cert = <{self._certificate}/cert.pem\n"
                f"ssl_key = <{self._certificate}/key.pem"
            )
        config = self._folder / "dovecot.conf"
        config.write_text(
            _CONFIG.format(
                run=self._folder / "run",
                mail=self._folder / "mail",
                log=self._log,
                users=users,
                user=user,
                group=group,
                port=self.port,
                tls_port=self.tls_port if ssl != "no" else 0,
                ssl=ssl,
            )
        )
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.parents):
                # Temporary folders of root's tests are root's alone, up to the system's own.
                if path.stat().st_uid != 0 or path.stat().st_mode & 0o001:
                    break
                path.chmod(path.stat().st_mode | 0o011)
            for path in (self._folder / "mail", *(self._folder / "mail").rglob("*")):
                shutil.chown(path, user, group)
        self._process = subprocess.Popen([dovecot, "-F", "-c", config])
        _await_port(self.port, self._process, self._log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def renumber(self) -> None:
        self.stop()
        time.sleep(1.1)  # a UIDVALIDITY is made of the second
        for path in (self._folder / "mail").rglob("dovecot*"):
            path.unlink()
        self.start()


# ── what a mail program does ────────────────────────────────────────────────────────────────────


@contextmanager
def program(server: HasPort, port: int = 0) -> Iterator[imaplib.IMAP4]:
    """Another mail program on the same mailbox."""
    client = imaplib.IMAP4("127.0.0.1", port or server.port, timeout=SECONDS)
    try:
        client.login(USER, getattr(server, "password", PASSWORD))
        yield client
    finally:
        with suppress(OSError, imaplib.IMAP4.error):
            client.logout()


def deliver(server: HasPort, *mails: bytes, folder: str = "INBOX") -> None:
    with program(server) as client:
        if folder != "INBOX":
            client.create(folder)
        for mail in mails:
            answer, said = client.append(folder, "", "", mail)
            assert answer == "OK", said


def folders_of(server: MailServer) -> list[str]:
    with program(server) as client:
        _, lines = client.list()
    return [line.rpartition(b" ")[2].decode().strip('"') for line in lines if line]


def mails_in(server: MailServer, folder: str = "INBOX") -> list[bytes]:
    """The mails of a folder, in its order."""
    with program(server) as client:
        if client.select(f'"{folder}"', readonly=True)[0] != "OK":
            return []
        _, (numbers,) = client.search(None, "ALL")
        found = []
        for number in numbers.split():
            _, answer = client.fetch(number, "(BODY.PEEK[])")
            found += [part[1] for part in answer if isinstance(part, tuple)]
        return found


def flags_in(server: MailServer, folder: str = "INBOX") -> list[str]:
    """The flags of each mail in a folder."""
    with program(server) as client:
        client.select(f'"{folder}"', readonly=True)
        _, lines = client.fetch("1:*", "(FLAGS)")
        return [line.decode() for line in lines if line]


def count_in(server: MailServer, folder: str = "INBOX") -> int:
    with program(server) as client:
        answer, (said,) = client.select(f'"{folder}"', readonly=True)
        return int(said or b"0") if answer == "OK" else 0


# ── the network between ─────────────────────────────────────────────────────────────────────────


class Proxy:
    """
    Lets bytes through, until told otherwise. `heard` is called with each line that the client
    says, before the server hears it; `answered` with what the server says, before the client does.
    """

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.heard: Callable[[bytes], None] = lambda line: None
        self.answered: Callable[[bytes], None] = lambda data: None
        self.silent = False
        """Nothing passes, and nobody is told: a half-open connection."""
        self.idle_lies = False
        """What happens during IDLE is not told."""
        self.drips = 0.0
        """Seconds that each byte of the server takes."""
        self.hides: Sequence[bytes] = ()
        """Words that the server seems not to say: what it is able to."""
        self.connections = 0
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_clients: set[asyncio.StreamWriter] = set()
        self._idling = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """Every connection breaks."""
        for writer in list(self._writers):
            writer.transport.abort()

    def say(self, line: bytes) -> None:
        """The server seems to say it."""
        for writer in self._to_clients:
            writer.write(line + b"\r\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        self._to_clients.add(writer)
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, self._client_says),
                self._pass(far_reader, writer, self._server_says),
                return_exceptions=True,
            )
        finally:
            self._writers -= {writer, far_writer}
            self._to_clients.discard(writer)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        says: Callable[[bytes], bool],
    ) -> None:
        try:
            while data := await reader.read(65536):
                if self.silent:
                    continue
                if says(data):
                    for word in self.hides:
                        data = data.replace(word, b"")
                    await self._hand_on(data, writer)
        except (ConnectionError, OSError):
            pass
        finally:
            if not self.silent:
                writer.transport.abort()

    async def _hand_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if writer not in self._to_clients or not self.drips:
            writer.write(data)
            await writer.drain()
            return
        for number in range(len(data)):
            writer.write(data[number : number + 1])
            await writer.drain()
            await asyncio.sleep(self.drips)

    def _client_says(self, data: bytes) -> bool:
        for line in data.split(b"\r\n"):
            if line:
                self._idling = line.endswith(b"IDLE")
                self.heard(line)
        return True

    def _server_says(self, data: bytes) -> bool:
        self.answered(data)
        return not (self.idle_lies and self._idling and not data.startswith(b"+"))


@asynccontextmanager
async def proxy_before(server: MailServer) -> AsyncIterator[Proxy]:
    proxy = Proxy(server.port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, f"it ended:\n{log.read_text() if log.exists() else ''}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            if probe.recv(10).startswith(b"* OK"):
                return
        time.sleep(0.05)
    raise AssertionError(f"no greeting on port {port}")
