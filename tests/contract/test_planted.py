"""
Personal data that is planted in every field comes out nowhere: no public page, dashboard, file,
answer to a program, or report in any format.
"""

import gzip
import io
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pypdf import PdfReader

from gateway.open_data import feed
from gateway.pages import i18n
from gateway.reports.html import as_html
from gateway.reports.make import make_service_requests
from gateway.reports.pdf import as_pdf
from gateway.reports.performance import make_performance
from gateway.reports.performance_shown import performance_shown
from gateway.reports.performance_written import performance_csv, performance_json
from gateway.reports.shown import shown
from gateway.reports.spans import month_of
from gateway.reports.written import as_csv, as_json
from store import changes
from store.model import Outcome
from tests.contract.test_open311_reading import PLANTED, POTHOLE, STREETS
from tests.support.open311 import Reach, put_case, reachable
from tests.support.web import CITY

# The numbers are looked for as numbers: a signed link or a photo's name may hold "4711" by chance.
SEEN = re.compile(
    r"planted|\b471[13]\b|\b12B\b|555.?01[47][27]|5550142|resident\.example|pat[. ]?moore",
    re.IGNORECASE,
)
NAME, EMAIL, PHONE = "Plantedfirst Plantedlast", "planted@resident.example", "816-555-0177"
TEXT = f"I am {NAME}, {PHONE}, {EMAIL}, at 4713 Maple Ave Apt 12B. A very big hole."
# What is kept of a case in places that no form of ours fills by itself.
EVERYWHERE = """
    UPDATE cases
    SET reporter_name = $2, reporter_email = $3, reporter_phone = $4, text = $5, address = $6,
        assignee = 'pat.moore', assignee_name = 'Pat Moore'
    WHERE reference = $1
"""


@pytest.fixture(scope="module")
async def city(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Reach]:
    folder: Path = tmp_path_factory.mktemp("planted")
    async with reachable(nats_url, postgres_dsn, template, folder) as reach:
        yield reach


@pytest.fixture(scope="module")
async def planted(city: Reach) -> list[str]:
    """The references of cases with it: from an app, from the web, open and closed, six alike."""
    references = [await city.report(**PLANTED)]
    address = "4713 Maple Ave Apt 12B, Independence, MO 64050"
    for number in range(6):
        reference = await put_case(
            city.pool,
            channel=("web", "phone", "email", "sms", "open311", "web")[number],
            problem_type=POTHOLE,
            department=STREETS,
            lat=39.09114,
            lon=-94.41553,
            opened_at=datetime.now(UTC) - timedelta(minutes=number + 1),
        )
        await city.pool.execute(EVERYWHERE, reference, NAME, EMAIL, PHONE, TEXT, address)
        references.append(reference)
    async with city.pool.acquire() as conn:
        first = await city.filed(references[0])
        await changes.assign(
            conn, first.id, department=STREETS, assignee="pat.moore", by="pat.moore"
        )
        for place, reference in enumerate(references):
            await _written_on(conn, (await city.filed(reference)).id, closes=place % 2 == 0)
    return references


async def _written_on(conn: asyncpg.Connection, case: object, *, closes: bool) -> None:
    notes = (
        ("Planted internal note about 4711 Maple Ave.", False),
        (f"Dear {NAME}, Pat Moore calls you at {PHONE}.", True),
    )
    for text, public in notes:
        await changes.add_note(
            conn,
            case,  # type: ignore[arg-type]
            note_id=uuid4(),
            text=text,
            public=public,
            by="pat.moore",
        )
    if closes:
        words = f"Done, Ms. Plantedlast. We wrote to {EMAIL}."
        await changes.close(conn, case, outcome=Outcome.FIXED, words=words, by="pat.moore")  # type: ignore[arg-type]


def check(what: str, told: str, known: int = 0) -> None:
    found = SEEN.findall(told)
    assert len(found) == known, f"{what}: {found}"


# Every address that answers without a sign-in, with what to ask there.
ASKED = {
    "/": ["/", "/?lang=es"],
    "/track": ["/track"],
    "/track/{reference}": ["/track/REFERENCE", "/track/REFERENCE?lang=es"],
    "/receipt/{reference}": ["/receipt/REFERENCE"],
    "/dashboard": ["/dashboard", "/dashboard?lang=es"],
    "/open-data": ["/open-data", "/open-data?lang=es"],
    "/open-data/requests.{kind}": ["/open-data/requests.csv", "/open-data/requests.json"],
    "/open311": ["/open311"],
    "/open311/openapi.json": ["/open311/openapi.json"],
    "/open311/v2/requests.FORMAT": [
        "/open311/v2/requests.FORMAT?extensions=true",
        "/open311/v2/requests.FORMAT?q=hole&extensions=true",
        "/open311/v2/requests.FORMAT?service_request_id=REFERENCE",
        "/open311/v2/requests.FORMAT?page=1&page_size=500",
    ],
    "/open311/v2/requests/REFERENCE": ["/open311/v2/requests/REFERENCE.FORMAT?extensions=true"],
    "/open311/v2/services": ["/open311/v2/services.FORMAT", "/open311/v2/services/pothole.FORMAT"],
    "/open311/v2/tokens": ["/open311/v2/tokens/REFERENCE.FORMAT"],
    "/open311/v2/updates": ["/open311/v2/servicerequestupdates.FORMAT"],
    "/discovery": ["/discovery.FORMAT"],
    "/open311/v2/discovery": ["/open311/v2/discovery.FORMAT", "/open311/discovery.FORMAT"],
    "/healthz": ["/healthz", "/readyz"],
}


async def test_no_public_page_or_answer_names_anybody(city: Reach, planted: list[str]) -> None:
    await feed.write_feed(
        city.pool, city.desk.public.rules, _teller(city), city.folder / feed.FOLDER
    )
    asked = 0
    for path in (path for paths in ASKED.values() for path in paths):
        for format in ("json", "xml") if "FORMAT" in path else ("",):
            for reference in planted[:2] if "REFERENCE" in path else planted[:1]:
                one = path.replace("FORMAT", format).replace("REFERENCE", reference)
                answer = await city.get(f"/{one}")
                assert answer.status == 200, (one, answer.text[:300])
                check(one, answer.text)
                asked += 1
    assert asked > 30
    # And the cases were there to be told.
    told = (await city.get("//open-data/requests.csv")).text
    assert all(reference in told for reference in planted)
    assert "4700 block of Maple Ave" in told


def public_paths(city: Reach) -> set[str]:
    """What can be fetched from this application, but for what stands still and what is posted."""
    app = city.client.server.app  # type: ignore[attr-defined]
    return {
        route.resource.canonical
        for route in app.router.routes()
        if route.method == "GET" and route.resource is not None
    }


async def test_every_address_is_asked(city: Reach, planted: list[str]) -> None:
    """One that joins stands above, or here with the reason why it tells nothing of a case."""
    apart = re.compile(r"/static/|/city|/channels/|photos|/\{|callback")
    stems = {re.split(r"[.{?]", path)[0].rstrip("/") for paths in ASKED.values() for path in paths}
    for path in public_paths(city):
        stem = re.split(r"[.{]", path)[0].rstrip("/")
        known = stem in stems or any(one.startswith(stem + "/") for one in stems if stem)
        assert known or apart.search(path), path


async def test_nobody_feels_their_way_to_a_person(city: Reach, planted: list[str]) -> None:
    for word in ("plantedfirst", "plantedlast", "8165550177", "resident", "4713", "internal"):
        answer = await city.get(f"/requests.json?q={word}")
        assert not answer.json, word


async def test_no_report_names_anybody_in_any_format(city: Reach, planted: list[str]) -> None:
    span = month_of(datetime.now(UTC).astimezone(CITY.zone).date())
    span = replace(span, first=span.first - timedelta(days=1))
    async with city.pool.acquire() as conn:
        made = await make_service_requests(conn, CITY, span)
    performed = await make_performance(city.pool, CITY, span, with_people=True)
    assert made.report.total == performed.whole.opened.opened == len(planted)
    assert performed.places, "the place was reported so often that leads see it on their page"
    check("JSON", as_json(made.report, CITY.name, made.counted_at))
    check("CSV", as_csv(made.report))
    check("how are we doing, JSON", performance_json(performed, CITY.name))
    check("how are we doing, CSV", performance_csv(performed))
    for language in i18n.LANGUAGES:
        i18n.use_language(language)
        told = shown(made.report, CITY, made.counted_at)
        check("HTML", as_html(told))
        pages = PdfReader(io.BytesIO(as_pdf(told))).pages
        check("PDF", "".join(page.extract_text() for page in pages))
        quiet = performance_shown(replace(performed, people=None), CITY)
        check("how are we doing, HTML", as_html(quiet, "performance.html"))


async def test_the_files_on_disk_name_nobody(
    city: Reach, planted: list[str], tmp_path: Path
) -> None:
    await feed.write_feed(city.pool, city.desk.public.rules, _teller(city), tmp_path)
    for name in feed.FILES.values():
        check(name, gzip.decompress((tmp_path / name).read_bytes()).decode())


def _teller(city: Reach) -> feed.Teller:
    return feed.Teller(city.desk.public, city.desk.book, "https://311.example.gov/open311/v2")
