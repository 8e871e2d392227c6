"""`/healthz`: the process lives. `/readyz`: each thing it stands on, by name, answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web

log = structlog.stdlib.get_logger()

Ping = Callable[[], Awaitable[None]]
"""Returns when the thing answers, raises when it does not."""

_PATIENCE = 3.0  # seconds for all pings together


async def look(pings: Mapping[str, Ping]) -> dict[str, str]:
    """What each ping says: `ok`, or why not in a few words without any address or password."""

    async def one(ping: Ping) -> str:
        try:
            async with asyncio.timeout(_PATIENCE):
                await ping()
        except TimeoutError:
            return "no answer"
        except Exception as error:
            log.info("ping failed", error=type(error).__name__)
            return f"{type(error).__name__}"
        return "ok"

    answers = await asyncio.gather(*(one(ping) for ping in pings.values()))
    return dict(zip(pings, answers, strict=True))


def routes(pings: Mapping[str, Ping]) -> list[web.RouteDef]:
    async def alive(request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(request: web.Request) -> web.Response:
        answers = await look(pings)
        is_ready = all(answer == "ok" for answer in answers.values())
        return web.json_response(
            {"ready": is_ready, "pings": answers}, status=200 if is_ready else 503
        )

    return [web.get("/healthz", alive), web.get("/readyz", ready)]
