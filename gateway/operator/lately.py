"""The last hour and the last day of the bus and of each channel, as rows of numbers (pure)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from store.samples import Came, Sample

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
_GAP = timedelta(minutes=3)
"""Between two samples further apart nobody knows what was."""

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Series:
    """One figure over time, the oldest first; None where it is not known."""

    hour: Values
    """Of each minute."""
    day: Values
    """Of each quarter of an hour."""


@dataclass(frozen=True)
class DurableLately:
    """A durable: messages that waited, at most; in and out a second."""

    name: str
    waiting: Series
    rate_in: Series
    rate_out: Series


@dataclass(frozen=True)
class StreamLately:
    """A stream: messages told a second."""

    name: str
    rate: Series
    durables: tuple[DurableLately, ...] = ()


@dataclass(frozen=True)
class ChannelLately:
    """A way in: messages that came, in each minute or quarter of an hour."""

    name: str
    came: Series


@dataclass(frozen=True)
class Lately:
    """What the page shows of the last hour and day."""

    at: datetime
    """The end of both, on the minute."""
    streams: tuple[StreamLately, ...]
    channels: tuple[ChannelLately, ...]


def lately(
    samples: Sequence[Sample],
    came: Iterable[Came],
    *,
    now: datetime,
    streams: Iterable[tuple[str, Iterable[str]]],
    channels: Iterable[str],
) -> Lately:
    """
    The hour and the day before `now`. `samples` in order; `streams` by name, each with its
    durables, and `channels` in the order in which they are shown.
    """
    end = now.replace(second=0, microsecond=0) + MINUTE
    came = list(came)

    def spans(fill: Callable[[datetime, timedelta, int], Values]) -> Series:
        return Series(fill(end - HOUR, MINUTE, 60), fill(end - DAY, QUARTER, 96))

    def rate(count: Callable[[Sample], int | None]) -> Series:
        return spans(lambda begin, step, many: _rates(samples, count, begin, step, many))

    def most(count: Callable[[Sample], int | None]) -> Series:
        return spans(lambda begin, step, many: _most(samples, count, begin, step, many))

    return Lately(
        at=end,
        streams=tuple(
            StreamLately(
                stream,
                rate(lambda one, name=stream: one.streams.get(name)),  # type: ignore[misc]
                tuple(
                    DurableLately(
                        name,
                        waiting=most(_count(name, "waiting")),
                        rate_in=rate(_count(name, "arrived")),
                        rate_out=rate(_count(name, "answered")),
                    )
                    for name in durables
                ),
            )
            for stream, durables in streams
        ),
        channels=tuple(
            ChannelLately(name, spans(lambda *span, name=name: _sums(came, name, *span)))
            for name in channels
        ),
    )


def _count(durable: str, figure: str) -> Callable[[Sample], int | None]:
    def count(sample: Sample) -> int | None:
        found = sample.durables.get(durable)
        return None if found is None else int(getattr(found, figure))

    return count


def _rates(
    samples: Sequence[Sample],
    count: Callable[[Sample], int | None],
    begin: datetime,
    step: timedelta,
    many: int,
) -> Values:
    told, seconds = [0] * many, [0.0] * many
    for before, after in pairwise(samples):
        place = (after.at - begin) // step
        old, new = count(before), count(after)
        # A durable that was made anew counts from nothing.
        known = old is not None and new is not None and new >= old
        if 0 <= place < many and known and after.at - before.at <= _GAP:
            told[place] += (new or 0) - (old or 0)
            seconds[place] += (after.at - before.at).total_seconds()
    return tuple(
        count / length if length else None for count, length in zip(told, seconds, strict=True)
    )


def _most(
    samples: Sequence[Sample],
    count: Callable[[Sample], int | None],
    begin: datetime,
    step: timedelta,
    many: int,
) -> Values:
    found: list[float | None] = [None] * many
    for sample in samples:
        place = (sample.at - begin) // step
        value = count(sample)
        if 0 <= place < many and value is not None:
            found[place] = max(found[place] or 0, value)
    return tuple(found)


def _sums(
    came: Iterable[Came], channel: str, begin: datetime, step: timedelta, many: int
) -> Values:
    sums = [0.0] * many
    for one in came:
        place = (one.minute - begin) // step
        if one.channel == channel and 0 <= place < many:
            sums[place] += one.count
    return tuple(sums)
