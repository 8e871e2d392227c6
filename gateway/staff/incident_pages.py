"""Incidents on the pages of staff: what Buckstop proposes, what is open, and one of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import structlog
from aiohttp import web

from gateway.keys import POOL, SETTINGS
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import CloseForm, Form, GiveForm, NoteForm, Problems, TakeInForm, read
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import accounts, cases, incident_changes, incidents
from store.incidents import Incident
from store.model import NotAllowed

log = structlog.stdlib.get_logger()

Do = Callable[[Any, Incident, Any], Awaitable[Problems | None]]


def routes() -> list[web.RouteDef]:
    return [
        web.get("/staff/incidents", show_all),
        web.get("/staff/incidents/{incident}", show_one),
        web.post("/staff/incidents/{incident}/begin", begin),
        web.post("/staff/incidents/{incident}/dismiss", dismiss),
        web.post("/staff/incidents/{incident}/attach", attach),
        web.post("/staff/incidents/{incident}/detach", detach),
        web.post("/staff/incidents/{incident}/assign", assign),
        web.post("/staff/incidents/{incident}/note", note),
        web.post("/staff/incidents/{incident}/close", close),
        web.get("/staff/incidents/{incident}/{action}", back),
    ]


@requires(Act.READ)
async def show_all(request: web.Request) -> web.StreamResponse:
    """Those that are proposed or open, and the last ones that were closed."""
    async with request.config_dict[POOL].acquire() as conn:
        alive = await incidents.alive(conn)
        closed = await incidents.closed_lately(conn)
    return await page(
        request,
        "staff/incidents.html",
        {
            "proposed": [one for one in alive if one.state is incidents.State.PROPOSED],
            "open": [one for one in alive if one.state is incidents.State.OPEN],
            "closed": closed,
            "storms": request.config_dict[SETTINGS].store.storms,
            "nav": "incidents",
        },
    )


@requires(Act.READ)
async def show_one(request: web.Request) -> web.StreamResponse:
    return await _show(request)


@requires(Act.READ)
async def back(request: web.Request) -> web.StreamResponse:
    """The address of a form, opened as a page."""
    raise web.HTTPSeeOther(f"/staff/incidents/{_id(request)}")


@requires(Act.WORK)
async def begin(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, incident: Incident, form: TakeInForm) -> None:
        chosen = await _chosen(request)
        fitting = [row.id for row in await incidents.fitting(conn, incident.id)]
        await incident_changes.begin(
            conn,
            incident.id,
            [one for one in fitting if one in chosen],
            takes_in=form.takes_in == "yes",
            by=request[ACCOUNT].login,
        )

    return await _act(request, "begin", TakeInForm, do)


@requires(Act.WORK)
async def dismiss(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, incident: Incident, _form: Form) -> None:
        await incident_changes.dismiss(conn, incident.id, by=request[ACCOUNT].login)

    return await _act(request, "dismiss", Form, do)


@requires(Act.WORK)
async def attach(request: web.Request) -> web.StreamResponse:
    """Those that were chosen, and the one whose reference was typed."""

    async def do(conn: Any, incident: Incident, _form: Form) -> Problems | None:
        chosen = await _chosen(request)
        typed = str((await request.post()).get("reference", "")).strip()
        if typed:
            case = await cases.by_reference(conn, typed[:60])
            if case is None:
                return {"reference": _("There is no case with this reference. Check each letter.")}
            chosen.append(case.id)
        if not chosen:
            return {"reference": _("Choose a report, or enter the reference of another one.")}
        if not await incident_changes.attach(conn, incident.id, chosen, by=request[ACCOUNT].login):
            return {"reference": _("It is closed, or part of an incident already.")}
        return None

    return await _act(request, "attach", Form, do)


@requires(Act.WORK)
async def detach(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, _incident: Incident, _form: Form) -> None:
        for case_id in await _chosen(request):
            await incident_changes.detach(conn, case_id, by=request[ACCOUNT].login)

    return await _act(request, "detach", Form, do)


@requires(Act.ASSIGN)
async def assign(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, incident: Incident, form: GiveForm) -> Problems | None:
        person = await accounts.by_login(conn, form.assignee)
        if person is None or not person.active or not person.department:
            return {"assignee": _("Choose somebody from the list.")}
        await incident_changes.assign(
            conn, incident.id, assignee=form.assignee, by=request[ACCOUNT].login
        )
        return None

    return await _act(request, "assign", GiveForm, do)


@requires(Act.WORK)
async def note(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, incident: Incident, form: NoteForm) -> None:
        await incident_changes.add_note(
            conn,
            incident.id,
            note_id=form.note_id,
            text=form.text,
            public=form.audience == "public",
            by=request[ACCOUNT].login,
        )

    return await _act(request, "note", NoteForm, do)


@requires(Act.WORK)
async def close(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, incident: Incident, form: CloseForm) -> None:
        await incident_changes.close(
            conn, incident.id, outcome=form.outcome, words=form.words, by=request[ACCOUNT].login
        )

    return await _act(request, "close", CloseForm, do)


async def _act(request: web.Request, action: str, form: type[Form], do: Do) -> web.StreamResponse:
    """
    Do one thing to an incident, and show it again; a form that is not taken comes back with what
    was typed and the sentence that says why.
    """
    typed = {
        name: value for name, value in (await request.post()).items() if isinstance(value, str)
    }
    filled = read(form, typed)
    if isinstance(filled, dict):
        return await _show(request, (action, typed, filled), status=422)
    async with request.config_dict[POOL].acquire() as conn:
        incident = await incidents.by_id(conn, _id(request))
        if incident is None:
            raise web.HTTPNotFound
        try:
            errors, status = await do(conn, incident, filled) or {}, 422
        except NotAllowed as error:
            errors, status = {f"form-{action}": _(str(error))}, 409
    if errors:
        return await _show(request, (action, typed, errors), status=status)
    log.info(
        "incident changed", action=action, incident_id=str(incident.id), by=request[ACCOUNT].login
    )
    raise web.HTTPSeeOther(f"/staff/incidents/{incident.id}?done={action}")


async def _show(
    request: web.Request,
    refused: tuple[str, Mapping[str, str], Problems] | None = None,
    *,
    status: int = 200,
) -> web.Response:
    async with request.config_dict[POOL].acquire() as conn:
        incident = await incidents.by_id(conn, _id(request))
        if incident is None:
            raise web.HTTPNotFound
        proposed = incident.state is incidents.State.PROPOSED
        told = {
            "incident": incident,
            "attached": await incidents.attached(conn, incident.id),
            "fitting": (
                await incidents.fitting(conn, incident.id)
                if proposed or incident.state is incidents.State.OPEN
                else []
            ),
            "notes": await incidents.notes(conn, incident.id),
            "people": [one for one in await accounts.people(conn) if one.department],
        }
    links = request.config_dict[SETTINGS].notifier
    return await page(
        request,
        "staff/incident.html",
        {
            **told,
            "refused": refused[0] if refused else "",
            "typed": refused[1] if refused else {},
            "errors": refused[2] if refused else {},
            "note_id": uuid4(),
            "map_url": links.map_link.format(lat=f"{incident.lat:.6f}", lon=f"{incident.lon:.6f}"),
            "done": request.query.get("done", "") if refused is None else "",
            "nav": "incidents",
        },
        status=status,
    )


async def _chosen(request: web.Request) -> list[UUID]:
    """The cases whose boxes were ticked."""
    found = []
    for value in (await request.post()).getall("case", []):
        try:
            found.append(UUID(str(value)))
        except ValueError:
            continue
    return found


def _id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["incident"])
    except ValueError:
        raise web.HTTPNotFound from None
