"""
Whether a mail is more than a mail: limits that hold before anything takes it apart.

A mail of a few hundred kilobytes can keep a parser busy for a quarter of an hour, so bytes are only
looked for here, never understood, and every look is linear. Pure.
"""

import re
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Limits:
    """What a mail may be at most."""

    size: int = 40_000_000
    headers: int = 256 * 1024
    """Bytes of one block of headers."""
    header: int = 32 * 1024
    """Bytes of one header."""
    parts: int = 200
    depth: int = 20
    recipients: int = 100


STANDARD = Limits()

_BLANK = re.compile(rb"\r?\n[ \t]*\r?\n")
_HEADERS = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\n]*(?:\n|\Z)|[ \t][^\n]*[^\s][^\n]*(?:\n|\Z))*")
_KIND = re.compile(rb"^content-type[ \t]*:[ \t\r\n]*([^\s;]{1,100})", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(
    rb"boundary(?:\*0?\*?)?\s*=\s*(?:\"([^\"\r\n]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE
)
_ENCODED = re.compile(rb"^content-transfer-encoding[ \t]*:[ \t]*(?:base64|quoted)", re.I | re.M)
_NAMES = re.compile(
    rb"^(?:to|cc|bcc|resent-to|resent-cc)[ \t]*:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_NEW_HEADER = re.compile(rb"\n(?![ \t])")


def too_much(raw: bytes, limits: Limits = STANDARD) -> str | None:
    """Which limit it breaks, in words; None for every mail that may be read."""
    if len(raw) > limits.size:
        return f"it has {len(raw) // 1_000_000} MB, more than {limits.size // 1_000_000}"
    start = len(raw) - len(raw.lstrip(b"\r\n"))
    blank = _BLANK.search(raw, start, start + limits.headers)
    if blank is None and len(raw) - start > limits.headers:
        return f"its headers are longer than {limits.headers // 1024} KB"
    head = raw[start : blank.end() if blank else len(raw)]
    if reason := _judge(head, limits):
        return reason
    named = sum(_named(found[1]) for found in _NAMES.finditer(head))
    if named > limits.recipients:
        return f"it names {named} recipients, more than {limits.recipients}"
    return _judge_parts(raw, head, start + len(head), limits)


def _named(value: bytes) -> int:
    return min(value.count(b"@"), max(value.count(b"<"), value.count(b",") + 1))


def _judge(head: bytes, limits: Limits) -> str | None:
    """What is too long in a block of headers."""
    if len(head) > limits.headers:
        return f"headers inside it are longer than {limits.headers // 1024} KB"
    if len(head) <= limits.header:
        return None
    starts = [0, *(found.end() for found in _NEW_HEADER.finditer(head)), len(head)]
    longest = max(end - start for start, end in pairwise(starts))
    if longest > limits.header:
        return f"one of its headers is longer than {limits.header // 1024} KB"
    return None


def _judge_parts(raw: bytes, head: bytes, at: int, limits: Limits) -> str | None:
    """Counts parts and how deep they lie, by the lines that part them."""
    open_ones: list[bytes | None] = []
    """The boundary of each multipart around here; None for a mail inside a mail."""
    parts = 0
    while True:
        while (inside := _opens(head)) is not None:
            open_ones.append(inside or None)
            if len(open_ones) > limits.depth:
                return f"its parts lie more than {limits.depth} deep"
            if inside:
                break
            head, at = _head(raw, at, limits)
            if reason := _judge(head, limits):
                return reason
        found = _next_part(raw, at, open_ones)
        if found is None:
            return None
        parts += 1
        if parts > limits.parts:
            return f"it has more than {limits.parts} parts"
        head, at = _head(raw, found, limits)
        if reason := _judge(head, limits):
            return reason


def _head(raw: bytes, at: int, limits: Limits) -> tuple[bytes, int]:
    """The headers that start here, and where what they stand above starts."""
    found = _HEADERS.match(raw, at, at + limits.headers + 1)
    end = found.end() if found else at
    head = raw[at:end]
    for blank in (b"\r\n", b"\n"):
        if raw.startswith(blank, end):
            return head, end + len(blank)
    return head, end


def _opens(head: bytes) -> bytes | None:
    """The boundary that headers promise; empty for a mail inside a mail; None for a leaf."""
    kind = _KIND.search(head)
    if kind is None:
        return None
    if kind[1].lower().startswith(b"multipart/"):
        boundary = _BOUNDARY.search(head, kind.end())
        return (boundary[1] or boundary[2]).rstrip() if boundary else None
    if kind[1].lower() in {b"message/rfc822", b"message/global"} and not _ENCODED.search(head):
        return b""
    return None


def _next_part(raw: bytes, at: int, open_ones: list[bytes | None]) -> int | None:
    """Where the next part starts; forgets what ended before it."""
    at = max(0, at - 1)
    while open_ones and (found := raw.find(b"\n--", at)) >= 0:
        at = found + 3
        end = raw.find(b"\n", at, at + 300)
        line = raw[at : end if end >= 0 else at + 300].rstrip()
        for level in range(len(open_ones) - 1, -1, -1):
            if line == open_ones[level]:
                del open_ones[level + 1 :]
                return end + 1 if end >= 0 else len(raw)
            boundary = open_ones[level]
            if boundary is not None and line == boundary + b"--":
                del open_ones[level:]
                break
    return None
