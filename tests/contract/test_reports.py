"""
The Service Request Report of the city's own page: its numbers, as page, PDF, CSV and JSON.
"""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from pypdf import PdfReader

from bus.connect import Bus
from bus.files import Files
from router.rules import CITIES, City, load_city
from router.service import Router
from store import history
from store.model import Role
from tests.contract.test_store_history import mint
from tests.support import council
from tests.support.facts import NOON
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages

OCTOBER = "/staff/reports/service-requests?from=2021-10-01&to=2021-10-22"


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, city: City, tmp_path: Path
) -> AsyncIterator[Reader]:
    """Dana, who leads, on the pages of a city that had the council's October."""
    month = council.month(city)
    async with pool.acquire() as conn:
        for past in (month, council.around(month)):
            await history.take_in(conn, "papers", past, mint=mint, now=NOON)
    await put_account(pool, "dana.ruiz", [Role.LEAD])
    await put_account(pool, "pat.moore", [Role.STAFF])
    # The report needs no router, only the pages beside it do.
    router = cast(Router, SimpleNamespace(city=city))
    async with staff_pages(pool, bus, files, router, small_settings(tmp_path)) as opened:
        assert goes_to(await opened.sign_in("dana.ruiz")) == "/staff"
        yield opened


async def fetched(reader: Reader, format: str) -> tuple[bytes, str]:
    answer = await reader.client.get(f"{OCTOBER}&format={format}")
    assert answer.status == 200, await answer.text()
    return await answer.read(), answer.headers["Content-Disposition"]


def check_figures(told: dict[str, Any]) -> None:
    """Exactly the numbers of the city's page, and departments that add up."""
    assert told["total"] == council.TOTAL
    assert [(one["name"], one["count"]) for one in told["top_problem_types"]] == council.TOP
    assert {
        one["name"]: (one["count"], [(many["name"], many["count"]) for many in one["top"]])
        for one in told["districts"]
    } == council.DISTRICTS
    assert [one["name"] for one in told["districts"]] == list(council.DISTRICTS)
    departments = {one["name"]: one for one in told["departments"]}
    assert sum(one["count"] for one in departments.values()) == council.TOTAL
    assert round(sum(one["percent"] for one in departments.values()), 6) == 100.0
    assert next(iter(departments)) == "No Department Assigned"
    assert departments["No Department Assigned"]["count"] == 1
    assert "CD-NEIGHBORHOOD SERVICES" in departments
    assert "CD-NEIGHBORHOOD SERV" not in departments


async def test_as_json_it_has_the_numbers_of_the_citys_page(reader: Reader) -> None:
    body, disposition = await fetched(reader, "json")

    assert 'filename="service-requests-2021-10-01-2021-10-22.json"' in disposition
    told = json.loads(body)
    assert (told["from"], told["to"]) == ("2021-10-01", "2021-10-22")
    check_figures(told)


async def test_as_csv_it_has_the_same(reader: Reader) -> None:
    body, _ = await fetched(reader, "csv")

    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
    told: dict[str, Any] = {"departments": [], "top_problem_types": [], "districts": []}
    for row in rows:
        one = {"name": row["name"] or row["problem_type"], "count": int(row["count"])}
        match row["what"]:
            case "total":
                told["total"] = one["count"]
            case "department":
                told["departments"].append(one | {"percent": float(row["percent"])})
            case "problem type":
                told["top_problem_types"].append(one)
            case "district":
                told["districts"].append({**one, "top": []})
            case "problem type in district":
                top = {"name": row["problem_type"], "count": one["count"]}
                told["districts"][-1]["top"].append(top)
    check_figures(told)


def words_of(page: str) -> str:
    """What a reader sees of a page, its cells parted by blanks."""
    text = re.sub(r"<(style|svg|head)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(text).split())


def check_words(words: str) -> None:
    """What is read on the page and on paper alike."""
    assert "Service Request Report 10/1/2021 - 10/22/2021" in words
    assert "Total number of new service requests opened: 576" in words
    assert "Total: 576 100.0%" in words
    assert "Top 5 problem descriptions in new service requests" in words
    top = words[words.index("Top 5 problem") : words.index("New service requests per district")]
    assert " ".join(f"{name} {count}" for name, count in council.TOP) in top
    breakdown = words[words.index("District breakdown from 10/1/2021 to 10/22/2021") :]
    for name, (count, kinds) in council.DISTRICTS.items():
        said = f"{name} {count} Problem description Requests "
        said += " ".join(f"{kind} {number}" for kind, number in kinds)
        assert said in breakdown


async def test_as_a_page_it_has_them_too(reader: Reader) -> None:
    page = await reader.read(OCTOBER)

    check_words(words_of(page))
    widths = [float(width) for width in re.findall(r'<rect width="([\d.]+)"', page)]
    counts = [count for count, _ in council.DISTRICTS.values()]
    assert widths == [round(100 * count / max(counts), 2) for count in counts]


async def test_as_a_file_it_needs_nothing_else(reader: Reader) -> None:
    body, _ = await fetched(reader, "html")

    check_words(words_of(body.decode()))
    assert not re.findall(r'(?:src|href)="', body.decode())


async def test_on_paper_it_has_them_and_can_be_read_aloud(reader: Reader) -> None:
    body, _ = await fetched(reader, "pdf")

    pdf = PdfReader(io.BytesIO(body))
    check_words(" ".join(" ".join(page.extract_text().split()) for page in pdf.pages))
    root = cast(Any, pdf.trailer["/Root"])
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Service Request Report 10/1/2021 - 10/22/2021"
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    assert [round(float(side)) for side in pdf.pages[0].mediabox[2:]] == [612, 792]


async def test_it_speaks_spanish_too(reader: Reader) -> None:
    page = words_of(await reader.read(f"{OCTOBER}&lang=es"))

    assert "Informe de solicitudes de servicio 1/10/2021 - 22/10/2021" in page
    assert "Sin distrito asignado 12" in page
    answer = await reader.client.get(f"{OCTOBER}&format=pdf&lang=es")
    pdf = PdfReader(io.BytesIO(await answer.read()))
    assert cast(Any, pdf.trailer["/Root"])["/Lang"] == "es"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("from=2021-10-22&to=2021-10-01", "The last day comes before the first one."),
        ("from=soon&to=2021-10-01", "Enter a day, as 2026-03-31."),
        ("from=2021-10-01&to=", "Enter a day, as 2026-03-31."),
        ("from=0001-01-01&to=2021-10-01", "Enter a day, as 2026-03-31."),
    ],
)
async def test_a_span_that_is_none_is_asked_for_again(
    reader: Reader, typed: str, sentence: str
) -> None:
    page = await reader.read(f"/staff/reports/service-requests?{typed}", status=422)

    assert sentence in unescape(page)
    assert all(f'value="{value}"' in page for value in re.findall(r"=([^&]+)", typed))


async def test_without_a_span_it_is_last_months_and_an_unknown_file_is_none(
    reader: Reader,
) -> None:
    assert "Total number of new service requests opened: 0" in words_of(
        await reader.read("/staff/reports/service-requests")
    )
    await reader.read(f"{OCTOBER}&format=docx", status=404)


async def test_reports_are_for_those_who_lead(reader: Reader) -> None:
    assert "Service Request Report" in await reader.read("/staff/reports")
    assert goes_to(await reader.sign_in("pat.moore")) == "/staff"
    assert "/staff/reports" not in await reader.read("/staff")
    for path in ("/staff/reports", OCTOBER, f"{OCTOBER}&format=json"):
        await reader.read(path, status=403)
