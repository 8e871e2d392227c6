"""
A text message cut to the segments that it may have: words go, references and links stay. Pure.

What can be cut are values, never the template around them; so a template whose own words fit
never makes a text that is too long.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from notifier.sms_text import length_of, to_send

LONGEST_WRITTEN = 480  # letters, more than three segments hold
LONGEST_CALLED = 120
_SHORTEST = 5  # one letter and dots say nothing

_BLANKS = re.compile(r" +(?=[ \n])")


class TooLong(Exception):
    """A text message that does not fit, whatever is cut."""


@dataclass(frozen=True)
class Short:
    """What a text message says. Everything is on one line."""

    fixed: Mapping[str, Any]
    written: Mapping[str, str]
    """What people wrote: is cut first."""
    called: Mapping[str, str]
    """What things are called: is cut when that is not enough."""
    choices: tuple[tuple[str, str], ...] = ()
    """Reference and beginning of each case that is asked about; the beginnings are cut."""

    def values(self, written: int, called: int) -> dict[str, Any]:
        """For a template, with so many letters of each."""
        return {
            **self.fixed,
            **{name: cut(words, written) for name, words in self.written.items()},
            **{name: cut(words, called) for name, words in self.called.items()},
            "choices": [
                {"number": number, "reference": reference, "words": cut(words, written)}
                for number, (reference, words) in enumerate(self.choices, start=1)
            ],
        }

    def in_gsm(self) -> "Short":
        """The same without accents and letters that GSM-7 has not."""
        return Short(
            self.fixed,
            {name: _in_gsm(words) for name, words in self.written.items()},
            {name: _in_gsm(words) for name, words in self.called.items()},
            tuple((reference, _in_gsm(words)) for reference, words in self.choices),
        )


def fitted(short: Short, fill: Callable[[dict[str, Any]], str], most: int) -> str:
    """
    The text message that a template makes of `short`, as much of it as `most` segments hold.

    Raises `TooLong` when the template alone is longer.
    """
    text = _tidy(fill(short.values(LONGEST_WRITTEN, LONGEST_CALLED)), most)
    if length_of(text).segments <= most:
        return text
    text = _cut_to_fit(short, fill, most)
    if length_of(text).encoding != "GSM-7":
        # One letter beyond GSM-7, an emoji say, takes more than half of the room. Who writes in
        # such letters keeps them; who used one of them says more without it.
        plain = _cut_to_fit(short.in_gsm(), fill, most)
        text = max(text, plain, key=lambda one: (length_of(one).segments <= most, len(one)))
    if length_of(text).segments > most:
        raise TooLong(f"longer than {most} segments, even with all that can be cut away")
    return text


def _cut_to_fit(short: Short, fill: Callable[[dict[str, Any]], str], most: int) -> str:
    def text(written: int, called: int) -> str:
        return _tidy(fill(short.values(written, called)), most)

    def fits(written: int, called: int) -> bool:
        return length_of(text(written, called)).segments <= most

    called = _most(LONGEST_CALLED, lambda room: fits(0, room))
    written = _most(LONGEST_WRITTEN, lambda room: fits(room, called))
    return text(written, called)


def _most(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that fits; 0 if none does."""
    if fits(most):
        return most
    low, high = 0, most - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def cut(line: str, room: int) -> str:
    """A line, whole or cut to the room there is."""
    if len(line) <= room:
        return line
    return line[: room - 3].rstrip(" .") + "..." if room > _SHORTEST else ""


def _tidy(text: str, most: int) -> str:
    return to_send(_BLANKS.sub("", text), most)


def _in_gsm(words: str) -> str:
    if words.isascii():
        return words
    kept = []
    for letter in words:
        bare = letter if letter.isascii() else unicodedata.normalize("NFD", letter)[0]
        kept += [one for one in (letter, bare) if length_of(one).encoding == "GSM-7"][:1]
    return "".join(kept)
