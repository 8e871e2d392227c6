"""
The process that reads mails for channels/mail_reader.py, one after another, until its input ends.

It may be killed at any moment: it holds nothing. Each message in either direction is its length in
eight bytes and then itself. It imports only what reading takes.
"""

import contextlib
import json
import os
import pickle
import resource
import signal
import struct
import sys
from typing import BinaryIO, Literal

from channels.mail_limits import Limits, too_much
from channels.mime import Mail, read_mail

LENGTH = struct.Struct(">Q")

Answer = tuple[Literal["mail"], Mail, int] | tuple[Literal["refused"], str, int]
"""The mail or why it is none to be read, and the most bytes of memory used so far."""


def main(told: str) -> None:
    settings = json.loads(told)
    seconds, memory = settings["seconds"], settings["memory"]
    own_domains, limits = frozenset(settings["own_domains"]), Limits(**settings["limits"])
    # Whoever asked stops it; a Ctrl-C is for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):  # not every system has these
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(5)
    # What a library prints must not fall between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    _say(answers, b"")
    while (raw := _hear(questions)) is not None:
        # The reader kills us long before; this is for when it is gone itself.
        signal.alarm(int(seconds) + 10)
        answer = _read(raw, own_domains, limits)
        del raw
        try:
            written = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        except MemoryError:
            written = pickle.dumps(("refused", NO_MEMORY, _peak()))
        del answer
        _say(answers, written)
        signal.alarm(0)


NO_MEMORY = "reading it takes more memory than it may"


def _read(raw: bytes, own_domains: frozenset[str], limits: Limits) -> Answer:
    try:
        if reason := too_much(raw, limits):
            return "refused", reason, _peak()
        mail = read_mail(raw, own_domains=own_domains)
    except MemoryError:
        return "refused", NO_MEMORY, _peak()
    return "mail", mail, _peak()


def _peak() -> int:
    # `ru_maxrss` of a child begins with what its parent held.
    with contextlib.suppress(OSError, StopIteration, ValueError, IndexError):
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _hear(questions: BinaryIO) -> bytes | None:
    head = questions.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return questions.read(LENGTH.unpack(head)[0])


def _say(answers: BinaryIO, answer: bytes) -> None:
    answers.write(LENGTH.pack(len(answer)))
    answers.write(answer)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
