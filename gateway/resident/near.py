"""
Reports of the same that lie near: shown once before a resident goes on, who decides.

Whoever calls one of them the same problem sends theirs as everybody does; it is added to that one,
and they hear what becomes of it. Nothing that was typed is lost either way.
"""

import hashlib

from aiohttp import web

from channels.intake import clean_text
from channels.web_form import check, read_form
from gateway.keys import LIKELY
from gateway.likely import heard_now
from gateway.pages.i18n import current_language
from gateway.pages.i18n import gettext as _
from gateway.pages.layout import render
from gateway.resident.draft import Draft, find_draft, keep_draft

NEITHER = "none"


def routes() -> list[web.RouteDef]:
    return [web.get("/report/near", ask_near), web.post("/report/near", take_near)]


async def look_near(request: web.Request, draft: Draft) -> bool:
    """
    Whether to show reports of the same, which the draft then holds; never twice for the same words
    at the same place. What was called the same before is so no more once words or place change.
    """
    answers, _problems = check(draft.fields)
    asked = hashlib.sha256(
        f"{answers.text}\0{answers.address}\0{answers.lat} {answers.lon}".encode()
    ).hexdigest()
    if draft.near_asked == asked:
        return False
    draft.near_asked, draft.same_as = asked, None
    draft.near = await request.app[LIKELY].near(
        heard_now(
            "web",
            text=clean_text(draft.fields.get("text", "")),
            address=answers.address,
            lat=answers.lat,
            lon=answers.lon,
            language=current_language(),
            problem_type=answers.problem_type,
        )
    )
    return bool(draft.near)


async def ask_near(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        return _go("/report/what")
    if not draft.near:
        return _go(_next(request))
    return _near_page(request, draft)


async def take_near(request: web.Request) -> web.Response:
    form = await read_form(request)
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        return _go("/report/what")
    chosen = form.get("same", "")
    if not chosen:
        return _near_page(
            request, draft, {"same": _("Choose one, or say that yours is another problem.")}
        )
    # By its place in the list: what a browser sends never names a case.
    number = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 3 else -1
    draft.same_as = draft.near[number].case_id if 0 <= number < len(draft.near) else None
    response = _go(_next(request))
    await keep_draft(request, draft, response)
    return response


def _near_page(
    request: web.Request, draft: Draft, errors: dict[str, str] | None = None
) -> web.Response:
    chosen = next(
        (str(at) for at, one in enumerate(draft.near) if one.case_id == draft.same_as), ""
    )
    told = {
        "nav": "report",
        "near": draft.near,
        "chosen": chosen,
        "neither": NEITHER,
        "then": "check" if request.query.get("then") == "check" else "",
        "errors": errors or {},
    }
    return render(request, "resident/near.html", told, status=422 if errors else 200)


def _next(request: web.Request) -> str:
    return "/report/check" if request.query.get("then") == "check" else "/report/contact"


def _go(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
