"""What `buckstop doctor` says about traces: whether the collector and the file take them."""

import asyncio
import os
from importlib import import_module

from gateway.settings import Settings


class BadTraces(Exception):
    """What is wrong, as a sentence that says what to do."""


async def look_at_traces(settings: Settings) -> str:
    """A sentence about traces that can be exported, or about none. Raises `BadTraces`."""
    asked = settings.traces
    if not asked.on:
        return "off: no collector and no file is set"
    said = []
    if asked.file is not None:
        path = settings.data / asked.file
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise BadTraces(f"{path} cannot be written; look at traces.file.")
        said.append(str(path))
    if asked.endpoint:
        # Loaded only where somebody wants traces.
        exporting = import_module("gateway.exporting")
        endpoint = exporting.traces_endpoint(asked.endpoint)
        shown = exporting.shown(endpoint)
        status = await asyncio.to_thread(exporting.answer_of, endpoint)
        if status is None:
            raise BadTraces(f"{shown} does not answer; is a collector there that takes OTLP/HTTP?")
        if status in (401, 403):
            raise BadTraces(
                f"{shown} refuses us ({status}). What it asks for goes into the environment "
                "variable OTEL_EXPORTER_OTLP_HEADERS."
            )
        if not 200 <= status < 300:
            raise BadTraces(f"{shown} answers {status}. Is the path of traces.endpoint right?")
        said.append(f"{shown} takes them")
    return ", ".join(said)
