"""
Spans on their way out: to a collector over OTLP, to a file, each by a thread of its own.

Nothing here holds up a service: what cannot be exported is dropped, and the log says so once.
"""

import asyncio
import base64
import json
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from bus.spans import Spans
from gateway.traces import TraceSettings

log = structlog.stdlib.get_logger()

_EVERY = 1000.0  # milliseconds between two exports, unless many spans wait
_AT_ONCE = 512
_MOST_WAITING = 8192  # spans; a collector that is away for long costs no more memory than these
_LAST = 3.0  # seconds for what still waits when the process ends


@asynccontextmanager
async def open_recorder(settings: TraceSettings, data: Path) -> AsyncIterator[Spans]:
    """A recorder whose spans go where the settings say; at its end they have three seconds to."""
    exporters = []
    if settings.endpoint:
        endpoint = traces_endpoint(settings.endpoint)
        exporters.append(Patient(OTLPSpanExporter(endpoint=endpoint), shown(endpoint)))
    if settings.file is not None:
        path = data / settings.file
        exporters.append(Patient(FileExporter(path), str(path)))
    listen_to_the_library()
    processors: list[SpanProcessor] = [
        BatchSpanProcessor(
            exporter,
            max_queue_size=_MOST_WAITING,
            schedule_delay_millis=_EVERY,
            max_export_batch_size=_AT_ONCE,
        )
        for exporter in exporters
    ]
    try:
        log.info("traces are recorded", to=[one.where for one in exporters], share=settings.sample)
        yield Spans(processors, sample=settings.sample)
    finally:
        await asyncio.gather(
            *(
                _end(processor, exporter)
                for processor, exporter in zip(processors, exporters, strict=True)
            )
        )


async def _end(processor: SpanProcessor, exporter: "Patient") -> None:
    # The library would wait for half a minute where the collector takes its time.
    exporter.ending = True
    thread = threading.Thread(target=processor.shutdown, name="last spans", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, _LAST)
    if thread.is_alive():
        log.warning("the last spans were not exported in time", to=exporter.where)
        exporter.shutdown()


class Patient(SpanExporter):
    """
    Hands spans to another exporter and says in the log when that cannot take them, once, and when
    it can again. `where` is how the log calls it.
    """

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        self.where = where
        self.ending = False
        """Who could not take spans before is not asked again."""
        self._exporter = exporter
        self._lost = 0
        self._ended = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.ending and self._lost:
            return SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
            error = "" if result is SpanExportResult.SUCCESS else "doctor says why"
        except Exception as failure:
            # Whatever the trouble is, it ends here: the thread goes on with the next spans.
            result, error = SpanExportResult.FAILURE, type(failure).__name__
        if error:
            if not self._lost:
                log.warning("traces cannot be exported, and are lost", to=self.where, error=error)
            self._lost += len(spans)
        elif self._lost:
            log.warning("traces are exported again", to=self.where, spans_lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        if self._ended.acquire(blocking=False):  # the first who asks
            self._exporter.shutdown()


class FileExporter(SpanExporter):
    """
    A line a span: an OTLP request as JSON, as the collectors' `otlpjsonfile` receiver reads it. The
    file is opened for each batch, so that it may be moved away at any time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(line_of(span) for span in spans)
        with self._path.open("a") as file:
            file.write(lines)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def line_of(span: ReadableSpan) -> str:
    """OTLP's JSON, which has ids in hexadecimal where protobuf's has base64."""
    request: dict[str, Any] = MessageToDict(encode_spans([span]), use_integers_for_enums=True)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for one in scope["spans"]:
                for part in (one, *one.get("links", ())):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in part:
                            part[name] = base64.b64decode(part[name]).hex()
    return json.dumps(request, separators=(",", ":")) + "\n"


def traces_endpoint(endpoint: str) -> str:
    """The address for traces: of a collector that is only named by its host, the usual one."""
    whole = urlsplit(endpoint)
    if whole.path in ("", "/"):
        whole = whole._replace(path="/v1/traces")
    return whole.geturl()


def shown(endpoint: str) -> str:
    """The address as logs may have it: a password or a key may stand in it."""
    whole = urlsplit(endpoint)
    host = whole.hostname or ""
    return whole._replace(
        netloc=f"{host}:{whole.port}" if whole.port else host, query="", fragment=""
    ).geturl()


def answer_of(endpoint: str) -> int | None:
    """
    The HTTP status with which a collector answers traces, asked as it would be; None if nobody
    answers.
    """
    heard = _Status()
    listen_to_the_library(heard)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=5)
    try:
        taken = exporter.export([]) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]
    return 200 if taken else heard.status


class _Status(logging.Handler):
    """Hears the status with which the collector refused."""

    def __init__(self) -> None:
        super().__init__()
        self.status: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        # The library tells it nobody else: kind, status and reason are what its line is made of.
        if isinstance(record.args, tuple):
            self.status = next((one for one in record.args if isinstance(one, int)), self.status)


class _OnceEach(logging.Handler):
    """Each kind of complaint of the library once, without the values that it would quote."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[object] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg not in self._said:
            self._said.add(record.msg)
            log.warning("traces", library=record.name, said=str(record.msg))


def listen_to_the_library(exporters: logging.Handler | None = None) -> None:
    """
    Have the library's own lines, of which it writes many, told once; those of its exporters go to
    `exporters`, or nowhere: what they have to say, `Patient` says.
    """
    library = logging.getLogger("opentelemetry")
    library.propagate = False
    library.handlers = [_OnceEach()]
    theirs = logging.getLogger("opentelemetry.exporter")
    theirs.propagate = False
    theirs.handlers = [exporters or logging.NullHandler()]
