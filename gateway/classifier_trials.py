"""What the classifier reaches on labelled complaints: taught by some, or cold from day one."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router.classify import Model
from router.figures import Confusion, Figures, figures, worst
from router.labelled import Row
from router.models import Lesson, learn_history
from router.rules import City

BATCH = 128


@dataclass(frozen=True)
class Trial:
    """How a model did on some texts."""

    model: Model
    figures: Figures
    own_types: Figures | None
    """As if only the types that occur in the file could be answered; None where all of them do."""
    types: int
    """How many types occur in the file."""
    confusions: tuple[Confusion, ...]
    unknown: int
    """Texts that were left out, because their type is none that the model could answer."""
    milliseconds: float
    """CPU for each text, in batches."""
    taught_by: int


def lessons_in(rows: Sequence[Row]) -> list[Lesson]:
    """What rows of a file teach, each as much as another."""
    return [Lesson(row.problem_type, row.text, place=row.place) for row in rows]


def taught(base: Model, rows: Sequence[Row], city: City) -> Model:
    """The model that these rows teach, on top of `base`."""
    return learn_history(lessons_in(rows), base, city)


def trial(
    model: Model, rows: Sequence[Row], *, taught_by: int = 0, types: Sequence[str] = ()
) -> Trial:
    """
    Asks the model about these rows. `types` are those that occur in the file, where that is more
    than in the rows. Raises ValueError when no row has a type that the model knows.
    """
    known = set(model.labels)
    asked = [row for row in rows if row.problem_type in known]
    if not asked:
        raise ValueError("No line has a type that the classifier knows.")
    texts = [row.text for row in asked]
    truth = [row.problem_type for row in asked]
    model.read(texts[:1])
    began = time.process_time()
    probabilities = np.concatenate(
        [
            model.read(texts[start : start + BATCH]).probabilities
            for start in range(0, len(texts), BATCH)
        ]
    )
    spent = time.process_time() - began
    there = {name for name in (*types, *truth) if name in known}
    own = None
    if there != known:
        among = np.array([label in there for label in model.labels])
        part = probabilities * among
        own = figures(part / part.sum(axis=1, keepdims=True), model.labels, truth)
    guessed = [model.labels[place] for place in probabilities.argmax(axis=1).tolist()]
    return Trial(
        model=model,
        figures=figures(probabilities, model.labels, truth),
        own_types=own,
        types=len(there),
        confusions=tuple(worst(truth, guessed)),
        unknown=len(rows) - len(asked),
        milliseconds=spent / len(texts) * 1000,
        taught_by=taught_by,
    )


def unknown_types(model: Model, rows: Sequence[Row]) -> Counter[str]:
    """The types of rows that the model cannot answer, and how many rows have them."""
    known = set(model.labels)
    return Counter(row.problem_type for row in rows if row.problem_type not in known)
