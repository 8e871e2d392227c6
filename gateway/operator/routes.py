"""The operators' pages: what answers where, and what an application needs for them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import aiohttp_jinja2
from aiohttp import web

from gateway.keys import BUS, CHANNELS, CITY, POOL, SETTINGS
from gateway.operator import (
    again_page,
    dead_page,
    follow_page,
    levers_page,
    metrics,
    ops_page,
    places_page,
    reread_page,
)
from gateway.operator.canary import CanaryWatch
from gateway.operator.expiring import doors
from gateway.operator.figures import Collector, of_pool
from gateway.operator.words import filters


def prepare(app: web.Application) -> None:
    """
    Give `app` the operators' pages; after `gateway.staff.routes.prepare`, whose guard they use.

    The app holds BUS, POOL, CHANNELS, CITY and SETTINGS by then.
    """
    zone = ZoneInfo(app[CITY].timezone)
    collector = Collector(
        app[BUS],
        of_pool(app[POOL]),
        data=app[SETTINGS].data,
        zone=zone,
        channels={name: channel.run is not None for name, channel in app[CHANNELS].items()},
        canary=CanaryWatch(app[SETTINGS].canary, app[BUS].js, datetime.now(UTC)),
        doors=doors(app[SETTINGS]),
    )

    async def look(app: web.Application) -> AsyncIterator[None]:
        async with collector.opened():
            yield

    app[ops_page.COLLECTOR] = collector
    app[ops_page.LIVE] = ops_page.Live()
    app[levers_page.AUDITS] = set()
    app[reread_page.READINGS] = reread_page.Readings()
    app[metrics.REQUESTS] = metrics.Requests()
    app.cleanup_ctx.append(look)
    app.on_shutdown.append(ops_page.end_streams)
    app.on_shutdown.append(levers_page.end_audits)
    app.on_shutdown.append(reread_page.end_readings)
    app.middlewares.insert(0, metrics.count_requests)
    aiohttp_jinja2.get_env(app).filters.update(filters(zone))
    app.add_routes(
        [
            web.get("/ops", ops_page.show),
            web.get("/ops/", ops_page.show),
            web.get("/ops/live", ops_page.live),
            web.get("/ops/figures.json", ops_page.figures_json),
            web.get("/metrics", metrics.metrics),
            *dead_page.routes(),
            *follow_page.routes(),
            *levers_page.routes(),
            *again_page.routes(),
            *places_page.routes(),
            *reread_page.routes(),
        ]
    )
