"""
The mails that we wrote: of one case, for staff; and all of them, where no mail server is set up.

Without a mail server the delivery ledger is the mailbox, so that a newcomer sees what residents
and staff would have been sent.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from aiohttp import web

from gateway.keys import POOL
from gateway.staff.access import requires, signed_in
from gateway.staff.pages import MAILBOX, Mailbox, mailbox_readable, page
from gateway.staff.roles import Act
from store import deliveries
from store.deliveries import Delivery

NEWEST = 200

# The mail may have its own look and nothing else: no script, no form, nothing from elsewhere.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _for_readers(handler: Handler) -> Handler:
    """Where there is a local mailbox: open to whom `Mailbox` says."""
    guarded = requires(Act.MAILBOX)(handler)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.config_dict.get(MAILBOX, Mailbox.OFF) is Mailbox.OFF:
            raise web.HTTPNotFound
        await signed_in(request)
        return await (handler if mailbox_readable(request) else guarded)(request)

    return answer


async def _list(request: web.Request) -> web.StreamResponse:
    async with request.config_dict[POOL].acquire() as conn:
        mails = await deliveries.mailbox(conn, NEWEST)
    return await page(request, "staff/mailbox.html", {"mails": mails, "nav": "mailbox"})


async def _mail(request: web.Request) -> web.StreamResponse:
    mail = await _asked_for(request)
    context = {"mail": mail, "html_url": f"/mailbox/{mail.id}/html", "back": "/mailbox"}
    return await page(request, "staff/mail.html", {**context, "nav": "mailbox"})


async def _html(request: web.Request) -> web.StreamResponse:
    return _as_it_was(await _asked_for(request))


show_all = _for_readers(_list)
show_one = _for_readers(_mail)
show_html = _for_readers(_html)


@requires(Act.READ)
async def notice(request: web.Request) -> web.StreamResponse:
    """What was sent about a case, for all staff, whoever carried it."""
    mail = await _asked_for(request)
    context = {
        "mail": mail,
        "html_url": f"/staff/notices/{mail.id}/html",
        "back": f"/staff/cases/{mail.case_id}",
    }
    return await page(request, "staff/mail.html", context)


@requires(Act.READ)
async def notice_html(request: web.Request) -> web.StreamResponse:
    return _as_it_was(await _asked_for(request))


async def _asked_for(request: web.Request) -> Delivery:
    try:
        wanted = UUID(request.match_info["id"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.config_dict[POOL].acquire() as conn:
        mail = await deliveries.by_id(conn, wanted)
    if mail is None or not mail.medium:  # without one it was never written
        raise web.HTTPNotFound
    return mail


def _as_it_was(mail: Delivery) -> web.Response:
    if not mail.html:
        raise web.HTTPNotFound
    # Its links open beside the page, not in the frame in which the mail is shown.
    html = mail.html.replace("<head>", '<head><base target="_blank">', 1)
    return web.Response(
        text=html,
        content_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"},
    )
