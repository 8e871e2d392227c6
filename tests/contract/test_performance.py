"""How are we doing: its figures are those that a few lines of our own find in the same requests."""

import csv
import io
import json
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from html import unescape
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from bus.connect import Bus
from bus.files import Files
from gateway.reports.performance import FEW, Performance, make_performance
from gateway.reports.spans import Span
from router.rules import CITIES, City, load_city
from router.service import Router
from store import history
from store.history import PastCase
from store.model import Outcome, Role, Status
from store.records import NewEvent, add_events
from tests.contract.test_reports import words_of
from tests.contract.test_store_history import mint
from tests.support.facts import NOON, complaint
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages
from tests.support.store import file, put_staff, routed

MAY = Span(date(2021, 5, 1), date(2021, 5, 31))
PAGE = "/staff/reports/how-are-we-doing?from=2021-05-01&to=2021-05-31"
KINDS = ("Zoning", "CE - Trash/Rubbish", "Trash/Rubbish", None)


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


def requests() -> list[PastCase]:
    """Opened between January 2020 and June 2021, and closed after minutes or after months."""
    chance = random.Random(7)
    made = []
    for number in range(900):
        opened_at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(790_000))
        took = timedelta(minutes=int(2 ** chance.uniform(0, 17)))
        is_open = chance.random() < 0.1
        joined = not is_open and chance.random() < 0.1
        department = chance.choice(("MS-STREET MAINTENANCE", "Old Department", None))
        waits = Status.ASSIGNED if department else Status.TRIAGE
        made.append(
            PastCase(
                number=f"R-{number}",
                channel=chance.choice(("phone", "web", "email")),
                status=waits if is_open else Status.CLOSED,
                opened_at=opened_at,
                closed_at=None if is_open else opened_at + took,
                outcome=None if is_open else Outcome.DUPLICATE if joined else Outcome.FIXED,
                problem_type=chance.choice(KINDS),
                department=department,
                district=chance.choice(("District 1", "District 2", None, "Others")),
                address=f"{chance.randrange(40)} Planted St",
                lat=39.09,
                lon=-94.41,
                timed=chance.random() < 0.9,
            )
        )
    return made


PAST = requests()


async def take(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as conn:
        await history.take_in(conn, "papers", PAST, mint=mint, now=NOON)


def inside(at: datetime | None, span: Span, city: City) -> bool:
    begin, end = span.moments(city.zone)
    return at is not None and begin <= at < end


def step(minutes: int) -> int:
    if minutes < 120:
        return minutes
    if minutes >= 14 * 1440:
        return (minutes + 720) // 1440 * 1440
    size = 10 if minutes < 2880 else 60
    return minutes // size * size


def rank(times: list[int], share: float) -> int | None:
    return step(sorted(times)[ceil(len(times) * share) - 1]) if times else None


def check_times(
    made: Performance, by: str, name_of: Callable[[PastCase], str | None], city: City
) -> None:
    lines = {one.name: one for one in made.by[by]}
    assert len(lines) == len({name_of(one) for one in PAST})
    for name, line in lines.items():
        mine = [one for one in PAST if name_of(one) == name]
        closed = [one for one in mine if inside(one.closed_at, made.span, city)]
        times = [
            int((one.closed_at - one.opened_at).total_seconds()) // 60
            for one in closed
            if one.closed_at and one.timed and one.outcome is not Outcome.DUPLICATE
        ]
        opened = sum(inside(one.opened_at, made.span, city) for one in mine)
        assert line.opened.opened == opened, name
        assert (line.closing.cases, line.closing.timed) == (len(closed), len(times)), name
        assert (line.closing.median, line.closing.p90) == (rank(times, 0.5), rank(times, 0.9)), name
        assert line.open_now.cases == sum(one.closed_at is None for one in mine), name


async def test_counts_and_times_are_those_of_the_requests(pool: asyncpg.Pool, city: City) -> None:
    await take(pool)

    for span in (MAY, Span(date(2020, 1, 1), date(2021, 12, 31))):
        made = await make_performance(pool, city, span)
        check_times(
            made,
            "problem_type",
            lambda one: (one.problem_type or "No Problem Type").removeprefix("CE - "),
            city,
        )
        check_times(
            made, "department", lambda one: one.department or "No Department Assigned", city
        )
        check_times(made, "district", lambda one: one.district or "No District Assigned", city)
        check_times(made, "channel", lambda one: one.channel, city)
        assert made.whole.opened.opened == sum(one.opened.opened for one in made.by["channel"])
        joined = [
            one
            for one in PAST
            if inside(one.opened_at, span, city) and one.outcome is Outcome.DUPLICATE
        ]
        assert made.whole.opened.duplicates == len(joined)
        now = made.whole.open_now
        assert now.cases == now.week + now.month + now.quarter + now.year + now.older == now.older
        assert made.people is None


async def test_it_is_compared_with_the_span_before_and_the_year_before(
    pool: asyncpg.Pool, city: City
) -> None:
    await take(pool)

    made = await make_performance(pool, city, MAY)
    for (span, totals), expected in (
        (made.before, Span(date(2021, 4, 1), date(2021, 4, 30))),
        (made.year_before, Span(date(2020, 5, 1), date(2020, 5, 31))),
    ):
        assert span == expected
        assert totals.opened.opened == sum(inside(one.opened_at, span, city) for one in PAST) > 0
        assert totals.closing.cases == sum(inside(one.closed_at, span, city) for one in PAST) > 0


async def test_first_actions_aims_and_corrections_are_counted(
    pool: asyncpg.Pool, city: City
) -> None:
    """Five cases of a type that is to be looked at within 5 days; one of them was not, in time."""
    aim = next(one for one in city.reporting if one.act_within_days == 5)
    span = Span(NOON.date() - timedelta(days=40), NOON.date() + timedelta(days=40))
    cases = [complaint(number) for number in range(1, 7)]
    await file(pool, *cases, *(routed(one, problem_type=aim.problem_type) for one in cases))
    async with pool.acquire() as conn:
        await put_staff(conn)
        for number, one in enumerate(cases[:5]):
            at = one.occurred_at + (timedelta(hours=3) if number else timedelta(days=6))
            kind, data = ("noted", {}) if number else ("retyped", {"problem_type": "Zoning"})
            await add_events(conn, [NewEvent(one.message_id, at, kind, "pat.moore", True, data)])
        await conn.execute(
            "UPDATE cases SET typed_by = 'pat.moore', problem_type = $2 WHERE id = $1",
            cases[1].message_id,
            next(one.problem_type for one in city.reporting if one != aim and one.act_within_days),
        )
        earlier = "UPDATE cases SET opened_at = opened_at - interval '9 days' WHERE id = $1"
        await conn.execute(earlier, cases[5].message_id)

    made = await make_performance(pool, city, span, with_people=True)
    acted = made.whole.first_action
    assert (acted.cases, acted.timed, acted.median, acted.p90) == (5, 5, 180, 6 * 1440)
    assert (acted.aimed, acted.in_time) == (5, 4)
    assert made.whole.open_now.late_to_act == 1
    opened = made.whole.opened
    assert (opened.type_foretold, opened.type_corrected) == (6, 1)
    assert (opened.department_foretold, opened.department_corrected) == (6, 0)
    assert made.people is not None
    assert sum(one.open_now.cases for one in made.people) == 6


TINY = """
    UPDATE cases SET district = 'Tiny'
    WHERE closed_at IN (
        SELECT closed_at FROM cases WHERE closed_at >= '2021-05-10' ORDER BY closed_at LIMIT 2
    )
"""


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, city: City, tmp_path: Path
) -> AsyncIterator[Reader]:
    await take(pool)
    async with pool.acquire() as conn:
        await conn.execute("UPDATE cases SET assignee = 'sam.planted' WHERE status = 'assigned'")
        await conn.execute(TINY)
    await put_account(pool, "dana.ruiz", [Role.LEAD])
    await put_account(pool, "sam.planted", [Role.STAFF])
    router = cast(Router, SimpleNamespace(city=city))
    async with staff_pages(pool, bus, files, router, small_settings(tmp_path)) as opened:
        assert goes_to(await opened.sign_in("dana.ruiz")) == "/staff"
        yield opened


async def test_the_page_shows_it_and_keeps_small_counts_to_itself(reader: Reader) -> None:
    assert "/staff/reports/how-are-we-doing" in await reader.read("/staff/reports")
    page = words_of(await reader.read(PAGE))

    assert "How are we doing 5/1/2021 - 5/31/2021" in page
    assert "4/1/2021 - 4/30/2021" in page
    assert "5/1/2020 - 5/31/2020" in page
    assert "Workload" in page
    assert "Sam Planted" in page
    assert "PLANTED ST" in page
    tiny = page[page.index("Tiny ") :].split()[:7]
    assert tiny[4:7] == ["–", "–", "–"], tiny
    spanish = words_of(await reader.read(f"{PAGE}&lang=es"))
    assert "Cómo vamos" in spanish
    assert "Carga de trabajo" in spanish
    await reader.read("/staff/reports/how-are-we-doing?from=soon&to=2021-05-31", status=422)
    await reader.read(f"{PAGE}&format=docx&lang=en", status=404)


async def test_files_have_the_same_figures_and_no_person(reader: Reader) -> None:
    answer = await reader.client.get(f"{PAGE}&format=json")
    told: dict[str, Any] = json.loads(await answer.read())
    rows = list(csv.DictReader(io.StringIO(
        (await (await reader.client.get(f"{PAGE}&format=csv")).read()).decode("utf-8-sig")
    )))  # fmt: skip

    assert rows[0]["opened"] == str(told["whole"]["opened"])
    assert rows[0]["closed_median_minutes"] == str(told["whole"]["closed"]["median_minutes"])
    assert {row["what"] for row in rows} == {
        *("whole", "before", "year before"),
        *("problem type", "department", "district", "channel"),
    }
    for row, one in zip(
        (row for row in rows if row["what"] == "district"), told["districts"], strict=True
    ):
        assert (row["name"], row["closed_timed"]) == (one["name"], str(one["closed"]["timed"]))
        few = one["closed"]["timed"] < FEW
        assert (one["closed"]["median_minutes"] is None) == few
        assert (row["closed_median_minutes"] == "") == few
    assert "lanted" not in json.dumps(told["districts"]) + str(rows)
    assert "sam.planted" not in json.dumps(told)
    assert "PLANTED ST" not in json.dumps(told)
    assert all(block["count"] >= FEW for block in told["blocks"])


async def test_it_is_for_those_who_lead(reader: Reader) -> None:
    assert goes_to(await reader.sign_in("sam.planted")) == "/staff"
    for path in (PAGE, f"{PAGE}&format=json"):
        assert "Workload" not in unescape(await reader.read(path, status=403))
