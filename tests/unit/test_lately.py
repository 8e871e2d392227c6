"""The last hour and day from samples a minute apart, and how they are drawn."""

from datetime import UTC, datetime, timedelta

from gateway.operator.lately import Lately, lately
from gateway.operator.sparks import line, top, when
from store.samples import Came, DurableSample, Sample

NOW = datetime(2026, 11, 24, 12, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def samples(minutes: list[int], *, rate: int = 60, waiting: int = 0) -> list[Sample]:
    """As if `rate` messages came in each minute; `minutes` before now, the oldest first."""
    newest = NOW.replace(second=0)
    return [
        Sample(
            at=newest - back * MINUTE,
            streams={"COMPLAINTS": (2000 - back) * rate},
            durables={"store_complaint": DurableSample(waiting, (2000 - back) * rate, 5)},
        )
        for back in minutes
    ]


def shown(taken: list[Sample], came: list[Came] | None = None) -> Lately:
    return lately(
        taken, came or [], now=NOW, streams=[("COMPLAINTS", ["store_complaint"])],
        channels=["web", "email"],
    )  # fmt: skip


def test_a_steady_hour_has_one_rate_and_nothing_is_known_before_it() -> None:
    [stream] = shown(samples([*range(59, -1, -1)])).streams

    assert len(stream.rate.hour) == 60
    assert len(stream.rate.day) == 96
    assert stream.rate.hour[0] is None  # the first sample has none before it
    assert set(stream.rate.hour[1:]) == {1.0}
    assert stream.rate.day[-4:] == (1.0,) * 4
    assert set(stream.rate.day[:-4]) == {None}
    [durable] = stream.durables
    assert durable.rate_in.hour[-1] == 1.0
    assert durable.rate_out.hour[-1] == 0.0


def test_what_nobody_saw_is_a_gap_and_no_rate() -> None:
    [stream] = shown(samples([50, 49, 20, 19, 18])).streams

    known = [place for place, value in enumerate(stream.rate.hour) if value is not None]
    assert known == [59 - 49, 59 - 19, 59 - 18]


def test_a_durable_that_was_made_anew_counts_from_nothing() -> None:
    taken = samples([2, 1, 0])
    taken[2] = Sample(taken[2].at, {}, {"store_complaint": DurableSample(3, 3, 0)})
    [stream] = shown(taken).streams

    assert stream.rate.hour[-2:] == (1.0, None)
    assert stream.durables[0].rate_in.hour[-2:] == (1.0, None)
    assert stream.durables[0].waiting.hour[-1] == 3


def test_the_most_that_waited_in_a_quarter_is_shown() -> None:
    taken = [*samples([14], waiting=2), *samples([7], waiting=90), *samples([0], waiting=1)]
    [stream] = shown(taken).streams

    assert stream.durables[0].waiting.day[-1] == 90


def test_messages_are_counted_by_channel_minute_and_quarter() -> None:
    newest = NOW.replace(second=0)
    came = [
        Came("web", newest, 2), Came("web", newest - 5 * MINUTE, 3),
        Came("web", newest - 100 * MINUTE, 7), Came("sms", newest, 9),
    ]  # fmt: skip
    web, email = shown([], came).channels

    assert (web.came.hour[-1], web.came.hour[-6], sum(filter(None, web.came.hour))) == (2, 3, 5)
    assert (web.came.day[-1], sum(filter(None, web.came.day))) == (5, 12)
    assert set(email.came.day) == {0}


def test_a_drawing_breaks_where_nothing_is_known() -> None:
    assert line((0.0, 4.0, None, 2.0), 4.0) == "M0.0 23.0h0L40.0 1.0M120.0 12.0h0"
    assert line((0.0, 0.0), 0.0) == "M0.0 23.0h0L120.0 23.0"
    assert line((None, None), 0.0) == ""


def test_the_greatest_value_is_told_with_its_time() -> None:
    end = NOW.replace(second=0) + MINUTE
    values = (*(0.0,) * 58, 9.0, None)
    assert top(values, (1.0, None)) == 9.0
    assert when(values, end) == end - 2 * MINUTE
    assert when((0.0,) * 60, end) is None
