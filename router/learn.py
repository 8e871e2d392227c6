"""
Makes the model that `classify.py` answers with: learned from a city's written examples.

Pure, and alone with scikit-learn: learning takes it seconds and hundreds of megabytes, once, so
`models.py` runs this file as a process of its own and the router's process never loads it.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.linalg as linalg
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from router.classify import Floats, Model, Reader, normal, packed, pieces_of, softmax, words_of

_FOLDS = 3
_STRENGTH = 10.0


def main() -> None:
    """Reads the order on stdin (see `models.py`), writes the model to stdout."""
    order = json.load(sys.stdin)
    model = train(
        [(problem_type, text) for problem_type, text in order["examples"]],
        order["departments"],
        precision=order["precision"],
        version=order["version"],
    )
    sys.stdout.buffer.write(packed(model))


def train(
    examples: Sequence[tuple[str, str]],
    departments: Mapping[str, str],
    *,
    precision: float,
    version: str = "",
) -> Model:
    """
    A model of `examples`, pairs of problem type and text.

    `departments` says where each type goes. The threshold is the lowest at which, on examples
    that it did not see, the share of sure guesses that reach the right department is at least
    `precision`.
    """
    plain = [normal(text) for _, text in examples]
    labels = tuple(sorted({problem_type for problem_type, _ in examples}))
    places = {label: place for place, label in enumerate(labels)}
    truth = np.array([places[problem_type] for problem_type, _ in examples])
    homes = sorted({departments[label] for label in labels})
    groups = np.array([homes.index(departments[label]) for label in labels])

    words, word_idf = _vocabulary([words_of(text) for text in plain], rarest=1)
    pieces, piece_idf = _vocabulary(
        [[piece for chunk in text.split() for piece in pieces_of(chunk)] for text in plain],
        rarest=2,
    )
    idf = np.concatenate([word_idf, piece_idf])
    rows = Reader(words, pieces, idf).rows(plain)
    basis = _basis(rows)

    scores = _unseen_scores(basis, truth, len(labels))
    temperature = _temperature(scores, truth)
    probabilities = softmax(scores / temperature)
    first = probabilities.argmax(axis=1)
    best = np.argsort(-probabilities, axis=1)[:, :3]
    trust = (probabilities @ (groups[:, None] == groups[None, :]))[np.arange(len(first)), first]
    right = groups[first] == groups[truth]
    threshold, reached, coverage = _threshold(trust, right, precision)

    weights, bias = _fit(basis, truth, len(labels))
    return Model(
        version=version,
        labels=labels,
        groups=tuple(groups.tolist()),
        words=words,
        pieces=pieces,
        idf=idf,
        weights=_unfolded(rows, basis, weights),
        bias=bias,
        temperature=temperature,
        threshold=threshold,
        precision=reached,
        coverage=coverage,
        accuracy=float((first == truth).mean()),
        top3=float((best == truth[:, None]).any(axis=1).mean()),
    )


def _vocabulary(texts: Sequence[Sequence[str]], *, rarest: int) -> tuple[tuple[str, ...], Floats]:
    """What stands in at least `rarest` texts, and how telling each is: the rarer, the more."""
    seen = Counter(term for terms in texts for term in set(terms))
    kept = tuple(sorted(term for term, count in seen.items() if count >= rarest))
    counts = np.array([seen[term] for term in kept], dtype=np.float32)
    return kept, np.log((1 + len(texts)) / (1 + counts)) + 1


def _basis(rows: sparse.csr_matrix) -> Floats:
    """
    The same examples in as many dimensions as there are examples, angles and lengths kept.

    A ridge-penalised model only ever uses the space that the examples span. There are twenty
    times as many words as examples, so learning in that space is many times faster and ends
    at the same weights.
    """
    likeness = (rows @ rows.T).toarray().astype(np.float64)
    likeness[np.diag_indices_from(likeness)] += 1e-6
    basis = linalg.cholesky(likeness, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(basis, dtype=np.float32)


def _unfolded(rows: sparse.csr_matrix, basis: Floats, weights: Floats) -> Floats:
    """The weights of `basis` as weights of words and pieces."""
    duals = linalg.solve_triangular(basis, weights, lower=True, trans="T", check_finite=False)
    return np.ascontiguousarray(rows.T @ duals, dtype=np.float32)


def _fit(basis: Floats, truth: NDArray[np.int_], classes: int) -> tuple[Floats, Floats]:
    model = LogisticRegression(C=_STRENGTH, max_iter=60, tol=1e-3).fit(basis, truth)
    weights = np.zeros((basis.shape[1], classes), dtype=np.float32)
    bias = np.full(classes, -30.0, dtype=np.float32)
    if len(model.classes_) == 2:
        weights[:, model.classes_] = np.concatenate([-model.coef_, model.coef_]).T / 2
        bias[model.classes_] = np.array([-1.0, 1.0]) * model.intercept_ / 2
    else:
        weights[:, model.classes_] = model.coef_.T
        bias[model.classes_] = model.intercept_
    return weights, bias


def _unseen_scores(basis: Floats, truth: NDArray[np.int_], classes: int) -> Floats:
    """What a model says of each example that was trained without it."""
    scores = np.zeros((len(truth), classes), dtype=np.float32)
    # Every fold gets its part of each type, in the order in which the examples stand.
    fold = np.zeros(len(truth), dtype=np.int_)
    for label in range(classes):
        own = np.flatnonzero(truth == label)
        fold[own] = np.arange(len(own)) % _FOLDS
    for number in range(_FOLDS):
        seen, unseen = fold != number, fold == number
        weights, bias = _fit(basis[seen], truth[seen], classes)
        scores[unseen] = basis[unseen] @ weights + bias
    return scores


def _temperature(scores: Floats, truth: NDArray[np.int_]) -> float:
    """By what to divide the scores so that a probability of 0.7 is right seven times in ten."""
    candidates = np.geomspace(0.2, 5, 60)
    rows = np.arange(len(truth))
    losses = [
        -float(np.log(softmax(scores / candidate)[rows, truth] + 1e-9).mean())
        for candidate in candidates
    ]
    return float(candidates[int(np.argmin(losses))])


def _threshold(
    trust: NDArray[np.floating], right: NDArray[np.bool_], precision: float
) -> tuple[float, float, float]:
    order = np.argsort(-trust, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= precision)
    if len(good) == 0:
        return 1.1, 0.0, 0.0  # never sure: no threshold is good enough
    last = int(good[-1])
    return float(trust[order[last]]), float(share[last]), (last + 1) / len(order)


if __name__ == "__main__":
    main()
