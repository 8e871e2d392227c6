"""
Who is who: a complaint's id and the reference that a resident reads out.

Both are functions of what the channel knows, so that a complaint told twice is the same
complaint with the same reference.
"""

import base64
import hashlib
import hmac
import re
from uuid import NAMESPACE_URL, UUID, uuid5

_COMPLAINTS = uuid5(NAMESPACE_URL, "urn:buckstop:complaint")
_FACTS = uuid5(NAMESPACE_URL, "urn:buckstop:fact")

# Crockford's base32: no I, L, O, U, so that nothing is misheard or misread.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {letter: value for value, letter in enumerate(ALPHABET)}
_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0"})
_LETTERS = 7


def complaint_id(channel: str, external_id: str) -> UUID:
    """The id of what a channel calls `external_id`; the same for ever."""
    return uuid5(_COMPLAINTS, f"{channel}\n{external_id}")


def fact_id(*parts: object) -> UUID:
    """The id of a fact that follows from others, so that telling it again changes nothing."""
    return uuid5(_FACTS, "\n".join(str(part) for part in parts))


def mint_reference(secret: bytes, complaint: UUID, attempt: int = 0) -> str:
    """
    The reference of a complaint, as `7KQ-2MX-94`: seven letters that nobody without the secret
    can foretell, and a check letter. `attempt` gives another one when a reference is taken.
    """
    told = complaint.bytes if attempt == 0 else complaint.bytes + attempt.to_bytes(2, "big")
    digest = int.from_bytes(hmac.digest(secret, told, hashlib.sha256)[:8], "big")
    letters = "".join(ALPHABET[(digest >> (5 * place)) & 31] for place in range(_LETTERS))
    return _grouped(letters + _check_letter(letters))


def read_reference(typed: str) -> str | None:
    """
    The reference that somebody typed or read out, in its one written form; None if it is none.

    Forgiving about case, blanks, dashes and the letters that look like digits; the check letter
    catches one wrong letter and two neighbours swapped.
    """
    letters = re.sub(r"[^0-9A-Z]", "", typed.upper()).translate(_MISREAD)
    if len(letters) != _LETTERS + 1 or any(letter not in _VALUE for letter in letters):
        return None
    return _grouped(letters) if _check_letter(letters[:-1]) == letters[-1] else None


def notice_token(secret: bytes, notice: UUID) -> str:
    """
    What proves that a mail answers a notice of ours: 39 letters and digits in lower case, for the
    reply address, the bounce address and the Message-ID of that notice.
    """
    return base64.b32encode(notice.bytes + _seal(secret, notice)).decode().rstrip("=").lower()


def read_notice_token(secret: bytes, token: str) -> UUID | None:
    """The notice that a token was signed for; None if it was not, whatever it looks like."""
    try:
        told = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
    except ValueError:
        return None
    if len(told) != 16 + _SEAL:
        return None
    notice = UUID(bytes=told[:16])
    return notice if hmac.compare_digest(told[16:], _seal(secret, notice)) else None


_SEAL = 8  # bytes


def _seal(secret: bytes, notice: UUID) -> bytes:
    return hmac.digest(secret, b"notice" + notice.bytes, hashlib.sha256)[:_SEAL]


def _check_letter(letters: str) -> str:
    # Luhn's sum, modulo 32 instead of 10.
    total = 0
    for place, letter in enumerate(reversed(letters)):
        value = _VALUE[letter] * (2 if place % 2 == 0 else 1)
        total += value // 32 + value % 32
    return ALPHABET[-total % 32]


def _grouped(letters: str) -> str:
    return f"{letters[:3]}-{letters[3:6]}-{letters[6:]}"
