"""
What a complaint is about: a linear model over words and pieces of words, and how sure it is.

Pure: texts in, guesses out. The model knows when it does not know, and leaves those to a person.
`learn.py` makes it from examples, once; answering needs no more than arrays.
"""

import io
import re
import unicodedata
import zipfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model thinks of one text."""

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
class Model:
    """A trained model: plain arrays and words, so that it can be kept without pickle."""

    version: str
    labels: tuple[str, ...]
    groups: tuple[int, ...]
    """Which labels go to the same department: being wrong between them costs nobody a day."""
    words: tuple[str, ...]
    pieces: tuple[str, ...]
    idf: Floats
    weights: Floats
    """One row for each word and piece, one column for each label."""
    bias: Floats
    temperature: float
    threshold: float
    """From which probability of its department on a guess is sure."""
    precision: float
    """The share of sure guesses that were right, on examples that the model had not seen."""
    coverage: float
    """The share of examples that it was sure of."""
    accuracy: float
    """The share of examples whose type it named right, sure or not."""
    top3: float

    @cached_property
    def _reader(self) -> "Reader":
        return Reader(self.words, self.pieces, self.idf)

    @cached_property
    def _members(self) -> Floats:
        """Sums the probabilities of a department's labels into each of its labels."""
        groups = np.asarray(self.groups)
        return np.asarray(groups[:, None] == groups[None, :], dtype=np.float32)

    def guess(self, texts: Sequence[str], *, known: Sequence[str | None] = ()) -> list[Guess]:
        """
        What each text is about; a batch costs a fraction of as many single texts.

        `known` names a type for a text that somebody chose: its probability is then among the
        ranked, however small.
        """
        if not texts:
            return []
        plain = [normal(text) for text in texts]
        rows = self._reader.rows(plain)
        probabilities = softmax((rows @ self.weights + self.bias) / self.temperature)
        by_department = probabilities @ self._members
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : _ALTERNATIVES + 1]
        places = {label: place for place, label in enumerate(self.labels)}

        guesses = []
        for number, best in enumerate(order.tolist()):
            first = best[0]
            wanted = places.get((known[number] if known else None) or "")
            if wanted is not None and wanted not in best:
                best.append(wanted)
            # Nothing to read is nothing to be sure of, whatever the most common type is.
            empty = rows.indptr[number] == rows.indptr[number + 1]
            guesses.append(
                Guess(
                    ranked=tuple(
                        (self.labels[place], round(float(probabilities[number, place]), 4))
                        for place in best
                    ),
                    words=self._words_for(rows, number, first),
                    sure=not empty and bool(by_department[number, first] >= self.threshold),
                )
            )
        return guesses

    def _words_for(self, rows: sparse.csr_matrix, number: int, label: int) -> tuple[str, ...]:
        start, end = rows.indptr[number], rows.indptr[number + 1]
        columns = rows.indices[start:end]
        told = columns < len(self.words)
        columns = columns[told]
        share = rows.data[start:end][told] * self.weights[columns, label]
        found: list[str] = []
        for place in np.argsort(-share)[: 3 * _REASON_WORDS].tolist():
            word = self.words[columns[place]]
            # "pothole" says it already when "big pothole" comes next.
            repeats = any(word in held or held in word for held in found)
            if share[place] > 0 and not repeats and _TELLS.search(word):
                found.append(word)
        return tuple(found[:_REASON_WORDS])


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
_SHORTEST, _LONGEST = 2, 5
_REMEMBERED = 20_000


def words_of(plain: str) -> list[str]:
    """Single words and neighbours."""
    tokens = _TOKENS.findall(plain)
    return tokens + [f"{one} {two}" for one, two in pairwise(tokens)]


def pieces_of(word: str) -> list[str]:
    """Two to five letters in a row, the blanks around the word counted in: robust to typos."""
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


def softmax(scores: NDArray[np.floating]) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


# ── keeping ─────────────────────────────────────────────────────────────────────────────────────

_FIGURES = ("temperature", "threshold", "precision", "coverage", "accuracy", "top3")


def packed(model: Model) -> bytes:
    """A model as bytes, with nothing in them that could be run."""
    file = io.BytesIO()
    np.savez(
        file,
        names=np.array(["\n".join(part) for part in (model.labels, model.words, model.pieces)]),
        version=np.array(model.version),
        groups=np.array(model.groups),
        idf=model.idf,
        weights=model.weights,
        bias=model.bias,
        figures=np.array([getattr(model, figure) for figure in _FIGURES]),
    )
    return file.getvalue()


def unpacked(kept: bytes) -> Model:
    """The model that was packed; raises ValueError or KeyError for anything else."""
    try:
        with np.load(io.BytesIO(kept), allow_pickle=False) as parts:
            labels, words, pieces = (tuple(str(part).split("\n")) for part in parts["names"])
            return Model(
                version=str(parts["version"]),
                labels=labels,
                words=words,
                pieces=pieces,
                groups=tuple(parts["groups"].tolist()),
                idf=parts["idf"],
                weights=parts["weights"],
                bias=parts["bias"],
                **dict(zip(_FIGURES, parts["figures"].tolist(), strict=True)),
            )
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"is no model: {error}") from error
