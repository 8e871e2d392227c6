"""
A second process of the same program: the pages stay quick while the services work.

One Python process uses one core. Measured on two: the services take three quarters of it while
complaints pour in, and whoever waits for a page waits for them. So `buckstop run` keeps the pages
to itself and starts the other services beside it; they have only the bus and the store in
common, as in `deploy/`.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from bus.service import Service
from gateway.engines import Engines, EngineTrouble, die_with_parent
from gateway.settings import PREFIX, Settings

log = structlog.stdlib.get_logger()

READY = "BUCKSTOP_READY_FD"
"""The environment names a descriptor here, into which a companion writes once it is ready."""

_START = 120.0  # seconds; it may have to learn the city's examples first
_FINISH = 30.0  # seconds to finish what is in hand
_LONGEST_WAIT = 30.0  # seconds between two tries to start it again


class Companion:
    """The services `names` in a process of their own; `service` watches over it."""

    def __init__(
        self, settings: Settings, engines: Engines, names: Sequence[str], config: Path | None
    ) -> None:
        self._command = [sys.executable, "-m", "gateway.cli", "run", *names]
        self._command += ["--data", str(settings.data)]
        if config is not None:
            self._command += ["--config", str(config)]
        # Addresses of engines hold a token: a command line could be read by everybody.
        self._environment = os.environ | {
            f"{PREFIX}BUS__URL": engines.nats_url,
            f"{PREFIX}STORE__DSN": engines.dsn,
            f"{PREFIX}HTTP__PORT": str(settings.http.port),
        }
        self._names = names
        self._process: asyncio.subprocess.Process | None = None
        self.service = Service("companion", self._watch)

    async def start(self) -> None:
        """Returns once its services run. Raises `EngineTrouble` when they do not."""
        reader, writer = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment | {READY: str(writer)},
                pass_fds=[writer],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                preexec_fn=die_with_parent,
                start_new_session=True,  # Ctrl-C at the terminal is ours to answer
            )
        finally:
            os.close(writer)
        try:
            # The end of the pipe without a word is the end of the process.
            word = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), _START)
        except TimeoutError:
            word = b""
        finally:
            os.close(reader)
        if not word:
            await self.end()
            raise EngineTrouble(
                f"The services {', '.join(self._names)} did not start; the lines above say why."
            )

    async def end(self) -> None:
        """Let it finish what is in hand; it is gone when this returns."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _FINISH)
        except TimeoutError:
            log.warning("the services did not finish in time")
            process.kill()
            await process.wait()

    async def _watch(self, stop: asyncio.Event) -> None:
        # Like an engine: one that dies alone is started again, and the pages go on meanwhile.
        # What it had in hand comes again, and what it would do is kept on the bus.
        asked = asyncio.create_task(stop.wait(), name="companion is asked to stop")
        wait = 1.0
        try:
            while await self._lives_until(asked):
                code = self._process.returncode if self._process is not None else None
                log.error("services ended, starting them again", code=code, wait=wait)
                await asyncio.wait([asked], timeout=wait)
                if not stop.is_set():
                    wait = min(_LONGEST_WAIT, 2 * wait)
                    await self._start_again(asked)
        finally:
            asked.cancel()
            await self.end()

    async def _lives_until(self, asked: "asyncio.Task[bool]") -> bool:
        """Returns when it ended by itself (True) or somebody asked for it (False)."""
        if self._process is None:
            raise RuntimeError("a companion that was never started")
        gone = asyncio.create_task(self._process.wait(), name="companion ends")
        await asyncio.wait([gone, asked], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        return not asked.done()

    async def _start_again(self, asked: "asyncio.Task[bool]") -> None:
        starting = asyncio.create_task(self.start(), name="companion starts again")
        await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            await self.end()
        try:
            await starting
            log.warning("services run again")
        except EngineTrouble as error:
            log.error("services do not start", error=str(error))


def tell_ready() -> None:
    """Tell the process that started us, if one did, that we are ready."""
    if descriptor := os.environ.pop(READY, ""):
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
