"""A collector of traces: an HTTP server that keeps what it is sent in OTLP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

NAMES = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True)
class Got:
    """A span as it arrived; ids are hexadecimal."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, str | int]
    links: tuple[str, ...]


@dataclass
class Collector:
    url: str = ""
    spans: list[Got] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    refuses: int = 0
    """The status with which it answers instead of taking anything."""

    def of(self, trace: str) -> list[Got]:
        """The spans of a trace, in the order in which they began."""
        return sorted((one for one in self.spans if one.trace == trace), key=lambda one: one.began)

    def ways(self, trace: str) -> set[tuple[str, ...]]:
        """Each span of a trace as the names from its beginning down to it."""
        by_id = {one.id: one for one in self.of(trace)}

        def way(span: Got) -> tuple[str, ...]:
            before = way(by_id[span.parent]) if span.parent else ()
            return (*before, f"{span.service.removeprefix('buckstop-')}: {span.name}")

        return {way(span) for span in by_id.values()}

    async def take(self, request: web.Request) -> web.Response:
        if self.refuses:
            return web.Response(status=self.refuses)
        body = await request.read()
        self.payloads.append(body)
        self.spans += spans_in(ExportTraceServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")


def spans_in(request: ExportTraceServiceRequest) -> list[Got]:
    found = []
    for resource in request.resource_spans:
        names = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                values = {
                    one.key: getattr(one.value, str(one.value.WhichOneof("value")))
                    for one in span.attributes
                }
                found.append(
                    Got(
                        service=names["service.name"],
                        name=span.name,
                        kind=NAMES[span.kind],
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        began=span.start_time_unix_nano,
                        ended=span.end_time_unix_nano,
                        failed=span.status.code == 2,
                        attributes=values,
                        links=tuple(one.trace_id.hex() for one in span.links),
                    )
                )
    return found


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port, as long as it is open."""
    collector = Collector()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes([web.post("/v1/traces", collector.take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        collector.url = f"http://{host}:{port}"
        yield collector
    finally:
        await runner.cleanup()
