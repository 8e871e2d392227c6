"""In a storm emergencies are told of at once, other mails make way, and none is lost."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

import pytest

from bus.contracts import Fact, NoticeQueued, NoticeSent
from notifier import rush as rush_
from notifier.rush import Rush
from notifier.senders import Mail, Outcome, Sent
from notifier.service import Carrier
from tests.support.facts import NOON


class Street:
    """A sender that remembers when each mail left."""

    name = "street"

    def __init__(self) -> None:
        self.left: list[tuple[float, UUID]] = []

    async def send(self, mails: Sequence[Mail]) -> Sequence[Outcome]:
        self.left += [(time.monotonic(), mail.notice_id) for mail in mails]
        return [Sent() for _ in mails]


async def nobody(facts: Sequence[Fact]) -> None:
    pass


def notice(number: int, *, urgent: bool = False) -> NoticeQueued:
    return NoticeQueued(
        message_id=UUID(int=number),
        occurred_at=NOON,
        case_id=UUID(int=1),
        reference="7KQ-2MX-94",
        notice="receipt",
        medium="email",
        recipient="r@resident.example",
        language="en",
        subject_line="We have your report",
        text="It came in.\n",
        urgent=urgent,
    )


FIRST = [notice(2), notice(3), notice(4, urgent=True)]
SECOND = [notice(5), notice(6, urgent=True), notice(7)]


async def carried(rush: Rush) -> list[tuple[float, int]]:
    """When each of two batches left, the second told right after the first."""
    street = Street()
    carrier = Carrier(street, nobody, rush=rush)
    began = time.monotonic()
    await carrier.carry(FIRST)
    await carrier.carry(SECOND)
    return [(at - began, id_.int) for at, id_ in street.left]


async def test_at_leisure_all_go_at_once() -> None:
    rush = Rush()
    rush.heard(rush_._MANY)

    left = await carried(rush)

    assert [number for _, number in left] == [2, 3, 4, 5, 6, 7]
    assert all(at < 0.2 for at, _ in left)


async def test_in_a_storm_emergencies_go_first_and_the_others_make_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rush_, "_MAILS", 5.0)
    rush = Rush()
    rush.heard(rush_._MANY + 1)

    left = await carried(rush)

    assert [number for _, number in left] == [4, 2, 3, 6, 5, 7]
    assert all(at < 0.2 for at, number in left if number in (2, 3, 4, 6))
    assert all(0.39 <= at < 1.5 for at, number in left if number in (5, 7))


async def test_what_was_sent_of_emergencies_is_told_before_the_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rush_, "_MAILS", 0.01)
    rush = Rush()
    rush.heard(rush_._MANY + 1)
    told: list[Fact] = []

    async def tell(facts: Sequence[Fact]) -> None:
        told.extend(facts)

    carrier = Carrier(Street(), tell, rush=rush)
    await carrier.carry(FIRST)
    told.clear()
    waiting = asyncio.create_task(carrier.carry(SECOND))
    await asyncio.sleep(0.1)

    assert not waiting.done()
    assert [one.notice_id.int for one in told if isinstance(one, NoticeSent)] == [6]
    waiting.cancel()


async def test_only_emergencies_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rush_, "_MAILS", 0.01)
    rush = Rush()
    rush.heard(rush_._MANY + 1)
    carrier = Carrier(Street(), nobody, rush=rush)
    await carrier.carry(FIRST)

    async with asyncio.timeout(1):
        await carrier.carry([notice(8, urgent=True)])


async def test_a_storm_that_is_over_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rush_, "_MAILS", 0.1)
    monkeypatch.setattr(rush_, "_SPAN", 0.3)
    rush = Rush()
    rush.heard(rush_._MANY + 1)

    left = await carried(rush)

    assert len(left) == 6
    assert all(at < 1.5 for at, _ in left)
    assert not rush.on
