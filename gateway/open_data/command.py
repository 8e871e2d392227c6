"""`buckstop open-data`: the public record into files, now."""

import asyncio

from gateway.command import HERE, Where, go, out
from gateway.compose import city_folder
from gateway.open311.book import public_book, services_of
from gateway.open311.record import Teller
from gateway.open_data.feed import FOLDER, write_feed
from gateway.run import reach
from router.rules import load_city
from store.pool import open_pool


def open_data(*, where: Where = HERE) -> int:
    """
    Write the public record into the files at /open-data now, instead of tonight. What it shows of
    a case stands in the city's folder (public.toml).
    """
    settings = where.settings()

    async def work() -> int:
        city = await asyncio.to_thread(load_city, city_folder(settings))
        book = public_book(city)
        teller = Teller(book, services_of(city, settings), f"{settings.base_url}/open311/v2")
        async with reach(settings) as engines:
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_pool(stored) as pool:
                folder = settings.data / FOLDER
                state = await write_feed(pool, book.rules, teller, folder)
        out.print(f"{state.requests} requests in {folder}")
        return 0

    return go(work())
