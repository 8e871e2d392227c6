"""An Open311 server of another city, which may behave as badly as those that there are."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.open311_format import Format, written

Fault = Callable[[], web.StreamResponse]
"""An answer instead of the right one."""


def busy(after: str = "1") -> web.Response:
    return web.Response(status=429, headers={"Retry-After": after}, text="slowly")


def broken() -> web.Response:
    return web.Response(status=500, text="<html>Something went wrong</html>")


def excuse() -> web.Response:
    """As a proxy says that its server is being looked after: with the wrong status."""
    return web.Response(text="<html>We are back soon</html>", content_type="text/html")


def cut_off() -> web.Response:
    return web.Response(body=b'[{"service_request_id": "1', content_type="application/json")


@dataclass
class Elsewhere:
    """What it has, and how it answers."""

    requests: list[dict[str, object]]
    most: int = 1_000
    """At once."""
    pages: bool = True
    """False: whatever page is asked for, it is the first."""
    dates: bool = True
    """False: whatever days are asked for, it is all of them."""
    widest: timedelta = timedelta(days=90)
    """Of days at once; more are refused."""
    formats: tuple[str, ...] = ("xml", "json")
    wraps: bool = False
    """Its JSON lists stand in an object."""
    jurisdiction: str = ""
    """Without it, nothing is answered."""
    faults: Mapping[int, Fault] = field(default_factory=dict)
    """By which question for requests it is that is answered so, from 1 on."""
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The questions for requests."""
    asked_at: list[float] = field(default_factory=list)

    async def services(self, request: web.Request) -> web.Response:
        self.asked_at.append(time.monotonic())
        told = [
            {"service_code": "033", "service_name": "Pothole", "metadata": False},
            {"service_code": "007", "service_name": "Graffiti", "metadata": False},
        ]
        return self._answer(request, "services", told)

    async def listing(self, request: web.Request) -> web.StreamResponse:
        self.asked_at.append(time.monotonic())
        query = dict(request.query)
        self.asked.append(query)
        if fault := self.faults.get(len(self.asked)):
            return fault()
        begin, end = (datetime.fromisoformat(query[name]) for name in ("start_date", "end_date"))
        if self.jurisdiction != query.get("jurisdiction_id", ""):
            return self._refuse(request, "jurisdiction_id was not provided")
        if end - begin > self.widest:
            return self._refuse(request, "too many days")
        found = [
            one
            for one in self.requests
            if not self.dates or _lies_in(str(one["requested_datetime"]), begin, end)
        ]
        page = int(query["page"]) if self.pages else 1
        size = min(self.most, int(query["page_size"])) if self.pages else self.most
        return self._answer(request, "service_requests", found[(page - 1) * size :][:size])

    def _refuse(self, request: web.Request, words: str) -> web.Response:
        return self._answer(request, "errors", [{"code": 400, "description": words}], status=400)

    def _answer(
        self, request: web.Request, root: str, told: object, status: int = 200
    ) -> web.Response:
        format: Format = "json" if request.path.endswith(".json") else "xml"
        if format not in self.formats:
            return web.Response(status=404, text="<html>no such page</html>")
        value = {root: told} if self.wraps and format == "json" else told
        return web.Response(body=written(format, root, value), status=status)


def _lies_in(word: str, begin: datetime, end: datetime) -> bool:
    try:
        return begin <= datetime.fromisoformat(word) <= end
    except ValueError:
        return True


@asynccontextmanager
async def elsewhere(city: Elsewhere) -> AsyncIterator[Elsewhere]:
    app = web.Application()
    app.add_routes(
        [
            web.get("/open311/v2/services.{suffix}", city.services),
            web.get("/open311/v2/requests.{suffix}", city.listing),
        ]
    )
    async with TestServer(app) as server:
        city.url = str(server.make_url("/open311/v2"))
        yield city


def told(number: int, at: datetime, **other: object) -> dict[str, object]:
    """A request as the standard has it, closed two days after it came."""
    return {
        "service_request_id": f"R-{number}",
        "status": "closed",
        "status_notes": "Filled.",
        "service_name": "Pothole",
        "service_code": "033",
        "description": "A hole <& so on>",
        "agency_responsible": "Public Works",
        "requested_datetime": at.isoformat(),
        "updated_datetime": (at + timedelta(days=2)).isoformat(),
        "address": f"{number} Invented St",
        "lat": 39.05,
        "long": -94.57,
        "media_url": None,
    } | other


def past(count: int, days: float = 200, **other: object) -> list[dict[str, object]]:
    """So many requests, evenly over the days before today, the newest first."""
    today = datetime.now(UTC).replace(microsecond=0)
    step = timedelta(days=days) / max(count, 1)
    return [told(number, today - step * (number + 0.5), **other) for number in range(count)]
