"""
`/ops/reread`: the messages of a span read again by today's code; what would differ, and having it
changed. A reading runs beside the pages and changes nothing; what it found waits here for a word.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from aiohttp import web

from bus.errors import Refused, Unavailable
from channels.email_imap import reader_for
from channels.intake import clean_text
from channels.read_again import ReadAgain
from channels.registry import CHANNELS
from gateway import reread
from gateway.days import begin_of, end_of
from gateway.keys import CITY, FILES, POOL, ROUTER, SECOND_LOOK, SETTINGS
from gateway.pages.i18n import gettext as _
from gateway.reread import FIELDS, Applied, Plan
from gateway.settings import secret_of
from gateway.staff.access import requires
from gateway.staff.forms import WORDS, Problems
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import levers, spans

log = structlog.stdlib.get_logger()

MOST = 5_000
"""Messages that are read from the page; the command knows no limit of its own."""
SHOWN = 300
LONGEST = timedelta(days=366)


@dataclass
class Reading:
    """The reading that runs, or has run: one at a time, in this process."""

    plan: Plan
    by: str
    task: asyncio.Task[None] | None = None
    trouble: str = ""
    applied: Applied | None = None

    @property
    def runs(self) -> bool:
        return self.task is not None and not self.task.done()


class Readings:
    """Where the last reading is kept."""

    def __init__(self) -> None:
        self.now: Reading | None = None

    async def end(self) -> None:
        """Break off what runs: it changes nothing by halves."""
        if self.now is not None and self.now.task is not None:
            self.now.task.cancel()
            await asyncio.gather(self.now.task, return_exceptions=True)


READINGS = web.AppKey("readings", Readings)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/ops/reread", show),
        web.post("/ops/reread", begin),
        web.get("/ops/reread/{act}", back),
        web.post("/ops/reread/apply", apply),
        web.post("/ops/reread/end", end),
    ]


async def end_readings(app: web.Application) -> None:
    await app[READINGS].end()


@requires(Act.OPERATE)
async def show(request: web.Request) -> web.StreamResponse:
    """What to read, how far it is, or what would differ."""
    return await _page(request)


@requires(Act.OPERATE)
async def back(request: web.Request) -> web.StreamResponse:
    """Somebody reloads the page of a form that had to be mended."""
    raise web.HTTPSeeOther("/ops/reread")


@requires(Act.OPERATE)
async def begin(request: web.Request) -> web.StreamResponse:
    """Begin to read a span again."""
    form = await request.post()
    typed = {name: str(form.get(name, "")).strip() for name in ("since", "until", "channel")}
    errors: Problems = {}
    since, until = _day(typed["since"]), _day(typed["until"])
    if since is None:
        errors["since"] = _("Write the day as 2026-11-30.")
    if until is None:
        errors["until"] = _("Write the day as 2026-11-30.")
    if since and until and not timedelta() <= until - since < LONGEST:
        errors["until"] = _("The last day must not lie before the first, nor a year after it.")
    if typed["channel"] not in ("", *CHANNELS):
        errors["channel"] = _("Choose a channel.")
    readings = request.config_dict[READINGS]
    if readings.now is not None and readings.now.runs:
        errors["since"] = _("A reading runs already. Wait for it, or end it.")
    if errors or since is None or until is None:
        return await _page(request, typed=typed, errors=errors, status=422)
    zone = request.config_dict[CITY].zone
    span = (begin_of(since, zone), end_of(until, zone), typed["channel"])
    async with request.config_dict[POOL].acquire() as conn:
        total = await spans.count(conn, *span)
    plan = Plan(*span, version=request.config_dict[CITY].version, total=total)
    readings.now = Reading(plan, request[ACCOUNT].login)
    readings.now.task = asyncio.create_task(_read(request.app, readings.now), name="read again")
    raise web.HTTPSeeOther("/ops/reread")


async def _read(app: web.Application, reading: Reading) -> None:
    settings = app[SETTINGS]
    mailboxes = settings.channels.email
    try:
        secret = await asyncio.to_thread(secret_of, settings)
        async with reader_for(mailboxes) as reader:
            ours = {one for box in mailboxes for one in box.ours}
            again = ReadAgain(app[FILES], reader, secret=secret, ours=ours)
            await reread.plan(
                app[POOL], app[ROUTER], again, reading.plan, datetime.now(UTC), most=MOST
            )
        log.info("read again", messages=reading.plan.read, differ=len(reading.plan.differences))
    except Exception as error:  # told on the page; nothing was changed
        reading.trouble = type(error).__name__
        log.exception("reading again failed")


@requires(Act.OPERATE)
async def end(request: web.Request) -> web.StreamResponse:
    """Break a reading off, or forget what it found."""
    readings = request.config_dict[READINGS]
    await readings.end()
    readings.now = None
    raise web.HTTPSeeOther("/ops/reread")


@requires(Act.OPERATE)
async def apply(request: web.Request) -> web.StreamResponse:
    """Have what was chosen, or all of it, made as today's code says."""
    form = await request.post()
    which, why = str(form.get("which", "")), clean_text(str(form.get("why", "")))
    chosen = {str(one) for one in form.getall("one", [])}
    typed = {"which": which, "why": why}
    reading = request.config_dict[READINGS].now
    errors: Problems = {}
    if reading is None or reading.runs or reading.applied is not None:
        raise web.HTTPSeeOther("/ops/reread")
    if which not in ("selected", "all"):
        errors["which"] = _("Say which.")
    elif which == "selected" and not chosen:
        errors["which"] = _("Choose at least one, or say “all”.")
    if not why or len(why) > WORDS:
        errors["why"] = _("Say in a few words why.")
    if errors:
        return await _page(request, typed=typed, errors=errors, chosen=chosen, status=422)
    pool, by = request.config_dict[POOL], request[ACCOUNT].login
    async with pool.acquire() as conn:
        act = await levers.note(conn, "read_again", by=by, why=why)
    try:
        done = await reread.apply(
            pool,
            request.config_dict[SECOND_LOOK],
            reading.plan,
            None if which == "all" else chosen,
            by,
        )
    except (Refused, Unavailable) as error:
        async with pool.acquire() as conn:
            await levers.end(conn, act, f"failed: {error}")
        errors["which"] = _("This could not be done: %(reason)s.") % {"reason": str(error)}
        return await _page(request, typed=typed, errors=errors, chosen=chosen, status=422)
    reading.applied = done
    async with pool.acquire() as conn:
        await levers.end(conn, act, str(done))
    log.warning("lever pulled", act="read_again", by=by, outcome=str(done))
    raise web.HTTPSeeOther("/ops/reread")


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        return None


async def _page(
    request: web.Request,
    *,
    typed: Mapping[str, str] | None = None,
    errors: Problems | None = None,
    chosen: set[str] | None = None,
    status: int = 200,
) -> web.Response:
    today = datetime.now(request.config_dict[CITY].zone).date().isoformat()
    reading = request.config_dict[READINGS].now
    context: dict[str, Any] = {
        "reading": reading,
        "differing": reading.plan.counts() if reading else {},
        "fields": FIELDS,
        "shown": SHOWN,
        "most": MOST,
        "channels": list(CHANNELS),
        "chosen": chosen or set(),
        "typed": {"since": today, "until": today, "channel": "", "which": "selected", "why": ""}
        | dict(typed or {}),
        "errors": errors or {},
        "nav": "ops",
    }
    return await page(request, "operator/reread.html", context, status=status)
