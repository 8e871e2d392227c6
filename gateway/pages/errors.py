"""
Every refusal and every failure as a page that says what to do next, and keeps what was typed.

Machines (webhooks, `Accept: application/json`) get a line of JSON instead.
"""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from bus.errors import Unavailable
from channels.web_form import FIELDS, BadAnswers
from gateway.keys import CITY_PAGE
from gateway.open311 import errors as open311
from gateway.pages.csrf import FormTooOld, FromAnotherSite
from gateway.pages.i18n import current_language
from gateway.pages.i18n import gettext as _
from store.pool import AWAY

log = structlog.stdlib.get_logger()

render_key: web.AppKey[Callable[..., web.Response]] = web.AppKey("render")

_AWAY: tuple[type[Exception], ...] = (Unavailable, TimeoutError, *AWAY)
_SECRET = frozenset({"password", "new_password", "csrf"})
_KEPT_FIELDS = 40
_KEPT_LENGTH = 120_000


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadAnswers as refusal:
        if _is_machine(request):
            raise
        return _answers_again(request, refusal)
    except web.HTTPException as refusal:
        if refusal.status < 400:
            raise
        return await error_page(request, refusal.status, refusal)
    except _AWAY as error:
        log.warning("a part of the system is away", path=request.path, error=repr(error))
        return await error_page(request, 503, error)
    except Exception:
        # The rim of the web: whatever it was, the resident gets a page and we get the trace.
        log.exception("a page failed", path=request.path)
        return await error_page(request, 500)


async def error_page(
    request: web.Request, status: int, error: BaseException | None = None
) -> web.Response:
    """The page for a status, in the reader's language, with what they had typed."""
    if open311.is_asked(request):
        return open311.answer_for(request, status, error)
    typed = await _what_was_typed(request) if status in {403, 500, 503} else {}
    title, lines = _words(status, error, kept=bool(typed))
    headers = {"Retry-After": "10"} if status == 503 else {}
    if isinstance(error, web.HTTPException):
        headers |= {
            name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers
        }
    response: web.Response
    if _is_machine(request):
        response = web.json_response({"error": title, "details": lines}, status=status)
    else:
        response = request.app[render_key](
            request,
            "pages/error.html",
            {"status": status, "title": title, "lines": lines, "typed": typed},
            status=status,
        )
    response.headers.update(headers)
    return response


def _answers_again(request: web.Request, refusal: BadAnswers) -> web.Response:
    """A whole report that cannot be taken, as a form with what was typed."""
    language = current_language()
    city = request.app[CITY_PAGE]
    return request.app[render_key](
        request,
        "resident/one_page.html",
        {
            "fields": dict.fromkeys((*FIELDS, "token"), "")
            | {
                name: value.encode("utf-8", "replace").decode()
                for name, value in refusal.typed.items()
            },
            "errors": {one.field: _(one.sentence) % one.values for one in refusal.problems},
            "choices": [(one.value, city.label_of(one.value, language)) for one in city.choices],
        },
        status=422,
    )


def _words(status: int, error: BaseException | None, *, kept: bool) -> tuple[str, list[str]]:
    if isinstance(error, FromAnotherSite):
        return _("We could not be sure that you sent this"), [
            _("Your browser says that this form was on another website. Nothing was done."),
            _("If it was you, check what you typed below and send it again from here."),
        ]
    if isinstance(error, FormTooOld):
        return _("This page had been open too long"), [
            _("Nothing was done. Sign in again if you are asked to, then send it once more."),
        ]
    if status == 404:
        return _("We cannot find that page"), [
            _("If you typed the address, check that it is complete."),
            _("If you followed a link, the page may have moved."),
        ]
    if status in {401, 403}:
        return _("You may not see this page"), [
            _("Your account does not have the right for it. Ask your administrator.")
        ]
    if status == 405:
        return _("That cannot be done here"), [_("Go back and use the buttons on the page.")]
    if status == 413:
        return _("That was too large to take"), [
            _("One photo may have 15 MB, and a report up to 10 photos."),
            _("Go back, choose smaller photos, or send the report without them."),
        ]
    if status == 429:
        return _("Please wait a moment"), [
            _("There were many requests from your connection in a short time."),
            _("Wait one minute, then try again."),
        ]
    if status == 503:
        return _("We cannot reach our records right now"), [
            _("It is not your fault, and what you typed is kept below.")
            if kept
            else _("It is not your fault. Nothing that you had sent before is lost."),
            _("Wait a minute, then try again. If it is urgent, please call us."),
        ]
    if status >= 500:
        return _("Something went wrong on our side"), [
            _("We have made a note of it. Nothing that you had sent before is lost."),
            _("Please try again. If it happens again, please call us."),
        ]
    return _("We could not understand that"), [_("Go back, check what you typed, and try again.")]


def _is_machine(request: web.Request) -> bool:
    accepted = request.headers.get("Accept", "")
    if "text/html" in accepted:
        return False
    return "json" in accepted or request.path.startswith("/channels/")


async def _what_was_typed(request: web.Request) -> Mapping[str, str]:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        form: Mapping[str, Any] = await request.post()
    except (web.HTTPException, OSError, ValueError, LookupError):
        return {}
    return {
        name: value[:_KEPT_LENGTH]
        for name, value in list(form.items())[:_KEPT_FIELDS]
        if isinstance(value, str) and name not in _SECRET
    }
