"""
What the demo stands in for: a mailbox and a telephone company on this machine.

Both talk to the very code that a city runs. They are set up before anything starts, because the
settings of every process must name them; what the city has set up itself is left alone.
"""

import asyncio
import contextlib
import imaplib
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from aiohttp import web

from gateway.demo.phone import Phone
from gateway.engine_process import EngineTrouble, die_with_parent
from gateway.settings import PREFIX, Settings

log = structlog.stdlib.get_logger()

_START = 20.0  # seconds
_USER = "reports@city.example"
_NUMBER = "+18165550100"


@dataclass(frozen=True)
class Mailbox:
    """Where the demo's mail arrives."""

    port: int
    password: str
    address: str = _USER

    def deliver(self, mail: bytes) -> None:
        """Put a mail into its inbox. Blocks."""
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=15) as box:
            box.login(self.address, self.password)
            answer, _ = box.append("INBOX", "", "", mail)
            if answer != "OK":
                raise OSError("the demo's mailbox did not take it")


@dataclass(frozen=True)
class Stage:
    """The demo's own servers; None where the city has set up the real thing."""

    mailbox: Mailbox | None
    phone: Phone | None
    phone_port: int

    def environment(self) -> dict[str, str]:
        """The settings that lead to them, for this process and those that it starts."""
        told = {}
        if self.mailbox is not None:
            box = {
                "host": "127.0.0.1",
                "port": self.mailbox.port,
                "security": "none",
                "username": self.mailbox.address,
                "password": self.mailbox.password,
                "poll_every": 5,
            }
            told["CHANNELS__EMAIL"] = json.dumps([box])
            told["NOTIFIER__REPLY_TO"] = self.mailbox.address
        if self.phone is not None:
            account = {
                "account_sid": self.phone.account,
                "auth_token": self.phone.token,
                "numbers": [self.phone.number],
                "api_url": f"http://127.0.0.1:{self.phone_port}",
            }
            told["CHANNELS__SMS"] = json.dumps(account)
        return {f"{PREFIX}{name}": value for name, value in told.items()}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serves them. Raises `EngineTrouble` when they do not start."""
        async with contextlib.AsyncExitStack() as open_things:
            if self.mailbox is not None:
                await open_things.enter_async_context(_mail_server(self.mailbox))
            if self.phone is not None:
                runner = web.AppRunner(self.phone.application(), access_log=None)
                await runner.setup()
                open_things.push_async_callback(runner.cleanup)
                await web.TCPSite(runner, "127.0.0.1", self.phone_port).start()
                self.phone.url = f"http://127.0.0.1:{self.phone_port}"
            yield


def set_up(settings: Settings) -> Stage:
    """A stage for what these settings leave open."""
    return Stage(
        mailbox=None
        if settings.channels.email
        else Mailbox(port=_free_port(), password=secrets.token_urlsafe(16)),
        phone=None
        if settings.channels.sms.account_sid
        else Phone(
            account=f"AC{secrets.token_hex(16)}", token=secrets.token_hex(16), number=_NUMBER
        ),
        phone_port=_free_port(),
    )


@contextlib.asynccontextmanager
async def _mail_server(mailbox: Mailbox) -> AsyncIterator[None]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from pymap.main import main; main()",
        "--host", "127.0.0.1", "--port", str(mailbox.port), "--no-tls",
        "dict", "--demo-user", mailbox.address,
        "--demo-password", mailbox.password,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        preexec_fn=die_with_parent,
        start_new_session=True,
    )  # fmt: skip
    try:
        await _until_served(mailbox.port, server)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


async def _until_served(port: int, server: asyncio.subprocess.Process) -> None:
    until = asyncio.get_running_loop().time() + _START
    while asyncio.get_running_loop().time() < until and server.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise EngineTrouble("The demo's mailbox did not start. `buckstop run` does not need it.")


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
