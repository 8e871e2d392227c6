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
from gateway.open_data.dashboard import Figures, Month, few_words, rows_of
from gateway.open_data.feed import COLUMNS, cell, state_of, write_feed
from gateway.open_data.pages import OpenData
from gateway.reports.spans import month_before, month_of
from gateway.settings import Settings
from store import changes, counting
from store.model import Outcome
from store.performance import WHOLE, Group, Took
from tests.contract.test_reports import words_of
from tests.support.open311 import Answer, Reach, put_case, reachable
from tests.support.web import CITY

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
        await changes.close(conn, case.id, outcome=Outcome.FIXED, words="Filled.", by="pat.moore")

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
    assert sorted(path.name for path in tmp_path.iterdir()) == [  # noqa: ASYNC240
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
    assert len(list(tmp_path.iterdir())) == 3  # noqa: ASYNC240


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


async def test_the_dashboard_tells_of_the_month_and_of_nobody(city: Reach) -> None:
    today = datetime.now(CITY.zone)
    begin = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = month_before(today.date()).moments(CITY.zone)[0] + timedelta(hours=1)
    for count, problem_type, opened_at in (
        (7, "Graffiti", begin),
        (6, "Graffiti", before),
        (2, "Noise", begin),
        (9, "Police Non-Emergency", begin),
    ):
        for _ in range(count):
            await put_case(city.pool, problem_type=problem_type, opened_at=opened_at)
    async with city.pool.acquire() as conn:
        # A case that is simply there has no event by which it would be counted.
        await counting.recount(conn)

    page = await _get(city, "/dashboard?lang=en")
    words = words_of(page.text)
    assert page.status == 200
    label = CITY.label_of("Graffiti", "en")
    opened, last = (int(cell) for cell in words.split(f"{label} ")[1].split()[:2])
    assert opened >= 7 and last >= 6  # noqa: PT018  beside those of other tests
    assert "Police" not in words  # private
    assert CITY.label_of("Noise", "en") not in words  # too few
    rest = words[words.index("All other problems ") :].split()
    assert int(rest[3]) >= 11
    assert "LLLL" not in words
    assert f"{today:%B %Y}" in words
    spanish = words_of((await _get(city, "/dashboard?lang=es")).text)
    assert "La ciudad en números" in spanish
    assert "Todos los demás problemas" in spanish
    # Kept for a while: however often it is looked at, the database is asked once.
    for _ in range(7):
        await put_case(city.pool, problem_type="Zoning", opened_at=begin)
    async with city.pool.acquire() as conn:
        await counting.recount(conn)
    assert words_of((await _get(city, "/dashboard?lang=en")).text) == words
    for home in ("/", "/?lang=es"):
        text = (await _get(city, home)).text
        assert 'href="/dashboard"' in text
        assert 'href="/open-data"' in text


async def test_the_files_are_written_at_night(
    city: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was slept through is made up for."""
    settings = Settings(data=tmp_path)
    open_data = OpenData(settings, city.pool, CITY)
    monkeypatch.setattr(OpenData, "_until_night", lambda _: 0.2)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(30):
        tasks.create_task(open_data.run(stop))
        while state_of(tmp_path / feed.FOLDER) is None:
            await asyncio.sleep(0.05)
        stop.set()


def test_the_night_is_the_citys(tmp_path: Path, city: Reach) -> None:
    open_data = OpenData(Settings(data=tmp_path), city.pool, CITY)
    night = datetime.now(CITY.zone) + timedelta(seconds=open_data._until_night())
    assert abs(night - night.replace(hour=3, minute=0, second=0, microsecond=0)) < timedelta(
        seconds=2
    )
    assert 0 < open_data._until_night() <= 25 * 3600


def test_small_numbers_and_what_is_rare_are_not_told() -> None:
    kinds = [Group("problem_type", name) for name in ("Common", "Rare", "Private")]
    month = Month(
        month_of(NOW.date()),
        {WHOLE: 13, kinds[0]: 9, kinds[1]: 1, kinds[2]: 3},
        {kinds[0]: Took(3, 3, 60, 90, 0, 0), kinds[1]: Took(1, 1, 5, 5, 0, 0)},
    )
    figures = Figures(month, month, {kinds[0]: 4}, NOW)
    rows = rows_of(figures, "problem_type", lambda name: "" if name == "Private" else str(name))

    assert [(one.name, one.opened, one.closed) for one in rows] == [("Common", 9, 3), ("", 4, 1)]
    assert [few_words(count) for count in (0, 1, 4, 5)] == ["0", "under 5", "under 5", "5"]


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
