"""One product and one Chromium for all the stories that are told in a real browser."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.people import Visitors
from tests.support.browser import arguments, find
from tests.support.product import Product, with_sample_logins


@pytest.fixture(scope="session")
async def product() -> AsyncIterator[Product]:
    """`buckstop run --sample-logins`, ready; the tests share it and each brings its own cases."""
    # A storm is looked for at once, so that no story waits for it.
    async with with_sample_logins(BUCKSTOP__STORE__STORMS__LOOK_EVERY="0.5") as product:
        yield product


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    # Looking for Playwright's own browser takes its blocking half, which wants no loop around it.
    path = await asyncio.to_thread(find)
    if path is None:
        pytest.fail(
            "No Chromium is to be had. Install the package `chromium`, run `playwright install "
            "chromium`, or name one in BUCKSTOP_TEST_BROWSER."
        )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments())
        yield browser
        await browser.close()


@pytest.fixture
async def visitors(
    chromium: Browser, product: Product, request: pytest.FixtureRequest
) -> AsyncIterator[Visitors]:
    """Opens browsers of people who do not know each other; what went wrong in one is told."""
    name = request.node.originalname.removeprefix("test_")
    visitors = Visitors(chromium, product, name)
    yield visitors
    await visitors.leave()
