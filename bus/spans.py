"""
Traces as OpenTelemetry has them: a span for each hop of each complaint.

A complaint's id is its trace id. So every hop knows the trace from the fact itself, however many
messages share its batch and whatever became of the headers; these tell who is whose parent. No
attribute holds more than `_about` and its callers write: ids, references, subjects, counts, and
the names of errors and outcomes.
"""

import os
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import time_ns
from typing import TypeVar
from uuid import UUID

from nats.aio.msg import Msg
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bus.contracts import (
    CanaryFact,
    CaseFact,
    ComplaintReceived,
    DeadLetter,
    Fact,
    IncidentFact,
    MessageSetAside,
)
from bus.identity import complaint_id
from bus.pull import deliveries
from bus.traces import TRACEPARENT, Asking, Travelling

T = TypeVar("T")
Attributes = dict[str, str | int]

_W3C = TraceContextTextMapPropagator()
_NOWHERE = Context()
_MOST = 20  # spans of one request: it may close many cases at once
_RANDOM_BITS = 56  # of an id; the others hold its version


@dataclass(frozen=True)
class _About:
    """What a fact or message speaks of."""

    trace: UUID
    """The complaint, or the case."""
    keys: tuple[UUID, ...]
    """Ids by which it is found among the messages in hand, the surest first."""
    attributes: Attributes


class _Hop:
    """Who is being answered: the messages of a batch, each with its span."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.each: list[SpanContext] = []
        self.own: dict[UUID, SpanContext] = {}
        """By the id of the message, and of what was said to follow from it."""
        self.named: dict[UUID, SpanContext] = {}
        """By what the message speaks of; the last one that does."""

    def add(self, about: _About, context: SpanContext) -> None:
        self.each.append(context)
        self.own[about.keys[0]] = context
        for key in about.keys:
            self.named[key] = context

    def parent_of(self, about: _About) -> SpanContext | None:
        """None: nobody here is known to be its cause. Invalid: who it is, is not recorded."""
        for known in (self.own, self.named):
            for key in about.keys:
                if key in known:
                    return known[key]
        return self.each[0] if len(self.each) == 1 else None


class _Request(_Hop):
    """A request, which becomes a hop of every complaint that something is told of meanwhile."""

    def __init__(self, recorder: "Spans", name: str, attributes: Attributes, link: SpanContext):
        super().__init__("web")
        self.open: dict[UUID, Span] = {}
        self._recorder = recorder
        self._name = name
        self._attributes = attributes
        self._links = [Link(link)] if link.is_valid else []
        self._began = time_ns()

    def parent_of(self, about: _About) -> SpanContext | None:
        if about.trace in self.own or len(self.open) >= _MOST:
            return self.own.get(about.trace)
        span = self._recorder.begin(
            self._name,
            SpanKind.SERVER,
            about,
            self._attributes,
            service=self.service,
            began=self._began,
            links=self._links,
            alone=True,
        )
        if span is not None:
            self.open[about.trace] = span
        self.own[about.trace] = _context_of(span)
        return self.own[about.trace]


_HOP: ContextVar[_Hop | None] = ContextVar("hop", default=None)


class Spans:
    """
    A `bus.traces.Recorder`. `sample` is the share of complaints that are recorded, each with all
    its hops; `processors` get the spans, and are the caller's to end.
    """

    def __init__(self, processors: Sequence[SpanProcessor], *, sample: float = 1.0) -> None:
        self._processors = processors
        self._below = round(sample * (1 << _RANDOM_BITS))
        self._ids = _Ids()
        self._tracers: dict[str, Tracer] = {}

    # ── the hops ────────────────────────────────────────────────────────────────────────────────

    def asking(self, method: str, route: str, headers: Mapping[str, str]) -> Asking:
        """
        While a request is answered. A trace that its sender began is linked, no more: anybody may
        send such a header.
        """
        theirs = _read(headers.get(TRACEPARENT))
        attributes: Attributes = {"http.request.method": method, "http.route": route}
        return _Answering(_Request(self, f"{method} {route}", attributes, theirs))

    @contextmanager
    def taking_in(self, messages: Iterable[tuple[str, str]]) -> Iterator[None]:
        outer = _HOP.get()
        hop = _Hop(outer.service if outer else "channels")
        spans = []
        for channel, external_id in messages:
            id_ = complaint_id(channel, external_id)
            about = _About(id_, (id_,), {"buckstop.complaint_id": str(id_)})
            span = self.begin(f"take in {channel}", SpanKind.INTERNAL, about, service=hop.service)
            hop.add(about, _context_of(span))
            spans.append(span)
        with _ended(spans), _in(hop):
            yield

    @contextmanager
    def telling(self, facts: Sequence[Fact], letters: Sequence[Travelling]) -> Iterator[None]:
        spans = []
        for fact, letter in zip(facts, letters, strict=True):
            buried = fact.headers.get(TRACEPARENT) if isinstance(fact, DeadLetter) else None
            span = self.begin(
                f"tell {fact.subject}",
                SpanKind.PRODUCER,
                _about(fact),
                _sent(letter, len(letters)),
                parent=_read(buried) if buried else None,
            )
            if span is not None:
                letter.headers[TRACEPARENT] = _written(span)
            spans.append(span)
        with _ended(spans):
            yield

    @contextmanager
    def hearing(self, durable: str, heard: Sequence[tuple[Msg, Fact]]) -> Iterator[None]:
        hop = _Hop(durable.partition("_")[0])
        spans = []
        for message, fact in heard:
            about = _about(fact)
            told = (message.headers or {}).get(TRACEPARENT)
            span = self.begin(
                f"hear {fact.subject}",
                SpanKind.CONSUMER,
                about,
                {
                    "messaging.system": "nats",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": message.subject,
                    "messaging.consumer.group.name": durable,
                    "messaging.batch.message_count": len(heard),
                    "buckstop.tries": deliveries(message),
                },
                service=hop.service,
                parent=_read(told) if told else None,
            )
            hop.add(about, _context_of(span))
            spans.append(span)
        with _ended(spans), _in(hop):
            yield

    @contextmanager
    def answering(self, facts: Sequence[Fact]) -> Iterator[None]:
        whole = _HOP.get()
        if whole is None:
            yield
            return
        hop = _Hop(whole.service)
        for fact in facts:
            if (context := whole.own.get(fact.message_id)) is not None:
                hop.add(_about(fact), context)
        with _in(hop):
            yield

    def because(self, cause: Fact, told: Sequence[Fact]) -> None:
        hop = _HOP.get()
        if hop is not None and (context := hop.own.get(cause.message_id)) is not None:
            for fact in told:
                hop.own[fact.message_id] = context

    @contextmanager
    def within(self, name: str, system: str) -> Iterator[None]:
        hop = _HOP.get()
        attributes: Attributes = {
            "db.system.name": system,
            "buckstop.batch": len(hop.each) if hop else 0,
        }
        spans = [
            self.begin(name, SpanKind.CLIENT, None, attributes, parent=context)
            for context in (hop.each if hop else ())
        ]
        with _ended(spans):
            yield

    async def sending(self, sender: str, notice: UUID, work: Awaitable[T]) -> T:
        hop = _HOP.get()
        context = hop.own.get(notice) if hop else None
        span = self.begin(f"send by {sender}", SpanKind.CLIENT, None, parent=context)
        with _ended([span]):
            outcome = await work
            if span is not None:
                span.set_attribute("buckstop.outcome", type(outcome).__name__.lower())
            return outcome

    def keeping(self, facts: Sequence[Fact]) -> Sequence[str | None]:
        return [self._kept(_about(fact), fact.subject) for fact in facts]

    @contextmanager
    def relaying(self, letters: Sequence[Travelling]) -> Iterator[None]:
        spans = []
        for letter in letters:
            if (kept := letter.headers.get(TRACEPARENT)) is None:
                continue
            noun, _, rest = letter.subject.partition(".")
            span = self.begin(
                f"relay {noun}.{rest.partition('.')[0]}",
                SpanKind.PRODUCER,
                None,
                _sent(letter, len(letters)),
                service="store",
                parent=_read(kept),
            )
            if span is not None:
                letter.headers[TRACEPARENT] = _written(span)
            spans.append(span)
        with _ended(spans):
            yield

    # ── spans ───────────────────────────────────────────────────────────────────────────────────

    def begin(
        self,
        name: str,
        kind: SpanKind,
        about: _About | None,
        attributes: Attributes | None = None,
        *,
        service: str = "",
        parent: SpanContext | None = None,
        began: int | None = None,
        links: Sequence[Link] = (),
        alone: bool = False,
    ) -> Span | None:
        """
        A span that has begun; None where the trace is not recorded. Its parent is `parent`, or
        whom of those in hand it follows from, or nobody: then it begins the trace of what it is
        `about`, as it does when `alone`.
        """
        hop = None if alone else _HOP.get()
        if parent is not None and not parent.is_valid:
            parent = None
        if parent is None and hop is not None and about is not None:
            parent = hop.parent_of(about)
        if parent is not None:
            if not parent.trace_flags.sampled:
                return None
            where = set_span_in_context(NonRecordingSpan(parent), _NOWHERE)
        elif about is not None and self._takes(about.trace):
            self._ids.trace = about.trace.int
            where = _NOWHERE
        else:
            return None
        service = service or (hop.service if hop else "buckstop")
        return self._tracer(service).start_span(
            name,
            where,
            kind,
            (about.attributes if about else {}) | (attributes or {}),
            links,
            began,
        )

    def _kept(self, about: _About, subject: str) -> str | None:
        hop = _HOP.get()
        if hop is not None and (context := hop.parent_of(about)) is not None:
            return _written(NonRecordingSpan(context)) if context.trace_flags.sampled else None
        # Nobody asked for it: the store itself found that it was time.
        span = self.begin(f"keep {subject}", SpanKind.INTERNAL, about, service="store", alone=True)
        if span is None:
            return None
        span.end()
        return _written(span)

    def _takes(self, trace: UUID) -> bool:
        return trace.int & ((1 << _RANDOM_BITS) - 1) < self._below

    def _tracer(self, service: str) -> Tracer:
        tracer = self._tracers.get(service)
        if tracer is None:
            provider = TracerProvider(
                ALWAYS_ON,  # what is not to be recorded is never begun
                Resource.create(
                    {
                        "service.name": f"buckstop-{service}" if service != "buckstop" else service,
                        "service.namespace": "buckstop",
                        "service.instance.id": f"{os.uname().nodename}:{os.getpid()}",
                    }
                ),
                shutdown_on_exit=False,
                id_generator=self._ids,
            )
            for processor in self._processors:
                provider.add_span_processor(processor)
            tracer = self._tracers[service] = provider.get_tracer("buckstop")
        return tracer


class _Ids(RandomIdGenerator):
    """The id of a trace that begins is that of what it is about."""

    def __init__(self) -> None:
        self.trace = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def is_trace_id_random(self) -> bool:
        return False


@dataclass
class _Answering:
    """See `Spans.asking`."""

    request: _Request
    status: int = field(default=500)

    def __enter__(self) -> "_Answering":
        self._before = _HOP.set(self.request)
        return self

    def answered(self, status: int) -> None:
        self.status = status

    def __exit__(self, *error: object) -> None:
        _HOP.reset(self._before)
        for span in self.request.open.values():
            span.set_attribute("http.response.status_code", self.status)
            if self.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            span.end()


@contextmanager
def _in(hop: _Hop) -> Iterator[None]:
    before = _HOP.set(hop)
    try:
        yield
    finally:
        _HOP.reset(before)


@contextmanager
def _ended(spans: Sequence[Span | None]) -> Iterator[None]:
    """Ends the spans together. Of an error only its name is written down: words may quote."""
    failed = ""
    try:
        yield
    except BaseException as error:
        failed = type(error).__name__
        raise
    finally:
        for span in spans:
            if span is not None:
                if failed:
                    span.set_attribute("error.type", failed)
                    span.set_status(Status(StatusCode.ERROR))
                span.end()


def _context_of(span: Span | None) -> SpanContext:
    """Where `span` is None, a context that says: not recorded."""
    return INVALID_SPAN_CONTEXT if span is None else span.get_span_context()


def _read(header: str | None) -> SpanContext:
    if header is None:
        return INVALID_SPAN_CONTEXT
    return get_current_span(_W3C.extract({TRACEPARENT: header}, _NOWHERE)).get_span_context()


def _written(span: Span) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(span, _NOWHERE))
    return carrier[TRACEPARENT]


def _sent(letter: Travelling, together: int) -> Attributes:
    return {
        "messaging.system": "nats",
        "messaging.operation.type": "send",
        "messaging.destination.name": letter.subject,
        "messaging.batch.message_count": together,
    }


def _about(fact: Fact) -> _About:
    attributes: Attributes = {}
    values = vars(fact)  # asked for by name, pydantic would take its time to say that it lacks one
    complaint: UUID | None = values.get("complaint_id")
    case_id: UUID | None = values.get("case_id")
    reference: str | None = values.get("reference")
    if isinstance(fact, ComplaintReceived | MessageSetAside):
        complaint = fact.message_id
    elif isinstance(fact, CanaryFact):
        complaint = fact.canary
    elif isinstance(fact, CaseFact):
        case_id, reference = fact.case.case_id, fact.case.reference
    elif isinstance(fact, IncidentFact):
        case_id, reference = fact.incident.case_id, fact.incident.reference
    if complaint is not None:
        attributes["buckstop.complaint_id"] = str(complaint)
    if case_id is not None:
        attributes["buckstop.case_id"] = str(case_id)
    if reference:
        attributes["buckstop.reference"] = reference
    keys = (fact.message_id, values.get("notice_id"), complaint, case_id)
    return _About(
        trace=complaint or case_id or fact.message_id,
        keys=tuple(key for key in keys if key is not None),
        attributes=attributes,
    )
