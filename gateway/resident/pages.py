"""The start page, the receipt, and the pages on which a resident follows a report."""

from dataclasses import replace

from aiohttp import web
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from bus.errors import Unavailable
from bus.identity import read_reference
from channels.intake import clean_line
from gateway.keys import CITY_PAGE, POOL, SETTINGS
from gateway.open311.public_words import public_words
from gateway.pages.client import address_of
from gateway.pages.i18n import gettext as _
from gateway.pages.layout import render
from gateway.resident.draft import find_draft
from store.places import public_referral
from store.public import PublicCase, names_to_hide, public_view

_LOOK_UPS = RateLimitItemPerMinute(30)
_TRIES = 4  # times that a page looks again for a report that was just sent


class ResidentPages:
    """Pages that need no sign-in. Looking up references is limited, so that none is guessed."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.home),
            web.get("/receipt/{reference}", self.receipt),
            web.get("/track", self.ask_reference),
            web.get("/track/{reference}", self.track),
        ]

    async def home(self, request: web.Request) -> web.Response:
        channels = request.config_dict[SETTINGS].channels
        told = {
            "write_to": next((address for box in channels.email for address in box.ours), ""),
            "text_to": next(iter(channels.sms.numbers), "") if channels.sms.account_sid else "",
        }
        return render(request, "resident/home.html", told)

    async def receipt(self, request: web.Request) -> web.Response:
        reference = read_reference(request.match_info["reference"])
        if reference is None:
            raise web.HTTPNotFound
        try:
            draft = await find_draft(request)
        except Unavailable:
            draft = None  # the receipt says a little less
        mine = [one for one in draft.sent.values() if one.reference == reference] if draft else []
        return render(
            request,
            "resident/receipt.html",
            {
                "reference": reference,
                "by_email": any(one.by_email for one in mine),
                "urgent": any(one.urgent for one in mine) or "urgent" in request.query,
                "joined": any(one.joined for one in mine),
            },
        )

    async def ask_reference(self, request: web.Request) -> web.Response:
        if "reference" not in request.query:
            return self._ask_page(request)
        typed = clean_line(request.query["reference"])[:60]
        reference = read_reference(typed)
        if reference is None:
            return self._ask_page(request, typed, self._mistyped(typed))
        return web.Response(status=303, headers={"Location": f"/track/{reference}"})

    async def track(self, request: web.Request) -> web.Response:
        typed = clean_line(request.match_info["reference"])[:60]
        reference = read_reference(typed)
        if reference is None:
            return self._ask_page(request, typed, self._mistyped(typed), status=404)
        if reference != request.match_info["reference"]:
            return web.Response(status=303, headers={"Location": f"/track/{reference}"})
        if not await self._limiter.hit(_LOOK_UPS, "track", address_of(request)):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "60"})

        async with request.app[POOL].acquire() as conn:
            case = await public_view(conn, reference)
            names = await names_to_hide(conn, case) if case is not None else ()
            referral = await public_referral(conn, reference)
        if case is None:
            # Just sent, it is stored a moment later: look again a few times by itself.
            again = request.query.get("again", "")
            tried = int(again) if again.isdecimal() and len(again) < 3 else 0
            return render(
                request,
                "resident/not_yet.html",
                {
                    "nav": "track",
                    "reference": reference,
                    "again": tried + 1 if tried < _TRIES else 0,
                },
                status=202 if tried < _TRIES else 404,
            )
        helper = request.app[CITY_PAGE].helpers.get(referral.agency) if referral else None
        return render(
            request,
            "resident/case.html",
            {"nav": "track", "case": _told(case, names), "referral": referral, "helper": helper},
        )

    def _ask_page(
        self, request: web.Request, typed: str = "", error: str = "", status: int = 422
    ) -> web.Response:
        return render(
            request,
            "resident/track.html",
            {"nav": "track", "typed": typed, "errors": {"reference": error} if error else {}},
            status=status if error else 200,
        )

    def _mistyped(self, typed: str) -> str:
        if not typed:
            return _("Enter the reference of your report, like 7KQ-2MX-94.")
        return _(
            "“%(typed)s” is not one of our references. It has 8 letters and digits, like "
            "7KQ-2MX-94. Check each one."
        ) % {"typed": typed}


def _told(case: PublicCase, names: tuple[str, ...]) -> PublicCase:
    """
    The case in words that everybody may read: references stand in the public record, so whoever
    likes may open this page. The mail to the reporter has the words whole.
    """
    return replace(
        case,
        closing_words=case.closing_words and public_words(case.closing_words, names),
        notes=tuple(replace(note, text=public_words(note.text, names)) for note in case.notes),
    )
