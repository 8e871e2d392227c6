"""
Phrases that a city writes down to find in what people write: brackets, lists and gaps. Pure.

`(car|house) ... on fire` is found in "My CAR, it seems, is on fire!". They are looked for with RE2,
whose time grows with the text alone: whatever a city writes here, no text can hold the router up.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import re2

from router.sieve import Need, Needs, Sieve, how_common

READ = 3_000
"""Letters; what is wrong is said early on, and a novel is not read to its end."""

_MARKS = re.compile(r"[\u0300-\u036f]+")
_APOSTROPHES = re.compile("['’‘`´]")
_BLANKS = re.compile(r"[^\S\n]+")
_TOKEN = re.compile(r"\.\.\.|[()|]|\{\w+\}|[^\s(){}|]+")
_WORD = re.compile(r"[\w'’&@/-]+\*?")

NO_LISTS: Mapping[str, Sequence[str]] = {}

BETWEEN = r"[^\w.!?\n]+"
"""What may stand between two words of a phrase: never the end of a sentence."""
_GAP = rf"(?:{BETWEEN}\w+){{0,4}}?"
_MEMORY = 64 * 1024 * 1024
_MOST_NEEDS = 16  # of one bracket


class BadPhrase(Exception):
    """Words that are no phrase, or a pattern that is none; the sentence says why."""


class Found(Protocol):
    """What a search gives back; a part of what `re` gives."""

    def start(self) -> int: ...
    def end(self) -> int: ...
    def group(self) -> str: ...


class Pattern(Protocol):
    """A compiled search; a part of what `re` has."""

    def search(self, text: str) -> Found | None: ...
    def finditer(self, text: str) -> Iterable[Found]: ...
    def sub(self, new: str, text: str) -> str: ...


def fold(text: str) -> str:
    """
    A text as phrases are looked for in it: its beginning, small letters, no accents, no
    apostrophes; lines stay lines.

    >>> fold("¡No  RESPIRA! They can’t")
    '¡no respira! they cant'
    """
    plain = text[:READ].lower()
    if not plain.isascii():
        plain = plain.encode(errors="replace").decode()  # halves of a surrogate pair
        plain = _MARKS.sub("", unicodedata.normalize("NFKD", plain))[: 2 * READ]
    return _BLANKS.sub(" ", _APOSTROPHES.sub("", plain)).strip()


def any_of(phrases: Iterable[str], lists: Mapping[str, Sequence[str]] = NO_LISTS) -> Pattern | None:
    """
    A search for any of these phrases in a folded text; None when there are none.

    Words stand as they are, without accents or capitals. `...` is up to four words in between,
    `(a|b c)` one of several, `(a|)` perhaps one, `{people}` one of a list, `break*` every word that
    begins so. Raises `BadPhrase`.
    """
    read = sorted({_read(phrase, lists) for phrase in phrases}, key=_pattern_of)
    return _Phrases(read) if read else None


class _Phrases:
    """A `Pattern` that is looked for only where its words are."""

    def __init__(self, phrases: "Sequence[_Said]") -> None:
        self._patterns = [phrase.pattern for phrase in phrases]
        self._whole = _bounded("|".join(self._patterns))
        self._sieve = Sieve([phrase.needs for phrase in phrases])

    def search(self, text: str) -> Found | None:
        # As RE2 would: what begins first, and of two that begin there the one that it names first.
        first: Found | None = None
        for which in self._sieve.passing(text):
            found = _alone(self._patterns[which]).search(text)
            if found is not None and (first is None or found.start() < first.start()):
                first = found
        return first

    def finditer(self, text: str) -> Iterable[Found]:
        return self._whole.finditer(text) if self._sieve.passing(text) else ()

    def sub(self, new: str, text: str) -> str:
        return self._whole.sub(new, text) if self._sieve.passing(text) else text


def _bounded(patterns: str) -> Pattern:
    return compiled(rf"\b(?:{patterns})\b")


_alone = lru_cache(maxsize=512)(_bounded)


def compiled(pattern: str) -> Pattern:
    """A regular expression of RE2's. Raises `BadPhrase` with RE2's reason."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        made: Pattern = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "cannot be read"
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise BadPhrase(said) from error
    return made


class _Said(NamedTuple):
    """A phrase, or a piece of one."""

    pattern: str
    needs: Needs


def phrase_pattern(phrase: str, lists: Mapping[str, Sequence[str]] = NO_LISTS) -> str:
    """The regular expression for one phrase. Raises `BadPhrase`."""
    return _read(phrase, lists).pattern


def _read(phrase: str, lists: Mapping[str, Sequence[str]]) -> _Said:
    tokens = _TOKEN.findall(phrase)
    if "".join(tokens) != "".join(phrase.split()):
        raise BadPhrase(f'"{phrase}" has a brace that is not closed')
    said, may_lack, rest = _one_of(tokens, phrase, lists)
    if rest:
        raise BadPhrase(f'"{phrase}" closes a bracket that is not open')
    if may_lack:
        raise BadPhrase(f'"{phrase}" has no word that has to be there')
    return said


_Lists = Mapping[str, Sequence[str]]


def _one_of(tokens: list[str], phrase: str, lists: _Lists) -> tuple[_Said, bool, list[str]]:
    """What stands before the closing bracket, whether it may lack, and what follows it."""
    choices: list[_Said] = []
    while True:
        said, tokens = _one_after_another(tokens, phrase, lists)
        choices.append(said)
        if tokens[:1] != ["|"]:
            break
        tokens = tokens[1:]
    there = [choice for choice in choices if choice.pattern]
    if not there:
        raise BadPhrase(f'"{phrase}" has no word where one has to be')
    return _either(there), len(there) < len(choices), tokens


def _either(choices: Sequence[_Said]) -> _Said:
    if len(choices) == 1:
        return choices[0]
    # `a b|c` needs a or c, and b or c.
    needs: Needs = (frozenset(),) if all(choice.needs for choice in choices) else ()
    for choice in choices:
        few = len(needs) * len(choice.needs) <= _MOST_NEEDS
        theirs = choice.needs if few else (min(choice.needs, key=how_common),)
        needs = tuple({need | other for need in needs for other in theirs})
    return _Said(f"(?:{'|'.join(choice.pattern for choice in choices)})", needs)


def _one_after_another(tokens: list[str], phrase: str, lists: _Lists) -> tuple[_Said, list[str]]:
    """Words that follow each other, up to a bar, a bracket or the end."""
    built, between, gap, only_maybe = "", "", False, False
    needs: list[Need] = []
    while tokens and tokens[0] not in (")", "|"):
        piece, tokens = tokens[0], tokens[1:]
        if piece == "...":
            between, gap = _GAP + BETWEEN, True
            continue
        may_lack = False
        if piece == "(":
            said, may_lack, tokens = _one_of(tokens, phrase, lists)
            if tokens[:1] != [")"]:
                raise BadPhrase(f'"{phrase}" has a bracket that is not closed')
            tokens = tokens[1:]
        else:
            said = _word(piece, phrase, lists)
        if gap and not built:
            raise BadPhrase(f'"{phrase}" has "..." where no word stands before it')
        if not may_lack:
            built, between, gap = built + between + said.pattern, BETWEEN, False
            needs += said.needs
        elif between:
            built += f"(?:{between}(?:{said.pattern}))?"
        else:
            built, only_maybe = built + f"(?:(?:{said.pattern}){BETWEEN})?", True
    if gap or (only_maybe and not between):
        raise BadPhrase(f'"{phrase}" has no word where one has to be')
    return _Said(built, tuple(needs)), tokens


@lru_cache(maxsize=256)
def _any_in(phrases: tuple[str, ...]) -> _Said:
    # A list is named in hundreds of phrases.
    return _either(sorted({_read(one, NO_LISTS) for one in phrases}, key=_pattern_of))


def _pattern_of(said: _Said) -> str:
    return said.pattern


def _word(word: str, phrase: str, lists: _Lists) -> _Said:
    if word.startswith("{"):
        name = word[1:-1]
        if not lists.get(name):
            raise BadPhrase(f'"{phrase}" names the list "{name}", which is not there')
        return _any_in(tuple(lists[name]))
    parts = re.findall(r"\w+", fold(word.removesuffix("*"))) if _WORD.fullmatch(word) else []
    if not parts:
        raise BadPhrase(f'"{phrase}": "{word}" is no word')
    begins = word.endswith("*")
    whole = parts[:-1] if begins else parts
    # What is not ASCII is no word to RE2, so the sieve does not ask for it.
    needs = [frozenset({part}) for part in whole if part.isascii()]
    if begins and parts[-1].isascii():
        needs.append(frozenset({parts[-1] + "*"}))
    return _Said(BETWEEN.join(parts) + (r"\w*" if begins else ""), tuple(needs))
