"""
Writing down a call: one page, filled in the order in which a caller talks, kept while it is typed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from aiohttp import web

from bus.contracts import ComplaintReceived, Contact
from bus.errors import Refused
from bus.identity import complaint_id
from channels.intake import clean_line, clean_text, read_email, read_phone
from channels.phone_transcript import FIELDS, PhoneTranscript, check
from gateway.keys import CITY, CITY_PAGE, DRAFTS, LIKELY, POOL
from gateway.likely import heard_now
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.phonetic import spoken
from gateway.staff.roles import Act
from gateway.staff.words import type_words
from store import desks, ledger
from store.duplicates import Likely

log = structlog.stdlib.get_logger()

PHONE = web.AppKey("phone", PhoneTranscript)

MOST_DRAFTS = 5
_GUESSED_FROM = 5_000  # characters; whatever a caller says first is what it is about


@requires(Act.ENTER)
async def new(request: web.Request) -> web.StreamResponse:
    """An empty form, or the call that this person was writing down when their page went away."""
    if "fresh" in request.query:
        return await _form(request, str(uuid4()), {"language": "en"})
    drafts = await _unsaved(request)
    if drafts:
        call = request.query.get("call", "")
        if call not in drafts:
            call = max(drafts, key=lambda one: str(drafts[one]["at"]))
        return await _form(request, call, drafts[call]["fields"], restored=drafts[call]["at"])
    return await _form(request, str(uuid4()), {"language": "en"})


@requires(Act.ENTER)
async def save(request: web.Request) -> web.StreamResponse:
    """Takes the call; the page that follows shows its reference, to be read out."""
    form = await _typed(request)
    call = _call(form)
    if call is None:
        return await _form(request, str(uuid4()), form, status=422)
    types = request.config_dict[CITY].types_by_name
    answers, problems = check(form, types)
    if problems:
        errors = {one.field: _(one.sentence) % one.values for one in problems}
        return await _form(request, call, form, errors=errors, status=422)
    caller = answers.caller
    reachable = caller.email or caller.phone or form.get("anonymous")
    if not reachable and not form.get("contact_asked"):
        return await _form(request, call, form, ask_contact=True, status=422)

    if answers.same_as is None and not form.get("likely_seen"):
        # Whoever saw the list while typing has decided; without script this page asks.
        found = await request.config_dict[LIKELY].like_if_quick(_heard(request, form))
        if likely := [one for one in found if one.is_strong]:
            return await _form(request, call, form, likely=likely, status=422)

    complaint = await request.config_dict[PHONE].receive(answers, request[ACCOUNT].login, call)
    await _keep(request, call, None)
    log.info("call taken", complaint_id=str(complaint.message_id), by=request[ACCOUNT].login)
    urgent = "?urgent=1" if complaint.emergency else ""
    raise web.HTTPSeeOther(f"/staff/calls/{call}{urgent}")


@requires(Act.ENTER)
async def saved(request: web.Request) -> web.StreamResponse:
    """The reference of a call, for reading out, and the way to the next one."""
    call = _call(request.match_info)
    if call is None:
        raise web.HTTPNotFound
    reference = request.config_dict[PHONE].reference(call)
    return await page(
        request,
        "staff/call_saved.html",
        {
            "reference": reference,
            "groups": spoken(reference),
            "case_id": complaint_id("phone", call),
            "urgent": "urgent" in request.query,
            "nav": "call",
        },
    )


@requires(Act.ENTER)
async def suggest(request: web.Request) -> web.StreamResponse:
    """What Buckstop would make of the call as it stands; a piece of the page."""
    form = await _typed(request)
    text = clean_text(form.get("text", ""))[:_GUESSED_FROM]
    address = clean_line(form.get("address", ""))
    routed, person, likely = None, None, []
    heard = _heard(request, form)
    if text or address or heard.reporter != Contact():
        known = await request.config_dict[LIKELY].routed(heard)
        # The phone number comes first: who calls again may call about the same.
        likely = await request.config_dict[LIKELY].like(heard, known)
        routed = known if text or address else None
    if routed is not None:
        async with request.config_dict[POOL].acquire() as conn:
            person = await desks.foreseen(conn, routed, datetime.now(UTC))
    referral = routed.referral if routed else None
    helper = request.config_dict[CITY_PAGE].helpers.get(referral.agency) if referral else None
    return await page(
        request,
        "staff/call_suggestions.html",
        {
            "routed": routed,
            "person": person,
            "text": text,
            "address": address,
            "helper": helper,
            # The page itself asks where it had to: not a second time beside it.
            "likely": [] if form.get("likely_asked") else likely,
            "same_as": form.get("same_as", ""),
        },
        whole=False,
    )


@requires(Act.ENTER)
async def draft(request: web.Request) -> web.StreamResponse:
    """Keeps the call as it stands, for a day; a piece of the page says so."""
    form = await _typed(request)
    call = _call(form)
    if call is None:
        raise web.HTTPBadRequest
    kept = True
    try:
        await _keep(request, call, {name: form[name] for name in FIELDS if form.get(name)})
    except Refused:
        kept = False
    return await page(
        request,
        "staff/call_kept.html",
        {"kept": kept, "now": datetime.now(UTC)},
        whole=False,
    )


async def _form(
    request: web.Request,
    call: str,
    typed: Mapping[str, str],
    *,
    errors: Mapping[str, str] | None = None,
    ask_contact: bool = False,
    likely: Sequence[Likely] = (),
    restored: str | None = None,
    status: int = 200,
) -> web.Response:
    city = request.config_dict[CITY]
    by_department: dict[str, list[tuple[str, str]]] = {}
    for one in city.problem_types:
        kind = (one.name, type_words(city, one.name))
        by_department.setdefault(one.department, []).append(kind)
    return await page(
        request,
        "staff/call.html",
        {
            "call": call,
            "typed": {name: typed.get(name, "") for name in FIELDS},
            "errors": errors or {},
            "ask_contact": ask_contact,
            "contact_asked": ask_contact or bool(typed.get("contact_asked")),
            "likely": likely,
            "restored": datetime.fromisoformat(restored) if restored else None,
            "types": {
                department: sorted(by_department[department], key=lambda pair: pair[1])
                for department in sorted(by_department)
            },
            "nav": "call",
        },
        status=status,
    )


async def _typed(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _heard(request: web.Request, form: Mapping[str, str]) -> ComplaintReceived:
    """The call as it stands, as if it had been saved."""
    anonymous = bool(form.get("anonymous"))
    phone, email = clean_line(form.get("phone", "")), clean_line(form.get("email", ""))
    return heard_now(
        "phone",
        text=clean_text(form.get("text", ""))[:_GUESSED_FROM],
        address=clean_line(form.get("address", "")) or None,
        language=form.get("language") or "en",
        problem_type=clean_line(form.get("problem_type", "")) or None,
        reporter=Contact()
        if anonymous
        else Contact(email=read_email(email) if email else None, phone=read_phone(phone)),
        entered_by=request[ACCOUNT].login,
    )


def _call(form: Mapping[str, str]) -> str | None:
    """The call's own id, in its one written form."""
    try:
        return str(UUID(form.get("call", "")))
    except ValueError:
        return None


# ── drafts: one entry per person, with the calls that they have not saved yet ────────────────────


def _place(request: web.Request) -> str:
    return f"calls of {request[ACCOUNT].login}"


async def _drafts(request: web.Request) -> dict[str, dict[str, Any]]:
    kept = await request.config_dict[DRAFTS].read(_place(request))
    return json.loads(kept) if kept else {}


async def _unsaved(request: web.Request) -> dict[str, dict[str, Any]]:
    # The page keeps a draft a last time while it is being sent: what is filed is no draft.
    drafts = await _drafts(request)
    ids = {call: complaint_id("phone", call) for call in drafts}
    async with request.config_dict[POOL].acquire() as conn:
        filed = await ledger.known(conn, list(ids.values()))
    return {call: draft for call, draft in drafts.items() if ids[call] not in filed}


async def _keep(request: web.Request, call: str, fields: Mapping[str, str] | None) -> None:
    """Keep one call's fields, or forget that call."""
    drafts = await _drafts(request)
    drafts.pop(call, None)
    if fields and any(name != "language" for name in fields):
        drafts[call] = {"at": datetime.now(UTC).isoformat(), "fields": dict(fields)}
    newest = dict(sorted(drafts.items(), key=lambda one: str(one[1]["at"]))[-MOST_DRAFTS:])
    if newest:
        await request.config_dict[DRAFTS].write(_place(request), json.dumps(newest).encode())
    else:
        await request.config_dict[DRAFTS].forget(_place(request))
