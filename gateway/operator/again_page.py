"""`/ops/again`: what hangs or has stopped is started again, without a shell."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bus.errors import Refused
from channels.intake import clean_text
from gateway.engine_process import EngineTrouble
from gateway.keeper import Keeper
from gateway.keys import KEEPER, POOL, SETTINGS
from gateway.operator import again
from gateway.operator.again import Startable
from gateway.operator.ops_page import COLLECTOR
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import WORDS, Problems
from gateway.staff.pages import ACCOUNT, ON_STANDBY, page
from gateway.staff.roles import Act

_SEEN_WITHIN = 8.0  # seconds


def routes() -> list[web.RouteDef]:
    return [web.get("/ops/again", show), web.post("/ops/again", start_again)]


@requires(Act.OPERATE, on_standby=True)
async def show(request: web.Request) -> web.StreamResponse:
    """What can be started again; the address may choose one, as `?what=router`."""
    return await _page(request, typed={"what": request.query.get("what", ""), "why": ""})


@requires(Act.OPERATE, on_standby=True)
async def start_again(request: web.Request) -> web.StreamResponse:
    """Start one again; answers once it runs."""
    form = await request.post()
    typed = {"what": str(form.get("what", "")), "why": clean_text(str(form.get("why", "")))}
    errors: Problems = {}
    keeper = request.config_dict.get(KEEPER)
    if keeper is None or typed["what"] not in {
        name for one in await _startable(request, keeper) if one.possible for name in one.names
    }:
        errors["what"] = _("Choose what is to be started again.")
    elif len(typed["why"]) > WORDS:
        errors["why"] = _("Say in a few words why.")
    else:
        try:
            await again.start_again(
                keeper,
                request.config_dict[POOL],
                typed["what"],
                by=request[ACCOUNT].login,
                why=typed["why"],
                books_answer=not request.get(ON_STANDBY),
            )
        except (Refused, EngineTrouble) as error:
            errors["what"] = _("This could not be done: %(reason)s.") % {
                "reason": str(error).rstrip(".")
            }
        else:
            await _found_again(request, keeper, typed["what"])
        request.config_dict[COLLECTOR].forget()
    if errors:
        return await _page(request, typed=typed, errors=errors, status=422)
    raise web.HTTPSeeOther(f"/ops/again?done={typed['what']}")


async def _found_again(request: web.Request, keeper: Keeper, what: str) -> None:
    """Returns once we see it ourselves: whoever lost an engine asks for it every second or two."""
    until = asyncio.get_running_loop().time() + _SEEN_WITHIN
    while asyncio.get_running_loop().time() < until:
        request.config_dict[COLLECTOR].forget()
        if any(
            what in one.names and one.state == "works" for one in await _startable(request, keeper)
        ):
            return
        await asyncio.sleep(0.3)


async def _startable(request: web.Request, keeper: Keeper) -> list[Startable]:
    settings = request.config_dict[SETTINGS]
    return again.startable(
        keeper,
        await request.config_dict[COLLECTOR].latest(),
        nats_url=settings.bus.url,
        dsn=settings.store.dsn,
    )


async def _page(
    request: web.Request,
    *,
    typed: Mapping[str, str],
    errors: Problems | None = None,
    status: int = 200,
) -> web.Response:
    keeper = request.config_dict.get(KEEPER)
    things = await _startable(request, keeper) if keeper is not None else []
    wanted = next((one for one in things if typed["what"] in one.names), None)
    names = {name for one in things for name in one.names}
    context: dict[str, Any] = {
        "things": things,
        "wanted": wanted,
        "typed": typed,
        "errors": errors or {},
        "done": done if (done := request.query.get("done", "")) in names else "",
        "nav": "ops",
    }
    return await page(request, "operator/again.html", context, status=status)
