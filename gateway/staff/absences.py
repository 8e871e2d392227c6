"""Who is away: leads say it of their department, administrators of everybody."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from babel.dates import format_date

from gateway.days import begin_of, end_of, first_day, last_day
from gateway.keys import CITY, POOL
from gateway.pages.i18n import current_language
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import AbsenceForm, Problems, read
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import absences, accounts
from store.accounts import Account
from store.model import NotAllowed, Role

log = structlog.stdlib.get_logger()


@requires(Act.ABSENCES)
async def show(request: web.Request) -> web.StreamResponse:
    return await _show(request, {"absence_id": str(uuid4())})


@requires(Act.ABSENCES)
async def add(request: web.Request) -> web.StreamResponse:
    """Says that somebody is away; the same form sent twice says it once."""
    form = await request.post()
    typed = {name: value for name, value in form.items() if isinstance(value, str)}
    filled = read(AbsenceForm, typed)
    if isinstance(filled, dict):
        return await _show(request, typed, filled)
    zone = request.config_dict[CITY].zone
    if filled.last is not None and filled.last < filled.first:
        return await _show(request, typed, {"last": _("The last day is before the first.")})
    async with request.config_dict[POOL].acquire() as conn:
        if filled.login not in {one.login for one in await _people(request, conn)}:
            return await _show(request, typed, {"login": _("Choose somebody from the list.")})
        try:
            await absences.add(
                conn,
                absence_id=filled.absence_id,
                login=filled.login,
                begins=begin_of(filled.first, zone),
                ends=end_of(filled.last, zone) if filled.last else None,
                by=request[ACCOUNT].login,
            )
        except NotAllowed as error:
            return await _show(request, typed, {"login": _(str(error))})
    log.info("absence said", login=filled.login, by=request[ACCOUNT].login)
    raise web.HTTPSeeOther("/staff/absences?done=added")


@requires(Act.ABSENCES)
async def end(request: web.Request) -> web.StreamResponse:
    """They are there after all."""
    try:
        wanted = UUID(request.match_info["absence"])
    except ValueError as error:
        raise web.HTTPNotFound from error
    async with request.config_dict[POOL].acquire() as conn:
        absence = await absences.by_id(conn, wanted)
        if absence is not None:
            if absence.login not in {one.login for one in await _people(request, conn)}:
                raise web.HTTPForbidden
            await absences.remove(conn, wanted)
            log.info("absence ended", login=absence.login, by=request[ACCOUNT].login)
    raise web.HTTPSeeOther("/staff/absences?done=ended")


async def _people(request: web.Request, conn: object) -> list[Account]:
    """Of whom this person may say that they are away."""
    account = request[ACCOUNT]
    if Role.ADMIN in account.roles:
        return [one for one in await accounts.people(conn) if one.department]
    return await accounts.people(conn, account.department) if account.department else []


def _said(day: date) -> str:
    return format_date(day, "long", locale=current_language())


async def _show(
    request: web.Request, typed: dict[str, str], errors: Problems | None = None
) -> web.Response:
    zone = request.config_dict[CITY].zone
    now = datetime.now(UTC)
    async with request.config_dict[POOL].acquire() as conn:
        people = await _people(request, conn)
        mine = {one.login for one in people}
        found = [one for one in await absences.upcoming(conn, now) if one.login in mine]
    return await page(
        request,
        "staff/absences.html",
        {
            "people": [(one.login, f"{one.name} ({one.department})") for one in people],
            "absences": [
                {
                    "absence": one,
                    "first": _said(first_day(one.begins, zone)) if one.begins else "",
                    "last": _said(last_day(one.ends, zone)) if one.ends else "",
                    "now": one.begins is None or one.begins <= now,
                }
                for one in found
            ],
            "typed": {
                "absence_id": typed.get("absence_id") or str(uuid4()),
                "login": typed.get("login", ""),
                "first": typed.get("first", ""),
                "last": typed.get("last", ""),
            },
            "errors": errors or {},
            "done": request.query.get("done", "") if not errors else "",
            "nav": "absences",
        },
        status=422 if errors else 200,
    )
