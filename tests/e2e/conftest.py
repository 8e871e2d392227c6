"""What the tests of the whole product share: a directory made once and copied for each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.product import Product, copy_of, make_template, own_folder


@pytest.fixture(scope="session")
async def template() -> AsyncIterator[Path]:
    """A data directory, migrated and with a trained model, on which nothing runs."""
    with own_folder() as folder:
        yield await make_template(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_folder() as folder:
        yield folder


@pytest.fixture
async def product(template: Path, folder: Path) -> AsyncIterator[Product]:
    """A product on a directory of its own, not started; whatever it left running is ended."""
    product = Product(copy_of(template, folder))
    try:
        yield product
    finally:
        await product.clear()
