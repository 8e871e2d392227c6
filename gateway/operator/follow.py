"""
One complaint as operators follow it: every hop with its time, who handled it, and what it waits
for. The page and `buckstop bus trace` show the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import asyncpg
import structlog

from bus import journey
from bus.connect import Bus
from bus.errors import Unavailable
from bus.identity import complaint_id, read_notice_token, read_reference
from bus.journey import Passed
from channels.intake import clean_line, read_email, read_phone
from channels.registry import CHANNELS
from gateway.pages.i18n import noted as N_
from router.service import routed_id
from store import tracing
from store.cases import Event
from store.deliveries import Delivery
from store.graves import Grave
from store.tracing import Books, Found, Message, Sought

log = structlog.stdlib.get_logger()

_NOTICE_TOKEN = re.compile(r"[a-z2-7]{39}", re.IGNORECASE)
_LONGEST = 300
_LATELY = timedelta(days=1)
"""How far back the bus is searched for what the books do not have."""
# What was never a message of the bus: calls of years before, brought in from another system.
_NEVER_TOLD = frozenset({"import"})


class Station(StrEnum):
    """Where a complaint comes by, in this order."""

    CHANNEL = "channel"
    BUS = "bus"
    ROUTER = "router"
    STORE = "store"
    PERSON = "person"
    NOTIFIER = "notifier"


class Mark(StrEnum):
    """How far it came at a station."""

    DONE = "done"
    WAITS = "waits"
    STUCK = "stuck"
    """It is not going on by itself."""
    NONE = "none"
    """It has not come there."""


@dataclass(frozen=True)
class Hop:
    """One thing that happened to it; exactly one of the last five says what."""

    at: datetime
    station: Station
    mark: Mark
    by: str
    """The service, or the sign-in name of who did it."""
    tries: int = 0
    took: float | None = None
    """Seconds since the hop before."""
    message: Message | None = None
    passed: Passed | None = None
    event: Event | None = None
    notice: Delivery | None = None
    letter: Grave | None = None
    fact: str = ""
    """The subject of a fact that waits in the outbox."""
    problem: str = ""


@dataclass(frozen=True)
class Trace:
    """A complaint from the message to the notices."""

    id: UUID
    books: Books
    hops: tuple[Hop, ...]
    """In the order of time."""
    stations: tuple[tuple[Station, Mark], ...]
    bus_asked: bool
    """False: the bus did not say, and what lies there is not shown."""

    @property
    def known(self) -> bool:
        return bool(self.hops)


STATION_NAMES = {
    Station.CHANNEL: N_("Channel"),
    Station.BUS: N_("Bus"),
    Station.ROUTER: N_("Router"),
    Station.STORE: N_("Store"),
    Station.NOTIFIER: N_("Notifier"),
    Station.PERSON: N_("Staff"),
}


def sought_in(typed: str, secret: bytes) -> Sought | None:
    """
    What somebody looks for: a reference, an id, a phone number, an email address, a Message-ID, a
    MessageSid. None if it is nothing.
    """
    words = clean_line(typed)[:_LONGEST]
    if not words:
        return None
    bare = words.strip("<> ")
    ids = [complaint_id(channel, bare) for channel in CHANNELS]
    try:
        ids.append(UUID(bare))
    except ValueError:
        pass
    for token in _NOTICE_TOKEN.findall(bare):
        notice = read_notice_token(secret, token.lower())
        if notice is not None:
            ids.append(notice)
    phone = read_phone(words) if re.fullmatch(r"[\d\s()+./-]+", words) else None
    email = read_email(bare) if "@" in bare else None
    contacts = {one.lower() for one in (words, bare, phone, email) if one}
    return Sought(
        reference=read_reference(words),
        ids=tuple(ids),
        contacts=tuple(sorted(contacts)),
        mail_ids=tuple(sorted({bare, f"<{bare}>"})),
    )


async def follow(conn: asyncpg.Connection, bus: Bus | None, complaint: UUID) -> Trace:
    """Everything that the books and the bus know of a complaint, or of a case by its id."""
    books = await tracing.read(conn, complaint)
    if any(one.channel in _NEVER_TOLD for one in books.messages[:1]):
        return trace_of(complaint, books, ())
    ids = {one.id for one in books.messages} or {complaint}
    since = books.messages[0].received_at if books.messages else datetime.now(UTC) - _LATELY
    passed = await _on_the_bus(bus, ids | {routed_id(one) for one in ids}, since)
    return trace_of(complaint, books, passed or (), bus_asked=passed is not None)


async def search(conn: asyncpg.Connection, bus: Bus | None, sought: Sought) -> list[Found]:
    """
    The complaints that fit. One that the books do not have yet is looked for on the bus, by the
    ids that it would have.
    """
    found = await tracing.find(conn, sought)
    if found or not sought.ids:
        return found
    passed = await _on_the_bus(bus, set(sought.ids), datetime.now(UTC) - _LATELY)
    return [
        Found(
            id=one.message_id,
            channel=one.subject.rpartition(".")[2],
            state="received",
            received_at=one.stored_at,
            reference=None,
            problem_type=None,
        )
        for one in passed or ()
    ]


async def _on_the_bus(bus: Bus | None, ids: set[UUID], since: datetime) -> list[Passed] | None:
    if bus is None:
        return None
    try:
        return await journey.find(bus.client, ids, since)
    except Unavailable as error:
        log.info("the bus does not say", error=str(error))
        return None


def trace_of(
    complaint: UUID, books: Books, passed: Sequence[Passed], *, bus_asked: bool = True
) -> Trace:
    """The hops in order, and how far it came (pure)."""
    hops = [
        *(_of_message(one) for one in books.messages),
        *(_of_passed(one) for one in passed),
        *(_of_event(one) for one in books.events),
        *(_of_notice(one) for one in books.notices),
        *(_of_letter(one) for one in books.letters),
        *(
            Hop(
                at=one.since,
                station=Station.STORE,
                mark=Mark.STUCK if one.problem else Mark.WAITS,
                by="store",
                fact=one.subject,
                problem=one.problem or "",
            )
            for one in books.untold
        ),
    ]
    hops.sort(key=lambda hop: (hop.at, list(Station).index(hop.station)))
    timed = []
    before: datetime | None = None
    for hop in hops:
        took = None if before is None else max(0.0, (hop.at - before).total_seconds())
        timed.append(Hop(**{**hop.__dict__, "took": took}))
        before = hop.at
    return Trace(
        id=complaint,
        books=books,
        hops=tuple(timed),
        stations=tuple(_stations(books, passed)) if timed else (),
        bus_asked=bus_asked,
    )


def _of_message(one: Message) -> Hop:
    return Hop(
        at=one.received_at,
        station=Station.CHANNEL,
        mark=Mark.WAITS if one.state == "received" else Mark.DONE,
        by=one.channel,
        message=one,
        problem=(one.reason or "") if one.state in ("quarantined", "ignored") else "",
    )


def _of_passed(one: Passed) -> Hop:
    return Hop(
        at=one.stored_at,
        station=Station.BUS,
        mark=Mark.WAITS if one.waits_for or one.in_hand_of else Mark.DONE,
        by="router" if one.subject == "complaint.routed" else "channels",
        passed=one,
    )


_ROUTER = frozenset({"routed", "routed_late", "routing_failed", "looked_again"})


def _of_event(one: Event) -> Hop:
    if one.kind in _ROUTER:
        station, by = Station.ROUTER, "router"
    elif one.by:
        station, by = Station.PERSON, one.by
    else:
        station, by = Station.STORE, "store"
    mark = Mark.STUCK if one.kind == "routing_failed" else Mark.DONE
    return Hop(at=one.at, station=station, mark=mark, by=by, event=one)


_NOTICE_MARKS = {"queued": Mark.WAITS, "unknown": Mark.WAITS, "failed": Mark.STUCK}


def _of_notice(one: Delivery) -> Hop:
    return Hop(
        at=one.queued_at,
        station=Station.NOTIFIER,
        mark=_NOTICE_MARKS.get(one.state, Mark.DONE),
        by=one.sender or "notifier",
        tries=one.tries,
        notice=one,
        problem=one.reason or "",
    )


def _of_letter(one: Grave) -> Hop:
    return Hop(
        at=one.at,
        station=_station_of(one),
        mark=Mark.STUCK if one.resolved_at is None else Mark.DONE,
        by=one.durable,
        tries=one.tries,
        letter=one,
        problem=one.reason,
    )


def _station_of(letter: Grave) -> Station:
    service = letter.durable.partition("_")[0]
    try:
        return Station({"channels": "channel"}.get(service, service))
    except ValueError:
        return Station.BUS


def _stations(books: Books, passed: Sequence[Passed]) -> list[tuple[Station, Mark]]:
    buried = {_station_of(one) for one in books.letters if one.resolved_at is None}
    waits = {name.partition("_")[0] for one in passed for name in (*one.waits_for, *one.in_hand_of)}
    settled = [one for one in books.messages if one.state != "received"]
    routed = any(one.kind in _ROUTER for one in books.events)
    notices = [_NOTICE_MARKS.get(one.state, Mark.DONE) for one in books.notices]

    def mark(station: Station, done: bool, due: bool) -> Mark:
        if station in buried:
            return Mark.STUCK
        if due or station.value in waits:
            return Mark.WAITS
        return Mark.DONE if done else Mark.NONE

    unfiled = len(settled) < len(books.messages)
    # What opened no case is routed by nobody.
    expected = books.case is not None and books.case.routed_at is None and not routed
    worst = next((one for one in (Mark.STUCK, Mark.WAITS) if one in notices), None)
    return [
        (Station.CHANNEL, mark(Station.CHANNEL, bool(books.messages), False)),
        (Station.BUS, mark(Station.BUS, bool(books.messages or passed), False)),
        (Station.ROUTER, mark(Station.ROUTER, routed, expected)),
        (Station.STORE, mark(Station.STORE, bool(settled), unfiled or bool(books.untold))),
        (Station.NOTIFIER, worst or mark(Station.NOTIFIER, bool(notices), False)),
    ]
