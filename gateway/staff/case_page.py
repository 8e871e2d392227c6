"""One case: everything that is known of it, and what can be done with it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from yarl import URL

from bus.contracts import FileRef
from gateway.keys import CITY, CITY_PAGE, FILES, POOL, SETTINGS
from gateway.pages.i18n import gettext as _
from gateway.pages.i18n import noted as N_
from gateway.rule_words import trace_of
from gateway.staff.access import requires
from gateway.staff.forms import (
    AssignForm,
    CloseForm,
    EmergencyForm,
    Form,
    MergeForm,
    NoteForm,
    Problems,
    ReopenForm,
    TypeForm,
    read,
)
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from gateway.staff.same import possible_with, same_of
from gateway.staff.words import type_options
from store import absences, accounts, cases, changes, deliveries, guesses, ledger, merging, places
from store.accounts import Account
from store.cases import Case, Event
from store.model import NotAllowed

log = structlog.stdlib.get_logger()

# What a browser may draw inside our page; everything else is handed over as a file to keep.
SHOWN = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})


CHANGED_MEANWHILE = N_(
    "Somebody changed this case while you had it open. The page now shows how it stands; "
    "what you typed is kept. Send it again if it is still right."
)


@dataclass(frozen=True)
class Refused:
    """A form that was not taken: what was typed, and what has to be mended."""

    action: str
    typed: Mapping[str, str]
    errors: Problems


@requires(Act.READ)
async def show(request: web.Request) -> web.StreamResponse:
    case = await _case(request)
    if case is None:
        return await _unknown(request)
    return await _show(request, case)


@requires(Act.READ)
async def back(request: web.Request) -> web.StreamResponse:
    """The address of a form, opened as a page (after signing in, or in another language)."""
    case, action = request.match_info["case"], request.match_info["action"]
    raise web.HTTPSeeOther(URL.build(path=f"/staff/cases/{case}", fragment=f"form-{action}"))


@requires(Act.WORK)
async def start(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, _form: Form) -> None:
        await changes.start(conn, case.id, by=request[ACCOUNT].login)

    return await _act(request, "start", Form, do)


@requires(Act.ASSIGN)
async def assign(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: AssignForm) -> Problems | None:
        if form.assignee:
            person = await accounts.by_login(conn, form.assignee)
            if person is None or not person.active:
                return {"assignee": _("Choose somebody from the list.")}
            if form.department and person.department != form.department:
                sentence = _(
                    "%(name)s works for %(department)s. Choose that department, or somebody else."
                )
                works_for = person.department or _("no department")
                return {"assignee": sentence % {"name": person.name, "department": works_for}}
        if form.department and form.department not in _departments(request):
            return {"department": _("Choose a department from the list.")}
        await changes.assign(
            conn,
            case.id,
            department=form.department or None,
            assignee=form.assignee or None,
            by=request[ACCOUNT].login,
            why=form.why,
        )
        return None

    return await _act(request, "assign", AssignForm, do)


@requires(Act.WORK)
async def set_type(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: TypeForm) -> Problems | None:
        if form.problem_type not in request.config_dict[CITY].types_by_name:
            return {"problem_type": _("Choose a type from the list.")}
        await changes.set_problem_type(
            conn, case.id, problem_type=form.problem_type, by=request[ACCOUNT].login
        )
        return None

    return await _act(request, "type", TypeForm, do)


@requires(Act.ASSIGN)
async def set_emergency(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: EmergencyForm) -> None:
        await changes.set_emergency(
            conn, case.id, emergency=form.emergency == "yes", by=request[ACCOUNT].login
        )

    return await _act(request, "emergency", EmergencyForm, do)


@requires(Act.NOTE)
async def note(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: NoteForm) -> None:
        await changes.add_note(
            conn,
            case.id,
            note_id=form.note_id,
            text=form.text,
            public=form.audience == "public",
            by=request[ACCOUNT].login,
        )

    return await _act(request, "note", NoteForm, do)


@requires(Act.WORK)
async def close(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: CloseForm) -> None:
        await changes.close(
            conn, case.id, outcome=form.outcome, words=form.words, by=request[ACCOUNT].login
        )

    return await _act(request, "close", CloseForm, do)


@requires(Act.WORK)
async def reopen(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: ReopenForm) -> None:
        await changes.reopen(conn, case.id, reason=form.reason, by=request[ACCOUNT].login)

    return await _act(request, "reopen", ReopenForm, do)


@requires(Act.WORK)
async def merge(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, form: MergeForm) -> Problems | None:
        typed = form.reference or form.other
        if not typed:
            return {"reference": _("Choose a case, or enter the reference of another one.")}
        other = await find_case(conn, typed)
        if other is None:
            return {"reference": _("There is no case with this reference. Check each letter.")}
        joins, stays = (other, case) if form.stays == "this" else (case, other)
        await merging.merge(conn, joins.id, into=stays.id, by=request[ACCOUNT].login)
        return None

    return await _act(request, "merge", MergeForm, do)


@requires(Act.WORK)
async def unmerge(request: web.Request) -> web.StreamResponse:
    async def do(conn: Any, case: Case, _form: Form) -> None:
        await merging.unmerge(conn, case.id, by=request[ACCOUNT].login)

    return await _act(request, "unmerge", Form, do)


@requires(Act.READ)
async def people_options(request: web.Request) -> web.StreamResponse:
    """The people of a department, as the options of a select."""
    department = request.query.get("department") or None
    async with request.config_dict[POOL].acquire() as conn:
        people = await accounts.people(conn, department) if department else []
        away = await absences.away(conn, datetime.now(UTC))
    return await page(
        request,
        "staff/people_options.html",
        {"people": people, "department": department, "away": away},
        whole=False,
    )


@requires(Act.READ)
async def file(request: web.Request) -> web.StreamResponse:
    """A photo or the original of a case, for staff only; never a file that is not this case's."""
    sha256 = request.match_info["sha256"]
    case = await _case(request, request.query.get("case", ""))
    if case is None:
        raise web.HTTPNotFound
    async with request.config_dict[POOL].acquire() as conn:
        notes = await cases.notes(conn, case.id, public_only=False)
        originals = await _originals(conn, await cases.history(conn, case.id))
    kept = [*case.attachments, *(one for note in notes for one in note.attachments)]
    if case.original is not None:
        originals[str(case.id)] = case.original
    as_they_came = list(originals.values())
    kept += as_they_came
    found = next((one for one in kept if one.sha256 == sha256), None)
    if found is None:
        raise web.HTTPNotFound
    try:
        data = await request.config_dict[FILES].read(sha256)
    except KeyError:
        log.error("a case's file is not there", case_id=str(case.id), sha256=sha256)
        raise web.HTTPNotFound from None
    shown = found.media_type in SHOWN and found not in as_they_came
    return web.Response(
        body=data,
        headers={
            "Content-Type": found.media_type if shown else "application/octet-stream",
            "Content-Disposition": "inline"
            if shown
            else f'attachment; filename="{case.reference}-{sha256[:8]}{_ending(found.media_type)}"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, max-age=3600",
        },
    )


def _ending(media_type: str) -> str:
    return {
        "application/json": ".json",
        "message/rfc822": ".eml",
        "text/plain": ".txt",
        "image/jpeg": ".jpg",
        "image/png": ".png",
    }.get(media_type, "")


Do = Callable[[Any, Case, Any], Awaitable[Problems | None]]


async def _act(request: web.Request, action: str, form: type[Form], do: Do) -> web.StreamResponse:
    """
    Do one thing to a case, and show the case again.

    A form that is not whole, that somebody else was quicker than, or that the case's status does
    not allow comes back with what was typed and the sentence that says why.
    """
    case = await _case(request)
    if case is None:
        return await _unknown(request)
    typed = {
        name: value for name, value in (await request.post()).items() if isinstance(value, str)
    }
    filled = read(form, typed)
    if isinstance(filled, dict):
        return await _show(request, case, Refused(action, typed, filled), status=422)
    async with request.config_dict[POOL].acquire() as conn:
        seen = typed.get("seen", "")
        history = await cases.history(conn, case.id)
        if action != "note" and _changed_by_others(history, seen, request[ACCOUNT].login):
            errors, status = {f"form-{action}": _(CHANGED_MEANWHILE)}, 409
        else:
            try:
                errors, status = await do(conn, case, filled) or {}, 422
            except NotAllowed as error:
                errors, status = {f"form-{action}": _(str(error))}, 409
    if errors:
        now = await _case(request) or case
        return await _show(request, now, Refused(action, typed, errors), status=status)
    log.info("case changed", action=action, case_id=str(case.id), by=request[ACCOUNT].login)
    raise web.HTTPSeeOther(f"/staff/cases/{case.id}?done={action}")


async def _show(
    request: web.Request, case: Case, refused: Refused | None = None, *, status: int = 200
) -> web.Response:
    city = request.config_dict[CITY]
    async with request.config_dict[POOL].acquire() as conn:
        history = await cases.history(conn, case.id)
        notes = await cases.notes(conn, case.id, public_only=False)
        originals = await _originals(conn, history)
        notices = await deliveries.for_case(conn, case.id)
        people = await accounts.people(conn)
        away = await absences.away(conn, datetime.now(UTC))
        place = await places.of_case(conn, case.id)
        same = await same_of(request, conn, case)
        guess = await guesses.of_case(conn, case.id)
    by_department: dict[str, list[Account]] = {}
    for person in people:
        if person.department:
            by_department.setdefault(person.department, []).append(person)
    return await page(
        request,
        "staff/case.html",
        {
            "case": case,
            "history": history,
            "notes": {str(note.id): note for note in notes},
            "originals": originals,
            "notices": notices,
            "people": dict(sorted(by_department.items())),
            "away": away,
            "departments": [(name, name) for name in _departments(request)],
            "types": type_options(city),
            "possible": possible_with(case),
            "same": same,
            "refused": refused,
            "errors": refused.errors if refused else {},
            "seen": len(history),
            "trace": trace_of(history),
            "note_id": uuid4(),
            "map_url": _map_url(request, case),
            "place": place,
            "guess": guess,
            "helper": request.config_dict[CITY_PAGE].helpers.get(place.referral.agency)
            if place.referral
            else None,
            "shown_types": SHOWN,
            "entered_by_name": next(
                (event.by_name for event in history if event.kind == "opened"), case.entered_by
            ),
            "done": request.query.get("done", "") if refused is None else "",
        },
        status=status,
    )


async def _originals(conn: Any, history: list[Event]) -> dict[str, FileRef]:
    """The messages that the history speaks of, as they came, by their ids."""
    told = {str(event.data["complaint_id"]) for event in history if "complaint_id" in event.data}
    found = await ledger.originals(conn, [UUID(complaint) for complaint in told])
    return {str(complaint): original for complaint, original in found.items()}


def _map_url(request: web.Request, case: Case) -> str | None:
    """A map of the place, as the city's settings name it; None where no place is known."""
    links, city = request.config_dict[SETTINGS].notifier, request.config_dict[CITY]
    if case.lat is not None and case.lon is not None:
        return links.map_link.format(lat=f"{case.lat:.6f}", lon=f"{case.lon:.6f}")
    if case.address:
        place = f"{case.address}, {city.name}, {city.state}"
        return links.search_link.format(query=quote(place, safe=""))
    return None


def _departments(request: web.Request) -> list[str]:
    return [department.name for department in request.config_dict[CITY].departments]


def _changed_by_others(history: list[Event], seen: str, by: str) -> bool:
    """Whether somebody else changed the case after the page that this form stood on was made."""
    if not (seen.isascii() and seen.isdigit()):
        return False
    return any(event.by != by for event in history[int(seen[:9]) :])


async def _case(request: web.Request, wanted: str | None = None) -> Case | None:
    """The case by its id or by its reference, as people write it."""
    text = request.match_info["case"] if wanted is None else wanted
    async with request.config_dict[POOL].acquire() as conn:
        return await find_case(conn, text)


async def find_case(conn: Any, wanted: str) -> Case | None:
    """
    The case with this id or reference; of a message that joined a case, that one.
    """
    try:
        case_id = UUID(wanted)
    except ValueError:
        return await cases.by_reference(conn, wanted)
    found = await cases.by_id(conn, case_id)
    if found is None:
        entry = await ledger.entry(conn, case_id)
        found = await cases.by_id(conn, entry.case_id) if entry and entry.case_id else None
    return found


async def _unknown(request: web.Request) -> web.Response:
    return await page(
        request,
        "staff/no_case.html",
        {"wanted": request.match_info["case"], "entered": "entered" in request.query},
        status=404,
    )
