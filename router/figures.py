"""How good a classifier is, in figures. Pure: probabilities and truths in, figures out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.classify import Floats, lowest_threshold

PRECISION = 0.9
"""The precision at which coverage is told."""
_BINS = 10


@dataclass(frozen=True)
class Figures:
    """What a classifier reached on labelled texts."""

    texts: int
    accuracy: float
    macro_f1: float
    """The mean over all types that were true or guessed, each counting as much as another."""
    weighted_f1: float
    top3: float
    """The share of texts whose type was among the first three guesses."""
    calibration_error: float
    """By how much the probability of a guess is off, on average (ten bins)."""
    coverage: float
    """The share that can be sorted by itself when nine in ten of these have to be right."""


@dataclass(frozen=True)
class Confusion:
    truth: str
    guessed: str
    count: int
    share: float
    """Of all texts of that truth."""


def figures(
    probabilities: Floats,
    labels: Sequence[str],
    truth: Sequence[str],
    weight: NDArray[np.floating] | None = None,
) -> Figures:
    """
    The figures of a classifier that said these probabilities of texts whose types are `truth`.
    `weight` says how much each text counts; a type that is no label is always a miss.
    """
    places = {label: place for place, label in enumerate(labels)}
    known = np.array([places.get(one, -1) for one in truth])
    weights = np.ones(len(known)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = weights.sum()
    order = np.argsort(-probabilities, axis=1, kind="stable")
    first = order[:, 0]
    right = first == known
    sure = probabilities[np.arange(len(first)), first].astype(np.float64)

    guessed = [labels[place] for place in first]
    macro, weighted = _f1(truth, guessed, weights)
    off = 0.0
    for number in range(_BINS):
        # A bin holds its upper end; the first one holds 0 as well.
        inside = (sure > number / _BINS) & (sure <= (number + 1) / _BINS)
        inside |= (sure == 0) if number == 0 else False
        if inside.any():
            part = weights[inside]
            gap = (part * right[inside]).sum() - (part * sure[inside]).sum()
            off += abs(float(gap))
    return Figures(
        texts=len(truth),
        accuracy=float((weights * right).sum() / total),
        macro_f1=macro,
        weighted_f1=weighted,
        top3=float((weights * (order[:, :3] == known[:, None]).any(axis=1)).sum() / total),
        calibration_error=off / float(total),
        coverage=lowest_threshold(sure, right, weights, PRECISION)[2],
    )


def _f1(
    truth: Sequence[str], guessed: Sequence[str], weights: NDArray[np.floating]
) -> tuple[float, float]:
    hits: Counter[str] = Counter()
    there: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for one, other, weight in zip(truth, guessed, weights.tolist(), strict=True):
        there[one] += weight
        said[other] += weight
        if one == other:
            hits[one] += weight
    kinds = set(there) | set(said)
    scores = {kind: 2 * hits[kind] / (there[kind] + said[kind]) for kind in kinds}
    total = sum(there.values())
    weighted = sum(scores[kind] * there[kind] for kind in there) / total
    return sum(scores.values()) / len(kinds), weighted


def worst(truth: Sequence[str], guessed: Sequence[str], count: int = 10) -> list[Confusion]:
    """The pairs that were taken for each other most often."""
    there = Counter(truth)
    pairs = Counter((one, other) for one, other in zip(truth, guessed, strict=True) if one != other)
    return [
        Confusion(one, other, number, number / there[one])
        for (one, other), number in pairs.most_common(count)
    ]
