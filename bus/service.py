"""What the gateway runs: a name and a coroutine that stops when asked to."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """
    One long-running part of Buckstop.

    `run(stop)` returns once `stop` is set and what was in hand is finished. An exception out of
    `run` ends the process: a crash is visible, never half alive.
    """

    name: str
    run: Callable[[asyncio.Event], Coroutine[None, None, None]]
    durables: tuple[str, ...] = ()
    """Those that it hears."""
