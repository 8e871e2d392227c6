"""`/ops/levers`: pause, resume, drain, run the audit; who did what, and why."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from bus.errors import Refused, Unavailable
from bus.signs import Sign
from channels.intake import clean_text
from gateway.keys import BUS, CHANNELS, POOL
from gateway.operator import levers
from gateway.operator.figures import SILENT_AFTER
from gateway.operator.ops_page import COLLECTOR
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import WORDS, Problems
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import levers as books
from store.levers import CHANNEL

log = structlog.stdlib.get_logger()

SPANS = (15, 60, 240, 1440)
"""Minutes for which something can be paused from the page."""

AUDITS: web.AppKey[set[asyncio.Task[None]]] = web.AppKey("audits")


def routes() -> list[web.RouteDef]:
    return [
        web.get("/ops/levers", show),
        web.post("/ops/levers/pause", pause),
        web.post("/ops/levers/resume", resume),
        web.post("/ops/levers/audit", run_audit),
        web.post("/ops/levers/recount", recount),
        web.post("/ops/levers/retell", retell),
        web.post("/ops/levers/drain", drain),
        web.post("/ops/levers/undrain", undrain),
        web.get("/ops/levers/{act}", back),
    ]


async def end_audits(app: web.Application) -> None:
    """The house closes: what runs is broken off, it changes nothing by halves."""
    for one in app[AUDITS]:
        one.cancel()
    await asyncio.gather(*app[AUDITS], return_exceptions=True)


@requires(Act.OPERATE)
async def show(request: web.Request) -> web.StreamResponse:
    """What is paused, what can be done, and what was done."""
    return await _page(request)


@requires(Act.OPERATE)
async def back(request: web.Request) -> web.StreamResponse:
    """Somebody reloads the page of a form that had to be mended."""
    raise web.HTTPSeeOther("/ops/levers")


@requires(Act.OPERATE)
async def pause(request: web.Request) -> web.StreamResponse:
    """Pause one durable or channel for a while."""
    form = await request.post()
    typed = {name: str(form.get(name, "")) for name in ("what", "minutes")}
    typed["why"] = clean_text(str(form.get("why", "")))
    errors: Problems = {}
    if typed["what"] not in await _can_be_paused(request):
        errors["what"] = _("Choose what is to be paused.")
    if typed["minutes"] not in {str(span) for span in SPANS}:
        errors["minutes"] = _("Choose for how long.")
    if not typed["why"] or len(typed["why"]) > WORDS:
        errors["why"] = _("Say in a few words why.")
    if not errors:
        until = datetime.now(UTC) + timedelta(minutes=int(typed["minutes"]))
        pull = partial(levers.pause, what=typed["what"], until=until, why=typed["why"])
        errors = await _pulled(request, pull, at="what")
    if errors:
        return await _page(request, typed=typed, errors=errors, status=422)
    raise web.HTTPSeeOther("/ops/levers?done=pause")


@requires(Act.OPERATE)
async def resume(request: web.Request) -> web.StreamResponse:
    """Let what is paused go on."""
    form = await request.post()
    pull = partial(levers.resume, what=str(form.get("what", "")))
    if errors := await _pulled(request, pull, at="resume"):
        return await _page(request, errors=errors, status=422)
    raise web.HTTPSeeOther("/ops/levers?done=resume")


@requires(Act.OPERATE)
async def run_audit(request: web.Request) -> web.StreamResponse:
    """Begin an audit; what it finds stands in the list once it is done."""
    pool, bus = request.config_dict[POOL], request.config_dict[BUS]
    return await _begin(request, "audit", lambda act: levers.run_audit(pool, bus, act=act))


@requires(Act.OPERATE)
async def recount(request: web.Request) -> web.StreamResponse:
    """Begin to count every case anew."""
    pool = request.config_dict[POOL]
    return await _begin(request, "recount", lambda act: levers.run_recount(pool, act=act))


@requires(Act.OPERATE)
async def retell(request: web.Request) -> web.StreamResponse:
    """Begin to tell again from the books what the streams have lost."""
    pool, bus = request.config_dict[POOL], request.config_dict[BUS]
    return await _begin(request, "retell", lambda act: levers.run_retell(pool, bus, act=act))


async def _begin(
    request: web.Request, act: str, work: Callable[[int], Coroutine[Any, Any, None]]
) -> web.StreamResponse:
    form = await request.post()
    why = clean_text(str(form.get(f"{act}-why", "")))[:WORDS]
    running = request.config_dict[AUDITS]
    if running:  # one at a time: each reads whole streams or tables
        raise web.HTTPSeeOther("/ops/levers?done=busy")
    async with request.config_dict[POOL].acquire() as conn:
        number = await books.note(conn, act, by=request[ACCOUNT].login, why=why)
    task = asyncio.create_task(work(number), name=act)
    running.add(task)
    task.add_done_callback(running.discard)
    log.warning("lever pulled", act=act, by=request[ACCOUNT].login)
    raise web.HTTPSeeOther(f"/ops/levers?done={act}")


@requires(Act.OPERATE)
async def drain(request: web.Request) -> web.StreamResponse:
    """Have one process finish and take nothing new."""
    form = await request.post()
    process = str(form.get("process", ""))
    why = clean_text(str(form.get("drain-why", "")))
    errors: Problems = {}
    if not process:
        errors["process"] = _("Choose a process.")
    if not why or len(why) > WORDS:
        errors["drain-why"] = _("Say in a few words why.")
    if not errors:
        pull = partial(levers.drain, named=process, why=why)
        errors = await _pulled(request, pull, at="process")
    if errors:
        typed = {"process": process, "drain-why": why}
        return await _page(request, typed=typed, errors=errors, status=422)
    raise web.HTTPSeeOther("/ops/levers?done=drain")


@requires(Act.OPERATE)
async def undrain(request: web.Request) -> web.StreamResponse:
    """Have it work again."""
    form = await request.post()
    pull = partial(levers.undrain, named=str(form.get("process", "")))
    if errors := await _pulled(request, pull, at="undrain"):
        return await _page(request, errors=errors, status=422)
    raise web.HTTPSeeOther("/ops/levers?done=undrain")


async def _pulled(
    request: web.Request, pull: Callable[..., Coroutine[Any, Any, object]], *, at: str
) -> Problems:
    """Pulls a lever in the operator's name; why it could not be done stands `at` that field."""
    try:
        async with request.config_dict[POOL].acquire() as conn:
            await pull(conn, request.config_dict[BUS], by=request[ACCOUNT].login)
    except (Refused, Unavailable) as error:
        return {at: _("This could not be done: %(reason)s.") % {"reason": str(error)}}
    request.config_dict[COLLECTOR].forget()
    return {}


async def _processes(request: web.Request) -> list[Sign]:
    figures = await request.config_dict[COLLECTOR].latest()
    if figures.bus is None:
        return []
    live = [one for one, silent in figures.bus.processes if silent < SILENT_AFTER]
    return sorted(live, key=lambda one: one.process)


async def _can_be_paused(request: web.Request) -> list[str]:
    channels = [
        CHANNEL + name
        for name, channel in request.config_dict[CHANNELS].items()
        if channel.run is not None
    ]
    try:
        return channels + sorted(await levers.durables(request.config_dict[BUS]))
    except Exception as error:  # whatever NATS' client raises while the bus is away
        log.info("the bus does not say", error=type(error).__name__)
        return channels


async def _page(
    request: web.Request,
    *,
    typed: Mapping[str, str] | None = None,
    errors: Problems | None = None,
    status: int = 200,
) -> web.Response:
    async with request.config_dict[POOL].acquire() as conn:
        paused = await books.paused(conn)
        acts = await books.acts(conn)
    context: dict[str, Any] = {
        "paused": paused,
        "processes": await _processes(request),
        "acts": acts,
        "choices": await _can_be_paused(request),
        "spans": SPANS,
        "running": bool(request.config_dict[AUDITS]),
        "typed": {"what": "", "minutes": "60", "why": "", "process": "", "drain-why": ""}
        | dict(typed or {}),
        "errors": errors or {},
        "done": request.query.get("done", ""),
        "nav": "ops",
    }
    return await page(request, "operator/levers.html", context, status=status)
