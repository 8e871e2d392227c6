"""What every staff page is given: who reads it, what they may do, and what waits for them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from aiohttp import web

from gateway.keys import POOL
from gateway.pages.layout import render
from gateway.settings import Settings
from gateway.staff import standby
from gateway.staff.roles import Act, acts_of
from router.rules import City
from store import search, second_look
from store.accounts import Account

ACCOUNT = web.RequestKey("account", Account)
"""Whoever is signed in."""
CSRF = web.RequestKey("csrf", str)
"""The token that the forms of this session carry."""

ON_STANDBY = web.RequestKey("on_standby", bool)
"""True: nobody could be asked who is signed in, and an operator's cookie was good."""


class Mailbox(StrEnum):
    """Who may read the mails that were written where no mail server is set up."""

    OFF = "off"
    """A mail server is set up: the page is not there."""
    STAFF = "staff"
    """Those whose role allows it."""
    LOOPBACK = "loopback"
    """Besides, whoever sits at this machine: for a demonstration on sample data only."""


MAILBOX = web.AppKey("mailbox", Mailbox)


async def page(
    request: web.Request,
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    whole: bool = True,
) -> web.Response:
    """The page for whoever is signed in; `whole` is false for a piece that htmx puts in place."""
    account = request.get(ACCOUNT)
    counts: Mapping[str, int] = {}
    if request.get(ON_STANDBY):
        counts = dict.fromkeys(("mine", "triage", "open", "incidents", "quarantined"), 0)
    elif account is not None and whole:
        async with request.config_dict[POOL].acquire() as conn:
            counts = await search.counts(conn, account.login)
            if Act.MESSAGES in acts_of(account.roles):
                counts = {**counts, **await second_look.counts(conn, datetime.now(UTC))}
    told = {
        "account": account,
        "may": _may(request, account),
        "csrf_token": request.get(CSRF, ""),
        "counts": counts,
        "mailbox_here": mailbox_readable(request),
        **context,
    }
    response = render(request, template, told, status=status)
    if account is not None and not request.get(ON_STANDBY):
        standby.grant(request, response, account)
    return response


def _may(request: web.Request, account: Account | None) -> frozenset[Act]:
    if account is None:
        return frozenset()
    return frozenset({Act.OPERATE}) if request.get(ON_STANDBY) else acts_of(account.roles)


def mailbox_for(settings: Settings, city: City) -> Mailbox:
    """Who may read the local mailbox of a house with these settings."""
    if settings.notifier.smtp.host:
        return Mailbox.OFF
    demonstration = city.sample and settings.on_loopback and not settings.http.trusted_proxies
    return Mailbox.LOOPBACK if demonstration else Mailbox.STAFF


def mailbox_readable(request: web.Request) -> bool:
    """Whether whoever asks may read the local mailbox."""
    match request.config_dict.get(MAILBOX, Mailbox.OFF):
        case Mailbox.OFF:
            return False
        case Mailbox.LOOPBACK if request.remote in {"127.0.0.1", "::1"}:
            # A proxy on this machine speaks for people who are not.
            if not {"Forwarded", "X-Forwarded-For"} & set(request.headers):
                return True
    account = request.get(ACCOUNT)
    return account is not None and Act.MAILBOX in acts_of(account.roles)
