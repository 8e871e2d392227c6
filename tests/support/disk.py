"""A disk that can be filled: a small one of its own where we may mount one, else a limit."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.product import Product

_SIZE = "200m"  # the engines bring 60 MB, and PostgreSQL grows in steps of 16 MB


class Disk:
    """`folder` lies on it."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self._mounted = mounted

    def fill(self, product: Product) -> None:
        """Nothing more can be written: `No space left`, or `File too large` under a limit."""
        if not self._mounted:
            self._limit(product, 1)
            return
        filler = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while True:
                os.write(filler, bytes(4096))
        os.close(filler)

    def free(self, product: Product) -> None:
        """There is room again."""
        if self._mounted:
            (self.folder / "filler").unlink()
        else:
            self._limit(product, resource.RLIM_INFINITY)

    def _limit(self, product: Product, most: int) -> None:
        for process in product.processes():
            if process.name() not in ("nats-server", "postgres"):
                process.rlimit(psutil.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk below `folder`."""
    place = folder / "disk"
    place.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=755", "tmpfs", place],
        check=False,
        capture_output=True,
    ).returncode
    try:
        yield Disk(place, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", place], check=True)
