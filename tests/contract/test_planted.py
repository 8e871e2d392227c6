"""
Personal data that is planted in every field comes out nowhere: no public page, dashboard, file,
picture, answer to a program, or report in any format.
"""

import gzip
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from pypdf import PdfReader

from channels.open311_settings import Open311Settings
from channels.sms_settings import TwilioSettings
from gateway.open311.record import Teller
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
from gateway.settings import Settings
from store import apps
from tests.support import planted
from tests.support.city import change, copy_of_sample
from tests.support.planted import POTHOLE, check, chosen_photos
from tests.support.whole import Browser, Route, Seen, Whole, whole_application

# Behind a sign-in: whoever has none is told nothing, which is asked of each of them below.
OF_STAFF = ("/staff", "/ops", "/mailbox")
# And these of them everybody may use.
BEFORE_IT: set[Route] = {("GET", "/staff/sign-in"), ("POST", "/staff/sign-in")}


@dataclass
class City:
    whole: Whole
    key: str
    """Of an app."""
    references: list[str]
    """Of the cases that have it planted."""


@asynccontextmanager
async def _opened(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[City]:
    folder = tmp_path_factory.mktemp("planted")
    # As a city that shows as much as can be shown.
    public = copy_of_sample(folder)
    change(public, "public.toml", 'photos = "none"', 'photos = "everyone"')
    change(public, "public.toml", 'descriptions = "apps"', 'descriptions = "everyone"')
    paces = Open311Settings(reads_a_minute=100_000, strangers_a_minute=100_000)
    plain = Settings(city=str(public))
    texts = TwilioSettings(account_sid="AC" + "0" * 32, auth_token=SecretStr("unused"))
    settings = plain.model_copy(
        update={
            "channels": plain.channels.model_copy(update={"open311": paces, "sms": texts}),
        }
    )
    async with whole_application(nats_url, postgres_dsn, template, folder, settings) as whole:
        async with whole.pool.acquire() as conn:
            key = await apps.add(
                conn, id="planted", name="A program", contact="t@x.org", a_minute=9999
            )
        references = await planted.plant(whole, key)
        desk = whole.house.open311
        assert desk is not None
        await feed.write_feed(
            whole.pool, desk.public.rules, _teller(whole), whole.house.settings.data / feed.FOLDER
        )
        yield City(whole, key, references)


@pytest.fixture(scope="module")
async def city(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[City]:
    async with _opened(nats_url, postgres_dsn, template, tmp_path_factory) as opened:
        yield opened


def _teller(whole: Whole) -> Teller:
    desk = whole.house.open311
    assert desk is not None
    return Teller(desk.public, desk.book, "https://311.example.gov/open311/v2")


@dataclass
class Stranger:
    """Somebody without a sign-in who looks everywhere; each answer is searched."""

    browser: Browser
    asked: int = 0

    async def get(self, path: str, *statuses: int, **how: object) -> Seen:
        return self._searched(path, await self.browser.get(path, **how), statuses or (200,))

    async def post(self, path: str, data: object, *statuses: int, **how: object) -> Seen:
        return self._searched(path, await self.browser.post(path, data, **how), statuses or (303,))

    def _searched(self, path: str, seen: Seen, statuses: tuple[int, ...]) -> Seen:
        assert seen.status in statuses, (path, seen.status, seen.text[-1500:])
        check(path, seen.whole)
        self.asked += 1
        return seen


async def test_every_public_address_is_asked_and_none_names_anybody(city: City) -> None:
    whole = city.whole
    async with whole.browser() as browser:
        stranger = Stranger(browser)
        await look_at_pages(stranger, city)
        await look_at_what_follows_a_mail(stranger, city)
        await report_something_near(stranger)
        await read_as_a_program(stranger, city)
        await report_as_a_program(stranger, city)
        await stand_before_the_sign_in(stranger)
        await look_at_what_stands_still(stranger)
        for path in ("/channels/sms", "/channels/sms/status"):
            await stranger.post(path, {"From": "+18165550177", "Body": planted.TEXT}, 403)
    assert stranger.asked > 150
    public = {one for one in whole.routes if not _of_staff(one)} | BEFORE_IT
    # Whoever adds an address asks it above; or it is for staff, and refuses everybody else.
    assert not sorted(public - whole.answered)


async def test_what_is_for_staff_tells_strangers_nothing(city: City) -> None:
    async with city.whole.browser() as browser:
        case = await city.whole.pool.fetchval("SELECT id FROM cases LIMIT 1")
        for method, route in sorted(city.whole.routes):
            if not _of_staff((method, route)) or (method, route) in BEFORE_IT:
                continue
            path = re.sub(r"\{\w+\}", str(case), route)
            seen = await browser.ask(method, path)
            check(path, seen.whole)
            signs_in = seen.status == 303 and "/staff/sign-in" in seen.headers["Location"]
            assert seen.status in (401, 403) or signs_in, (method, path, seen.status)


def _of_staff(route: Route) -> bool:
    return any(route[1] == stem or route[1].startswith(f"{stem}/") for stem in OF_STAFF)


# ── what residents see ──────────────────────────────────────────────────────────────────────────


async def look_at_pages(stranger: Stranger, city: City) -> None:
    for path in ("/", "/track", "/receipt/REFERENCE", "/track/REFERENCE", "/dashboard"):
        for language in ("en", "es"):
            for reference in city.references if "REFERENCE" in path else [""]:
                one = path.replace("REFERENCE", reference)
                await stranger.get(f"{one}?lang={language}")
    await stranger.get(f"/track?reference={city.references[0]}", 303)
    await stranger.get("/track/7KQ-2MX-94", 202, 404)
    await stranger.get("/receipt/planned", 404)
    for language in ("en", "es"):
        await stranger.get(f"/open-data?lang={language}")
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        for kind in ("csv", "json"):
            told = await stranger.get(f"/open-data/requests.{kind}", headers=headers)
            # And the cases are there to be told.
            assert all(one in told.text for one in city.references[:8])
            assert "4700 block of Maple Ave" in told.text


STOP_KEYS = "SELECT stop_key FROM followers UNION SELECT stop_key FROM merges"


async def look_at_what_follows_a_mail(stranger: Stranger, city: City) -> None:
    """The link that ends mails: whoever has it may not be who follows."""
    keys = [row["stop_key"] for row in await city.whole.pool.fetch(STOP_KEYS)]
    assert len(keys) == 2
    for key in keys:
        for language in ("en", "es"):
            assert "button" in (await stranger.get(f"/following/{key}?lang={language}")).text
        await stranger.post(f"/following/{key}", {})
        await stranger.get(f"/following/{key}")
    await stranger.get("/following/nobody", 404)


async def report_something_near(stranger: Stranger) -> None:
    """Page by page, in the street where it was all reported."""
    await stranger.get("/report", 303)
    await stranger.get("/channels/web", 303)
    await stranger.get("/report/what")
    await stranger.post("/report/what", {"text": "A very big pothole, my tire blew"})
    await stranger.get("/report/urgent", 200, 303)
    await stranger.get("/report/photos")
    own = (("mine.jpg", planted.photo()),)
    added = await stranger.post("/report/photos", chosen_photos(*own, go="add"), 200, 303)
    page = added if added.status == 200 else await stranger.get("/report/photos")
    found = re.search(r'name="photo" value="(\w+)"', page.text)
    assert found
    # One's own photo comes back as one's own browser may see it: without what was written in it.
    assert (await stranger.get(f"/report/photos/{found[1]}")).is_picture
    await stranger.post("/report/photos/remove", {"photo": found[1]})
    await stranger.post("/report/photos", chosen_photos())
    await stranger.get("/report/where")
    where = {"address": "4700 Maple Ave", **planted.HERE, "place_source": "device"}
    answer = await stranger.post("/report/where", where, 200, 303)
    if answer.status == 200:
        answer = await stranger.post("/report/where", where)
    assert answer.headers["Location"] == "/report/near"
    for language in ("en", "es"):
        near = await stranger.get(f"/report/near?lang={language}")
        assert re.search(
            r"4700 (block of|de) Maple Ave", near.text
        )  # so there is something to be seen of theirs
        assert near.text.count('name="same"') > 2
    await stranger.post("/report/near", {}, 422)
    await stranger.post("/report/near", {"same": "0"})
    await stranger.get("/report/contact")
    await stranger.post("/report/contact", {"email": "me@home.example", "language": "en"})
    await stranger.get("/report/send", 303)
    for language in ("es", "en"):
        check_page = await stranger.get(f"/report/check?lang={language}")
    form = re.search(r'name="form_id" value="(\w+)"', check_page.text)
    assert form
    receipt = (await stranger.post("/report/send", {"form_id": form[1]})).headers["Location"]
    for language in ("en", "es"):
        await stranger.get(f"{receipt}?lang={language}")
    # A form that is sent without the pages before it.
    await stranger.post("/channels/web", {"text": "A very big pothole"}, 200, 202, 303)


# ── what programs see ───────────────────────────────────────────────────────────────────────────

READ = (
    *("/discovery.FORMAT", "/open311/discovery.FORMAT", "/open311/v2/discovery.FORMAT"),
    *("/open311/v2/services.FORMAT", "/open311/v2/services/pothole.FORMAT"),
    "/open311/v2/requests.FORMAT?extensions=true",
    "/open311/v2/requests.FORMAT?q=hole&extensions=true",
    "/open311/v2/requests.FORMAT?page=1&page_size=500",
    "/open311/v2/servicerequestupdates.FORMAT",
    "/open311/v2/servicerequestupdates.FORMAT?start_date=2026-01-01T00:00:00Z",
)
READ_OF_EACH = (
    "/open311/v2/requests.FORMAT?service_request_id=REFERENCE&extensions=true",
    "/open311/v2/requests/REFERENCE.FORMAT?extensions=true",
    "/open311/v2/tokens/REFERENCE.FORMAT",
)


async def read_as_a_program(stranger: Stranger, city: City) -> None:
    public = city.references[:-1]
    for format in ("json", "xml"):
        for path in READ:
            await stranger.get(path.replace("FORMAT", format))
        for path in READ_OF_EACH:
            for reference in public:
                one = path.replace("FORMAT", format).replace("REFERENCE", reference)
                assert reference in (await stranger.get(one)).text
        # What is refused is not repeated, and says no more.
        await stranger.get(f"/open311/v2/requests/{city.references[-1]}.{format}", 404)
        await stranger.get(f"/open311/v2/requests.{format}?start_date=soon", 400)
    for page in ("/open311", "/open311/openapi.json", "/healthz", "/readyz", "/metrics"):
        for language in ("en", "es"):
            await stranger.get(f"{page}?lang={language}")
    for page in ("/open311/", "/open311/v2"):
        await stranger.get(page, 301, 302, 303, 308)
    seen = 0
    for reference in public:
        for number in range(1, 4):
            path = f"/open311/v2/photos/{reference}/{number}.jpg"
            seen += (await stranger.get(path, 200, 404)).is_picture
    assert seen >= 3  # of an app and of a resident


async def report_as_a_program(stranger: Stranger, city: City) -> None:
    """What is sent comes not back, not to who sends it either: others may listen."""
    for format in ("json", "xml"):
        path = f"/open311/v2/requests.{format}"
        await stranger.post(path, planted.from_an_app(city.key), 200)
        bad = planted.from_an_app(city.key)
        bad.add_field("email", "planted-and-wrong")
        bad.add_field("lat", "planted")
        await stranger.post(path, bad, 200, 400)
        await stranger.post(path, planted.from_an_app("planted-key"), 403)
        update = {
            "api_key": city.key,
            "service_request_id": city.references[0],
            "update_id": f"planted-{format}",
            "status": "OPEN",
            "updated_datetime": "2026-03-02T08:00:00-06:00",
            "description": planted.TEXT,
            **{name: planted.OF_AN_APP[name] for name in ("email", "first_name", "last_name")},
        }
        path = f"/open311/v2/servicerequestupdates.{format}"
        await stranger.post(path, update, 200)
        await stranger.post(path, update | {"status": "planted"}, 400)


# ── what is left ────────────────────────────────────────────────────────────────────────────────


async def stand_before_the_sign_in(stranger: Stranger) -> None:
    for language in ("en", "es"):
        await stranger.get(f"/staff/sign-in?lang={language}")
    wrong = {"login": "lee.chan", "password": "a guess"}
    await stranger.post("/staff/sign-in", wrong, 401, 422)


async def look_at_what_stands_still(stranger: Stranger) -> None:
    page = (await stranger.get("/")).text
    found = set(re.findall(r'(?:href|src)="(/(?:static/|city-)[^"]+)"', page))
    assert len(found) > 2
    for path in found:
        await stranger.get(path)


async def test_nobody_feels_their_way_to_a_person(city: City) -> None:
    async with city.whole.browser() as browser:
        for word in ("plantedfirst", "plantedlast", "8165550177", "resident", "4713", "internal"):
            answer = await browser.get(f"/open311/v2/requests.json?q={word}")
            assert answer.text == "[]", word


async def test_no_report_names_anybody_in_any_format(city: City) -> None:
    own, pool = city.whole.house.city, city.whole.pool
    span = month_of(datetime.now(UTC).astimezone(own.zone).date())
    span = replace(span, first=span.first - timedelta(days=1))
    async with pool.acquire() as conn:
        made = await make_service_requests(conn, own, span)
    performed = await make_performance(pool, own, span, with_people=True)
    assert made.report.total == performed.whole.opened.opened >= len(city.references) - 1
    assert performed.places, "the place was reported so often that leads see it on their page"
    check("JSON", as_json(made.report, own.name, made.counted_at))
    check("CSV", as_csv(made.report))
    check("how are we doing, JSON", performance_json(performed, own.name))
    check("how are we doing, CSV", performance_csv(performed))
    for language in i18n.LANGUAGES:
        i18n.use_language(language)
        told = shown(made.report, own, made.counted_at)
        check("HTML", as_html(told))
        pages = PdfReader(io.BytesIO(as_pdf(told))).pages
        check("PDF", "".join(page.extract_text() for page in pages))
        quiet = performance_shown(replace(performed, people=None), own)
        check("how are we doing, HTML", as_html(quiet, "performance.html"))


def test_the_files_on_disk_name_nobody(city: City) -> None:
    folder = city.whole.house.settings.data / feed.FOLDER
    for name in feed.FILES.values():
        check(name, gzip.decompress((folder / name).read_bytes()).decode())


def test_a_case_of_the_kind_that_all_report_is_public(city: City) -> None:
    assert POTHOLE not in city.whole.house.city.public.private_types
