"""A newcomer writes an email and a text without any account, and hears back."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import asyncpg

from tests.support.product import Product, copy_of, until


async def page(product: Product, address: str = "/try") -> str:
    async with aiohttp.ClientSession() as session, session.get(product.url + address) as answer:
        assert answer.status == 200
        return await answer.text()


async def send(product: Product, where: str, **fields: str) -> None:
    form = aiohttp.FormData(fields)
    async with (
        aiohttp.ClientSession() as session,
        session.post(product.url + where, data=form, allow_redirects=False) as answer,
    ):
        assert answer.status == 303, await answer.text()


def shows(product: Product, *patterns: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        text = await page(product)
        return all(re.search(pattern, text, re.DOTALL) for pattern in patterns)

    return look


async def test_a_newcomer_tries_email_and_text(template: Path, folder: Path) -> None:
    # Twenty seconds, else, in which a text may bring its place by itself.
    product = Product(copy_of(template, folder), BUCKSTOP__STORE__FOLLOW__ASK_PLACE_AFTER="1")
    try:
        await product.start(command="demo")
        await try_both(product)
    finally:
        await product.clear()


async def try_both(product: Product) -> None:
    await send(
        product, "/try/email", **{
            "from": "ana@resident.example",
            "subject": "Bache",
            "body": "Hay un bache enorme frente al 1234 W Truman Rd",
        },
    )  # fmt: skip
    await until(shows(product, "Recibimos su reporte"), within=10)
    answered = re.search(r"/try\?answer=([0-9a-f-]{36})", await page(product))
    assert answered
    await send(
        product, "/try/email", **{
            "from": "ana@resident.example", "subject": "", "body": "Ya es mas grande.",
            "answer": answered[1],
        },
    )  # fmt: skip
    await until(has_note(product, "Ya es mas grande."), within=10)
    [mailed] = await cases_of(product, "email")
    assert mailed["language"] == "es"

    await send(product, "/try/text", phone="816-555-0142", words="Big pothole swallowing cars")
    await until(shows(product, "We have your report"), within=10)
    await until(shows(product, "Where is it\\?"), within=40)
    await send(product, "/try/text", phone="816-555-0142", words="23rd and Noland")

    async def placed() -> bool:
        [texted] = await cases_of(product, "sms")
        return bool(texted["address"] == "23rd and Noland" and texted["status"] == "assigned")

    await until(placed, within=15)
    [texted] = await cases_of(product, "sms")
    assert texted["text"] == "Big pothole swallowing cars\n23rd and Noland"
    await until(shows(product, "We noted the place: 23rd and Noland. It is now with Street"))


async def cases_of(product: Product, channel: str) -> list[asyncpg.Record]:
    async with product.database() as connection:
        return list(await connection.fetch("SELECT * FROM cases WHERE channel = $1", channel))


def has_note(product: Product, words: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        async with product.database() as connection:
            rows = await connection.fetch("SELECT text FROM notes WHERE from_outside AND verified")
        return [row["text"] for row in rows] == [words]

    return look
