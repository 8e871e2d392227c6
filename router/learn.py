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
    Near,
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
_BALANCE = 0.5
"""Rare types count for more: by this power of how rare they are."""
_WRITTEN = 0.03
"""How much a written example counts beside a complaint of the city: little, and something where
there are few complaints of its type."""
_EXPECTED = 20.0
"""What was expected counts like so many complaints beside those that came."""
_SHARE = 0.3
"""How much each voice has to say, before anything held out says better."""
_REGRESSION, _COUNTS = 3.0, 0.4
"""How strict the regression is, and what the counts have to say beside it."""
_MOST_HELD = 1_500
_MOST_JUDGED = 6_000
_MOST_PLACES = 48_000
_MOST_ROWS = 40_000
_MOST_NEAR = 4_000
"""So many of the complaints are kept to compare new ones with, the last ones."""

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
    place: str = ""
    """Where it is, in any words: one trouble is told of from one place many times."""


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
    written = [(kind, text) for kind, text in order["written"]]
    return learn_history(rows, base, written, version=order["version"])


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
    said, glimpsed = _HeldOut(len(judged)), _HeldOut(len(judged))
    truth = _places([one.problem_type for one in judged], labels)
    for teaching, asking in folds:
        taught = [one for one in lessons if one.source in teaching]
        asked = np.array([one.source in asking for one in judged], dtype=bool)
        if not taught or not asked.any():
            continue
        trial = _fit(taught, labels, prior)
        texts = [one.text for one, is_it in zip(judged, asked, strict=True) if is_it]
        said.put(asked, trial, texts)
        glimpsed.put(asked, trial, [glimpse(text) for text in texts])
    weight = np.exp(prior)[truth] / np.maximum(np.bincount(truth, minlength=len(labels)), 1)[truth]
    model = _fit(lessons, labels, prior)
    return _calibrated(
        model, said, truth, weight, glimpsed=glimpsed, version=version, examples=len(lessons)
    )


def glimpse(text: str) -> str:
    """A third of the words of a text, at least one, and always the same ones."""
    words = text.split()
    chance = random.Random(text)  # noqa: S311  # nothing is secret here
    shown = sorted(chance.sample(range(len(words)), (len(words) + 2) // 3))
    return " ".join(words[place] for place in shown)


# ── a city's history ────────────────────────────────────────────────────────────────────────────


def learn_history(
    told: Sequence[Told],
    base: Model | None,
    written: Sequence[tuple[str, str]] = (),
    *,
    version: str = "",
) -> Model:
    """
    A model of complaints whose type is known, on top of what `base` knows already. `written` are
    examples, type and text, that help where there are few complaints.

    The calibration is of complaints that were judged by models which had seen neither them nor
    what was told of the same place or in the same words: one trouble is told of many times. Types
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
    fold = folds(told, truth)
    of_base = base.read(texts).probabilities if base else None
    help_ = _Help(labels, [one for one in written if one[0] in seen], base)

    said = _HeldOut(len(told))
    for number in range(_FOLDS):
        asked = fold == number
        if not asked.any() or len(set(truth[~asked].tolist())) < 2:
            continue
        taught = [one for one, is_asked in zip(told, asked, strict=True) if not is_asked]
        trial = _fit_history(
            taught, labels, prior, base, None if of_base is None else of_base[~asked], help_
        )
        said.put(asked, trial, [text for text, is_it in zip(texts, asked, strict=True) if is_it])
    weight = np.array([one.weight for one in told], dtype=np.float32)
    model = _fit_history(told, labels, prior, base, of_base, help_)
    return _calibrated(model, said, truth, weight, version=version, examples=len(told))


def folds(told: Sequence[Told], truth: Ints) -> Ints:
    """
    In which of the parts each complaint is: what is of one place or in the same words, in the same
    part; as much of each type in all of them; and what came at one time together, where the
    complaints are in the order of time.
    """
    head = list(range(len(told)))

    def first_of(place: int) -> int:
        while head[place] != place:
            head[place] = place = head[head[place]]
        return place

    met: dict[tuple[str, str], int] = {}
    for place, one in enumerate(told):
        marks = [("words", normal(one.text))]
        if one.place.strip():
            marks.append(("place", " ".join(one.place.casefold().split())))
        for mark in marks:
            head[first_of(place)] = first_of(met.setdefault(mark, place))
    groups: dict[int, list[int]] = {}
    for place in range(len(told)):
        groups.setdefault(first_of(place), []).append(place)
    fold = np.zeros(len(told), dtype=int)
    total = np.bincount(truth)
    so_far = np.zeros(len(total), dtype=int)
    for members in groups.values():
        kind = Counter(truth[members].tolist()).most_common(1)[0][0]
        fold[members] = min(_FOLDS - 1, int(so_far[kind]) * _FOLDS // int(total[kind]))
        so_far += np.bincount(truth[members], minlength=len(total))
    return fold


class _Help:
    """Written examples beside complaints of a city, as rows of any vocabulary."""

    def __init__(
        self, labels: Sequence[str], written: Sequence[tuple[str, str]], base: Model | None
    ) -> None:
        self.truth = _places([kind for kind, _ in written], labels)
        self._plain = [normal(text) for _, text in written]
        texts = [text for _, text in written]
        width = len(base.labels) if base else 0
        self.of_base = (
            opinion(base.read(texts).probabilities)
            if base and texts
            else np.zeros((len(texts), width), dtype=np.float32)
        )

    def rows(self, reader: Reader) -> sparse.csr_matrix:
        return reader.rows(self._plain)


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────


def _fit(told: Sequence[Story], labels: tuple[str, ...], prior: Floats) -> Model:
    """A model of stories, before it is calibrated."""
    plain = [normal(one.text) for one in told]
    truth = _places([one.problem_type for one in told], labels)
    words, pieces, idf = _terms(plain, rarest_word=_RAREST_WORD)
    rows = Reader(words, pieces, idf).rows(plain)
    weight = _balance(truth, labels)
    lines, lines_bias = _lines(rows, truth, weight / weight.mean(), len(labels), _STRICTNESS)
    odds, odds_bias = _counts(rows, truth, len(labels), uniform=True)
    kept = _telling(idf, lines, odds)
    return Model(
        version="",
        source="written",
        labels=labels,
        words=tuple(words[place] for place in kept if place < len(words)),
        pieces=tuple(pieces[place - len(words)] for place in kept if place >= len(words)),
        idf=idf[kept],
        lines=Linear(lines[kept], lines_bias, margins=True),
        odds=Linear(odds[kept], odds_bias, margins=False),
        prior=prior,
        shares=(_SHARE, _SHARE),
        held_out=_nothing_held(labels),
        examples=len(told),
    )


def _fit_history(
    told: Sequence[Told],
    labels: tuple[str, ...],
    prior: Floats,
    base: Model | None,
    of_base: Floats | None,
    written: _Help,
) -> Model:
    """A model of complaints, before it is calibrated."""
    plain = [normal(one.text) for one in told]
    truth = _places([one.problem_type for one in told], labels)
    words, pieces, idf = _terms(plain, rarest_word=_RAREST_WORD_TOLD)
    reader = Reader(words, pieces, idf)
    rows = reader.rows(plain)
    besides = opinion(of_base) if of_base is not None else np.zeros((len(told), 0), np.float32)
    counts = np.array([one.weight for one in told], dtype=np.float32)

    weight = _balance(truth, labels) * counts
    weight = np.concatenate([weight / weight.mean(), np.full(len(written.truth), _WRITTEN)])
    both = sparse.hstack([rows, sparse.csr_matrix(besides)])
    more = sparse.hstack([written.rows(reader), sparse.csr_matrix(written.of_base)])
    both = sparse.vstack([both, more]).tocsr()
    truths = np.concatenate([truth, written.truth])
    features, number = len(idf), len(labels)
    lines, lines_bias = _lines(both, truths, weight / weight.mean(), number, _STRICTNESS)
    regression, odds_bias = _regression(both, truths, weight, number)
    counted, counted_bias = _counts(
        both[:, :features],
        truths,
        number,
        weight=np.concatenate([np.ones(len(told)), weight[len(told) :]]),
    )
    odds = regression[:features] + _COUNTS * counted
    odds_bias = odds_bias + _COUNTS * counted_bias

    kept = _telling(idf, lines[:features], odds)
    words, pieces = (
        tuple(words[place] for place in kept if place < len(words)),
        tuple(pieces[place - len(words)] for place in kept if place >= len(words)),
    )
    told_of = set(truth.tolist())
    strange = tuple(label for place, label in enumerate(labels) if place not in told_of)
    last = slice(max(0, len(told) - _MOST_NEAR), None)
    return Model(
        version="",
        source="history",
        labels=labels,
        words=words,
        pieces=pieces,
        idf=idf[kept],
        lines=Linear(lines[:features][kept], lines_bias, margins=True),
        odds=Linear(odds[kept], odds_bias, margins=False),
        prior=prior,
        shares=(_SHARE,) * (3 if base is None else 4),
        held_out=_nothing_held(labels),
        examples=len(told),
        base=base,
        base_weights=np.hstack([lines[features:], regression[features:]])
        if base is not None
        else None,
        often=_often(labels, truth, base),
        strange=strange,
        strangeness=_strangeness(strange, truth, base),
        base_trust=_base_trust(base, of_base, truth, labels),
        near=Near(
            rows=Reader(words, pieces, idf[kept]).rows(plain[last]),
            of_base=besides[last],
            truth=truth[last].astype(np.int16),
            weight=counts[last],
        ),
    )


def _nothing_held(labels: Sequence[str]) -> HeldOut:
    return HeldOut(
        np.zeros(0, np.int16), np.zeros((0, len(labels)), np.float32), np.zeros(0, np.float32)
    )


def _terms(
    plain: Sequence[str], *, rarest_word: int
) -> tuple[tuple[str, ...], tuple[str, ...], Floats]:
    """The words and the pieces that texts are told apart by, and how telling each is."""
    words, word_idf = _vocabulary([words_of(text) for text in plain], rarest=rarest_word)
    pieces, piece_idf = _vocabulary(
        [[piece for chunk in text.split() for piece in pieces_of(chunk)] for text in plain],
        rarest=_RAREST_PIECE,
    )
    return words, pieces, np.concatenate([word_idf, piece_idf])


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
    rows: sparse.csr_matrix,
    truth: Ints,
    labels: int,
    *,
    weight: NDArray[Any] | None = None,
    uniform: bool = False,
) -> tuple[Floats, Floats]:
    """The logarithm of how often each label has each word; only differences count."""
    counter = MultinomialNB(alpha=_SMOOTHING, fit_prior=not uniform)
    counter.fit(rows, truth, sample_weight=weight)
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


def _balance(truth: Ints, labels: tuple[str, ...]) -> NDArray[Any]:
    counts = np.bincount(truth, minlength=len(labels))
    return np.asarray((counts[truth] / counts.max()) ** -_BALANCE)


# ── calibrating ─────────────────────────────────────────────────────────────────────────────────


class _HeldOut:
    """What the voices of trial models said of texts that they had not seen."""

    def __init__(self, texts: int) -> None:
        self._voices: list[Floats] = []
        self._of_base: Floats | None = None
        self.known = np.zeros(texts, dtype=bool)

    def put(self, asked: NDArray[np.bool_], model: Model, texts: Sequence[str]) -> None:
        reading = model.read(texts)
        of_base = None if reading.base is None else reading.base.probabilities
        voices = model.opinions(reading.rows, of_base)
        if not self._voices:
            self._voices = [self._room(voice) for voice in voices]
            self._of_base = None if of_base is None else self._room(of_base)
        for kept, voice in zip(self._voices, voices, strict=True):
            kept[asked] = voice
        if self._of_base is not None and of_base is not None:
            self._of_base[asked] = of_base
        self.known |= asked

    def _room(self, like: Floats) -> Floats:
        return np.zeros((len(self.known), like.shape[1]), dtype=np.float32)

    def of_known(self) -> tuple[list[Floats], Floats | None]:
        """What each voice said, and what the base model did."""
        of_base = None if self._of_base is None else self._of_base[self.known]
        return [voice[self.known] for voice in self._voices], of_base


def _calibrated(
    model: Model,
    said: _HeldOut,
    truth: Ints,
    weight: NDArray[Any],
    *,
    glimpsed: _HeldOut | None = None,
    version: str,
    examples: int,
) -> Model:
    """
    The model with its shares, figures and what was held out to set thresholds by. `glimpsed` is
    what was said of the same texts, of which little was shown; by that it is less sure.
    """
    known = said.known
    truth, weight = truth[known], weight[known]
    if len(truth) == 0:
        return replace(model, version=version, examples=examples)
    told = said.of_known()
    model = replace(model, shares=_best_shares(told[0], model.prior, truth, weight))
    if glimpsed is not None:
        told = glimpsed.of_known()
        heard = np.log(model.mixed(*told) + 1e-9)
        none = np.zeros(len(model.labels), dtype=np.float32)
        model = replace(model, caution=_best_shares([heard], none, truth, weight)[0])
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
) -> tuple[float, ...]:
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
        np.full(len(voices), _SHARE),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.01, 3.0)] * len(voices),
    ).x
    return tuple(float(share) for share in found)


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
