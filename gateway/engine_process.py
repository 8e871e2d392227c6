"""What the embedded engines share: their trouble, and how their processes live and end."""

import ctypes
import signal
import subprocess
import sys

HUNG_AFTER = 3.0
"""Seconds in which an engine that is to be started again may end by itself."""


class EngineTrouble(Exception):
    """An engine cannot be had; the sentence says what to do."""


def die_with_parent() -> None:
    """Run in a child between fork and exec."""
    # The kernel ends the child when we are killed: no server is left holding the directory.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(process: "subprocess.Popen[bytes]", patience: float) -> None:
    """Ask it to end; by force if it has not within `patience` seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
