"""
Reading a span of messages again by today's code: what would differ, and having it changed.

A plan changes nothing. Originals go through today's reading, the words through today's router; the
answer is held against what the case holds now. What is applied goes the way of every change of
words or rules: the case is asked about once more, and the store decides what staff have left open.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

import asyncpg

from bus.contracts import CaseAmended, ComplaintRouted
from bus.identity import fact_id
from channels.read_again import ReadAgain, Reading
from channels.second_look import Aside, SecondLook
from gateway.reroute import Seats, as_answered, may_be_placed
from router.service import Router, as_told
from store import past, spans
from store.model import Status
from store.past import PastCase
from store.spans import Again, Message

FIELDS = ("text", "type", "district", "department", "person", "state")
_AT_ONCE = 50


@dataclass(frozen=True)
class Change:
    """One thing that would be otherwise. Of a text nothing is said but that it differs."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """A message that today's code takes otherwise than what is in the books."""

    key: str
    """The id of its complaint."""
    reference: str
    """Empty for what has no case."""
    channel: str
    received_at: datetime
    changes: tuple[Change, ...]
    stays: str = ""
    """Why nothing can be applied: `by_hand`, `closed`, `filed`; empty when it can be."""
    asked: Again | None = None
    aside: Aside | None = None

    @property
    def applies(self) -> bool:
        return not self.stays


@dataclass
class Plan:
    """What reading again would change."""

    since: datetime
    until: datetime
    channel: str
    version: str
    """That of the city's rules."""
    total: int
    """Messages in the span."""
    read: int = 0
    cut: bool = False
    """Whether there were more messages than were to be read."""
    differences: list[Difference] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """How many would differ in what; one may differ in several things."""
        return Counter(change.field for one in self.differences for change in one.changes)

    @property
    def applicable(self) -> list[Difference]:
        return [one for one in self.differences if one.applies]


async def plan(
    pool: asyncpg.Pool,
    router: Router,
    reader: ReadAgain,
    wanted: Plan,
    now: datetime,
    *,
    most: int,
    step: Callable[[], object] = lambda: None,
) -> None:
    """
    Fill a plan, at most `most` messages of it; `step` is called after each. Changes nothing.

    Where more was said of a case since, its words stand as they are. What a case holds of its
    place is asked about again as it is.
    """
    seats = Seats()
    async with pool.acquire() as conn:
        async for batch in spans.messages(conn, wanted.since, wanted.until, wanted.channel):
            some = batch[: most - wanted.read]
            readings = await asyncio.gather(
                *(reader.read(one.channel, one.original) for one in some)
            )
            found = await _compare(conn, router, seats, some, readings, now)
            wanted.differences += found
            for _ in some:
                wanted.read += 1
                step()
            if wanted.read >= most:
                wanted.cut = wanted.read < wanted.total
                return


async def _compare(
    conn: asyncpg.Connection,
    router: Router,
    seats: Seats,
    batch: Sequence[Message],
    readings: Sequence[Reading | None],
    now: datetime,
) -> list[Difference]:
    found: list[Difference] = []
    cases: list[tuple[Message, PastCase, CaseAmended]] = []
    for one, reading in zip(batch, readings, strict=True):
        if one.case is None:
            if reading is not None and not reading.aside and not one.left:
                found.append(_could_come_in(one))
        elif reading is not None and reading.aside:
            found.append(_would_not_come_in(one, one.case, reading))
        elif one.case.routed_at is not None:
            cases.append((one, one.case, _asking(one, one.case, reading, router, now)))
    asked = [as_told(question) for _, _, question in cases]
    told = await asyncio.to_thread(router.route, asked, at=now) if asked else []
    await seats.meet(conn, told, now)
    for (one, case, question), answer in zip(cases, told, strict=True):
        if difference := _differs(one, case, question, as_answered(answer), seats):
            found.append(difference)
    return found


def _asking(
    one: Message, case: PastCase, reading: Reading | None, router: Router, now: datetime
) -> CaseAmended:
    asked = past.asking(case, router.city.version, now)
    if reading is None or one.joined or reading.text == case.text:
        return asked
    mark = sha256(reading.text.encode()).hexdigest()
    return asked.model_copy(
        update={
            "message_id": fact_id("case.read_again", asked.message_id, mark),
            "case": asked.case.model_copy(
                update={"text": reading.text, "language": reading.language}
            ),
        }
    )


def _differs(
    one: Message, case: PastCase, asked: CaseAmended, routed: ComplaintRouted, seats: Seats
) -> Difference | None:
    places = may_be_placed(case, routed)
    types = case.typed_by is None and case.status is not Status.CLOSED
    changes = [*_changes(one, case, asked, routed)]
    seat = seats.choose(case, routed) if places else None
    if places and (seat.login if seat else None) != case.assignee:
        changes.append(Change("person", case.assignee_name or "", seat.name if seat else ""))
    if not changes:
        return None
    stays = ""
    if case.status is Status.CLOSED:
        stays = "closed"
    elif not (places or types or asked.case.text != case.text):
        stays = "by_hand"
    if not stays:
        # What staff have decided is not among what would change.
        kept = {"district", "department"} if not places else set()
        kept |= set() if types else {"type"}
        changes = [change for change in changes if change.field not in kept]
        if not changes:
            return None
    return Difference(
        key=str(one.id),
        reference=case.reference,
        channel=one.channel,
        received_at=one.received_at,
        changes=tuple(changes),
        stays=stays,
        asked=Again(asked, case.text),
    )


def _changes(
    one: Message, case: PastCase, asked: CaseAmended, routed: ComplaintRouted
) -> Iterator[Change]:
    if asked.case.text != case.text:
        yield Change("text", "", "")
    pairs = (
        ("type", case.problem_type, routed.problem_type),
        ("district", one.district, routed.district),
        ("department", case.department, routed.department),
    )
    for name, before, after in pairs:
        if (before or "") != (after or ""):
            yield Change(name, before or "", after or "")


def _could_come_in(one: Message) -> Difference:
    return Difference(
        key=str(one.id),
        reference="",
        channel=one.channel,
        received_at=one.received_at,
        changes=(Change("state", f"{one.state}: {one.reason or ''}", "filed"),),
        aside=Aside(one.id, one.channel, one.external_id, one.received_at, one.original),
    )


def _would_not_come_in(one: Message, case: PastCase, reading: Reading) -> Difference:
    return Difference(
        key=str(one.id),
        reference=case.reference,
        channel=one.channel,
        received_at=one.received_at,
        changes=(Change("state", "filed", f"set aside: {reading.aside}"),),
        stays="filed",
    )


@dataclass
class Applied:
    """What was done of a plan."""

    asked: int = 0
    """Cases that the router looks at again."""
    mended: int = 0
    """Of those, how many have other words now."""
    brought_in: int = 0
    """Messages that become reports."""

    def __str__(self) -> str:
        return f"asked {self.asked}, words mended {self.mended}, brought in {self.brought_in}"


async def apply(
    pool: asyncpg.Pool,
    look: SecondLook,
    wanted: Plan,
    keys: Collection[str] | None,
    by: str,
) -> Applied:
    """
    Have these differences made so, or with None all that can be. Doing it twice changes nothing
    more. Raises `Unavailable` when the bus does not take what is brought in.
    """
    chosen = [one for one in wanted.applicable if keys is None or one.key in keys]
    done = Applied()
    again = [one.asked for one in chosen if one.asked is not None]
    for begin in range(0, len(again), _AT_ONCE):
        some = again[begin : begin + _AT_ONCE]
        async with pool.acquire() as conn:
            done.mended += await spans.look_again(conn, some, by)
        done.asked += len(some)
    for one in chosen:
        if one.aside is not None:
            complaint = await look.as_complaint(one.aside)
            if complaint.text:
                await look.bring_in(complaint.model_copy(update={"brought_in_by": by}))
                done.brought_in += 1
    return done
