"""All addresses for residents."""

from aiohttp import web

from gateway.resident import wizard
from gateway.resident.pages import ResidentPages


def routes() -> list[web.RouteDef]:
    return [*ResidentPages().routes(), *wizard.routes()]
