"""Another program's way through the whole product: its key, its report, a power cut, its answer."""

import re
from uuid import uuid4

import aiohttp

from tests.support.product import Product

REPORT = {
    "service_code": "pothole",
    "lat": "39.0911",
    "long": "-94.4155",
    "address_string": "111 E Maple Ave",
    "description": "Zyzzyva hole, call 816-555-0142",
    "first_name": "Zaphod",
    "email": "zaphod@resident.example",
}


async def test_what_an_app_got_an_id_for_survives_a_power_cut(product: Product) -> None:
    await product.start()
    made = await product.ask("key", "add", "fixit", "--name", "Fix it", "--contact", "a@b.org")
    assert made.code == 0, made.err
    report = REPORT | {"api_key": made.out.strip(), "client_request_id": str(uuid4())}
    async with aiohttp.ClientSession(f"{product.url}/open311/v2/") as app:
        answer = await app.post("requests.json", data=report)
        assert answer.status == 200, await answer.text()
        (told,) = await answer.json()
        await product.kill(engines=True)

        await product.start()
        answer = await app.post("requests.json", data=report)
        assert await answer.json() == [told]
        await product.settled(1)
        reference = told["service_request_id"]
        answer = await app.get(f"requests/{reference}.json?extensions=true")
        (seen,) = await answer.json()
        assert seen["description"] == "Zyzzyva hole, call […]"
        assert seen["agency_responsible"]
        listed = await (await app.get("requests.json")).json()
        assert [one["service_request_id"] for one in listed] == [reference]

        assert (await product.ask("audit")).code == 0
        assert (await product.ask("key", "change", "fixit", "--no-active")).code == 0
        answer = await app.post("requests.json", data=report)
        assert answer.status == 403
    (known,) = (await product.ask("key", "list", "--format", "json")).lines[0]
    assert known["used_at"]
    assert not known["active"]
    page = await visited(f"{product.url}/")
    assert 'href="/open311"' in page
    assert "/open311/v2/requests.{format}" in await visited(f"{product.url}/open311")
    # What residents wrote, and keys, never reach the log.
    assert not re.search(rf"Zyzzyva|Zaphod|zaphod|5550142|{made.out.strip()}", product.said)
    assert await product.stop() == 0, product.said


async def visited(url: str) -> str:
    async with aiohttp.ClientSession() as browser, browser.get(url) as answer:
        assert answer.status == 200
        return await answer.text()
