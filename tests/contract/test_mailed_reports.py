"""A report goes out when its span is over, once to each, over the bus like any other notice."""

import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
import pytest
from pypdf import PdfReader

from bus.contracts import Fact, FileRef, NoticeQueued, ReportFigure, ReportMade
from bus.files import Files
from gateway.city_words import words_of
from gateway.reports.mailing import last_span, mail_if_due
from gateway.reports.settings import Every, ReportMail
from gateway.reports.spans import Span
from notifier.reports import ReportMails
from router.rules import CITIES, City, load_city
from store import history, mailed_reports
from tests.contract.test_store_history import mint
from tests.support import council
from tests.support.facts import NOON
from tests.support.store import to_tell

COUNCIL, MANAGER = "council@independence.example", "manager@independence.example"
MONTHLY = ReportMail(to=(COUNCIL, MANAGER), formats=("pdf", "csv"))
SEVEN = datetime(2021, 11, 1, 12, tzinfo=UTC)  # in the morning, where the city is


@pytest.fixture(scope="module")
def city() -> City:
    return load_city(CITIES / "independence")


@pytest.fixture
async def conn(pool: asyncpg.Pool, city: City) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as acquired:
        await history.take_in(acquired, "papers", council.month(city), mint=mint, now=NOON)
        yield acquired


async def made(conn: asyncpg.Connection) -> list[ReportMade]:
    return [fact for fact in await to_tell(conn) if isinstance(fact, ReportMade)]


async def test_it_is_made_when_its_span_is_over_and_not_before(
    conn: asyncpg.Connection, files: Files, city: City
) -> None:
    early = SEVEN - timedelta(seconds=1)
    assert not await mail_if_due(conn, files, city, MONTHLY, early)
    assert await mail_if_due(conn, files, city, MONTHLY, SEVEN)

    [fact] = await made(conn)
    assert fact.title == "Service Request Report 10/1/2021 - 10/31/2021"
    assert fact.recipients == (COUNCIL, MANAGER)
    assert fact.path == "/staff/reports/service-requests?from=2021-10-01&to=2021-10-31"
    assert (fact.figures[0].value, fact.figures[1].name) == ("576", "Trash/Rubbish")
    paper, table = fact.attachments
    assert (paper.media_type, paper.name) == (
        "application/pdf",
        "service-requests-2021-10-01-2021-10-31.pdf",
    )
    pages = PdfReader(io.BytesIO(await files.read(paper.sha256))).pages
    assert "opened: 576" in pages[0].extract_text()
    assert b"total,,,576," in await files.read(table.sha256)


async def test_nobody_gets_a_report_twice_and_who_joins_gets_the_last_one(
    conn: asyncpg.Connection, files: Files, city: City
) -> None:
    assert await mail_if_due(conn, files, city, MONTHLY, SEVEN)
    assert not await mail_if_due(conn, files, city, MONTHLY, SEVEN + timedelta(days=3))

    joined = MONTHLY.model_copy(update={"to": (*MONTHLY.to, "new@independence.example")})
    assert await mail_if_due(conn, files, city, joined, SEVEN + timedelta(days=4))

    first, second = await made(conn)
    assert second.recipients == ("new@independence.example",)
    assert first.message_id != second.message_id


async def test_two_that_make_it_at_once_tell_it_once(
    conn: asyncpg.Connection, files: Files, city: City
) -> None:
    """The second may have looked before the first had told."""
    assert await mail_if_due(conn, files, city, MONTHLY, SEVEN)
    [fact] = await made(conn)

    assert not await mailed_reports.tell(conn, fact, date(2021, 10, 1), date(2021, 10, 31))
    assert len(await made(conn)) == 1


@pytest.mark.parametrize(
    ("every", "span"),
    [
        ("day", Span(date(2026, 3, 30), date(2026, 3, 30))),
        ("week", Span(date(2026, 3, 23), date(2026, 3, 29))),
        ("month", Span(date(2026, 2, 1), date(2026, 2, 28))),
        ("quarter", Span(date(2025, 10, 1), date(2025, 12, 31))),
        ("year", Span(date(2025, 1, 1), date(2025, 12, 31))),
    ],
)
def test_the_last_span_that_is_over(every: Every, span: Span) -> None:
    tuesday = datetime.combine(date(2026, 3, 31), time(23), UTC)

    assert last_span(every, tuesday) == span


async def test_each_reader_gets_a_mail_with_the_figures_and_the_report(city: City) -> None:
    told: list[Fact] = []

    async def tell(facts: Sequence[Fact]) -> None:
        told.extend(facts)

    mails = ReportMails(words_of(city), tell, base_url="https://report.example.gov/")
    fact = ReportMade(
        message_id=history.case_id("a", "b"),
        occurred_at=NOON,
        report="service-requests",
        title="Informe <b> de solicitudes\nde servicio",
        language="es",
        recipients=(COUNCIL, MANAGER),
        figures=(ReportFigure(name="Baches & hoyos", value="12"),),
        path="/staff/reports/service-requests?from=2021-10-01",
        attachments=(
            FileRef(sha256="d" * 64, media_type="application/pdf", name="report.pdf", size=9),
        ),
    )
    for _ in range(2):
        await mails.hear([fact])

    first, second, again, _ = (one for one in told if isinstance(one, NoticeQueued))
    assert first.message_id == again.message_id != second.message_id
    assert (first.recipient, second.recipient) == (COUNCIL, MANAGER)
    assert (first.notice, first.medium, first.language) == ("report", "email", "es")
    assert first.subject_line == "Informe <b> de solicitudes de servicio"
    assert first.attachments == fact.attachments
    assert "Baches & hoyos: 12" in first.text
    assert "Baches &amp; hoyos" in (first.html or "")
    assert "&lt;b&gt;" in (first.html or "")
    for words in (first.text, first.html or ""):
        assert "El informe completo va adjunto" in words
        assert "https://report.example.gov/staff/reports/service-requests?from=2021-10-01" in words
        assert "[[" not in words
        assert "{{" not in words
