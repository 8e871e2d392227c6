"""Who asks: the address a request comes from and whether it came over TLS, past our own proxies."""

from aiohttp import web

from gateway.keys import SETTINGS


def address_of(request: web.Request) -> str:
    """
    The client's address. Each proxy of ours appends who it heard from to `X-Forwarded-For`; what
    stands further left came from outside and may be invented.
    """
    proxies = request.app[SETTINGS].http.trusted_proxies
    if proxies:
        heard = [
            one.strip()
            for line in request.headers.getall("X-Forwarded-For", [])
            for one in line.split(",")
        ]
        if len(heard) >= proxies:
            return heard[-proxies]
    return request.remote or ""


def is_secure(request: web.Request) -> bool:
    """Whether cookies may be marked `Secure`."""
    return request.secure or request.app[SETTINGS].http.base_url.startswith("https://")
