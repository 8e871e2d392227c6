"""
Further processes of the same program: the pages stay quick while the services work.

One Python process uses one core. Measured on two: the services take more than one of them while
complaints pour in, and whoever waits for a page waits for them. So `buckstop run` keeps the pages
to itself and runs the other services beside it; they have only the bus and the store in common,
as in `deploy/`.
"""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Protocol

import structlog

from bus.service import Service
from bus.waiting import first
from gateway.engine_process import EngineTrouble, die_with_parent
from gateway.engines import Engines
from gateway.settings import PREFIX, Settings

log = structlog.stdlib.get_logger()

READY = "BUCKSTOP_READY_FD"
"""The environment names a descriptor here, into which a companion writes once it is ready."""

_START = 120.0  # seconds; it may have to learn the city's examples first
_FINISH = 30.0  # seconds to finish what is in hand
_HUNG_AFTER = 3.0  # seconds of that for one that is to be started again
_LONGEST_WAIT = 30.0  # seconds between two tries to start it again


class _Process(Protocol):
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...
    def send_signal(self, signal: int) -> None: ...
    def kill(self) -> None: ...


class Companion:
    """The services `names` in a process of their own; `service` watches over it."""

    def __init__(self, settings: Settings, names: Sequence[str], config: Path | None) -> None:
        self.names = tuple(names)
        self._words = ["run", *names, "--data", str(settings.data)]
        if config is not None:
            self._words += ["--config", str(config)]
        self._port = settings.http.port
        self._engines: Engines | None = None
        self._fork: _Fork | None = None
        self._process: _Process | None = None
        self._waiting: list[asyncio.Future[None]] = []
        """Those who asked for it to be started again, and wait for that."""
        self._asked_for = asyncio.Event()
        self._starting = False
        self.service = Service(f"companion {' '.join(names)}", self._watch)

    def fork(self, main: Callable[[], None], others: Sequence["Companion"]) -> None:
        """
        Have a process at hand in which `main` will run these services, once `start` says where
        the engines are. It shares the memory of what is loaded, and needs no second to load it.

        To be called while this process has neither an event loop nor threads; `others` were
        forked before it.
        """
        if sys.platform == "linux":
            held = [end for other in others if other._fork for end in other._fork.ends]
            self._fork = _Fork(main, self._words, held)

    async def start(self, engines: Engines) -> None:
        """Returns once its services run. Raises `EngineTrouble` when they do not."""
        self._engines = engines
        # Addresses of engines hold a token: a command line could be read by everybody.
        environment = {
            f"{PREFIX}BUS__URL": engines.nats_url,
            f"{PREFIX}STORE__DSN": engines.dsn,
            f"{PREFIX}HTTP__PORT": str(self._port),
        }
        fork, self._fork = self._fork, None
        if fork is not None:
            reader = fork.ready
            self._process = fork.go(environment)
        else:
            reader, writer = os.pipe()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "gateway.cli", *self._words),
                    env=os.environ | environment | {READY: str(writer)},
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
                f"The services {', '.join(self.names)} did not start; the lines above say why."
            )

    async def start_again(self) -> None:
        """
        End its process, by force where it hangs, and return once the services run again. What was
        in hand comes again. While `service` runs; raises `EngineTrouble` when they do not start.
        """
        log.warning("services are started again", services=self.names)
        started = asyncio.get_running_loop().create_future()
        self._waiting.append(started)
        self._asked_for.set()
        if not self._starting:
            await self.end(_HUNG_AFTER)
        await started

    async def end(self, patience: float = _FINISH) -> None:
        """Let it finish what is in hand, for `patience` seconds; it is gone when this returns."""
        if self._fork is not None:
            self._fork.dismiss()
            self._fork = None
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            log.warning("the services did not finish in time", services=self.names)
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
                if not self._waiting:
                    log.error("services ended", services=self.names, code=code, again_in=wait)
                    await first(wait, stop, self._asked_for)
                if not stop.is_set():
                    wait = min(_LONGEST_WAIT, 2 * wait)
                    await self._start_again(asked)
        finally:
            asked.cancel()
            await self.end()
            self._tell_who_waits("Buckstop ends.")

    async def _lives_until(self, asked: "asyncio.Task[bool]") -> bool:
        """Returns when it ended by itself (True) or somebody asked for it (False)."""
        if self._process is None:
            raise RuntimeError("a companion that was never started")
        gone = asyncio.create_task(self._process.wait(), name="companion ends")
        await asyncio.wait([gone, asked], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        return not asked.done()

    async def _start_again(self, asked: "asyncio.Task[bool]") -> None:
        if self._engines is None:
            raise RuntimeError("a companion that was never started")
        self._starting = True
        self._asked_for.clear()
        starting = asyncio.create_task(self.start(self._engines), name="companion starts again")
        await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            await self.end()
        trouble = ""
        try:
            await starting
            log.warning("services run again", services=self.names)
        except EngineTrouble as error:
            trouble = str(error)
            log.error("services do not start", services=self.names, error=trouble)
        finally:
            self._starting = False
            self._tell_who_waits(trouble)

    def _tell_who_waits(self, trouble: str) -> None:
        for one in self._waiting:
            if one.done():  # they have left
                continue
            if trouble:
                one.set_exception(EngineTrouble(trouble))
            else:
                one.set_result(None)
        self._waiting.clear()


def fork_all(companions: Sequence[Companion], main: Callable[[], None]) -> None:
    """Have a process at hand for each; see `Companion.fork`."""
    for stream in (0, 1, 2):
        # Whoever started us may have closed them, and a pipe of ours would take their place.
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # What is loaded by now stays as it is: pages of memory that nobody writes stay shared.
    gc.collect()
    gc.freeze()
    for number, companion in enumerate(companions):
        companion.fork(main, companions[:number])


class _Fork:
    """A process that waits to be told what to do."""

    def __init__(
        self, main: Callable[[], None], words: Sequence[str], held: Sequence[Connection | int]
    ) -> None:
        theirs, self._ours = multiprocessing.Pipe(duplex=False)
        self.ready, writer = os.pipe()
        self._process: ForkProcess = multiprocessing.get_context("fork").Process(
            target=_do_as_told, args=(main, words, theirs, writer, [*held, *self.ends])
        )
        self._process.start()
        theirs.close()
        os.close(writer)

    @property
    def ends(self) -> tuple[Connection | int, ...]:
        """What a process that is forked later must not hold open."""
        return self._ours, self.ready

    def go(self, environment: dict[str, str]) -> "_Forked":
        self._ours.send(environment)
        self._ours.close()
        return _Forked(self._process)

    def dismiss(self) -> None:
        """It is not needed after all."""
        self._ours.close()
        os.close(self.ready)
        self._process.join()


def _do_as_told(
    main: Callable[[], None],
    words: Sequence[str],
    orders: Connection,
    ready: int,
    held: Sequence[Connection | int],
) -> None:
    os.setsid()  # Ctrl-C at the terminal is our parent's to answer
    die_with_parent()
    for end in held:
        os.close(end if isinstance(end, int) else end.fileno())
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    try:
        environment = orders.recv()
    except EOFError:
        return  # whoever was to give orders is gone
    orders.close()
    os.environ.update(environment)
    os.environ[READY] = str(ready)
    sys.argv[1:] = words
    main()


class _Forked:
    """A process that was forked, watched by the event loop."""

    def __init__(self, process: ForkProcess) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        self._loop.add_reader(process.sentinel, self._look)

    def _look(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        self._gone.set_result(self._process.exitcode)

    @property
    def returncode(self) -> int | None:
        return self._gone.result() if self._gone.done() else None

    async def wait(self) -> int:
        code: int = await asyncio.shield(self._gone)
        return code

    def send_signal(self, signal: int) -> None:
        if self._process.pid is not None and not self._gone.done():
            os.kill(self._process.pid, signal)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def tell_ready() -> None:
    """Tell the process that started us, if one did, that we are ready."""
    if descriptor := os.environ.pop(READY, ""):
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
