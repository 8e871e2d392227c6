"""Percentages that add up to 100.0 (pure)."""

from collections.abc import Sequence

_TENTHS = 1000


def percentages(counts: Sequence[int]) -> list[float]:
    """
    What share each count is of all of them, in percent with one decimal, by the largest remainder:
    each is rounded down, and the tenths that are missing go to those that lost most. So each is
    less than a tenth off, and together they are exactly 100.0. All zero when there is nothing.
    """
    whole = sum(counts)
    if whole == 0:
        return [0.0 for _ in counts]
    tenths = [count * _TENTHS // whole for count in counts]
    by_loss = sorted(range(len(counts)), key=lambda place: -(counts[place] * _TENTHS % whole))
    for place in by_loss[: _TENTHS - sum(tenths)]:
        tenths[place] += 1
    return [number / 10 for number in tenths]
