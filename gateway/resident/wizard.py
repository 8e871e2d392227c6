"""
Reporting a problem, one thing per page: what, photos, where, contact, check, send.

Every POST keeps its answers in the draft and redirects, so that reloading and going back do no
harm. What cannot be taken is shown again with what was typed.
"""

from collections.abc import Iterable, Mapping

import structlog
from aiohttp import web

from bus.errors import Refused, Unavailable
from channels.intake import clean_line, clean_text
from channels.web_form import FIELDS, MOST_LETTERS, Problem, check, read_form
from gateway.keys import CITY_PAGE, DARKROOM, FILES, WEB_FORM
from gateway.pages.i18n import LANGUAGES, current_language
from gateway.pages.i18n import gettext as _
from gateway.pages.layout import render
from gateway.pages.places import Doubt
from gateway.resident.draft import Draft, find_draft, keep_draft
from gateway.resident.near import look_near
from gateway.resident.uploads import MOST_BYTES, MOST_PHOTOS, read_upload
from router.locate import Spot

log = structlog.stdlib.get_logger()

STEPS = ("what", "photos", "where", "contact", "check")
_MOST_TYPED = 60_000  # letters of a text that may wait in a draft, control characters and all


def routes() -> list[web.RouteDef]:
    return [
        web.get("/report", begin),
        web.get("/channels/web", begin),  # somebody reloads the address of a form
        web.get("/report/what", ask_what),
        web.post("/report/what", take_what),
        web.get("/report/urgent", ask_urgent),
        web.get("/report/photos", ask_photos),
        web.post("/report/photos", take_photos),
        web.post("/report/photos/remove", remove_photo),
        web.get("/report/photos/{sha256}", show_photo),
        web.get("/report/where", ask_where),
        web.post("/report/where", take_where),
        web.get("/report/contact", ask_contact),
        web.post("/report/contact", take_contact),
        web.get("/report/check", ask_check),
        web.post("/report/send", send),
        web.get("/report/send", to_check),
    ]


async def begin(request: web.Request) -> web.Response:
    return _go("/report/what")


# ── what ────────────────────────────────────────────────────────────────────────────────────────


async def ask_what(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    return _what_page(request, draft.fields if draft else {})


async def take_what(request: web.Request) -> web.Response:
    form = await read_form(request)
    fields = _picked(form, "text", "problem_type")
    city = request.app[CITY_PAGE]
    _answers, problems = request.app[WEB_FORM].check(fields)
    problems = [one for one in problems if one.field in fields]
    if problems or len(fields["text"]) > _MOST_TYPED:
        return _what_page(request, fields, errors_of(problems) or _too_long_to_keep(fields["text"]))

    draft = await find_draft(request) or Draft.new()
    first_time = clean_text(draft.fields.get("text", "")) != clean_text(fields["text"])
    draft.fields.update(fields)
    urgent = first_time and city.sounds_urgent(clean_text(fields["text"]))
    # Words that were changed at the end may be those of another report.
    if _then(request) and not urgent and await look_near(request, draft):
        return await _keep_and_show_near(request, draft)
    return await _keep_and_go(request, draft, "photos", urgent=urgent)


def _what_page(
    request: web.Request, fields: Mapping[str, str], errors: Mapping[str, str] | None = None
) -> web.Response:
    return _step_page(request, "what", fields, errors, told=_choices(request))


def _choices(request: web.Request) -> dict[str, object]:
    language = current_language()
    city = request.app[CITY_PAGE]
    return {
        "most_letters": MOST_LETTERS,
        "choices": sorted(
            ((one.value, city.label_of(one.value, language)) for one in city.choices),
            key=lambda one: one[1].casefold(),
        ),
    }


def _too_long_to_keep(text: str) -> dict[str, str]:
    return errors_of(one for one in check({"text": "x" * len(text)})[1] if one.field == "text")


async def ask_urgent(request: web.Request) -> web.Response:
    return render(request, "resident/urgent.html", {"nav": "report", "then": _then(request)})


# ── photos ──────────────────────────────────────────────────────────────────────────────────────


async def ask_photos(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        return _go("/report/what")
    return _photos_page(request, draft)


async def take_photos(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    if not request.content_type.startswith("multipart/"):
        await read_form(request)
        if draft is None:
            return _lost(request, {})
        return _go(_next_url(request, "where"))
    upload = await read_upload(
        request,
        files=request.app[FILES],
        darkroom=request.app[DARKROOM],
        already=frozenset(one.file.sha256 for one in draft.photos) if draft else frozenset(),
    )
    expired = draft is None or not draft.is_begun
    draft = draft or Draft.new()
    draft.photos.extend(upload.photos)
    if expired:
        return await _start_again(request, draft)
    if upload.refusals:
        response = _photos_page(request, draft, upload.refusals)
        await keep_draft(request, draft, response)
        return response
    if upload.fields.get("go") == "add":
        response = _go(f"/report/photos{_then_query(request)}")
        await keep_draft(request, draft, response)
        return response
    return await _keep_and_go(request, draft, "where")


async def remove_photo(request: web.Request) -> web.Response:
    form = await read_form(request)
    draft = await find_draft(request)
    if draft is None:
        return _lost(request, {})
    draft.photos = [one for one in draft.photos if one.file.sha256 != form.get("photo")]
    response = _go(f"/report/photos{_then_query(request)}")
    await keep_draft(request, draft, response)
    return response


async def show_photo(request: web.Request) -> web.Response:
    """A small picture of one's own photo; nobody else's browser gets it."""
    draft = await find_draft(request)
    wanted = request.match_info["sha256"]
    if draft is None or wanted not in {one.file.sha256 for one in draft.photos}:
        raise web.HTTPNotFound
    data = await request.app[FILES].read(wanted)
    return web.Response(
        body=await request.app[DARKROOM].thumbnail(data),
        content_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=3600"},
    )


def _photos_page(
    request: web.Request,
    draft: Draft,
    refusals: Iterable[str] = (),
) -> web.Response:
    refused = list(refusals)
    return _step_page(
        request,
        "photos",
        draft.fields,
        {"photos": "\n".join(refused)} if refused else None,
        told={
            "refusals": refused,
            "photos": draft.photos,
            "most_photos": MOST_PHOTOS,
            "most_bytes": MOST_BYTES,
        },
    )


# ── where ───────────────────────────────────────────────────────────────────────────────────────


async def ask_where(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        return _go("/report/what")
    return _where_page(request, draft, draft.fields)


async def take_where(request: web.Request) -> web.Response:
    form = await read_form(request)
    fields = _picked(form, "address", "lat", "lon", "place_source")
    if which := clean_line(form.get("which", ""))[:200]:
        fields["address"] = which
    draft = await find_draft(request)
    expired = draft is None or not draft.is_begun
    draft = draft or Draft.new()
    points = draft.photo_points()
    if form.get("use_photo_place") and points:
        fields |= {"lat": str(points[0][0]), "lon": str(points[0][1]), "place_source": "photo"}
    elif form.get("forget_place") or fields["place_source"] == "photo":
        fields |= {"lat": "", "lon": "", "place_source": ""}

    answers, problems = check(draft.fields | fields)
    errors = errors_of(one for one in problems if one.field in fields)
    if not errors and answers.address is None and answers.lat is None and not form.get("no_place"):
        errors = {
            "address": _(
                "Tell us where it is: an address, the nearest corner, or how to find it. "
                "If your report is not about a place, say so below."
            )
        }
    if errors and not expired:
        return _where_page(request, draft, fields, errors)
    draft.fields.update(fields)
    draft.fields["no_place"] = "yes" if form.get("no_place") else ""
    if expired:
        return await _start_again(request, draft)

    place = f"{answers.address} {answers.lat} {answers.lon}"
    city = request.app[CITY_PAGE]
    if draft.warned_place != place and not which:
        spot = Spot(answers.lat, answers.lon, answers.address, clean_text(draft.fields["text"]))
        doubt = city.doubt(spot, answers.problem_type)
        if doubt is not None:
            draft.warned_place = place
            response = _where_page(request, draft, draft.fields, doubt=doubt)
            await keep_draft(request, draft, response)
            return response
    if await look_near(request, draft):
        return await _keep_and_show_near(request, draft)
    return await _keep_and_go(request, draft, "contact")


def _where_page(
    request: web.Request,
    draft: Draft,
    fields: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    *,
    doubt: Doubt | None = None,
) -> web.Response:
    city = request.app[CITY_PAGE]
    points = draft.photo_points()
    return _step_page(
        request,
        "where",
        fields,
        errors,
        told={
            "doubt": doubt,
            "which_options": [(name, name) for name in doubt.choices] if doubt else [],
            "photo_place": points[0] if points else None,
            "photo_near": city.place_near(*points[0]) if points else "",
            "has_point": bool(fields.get("lat")) and fields.get("place_source") != "photo",
        },
    )


# ── contact ─────────────────────────────────────────────────────────────────────────────────────


async def ask_contact(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        return _go("/report/what")
    return _step_page(request, "contact", draft.fields)


async def take_contact(request: web.Request) -> web.Response:
    form = await read_form(request)
    fields = _picked(form, "name", "email", "phone", "language")
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        draft = draft or Draft.new()
        draft.fields.update(fields)
        return await _start_again(request, draft)
    _answers, problems = check(draft.fields | fields)
    errors = errors_of(one for one in problems if one.field in fields)
    if errors:
        return _step_page(request, "contact", draft.fields | fields, errors)
    draft.fields.update(fields)
    return await _keep_and_go(request, draft, "check")


# ── check and send ──────────────────────────────────────────────────────────────────────────────


async def ask_check(request: web.Request) -> web.Response:
    draft = await find_draft(request)
    if draft is None or not draft.is_begun:
        return _go("/report/what")
    return _check_page(request, draft)


async def to_check(request: web.Request) -> web.Response:
    """Somebody reloads the address of the form that sends."""
    return _go("/report/check")


async def send(request: web.Request) -> web.Response:
    form = await read_form(request)
    form_id = form.get("form_id", "")
    draft = await find_draft(request)
    if draft is not None and form_id in draft.sent:
        # The same page was sent before: the same receipt.
        return _go(f"/receipt/{draft.sent[form_id].reference}")
    if draft is None or not draft.is_begun:
        # The draft is gone, but the form carries what was typed; without its photos.
        draft = draft or Draft.new()
        draft.fields.update(_picked(form, *FIELDS))
        if len(form_id) == len(draft.form_id) and form_id.isalnum():
            draft.form_id = form_id
        if not draft.is_begun:
            return _lost(request, draft.fields)
        return await _check_again(request, draft, "lost")
    if form_id != draft.form_id:
        return await _check_again(request, draft, "stale")

    web_form = request.app[WEB_FORM]
    typed = {name: draft.fields.get(name, "") for name in FIELDS}
    typed["language"] = typed["language"] or current_language()
    _answers, problems = web_form.check(typed)
    if problems:
        return _check_page(request, draft, errors=errors_of(problems), status=422)
    complaint = await web_form.receive(
        typed,
        draft.form_id,
        tuple(one.file for one in draft.photos),
        same_as=draft.same_as,
    )
    response = _go(f"/receipt/{complaint.reference}")
    try:
        sent = draft.after_sending(complaint.reference, urgent=complaint.emergency)
        await keep_draft(request, sent, response)
    except Unavailable:
        # The report is stored; sending the old draft again gives the same complaint.
        log.warning("a sent draft stays", complaint_id=str(complaint.message_id))
    return response


async def _check_again(request: web.Request, draft: Draft, why: str) -> web.Response:
    response = _check_page(request, draft, why=why, status=409)
    await keep_draft(request, draft, response)
    return response


def _check_page(
    request: web.Request,
    draft: Draft,
    *,
    errors: Mapping[str, str] | None = None,
    why: str = "",
    status: int = 200,
) -> web.Response:
    city = request.app[CITY_PAGE]
    language = current_language()
    fields = {name: draft.fields.get(name, "") for name in FIELDS}
    fields["language"] = fields["language"] or language
    answers, _problems = check(fields)
    spot = ""
    if answers.lat is not None and answers.lon is not None:
        near = city.place_near(answers.lat, answers.lon)
        spot = {
            "photo": _("The place where the photo was taken"),
            "device": _("Your location"),
        }.get(answers.place_source or "", _("The place on the map"))
        if near:
            spot = _("%(spot)s, near %(place)s") % {"spot": spot, "place": near}
    return _step_page(
        request,
        "check",
        fields,
        errors,
        status=status,
        told={
            "why": why,
            "draft": draft,
            "answers": answers,
            "spot": spot,
            "chosen": city.label_of(answers.problem_type or "", language),
            "language_name": LANGUAGES[answers.language],
            "outside": city.is_elsewhere(answers.address or "", answers.lat, answers.lon),
            "urgent": city.sounds_urgent(answers.text),
        },
    )


# ── what all steps share ────────────────────────────────────────────────────────────────────────


def errors_of(problems: Iterable[Problem]) -> dict[str, str]:
    """The sentences for a page, in its language, by field."""
    return {one.field: _(one.sentence) % one.values for one in problems}


def _step_page(
    request: web.Request,
    step: str,
    fields: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    *,
    status: int | None = None,
    told: Mapping[str, object] | None = None,
) -> web.Response:
    context: dict[str, object] = {
        "nav": "report",
        "step": step,
        "steps": STEPS,
        "number": STEPS.index(step) + 1,
        "fields": dict.fromkeys((*FIELDS, "no_place"), "") | dict(fields),
        "errors": errors or {},
        "then": _then(request),
    }
    return render(
        request,
        f"resident/{step}.html",
        context | dict(told or {}),
        status=status or (422 if errors else 200),
    )


async def _keep_and_go(
    request: web.Request,
    draft: Draft,
    step: str,
    *,
    urgent: bool = False,
) -> web.Response:
    url = f"/report/urgent{_then_query(request)}" if urgent else _next_url(request, step)
    response = _go(url)
    try:
        await keep_draft(request, draft, response)
    except Refused:
        return _what_page(request, draft.fields, _too_long_to_keep(draft.fields.get("text", "")))
    return response


async def _keep_and_show_near(request: web.Request, draft: Draft) -> web.Response:
    response = _go(f"/report/near{_then_query(request)}")
    await keep_draft(request, draft, response)
    return response


async def _start_again(request: web.Request, draft: Draft) -> web.Response:
    """The draft was gone: keep what this form carried, and say so on the first page."""
    response = _lost(request, draft.fields)
    await keep_draft(request, draft, response)
    return response


def _lost(request: web.Request, fields: Mapping[str, str]) -> web.Response:
    return _step_page(
        request,
        "what",
        fields,
        status=409,
        told=_choices(request) | {"lost": True},
    )


def _picked(form: Mapping[str, str], *names: str) -> dict[str, str]:
    # A text area may carry lines; everything else is one line.
    return {
        name: form.get(name, "") if name == "text" else clean_line(form.get(name, ""))[:1000]
        for name in names
    }


def _then(request: web.Request) -> str:
    """`check` when somebody came from the last page to change one answer."""
    return "check" if request.query.get("then") == "check" else ""


def _then_query(request: web.Request) -> str:
    return "?then=check" if _then(request) else ""


def _next_url(request: web.Request, step: str) -> str:
    return f"/report/{_then(request) or step}"


def _go(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
