"""What a way in is: called upon, goes and looks, or both."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True)
class Channel:
    """
    One way in which residents reach us. `routes` are what others call; `run(stop)`, where there
    is one, goes and looks by itself and returns once `stop` is set and what was in hand is done.
    """

    name: str
    routes: Sequence[web.RouteDef] = ()
    run: Callable[[asyncio.Event], Awaitable[None]] | None = None


def noted(text: str) -> str:
    """Marks a sentence for translation; whoever shows it translates it."""
    return text
