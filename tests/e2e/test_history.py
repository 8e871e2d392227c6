"""A city's past is taken in by the command, and asked for again like anything else."""

from pathlib import Path

from tests.support.past import request, still_open, write_export
from tests.support.product import Product


async def test_an_export_is_tried_taken_in_and_taken_in_again(
    product: Product, folder: Path
) -> None:
    rows = [request(1), still_open(2), request(3, CREATION_DATE="?")]
    export = write_export(folder / "export.csv.gz", rows)
    await product.start()

    tried = await product.ask("import", export, "--map", "kansas-city", "--dry-run")
    assert tried.code == 1
    assert "         2  would be new cases" in tried.out
    assert "left out: the day on which it was opened is missing" in tried.out
    assert "(row 4)" in tried.out
    assert "department: Public Works (2)" in tried.out
    assert tried.out.endswith("Nothing was written.\n")

    for new in (2, 0):
        answer = await product.ask("import", export, "--map", "kansas-city", "--format", "json")
        assert answer.code == 1, answer.err
        [told] = answer.lines
        assert (told["rows"], told["new"], told["same"], told["left_out"]) == (3, new, 2 - new, 1)
        assert told["equation"].startswith("received 2 = filed 2 ")

    refused = await product.ask("import", folder / "none.csv", "--map", "kansas-city")
    assert (refused.code, refused.out) == (2, "")
    assert "there is no such file" in refused.err
    refused = await product.ask("import", export, "--map", "atlantis")
    assert refused.code == 1
    assert "there is no such map" in refused.err
    assert (await product.ask("audit", "--format", "json")).lines[0]["closes"]
    async with product.database() as database:
        assert await database.fetchval("SELECT count(*) FROM deliveries") == 0
    assert await product.stop() == 0, product.said
