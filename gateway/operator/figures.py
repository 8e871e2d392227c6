"""
The figures that operators see, as one value; the page, the terminal and `/metrics` show the same.

`Collector` looks at the bus and the store, at most once a second however many ask, and not at all
while nobody does. It knows other processes only by what they answer on the bus.
"""

import asyncio
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import time as time_of_day
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from bus.connect import Bus
from bus.errors import Unavailable
from bus.look import DurableLook, Looker, StreamLook
from bus.signs import WAY_OUT, Place, Sign, Signs
from channels.registry import HEARS
from gateway.operator.canary import CanaryFigures, CanaryWatch
from gateway.operator.expiring import Door, Ending, access_of, look_at
from gateway.operator.lately import DAY, MINUTE, Lately, lately
from store import samples
from store.figures import ChannelBooks, StoreFigures, StoreLooker
from store.pool import AWAY, renew_after
from store.samples import Sample

log = structlog.stdlib.get_logger()

SILENT_AFTER = 5.0
"""Seconds without an answer after which a process is spoken of as silent."""
_AT_MOST_EVERY = 1.0
_PATIENCE = 3.0  # seconds for one look at the bus or at the store
_ANSWERS = 0.8  # seconds in which processes answer
_RATE_OVER = 10.0  # seconds over which a rate is taken
_CERTIFICATES_EVERY = 3600.0  # seconds


@dataclass(frozen=True)
class StreamFigures:
    """A stream, and how fast it grows."""

    look: StreamLook
    rate: float | None
    """Messages a second over the last seconds; None until looked at twice."""


@dataclass(frozen=True)
class DurableFigures:
    """A durable, how fast it is fed and answered, and whether somebody hears it."""

    look: DurableLook
    rate_in: float | None
    rate_out: float | None
    age: float | None
    """Seconds since the oldest message that is not answered was stored; None when none waits."""
    silent: float
    """Seconds without a sign of life from any process that hears it."""
    drained: bool = False
    """Whether each process that hears it was told to take nothing new."""
    turned_off: bool = False
    """It belongs to a channel that is turned off: nobody is to hear it."""

    @property
    def service(self) -> str:
        return self.look.name.partition("_")[0]

    @property
    def unheard(self) -> bool:
        return self.silent >= SILENT_AFTER and not self.turned_off


@dataclass(frozen=True)
class ChannelFigures:
    """A way in: the places where it looks, and what the books have of it."""

    name: str
    looks: bool
    """Whether it goes and looks by itself."""
    places: tuple[Place, ...]
    books: ChannelBooks | None
    silent: float
    """Seconds without a sign of life from where it runs; 0 for one that is only called upon."""

    @property
    def unheard(self) -> bool:
        return self.silent >= SILENT_AFTER


@dataclass(frozen=True)
class BusFigures:
    streams: tuple[StreamFigures, ...]
    durables: tuple[DurableFigures, ...]
    channels: tuple[ChannelFigures, ...]
    processes: tuple[tuple[Sign, float], ...]
    """Who answered lately, and for how many seconds not any more."""
    ways_out: tuple[Place, ...] = ()
    """The mail server to which we bring mail."""


@dataclass(frozen=True)
class Disk:
    """Where the data directory lies; bytes."""

    free: int
    total: int


@dataclass(frozen=True)
class Figures:
    """How everything stands at one moment. What could not be asked is None."""

    at: datetime
    bus: BusFigures | None
    store: StoreFigures | None
    disk: Disk | None
    took: float
    """Seconds that the look took."""
    canary: CanaryFigures | None = None
    """None: there is none, or the books do not say."""
    endings: tuple[Ending, ...] = ()
    """Certificates, and the access to mailboxes; the next to end comes first."""
    lately: Lately | None = None
    """The last hour and day, made anew once a minute."""


Connect = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


@dataclass(frozen=True)
class _Sample:
    at: float
    told: Mapping[str, int]
    arrived: Mapping[str, int]
    answered: Mapping[str, int]


class Collector:
    """The figures of this moment, for everybody who asks. Opened with `async with`."""

    def __init__(
        self,
        bus: Bus | None,
        connect: Connect,
        *,
        data: Path,
        zone: ZoneInfo,
        channels: Mapping[str, bool],
        canary: CanaryWatch | None = None,
        doors: Sequence[Door] = (),
    ) -> None:
        """
        `channels`: the ways in that are turned on, and whether each goes and looks. `doors`: whose
        certificates are looked at, once an hour while somebody wants the figures.
        """
        self._canary = canary
        self._bus = bus
        self._connect = connect
        self._data = data
        self._zone = zone
        self._channels = channels
        self._looker = Looker(bus.js) if bus is not None else None
        self._signs: Signs | None = None
        self._store = StoreLooker()
        self._samples: deque[_Sample] = deque()
        self._latest: Figures | None = None
        self._looked_at = 0.0
        self._lock = asyncio.Lock()
        self._books: Mapping[str, ChannelBooks] = {}
        self._past: deque[Sample] = deque()
        self._lately: Lately | None = None
        self._doors = doors
        self._certificates: tuple[Ending, ...] = ()
        self._looking_at_doors: asyncio.Task[None] | None = None
        self._looked_at_doors: float | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Collector"]:
        try:
            if self._bus is None:
                yield self
                return
            async with Signs(self._bus.client) as self._signs:
                yield self
        finally:
            if self._looking_at_doors is not None:
                self._looking_at_doors.cancel()
                with suppress(asyncio.CancelledError):
                    await self._looking_at_doors

    async def latest(self) -> Figures:
        """The figures, a second old at most. Never raises for what is away: that is a figure."""
        async with self._lock:
            if self._latest is None or time.monotonic() - self._looked_at >= _AT_MOST_EVERY:
                self._latest = await self._look()
                self._looked_at = time.monotonic()
            return self._latest

    async def look_at_certificates(self) -> None:
        """Returns once they are known. Else the first figures come without, and are not late."""
        self._certificates = await look_at(self._doors)
        self._looked_at_doors = time.monotonic()

    def _keep_certificates_known(self) -> None:
        last = self._looked_at_doors
        if self._looking_at_doors is not None and not self._looking_at_doors.done():
            return
        if self._doors and (last is None or time.monotonic() - last > _CERTIFICATES_EVERY):
            self._looking_at_doors = asyncio.create_task(
                self.look_at_certificates(), name="certificates"
            )

    def forget(self) -> None:
        """Somebody changed something just now: whoever asks next sees it."""
        self._looked_at = float("-inf")

    async def _look(self) -> Figures:
        began = time.monotonic()
        self._keep_certificates_known()
        store, disk = await asyncio.gather(self._look_at_store(), asyncio.to_thread(self._disk))
        if store is not None:
            self._books = store.channels
        bus = await self._look_at_bus()
        canary = await self._look_at_canary(store, bus)
        if bus is not None:
            await self._look_back(bus)
        return Figures(
            datetime.now(UTC),
            bus,
            store,
            disk,
            time.monotonic() - began,
            canary=canary,
            endings=self._endings(bus),
            lately=self._lately,
        )

    async def _look_at_canary(
        self, store: StoreFigures | None, bus: BusFigures | None
    ) -> CanaryFigures | None:
        if self._canary is None or store is None:
            return None
        heard = (
            [
                sign.started_at
                for sign, silent in bus.processes
                if "web" in sign.services and silent < SILENT_AFTER
            ]
            if bus
            else []
        )
        waits = [one for one in bus.durables if one.look.paused or one.drained] if bus else []
        paused = {one.look.name for one in waits} if bus else None
        return await self._canary.look(
            store.canary, since=min(heard, default=None), paused=paused, now=datetime.now(UTC)
        )

    def _endings(self, bus: BusFigures | None) -> tuple[Ending, ...]:
        places = [place for one in bus.channels for place in one.places] if bus else []
        found = [
            *self._certificates,
            *access_of((place.place, place.access_ends) for place in places),
        ]
        never = datetime.max.replace(tzinfo=UTC)
        return tuple(sorted(found, key=lambda one: one.ends or never))

    async def _look_back(self, bus: BusFigures) -> None:
        """The last hour and day, once in each minute."""
        now = datetime.now(UTC)
        if self._lately is not None and now < self._lately.at:
            return
        begin = now - DAY - MINUTE
        try:
            async with asyncio.timeout(_PATIENCE), self._connect() as conn:
                last = self._past[-1].at if self._past else begin
                self._past += await samples.after(conn, last)
                came = await samples.intake(conn, begin)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.info("the past is not told", error=type(error).__name__)
            return
        while self._past and self._past[0].at < begin:
            self._past.popleft()
        # A tenth of a second's work.
        self._lately = await asyncio.to_thread(
            lately,
            tuple(self._past),
            came,
            now=now,
            streams=[
                (
                    stream.look.name,
                    [one.look.name for one in bus.durables if one.look.stream == stream.look.name],
                )
                for stream in bus.streams
            ],
            channels=[one.name for one in bus.channels],
        )

    def _is_turned_off(self, durable: str) -> bool:
        channel = HEARS.get(durable)
        return channel is not None and channel not in self._channels

    def _disk(self) -> Disk | None:
        try:
            usage = shutil.disk_usage(self._data)
        except OSError:
            return None
        return Disk(usage.free, usage.total)

    async def _look_at_store(self) -> StoreFigures | None:
        today = datetime.now(self._zone).date()
        midnight = datetime.combine(today, time_of_day.min, self._zone)
        try:
            async with asyncio.timeout(_PATIENCE), self._connect() as conn:
                return await self._store.look(conn, midnight)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.info("the store does not say", error=type(error).__name__)
            return None

    async def _look_at_bus(self) -> BusFigures | None:
        if self._looker is None or self._bus is None or not self._bus.client.is_connected:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                streams, durables = await self._looker.look()
                await self._ask_for_signs({one.name for one in durables})
        except (Unavailable, TimeoutError) as error:
            log.info("the bus does not say", error=type(error).__name__)
            return None
        now = time.monotonic()
        sample = _Sample(
            now,
            {one.name: one.told for one in streams},
            {one.name: one.arrived for one in durables},
            {one.name: one.answered for one in durables},
        )
        before = self._remember(sample)
        places = self._places()
        seconds = now - before.at
        return BusFigures(
            streams=tuple(
                StreamFigures(one, _rate(before.told.get(one.name), one.told, seconds))
                for one in _in_order(streams)
            ),
            durables=tuple(
                DurableFigures(
                    look=one,
                    rate_in=_rate(before.arrived.get(one.name), one.arrived, seconds),
                    rate_out=_rate(before.answered.get(one.name), one.answered, seconds),
                    age=_age(one.oldest),
                    silent=self._silence(one.name),
                    drained=self._drained(one.name),
                    turned_off=self._is_turned_off(one.name),
                )
                for one in sorted(durables, key=lambda one: (one.stream, one.name))
            ),
            channels=self._ways_in(places),
            ways_out=tuple(one for one in places if one.channel == WAY_OUT),
            processes=self._signs.processes if self._signs is not None else (),
        )

    async def _ask_for_signs(self, durables: Collection[str]) -> None:
        if self._signs is None:
            return
        looking = any(self._channels.values())

        def enough(answers: tuple[Sign, ...]) -> bool:
            heard = {durable for sign in answers for durable in sign.durables}
            services = {service for sign in answers for service in sign.services}
            wanted = {"channels"} if looking else set()
            if self._canary is not None and self._canary.since is None:
                wanted.add("web")  # it alone knows since when a canary could have come
            return heard.issuperset(durables) and services.issuperset(wanted)

        await self._signs.ask(enough, _ANSWERS)

    def _silence(self, durable: str) -> float:
        if self._signs is None:
            return 0.0
        return self._signs.silence(lambda sign: durable in sign.durables)

    def _drained(self, durable: str) -> bool:
        if self._signs is None:
            return False
        hear = [
            sign
            for sign, silent in self._signs.processes
            if durable in sign.durables and silent < SILENT_AFTER
        ]
        return bool(hear) and all(sign.resting for sign in hear)

    def _places(self) -> list[Place]:
        # The newest word on each: a process that is gone may have known it too.
        known: dict[tuple[str, str], tuple[float, Place]] = {}
        for sign, silent in self._signs.processes if self._signs is not None else ():
            for place in sign.places:
                key = (place.channel, place.place)
                if key not in known or silent < known[key][0]:
                    known[key] = (silent, place)
        return [place for _, place in known.values()]

    def _ways_in(self, places: Sequence[Place]) -> tuple[ChannelFigures, ...]:
        lost = 0.0
        if self._signs is not None:
            lost = self._signs.silence(lambda sign: "channels" in sign.services)
        return tuple(
            ChannelFigures(
                name=name,
                looks=looks,
                places=tuple(place for place in places if place.channel == name),
                books=self._books.get(name),
                silent=lost if looks else 0.0,
            )
            for name, looks in self._channels.items()
        )

    def _remember(self, sample: _Sample) -> _Sample:
        """Keeps the sample; the one from which rates are taken."""
        samples = self._samples
        if samples and sample.at - samples[-1].at > 3 * _RATE_OVER:
            samples.clear()  # nobody looked for a while: a rate over that would say little
        samples.append(sample)
        while len(samples) > 2 and sample.at - samples[1].at >= _RATE_OVER:
            samples.popleft()
        return samples[0]


def _rate(before: int | None, now: int, seconds: float) -> float | None:
    if before is None or seconds < 0.5:
        return None
    return max(0.0, (now - before) / seconds)


def _age(oldest: datetime | None) -> float | None:
    return None if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds())


def _in_order(streams: list[StreamLook]) -> list[StreamLook]:
    # Messages go through them in this order.
    order = {"COMPLAINTS": 0, "CASES": 1, "NOTICES": 2, "DEAD": 3}
    return sorted(streams, key=lambda one: order.get(one.name, len(order)))


def of_pool(pool: asyncpg.Pool) -> Connect:
    """Connections of a pool that finds its way back by itself."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[asyncpg.Connection]:
        try:
            async with pool.acquire(timeout=2.0) as conn:
                yield conn
        except AWAY as error:
            await renew_after(pool, error)
            raise

    return connect
