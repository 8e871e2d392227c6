"""A city's past is taken in by a command, and comes out again as reports: asked for, and mailed."""

import io
import json
from pathlib import Path

from pypdf import PdfReader

from tests.support.past import request, still_open, write_export
from tests.support.product import Product, copy_of, until

COUNCIL = "council@independence.example"


async def test_a_past_is_taken_in_and_reported(template: Path, folder: Path) -> None:
    mails = json.dumps([{"to": [COUNCIL], "every": "day", "at": "00:00:00"}])
    product = Product(copy_of(template, folder), BUCKSTOP__REPORTS__MAIL=mails)
    try:
        await _taken_in_and_reported(product, folder)
    finally:
        await product.clear()


async def _taken_in_and_reported(product: Product, folder: Path) -> None:
    rows = [
        request(1),
        still_open(2, REQUEST_TYPE="Graffiti"),
        request(3, CREATION_DATE="?"),
    ]
    export = write_export(folder / "export.csv.gz", rows)
    await product.start()

    answer = await product.ask("import", export, "--map", "kansas-city", "--format", "json")
    assert answer.code == 1, answer.err  # a row became no case
    [told] = answer.lines
    assert (told["rows"], told["new"], told["left_out"]) == (3, 2, 1)
    assert told["equation"].startswith("received 2 = filed 2 ")

    # Its own endpoint tells what is public of it: the city has no type that is called Pothole.
    there = ("--open311", f"{product.url}/open311/v2", "--every", "0", "--map", folder / "own.toml")
    (folder / "own.toml").write_text('name = "own"\ntimezone = "America/Chicago"\n')
    span = ("--since", "2019-05-01", "--until", "2019-07-01", "--dry-run", "--format", "json")
    answer = await product.ask("import", *there, *span)
    assert answer.code == 0, answer.err
    [told] = answer.lines
    assert (told["file"], told["rows"], told["new"]) == (f"{product.url}/open311/v2", 1, 1)
    answer = await product.ask("import", export, "--open311", product.url)
    assert answer.code == 1
    assert "either a file, or an endpoint" in answer.err

    june = ("report", "service-requests", "--from", "2019-06-01", "--to", "2019-06-30")
    paper = folder / "june.pdf"
    answer = await product.ask(*june, "--format", "pdf", "--output", paper)
    assert answer.code == 0, answer.err
    pages = PdfReader(io.BytesIO(paper.read_bytes())).pages
    assert "Total number of new service requests opened: 2" in pages[0].extract_text()

    async def mailed() -> bool:
        async with product.database() as database:
            sent = await database.fetch("SELECT notice, recipient, state FROM deliveries")
            return [tuple(one) for one in sent] == [("report", COUNCIL, "sent")]

    await until(mailed)
    assert await product.stop() == 0, product.said
