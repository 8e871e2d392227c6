"""The guard that stands before every staff page: signed in, allowed to, and with the token."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps

import asyncpg
import structlog
from aiohttp import web
from aiohttp_session import get_session, new_session
from yarl import URL

from gateway.keys import POOL
from gateway.pages import csrf
from gateway.staff import standby
from gateway.staff.pages import ACCOUNT, CSRF, ON_STANDBY, page
from gateway.staff.roles import Act, acts_of, roles_for
from store import accounts, sessions
from store.accounts import Account
from store.pool import AWAY

log = structlog.stdlib.get_logger()

_STANDBY_AFTER = 3.0  # seconds

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def requires(act: Act, *, on_standby: bool = False) -> Callable[[Handler], Handler]:
    """
    Let a handler answer only to those who may do this, and to a form only with its session's token.
    `on_standby`: while nobody can be asked who is signed in, an operator's cookie will do.

    Whoever is not signed in is asked to sign in first. What they had typed is kept: the page
    that refuses a form carries it, and offers to send it again.
    """

    def guard(handler: Handler) -> Handler:
        @wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            account = await (_or_on_standby(request) if on_standby else signed_in(request))
            if account is None:
                return await _ask_to_sign_in(request)
            if act not in acts_of(account.roles):
                return await page(
                    request,
                    "staff/forbidden.html",
                    {"act": act, "roles": roles_for(act)},
                    status=403,
                )
            if request.method == "POST":
                form = await request.post()
                try:
                    if request.get(ON_STANDBY):
                        standby.check(request, form.get(csrf.FIELD))
                    else:
                        csrf.check(await get_session(request), form.get(csrf.FIELD))
                except csrf.FormTooOld:
                    return await held_page(request, request.path_qs, carried(form), status=403)
            return await handler(request)

        return guarded

    return guard


async def signed_in(request: web.Request) -> Account | None:
    """
    The account of whoever asks, as it stands now, or None.

    Read anew each time: somebody who was deactivated or lost a role is stopped by their next
    click, not by the end of their session.
    """
    if ACCOUNT in request:
        return request[ACCOUNT]
    session = await get_session(request)
    login = session.get("login")
    if not isinstance(login, str):
        return None
    async with request.config_dict[POOL].acquire() as conn:
        account = await accounts.by_login(conn, login)
    if account is None or not account.active:
        return None
    request[ACCOUNT] = account
    request[CSRF] = csrf.token(session)
    return account


async def _or_on_standby(request: web.Request) -> Account | None:
    known = standby.bearer(request)
    if known is None:
        return await signed_in(request)
    asking = asyncio.create_task(signed_in(request), name="who is signed in")
    # Whoever gave up the waiting does not hear of it any more.
    asking.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        # A server that hangs does not say so, and the pool would wait for it to take a question
        # back: that is left to itself. An operator waits for it least of all.
        await asyncio.wait({asking}, timeout=_STANDBY_AFTER)
        if asking.done():
            return asking.result()
        log.warning("operator on standby", login=known.login, error="no answer")
    except (*AWAY, asyncpg.PostgresError) as error:
        log.warning("operator on standby", login=known.login, error=type(error).__name__)
    finally:
        asking.cancel()
    request[ACCOUNT] = known
    request[CSRF] = standby.form_token(request)
    request[ON_STANDBY] = True
    return known


async def open_session(request: web.Request, account: Account) -> None:
    """Sign in: a new session under a new number; whatever session there was has ended."""
    await close_session(request)
    session = await new_session(request)
    session["login"] = account.login
    request[ACCOUNT] = account
    request[CSRF] = csrf.token(session)


async def close_session(request: web.Request) -> None:
    """Sign out: the number in the cookie stands for nothing any more."""
    session = await get_session(request)
    if session.identity is not None:
        async with request.config_dict[POOL].acquire() as conn:
            await sessions.forget(conn, session.identity)
    session.invalidate()


def own_path(wanted: str) -> str | None:
    """The address of one of our own pages, or None: a link may not send people elsewhere."""
    # Browsers read `//host` and `/\\host` as another site, and skip control characters.
    own = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    return wanted if own and all(ord(letter) > 32 for letter in wanted) else None


_PASSWORD = "password"  # noqa: S105 - how the names of such fields begin

HELD = "held:"
"""Before the names of the fields that are carried over while somebody signs in."""


async def held_page(
    request: web.Request, action: str, fields: list[tuple[str, str]], *, status: int
) -> web.Response:
    """The page instead of a form that was not taken: what was typed, ready to be sent again."""
    return await page(
        request, "staff/held.html", {"action": action, "fields": fields}, status=status
    )


def carried(form: Mapping[str, object]) -> list[tuple[str, str]]:
    """
    A form's own fields, without the sign-in fields: a page must not show a password, nor trust an
    old token.
    """
    return [
        (name, value)
        for name, value in form.items()
        if isinstance(value, str) and name != csrf.FIELD and not name.startswith((HELD, _PASSWORD))
    ]


async def sign_in_page(
    request: web.Request,
    *,
    wanted: str = "",
    login: str = "",
    held_to: str = "",
    held: list[tuple[str, str]] | None = None,
    errors: Mapping[str, str] | None = None,
    ended: bool = False,
    status: int = 200,
) -> web.Response:
    """
    The sign-in page; it carries what somebody was sending when their session had ended
    (`held`, for `held_to`), so that nothing typed is lost.
    """
    return await page(
        request,
        "staff/sign_in.html",
        {
            "wanted": wanted,
            "login": login,
            "held_to": held_to,
            "held": held or [],
            "errors": errors or {},
            "ended": ended,
            "signed_out": "signed-out" in request.query,
            "nav": "sign-in",
        },
        status=status,
    )


async def _ask_to_sign_in(request: web.Request) -> web.StreamResponse:
    if request.headers.get("HX-Request") == "true":
        # A piece of a page cannot become a sign-in form: what was typed stays where it stands.
        return await page(request, "staff/signed_out_piece.html", {}, status=401, whole=False)
    if request.method == "POST":
        form = await request.post()
        return await sign_in_page(
            request, held_to=request.path_qs, held=carried(form), ended=True, status=401
        )
    raise web.HTTPSeeOther(URL("/staff/sign-in").with_query(next=request.path_qs))
