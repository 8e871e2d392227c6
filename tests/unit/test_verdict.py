"""The sentence on top of the operators' page: what is wrong, for each cause, and what to do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import pytest

from bus.look import DurableLook, StreamLook
from bus.signs import Place
from gateway.operator.expiring import Ending
from gateway.operator.figures import (
    BusFigures,
    ChannelFigures,
    Disk,
    DurableFigures,
    Figures,
    StreamFigures,
)
from gateway.operator.finding import GIB, Level
from gateway.operator.verdict import judge
from gateway.operator.words import finding_todo, finding_words
from gateway.pages.i18n import use_language
from store.alarms import Alarm
from store.figures import ChannelBooks, StoreFigures, Waiting
from store.ledger import Equation
from store.levers import OperatorAct
from store.outbox import Backlog

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAILBOX = "help@independence.example"


def durable(name: str = "router_complaint_received", **other: object) -> DurableFigures:
    look = DurableLook(
        name=name, stream="COMPLAINTS", waiting=0, in_hand=0, most_in_hand=1024, redelivered=0,
        arrived=10, answered=10, oldest=None, paused=False,
    )  # fmt: skip
    of_look = {key: value for key, value in other.items() if hasattr(look, key)}
    rest = {key: value for key, value in other.items() if key not in of_look}
    values: dict[str, object] = {"rate_in": 0.0, "rate_out": 0.0, "age": None, "silent": 0.0}
    return DurableFigures(look=replace(look, **of_look), **(values | rest))  # type: ignore[arg-type]


def email(place: Mapping[str, object] | None = None, **other: object) -> ChannelFigures:
    known = Place.model_validate(
        {"channel": "email", "place": MAILBOX, "looked_at": NOW} | dict(place or {})
    )
    values: dict[str, object] = {
        "name": "email", "looks": True, "places": (known,), "books": ChannelBooks(1, NOW),
        "silent": 0.0,
    }  # fmt: skip
    return ChannelFigures(**(values | other))  # type: ignore[arg-type]


def bus(**other: object) -> BusFigures:
    stream = StreamFigures(StreamLook("COMPLAINTS", 10, 1000, 8 * GIB, 10), 0.0)
    values: dict[str, object] = {
        "streams": (stream,), "durables": (durable(),), "channels": (email(),), "processes": (),
    }  # fmt: skip
    return BusFigures(**(values | other))  # type: ignore[arg-type]


def store(**other: object) -> StoreFigures:
    books = Equation(received=10, filed=9, quarantined=0, ignored=1, in_flight=0)
    values: dict[str, object] = {
        "outbox": Backlog(0, None, 0), "notices": Waiting(0, None), "notices_failed_today": 0,
        "dead": Waiting(0, None), "replaying": 0, "ever": books, "today": books, "channels": {},
    }  # fmt: skip
    return StoreFigures(**(values | other))  # type: ignore[arg-type]


def figures(**other: object) -> Figures:
    values: dict[str, object] = {
        "at": NOW, "bus": bus(), "store": store(), "disk": Disk(500 * GIB, 1000 * GIB), "took": 0.1,
    }  # fmt: skip
    return Figures(**(values | other))  # type: ignore[arg-type]


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def said(given: Figures) -> tuple[str, Level, str]:
    [one] = judge(given).findings
    return one.cause, one.level, finding_words(one)


def test_nothing_to_say_when_all_is_well() -> None:
    assert judge(figures()).findings == ()
    assert judge(figures()).level is Level.WELL


def test_a_router_that_stopped_is_named_with_what_waits() -> None:
    stopped = durable(waiting=7, in_hand=2, silent=8.2, age=8.0)
    assert said(figures(bus=bus(durables=(stopped, durable("store_complaint"))))) == (
        "service_silent",
        Level.WRONG,
        "The service router gives no sign of life (8 s). Messages that wait for it: 9.",
    )


def test_one_that_has_not_answered_for_a_moment_is_left_alone() -> None:
    assert judge(figures(bus=bus(durables=(durable(silent=3.0),)))).findings == ()


def test_a_service_is_spoken_of_once_however_many_durables_it_has() -> None:
    both = (durable("store_complaint", silent=9.0, waiting=1), durable("store_dead", silent=9.0))
    [one] = judge(figures(bus=bus(durables=both))).findings
    assert one.values["service"] == "store"


def test_a_poisoned_complaint_leads_to_its_dead_letter() -> None:
    poisoned = figures(store=store(dead=Waiting(1, ago(minutes=2))))
    cause, level, words = said(poisoned)
    assert (cause, level) == ("dead_letters", Level.LOOK)
    assert words == "Messages that nobody could handle wait as dead letters: 1."
    assert judge(poisoned).findings[0].link == "/ops/dead"


def test_a_letter_that_is_being_told_again_needs_nobody() -> None:
    assert not judge(figures(store=store(dead=Waiting(3, NOW), replaying=3))).findings


def test_a_rule_that_could_not_run_leads_to_the_rules() -> None:
    alarm = Alarm("Near the school", "near: no place is known", NOW, NOW, 2, UUID(int=1), "v1")
    found = figures(store=store(alarms=(alarm,)))
    cause, level, words = said(found)
    assert (cause, level) == ("rule_alarm", Level.LOOK)
    assert words == (
        "Rules that could not do what they say: 1. The last is “Near the school”: near: no place "
        "is known."
    )
    assert judge(found).findings[0].link == "/staff/rules"


def test_a_mailbox_with_a_wrong_password_says_so() -> None:
    trouble = f"{MAILBOX} does not accept the password."
    cause, level, words = said(figures(bus=bus(channels=(email({"trouble": trouble}),))))
    assert (cause, level) == ("place_in_trouble", Level.WRONG)
    assert words == f"{MAILBOX} cannot be read: {MAILBOX} does not accept the password."


def test_a_channel_that_nobody_runs_is_named() -> None:
    cause, level, words = said(figures(bus=bus(channels=(email(silent=30.0),))))
    assert (cause, level) == ("channel_silent", Level.WRONG)
    assert "email" in words


def test_a_mailbox_that_nobody_looked_into_for_hours_is_named() -> None:
    late = email({"looked_at": ago(hours=2)})
    assert said(figures(bus=bus(channels=(late,))))[2] == (
        f"Nobody has looked into {MAILBOX} for 120 min."
    )


def test_postgres_away_says_that_nothing_is_lost() -> None:
    away = figures(store=None)
    cause, level, words = said(away)
    assert (cause, level) == ("store_away", Level.WRONG)
    assert words.startswith("PostgreSQL does not answer")
    assert "Nothing is lost" in finding_todo(judge(away).findings[0])


def test_the_bus_away_comes_first() -> None:
    both = figures(bus=None, store=store(dead=Waiting(1, NOW)))
    assert [one.cause for one in judge(both).findings] == ["bus_away", "dead_letters"]


@pytest.mark.parametrize(
    ("free", "level"),
    [(150, Level.WELL), (15, Level.LOOK), (3, Level.WRONG)],
)
def test_a_disk_is_spoken_of_before_it_is_full(free: int, level: Level) -> None:
    given = figures(disk=Disk(free * GIB, 200 * GIB))
    assert judge(given).level is level
    if level:
        assert said(given)[2] == f"The disk is nearly full: {free}.0 GB of 200 GB are free."


def test_an_outbox_that_nobody_tells_is_stuck() -> None:
    stuck = figures(store=store(outbox=Backlog(12, ago(seconds=90), 0)))
    cause, level, words = said(stuck)
    assert (cause, level) == ("outbox_stuck", Level.WRONG)
    assert words.endswith("Facts that wait to be told: 12, the oldest for 90 s.")
    assert not judge(figures(store=store(outbox=Backlog(12, ago(seconds=2), 0)))).findings


def test_what_the_bus_refused_for_good_is_told() -> None:
    assert said(figures(store=store(outbox=Backlog(0, None, 2))))[0] == "outbox_refused"


def test_a_ledger_that_does_not_close_is_the_worst() -> None:
    books = Equation(received=10, filed=8, quarantined=0, ignored=1, in_flight=0)
    cause, level, words = said(figures(store=store(ever=books)))
    assert (cause, level) == ("ledger_open", Level.WRONG)
    assert "received 10 ≠ filed 8" in words


def test_notices_that_are_not_sent_are_told_after_ten_minutes() -> None:
    late = figures(store=store(notices=Waiting(3, ago(minutes=25))))
    assert said(late)[2] == (
        "Mails and texts that could not be sent yet: 3, the oldest for 25 min."
    )
    assert not judge(figures(store=store(notices=Waiting(3, ago(minutes=5))))).findings


@pytest.mark.parametrize(("age", "level"), [(90.0, Level.LOOK), (900.0, Level.WRONG)])
def test_who_is_behind_is_told_by_the_age_of_the_oldest(age: float, level: Level) -> None:
    assert said(figures(bus=bus(durables=(durable(age=age, waiting=40),))))[:2] == (
        "durable_late", level,
    )  # fmt: skip


def test_a_paused_durable_is_told() -> None:
    assert said(figures(bus=bus(durables=(durable(paused=True, waiting=4),))))[0] == (
        "durable_paused"
    )
    act = OperatorAct(1, "pause", "channel:email", "olga.op", "", NOW, NOW, "done")
    late = email({"looked_at": ago(hours=3)})
    [finding] = judge(figures(bus=bus(channels=(late,)), store=store(pauses=(act,)))).findings
    assert finding.cause == "channel_paused"
    assert "olga.op" in finding_words(finding)


def test_a_full_stream_is_told() -> None:
    full = StreamFigures(StreamLook("CASES", 10, 7 * GIB, 8 * GIB, 10), 0.0)
    assert said(figures(bus=bus(streams=(full,)))) == (
        "stream_full", Level.LOOK, "The stream CASES is 88 % full.",
    )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_sentence_can_be_said_in_every_language(language: str) -> None:
    """All causes at once: no hole stays open, none is missing a value."""
    everything = figures(
        disk=Disk(GIB // 2, 200 * GIB),
        bus=bus(
            streams=(StreamFigures(StreamLook("CASES", 1, 8 * GIB, 8 * GIB, 1), 0.0),),
            durables=(
                durable(silent=9.0), durable("store_dead", paused=True),
                durable("notifier_case", age=100.0),
            ),
            channels=(email({"trouble": "no answer"}), email({"looked_at": ago(hours=3)}),
                      email(silent=9.0), email({"trouble": "no", "refused": True})),
            ways_out=(
                Place(channel="notices", place="a:587", trouble="no", refused=True),
                Place(channel="notices", place="b:587", trouble="no answer"),
            ),
        ),
        store=store(
            outbox=Backlog(1, ago(hours=1), 1), dead=Waiting(1, NOW),
            notices=Waiting(1, ago(hours=1)),
            ever=Equation(received=1, filed=0, quarantined=0, ignored=0, in_flight=0),
        ),
    )  # fmt: skip
    use_language(language)
    try:
        found = [
            *judge(everything).findings, *judge(figures(bus=None, store=None)).findings
        ]  # fmt: skip
        assert len({one.cause for one in found}) == 18
        for one in found:
            assert "%(" not in finding_words(one) + finding_todo(one)
    finally:
        use_language("en")


@pytest.mark.parametrize(
    ("kind", "days", "trouble", "cause", "level"),
    [
        ("certificate", 20.9, "", "certificate_ends", Level.LOOK),
        ("certificate", 6.9, "", "certificate_ends", Level.WRONG),
        ("certificate", 0, "it has expired", "certificate_ended", Level.WRONG),
        ("access", 12, "", "access_ends", Level.LOOK),
    ],
)
def test_what_ends_soon(
    kind: Literal["certificate", "access"], days: float, trouble: str, cause: str, level: Level
) -> None:
    ending = Ending(kind, "mail.example.gov:993", NOW + timedelta(days=days), trouble)
    [one] = judge(figures(endings=(ending,))).findings
    assert (one.cause, one.level) == (cause, level)
    assert "mail.example.gov:993" in finding_words(one)


def test_what_ends_later_or_was_not_seen_is_no_finding() -> None:
    later = Ending("certificate", "a:443", NOW + timedelta(days=21, hours=1))
    unseen = Ending("certificate", "b:443", None, "no answer")
    assert judge(figures(endings=(later, unseen))).findings == ()


def test_a_mailbox_that_does_not_let_us_in_leads_to_where_a_password_is_entered() -> None:
    refuses = {"trouble": "mail.example does not accept username and password.", "refused": True}
    [one] = judge(figures(bus=bus(channels=(email(refuses),)))).findings
    assert (one.cause, one.level, one.link) == ("place_refuses", Level.WRONG, "/ops/places")
    assert finding_words(one) == (
        f"{MAILBOX} does not let us in: mail.example does not accept username and password."
    )


@pytest.mark.parametrize(
    ("away", "link"),
    [
        ({"bus": None}, "/ops/again?what=nats"),
        ({"store": None}, "/ops/again?what=postgresql"),
        ({"bus": bus(durables=(durable(silent=9.0),))}, "/ops/again?what=router"),
        ({"bus": bus(channels=(email(silent=9.0),))}, "/ops/again?what=channels"),
    ],
)
def test_what_stopped_leads_to_where_it_is_started_again(
    away: Mapping[str, object], link: str
) -> None:
    [one] = judge(figures(**away)).findings
    assert one.link == link


def test_the_durable_of_a_channel_that_is_turned_off_is_nobodys() -> None:
    of_texts = durable("channels_complaint_received", silent=99.0, age=9000.0, turned_off=True)
    assert judge(figures(bus=bus(durables=(of_texts,)))).findings == ()


@pytest.mark.parametrize(
    ("refused", "cause", "level"),
    [(True, "mail_server_refuses", Level.WRONG), (False, "mail_server_away", Level.LOOK)],
)
def test_a_mail_server_that_takes_nothing_is_told_at_once(
    refused: bool, cause: str, level: Level
) -> None:
    server = Place(channel="notices", place="smtp.example:587", trouble="no", refused=refused)
    [one] = judge(figures(bus=bus(ways_out=(server,)))).findings
    assert (one.cause, one.level, one.link) == (cause, level, "/ops/places")
    assert "smtp.example:587" in finding_words(one)
