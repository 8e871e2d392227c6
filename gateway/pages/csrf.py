"""
Refuses forms that another site sends in somebody's name.

Browsers say where a request comes from (`Sec-Fetch-Site`, and `Origin` where that is missing); a
client that says neither is no browser and carries nobody's cookie by accident. Forms of people
who are signed in carry a token from their session besides.
"""

import hmac
import secrets
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

FIELD = "csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class FromAnotherSite(web.HTTPForbidden):
    """The page it was sent from is not ours; nothing was done."""


class FormTooOld(web.HTTPForbidden):
    """The form's token is missing or belongs to another session; nothing was done."""


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets through what our own pages send, and what does not come from a browser."""
    if request.method not in _SAFE and not is_our_own(request):
        raise FromAnotherSite
    return await handler(request)


def is_our_own(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def token(session: MutableMapping[str, Any]) -> str:
    """The token that this session's forms carry in the field `FIELD`; made when first asked."""
    if FIELD not in session:
        session[FIELD] = secrets.token_urlsafe(32)
    return str(session[FIELD])


def check(session: MutableMapping[str, Any], carried: object) -> None:
    """Raises FormTooOld unless `carried` is the session's token."""
    kept = session.get(FIELD)
    if not isinstance(kept, str) or not hmac.compare_digest(
        kept.encode(), str(carried or "").encode()
    ):
        raise FormTooOld
