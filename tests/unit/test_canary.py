"""What is said of the canary: well, late, lost, slow, paused; and who has it."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bus.contracts import CanaryFiled, CanaryReceived, CanaryRouted
from gateway.canary_settings import CanarySettings
from gateway.operator.canary import CanaryFigures, Hop, State, judge
from gateway.operator.finding import Level
from gateway.operator.verdict import judge as verdict_on
from gateway.operator.words import finding_todo, finding_words
from gateway.pages.i18n import use_language
from store.canaries import NO_CANARIES, CanaryBooks, Flight
from tests.unit.test_verdict import figures, said

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SETTINGS = CanarySettings()


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def flight(released: float, *steps: float, buried: str = "") -> Flight:
    """Released so many seconds ago, and how many seconds later it came to each step."""
    came = [ago(released - step) for step in steps] + [None] * (6 - len(steps))
    received, routed, filed, told, noticed, ended = came
    return Flight(
        id=UUID(int=int(released)), released_at=ago(released), received_at=received,
        routed_at=routed, filed_at=filed, told_at=told, noticed_at=noticed, ended_at=ended,
        problem_type=None, district=None, department=None,
        buried_by=buried or None, buried_why="Refused: because" if buried else None,
    )  # fmt: skip


def whole(released: float, took: float = 0.8) -> Flight:
    return flight(released, *(took * part / 6 for part in range(1, 7)))


def look(
    books: CanaryBooks,
    *,
    since: float | None = 3600.0,
    seen: Mapping[str, datetime] | None = None,
    paused: Collection[str] | None = (),
) -> CanaryFigures:
    return judge(
        SETTINGS, books, since=None if since is None else ago(since), seen=seen or {},
        paused=paused, now=NOW,
    )  # fmt: skip


def test_all_is_well_while_each_comes_through_in_time() -> None:
    for books in (
        CanaryBooks(last=whole(20)),
        CanaryBooks(last=whole(65)),  # the next is due, and has its ten seconds
        CanaryBooks(last=whole(60), next=flight(0.5, 0.1)),
    ):
        found = look(books)
        assert found.state is State.WELL
        assert not verdict_on(figures(canary=found)).findings
    assert look(CanaryBooks(last=whole(20))).took == pytest.approx(0.8)


def test_after_a_start_it_has_time_to_come() -> None:
    """Last night's is no sign of anything; nor is it that there was never one."""
    for books in (NO_CANARIES, CanaryBooks(last=whole(30_000))):
        assert look(books, since=20).state in (State.WAITING, State.WELL)
        assert look(books, since=80).state is State.LATE
        assert look(books, since=140).state is State.LOST
    left_over = CanaryBooks(last=whole(30_060), next=flight(30_000, 0.1))
    assert look(left_over, since=2).state is State.WELL


def test_where_nobody_knows_when_one_could_have_come_nothing_is_said() -> None:
    assert look(NO_CANARIES, since=None).state is State.WAITING
    assert look(CanaryBooks(last=whole(300)), since=None).state is State.LOST


def test_late_is_looked_at_and_lost_is_wrong() -> None:
    late = look(CanaryBooks(last=whole(80), next=flight(20, 0.1)))
    assert said(figures(canary=late)) == (
        "canary_late",
        Level.LOOK,
        "The canary is late: none has come through for 79 s. "
        "It is not routed: look at the service router.",
    )
    lost = look(CanaryBooks(last=whole(200), next=flight(140, 0.1)))
    assert said(figures(canary=lost)) == (
        "canary_lost",
        Level.WRONG,
        "The canary is lost: none has come through for 199 s. "
        "It is not routed: look at the service router.",
    )


def test_one_that_took_too_long_names_the_slowest_step() -> None:
    last = flight(30, 0.1, 0.1, 0.2, 14.0, 14.5, 15.0)
    slow = look(CanaryBooks(last=last, before=whole(90, took=12)))
    assert (slow.state, slow.stop.hop if slow.stop else None) == (State.SLOW, Hop.TOLD)
    assert said(figures(canary=slow))[0] == "canary_slow"


def test_once_is_not_slow_and_what_waited_together_is_over() -> None:
    last = whole(30, took=15)
    for before in (None, whole(90), whole(90, took=74)):
        assert look(CanaryBooks(last=last, before=before)).state is State.WELL


def test_what_the_books_do_not_know_the_bus_does() -> None:
    before = CanaryBooks(last=whole(200))
    assert _stop(look(before)) == (Hop.RELEASED, "web")
    on_bus = {CanaryReceived.subject: ago(140)}
    assert _stop(look(before, seen=on_bus)) == (Hop.RECEIVED, "store")
    taken_in = CanaryBooks(last=whole(200), next=flight(140, 0.1))
    assert _stop(look(taken_in, seen=on_bus)) == (Hop.ROUTED, "router")
    on_bus[CanaryRouted.subject] = ago(140)
    assert _stop(look(taken_in, seen=on_bus)) == (Hop.FILED, "store")
    filed = CanaryBooks(last=whole(200), next=flight(140, 0.1, 0.1, 0.2))
    assert _stop(look(filed, seen=on_bus)) == (Hop.TOLD, "store")
    on_bus[CanaryFiled.subject] = ago(140)
    assert _stop(look(filed, seen=on_bus)) == (Hop.TOLD, "notifier")


def _stop(found: CanaryFigures) -> tuple[Hop, str]:
    assert found.state is State.LOST
    assert found.stop is not None
    return found.stop.hop, found.stop.service


def test_a_pause_rings_nothing_but_itself() -> None:
    books = CanaryBooks(last=whole(7200), next=flight(7140, 0.1))
    found = look(books, since=90_000, paused={"router_complaint_received"})
    assert (found.state, found.paused) == (State.PAUSED, "router_complaint_received")
    assert not verdict_on(figures(canary=found)).findings
    # Who is paused further on holds up nothing that has not come there.
    assert look(books, paused={"notifier_case"}).state is State.LOST


def test_while_the_bus_is_away_that_is_enough() -> None:
    found = look(CanaryBooks(last=whole(7200)), paused=None)
    assert found.state is State.UNKNOWN
    away = figures(bus=None, canary=found)
    assert [one.cause for one in verdict_on(away).findings] == ["bus_away"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_sentence_can_be_said_in_every_language(language: str) -> None:
    found = [
        look(CanaryBooks(last=whole(200), next=flight(140, buried="router_complaint_received"))),
        look(CanaryBooks(last=whole(80), next=flight(20, 0.1))),
        look(CanaryBooks(last=whole(30, took=15), before=whole(90, took=15))),
        look(CanaryBooks(last=whole(20), overtaken=(flight(900, 0.1, buried="notifier_case"),))),
    ]
    use_language(language)
    try:
        sentences = [
            finding_words(one) + finding_todo(one)
            for each in found
            for one in verdict_on(figures(canary=each)).findings
        ]
    finally:
        use_language("en")
    assert len(sentences) == 4
    assert not [one for one in sentences if "%(" in one]
    assert "Refused: because" in sentences[0]
    assert "Refused: because" in sentences[3]
