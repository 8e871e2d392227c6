"""One instance of Buckstop has a data directory to itself, and leaves its address there."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.engine_process import EngineTrouble


@contextmanager
def hold(data: Path) -> Iterator[None]:
    """
    The data directory, for this process alone. Raises `EngineTrouble` when another has it, or
    when it cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("a+")
    except OSError as error:
        raise EngineTrouble(
            f"The data directory {data} cannot be written ({error.strerror}). "
            "Choose another with --data."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise EngineTrouble(
                f"Buckstop is already running on {data} (process {holder}). "
                "Stop that one first, or choose another directory with --data."
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@dataclass(frozen=True)
class Address:
    """Where a running instance's engines answer; kept in the data directory for the commands."""

    nats_url: str
    dsn: str
    base_url: str = ""
    pid: int = 0

    def write(self, data: Path) -> None:
        target = data / "run.json"
        draft = data / "run.json.new"
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(target)

    @staticmethod
    def read(data: Path) -> "Address | None":
        """The last instance's address; None when there never was one."""
        try:
            return Address(**json.loads((data / "run.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
