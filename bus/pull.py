"""
A standing request for a durable's messages: what waits comes at once, the rest as it arrives.

nats-py's `fetch(n)` holds the first of n messages back until n are there or the time is over
(measured: 5 s for one message with n=128), and hangs over a server restart (nats.py#504). So the
request is kept open here, in the way the server's protocol means it: `batch` messages are owed,
heartbeats tell that somebody still owes them, and whatever ends the request makes a new one.
"""

import asyncio
import json
import time
from collections import deque
from types import TracebackType

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

log = structlog.stdlib.get_logger()

_EXPIRES = 30.0  # seconds that one request stays open
_HEARTBEAT = 2.0  # seconds between the server's signs of life
_SILENCE = 2.5 * _HEARTBEAT


class Pull:
    """Opened with `async with`; `batch()` gives the next messages."""

    def __init__(self, client: Client, *, stream: str, durable: str, most: int) -> None:
        self._client = client
        self.durable = durable
        self._most = most
        self._ask_at = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: deque[Msg] = deque()
        self._something = asyncio.Event()
        self._many = asyncio.Event()
        self._plenty = max(1, most // 4)
        self._owed = 0
        self._heard_at = 0.0
        self.trouble: str | None = None
        """Why no messages come, while that is so: the durable is gone, nobody answers."""

    async def __aenter__(self) -> "Pull":
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._hear, pending_bytes_limit=-1
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()

    @property
    def arrived(self) -> tuple[Msg, ...]:
        """What lies here and waits for `batch`."""
        return tuple(self._arrived)

    def wake(self) -> None:
        """Whoever waits for a batch gets what there is now, perhaps nothing."""
        self._something.set()
        self._many.set()

    async def batch(self, wait: float, linger: float = 0.0) -> list[Msg]:
        """
        Up to `most` messages, in stream order; none when none came within `wait` seconds. A few
        wait `linger` seconds for more, or until a quarter of `most` is there.
        """
        if not self._arrived:
            await self._keep_asking()
            try:
                async with asyncio.timeout(wait):
                    await self._something.wait()
            except TimeoutError:
                return []
        if linger and len(self._arrived) < self._plenty:
            self._many.clear()
            try:
                async with asyncio.timeout(linger):
                    await self._many.wait()
            except TimeoutError:
                pass
        taken = [self._arrived.popleft() for _ in range(min(self._most, len(self._arrived)))]
        if not self._arrived:
            self._something.clear()
        await self._keep_asking()
        return taken

    async def _keep_asking(self) -> None:
        now = time.monotonic()
        if self._owed and now - self._heard_at > _SILENCE:
            self._owed = 0
            self.trouble = "no sign of life from the durable"
        # Two batches at most lie here or are on their way: one in hand, one ready.
        room = 2 * self._most - len(self._arrived) - self._owed
        if room < self._most or not self._client.is_connected:
            return
        self._owed += room
        self._heard_at = now
        request = {
            "batch": room,
            "expires": int(_EXPIRES * 1e9),
            "idle_heartbeat": int(_HEARTBEAT * 1e9),
        }
        await self._client.publish(self._ask_at, json.dumps(request).encode(), reply=self._inbox)

    async def _hear(self, msg: Msg) -> None:
        self._heard_at = time.monotonic()
        status = (msg.headers or {}).get("Status") if not msg.data else None
        if status is None:
            self.trouble = None
            self._owed = max(0, self._owed - 1)
            self._arrived.append(msg)
            self._something.set()
            if len(self._arrived) >= self._plenty:
                self._many.set()
        elif status == "100":
            self.trouble = None
        else:
            # 404 and 408: the request is over, some of it unanswered. 409 and 503: the durable is
            # gone or has no leader. In each case ask again; a wrong count would be a silent stop.
            unanswered = (msg.headers or {}).get("Nats-Pending-Messages")
            self._owed = max(0, self._owed - int(unanswered)) if unanswered else 0
            if status not in ("404", "408"):
                self.trouble = (msg.headers or {}).get("Description", status)
                log.warning("pull ended", durable=self.durable, status=status)
                await asyncio.sleep(0.5)
            await self._keep_asking()


def deliveries(message: Msg) -> int:
    """How often the durable has been given this message."""
    # `message.metadata` reads the whole address and makes dates of it: too dear for every message.
    steps = message.reply.split(".")
    return int(steps[4] if len(steps) == 9 else steps[6])
