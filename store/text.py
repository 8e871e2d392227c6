"""What PostgreSQL cannot hold, or search, is mended here, at the store's edge."""

import math
import re
import unicodedata

from pydantic_core import PydanticSerializationError, to_json

_MOST_SEARCHED = 50_000  # characters; a tsvector has an end, and nobody searches past it


def clean(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL characters and halves of surrogate pairs."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def clean_or_none(text: str | None) -> str | None:
    """`clean`, where there may be no text."""
    return None if text is None else clean(text)


def to_jsonb(value: object) -> str:
    """JSON that `jsonb` takes."""
    try:
        told = _json(value)
    except PydanticSerializationError:  # halves of surrogate pairs
        return _json(_cleaned(value))
    return _json(_cleaned(value)) if "\\u0000" in told else told


def _json(value: object) -> str:
    return to_json(value, inf_nan_mode="null", fallback=str).decode()


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def point(lat: float | None, lon: float | None) -> tuple[float, float] | None:
    """The point, if it lies on the Earth."""
    if lat is None or lon is None or not (math.isfinite(lat) and math.isfinite(lon)):
        return None
    return (lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else None


def folded(text: str) -> str:
    """Lower case without accents, so that `arbol` finds `árbol`."""
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return text.lower()


def searchable(*parts: str | None, phone: str | None = None) -> str:
    """One text of everything by which a case can be found."""
    words = [folded(part[:_MOST_SEARCHED]) for part in parts if part]
    if phone:
        digits = re.sub(r"\D", "", phone)
        words += [digits, digits[-10:], digits[-7:]]
    return clean(" ".join(words))[: 2 * _MOST_SEARCHED]


def phone_digits(words: str) -> str | None:
    """The digits, where somebody searches for a phone number."""
    if re.fullmatch(r"[\d\s()+./-]+", words) is None:
        return None
    digits = re.sub(r"\D", "", words)
    return digits if 7 <= len(digits) <= 15 else None
