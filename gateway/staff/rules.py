"""The rules by which cases are given out: what they say, how they fare, and giving out anew."""

from datetime import UTC, date, datetime, timedelta

import structlog
from aiohttp import web
from yarl import URL

from gateway import reroute
from gateway.days import begin_of
from gateway.keys import CITY, POOL, ROUTER
from gateway.pages.i18n import gettext as _
from gateway.rule_words import asked_words
from gateway.staff.access import requires
from gateway.staff.forms import Problems
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from router.routing import Rule, asked_by, named_people
from router.rules import City
from store import alarms, past

log = structlog.stdlib.get_logger()

LOOKED_BACK = timedelta(days=30)
LONGEST = timedelta(days=366)
"""How far back cases are given out anew from the page; the command knows no limit."""
SHOWN = 200


@requires(Act.RULES)
async def show(request: web.Request) -> web.StreamResponse:
    """Every rule in words, how often each decided lately, and those that could not run."""
    city = request.config_dict[CITY]
    since = datetime.now(UTC) - LOOKED_BACK
    async with request.config_dict[POOL].acquire() as conn:
        used = await past.rules_used(conn, since)
        raised = await alarms.since(conn, since)
    return await page(
        request,
        "staff/rules.html",
        {
            "rules": [_in_words(rule, city, used.get(rule.name, 0)) for rule in city.rules.rule],
            "catch_all": city.rules.catch_all.department,
            "alarms": raised,
            "asked": request.query.get("asked", ""),
            "since": (datetime.now(city.zone) - LOOKED_BACK).date().isoformat(),
            "nav": "rules",
        },
    )


@requires(Act.REROUTE)
async def ask(request: web.Request) -> web.StreamResponse:
    """What would move if the open cases since a day were routed by the rules of now."""
    return await _ask(request, request.query.get("since", ""))


@requires(Act.REROUTE)
async def apply(request: web.Request) -> web.StreamResponse:
    """Has the router look at them; the moves happen the way of every routing."""
    typed = str((await request.post()).get("since", ""))
    since = _day(request, typed)
    if isinstance(since, dict):
        return await _ask(request, typed)
    now = datetime.now(UTC)
    async with request.config_dict[POOL].acquire() as conn:
        wanted = await reroute.plan(conn, request.config_dict[ROUTER], since, now)
        await reroute.apply(conn, wanted)
    log.info("cases routed again", count=len(wanted.moves), by=request[ACCOUNT].login)
    raise web.HTTPSeeOther(URL("/staff/rules").with_query(asked=len(wanted.moves)))


async def _ask(request: web.Request, typed: str) -> web.Response:
    since = _day(request, typed)
    errors: Problems = since if isinstance(since, dict) else {}
    wanted = None
    if isinstance(since, datetime):
        async with request.config_dict[POOL].acquire() as conn:
            wanted = await reroute.plan(conn, request.config_dict[ROUTER], since, datetime.now(UTC))
    return await page(
        request,
        "staff/reroute.html",
        {
            "plan": wanted,
            "shown": SHOWN,
            "since": typed,
            "errors": errors,
            "nav": "rules",
        },
        status=422 if errors else 200,
    )


def _day(request: web.Request, typed: str) -> datetime | Problems:
    zone = request.config_dict[CITY].zone
    try:
        day = date.fromisoformat(typed.strip())
    except ValueError:
        return {"since": _("Write the day as 2026-11-30.")}
    if day < (datetime.now(zone) - LONGEST).date():
        sentence = _("At most a year back. The command “buckstop rules reroute” goes further.")
        return {"since": sentence}
    return begin_of(day, zone)


def _in_words(rule: Rule, city: City, count: int) -> dict[str, object]:
    people = named_people(rule, city.rules)
    names = [city.people_by_id[one].name for one in people or () if one in city.people_by_id]
    return {
        "name": rule.name,
        "asks": [asked_words(name, asks) for name, asks in asked_by(rule)],
        "triage": rule.triage,
        "department": rule.department
        or (city.department_of_person.get(people[0]) if people else None),
        "team": rule.team,
        "people": names,
        "why": rule.why,
        "needs_place": rule.needs_place,
        "count": count,
    }
