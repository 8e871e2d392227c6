"""A city's past is read from its Open311 endpoint: all of it, once, however the server behaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from bus import connect
from gateway.history import pull
from gateway.history.column_map import Open311Map, load_map
from gateway.history.georeport import Endpoint, Source, Unreadable, requests_in
from gateway.history.pull import import_open311, map_for, months
from gateway.history.reader import NotReadable
from gateway.history.take_in import Imported
from gateway.history.told import as_text
from gateway.settings import Settings
from store import changes
from store.history import Taken
from store.merging import merge
from store.model import Outcome
from store.pool import Settings as PoolSettings
from tests.support.elsewhere import Elsewhere, broken, busy, cut_off, elsewhere, excuse, past, told
from tests.support.open311 import Reach, put_case, reachable
from tests.support.store import put_staff
from tests.support.web import CITY

NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=250)
HOW = Open311Map(name="elsewhere", timezone="America/Chicago")


@pytest.fixture
def settings(dsn: str, nats_url: str, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, store=PoolSettings(dsn=dsn), bus=connect.Settings(url=nats_url))


def source(city: Elsewhere, **other: Any) -> Source:
    return replace(Source(city.url, every=0, pause=0.01), **other)


async def take(settings: Settings, city: Elsewhere, **other: Any) -> Imported:
    how = other.pop("how", HOW)
    asked = other.pop("asked", source(city))
    return await import_open311(settings, asked, how, **({"since": SINCE} | other))


async def read(city: Elsewhere, since: datetime = SINCE, **how: Any) -> list[str]:
    """The numbers that an endpoint tells, month by month."""
    found = []
    async with Endpoint(source(city, **how)) as endpoint:
        for month in months(NOW + timedelta(minutes=5), since):
            async for some in endpoint.requests(*month):
                found += [one["service_request_id"] for one in some]
    return found


NUMBERS = "SELECT number FROM imported_cases"


async def numbers(pool: asyncpg.Pool) -> set[str]:
    rows = [row["number"] for row in await pool.fetch(NUMBERS)]
    assert len(rows) == len(set(rows))
    return set(rows)


def all_of(city: Elsewhere) -> set[str]:
    return {str(one["service_request_id"]) for one in city.requests}


# ── what becomes of them ────────────────────────────────────────────────────────────────────────

CASES = """
    SELECT i.number, c.status, c.outcome, c.problem_type, c.department, c.district, c.channel,
           c.opened_at, c.closed_at, c.closing_words, c.address, c.lat, c.lon, c.text
    FROM cases c
    JOIN imported_cases i ON i.case_id = c.id
    ORDER BY i.number
"""


@pytest.mark.parametrize("formats", [("json", "xml"), ("xml",)])
async def test_a_request_becomes_a_case_in_either_format(
    settings: Settings, pool: asyncpg.Pool, formats: tuple[str, ...]
) -> None:
    at = NOW - timedelta(days=9)
    still = told(2, at, status="open", service_code="7", service_name=None, address=None, lat=None)
    other = told(3, at, status="gone", requested_datetime="soon", agency_responsible=None)
    async with elsewhere(Elsewhere([told(1, at), still, other], formats=formats)) as city:
        how = HOW.model_copy(update={"names": {"problem_type": {"7": "Graffiti"}}})
        imported = await take(settings, city, how=how)

    closed, open_ = [dict(row) for row in await pool.fetch(CASES)]
    assert closed == {
        "number": "R-1",
        "status": "closed",
        "outcome": "fixed",
        "problem_type": "Pothole",
        "department": "Public Works",
        "district": None,
        "channel": "import",
        "opened_at": at,
        "closed_at": at + timedelta(days=2),
        "closing_words": "Filled.",
        "address": "1 Invented St",
        "lat": 39.05,
        "lon": -94.57,
        "text": "A hole <& so on>",
    }
    assert (open_["status"], open_["closed_at"], open_["outcome"]) == ("assigned", None, None)
    assert (open_["problem_type"], open_["address"], open_["lat"]) == ("Graffiti", None, None)
    text = as_text("there", HOW, imported, dry=False, unit="request")
    assert (
        "left out: the day on which it was opened is missing or cannot be read (request R-3)"
        in text
    )
    assert "its point is not on the Earth" in text
    assert "department: Public Works (2)" in text
    assert imported.books is not None
    assert imported.books.closes


async def test_again_it_brings_nothing_and_then_what_has_changed(
    settings: Settings, pool: asyncpg.Pool
) -> None:
    async with elsewhere(Elsewhere(past(30, status="open"))) as city:
        dry = await take(settings, city, dry=True)
        assert dry.taken == Taken(new=30)
        assert await numbers(pool) == set()
        assert not list(settings.data.glob("imports/*"))

        assert (await take(settings, city)).taken == Taken(new=30)
        assert (await take(settings, city)).taken == Taken(same=30)
        city.requests[4]["status"] = "closed"
        assert (await take(settings, city)).taken == Taken(same=29, changed=1)

    assert await numbers(pool) == all_of(city)
    assert not list(settings.data.glob("imports/*"))
    # And nobody hears of what was years ago.
    for table in ("outbox", "deliveries"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0


@pytest.fixture
async def ours(
    nats_url: str, postgres_dsn: str, template: str, tmp_path: Path
) -> AsyncIterator[Reach]:
    async with reachable(nats_url, postgres_dsn, template, tmp_path / "ours") as reach:
        yield reach


async def test_another_buckstop_is_read_whole(
    settings: Settings, pool: asyncpg.Pool, ours: Reach
) -> None:
    kinds = [one.name for one in CITY.offered if one.name not in CITY.public.private_types]
    references = [
        await put_case(
            ours.pool,
            problem_type=kinds[number % 5],
            department="MS-STREET MAINTENANCE",
            status="triage",
            opened_at=NOW - timedelta(hours=number * 3),
        )
        for number in range(620)
    ]
    private = await put_case(ours.pool, problem_type="Police Non-Emergency", opened_at=SINCE)
    async with ours.pool.acquire() as conn:
        await put_staff(conn)
        ids = dict(await conn.fetch("SELECT reference, id FROM cases"))
        for place, outcome in ((1, Outcome.FIXED), (2, Outcome.REFERRED), (3, Outcome.CANNOT)):
            await changes.close(
                conn, ids[references[place]], outcome=outcome, words="Thank you.", by="pat.moore"
            )
        await merge(conn, ids[references[5]], into=ids[references[10]], by="pat.moore")
    how = HOW.model_copy(
        update={
            "columns": HOW.columns.model_copy(
                update={
                    "status": "extended_attributes.status",
                    "channel": "extended_attributes.channel",
                    "district": "extended_attributes.ward",
                }
            )
        }
    )
    url = str(ours.client.make_url("/open311/v2/"))
    imported = await import_open311(settings, Source(url, every=0), how, since=SINCE)

    assert imported.taken.new == 620
    assert not imported.reading.misfits
    rows = {row["number"]: row for row in await pool.fetch(CASES)}
    assert set(rows) == set(references)
    assert private not in rows
    ends = {0: None, 1: "fixed", 2: "referred", 3: "cannot", 5: "duplicate"}
    for number, end in ends.items():
        row = rows[references[number]]
        assert row["outcome"] == end
        assert row["opened_at"] == NOW - timedelta(hours=number * 3)
        assert row["channel"] == "web"
    assert rows[references[1]]["closing_words"] == "Thank you."


# ── servers as they are ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "city",
    [
        Elsewhere(past(333), most=50),
        Elsewhere(past(333), most=50, pages=False),
        Elsewhere(past(2_100, days=60), pages=False),
        Elsewhere(past(333), most=7),
        Elsewhere(past(333), widest=timedelta(days=7), most=100),
        Elsewhere(past(333), wraps=True, jurisdiction="elsewhere.gov"),
        Elsewhere(past(333), formats=("xml",), most=100),
        Elsewhere([]),
    ],
    ids=lambda city: " ".join(
        f"{name}={getattr(city, name)}" for name in ("most", "pages", "dates", "wraps")
    ),
)
async def test_all_of_them_come_whatever_the_server_gives_at_once(city: Elsewhere) -> None:
    async with elsewhere(city):
        found = await read(city, jurisdiction=city.jurisdiction)
    assert len(found) == len(set(found))
    assert set(found) == all_of(city)
    assert len(city.asked) < 250


async def test_a_server_that_takes_days_as_it_likes_tells_nothing_twice(
    settings: Settings, pool: asyncpg.Pool
) -> None:
    async with elsewhere(Elsewhere(past(40), dates=False, pages=False)) as city:
        imported = await take(settings, city)
    assert await numbers(pool) == all_of(city)
    assert (imported.reading.rows, imported.reading.misfits) == (40, {})


async def test_what_failed_for_now_is_asked_again() -> None:
    faults = {1: busy, 2: broken, 3: broken, 5: excuse, 6: cut_off, 9: broken}
    async with elsewhere(Elsewhere(past(120), most=40, faults=faults)) as city:
        assert set(await read(city)) == all_of(city)
        first, second = city.asked_at[1:3]
        assert second - first >= 1  # as long as it asked for


async def test_it_is_asked_no_more_often_than_allowed() -> None:
    async with elsewhere(Elsewhere(past(10, days=20))) as city:
        await read(city, since=NOW - timedelta(days=60), every=0.08)
    assert len(city.asked_at) >= 5
    assert min(b - a for a, b in pairwise(city.asked_at)) > 0.07


@pytest.mark.parametrize(
    ("city", "sentence"),
    [
        (Elsewhere(past(9), faults=dict.fromkeys(range(1, 99), broken)), "answers 500, 6 times"),
        (
            Elsewhere(past(9), faults={1: lambda: web.Response(status=403, text="no")}),
            "answers 403",
        ),
        (Elsewhere(past(9), faults={1: lambda: busy("7200")}), "left alone for 120 minutes"),
        (Elsewhere(past(9), jurisdiction="x.gov"), "jurisdiction_id was not provided"),
        (
            Elsewhere(past(2_000), most=100, pages=False, dates=False),
            "the same 100 requests whatever days",
        ),
        (Elsewhere(past(9), formats=()), "services.json answers 404"),
    ],
)
async def test_what_cannot_be_read_is_told_in_a_sentence(city: Elsewhere, sentence: str) -> None:
    async with elsewhere(city):
        with pytest.raises(NotReadable, match=sentence):
            await read(city)


async def test_nobody_there() -> None:
    async with elsewhere(Elsewhere([])) as city:
        pass
    with pytest.raises(NotReadable, match="does not answer"):
        await read(city)


async def test_many_in_one_minute_are_told_of(settings: Settings, pool: asyncpg.Pool) -> None:
    at = NOW - timedelta(days=3)
    storm = [told(number, at) for number in range(130)]
    async with elsewhere(Elsewhere(storm, most=100, pages=False)) as city:
        imported = await take(settings, city)
    assert len(await numbers(pool)) == 100
    [sentence] = imported.reading.misfits
    assert "more requests of this minute" in sentence


# ── broken off, and begun again ─────────────────────────────────────────────────────────────────


async def test_broken_off_it_goes_on_where_it_was(settings: Settings, pool: asyncpg.Pool) -> None:
    def no() -> web.Response:
        return web.Response(status=403)

    async with elsewhere(Elsewhere(past(100), faults={9: no})) as city:
        with pytest.raises(NotReadable, match="403"):
            await take(settings, city)
        before = await numbers(pool)
        assert 20 < len(before) < 80
        newest = max(one["end_date"] for one in city.asked)
        city.asked.clear()

        imported = await take(settings, city)
        assert imported.goes_on_from is not None
        assert "what is newer than" in as_text("there", HOW, imported, dry=False)
        assert await numbers(pool) == all_of(city)
        # The months that were there are not asked for once more.
        assert max(one["end_date"] for one in city.asked) < newest
        assert not list(settings.data.glob("imports/*"))


async def test_another_question_begins_anew(settings: Settings, pool: asyncpg.Pool) -> None:
    """So does one whose note of how far it was cannot be read."""

    def no() -> web.Response:
        return web.Response(status=403)

    async with elsewhere(Elsewhere(past(100), faults={9: no})) as city:
        with pytest.raises(NotReadable):
            await take(settings, city)
        [kept] = settings.data.glob("imports/*.json")
        assert json.loads(kept.read_text())["reached"]
        imported = await take(settings, city, since=SINCE - timedelta(days=1), dry=True)
        assert imported.goes_on_from is None
        kept.write_text("{")
        assert (await take(settings, city)).goes_on_from is None
    assert await numbers(pool) == all_of(city)


async def test_two_at_a_time_bring_each_once(settings: Settings, pool: asyncpg.Pool) -> None:
    async with elsewhere(Elsewhere(past(60))) as city:
        both = await asyncio.gather(take(settings, city), take(settings, city))
    assert sum((one.taken for one in both), Taken()) == Taken(new=60, same=60)
    assert await numbers(pool) == all_of(city)


async def test_without_since_it_ends_where_the_past_does(
    settings: Settings, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "QUIET", timedelta(days=120))
    async with elsewhere(Elsewhere(past(50))) as city:
        await take(settings, city, since=None)
    assert await numbers(pool) == all_of(city)
    earliest = min(datetime.fromisoformat(one["start_date"]) for one in city.asked)
    assert NOW - timedelta(days=380) < earliest < NOW - timedelta(days=300)


# ── pieces ──────────────────────────────────────────────────────────────────────────────────────


def test_xml_and_json_say_the_same() -> None:
    nested = b"""[{"service_request_id": 12, "lat": 39.5, "duplicate": true, "zipcode": null,
                  "extended_attributes": {"ward": "2", "photos": []}, "notes": [{"type": "x"}]}]"""
    in_xml = b"""<?xml version="1.0"?><service_requests xmlns="http://wiki.open311.org/GeoReport_v2">
        <request><service_request_id> 12 </service_request_id><lat>39.5</lat>
        <duplicate>true</duplicate><extended_attributes><ward>2</ward></extended_attributes>
        </request></service_requests>"""
    assert requests_in(nested, "json") == requests_in(in_xml, "xml")
    assert requests_in(b'{"requests": []}', "json") == requests_in(b"<requests/>", "xml") == []


@pytest.mark.parametrize(
    ("body", "format"),
    [
        (b"", "json"),
        (b"{}", "json"),
        (b"[1]", "json"),
        (b"\xff\xfe", "json"),
        (b"<a", "xml"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "xml"),
        (b"<html>", "xml"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(body: bytes, format: Any) -> None:
    with pytest.raises(Unreadable):
        requests_in(body, format)


def test_the_map_that_the_page_shows_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
    shown = tmp_path / "map.toml"
    shown.write_text(page.partition("```toml\n")[2].partition("```")[0])
    how = load_map(str(shown), Open311Map)
    assert how.columns.extended
    assert (how.columns.number, how.columns.district) == (
        "service_request_id",
        "extended_attributes.ward",
    )
    assert how.names["problem_type"]["033"] in CITY.types_by_name


def test_an_endpoint_has_a_name_of_its_own() -> None:
    def name(url: str, jurisdiction: str = "") -> str:
        return map_for(Source(url, jurisdiction), CITY).name

    assert name("https://311.Example.gov/open311/v2/") == "open311-311.example.gov"
    assert name("https://x.org/open311/v2/24/") == "open311-x.org-open311-v2-24"
    assert name("https://x.org/open311/v2", "a.gov") == "open311-x.org-a.gov"
    long = "https://x.org/" + "very/" * 20
    assert name(f"{long}a") != name(f"{long}b")
    assert len(name(f"{long}a")) < 63
    with pytest.raises(NotReadable, match="no web address"):
        name("ftp://x.org")
