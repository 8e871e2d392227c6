"""How much an app, or a network address, may ask of the Open311 interface in a while."""

import time

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from channels.open311_desk import App
from channels.open311_format import Fault, Refusal
from channels.open311_settings import Open311Settings


class Pace:
    """Counts in this process. Each `count…` raises `Refusal` (429) for one too many."""

    def __init__(self, settings: Open311Settings) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._strangers = RateLimitItemPerMinute(settings.strangers_a_minute)
        self._readers = RateLimitItemPerMinute(settings.reads_a_minute)

    async def count(self, app: App) -> None:
        """A report or an update of an app."""
        limits = RateLimitItemPerMinute(app.a_minute), RateLimitItemPerDay(app.a_day)
        for limit in limits:
            if not await self._windows.test(limit, "app", app.id):
                raise await self._too_many(limit, "app", app.id)
        for limit in limits:
            await self._windows.hit(limit, "app", app.id)

    async def count_stranger(self, address: str) -> None:
        """A report without a good key."""
        if not await self._windows.hit(self._strangers, "stranger", address):
            raise await self._too_many(self._strangers, "stranger", address)

    async def count_reader(self, address: str) -> None:
        if not await self._windows.hit(self._readers, "reader", address):
            raise await self._too_many(self._readers, "reader", address)

    async def _too_many(self, limit: RateLimitItem, *who: str) -> Refusal:
        stats = await self._windows.get_window_stats(limit, *who)
        wait = max(1, round(stats.reset_time - time.time()))
        fault = Fault(
            429, f"That was more than {limit.amount} a {limit.GRANULARITY.name}; wait {wait} s."
        )
        return Refusal(fault, headers={"Retry-After": str(wait)})
