"""
Reads mails in processes that can be killed, so that no mail harms what runs beside it.

A mail of 184 KB can keep Python's parser busy for 13 s, one of 1 KB can exhaust its stack. Each is
read by `channels/mime.py` in a worker with a limit of time and memory; whatever breaks one ends as
`Unparseable`, and the worker is replaced.
"""

import asyncio
import json
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Collection
from dataclasses import asdict
from types import TracebackType
from typing import Self

import structlog

from bus.errors import Refused, Unavailable
from channels.mail_limits import STANDARD, Limits
from channels.mail_worker import LENGTH, Answer
from channels.mime import Mail

log = structlog.stdlib.get_logger()

SECONDS = 20.0
MEMORY = 512 * 1024 * 1024
PATIENCE = 2.0
"""Seconds after which a mail no longer keeps others from its place: one more worker may start."""
MOST_EXTRA = 2
"""Workers beyond the usual ones, while those are held by slow mails."""
IDLE = 300.0
RETIRED_ABOVE = 224 * 1024 * 1024
"""Bytes; a worker that once took so much would keep them."""

_START = 30.0
_PIECE = 256 * 1024


class Unparseable(Refused):
    """This mail cannot be read within the limits; `reason` says why, for an operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Died(Exception):
    """The worker is gone, with whatever it was reading."""


class MailReader:
    """The mail readers of one process; started with the first mail, stopped when idle."""

    def __init__(
        self,
        *,
        own_domains: Collection[str] = (),
        limits: Limits = STANDARD,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        workers: int = 2,
        idle: float = IDLE,
    ) -> None:
        """`own_domains` are those of the Message-IDs that we give to our own mails."""
        self._limits = limits
        self._seconds = seconds
        self._settings = json.dumps(
            {
                "seconds": seconds,
                "memory": memory,
                "own_domains": sorted(own_domains),
                "limits": asdict(limits),
            }
        )
        self._usual = workers
        self._places = asyncio.Semaphore(workers)
        self._extra = 0
        self._workers: set[_Worker] = set()
        self._free: list[_Worker] = []
        self._idle = idle
        self._stop_idle: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._peak = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Its processes are gone when this returns; the next mail would start one again."""
        if self._stop_idle is not None:
            self._stop_idle.cancel()
        self._free = []
        await asyncio.gather(*(self._end(worker) for worker in list(self._workers)))
        await asyncio.gather(*self._farewells)

    @property
    def peak_memory(self) -> int:
        """The most bytes that one worker has taken so far."""
        return self._peak

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that read now or wait for a mail."""
        return tuple(worker.pid for worker in self._workers)

    async def read(self, raw: bytes) -> Mail:
        """
        What the mail says. Raises `Unparseable` when it breaks a limit of size, time or memory,
        or kills two workers; `Unavailable` when no worker can be started.
        """
        if len(raw) > self._limits.size:
            raise Unparseable(
                f"it has {len(raw) // 1_000_000} MB, more than {self._limits.size // 1_000_000}"
            )
        async with _Place(self):
            for is_last in (False, True):
                try:
                    return await self._read_once(raw)
                except _Died as error:
                    # Somebody may have killed it who did not mean this mail: one more try.
                    log.warning("mail reader died", pid=error.args[0])
                    if is_last:
                        raise Unparseable("the processes that read it died") from error
        raise AssertionError("either it is read or it raised")

    async def _read_once(self, raw: bytes) -> Mail:
        worker = await self._take()
        try:
            async with asyncio.timeout(self._seconds):
                kind, answer, peak = await worker.ask(raw)
        except TimeoutError as error:
            log.warning("mail reader killed", pid=worker.pid, seconds=self._seconds)
            raise Unparseable(f"reading it takes longer than {self._seconds:g} s") from error
        else:
            self._peak = max(self._peak, peak)
            if peak <= RETIRED_ABOVE and len(self._free) < self._usual:
                self._give_back(worker)
        finally:
            if worker not in self._free:
                await asyncio.shield(self._end(worker))
        if kind == "refused":
            raise Unparseable(str(answer))
        assert isinstance(answer, Mail)  # noqa: S101  the worker has no third answer
        return answer

    async def _take(self) -> "_Worker":
        while self._free:
            worker = self._free.pop()
            if worker.runs:
                return worker
            await self._end(worker)
        worker = await _Worker.start(self._settings)
        self._workers.add(worker)
        return worker

    def _give_back(self, worker: "_Worker") -> None:
        self._free.append(worker)
        if self._stop_idle is not None:
            self._stop_idle.cancel()
        self._stop_idle = asyncio.get_running_loop().call_later(self._idle, self._stop_the_idle)

    def _stop_the_idle(self) -> None:
        idle, self._free = self._free, []
        for worker in idle:
            task = asyncio.create_task(self._end(worker), name="mail reader stops")
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

    async def _end(self, worker: "_Worker") -> None:
        self._workers.discard(worker)
        await worker.kill()


class _Place:
    """
    One of the reader's places. Who holds it for long no longer counts, within bounds: the mails
    behind a bad one start in workers of their own.
    """

    def __init__(self, reader: MailReader) -> None:
        self._reader = reader
        self._timer: asyncio.TimerHandle | None = None
        self._is_extra = False

    async def __aenter__(self) -> None:
        await self._reader._places.acquire()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PATIENCE, self._step_aside)

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._is_extra:
            self._reader._extra -= 1
        else:
            self._reader._places.release()

    def _step_aside(self) -> None:
        if self._reader._extra < MOST_EXTRA:
            self._reader._extra += 1
            self._is_extra = True
            self._reader._places.release()


class _Worker:
    """One process of channels/mail_worker.py."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, settings: str) -> Self:
        # It needs none of our settings and secrets.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BUCKSTOP")
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "channels.mail_worker", settings),
                stdin=PIPE,
                stdout=PIPE,
                env=environment,
                limit=4 * _PIECE,
            )
        except OSError as error:
            raise Unavailable(f"mail reader: {error}") from error
        worker = cls(process)
        try:
            async with asyncio.timeout(_START):
                await worker._hear()
        except (_Died, TimeoutError) as error:
            await worker.kill()
            raise Unavailable("mail reader: it does not start") from error
        except BaseException:
            await asyncio.shield(worker.kill())
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    async def ask(self, raw: bytes) -> Answer:
        assert self._process.stdin is not None  # noqa: S101  it was started with a pipe
        try:
            self._process.stdin.write(LENGTH.pack(len(raw)))
            for start in range(0, len(raw), _PIECE):
                self._process.stdin.write(raw[start : start + _PIECE])
                await self._process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise _Died(self.pid) from error
        answer: Answer = pickle.loads(await self._hear())  # noqa: S301  written by our own worker
        return answer

    async def _hear(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101  it was started with a pipe
        try:
            head = await self._process.stdout.readexactly(LENGTH.size)
            return await self._process.stdout.readexactly(LENGTH.unpack(head)[0])
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _Died(self.pid) from error

    async def kill(self) -> None:
        """It holds nothing, so it needs no farewell."""
        if self._process.returncode is None:
            try:
                self._process.kill()
            except ProcessLookupError:
                pass
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
