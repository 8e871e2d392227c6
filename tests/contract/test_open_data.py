"""The whole public record in files: right, whole, and without anybody in it."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.open311.record import Teller
from gateway.open_data import feed
from gateway.open_data.feed import COLUMNS, cell, state_of, write_feed
from store import cases
from store.model import Outcome
from tests.support.open311 import Answer, Reach, put_case, reachable

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
async def city(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Reach]:
    folder: Path = tmp_path_factory.mktemp("open-data")
    async with reachable(nats_url, postgres_dsn, template, folder) as reach:
        yield reach


async def written(city: Reach, folder: Path) -> list[dict[str, str]]:
    """The lines of the CSV, after the feed was written."""
    teller = Teller(city.desk.public, city.desk.book, "https://x")
    await write_feed(city.pool, city.desk.public.rules, teller, folder)
    with gzip.open(folder / "requests.csv.gz", "rt", newline="") as packed:
        return list(csv.DictReader(packed))


async def test_every_public_case_is_one_line(
    city: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_AT_ONCE", 3)  # more steps than one
    mine = [
        await put_case(
            city.pool,
            problem_type="Graffiti",
            opened_at=NOW - timedelta(days=400 + day),
            text="Planted words, 816-555-0142",
            address="4711 Maple Ave",
            lat=39.09114,
            lon=-94.41553,
            reporter_name="Planted Name",
            reporter_email="planted@resident.example",
        )
        for day in range(7)
    ]
    private = await put_case(city.pool, problem_type="Police Non-Emergency")
    posted = await city.report(description="=HYPERLINK(1)", first_name="Planted")
    case = await city.filed(posted)
    async with city.pool.acquire() as conn:
        await cases.close(conn, case.id, outcome=Outcome.FIXED, words="Filled.", by="pat.moore")

    lines = await written(city, tmp_path)
    assert [line["service_request_id"] for line in lines] == [posted, *mine]
    assert list(lines[0]) == list(COLUMNS)
    assert lines[0]["status_description"] == "fixed"
    assert lines[0]["status_notes"] == "Filled."
    assert lines[0]["closed_date"]
    assert lines[0]["description"] == "'=HYPERLINK(1)"  # no spreadsheet runs it
    assert lines[1]["address"] == "4700 block of Maple Ave"
    assert (lines[1]["lat"], lines[1]["long"]) == ("39.091", "-94.416")
    assert lines[1]["source"] == "Website"
    with gzip.open(tmp_path / "requests.json.gz", "rt") as packed:
        told = json.load(packed)
    assert [one["service_request_id"] for one in told] == [posted, *mine]
    assert told[0]["description"] == "=HYPERLINK(1)"
    for name in ("requests.csv.gz", "requests.json.gz"):
        text = gzip.decompress((tmp_path / name).read_bytes()).decode()
        for word in ("planted", "Planted", "4711", "555", "resident.example", private):
            assert word not in text, f"{word} in {name}"
    state = state_of(tmp_path)
    assert state is not None
    assert state.requests == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "requests.csv.gz",
        "requests.json.gz",
        "state.json",
    ]


async def test_a_feed_that_breaks_leaves_the_old_one(
    city: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await city.report()
    before = await written(city, tmp_path)

    def broken(*_: object) -> dict[str, object]:
        raise OSError("the disk is full")

    monkeypatch.setattr(feed, "bulk", broken)
    with pytest.raises(OSError, match="full"):
        await written(city, tmp_path)
    with gzip.open(tmp_path / "requests.csv.gz", "rt", newline="") as packed:
        assert list(csv.DictReader(packed)) == before
    assert len(list(tmp_path.iterdir())) == 3


async def test_the_files_are_fetched_packed_or_plain(city: Reach) -> None:
    page = await _get(city, "/open-data")
    assert page.status == 200
    # The first one who asks has them made.
    async with asyncio.timeout(30):
        while (answer := await _get(city, "/open-data/requests.csv")).status == 503:
            assert int(answer.headers["Retry-After"]) > 0
            await asyncio.sleep(0.1)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    plain = await _get(city, "/open-data/requests.csv", {"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.body == answer.body  # which the client has unpacked
    lines = list(csv.reader(io.StringIO(plain.text)))
    assert lines[0] == list(COLUMNS)
    told = (await _get(city, "/open-data/requests.json")).json
    assert len(told) == len(lines) - 1
    assert "/open-data/requests.json" in (await _get(city, "/open-data?lang=es")).text
    assert (await _get(city, "/open-data/requests.xls")).status == 404


async def _get(city: Reach, path: str, headers: dict[str, str] | None = None) -> Answer:
    return await city.get(f"/{path}", headers)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (-94.4155, "-94.4155"),
        ("-94.4155", "-94.4155"),
        ("-2+3", "'-2+3"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("@x", "'@x"),
        ("plain - text", "plain - text"),
    ],
)
def test_no_cell_is_a_formula(value: object, shown: str) -> None:
    assert cell(value) == shown
