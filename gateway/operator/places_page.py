"""`/ops/places`: the mailboxes where channels look, the mail server, and changed passwords."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bus.errors import Unavailable
from gateway.keys import BUS, POOL, SETTINGS
from gateway.operator import places
from gateway.operator.ops_page import COLLECTOR
from gateway.operator.places import NotLetIn, Spot
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import Problems
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act

LONGEST = 20_000
"""Characters of a password or a token."""


def routes() -> list[web.RouteDef]:
    return [
        web.get("/ops/places", show),
        web.post("/ops/places/look", look),
        web.post("/ops/places/let-in", let_in),
        web.get("/ops/places/{act}", back),
    ]


@requires(Act.OPERATE)
async def show(request: web.Request) -> web.StreamResponse:
    """How they stand, and what can be done about each."""
    return await _page(request)


@requires(Act.OPERATE)
async def back(request: web.Request) -> web.StreamResponse:
    """Somebody reloads the page of a form that had to be mended."""
    raise web.HTTPSeeOther("/ops/places")


@requires(Act.OPERATE)
async def look(request: web.Request) -> web.StreamResponse:
    """Have a channel look now, and say how that went."""
    channel = str((await request.post()).get("channel", ""))
    errors = await _looked(request, channel)
    if errors:
        return await _page(request, errors=errors, status=422)
    raise web.HTTPSeeOther("/ops/places?done=look")


@requires(Act.OPERATE)
async def let_in(request: web.Request) -> web.StreamResponse:
    """Try a password or a token that was entered, keep it if it is good, and have it used."""
    form = await request.post()
    spots = await _spots(request)
    wanted = str(form.get("place", ""))
    number = next((n for n, one in enumerate(spots) if one.place == wanted and one.lock), None)
    if number is None:
        errors: Problems = {"h-places": _("There is no such mailbox any more.")}
        return await _page(request, errors=errors, status=422)
    field = f"password-{number}"
    entered = str(form.get(field, ""))  # as it stands: it may begin or end with a space
    errors = {}
    if not entered or len(entered) > LONGEST:
        errors[field] = _("Enter what lets us in now.")
    else:
        try:
            await places.let_in(
                request.config_dict[POOL], spots[number], entered, by=request[ACCOUNT].login
            )
        except NotLetIn as error:
            errors[field] = _("It was tried, and not kept: %(reason)s") % {"reason": str(error)}
        else:
            errors = await _looked(request, spots[number].channel, only=wanted)
    if errors:
        return await _page(request, errors=errors, status=422)
    raise web.HTTPSeeOther("/ops/places?done=let_in")


async def _looked(request: web.Request, channel: str, *, only: str = "") -> Problems:
    """What its places say once they were looked at; nothing when all is well."""
    bus, collector = request.config_dict[BUS], request.config_dict[COLLECTOR]
    try:
        found = await places.look_now(bus, collector, channel)
    except Unavailable as error:
        return {"h-places": _("This could not be done: %(reason)s.") % {"reason": str(error)}}
    theirs = {one.place: one for one in found if not only or one.place == only}
    if not theirs:
        return {"h-places": _("Nobody looks after this: the service for it does not answer.")}
    return {
        f"place-{number}": f"{one.place}: {theirs[one.place].trouble}"
        for number, one in enumerate(await _spots(request))
        if one.place in theirs and theirs[one.place].trouble
    }


async def _spots(request: web.Request) -> list[Spot]:
    figures = await request.config_dict[COLLECTOR].latest()
    return places.spots(request.config_dict[SETTINGS], figures)


async def _page(
    request: web.Request, *, errors: Problems | None = None, status: int = 200
) -> web.Response:
    context: Mapping[str, Any] = {
        "spots": await _spots(request),
        "errors": errors or {},
        "done": request.query.get("done", ""),
        "nav": "ops",
    }
    return await page(request, "operator/places.html", context, status=status)
