"""
Whether the words of a phrase are in a text at all, asked before its pattern is looked for. Pure.

RE2 builds its machine as it reads: of a text that it never saw, a city's hundreds of phrases cost
it a millisecond and memory that stays. Nearly no text has the words that any of them needs.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

Need = frozenset[str]
"""Words of which a text must have one; `break*` is every word that begins so."""

Needs = tuple[Need, ...]
"""What a phrase cannot be found without: one word of each."""

# As RE2 sees words: what is not ASCII stands between them.
_WORD = re.compile(r"\w+", re.ASCII)
_HEAD = 3  # letters by which beginnings are looked up


@lru_cache(maxsize=8)
def _words_of(text: str) -> frozenset[str]:
    # A text is asked about by one rule after the other.
    return frozenset(_WORD.findall(text))


class Sieve:
    """Tells which of some phrases a text may hold; it holds back only those that it cannot."""

    def __init__(self, phrases: Sequence[Needs]) -> None:
        self._by_word: dict[str, list[_Candidate]] = {}
        self._by_head: dict[str, list[tuple[str, _Candidate]]] = {}
        self._always: list[int] = []  # they need no word that we know
        for which, needs in enumerate(phrases):
            if not needs:
                self._always.append(which)
                continue
            first, *others = sorted(_strict(needs), key=how_common)
            candidate = _Candidate(which, tuple(_OneOf(need) for need in others))
            for word in first:
                if word.endswith("*"):
                    beginning = word[:-1]
                    held = self._by_head.setdefault(beginning[:_HEAD], [])
                    held.append((beginning, candidate))
                else:
                    self._by_word.setdefault(word, []).append(candidate)
        self._heads = sorted({len(head) for head in self._by_head})

    def passing(self, text: str) -> list[int]:
        """Which of the phrases, by their number, may be in this folded text."""
        words = _words_of(text)
        passing = set(self._always)
        for word in words:
            for candidate in self._by_word.get(word, ()):
                if candidate.may_be_in(words):
                    passing.add(candidate.which)
            for length in self._heads:
                for beginning, candidate in self._by_head.get(word[:length], ()):
                    if word.startswith(beginning) and candidate.may_be_in(words):
                        passing.add(candidate.which)
        return sorted(passing)


class _Candidate(NamedTuple):
    which: int
    besides: "tuple[_OneOf, ...]"

    def may_be_in(self, words: frozenset[str]) -> bool:
        return all(need.is_met(words) for need in self.besides)


class _OneOf:
    def __init__(self, need: Need) -> None:
        self._whole = frozenset(word for word in need if not word.endswith("*"))
        self._beginnings = tuple(sorted(word[:-1] for word in need if word.endswith("*")))

    def is_met(self, words: frozenset[str]) -> bool:
        return not self._whole.isdisjoint(words) or (
            bool(self._beginnings) and any(word.startswith(self._beginnings) for word in words)
        )


def _strict(needs: Needs) -> Iterable[Need]:
    # Who has one of few words has one of more.
    return (need for need in set(needs) if not any(other < need for other in needs))


def how_common(need: Need) -> float:
    """The less, the better to ask for first: few and long words are rare."""
    return sum(3.0 ** -len(word) * (2 if word.endswith("*") else 1) for word in sorted(need))
