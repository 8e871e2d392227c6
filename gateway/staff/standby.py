"""
Who may see the operators' figures while PostgreSQL, which knows who is signed in, is away.

Whoever may operate gets, with each page of staff, a cookie that says so for four hours, sealed with
our secret. It is looked at only while the sessions cannot be asked, opens only what names
nobody, and with it the one lever that brings PostgreSQL back, and ends with the sign-out.
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

from aiohttp import web

from gateway.keys import SETTINGS
from gateway.pages import csrf
from gateway.settings import secret_of
from gateway.staff.roles import Act, acts_of
from store.accounts import Account
from store.model import Role

COOKIE = "buckstop_operator"
LIFETIME = 4 * 3600
"""Seconds; renewed by every page of staff."""
PATH = "/ops"
_RENEWED = web.RequestKey("renewed_standby", bool)


def grant(request: web.Request, response: web.StreamResponse, account: Account) -> None:
    """Give `account` the cookie, if they may operate."""
    if Act.OPERATE not in acts_of(account.roles) or request.get(_RENEWED):
        return
    request[_RENEWED] = True
    whose = urlsafe_b64encode(account.login.encode()).decode()
    said = f"{whose}.{int(time.time()) + LIFETIME}"
    settings = request.config_dict[SETTINGS]
    response.set_cookie(
        COOKIE,
        f"{said}.{_seal(request, said)}",
        max_age=LIFETIME,
        path=PATH,
        httponly=True,
        samesite="Strict",
        secure=settings.base_url.startswith("https://"),
    )


def form_token(request: web.Request) -> str:
    """What the forms of a page carry that was shown on standby: there is no session to ask."""
    return _seal(request, "form\0" + request.cookies.get(COOKIE, ""))


def check(request: web.Request, carried: object) -> None:
    """Raises FormTooOld unless `carried` is the token of this cookie's own forms."""
    if not hmac.compare_digest(form_token(request).encode(), str(carried or "").encode()):
        raise csrf.FormTooOld


def revoke(response: web.StreamResponse) -> None:
    """They signed out."""
    response.del_cookie(COOKIE, path=PATH)


def bearer(request: web.Request) -> Account | None:
    """Whose cookie this is, with the one role that it gives; None without a good one."""
    whose, _, rest = request.cookies.get(COOKIE, "").partition(".")
    until, _, seal = rest.partition(".")
    if not (until.isascii() and until.isdigit()):
        return None
    if not hmac.compare_digest(_seal(request, f"{whose}.{until}").encode(), seal.encode()):
        return None
    if int(until) < time.time():
        return None
    try:
        login = urlsafe_b64decode(whose).decode()
    except (NotBase64, ValueError):
        return None
    return Account(
        login=login,
        name=login,
        email="",
        phone=None,
        roles=frozenset({Role.OPERATOR}),
        department=None,
        language="en",
        active=True,
        has_password=True,
    )


def _seal(request: web.Request, said: str) -> str:
    # For this purpose alone: nothing else that we sign can be taken for it.
    secret = secret_of(request.config_dict[SETTINGS])
    return hmac.new(secret, b"operator on standby\0" + said.encode(), hashlib.sha256).hexdigest()
