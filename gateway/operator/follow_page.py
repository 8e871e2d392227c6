"""
`/ops/follow`: one complaint, hop by hop. What is looked for is posted, since it may be somebody's
phone number; the address of the answer is the complaint's id.
"""

from uuid import UUID

import structlog
from aiohttp import web

from gateway.keys import BUS, POOL, SETTINGS
from gateway.operator.follow import STATION_NAMES, follow, search, sought_in
from gateway.pages.i18n import gettext as _
from gateway.settings import secret_of
from gateway.staff.access import requires
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store.tracing import Found

log = structlog.stdlib.get_logger()


def routes() -> list[web.RouteDef]:
    return [
        web.get("/ops/follow", ask),
        web.post("/ops/follow", look),
        web.get("/ops/follow/{complaint}", show),
    ]


@requires(Act.OPERATE)
async def ask(request: web.Request) -> web.StreamResponse:
    """The empty form."""
    return await _form(request)


@requires(Act.OPERATE)
async def look(request: web.Request) -> web.StreamResponse:
    """Goes to the one complaint that fits, or shows those to choose from."""
    form = await request.post()
    typed = str(form.get("what", ""))
    sought = sought_in(typed, secret_of(request.config_dict[SETTINGS]))
    if sought is None:
        error = _("Type a reference, a phone number, an address or an id.")
        return await _form(request, typed=typed, error=error, status=422)
    async with request.config_dict[POOL].acquire() as conn:
        found = await search(conn, request.config_dict[BUS], sought)
    log.info("complaints looked for", found=len(found), by=request[ACCOUNT].login)
    if len(found) == 1:
        raise web.HTTPSeeOther(f"/ops/follow/{found[0].id}")
    if not found:
        error = _(
            "Nothing fits. Check for a typing mistake; a message that came in a moment ago may not "
            "be in the books yet."
        )
        return await _form(request, typed=typed, error=error, status=404)
    return await _form(request, typed=typed, found=found)


@requires(Act.OPERATE)
async def show(request: web.Request) -> web.StreamResponse:
    """Every hop of one complaint."""
    try:
        complaint = UUID(request.match_info["complaint"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.config_dict[POOL].acquire() as conn:
        trace = await follow(conn, request.config_dict[BUS], complaint)
    if not trace.known:
        raise web.HTTPNotFound
    return await page(
        request,
        "operator/trace.html",
        {"trace": trace, "station_names": STATION_NAMES, "nav": "ops"},
    )


async def _form(
    request: web.Request,
    *,
    typed: str = "",
    error: str = "",
    found: list[Found] | None = None,
    status: int = 200,
) -> web.Response:
    return await page(
        request,
        "operator/follow.html",
        {
            "typed": typed,
            "errors": {"what": error} if error else {},
            "found": found or [],
            "nav": "ops",
        },
        status=status,
    )
