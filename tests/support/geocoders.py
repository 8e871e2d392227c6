"""A server that speaks the Census Bureau's, Nominatim's and ArcGIS's way of finding addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

Place = tuple[str, float, float]
"""As it calls it: `4010 S Bolger Rd`; latitude, longitude."""


@dataclass
class Geocoders:
    """Knows what is put into `places`, by what is asked for."""

    places: dict[str, list[Place]] = field(default_factory=dict)
    slow: float = 0.0
    """Seconds before it answers."""
    status: int = 200
    asked: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    score: float = 100.0
    """Of ArcGIS's answers."""
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Geocoders"]:
        app = web.Application()
        app.router.add_get("/census", self._census)
        app.router.add_get("/nominatim/search", self._nominatim)
        app.router.add_get("/arcgis/GeocodeServer/findAddressCandidates", self._arcgis)
        server = TestServer(app)
        await server.start_server()
        self.url = str(server.make_url("/")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    def settings(self, provider: str, **other: object) -> dict[str, object]:
        """For `[router.geocoder]`."""
        paths = {
            "census": "/census",
            "nominatim": "/nominatim",
            "arcgis": "/arcgis/GeocodeServer/findAddressCandidates",
        }
        url = self.url + paths[provider]
        return {"provider": provider, "url": url, "per_second": 100.0} | other

    async def _found(self, request: web.Request, asked: str) -> list[Place]:
        self.times.append(asyncio.get_running_loop().time())
        self.asked.append(asked)
        self.queries.append(dict(request.query))
        self.agents.append(request.headers.get("User-Agent", ""))
        await asyncio.sleep(self.slow)
        if self.status != 200:
            raise web.HTTPServiceUnavailable
        return self.places.get(asked, [])

    async def _census(self, request: web.Request) -> web.Response:
        found = await self._found(request, request.query["address"])
        matches = [
            {
                "matchedAddress": f"{name.upper()}, INDEPENDENCE, MO, 64055",
                "coordinates": {"x": lon, "y": lat},
            }
            for name, lat, lon in found
        ]
        return web.json_response({"result": {"addressMatches": matches}})

    async def _nominatim(self, request: web.Request) -> web.Response:
        found = await self._found(request, request.query["q"])
        places = []
        for name, lat, lon in found:
            number, _, road = name.partition(" ")
            house = number.isdigit()
            places.append(
                {
                    "lat": str(lat),
                    "lon": str(lon),
                    "display_name": f"{number}, {road}" if house else f"{name}, Independence",
                    "name": "" if house else name,
                    "address": {"house_number": number, "road": road} if house else {},
                }
            )
        return web.json_response(places)

    async def _arcgis(self, request: web.Request) -> web.Response:
        found = await self._found(request, request.query["singleLine"])
        return web.json_response(
            {
                "candidates": [
                    {
                        "address": f"{name}, Independence, Missouri, 64055",
                        "location": {"x": lon, "y": lat},
                        "score": self.score,
                        "attributes": {},
                    }
                    for name, lat, lon in found
                ]
            }
        )
