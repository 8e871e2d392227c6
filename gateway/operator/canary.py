"""
Whether canaries come through, and if not, where the last one stopped and whom to look at.

A late canary is late because of somebody: the books say how far it came, and where they are silent
the bus does, which is asked only then.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import structlog
from nats.js import JetStreamContext

from bus.canaries import newest
from bus.contracts import CanaryCarried, CanaryFiled, CanaryQueued, CanaryReceived, CanaryRouted
from bus.errors import Unavailable
from gateway.canary_settings import CanarySettings
from gateway.pages.i18n import noted as N_
from store.canaries import CanaryBooks, Flight

log = structlog.stdlib.get_logger()


class Hop(StrEnum):
    """A step of the way, as the operators see it."""

    RELEASED = "released"
    RECEIVED = "received"
    ROUTED = "routed"
    FILED = "filed"
    TOLD = "told"
    NOTICE = "notice"
    RECORDED = "recorded"


class State(StrEnum):
    WAITING = "waiting"
    """None has come through yet, and none is late."""
    WELL = "well"
    LATE = "late"
    SLOW = "slow"
    """The last two came through, and each took too long."""
    LOST = "lost"
    """Late, and none has come through for two turns."""
    PAUSED = "paused"
    """Late, because somebody paused who should have it."""
    UNKNOWN = "unknown"
    """The bus does not answer."""


@dataclass(frozen=True)
class Stop:
    """Where a canary stopped: the step that it did not reach, and who takes that step."""

    hop: Hop
    service: str
    durable: str
    """Empty where it is none that holds it up."""
    words: str
    """In English, with holes, for the sentence."""


_RELEASED = Stop(Hop.RELEASED, "web", "", N_("None was sent off: look at the service web."))
_RECEIVED = Stop(
    Hop.RECEIVED,
    "store",
    "store_complaint",
    N_("It lies on the bus and is not taken in: look at the service store."),
)
_ROUTED = Stop(
    Hop.ROUTED,
    "router",
    "router_complaint_received",
    N_("It is not routed: look at the service router."),
)
_FILED = Stop(
    Hop.FILED,
    "store",
    "store_complaint",
    N_("It is routed and not filed: look at the service store."),
)
_RELAYED = Stop(
    Hop.TOLD,
    "store",
    "",
    N_("It is filed, and the outbox does not tell of it: look at the service store."),
)
_TOLD = Stop(
    Hop.TOLD,
    "notifier",
    "notifier_case",
    N_("It is filed, and no notice is written: look at the service notifier."),
)
_NOTICE = Stop(
    Hop.NOTICE,
    "notifier",
    "notifier_notice_queued",
    N_("Its notice stays in the queue of mails: look at the service notifier."),
)
_RECORDED = Stop(
    Hop.RECORDED,
    "store",
    "store_notice",
    N_("It came through, and the books do not say so: look at the service store."),
)
_BURIED = N_("The service %(service)s could not handle it: %(reason)s")
_SLOWEST = {
    Hop.RECEIVED: "store",
    Hop.ROUTED: "router",
    Hop.FILED: "store",
    Hop.TOLD: "notifier",
    Hop.NOTICE: "notifier",
    Hop.RECORDED: "store",
}


@dataclass(frozen=True)
class CanaryFigures:
    """How the canary does at one moment."""

    every: float
    state: State
    last: Flight | None
    """The newest that came through."""
    took: float | None
    """Seconds that it needed for the whole way."""
    hops: Mapping[Hop, float]
    """The same, step by step; two begin at once: the store and the router hear it side by side."""
    stop: Stop | None
    """Where the next one stays, while it is late."""
    reason: str = ""
    """Why it was given up there, if it was."""
    waited: float = 0.0
    """Seconds for which none has come through, while one is late."""
    paused: str = ""
    """The durable that is paused, while that is why."""
    overtaken: tuple[Flight, ...] = ()
    """Of the last hour: those that did not come through while later ones did."""
    overtaken_stop: Stop | None = None


@dataclass
class CanaryWatch:
    """Looks after the canary for whoever wants the figures."""

    settings: CanarySettings
    js: JetStreamContext | None
    since: datetime | None = None
    """Since when the process that sends it off has run; None: others say it."""

    async def look(
        self,
        books: CanaryBooks,
        *,
        since: datetime | None,
        paused: Collection[str] | None,
        now: datetime,
    ) -> CanaryFigures | None:
        """
        How it does; None when there is none. `since` is when the service web began, `paused` the
        durables that are paused; None: the bus does not answer.
        """
        if not self.settings.every:
            return None
        since = self.since or since
        found = judge(self.settings, books, since=since, seen={}, paused=paused, now=now)
        asks = found.state in (State.LATE, State.LOST, State.PAUSED) or found.overtaken
        if self.js is None or not asks:
            return found
        try:
            seen = await newest(self.js)
        except Unavailable as error:
            log.info("the bus does not say where the canary is", error=str(error))
            return replace(found, state=State.UNKNOWN, stop=None)
        return judge(self.settings, books, since=since, seen=seen, paused=paused, now=now)


def judge(
    settings: CanarySettings,
    books: CanaryBooks,
    *,
    since: datetime | None,
    seen: Mapping[str, datetime],
    paused: Collection[str] | None,
    now: datetime,
) -> CanaryFigures:
    """
    How it does (pure). `seen`: for each subject, when the canary that was told there last was
    released.
    """
    last, under_way = books.last, books.next
    took = _seconds(last.released_at, last.ended_at) if last else None
    gone = [
        one
        for one in books.overtaken
        if (now - one.released_at).total_seconds() > 2 * settings.every + settings.aim
    ]
    state, stop, waited = State.WELL if last else State.WAITING, None, 0.0
    overdue = _overdue(settings, books, since, now)
    if overdue is not None and overdue > settings.aim:
        came = max((at for at in (last.ended_at if last else None, since) if at), default=now)
        waited = max(overdue, (now - came).total_seconds())
        state = State.LOST if waited > 2 * settings.every + settings.aim else State.LATE
        stop = _stop_of(under_way, _time_of(under_way, last, seen), seen)
        if paused is not None and stop.durable in paused:
            state = State.PAUSED
    elif last and _slow(settings, last, books.before):
        state = State.SLOW
        slowest = max(hops := hops_of(last), key=lambda hop: hops[hop])
        stop = Stop(slowest, _SLOWEST[slowest], "", "")
    if paused is None:
        state, stop = State.UNKNOWN, None
    return CanaryFigures(
        every=settings.every,
        state=state,
        last=last,
        took=took,
        hops=hops_of(last) if last else {},
        stop=stop,
        reason=(under_way.buried_why or "") if under_way and state is not State.SLOW else "",
        waited=waited,
        paused=stop.durable if stop and state is State.PAUSED else "",
        overtaken=tuple(gone),
        overtaken_stop=_stop_of(gone[0], gone[0].released_at, seen) if gone else None,
    )


def hops_of(flight: Flight) -> dict[Hop, float]:
    """The seconds of each step that it has made."""
    both = [at for at in (flight.received_at, flight.routed_at) if at is not None]
    steps = (
        (Hop.RECEIVED, flight.released_at, flight.received_at),
        (Hop.ROUTED, flight.released_at, flight.routed_at),
        (Hop.FILED, max(both, default=None), flight.filed_at),
        (Hop.TOLD, flight.filed_at, flight.told_at),
        (Hop.NOTICE, flight.told_at, flight.noticed_at),
        (Hop.RECORDED, flight.noticed_at, flight.ended_at),
    )
    return {hop: _seconds(begin, end) for hop, begin, end in steps if begin and end}


def _overdue(
    settings: CanarySettings, books: CanaryBooks, since: datetime | None, now: datetime
) -> float | None:
    """
    For how many seconds the next one has been on its way, or has not even been heard of. None:
    nobody can say, as none ever came through and nobody knows since when one could have.
    """
    if books.next is not None:
        begin = max(books.next.released_at, since or books.next.released_at)
        return (now - begin).total_seconds()
    known = [at for at in (books.last.released_at if books.last else None, since) if at]
    return (now - max(known)).total_seconds() - settings.every if known else None


def _slow(settings: CanarySettings, last: Flight, before: Flight | None) -> bool:
    """
    Whether the last two took too long. Those that waited together and came at once tell of what is
    over: a service that was started again, a pause that has ended.
    """
    if before is None or _seconds(before.ended_at, last.ended_at) <= settings.aim:
        return False
    return all(_seconds(one.released_at, one.ended_at) > settings.aim for one in (last, before))


def _time_of(
    under_way: Flight | None, last: Flight | None, seen: Mapping[str, datetime]
) -> datetime | None:
    """When the canary was released that is late; None: none was."""
    if under_way is not None:
        return under_way.released_at
    released = seen.get(CanaryReceived.subject)
    if released is None or (last is not None and released <= last.released_at):
        return None
    return released


def _stop_of(
    flight: Flight | None, released: datetime | None, seen: Mapping[str, datetime]
) -> Stop:
    def on_bus(subject: str) -> bool:
        at = seen.get(subject)
        return at is not None and released is not None and at >= released

    if released is None:
        return _RELEASED
    if flight is not None and flight.buried_by is not None:
        return _buried(flight)
    if flight is None or flight.received_at is None:
        return _RECEIVED
    if flight.filed_at is None:
        routed = flight.routed_at is not None or on_bus(CanaryRouted.subject)
        return _FILED if routed else _ROUTED
    if flight.told_at is None and not on_bus(CanaryQueued.subject):
        return _TOLD if on_bus(CanaryFiled.subject) else _RELAYED
    return _RECORDED if on_bus(CanaryCarried.subject) else _NOTICE


def _buried(flight: Flight) -> Stop:
    durable = flight.buried_by or ""
    hop = {
        "router_complaint_received": Hop.ROUTED,
        "notifier_case": Hop.TOLD,
        "notifier_notice_queued": Hop.NOTICE,
        "store_notice": Hop.RECORDED,
    }.get(durable, Hop.FILED)
    return Stop(hop, durable.partition("_")[0], durable, _BURIED)


def _seconds(begin: datetime | None, end: datetime | None) -> float:
    # Of two machines' clocks one may be a little behind.
    return max(0.0, (end - begin).total_seconds()) if begin and end else 0.0
