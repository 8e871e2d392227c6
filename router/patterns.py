"""
Patterns: sentences with choices in them, from which a city's written examples are spun.

A folder of text files that people write with an editor (docs/city.md says how). One line stands
for as many sentences as its longest choice has words; each word of a choice comes up at least
once, and the same files always give the same sentences.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

AROUND = {
    "before": ("en", 0),
    "behind": ("en", 1),
    "antes": ("es", 0),
    "después": ("es", 1),
}
"""Headings of `around.txt`: what people say before and behind a problem, in each language."""

_FEWEST, _MOST = 3, 10

Tree = tuple["str | Choice | Word", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    ways: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Word:
    name: str


@dataclass(frozen=True, slots=True)
class Pattern:
    problem_type: str
    language: str
    line: str
    tree: Tree
    where: str
    """File and line, for whoever has to mend it."""


@dataclass(frozen=True)
class Patterns:
    """A folder of patterns, read and checked."""

    patterns: tuple[Pattern, ...] = ()
    words: Mapping[str, tuple[Tree, ...]] = field(default_factory=dict)
    around: Mapping[str, tuple[tuple[Tree, ...], tuple[Tree, ...]]] = field(default_factory=dict)
    """For each language, what may stand before and behind a problem."""

    def sentences(self, pattern: Pattern) -> list[str]:
        """The sentences that one pattern stands for."""
        chance = random.Random(pattern.line)  # noqa: S311  # nothing is secret here
        longest = max(
            (len(part.ways) for part in pattern.tree if isinstance(part, Choice)), default=1
        )
        count = (
            1
            if len(pattern.tree) == 1 and isinstance(pattern.tree[0], str)
            else max(_FEWEST, min(_MOST, longest))
        )
        turns: dict[int, list[int]] = {}
        for place, part in enumerate(pattern.tree):
            if isinstance(part, Choice):
                order = list(range(len(part.ways)))
                chance.shuffle(order)
                turns[place] = order
        told: list[str] = []
        for number in range(count):
            parts = [
                self._said(part.ways[turns[place][number % len(part.ways)]], chance)
                if isinstance(part, Choice)
                else self._said((part,), chance)
                for place, part in enumerate(pattern.tree)
            ]
            told.append(_tidy("".join(parts)))
        return list(dict.fromkeys(told))

    def surrounding(self, language: str, side: int, chance: random.Random) -> str:
        """Something to say before (0) or behind (1) any problem; empty where nothing is written."""
        ways = self.around.get(language, ((), ()))[side]
        return _tidy(self._said(chance.choice(ways), chance)) if ways else ""

    def _said(self, tree: Tree, chance: random.Random) -> str:
        parts = []
        for part in tree:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, Choice):
                parts.append(self._said(chance.choice(part.ways), chance))
            else:
                parts.append(self._said(chance.choice(self.words[part.name]), chance))
        return "".join(parts)


_SPACES = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r"\s+([,.!?;:])")


def _tidy(text: str) -> str:
    return _BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text)).strip()


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def load_patterns(folder: Path, faults: list[str]) -> Patterns:
    """The patterns of a folder; what is wrong with them is added to `faults` in sentences."""
    patterns: list[Pattern] = []
    words: dict[str, list[Tree]] = {}
    around: dict[str, tuple[list[Tree], list[Tree]]] = {}
    used: list[tuple[str, str]] = []
    for path in sorted(folder.glob("*.txt")):
        for where, heading, language, line in _lines(path, faults):
            try:
                tree = parsed(line)
            except ValueError as error:
                faults.append(f"{where}: {error}.")
                continue
            used.extend((where, name) for name in _words_in(tree))
            if path.name == "words.txt":
                words.setdefault(heading, []).append(tree)
            elif path.name == "around.txt":
                if heading not in AROUND:
                    known = ", ".join(AROUND)
                    faults.append(f'{where}: "{heading}" is none of {known}.')
                    continue
                spoken, side = AROUND[heading]
                around.setdefault(spoken, ([], []))[side].append(tree)
            else:
                patterns.append(Pattern(heading, language, line, tree, where))
    faults.extend(
        f"{where}: {{{name}}} is no word of words.txt." for where, name in used if name not in words
    )
    return Patterns(
        patterns=tuple(patterns),
        words={name: tuple(trees) for name, trees in words.items()},
        around={spoken: (tuple(one), tuple(two)) for spoken, (one, two) in around.items()},
    )


def _lines(path: Path, faults: list[str]) -> Iterator[tuple[str, str, str, str]]:
    """Where, under which heading, in which language, what: for each line that says something."""
    name = f"patterns/{path.name}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{name} cannot be read: {error}.")
        return
    heading, language = "", "en"
    for number, row in enumerate(text.splitlines(), start=1):
        line = row.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(("== ", "= ")):
            heading, language = line.lstrip("= "), "en"
        elif line.startswith("-- "):
            language = line[3:].strip()
        elif not heading:
            faults.append(f"{name}, line {number}: stands under no heading.")
        else:
            yield f"{name}, line {number}", heading, language, line


def parsed(line: str) -> Tree:
    """
    A line as a tree; raises ValueError for brackets that do not close.

    >>> parsed("[big|deep] hole {where}")
    (Choice(ways=(('big',), ('deep',))), ' hole ', Word(name='where'))
    """
    tree, end = _sequence(line, 0, inside=False)
    if end != len(line):
        raise ValueError(f'"{line[end]}" in column {end + 1} closes nothing')
    return tree


def _sequence(line: str, start: int, *, inside: bool) -> tuple[Tree, int]:
    parts: list[str | Choice | Word] = []
    text = ""
    place = start
    while place < len(line):
        letter = line[place]
        if letter == "]" or (inside and letter == "|"):
            break
        if letter in "[{" and text:
            parts.append(text)
            text = ""
        if letter == "[":
            choice, place = _choice(line, place)
            parts.append(choice)
        elif letter == "{":
            end = line.find("}", place)
            if end < 0:
                raise ValueError(f'"{{" in column {place + 1} is never closed')
            parts.append(Word(line[place + 1 : end]))
            place = end + 1
        else:
            text += letter
            place += 1
    if text:
        parts.append(text)
    return tuple(parts), place


def _choice(line: str, start: int) -> tuple[Choice, int]:
    ways = []
    place = start
    while True:
        tree, place = _sequence(line, place + 1, inside=True)
        ways.append(tree)
        if place >= len(line):
            raise ValueError(f'"[" in column {start + 1} is never closed')
        if line[place] == "]":
            return Choice(tuple(ways)), place + 1


def _words_in(tree: Tree) -> Iterator[str]:
    for part in tree:
        if isinstance(part, Word):
            yield part.name
        elif isinstance(part, Choice):
            for way in part.ways:
                yield from _words_in(way)
