"""While complaints pour in, getting them onto desks goes before telling about them by mail."""

import asyncio
import time
from collections import deque

_SPAN = 2.0  # seconds over which is counted
_MANY = 400  # facts in that time: as many as a hundred complaints a second bring
_MAILS = 80.0  # a second that are sent all the same, those of emergencies not counted
_LOOK = 0.25  # seconds between two looks whether it is over


class Rush:
    """
    Whether facts come in faster than at leisure: who writes notices counts, who sends mails asks.

    A mail takes as much work as the half of a complaint. What a storm leaves waiting goes at full
    speed as soon as it is over.
    """

    def __init__(self) -> None:
        self._heard: deque[tuple[float, int]] = deque()
        self._free_at = 0.0

    def heard(self, facts: int) -> None:
        """So many came just now."""
        self._heard.append((time.monotonic(), facts))

    @property
    def on(self) -> bool:
        """Whether it is one now."""
        since = time.monotonic() - _SPAN
        while self._heard and self._heard[0][0] < since:
            self._heard.popleft()
        return sum(count for _, count in self._heard) > _MANY

    async def make_way(self, mails: int) -> None:
        """Wait until those before these have had their time; or until the rush is over."""
        while (left := self._free_at - time.monotonic()) > 0 and self.on:  # noqa: ASYNC110
            await asyncio.sleep(min(_LOOK, left))  # nobody says when it is over
        self._free_at = time.monotonic() + mails / _MAILS
