"""All addresses for residents."""

from aiohttp import web

from gateway.resident import following, near, wizard
from gateway.resident.pages import ResidentPages


def routes() -> list[web.RouteDef]:
    return [
        *ResidentPages().routes(),
        *wizard.routes(),
        *near.routes(),
        *following.FollowingPages().routes(),
    ]
