"""More than a mail is told from a mail before anything takes it apart, and fast."""

import time
from collections.abc import Callable

import pytest

from channels.mail_limits import Limits, too_much

HEAD = b"From: a@example.org\r\nSubject: x\r\n"


def nested(levels: int) -> bytes:
    return HEAD + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(levels)
    )


def with_parts(parts: int) -> bytes:
    return HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * parts


def to(people: int) -> bytes:
    named = b",\r\n ".join(b'"Doe, J%d" <j%d@example.org>' % (one, one) for one in range(people))
    return HEAD + b"To: " + named + b"\r\n\r\nx"


PARAMETERS = b"Content-Type: text/plain" + b"".join(b"; a%d=b" % one for one in range(20_000))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: nested(2000), "deep"),
        (lambda: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 2000, "deep"),
        (lambda: with_parts(50_000), "parts"),
        (lambda: to(101), "recipients"),
        (lambda: to(20_000), "headers"),
        (lambda: HEAD + PARAMETERS + b"\r\n\r\nx", "one of its headers"),
        (lambda: with_parts(1) + b"--x\r\n" + PARAMETERS + b"\r\n\r\nx", "one of its headers"),
        (lambda: HEAD + b"X: " + b"a\r\n " * 100_000 + b"\r\n\r\nx", "headers"),
        (lambda: bytes(range(256)) * 4000, "headers"),
        (lambda: HEAD + b"\r\n" + b"x" * 40_000_000, "MB"),
    ],
)
def test_too_much_is_named(make: Callable[[], bytes], word: str) -> None:
    raw = make()
    started = time.process_time()
    reason = too_much(raw)
    assert reason is not None
    assert word in reason
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        HEAD + b"\r\nx",
        nested(19),
        with_parts(199),
        to(100),
        HEAD + b"\r\n" + b"--not\n" * 50_000,
        HEAD + b"\r\n" + b"long line without end " * 100_000,
        # A thread quoted again and again is deep only in words.
        HEAD + b"\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 100,
    ],
)
def test_a_mail_is_not_too_much(raw: bytes) -> None:
    assert too_much(raw) is None


def test_limits_are_the_callers() -> None:
    assert too_much(with_parts(3), Limits(parts=2)) == "it has more than 2 parts"
