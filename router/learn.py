"""
Makes the models that `classify.py` answers with, and writes them as skops files.

Alone with scikit-learn and skops: they take seconds to load and learning takes hundreds of
megabytes, so `models.py` runs this file as a process of its own, and no other process ever loads
them.
"""

import json
import random
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sparse
import skops.io
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from router.classify import (
    Floats,
    HeldOut,
    Linear,
    Model,
    Reader,
    logarithms,
    normal,
    opinion,
    pieces_of,
    words_of,
)
from router.figures import figures
from router.packing import packed, parts_of, unpacked
from router.stories import Story

_STRICTNESS = 0.1
_SMOOTHING = 0.02
_ROUNDS = 8
_FOLDS = 5
_RAREST_WORD, _RAREST_PIECE = 2, 3
# What residents wrote may name people; what stands in fewer reports than this is not learned.
_RAREST_WORD_TOLD = 3
_BALANCE = {"written": 0.5, "history": 0.8}
"""Rare types count for more: by this power of how rare they are."""
_EXPECTED = 20.0
"""What was expected counts like so many complaints beside those that came."""
_SHARES = {"written": (0.6, 0.15, 0.0), "history": (0.3, 0.3, 0.05)}
"""What is mixed, before anything held out says better."""
_REGRESSION, _COUNTS = 3.0, 0.4
"""How strict the regression is, and what the counts have to say beside it."""
_MOST_HELD = 1_500
_MOST_JUDGED = 6_000
_MOST_PLACES = 48_000
_MOST_ROWS = 40_000

Ints = NDArray[np.int_]
T = TypeVar("T")
Shares = Mapping[str, float]


@dataclass(frozen=True)
class Told:
    """A complaint whose type is known."""

    problem_type: str
    text: str
    weight: float = 1.0
    """How much it counts: what a person corrected, more than what nobody looked at."""


def main() -> None:
    """Reads the order on stdin (see `models.py`), writes the model, packed, to stdout."""
    order = json.load(sys.stdin)
    try:
        model = _ordered(order)
        if target := order.get("to"):
            write_skops(model, Path(target))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
    sys.stdout.buffer.write(packed(model))


def _ordered(order: Mapping[str, Any]) -> Model:
    if order["do"] == "written":
        told = [Story(*one) for one in order["stories"]]
        return learn_written(told, order["shares"], version=order["version"])
    base = unpacked(Path(order["base"]).read_bytes()) if order["base"] else None
    rows = [Told(*one) for one in order["told"]]
    return learn_history(rows, base, version=order["version"])


# ── skops ───────────────────────────────────────────────────────────────────────────────────────


def write_skops(model: Model, path: Path) -> None:
    """Keeps a model as a skops file: whole, or not at all."""
    part = path.with_name(f"{path.name}.part")
    skops.io.dump(parts_of(model), part, compression=zipfile.ZIP_DEFLATED, compresslevel=6)
    part.replace(path)


# ── written examples ────────────────────────────────────────────────────────────────────────────


def learn_written(told: Sequence[Story], shares: Shares, *, version: str = "") -> Model:
    """
    A model of stories. `shares` says how often complaints of each type come, where it is known.

    What its voices have to say is found on written examples, asked of what patterns alone taught
    (without patterns, of what the other half of the examples taught). How sure it may be is found
    on a third of the words of each: whoever wrote the patterns also wrote the examples, and of
    what residents will write it knows far less.
    """
    labels = _labels([one.problem_type for one in told])
    prior = _prior(labels, shares)
    lessons = [one for one in told if not one.judged]
    judged = [one for one in told if one.judged]
    from_patterns = {one.source for one in told if one.spun}
    if from_patterns:
        judged = [one for one in judged if not one.spun]
        folds = [(from_patterns, {one.source for one in judged})]
    else:
        sources = sorted({one.source for one in told})
        halves = set(sources[::2]), set(sources[1::2])
        folds = [halves, halves[::-1]]
    judged = _sample(judged, _MOST_JUDGED)
    scores, glimpsed = (_Scores(len(judged), len(labels)) for _ in range(2))
    truth = _places([one.problem_type for one in judged], labels)
    for teaching, asking in folds:
        taught = [one for one in lessons if one.source in teaching]
        asked = np.array([one.source in asking for one in judged], dtype=bool)
        if not taught or not asked.any():
            continue
        trial = _fit("written", taught, labels, prior)
        texts = [one.text for one, is_it in zip(judged, asked, strict=True) if is_it]
        scores.put(asked, trial, texts)
        glimpsed.put(asked, trial, [glimpse(text) for text in texts])
    weight = np.exp(prior)[truth] / np.maximum(np.bincount(truth, minlength=len(labels)), 1)[truth]
    model = _fit("written", lessons, labels, prior)
    return _calibrated(
        model, scores, truth, weight, glimpsed=glimpsed, version=version, examples=len(lessons)
    )


def glimpse(text: str) -> str:
    """A third of the words of a text, at least one, and always the same ones."""
    words = text.split()
    chance = random.Random(text)  # noqa: S311  # nothing is secret here
    shown = sorted(chance.sample(range(len(words)), (len(words) + 2) // 3))
    return " ".join(words[place] for place in shown)


# ── a city's history ────────────────────────────────────────────────────────────────────────────


def learn_history(told: Sequence[Told], base: Model | None, *, version: str = "") -> Model:
    """
    A model of complaints whose type is known, on top of what `base` knows already.

    The calibration is of complaints that were judged by models which had not seen them, nor what
    came at the same time: `told` is in order of time, and one trouble is told of many times. Types
    that the base knows and the history has none of stay possible. Raises ValueError for a
    history with fewer than two types.
    """
    told = _sample(told, _MOST_ROWS)
    seen = Counter(one.problem_type for one in told)
    if len(seen) < 2:
        raise ValueError("there are complaints of fewer than two types to learn from")
    labels = tuple(sorted(set(seen) | set(base.labels if base else ())))
    prior = np.zeros(len(labels), dtype=np.float32)
    truth = _places([one.problem_type for one in told], labels)
    texts = [one.text for one in told]
    fold = np.zeros(len(told), dtype=int)
    for label in range(len(labels)):
        own = np.flatnonzero(truth == label)
        fold[own] = np.arange(len(own)) * _FOLDS // len(own)
    # The same words twice are one complaint told again: it must not be judged by itself.
    first: dict[str, int] = {}
    for place, text in enumerate(texts):
        fold[place] = fold[first.setdefault(normal(text), place)]

    of_base = base.read(texts).probabilities if base else None
    scores = _Scores(len(told), len(labels))
    for number in range(_FOLDS):
        asked = fold == number
        if not asked.any() or len(set(truth[~asked].tolist())) < 2:
            continue
        taught = [one for one, is_asked in zip(told, asked, strict=True) if not is_asked]
        trial = _fit(
            "history", taught, labels, prior, base, None if of_base is None else of_base[~asked]
        )
        scores.put(asked, trial, [text for text, is_it in zip(texts, asked, strict=True) if is_it])
    weight = np.array([one.weight for one in told], dtype=np.float32)
    model = _fit("history", told, labels, prior, base, of_base)
    return _calibrated(model, scores, truth, weight, version=version, examples=len(told))


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────


def _fit(
    source: str,
    told: Sequence[Story] | Sequence[Told],
    labels: tuple[str, ...],
    prior: Floats,
    base: Model | None = None,
    of_base: Floats | None = None,
) -> Model:
    plain = [normal(one.text) for one in told]
    truth = _places([one.problem_type for one in told], labels)
    words, word_idf = _vocabulary(
        [words_of(text) for text in plain],
        rarest=_RAREST_WORD if source == "written" else _RAREST_WORD_TOLD,
    )
    pieces, piece_idf = _vocabulary(
        [[piece for chunk in text.split() for piece in pieces_of(chunk)] for text in plain],
        rarest=_RAREST_PIECE,
    )
    idf = np.concatenate([word_idf, piece_idf])
    rows = Reader(words, pieces, idf).rows(plain)
    besides = opinion(of_base) if of_base is not None else np.zeros((len(told), 0), np.float32)
    weight = _balance(truth, labels, _BALANCE[source]) * np.array(
        [getattr(one, "weight", 1.0) for one in told]
    )

    both = sparse.hstack([rows, sparse.csr_matrix(besides)]).tocsr()
    lines_weights, lines_bias = _lines(
        both,
        truth,
        weight / weight.mean(),
        len(labels),
        _STRICTNESS,
    )
    odds_weights, odds_bias = _counts(rows, truth, len(labels), uniform=source == "written")
    features = len(idf)
    odds_of_base = np.zeros((besides.shape[1], len(labels)), dtype=np.float32)
    if source == "history":
        regression_weights, regression_bias = _regression(both, truth, weight, len(labels))
        odds_weights = regression_weights[:features] + _COUNTS * odds_weights
        odds_bias = regression_bias + _COUNTS * odds_bias
        odds_of_base = regression_weights[features:]
    kept = _telling(idf, lines_weights[:features], odds_weights)
    told_of = set(truth.tolist())
    strange = tuple(label for place, label in enumerate(labels) if place not in told_of)
    return Model(
        version="",
        source=source,
        labels=labels,
        words=tuple(words[place] for place in kept if place < len(words)),
        pieces=tuple(pieces[place - len(words)] for place in kept if place >= len(words)),
        idf=idf[kept],
        lines=Linear(lines_weights[:features][kept], lines_bias, margins=True),
        odds=Linear(odds_weights[kept], odds_bias, margins=False),
        prior=prior,
        shares=_SHARES[source],
        held_out=HeldOut(
            np.zeros(0, np.int16), np.zeros((0, len(labels)), np.float32), np.zeros(0, np.float32)
        ),
        examples=len(told),
        base=base,
        base_weights=np.hstack([lines_weights[features:], odds_of_base])
        if base is not None
        else None,
        often=_often(labels, truth, base),
        strange=strange,
        strangeness=_strangeness(strange, truth, base),
        base_trust=_base_trust(base, of_base, truth, labels),
    )


def _vocabulary(texts: Sequence[Sequence[str]], *, rarest: int) -> tuple[tuple[str, ...], Floats]:
    """What stands in at least `rarest` texts, and how telling each is: the rarer, the more."""
    seen = Counter(term for terms in texts for term in set(terms))
    kept = tuple(sorted(term for term, count in seen.items() if count >= rarest))
    counts = np.array([seen[term] for term in kept], dtype=np.float32)
    return kept, np.asarray(np.log((1 + len(texts)) / (1 + counts)) + 1, dtype=np.float32)


def _lines(
    rows: sparse.csr_matrix, truth: Ints, weight: NDArray[Any], labels: int, strictness: float
) -> tuple[Floats, Floats]:
    """For each label the line that parts it from all others; labels that nobody told are far."""
    machine = LinearSVC(C=strictness, max_iter=_ROUNDS, tol=1e-2, random_state=0)
    with warnings.catch_warnings():
        # It goes on for ever about digits that no answer depends on.
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(rows, truth, sample_weight=weight)
    weights = np.zeros((rows.shape[1], labels), dtype=np.float32)
    bias = np.full(labels, -2.0, dtype=np.float32)
    if len(machine.classes_) == 2:
        weights[:, machine.classes_] = np.concatenate([-machine.coef_, machine.coef_]).T
        bias[machine.classes_] = np.array([-1.0, 1.0]) * machine.intercept_
    else:
        weights[:, machine.classes_] = machine.coef_.T
        bias[machine.classes_] = machine.intercept_
    return weights, bias


def _counts(
    rows: sparse.csr_matrix, truth: Ints, labels: int, *, uniform: bool
) -> tuple[Floats, Floats]:
    """The logarithm of how often each label has each word; only differences count."""
    counter = MultinomialNB(alpha=_SMOOTHING, fit_prior=not uniform).fit(rows, truth)
    logarithms = counter.feature_log_prob_
    weights = np.zeros((rows.shape[1], labels), dtype=np.float32)
    weights[:, counter.classes_] = (logarithms - logarithms.mean(axis=0, keepdims=True)).T
    bias = np.full(labels, -np.log(2 * len(truth)), dtype=np.float32)
    bias[counter.classes_] = counter.class_log_prior_
    return weights, bias


def _regression(
    rows: sparse.csr_matrix, truth: Ints, weight: NDArray[Any], labels: int
) -> tuple[Floats, Floats]:
    """For each label the logarithm of its odds."""
    machine = LogisticRegression(C=_REGRESSION, max_iter=60, tol=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(rows, truth, sample_weight=weight / weight.mean())
    weights = np.zeros((rows.shape[1], labels), dtype=np.float32)
    if len(machine.classes_) == 2:
        coefficients = np.concatenate([-machine.coef_, machine.coef_]) / 2
        intercepts = np.array([-0.5, 0.5]) * machine.intercept_
    else:
        coefficients, intercepts = machine.coef_, machine.intercept_
    bias = np.full(labels, intercepts.min() - 1, dtype=np.float32)
    weights[:, machine.classes_] = coefficients.T
    bias[machine.classes_] = intercepts
    return weights, bias


def _strangeness(strange: Sequence[str], truth: Ints, base: Model | None) -> float:
    """
    How often types that nobody told of come, for each time that the base model expects one: after
    Good and Turing, what was told once says how much was not told yet.
    """
    if base is None or not strange:
        return 1.0
    once = int((np.bincount(truth) == 1).sum())
    comes = (once + 1) / (len(truth) + 1)
    often = np.exp(base.prior) / np.exp(base.prior).sum()
    expected = float(often[np.isin(base.labels, strange)].sum())
    if not 0 < expected < 1 or comes >= 1:
        return 1.0
    return min(1.0, comes / (1 - comes) / (expected / (1 - expected)))


def _often(labels: Sequence[str], truth: Ints, base: Model | None) -> Floats | None:
    """For each label how often it came, for each time that the base model expected one."""
    if base is None:
        return None
    shares = np.exp(base.prior) / np.exp(base.prior).sum()
    expected = dict(zip(base.labels, shares.tolist(), strict=True))
    came = np.bincount(truth, minlength=len(labels))
    usual = np.array([expected.get(label, 1 / len(labels)) for label in labels])
    return np.asarray(
        (came + _EXPECTED * usual) / (len(truth) + _EXPECTED) / usual, dtype=np.float32
    )


def _base_trust(
    base: Model | None, of_base: Floats | None, truth: Ints, labels: Sequence[str]
) -> float:
    """At which power the base model's probabilities are right as often as they say."""
    if base is None or of_base is None:
        return 1.0
    places = {label: place for place, label in enumerate(base.labels)}
    theirs = np.array([places.get(label, -1) for label in labels])[truth]
    known = np.flatnonzero(theirs >= 0)
    if len(known) == 0:
        return 1.0
    voices = [logarithms(np.log(of_base[known] + 1e-9))]
    prior = np.zeros(len(base.labels), dtype=np.float32)
    return _best_shares(voices, prior, theirs[known], np.ones(len(known)))[0]


def _telling(idf: Floats, lines: Floats, odds: Floats) -> Ints:
    """The words and pieces that move an answer most, in their order; the rest costs only room."""
    if len(idf) <= _MOST_PLACES:
        return np.arange(len(idf))
    pull = idf * (np.abs(lines).max(axis=1) + 0.02 * np.abs(odds).max(axis=1))
    return np.sort(np.argsort(-pull, kind="stable")[:_MOST_PLACES])


def _balance(truth: Ints, labels: tuple[str, ...], power: float) -> NDArray[Any]:
    counts = np.bincount(truth, minlength=len(labels))
    return np.asarray((counts[truth] / counts.max()) ** -power)


# ── calibrating ─────────────────────────────────────────────────────────────────────────────────


class _Scores:
    """What trial models said of texts that they had not seen."""

    def __init__(self, texts: int, labels: int) -> None:
        self.lines = np.zeros((texts, labels), dtype=np.float32)
        self.odds = np.zeros((texts, labels), dtype=np.float32)
        self.of_base = np.zeros((texts, labels), dtype=np.float32)
        self.known = np.zeros(texts, dtype=bool)

    def put(self, asked: NDArray[np.bool_], model: Model, texts: Sequence[str]) -> None:
        reading = model.read(texts)
        said = None if reading.base is None else reading.base.probabilities
        self.lines[asked], self.odds[asked] = model.scores(reading.rows, said)
        if said is not None:
            self.of_base[asked] = model.taken_over(said)
        self.known |= asked

    def of_known(self, model: Model) -> tuple[Floats, Floats, Floats | None]:
        """The scores of the lines and the odds, and what the base model said."""
        known = self.known
        return self.lines[known], self.odds[known], self.of_base[known] if model.base else None


def _calibrated(
    model: Model,
    scores: _Scores,
    truth: Ints,
    weight: NDArray[Any],
    *,
    glimpsed: _Scores | None = None,
    version: str,
    examples: int,
) -> Model:
    """
    The model with its shares, figures and what was held out to set thresholds by. `glimpsed` are
    scores of the same texts, of which little was shown; by them it is less sure.
    """
    known = scores.known
    truth, weight = truth[known], weight[known]
    if len(truth) == 0:
        return replace(model, version=version, examples=examples)
    told = scores.of_known(model)
    model = replace(model, shares=_best_shares(model.opinions(*told), model.prior, truth, weight))
    if glimpsed is not None:
        told = glimpsed.of_known(model)
        said = np.log(model.mixed(*told) + 1e-9)
        none = np.zeros(len(model.labels), dtype=np.float32)
        model = replace(model, caution=_best_shares([said], none, truth, weight)[0])
    probabilities = model.mixed(*told)
    reached = asdict(
        figures(probabilities, model.labels, [model.labels[place] for place in truth], weight)
    )
    held = _spread(len(truth), _MOST_HELD)
    return replace(
        model,
        version=version,
        examples=examples,
        held_out=HeldOut(
            truth[held].astype(np.int16),
            probabilities[held],
            weight[held].astype(np.float32),
        ),
        figures={name: float(figure) for name, figure in reached.items()},
    )


def _best_shares(
    voices: Sequence[Floats], prior: Floats, truth: Ints, weight: NDArray[Any]
) -> tuple[float, float, float]:
    """How much each voice has to say, so that what happened was least surprising."""
    rows = np.arange(len(truth))
    part = weight / weight.sum()

    def surprise(shares: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        said = logarithms(
            sum((one * voice for one, voice in zip(shares, voices, strict=True)), start=prior)
        )
        off = np.exp(said)
        off[rows, truth] -= 1
        off *= part[:, None]
        slope = np.array([float((off * voice).sum()) for voice in voices])
        return -float((part * said[rows, truth]).sum()), slope

    found = minimize(
        surprise,
        np.full(len(voices), 0.3),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.01, 3.0)] * len(voices),
    ).x
    lines, odds, base = (*(float(share) for share in found), 0.0, 0.0)[:3]
    return lines, odds, base


# ── small things ────────────────────────────────────────────────────────────────────────────────


def _labels(types: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(types)))


def _places(types: Sequence[str], labels: Sequence[str]) -> Ints:
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[one] for one in types], dtype=int)


def _prior(labels: Sequence[str], shares: Shares) -> Floats:
    known = [shares[label] for label in labels if label in shares]
    usual = sum(known) / len(known) if known else 1.0
    shown = np.array([shares.get(label, usual) for label in labels], dtype=np.float64)
    return np.asarray(np.log(shown / shown.sum()), dtype=np.float32)


def _sample(things: Sequence[T], most: int) -> list[T]:
    return [things[place] for place in _spread(len(things), most)]


def _spread(count: int, most: int) -> list[int]:
    """At most so many places, evenly over all."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


if __name__ == "__main__":
    main()
