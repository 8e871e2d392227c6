"""
`/ops`: how everything stands, live. Without script it is a page that one loads again.

All viewers share one look at the bus and the store, and one rendering of it in each language.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp_jinja2
import asyncpg
import structlog
from aiohttp import web
from aiohttp_session import get_session

from gateway.keys import POOL
from gateway.operator.figures import Collector, Figures
from gateway.operator.verdict import WELL, judge
from gateway.operator.words import finding_todo, finding_words, level_name
from gateway.pages.i18n import current_language
from gateway.staff.access import requires
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act, acts_of
from store import accounts, sessions
from store.pool import AWAY

log = structlog.stdlib.get_logger()

EVERY = 2.0
"""Seconds between two looks while somebody watches."""
_STILL_ALLOWED = 30.0  # seconds after which it is asked again whether a watcher may watch
_WAIT_TO_RETRY = 3000  # milliseconds, for the browser


class Live:
    """What the streams of all viewers share: the last rendering, and whether the house closes."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self._rendered: dict[str, tuple[datetime, str]] = {}
        self._past: dict[str, tuple[datetime, str]] = {}

    def past(self, request: web.Request, figures: Figures, sent: datetime | None) -> str:
        """The last hour and day, as one event; empty for whoever has got them already."""
        if figures.lately is None or figures.lately.at == sent:
            return ""
        language = current_language()
        at, event = self._past.get(language, (None, ""))
        if at != figures.lately.at:
            piece = aiohttp_jinja2.render_string(
                "operator/lately.html", request, {"figures": figures, "lang": language}
            )
            event = f"event: lately\ndata: {json.dumps({'html': piece}, ensure_ascii=False)}\n\n"
            self._past[language] = (figures.lately.at, event)
        return event

    def rendered(self, request: web.Request, figures: Figures) -> str:
        """The piece of the page that changes, as one event of the stream."""
        language = current_language()
        at, event = self._rendered.get(language, (None, ""))
        if at != figures.at:
            piece = aiohttp_jinja2.render_string(
                "operator/figures.html", request, {**told(figures), "lang": language}
            )
            level = level_name(judge(figures).level)
            data = json.dumps({"html": piece, "level": level}, ensure_ascii=False)
            event = f"data: {data}\n\n"
            self._rendered[language] = (figures.at, event)
        return event


COLLECTOR = web.AppKey("collector", Collector)
LIVE = web.AppKey("live", Live)


async def end_streams(app: web.Application) -> None:
    """The house closes: nobody may keep it open by watching."""
    app[LIVE].closing.set()


def told(figures: Figures) -> dict[str, Any]:
    """What the templates are given."""
    return {"figures": figures, "verdict": judge(figures), "well": WELL}


@requires(Act.OPERATE, on_standby=True)
async def show(request: web.Request) -> web.StreamResponse:
    """How everything stands at this moment."""
    figures = await request.config_dict[COLLECTOR].latest()
    return await page(request, "operator/ops.html", {**told(figures), "nav": "ops"})


@requires(Act.OPERATE, on_standby=True)
async def live(request: web.Request) -> web.StreamResponse:
    """The same as a stream of events, for as long as somebody watches."""
    stream = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            # A proxy that collects an answer before it hands it on would never hand this one on.
            "X-Accel-Buffering": "no",
        }
    )
    shared, collector = request.config_dict[LIVE], request.config_dict[COLLECTOR]
    loop = asyncio.get_running_loop()
    ask_again = loop.time() + _STILL_ALLOWED
    sent: datetime | None = None
    await stream.prepare(request)
    with suppress(ConnectionError):  # whoever watched has left
        await stream.write(f"retry: {_WAIT_TO_RETRY}\n\n".encode())
        while not shared.closing.is_set():
            figures = await collector.latest()
            news = shared.rendered(request, figures) + shared.past(request, figures, sent)
            sent = figures.lately.at if figures.lately else None
            await stream.write(news.encode())
            with suppress(TimeoutError):
                await asyncio.wait_for(shared.closing.wait(), EVERY)
            if loop.time() >= ask_again:
                if not await _still_allowed(request):
                    await stream.write(b"event: over\ndata: \n\n")
                    break
                ask_again = loop.time() + _STILL_ALLOWED
    return stream


@requires(Act.OPERATE, on_standby=True)
async def figures_json(request: web.Request) -> web.StreamResponse:
    """The same for a program that an operator runs."""
    return web.json_response(
        text=as_json(await request.config_dict[COLLECTOR].latest()),
        headers={"Cache-Control": "no-store"},
    )


def as_json(figures: Figures) -> str:
    """The figures and what is wrong, as JSON; times are ISO 8601 in UTC."""
    verdict = judge(figures)
    # The past is for eyes: it would make each answer ten times as long.
    whole = asdict(replace(figures, lately=None)) | {
        "level": level_name(verdict.level),
        "findings": [
            {
                "level": level_name(one.level),
                "cause": one.cause,
                "words": finding_words(one),
                "todo": finding_todo(one),
            }
            for one in verdict.findings
        ],
    }
    del whole["lately"]
    if whole["bus"] is not None:
        whole["bus"]["processes"] = [
            sign.model_dump(mode="json") | {"silent": silent}
            for sign, silent in (figures.bus.processes if figures.bus else ())
        ]
    return json.dumps(whole, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value.model_dump(mode="json")


async def _still_allowed(request: web.Request) -> bool:
    """
    Whether who watches is still signed in and still an operator. While PostgreSQL is away nobody
    can say, and the page is needed most: then they are.
    """
    try:
        session = await get_session(request)
        async with request.config_dict[POOL].acquire(timeout=2.0) as conn:
            if session.identity is None or await sessions.read(conn, session.identity) is None:
                return False
            account = await accounts.by_login(conn, request[ACCOUNT].login)
    except (*AWAY, asyncpg.PostgresError) as error:
        log.info("not asked whether a watcher may stay", error=type(error).__name__)
        return True
    return account is not None and account.active and Act.OPERATE in acts_of(account.roles)
