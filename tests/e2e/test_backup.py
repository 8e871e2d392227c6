"""Back up what runs, restore it into an empty directory: equal books, and nothing comes twice."""

import json
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from tests.support.product import Product
from tests.support.reports import write_reports

TABLES = ("cases", "complaints", "events", "notes", "files", "deliveries", "sessions", "accounts")


async def books(product: Product) -> Mapping[str, list[asyncpg.Record]]:
    async with product.database() as database:
        return {
            table: await database.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES
        }


def files(data: Path) -> dict[str, bytes]:
    folder = data / "files"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "journal" not in path.parts
    }


async def test_a_backup_of_what_runs_is_restored_whole_and_nothing_is_sent_twice(
    product: Product, folder: Path
) -> None:
    kept = folder / "kept"
    await product.start()
    await product.ask("submit", write_reports(folder / "reports.jsonl", 12))
    await product.settled(12)
    saved = await product.ask("backup", kept)
    assert saved.code == 0, saved.err
    assert "saved: 12 cases" in saved.out
    before, kept_files = await books(product), files(product.data)
    # It goes on as if nothing had been: the durables hear.
    await product.ask("submit", write_reports(folder / "more.jsonl", 1, start=12))
    await product.settled(13)
    assert await product.stop() == 0, product.said

    other = Product(folder / "other")
    try:
        restored = await other.ask("restore", kept)
        assert restored.code == 0, restored.err
        await other.start()
        audited = await other.ask("audit")
        assert (audited.code, audited.out.split(" + ")[0]) == (0, "received 12 = filed 12")
        after = await books(other)
        assert after == before
        assert files(other.data).items() >= kept_files.items()
        assert (other.data / "secret").read_bytes() == (product.data / "secret").read_bytes()
        # References go on from the same secret, new reports are taken, and only theirs are sent.
        await other.ask("submit", write_reports(folder / "new.jsonl", 1, start=20))
        await other.settled(13)
        async with other.database() as database:
            tries = await database.fetch("SELECT id FROM deliveries WHERE tries > 1")
            sent = await database.fetchval("SELECT count(*) FROM deliveries WHERE state = 'sent'")
        assert tries == []
        was = sum(row["state"] == "sent" for row in before["deliveries"])
        assert was < sent <= was + 2
        assert await other.stop() == 0, other.said
    finally:
        await other.clear()


async def test_a_backup_that_is_not_whole_is_refused_before_anything_changes(
    product: Product, folder: Path
) -> None:
    kept = folder / "kept"
    assert (await product.ask("backup", kept)).code == 0  # nothing runs: it starts the engines
    manifest = json.loads((kept / "manifest.json").read_text())
    assert manifest["ledger"]["received"] == 0
    again, there = await product.ask("backup", kept), await product.ask("restore", kept)
    assert (again.code, "not empty" in again.err) == (1, True)
    assert (there.code, "not empty" in there.err) == (1, True)
    with (kept / "database.dump").open("ab") as dump:
        dump.write(b"x")
    empty = Product(folder / "empty")
    answer = await empty.ask("restore", kept)
    assert (answer.code, "not as it was written" in answer.err) == (1, True)
    assert not (empty.data / "pg").exists()
    (kept / "manifest.json").unlink()
    answer = await empty.ask("restore", kept)
    assert "no whole backup" in answer.err
