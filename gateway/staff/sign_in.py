"""Signing in, and what keeps strangers from trying for ever."""

from typing import Any

import structlog
from aiohttp import web
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from gateway.keys import POOL
from gateway.pages.i18n import gettext as _
from gateway.staff.access import (
    HELD,
    held_page,
    open_session,
    own_path,
    sign_in_page,
    signed_in,
)
from store import accounts

log = structlog.stdlib.get_logger()

# Wrong passwords: a person who forgot theirs stops before ten, a machine does not. The second
# limit is wide, since a whole office may come from one address.
PER_ACCOUNT = RateLimitItemPerMinute(10, 15)
PER_ADDRESS = RateLimitItemPerMinute(100, 15)


class SignIn:
    """The sign-in page, with its memory of who tried too often."""

    def __init__(self) -> None:
        self._tries = MovingWindowRateLimiter(MemoryStorage())

    async def show(self, request: web.Request) -> web.StreamResponse:
        wanted = own_path(request.query.get("next", "")) or ""
        if await signed_in(request) is not None:
            raise web.HTTPSeeOther(wanted or "/staff")
        return await sign_in_page(request, wanted=wanted)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        login = str(form.get("login", "")).strip().lower()
        password = str(form.get("password", ""))
        wanted = own_path(str(form.get("next", ""))) or ""
        held_to = own_path(str(form.get("held_to", ""))) or ""
        held = [
            (name.removeprefix(HELD), value)
            for name, value in form.items()
            if name.startswith(HELD) and isinstance(value, str)
        ]
        again: Any = {"wanted": wanted, "login": login, "held_to": held_to, "held": held}
        missing = {}
        if not login:
            missing["login"] = _("Enter your sign-in name.")
        if not password:
            missing["password"] = _("Enter your password.")
        if missing:
            return await sign_in_page(request, errors=missing, status=422, **again)

        address = request.remote or ""
        for limit, who in ((PER_ACCOUNT, (login, address)), (PER_ADDRESS, (address,))):
            if not await self._tries.hit(limit, *who):
                log.warning("sign-in refused: too many tries")
                errors = {"login": _("Too many tries. Wait a quarter of an hour, then try again.")}
                return await sign_in_page(request, errors=errors, status=429, **again)
        async with request.config_dict[POOL].acquire() as conn:
            account = await accounts.check_password(conn, login, password)
        if account is None:
            log.info("sign-in refused: wrong name or password")
            # The same words whether the name or the password is wrong: nobody learns who has one.
            errors = {"password": _("This name and this password do not belong together.")}
            return await sign_in_page(request, errors=errors, status=422, **again)

        await self._tries.clear(PER_ACCOUNT, login, address)
        await open_session(request, account)
        log.info("signed in", login=account.login)
        if held_to:
            # What was typed before the session ended, ready to be sent with the new token.
            return await held_page(request, held_to, held, status=200)
        raise web.HTTPSeeOther(wanted or "/staff")
