"""
Traces by OpenTelemetry, switched on by a setting: this process' hops go to a collector or a file.

What records and exports them is loaded only then (`bus/spans.py`, `gateway/exporting.py`): a city
that wants no traces pays nothing for them.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field

from bus import traces
from bus.traces import Recorder


class TraceSettings(BaseModel):
    """Where traces go. Without an endpoint and a file, none are recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = Field(default="", pattern="^(https?://.+)?$")
    """A collector that takes OTLP over HTTP, as `http://127.0.0.1:4318`."""
    file: Path | None = None
    """Spans are written here as well, an OTLP request a line; below the data directory."""
    sample: float = Field(default=1.0, ge=0.0, le=1.0)
    """The share of complaints that is recorded, each with all its hops."""

    @property
    def on(self) -> bool:
        return bool(self.endpoint) or self.file is not None


@asynccontextmanager
async def recorded(settings: TraceSettings, data: Path) -> AsyncIterator[None]:
    """
    While open, this process records its hops, if the settings ask for it; what is still to be
    exported at the end has a few seconds to go. To be opened after the process was forked.
    """
    if not settings.on:
        yield
        return
    exporting: AbstractAsyncContextManager[Recorder] = import_module(
        "gateway.exporting"
    ).open_recorder(settings, data)
    async with exporting as recorder:
        traces.switch(recorder)
        try:
            yield
        finally:
            traces.switch(None)


@web.middleware
async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Makes a request a hop of each complaint that something is told of while it is answered."""
    recorder = traces.recorder()
    if recorder is None:
        return await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    # A method is whatever a caller sends.
    method = request.method if request.method in {"GET", "HEAD", "POST"} else "other"
    with recorder.asking(method, route, request.headers) as asking:
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            asking.answered(answer.status)
            raise
        asking.answered(response.status)
        return response
