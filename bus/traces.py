"""
Traces as the services see them: where a hop begins and where it ends.

What records them (`bus/spans.py`) is loaded only where an operator asked for it. While nobody did,
each of these is one comparison for a batch.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar
from uuid import UUID

from nats.aio.msg import Msg

from bus.contracts import Fact

TRACEPARENT = "traceparent"
"""The header of W3C Trace Context, as it travels with every fact while traces are recorded."""

T = TypeVar("T")
Hop = AbstractContextManager[None]


class Travelling(Protocol):
    """A fact on its way, with headers that can still be written."""

    @property
    def subject(self) -> str: ...
    @property
    def headers(self) -> dict[str, str]: ...


class Recorder(Protocol):
    """What each of the functions below does while traces are recorded."""

    def asking(self, method: str, route: str, headers: Mapping[str, str]) -> "Asking": ...
    def taking_in(self, messages: Iterable[tuple[str, str]]) -> Hop: ...
    def telling(self, facts: Sequence[Fact], letters: Sequence[Travelling]) -> Hop: ...
    def hearing(self, durable: str, heard: Sequence[tuple[Msg, Fact]]) -> Hop: ...
    def answering(self, facts: Sequence[Fact]) -> Hop: ...
    def because(self, cause: Fact, told: Sequence[Fact]) -> None: ...
    def within(self, name: str, system: str) -> Hop: ...
    async def sending(self, sender: str, notice: UUID, work: Awaitable[T]) -> T: ...
    def keeping(self, facts: Sequence[Fact]) -> Sequence[str | None]: ...
    def relaying(self, letters: Sequence[Travelling]) -> Hop: ...


class Asking(Protocol):
    """A request that is being answered."""

    def __enter__(self) -> "Asking": ...
    def __exit__(self, *error: object) -> None: ...
    def answered(self, status: int) -> None: ...


_recorder: Recorder | None = None
_NO_HOP: Hop = nullcontext()


def switch(recorder: Recorder | None) -> None:
    """Have this process record its hops from now on, or no more."""
    global _recorder  # one for the process, as its log is
    _recorder = recorder


def recorder() -> Recorder | None:
    """What records; None while traces are off."""
    return _recorder


def taking_in(messages: Iterable[tuple[str, str]]) -> Hop:
    """While a channel keeps and tells these messages, each its channel and its external id."""
    return _NO_HOP if _recorder is None else _recorder.taking_in(messages)


def telling(facts: Sequence[Fact], letters: Sequence[Travelling]) -> Hop:
    """While facts are being stored; writes into the letters' headers what goes on from here."""
    return _NO_HOP if _recorder is None else _recorder.telling(facts, letters)


def hearing(durable: str, heard: Sequence[tuple[Msg, Fact]]) -> Hop:
    """While a listener answers these messages."""
    return _NO_HOP if _recorder is None else _recorder.hearing(durable, heard)


def answering(facts: Sequence[Fact]) -> Hop:
    """While, of the messages in hand, only these are answered: what is told follows from them."""
    return _NO_HOP if _recorder is None else _recorder.answering(facts)


def because(cause: Fact, told: Sequence[Fact]) -> None:
    """What will be told follows from this message of those in hand."""
    if _recorder is not None:
        _recorder.because(cause, told)


def within(name: str, system: str) -> Hop:
    """While all messages in hand share a piece of work on another system."""
    return _NO_HOP if _recorder is None else _recorder.within(name, system)


async def sending(sender: str, notice: UUID, work: Awaitable[T]) -> T:
    """The outcome of sending one notice; its class is all that is recorded of it."""
    return await (work if _recorder is None else _recorder.sending(sender, notice, work))


def keeping(facts: Sequence[Fact]) -> Sequence[str | None] | None:
    """What has to be kept beside facts that are told later; None while traces are off."""
    return None if _recorder is None else _recorder.keeping(facts)


def relaying(letters: Sequence[Travelling]) -> Hop:
    """While facts are stored that were kept, each with what was kept beside it."""
    return _NO_HOP if _recorder is None else _recorder.relaying(letters)
