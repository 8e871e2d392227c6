"""
A complaint's text as words that know where they stand and how they are parted.

Pure. Offsets are those of the text as it was written, so that a place is shown in its writer's own
words.
"""

import re
from enum import IntEnum
from functools import lru_cache

from router.place_words import fold

LONGEST = 4_000
"""Letters that are read: a place stands early in what people write."""

_WORD = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+|[^\W\d_]+(?:['’´`][^\W\d_]+)*", re.IGNORECASE)

# A full stop behind one of these ends an abbreviation, not a sentence.
_SHORT = frozenset(
    "n s e w ne nw se sw no so st str ave av rd dr ct ln blvd ter terr cir pl pkwy hwy rt rte apt "
    "bldg blk ste mt ft u us mo m i sr esq num".split()
)


class Gap(IntEnum):
    """How a word is parted from the one before it, from nothing to a new sentence."""

    NONE = 0
    SPACE = 1
    WRAP = 2
    """A line's end, which mails put anywhere."""
    HYPHEN = 3
    COMMA = 4
    """Or brackets, a dash, quotation marks."""
    SIGN = 5
    """`&`, `/`, `@` or `+`, which join two streets."""
    HARD = 6


class Sentence:
    """The words of a text. `words` are folded; the lists run side by side."""

    __slots__ = ("capital", "ends", "gaps", "shouting", "signs", "starts", "text", "words")

    def __init__(self, text: str) -> None:
        self.text = text = text[:LONGEST]
        found = [(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]
        self.words: list[str] = [_plain(raw) for raw, _, _ in found]
        self.starts: list[int] = [start for _, start, _ in found]
        self.ends: list[int] = [end for _, _, end in found]
        self.signs: list[str] = []
        """What stands between a word and the one before it."""
        self.gaps: list[Gap] = []
        last = 0
        for place, start in enumerate(self.starts):
            between = text[last:start]
            gap, sign = _gap(between)
            if gap is Gap.HARD and sign == "." and place and self.words[place - 1] in _SHORT:
                gap = Gap.WRAP if "\n" in between else Gap.SPACE
            self.gaps.append(gap)
            self.signs.append(sign)
            last = self.ends[place]
        if self.gaps:
            self.gaps[0] = Gap.HARD
        letters = sum(map(len, self.words))
        self.shouting = 2 * sum(map(str.isupper, text)) > letters > 0
        self.capital: list[bool] = (
            [False] * len(found) if self.shouting else [raw[0].isupper() for raw, _, _ in found]
        )

    def __len__(self) -> int:
        return len(self.words)

    def written(self, start: int, end: int) -> str:
        """The words from `start` up to `end` as they were written, on one line."""
        return " ".join(self.text[self.starts[start] : self.ends[end - 1]].split())

    def parted(self, place: int, by: Gap) -> bool:
        """Whether the word at `place` is parted from the one before by at least so much."""
        return place >= len(self.words) or self.gaps[place] >= by

    def before(self, place: int, count: int) -> str:
        """Up to `count` words before `place`, of the same sentence, with a blank around each."""
        first = place
        while first > 0 and place - first < count and self.gaps[first] < Gap.HARD:
            first -= 1
        return f" {' '.join(self.words[first:place])} "


sentence_of = lru_cache(maxsize=256)(Sentence)
"""The words of a text; a batch is read for its places and then for whom they concern."""


@lru_cache(maxsize=4096)
def _plain(raw: str) -> str:
    plain = fold(raw)
    for mark in "'’´`":
        plain = plain.replace(mark, "")
    return plain


@lru_cache(maxsize=1024)
def _gap(between: str) -> tuple[Gap, str]:
    bare = between.strip()
    return _kind_of(between, bare), bare


def _kind_of(between: str, bare: str) -> Gap:
    if not bare:
        if "\n" in between:
            return Gap.HARD if between.count("\n") > 1 else Gap.WRAP
        return Gap.SPACE if between else Gap.NONE
    if bare in ("&", "/", "@", "+", "&amp;"):
        return Gap.SIGN
    if bare in ("-", "–", "#", "'", "’", "`") and between == bare:
        return Gap.HYPHEN
    if any(mark in bare for mark in ".!?;:…|•*"):
        return Gap.HARD
    return Gap.COMMA
