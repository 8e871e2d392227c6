"""
Whether a text speaks of danger that is there now: the words are the city's, in `emergency.toml`.

Pure, and no judge: a hit puts the case on top of every list and 911 before everybody's eyes; it
neither sends anybody nor keeps anything from being filed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from router.phrases import (
    BETWEEN,
    BadPhrase,
    Pattern,
    any_of,
    compiled,
    fold,
    phrase_pattern,
)

_SENTENCE_ENDS = re.compile(r"[.!?\n]+")


class Danger(NamedTuple):
    """What was heard."""

    kind: str
    """`fire`, `gas`, …: as the city calls it."""
    words: str
    """As they stand in the text, in small letters and without accents."""


class DangerWords(Protocol):
    """What a city has written down of one kind of danger."""

    @property
    def kind(self) -> str: ...
    @property
    def lasting(self) -> bool: ...
    @property
    def phrases(self) -> Sequence[str]: ...


class WrittenDown(Protocol):
    """What a city has written down: `emergency.toml`."""

    @property
    def except_(self) -> Sequence[str]: ...
    @property
    def over(self) -> Sequence[str]: ...
    @property
    def long_over(self) -> Sequence[str]: ...
    @property
    def now(self) -> Sequence[str]: ...
    @property
    def unreal(self) -> Sequence[str]: ...
    @property
    def lists(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def danger(self) -> Sequence[DangerWords]: ...


class EmergencyWords:
    """A city's words of danger, made ready for looking; making them ready takes half a second."""

    def __init__(self, written: WrittenDown) -> None:
        lists = written.lists
        self._except = any_of(written.except_, lists)
        self._over = any_of(written.over, lists)
        self._long_over = any_of(written.long_over, lists)
        self._now = any_of(written.now, lists)
        self._unreal = _just_before(written.unreal, lists)
        self._kinds = [
            (danger.kind, danger.lasting, pattern)
            for danger in written.danger
            if (pattern := any_of(danger.phrases, lists)) is not None
        ]
        self._any = any_of(
            (phrase for danger in written.danger for phrase in danger.phrases), lists
        )

    def found_in(self, text: str) -> Danger | None:
        """The first danger that a text speaks of; None where it speaks of none."""
        plain = fold(text)
        # Nearly every text ends here, after one look.
        if self._any is None or self._any.search(plain) is None:
            return None
        if self._except is not None:
            plain = self._except.sub(" , ", plain)
        for sentence in _SENTENCE_ENDS.split(plain):
            for danger in self._in_sentence(sentence):
                return danger
        return None

    def _in_sentence(self, sentence: str) -> Iterator[Danger]:
        for kind, lasting, pattern in self._kinds:
            for found in pattern.finditer(sentence):
                if self._is_over(sentence, lasting=lasting):
                    break
                if lasting or not _has(self._unreal, sentence[: found.start()]):
                    yield Danger(kind, found.group())

    def _is_over(self, sentence: str, *, lasting: bool) -> bool:
        past = _has(self._long_over, sentence) or (not lasting and _has(self._over, sentence))
        return past and not _has(self._now, sentence)


def faults(written: WrittenDown) -> Iterator[str]:
    """A sentence for each phrase that cannot be looked for."""
    named = {
        "except": written.except_,
        "over": written.over,
        "long_over": written.long_over,
        "now": written.now,
        "unreal": written.unreal,
    }
    named |= {f"list {name}": words for name, words in written.lists.items()}
    named |= {f'danger "{danger.kind}"': danger.phrases for danger in written.danger}
    for where, phrases in named.items():
        for phrase in phrases:
            try:
                phrase_pattern(phrase, written.lists)
            except BadPhrase as reason:
                yield f"{where}: {reason}."


def _just_before(phrases: Sequence[str], lists: Mapping[str, Sequence[str]]) -> Pattern | None:
    patterns = sorted({phrase_pattern(phrase, lists) for phrase in phrases})
    if not patterns:
        return None
    return compiled(rf"\b(?:{'|'.join(patterns)})(?:{BETWEEN}\w+){{0,2}}{BETWEEN}$")


def _has(pattern: Pattern | None, text: str) -> bool:
    return pattern is not None and pattern.search(text) is not None
