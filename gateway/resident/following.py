"""The page behind the link in a notice, on which somebody ends hearing of a case."""

from aiohttp import web
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from channels.web_form import read_form
from gateway.keys import POOL
from gateway.pages.client import address_of
from gateway.pages.layout import render
from store import followers

_LOOK_UPS = RateLimitItemPerMinute(30)
_LONGEST_KEY = 100


class FollowingPages:
    """
    Opening the link changes nothing, for mail programs open links by themselves: a button does.
    """

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/following/{key}", self.ask),
            web.post("/following/{key}", self.stop),
        ]

    async def ask(self, request: web.Request) -> web.Response:
        return await self._page(request)

    async def stop(self, request: web.Request) -> web.Response:
        await read_form(request)
        key = self._key(request)
        async with request.app[POOL].acquire() as conn:
            await followers.stop_following(conn, key)
        return web.Response(
            status=303, headers={"Location": f"/following/{key}", "Cache-Control": "no-store"}
        )

    async def _page(self, request: web.Request) -> web.Response:
        if not await self._limiter.hit(_LOOK_UPS, "following", address_of(request)):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "60"})
        async with request.app[POOL].acquire() as conn:
            known = await followers.by_stop_key(conn, self._key(request))
        return render(
            request,
            "resident/following.html",
            {"known": known, "key": self._key(request)},
            status=200 if known else 404,
        )

    def _key(self, request: web.Request) -> str:
        return request.match_info["key"][:_LONGEST_KEY]
