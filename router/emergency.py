"""
Whether a text speaks of danger: phrases that a city lists, and phrases that only sound like it.

Pure, and no judge: a hit puts the case on top of every list and 911 before everybody's eyes; it
neither sends nobody nor keeps anything from being filed.
"""

import re
from collections.abc import Iterable

from router.classify import normal

_GAP = r"(?:\W+\w+){0,4}?\W+"


class EmergencyWords:
    """The phrases of one city, made ready for looking."""

    def __init__(self, phrases: Iterable[str], exceptions: Iterable[str] = ()) -> None:
        self._phrases = _any_of(phrases)
        self._exceptions = _any_of(exceptions)

    def found_in(self, text: str) -> str | None:
        """The first phrase of danger in a text, as it stands there; None if there is none."""
        plain = normal(text)
        if self._exceptions is not None:
            plain = self._exceptions.sub(" , ", plain)
        found = self._phrases.search(plain) if self._phrases is not None else None
        return found[0] if found else None


def _any_of(phrases: Iterable[str]) -> re.Pattern[str] | None:
    patterns = sorted({_pattern(phrase) for phrase in phrases if phrase.strip()}, key=len)
    return re.compile(rf"\b(?:{'|'.join(reversed(patterns))})\b") if patterns else None


def _pattern(phrase: str) -> str:
    parts = [
        r"\W+".join(re.escape(word) for word in part.split())
        for part in normal(phrase).split("...")
        if part.strip()
    ]
    return _GAP.join(parts)
