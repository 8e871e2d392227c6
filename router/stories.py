"""
Stories: what the classifier learns from, spun from a city's written examples and patterns.

A sentence alone is how few people write. Around it they greet, complain, say where they live and
say thanks; they name the problem twice, or a second one besides. The stories do the same, with the
same words around all types alike, so that those words weigh nothing. Always the same stories come
from the same files.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from router.patterns import Patterns

ROUNDS = 2
"""How many stories are told of each sentence, besides the sentence itself."""

_AROUND = 0.6
_MORE = 0.4
_LONGEST = 6
_SECOND_PROBLEM = 0.1


class Example(Protocol):
    """A written example, as a city's `examples.jsonl` has it."""

    @property
    def problem_type(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Story:
    problem_type: str
    text: str
    source: int
    """Stories of one source have their words in common: they are learned from, or judged."""
    judged: bool = False
    """Told for judging only: a second problem comes along, as it does in some reports."""
    spun: bool = False
    """Whether it comes from a pattern, and not from an example that somebody wrote as it is."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    problem_type: str
    language: str
    text: str
    source: int
    spun: bool = False


def stories(patterns: Patterns, examples: Sequence[Example]) -> list[Story]:
    """All stories, plain sentences first."""
    sentences = _sentences(patterns, examples)
    said: dict[tuple[str, str], list[str]] = {}
    by_language: dict[str, list[_Sentence]] = {}
    for one in sentences:
        said.setdefault((one.language, one.problem_type), []).append(one.text)
        by_language.setdefault(one.language, []).append(one)

    chance = random.Random(1)  # noqa: S311  # nothing is secret here
    told = [Story(one.problem_type, one.text, one.source, spun=one.spun) for one in sentences]
    for _ in range(ROUNDS):
        told += [
            Story(one.problem_type, _told(one, patterns, said, chance), one.source, spun=one.spun)
            for one in sentences
        ]
    for one in sentences:
        text = _told(one, patterns, said, chance, by_language)
        told.append(Story(one.problem_type, text, one.source, judged=True, spun=one.spun))
    return told


def _sentences(patterns: Patterns, examples: Sequence[Example]) -> list[_Sentence]:
    found = [
        _Sentence(one.problem_type, one.language, one.text, source)
        for source, one in enumerate(examples)
    ]
    for source, pattern in enumerate(patterns.patterns, start=len(examples)):
        found += [
            _Sentence(pattern.problem_type, pattern.language, text, source, spun=True)
            for text in patterns.sentences(pattern)
        ]
    return found


def _told(
    one: _Sentence,
    patterns: Patterns,
    said: Mapping[tuple[str, str], Sequence[str]],
    chance: random.Random,
    others: Mapping[str, Sequence[_Sentence]] | None = None,
) -> str:
    parts = [one.text]
    if others is None:
        # For judging, no other sentence of its type helps it.
        same = said[one.language, one.problem_type]
        if chance.random() < _MORE:
            parts.append(chance.choice(same))
        if chance.random() < _MORE / 2:
            parts.append(chance.choice(same))
    elif chance.random() < _SECOND_PROBLEM:
        parts.append(chance.choice(others[one.language]).text)
    if chance.random() < _AROUND:
        parts.insert(0, patterns.surrounding(one.language, 0, chance))
    while chance.random() < _AROUND and len(parts) < _LONGEST:
        parts.append(patterns.surrounding(one.language, 1, chance))
    return " ".join(part for part in parts if part)
