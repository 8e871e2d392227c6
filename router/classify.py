"""
What a complaint is about: two linear models over words and pieces of words, and how sure they are.

Pure: texts in, guesses out. One model draws lines between the types, the other weighs odds; they
err in different ways, and what they say is mixed and calibrated. A model that a city's history
taught stands on the one that the written examples taught (`base`), and remembers the complaints
that taught it: those that are most alike have a say besides (`Near`). `learn.py` makes models;
answering needs no more than arrays.
"""

import re
import unicodedata
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

# People say what is wrong early on; a novel is not read to its end.
READ = 3_000

_ALTERNATIVES = 3
# "by the" and the number of a house may count, but nobody is wiser for reading them.
_TELLS = re.compile(r"[^\W\d_]{4,}")
_REASON_WORDS = 4

Floats = NDArray[np.float32]

# How far from a line between two types a text has to lie to be far; what `learn.py` fits is how
# much that says.
_MARGIN = 0.15
_FLOOR = 1e-4
# So many complaints that are alike are asked what they were; a type that none of them has is not
# out of the question.
_NEAREST = 15
_DOUBT = 0.02
_COMPARED = 64
BASE_WEIGHT = 0.1
"""How much the base model's opinion counts among words and pieces, before anything is learned."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a model thinks of one text."""

    ranked: tuple[tuple[str, float], ...]
    """Problem types with their probabilities, most likely first: enough for a choice and three
    alternatives."""
    words: tuple[str, ...]
    """What spoke for the first one, strongest first."""
    sure: bool
    """Whether the first one may stand without a person's look."""

    def probability_of(self, problem_type: str) -> float | None:
        """The probability of one of the ranked types; None for all others."""
        return dict(self.ranked).get(problem_type)


@dataclass(frozen=True)
class Linear:
    """One row of weights for each word and piece, one column for each label."""

    weights: Floats
    bias: Floats
    margins: bool
    """Whether the scores are distances from lines; else they are logarithms of probabilities."""

    def scores(self, rows: sparse.csr_matrix, besides: Floats | None = None) -> Floats:
        scores = rows @ self.weights + self.bias
        if besides is not None:
            scores = scores + besides
        if self.margins:
            scores = -np.logaddexp(0, -scores / _MARGIN)
        return np.asarray(scores, dtype=np.float32)


@dataclass(frozen=True)
class Near:
    """Complaints whose type is known: a new one is likely to be what the most alike ones were."""

    rows: sparse.csr_matrix
    """Words and pieces, a row for each complaint."""
    of_base: Floats
    """What the base model makes of each (`opinion`); no columns without a base model."""
    truth: NDArray[np.int16]
    weight: Floats
    """How much each counts: what a person corrected, more than what nobody looked at."""

    @cached_property
    def _by_word(self) -> sparse.csr_matrix:
        return self.rows.T.tocsr()

    def scores(self, rows: sparse.csr_matrix, of_base: Floats, labels: int) -> Floats:
        """For each label the logarithm of its share among those that are most alike."""
        shares = np.zeros((rows.shape[0], labels), dtype=np.float32)
        most = min(_NEAREST, len(self.truth))
        # Few at a time: what is compared takes room for each text and each complaint known.
        for start in range(0, rows.shape[0], _COMPARED):
            part = slice(start, start + _COMPARED)
            alike = (rows[part] @ self._by_word).toarray() + of_base[part] @ self.of_base.T
            nearest = np.argpartition(-alike, most - 1, axis=1)[:, :most]
            say = np.maximum(np.take_along_axis(alike, nearest, axis=1), 0) ** 2
            say *= self.weight[nearest]
            for place, (truths, told) in enumerate(zip(self.truth[nearest], say, strict=True)):
                shares[start + place] = np.bincount(truths, weights=told, minlength=labels)
        shares /= shares.sum(axis=1, keepdims=True) + _FLOOR
        return np.asarray(np.log(shares + _DOUBT), dtype=np.float32)


@dataclass(frozen=True)
class HeldOut:
    """What a model said of examples that it had not seen, and what they were."""

    truth: NDArray[np.int16]
    probabilities: Floats
    weight: Floats
    """How often such a complaint comes."""


@dataclass(frozen=True)
class Model:
    """A trained model: plain arrays and words, so that it can be kept without pickle."""

    version: str
    source: str
    """`written`: a city's examples taught it; `history`: its complaints did."""
    labels: tuple[str, ...]
    words: tuple[str, ...]
    pieces: tuple[str, ...]
    idf: Floats
    lines: Linear
    odds: Linear
    prior: Floats
    """For each label the logarithm of how often it comes, where that was not learned besides."""
    shares: tuple[float, ...]
    """
    How much each voice has to say (`opinions`): so much that a probability of 0.7 is right seven
    times in ten.
    """
    held_out: HeldOut
    examples: int
    """How many texts taught it."""
    base: "Model | None" = None
    base_weights: Floats | None = None
    """The parts of `lines` and, behind them, of `odds` that are about the base model's opinion."""
    often: Floats | None = None
    """For each label how often it comes, for each time that the base model expects one."""
    strange: tuple[str, ...] = ()
    """Labels that nobody told of, and only the base model knows."""
    strangeness: float = 1.0
    """How often they all come, for each time that the base model expects one of them."""
    caution: float = 1.0
    """Below 1 it is less sure of everything, and ranks it the same way."""
    base_trust: float = 1.0
    """The power of the base model's probabilities at which they were right as often as they say."""
    near: Near | None = None
    """Complaints that taught it, to be compared with; a model of written examples has none."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What it reached on texts that it had not seen, by the names of `figures.Figures`."""

    @cached_property
    def _reader(self) -> "Reader":
        return Reader(self.words, self.pieces, self.idf)

    @cached_property
    def _base_places(self) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Which labels of the base model are which of ours."""
        ours = {label: place for place, label in enumerate(self.labels)}
        theirs = self.base.labels if self.base else ()
        both = [(place, ours[label]) for place, label in enumerate(theirs) if label in ours]
        return np.array([one for one, _ in both], int), np.array([two for _, two in both], int)

    def read(self, texts: Sequence[str]) -> "Reading":
        """What the model makes of texts; a batch costs a fraction of as many single ones."""
        plain = [normal(text) for text in texts]
        return self._read(plain)

    def _read(self, plain: Sequence[str]) -> "Reading":
        rows = self._reader.rows(plain)
        base = self.base._read(plain) if self.base else None
        of_base = None if base is None else base.probabilities
        return Reading(self, rows, self.mixed(self.opinions(rows, of_base), of_base), base)

    def taken_over(self, of_base: Floats) -> Floats:
        """The base model's probabilities, of the labels that are also ours."""
        theirs, ours = self._base_places
        taken = np.zeros((len(of_base), len(self.labels)), dtype=np.float32)
        taken[:, ours] = of_base[:, theirs]
        return taken

    @cached_property
    def _strange(self) -> NDArray[np.bool_]:
        return np.isin(self.labels, self.strange)

    def opinions(self, rows: sparse.csr_matrix, of_base: Floats | None) -> list[Floats]:
        """
        What is mixed: for each voice the logarithms of its probabilities. The lines, the odds;
        where there are such, the base model and the complaints that are most alike. `of_base` is
        what the base model said, in its order.
        """
        labels = len(self.labels)
        besides = np.zeros((rows.shape[0], 0), dtype=np.float32)
        on_lines, on_odds = None, None
        if of_base is not None and self.base_weights is not None:
            besides = opinion(of_base)
            said = besides @ self.base_weights
            on_lines, on_odds = said[:, :labels], said[:, labels:]
        voices = [
            logarithms(self.lines.scores(rows, on_lines)),
            logarithms(self.odds.scores(rows, on_odds)),
        ]
        if of_base is not None:
            expected = self.taken_over(of_base)
            if self.often is not None:
                expected = expected * self.often
            voices.append(logarithms(np.log(expected + _FLOOR)))
        if self.near is not None:
            voices.append(logarithms(self.near.scores(rows, besides, labels)))
        return voices

    def mixed(self, voices: Sequence[Floats], of_base: Floats | None) -> Floats:
        """One probability for each text and label."""
        told = sum(
            (share * voice for share, voice in zip(self.shares, voices, strict=True)),
            start=self.prior,
        )
        told = self.caution * told
        if of_base is None or not self.strange:
            return softmax(told)
        # What nobody told of was not learned: there the base model is asked, and how often
        # something new came up at all.
        strange = self._strange
        told = np.where(strange, -np.inf, told)
        trusted = softmax(self.base_trust * np.log(self.taken_over(of_base) + 1e-9))
        among = trusted[:, strange].sum(axis=1, keepdims=True)
        chances = self.strangeness * among / np.maximum(1 - among, 1e-6)
        new = chances / (1 + chances)
        probabilities = softmax(told) * (1 - new)
        probabilities[:, strange] = new * trusted[:, strange] / np.maximum(among, 1e-9)
        return np.asarray(probabilities, dtype=np.float32)


@dataclass(frozen=True)
class Reading:
    """What a model made of some texts."""

    model: Model
    rows: sparse.csr_matrix
    probabilities: Floats
    base: "Reading | None"

    def empty(self, number: int) -> bool:
        """Whether there was nothing in a text that the model knows."""
        known = self.rows.indptr[number] != self.rows.indptr[number + 1]
        return not known and (self.base is None or self.base.empty(number))

    def words_for(self, number: int, label: str) -> tuple[str, ...]:
        """The words of a text that spoke for a label, strongest first."""
        found: list[str] = []
        shares = self._shares(number, label)
        for word in sorted(shares, key=lambda word: -shares[word])[: 3 * _REASON_WORDS]:
            # "pothole" says it already when "big pothole" comes next.
            repeats = any(word in held or held in word for held in found)
            if shares[word] > 0 and not repeats and _TELLS.search(word):
                found.append(word)
        return tuple(found[:_REASON_WORDS])

    def _shares(self, number: int, label: str) -> dict[str, float]:
        model = self.model
        shares = self.base._shares(number, label) if self.base else {}
        if label in model.labels:
            start, end = self.rows.indptr[number], self.rows.indptr[number + 1]
            columns = self.rows.indices[start:end]
            told = columns < len(model.words)
            columns = columns[told]
            weights = model.lines.weights[columns, model.labels.index(label)]
            for column, share in zip(
                columns.tolist(), (self.rows.data[start:end][told] * weights).tolist(), strict=True
            ):
                word = model.words[column]
                shares[word] = shares.get(word, 0.0) + share
        return shares


class Classifier:
    """A model in the hands of a city, which says where its types go and how sure it has to be."""

    def __init__(self, model: Model, departments: Mapping[str, str], *, precision: float) -> None:
        """
        `departments` says for each type that may be answered where it goes; other types of the
        model are never answered.
        """
        self.model = model
        self._open = np.array([label in departments for label in model.labels], dtype=np.float32)
        if not self._open.any():
            raise ValueError(f"{model.version} knows none of the city's types")
        # Being wrong between two types of one department costs nobody a day.
        homes = [departments.get(label, label) for label in model.labels]
        known = {home: place for place, home in enumerate(dict.fromkeys(homes))}
        groups = np.array([known[home] for home in homes])
        self._members = np.asarray(groups[:, None] == groups[None, :], dtype=np.float32)
        self.threshold, self.precision, self.coverage = self._threshold(groups, precision)
        self._places = {label: place for place, label in enumerate(model.labels)}

    def guess(
        self,
        texts: Sequence[str],
        *,
        chosen: Sequence[tuple[str, float] | None] = (),
    ) -> list[Guess]:
        """
        What each text is about.

        `chosen` names, for a text, the type that somebody chose and how often such a choice is
        right: it weighs in, and is among the ranked, however unlikely.
        """
        if not texts:
            return []
        reading = self.model.read(texts)
        probabilities = self._among_open(reading.probabilities)
        wanted: list[int | None] = [None] * len(texts)
        for number, choice in enumerate(chosen):
            if choice and (place := self._places.get(choice[0])) is not None:
                wanted[number] = place
                probabilities[number] = weighed(probabilities[number], place, choice[1])
        trust = probabilities @ self._members
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : _ALTERNATIVES + 1]

        guesses = []
        for number, best in enumerate(order.tolist()):
            choice_place = wanted[number]
            if choice_place is not None and choice_place not in best:
                best.append(choice_place)
            # Nothing to read is nothing to be sure of, whatever the most common type is.
            sure = choice_place is not None or not reading.empty(number)
            guesses.append(
                Guess(
                    ranked=tuple(
                        (self.model.labels[place], round(float(probabilities[number, place]), 4))
                        for place in best
                    ),
                    words=reading.words_for(number, self.model.labels[best[0]]),
                    sure=sure and bool(trust[number, best[0]] >= self.threshold),
                )
            )
        return guesses

    def _among_open(self, probabilities: Floats) -> Floats:
        among = (probabilities + 1e-9) * self._open
        return np.asarray(among / among.sum(axis=1, keepdims=True), dtype=np.float32)

    def _threshold(self, groups: NDArray[np.int_], precision: float) -> tuple[float, float, float]:
        """
        From which probability of its department on a guess is sure; the share of such guesses
        that were right among those held out, and how many of all they were.
        """
        held = self.model.held_out
        if len(held.truth) == 0:
            return 1.1, 0.0, 0.0
        probabilities = self._among_open(held.probabilities)
        first = probabilities.argmax(axis=1)
        trust = (probabilities @ self._members)[np.arange(len(first)), first]
        return lowest_threshold(trust, groups[first] == groups[held.truth], held.weight, precision)


# ── probabilities ───────────────────────────────────────────────────────────────────────────────


def softmax(scores: NDArray[np.floating]) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def logarithms(scores: NDArray[np.floating]) -> Floats:
    """The logarithms of the probabilities that scores stand for."""
    near = scores - scores.max(axis=1, keepdims=True)
    total = np.log(np.exp(near).sum(axis=1, keepdims=True))
    return np.asarray(near - total, dtype=np.float32)


def opinion(probabilities: Floats) -> Floats:
    """A model's probabilities as features for another."""
    logarithms = np.log(probabilities + _FLOOR)
    return np.asarray(
        BASE_WEIGHT * (logarithms - logarithms.mean(axis=1, keepdims=True)), dtype=np.float32
    )


def weighed(probabilities: Floats, chosen: int, right: float) -> Floats:
    """
    One text's probabilities, after somebody chose a type; such choices are right in a share
    `right` of all cases, and fall on any other type in equal parts of the rest.
    """
    others = max(1, len(probabilities) - 1)
    evidence = np.full(len(probabilities), (1 - right) / others, dtype=np.float32)
    evidence[chosen] = right
    after = np.maximum(probabilities, 1e-6) * evidence
    return np.asarray(after / after.sum(), dtype=np.float32)


def lowest_threshold(
    trust: NDArray[np.floating],
    right: NDArray[np.bool_],
    weight: NDArray[np.floating],
    precision: float,
) -> tuple[float, float, float]:
    """
    The lowest trust from which on a share of at least `precision` was right; that share, and the
    share of all that it covers. Out of reach: a threshold above 1.
    """
    order = np.argsort(-trust, kind="stable")
    covered = np.cumsum(weight[order])
    share = np.cumsum((weight * right)[order]) / np.maximum(covered, 1e-9)
    good = np.flatnonzero(share >= precision)
    if len(good) == 0:
        return 1.1, 0.0, 0.0
    last = int(good[-1])
    return float(trust[order[last]]), float(share[last]), float(covered[last] / covered[-1])


# ── reading text ────────────────────────────────────────────────────────────────────────────────

_MARKS = re.compile(r"[\u0300-\u036f]")
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")
_LONG = re.compile(r"\S{60,}")
_NUMBERS = re.compile(r"\d{2,}(?!st|nd|rd|th)\d*")


def normal(text: str) -> str:
    """
    A text as the model reads it: its beginning, small letters, no accents, numbers alike.

    >>> normal("¡Árbol  caído en 1109 S Arlington!")
    '¡arbol caido en 00 s arlington!'
    """
    plain = unicodedata.normalize("NFKD", text[:READ].lower())
    plain = _BLANKS.sub(" ", _MARKS.sub("", plain))
    # No word is that long: what is, are links and keyboard noise, at a cost in pieces.
    return _NUMBERS.sub("00", _LONG.sub(" ", plain))[:READ].strip()


_TOKENS = re.compile(r"\w\w+")
_SHORTEST, _LONGEST = 3, 4
_REMEMBERED = 20_000


def words_of(plain: str) -> list[str]:
    """Single words and neighbours."""
    tokens = _TOKENS.findall(plain)
    return tokens + [f"{one} {two}" for one, two in pairwise(tokens)]


def pieces_of(word: str) -> list[str]:
    """Three or four letters in a row, the blanks around the word counted in: robust to typos."""
    padded = f" {word} "
    return [
        padded[start : start + length]
        for length in range(_SHORTEST, min(_LONGEST, len(padded)) + 1)
        for start in range(len(padded) - length + 1)
    ]


class Reader:
    """Turns texts into rows of numbers, for a fixed set of words and pieces."""

    def __init__(self, words: Sequence[str], pieces: Sequence[str], idf: Floats) -> None:
        self._words = {word: place for place, word in enumerate(words)}
        self._pieces = {piece: place for place, piece in enumerate(pieces, start=len(words))}
        self._idf = idf
        # People use the same words all day: their pieces are looked up once.
        self._columns: dict[str, tuple[int, ...]] = {}

    def rows(self, plain: Sequence[str]) -> sparse.csr_matrix:
        """TF-IDF with the logarithm of the count; words and pieces each of length one."""
        columns = array("i")
        ends = [0]
        for text in plain:
            columns.extend(self._words[word] for word in words_of(text) if word in self._words)
            for chunk in text.split():
                columns.extend(self._piece_columns(chunk))
            ends.append(len(columns))
        rows = sparse.csr_matrix(
            (
                np.ones(len(columns), dtype=np.float32),
                np.frombuffer(columns, dtype=np.int32) if columns else np.zeros(0, np.int32),
                np.array(ends, dtype=np.int32),
            ),
            shape=(len(plain), len(self._idf)),
            copy=True,
        )
        rows.sum_duplicates()
        weights = (1 + np.log(rows.data)) * self._idf[rows.indices]
        # Each row has two halves; each half is brought to length one.
        half = 2 * np.repeat(np.arange(len(plain)), np.diff(rows.indptr))
        half += rows.indices >= len(self._words)
        squares = np.bincount(half, weights=weights * weights, minlength=2 * len(plain))
        rows.data = (weights / np.sqrt(squares[half])).astype(np.float32)
        return rows

    def _piece_columns(self, chunk: str) -> tuple[int, ...]:
        known = self._columns.get(chunk)
        if known is None:
            if len(self._columns) >= _REMEMBERED:
                self._columns.clear()
            known = tuple(
                self._pieces[piece] for piece in pieces_of(chunk) if piece in self._pieces
            )
            self._columns[chunk] = known
        return known
