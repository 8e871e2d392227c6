"""Pages ask what is open about a place there and then, and say who helps with what is not ours."""

import re
from collections.abc import AsyncIterator
from html import unescape

import asyncpg
import pytest

from bus.connect import Bus
from bus.contracts import PlaceChoice, Referral
from bus.files import Files
from router.gazetteer import Address, Gazetteer
from tests.support.facts import complaint
from tests.support.store import file, routed
from tests.support.web import CITY, Browser, resident_pages

ADDRESSES = [
    Address(100, "N Main St", "", 39.095, -94.416),
    Address(100, "S Main St", "", 39.08, -94.416),
    Address(1111, "S Arlington Ave", "", 39.086, -94.459),
]
# As the sample, and a few addresses.
PLACES = CITY.model_copy(
    update={
        "gazetteer": Gazetteer(CITY.places, ADDRESSES, CITY.referrals.towns, CITY.name),
    }
)
MODOT = "(888) 275-6636"


@pytest.fixture
async def browser(bus: Bus, files: Files, pool: asyncpg.Pool) -> AsyncIterator[Browser]:
    async with resident_pages(bus, files, pool, PLACES) as client:
        await client.post("/report/what", data={"text": "big pothole"})
        yield client


async def where(browser: Browser, **fields: str) -> tuple[int, str, str]:
    """What the place's page answers: status, words, and where it leads."""
    answer = await browser.post("/report/where", data=fields, allow_redirects=False)
    words = unescape(re.sub(r"<[^>]+>", " ", await answer.text()))
    return answer.status, " ".join(words.split()), answer.headers.get("Location", "")


async def test_an_address_in_two_places_is_asked_about(browser: Browser) -> None:
    status, words, _ = await where(browser, address="100 Main St")
    assert status == 200
    assert "Which of these do you mean?" in words
    assert "100 N Main St 100 S Main St" in words

    _, _, leads = await where(browser, address="100 Main St", which="100 S Main St")
    assert leads == "/report/contact"
    page = await (await browser.get("/report/where")).text()
    assert 'value="100 S Main St"' in page


async def test_what_was_asked_once_is_taken_as_it_is(browser: Browser) -> None:
    assert (await where(browser, address="100 Main St"))[0] == 200
    assert (await where(browser, address="100 Main St"))[2] == "/report/contact"
    assert (await where(browser, address="1111 N Arlington"))[0] == 200
    assert (await where(browser, address="1111 N Arlington"))[2] == "/report/contact"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("1111 N Arlington Ave", "Do you mean this place? Or leave it as you wrote it"),
        ("Blue Ridge Blvd", "“Blue Ridge Blvd” is long. Add a house number nearby"),
        ("1200 Main St, Kansas City, MO", "Responsible there: City of Kansas City."),
        ("I-70 at the Noland exit", f"MoDOT). {MODOT}"),
        ("US 40 Hwy", "This road may not be the city's US 40 is looked after by:"),
    ],
)
async def test_what_is_open_is_said(browser: Browser, address: str, told: str) -> None:
    status, words, _ = await where(browser, address=address)

    assert status == 200
    assert told in words


async def test_it_is_said_in_spanish(browser: Browser) -> None:
    await browser.get("/report/where?lang=es")

    assert (
        "¿A cuál de estos lugares se refiere?" in (await where(browser, address="100 Main St"))[1]
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"address": "100 N Main St"},
        {"address": "100 North Main Street, Independence, MO 64050"},
        {"address": "9999 S Nowhere Ave"},
        {"address": "behind the blue house"},
        {"address": "Noland Rd & 23rd St"},
        {"no_place": "yes"},
        {"lat": "39.0911", "lon": "-94.4155", "place_source": "device"},
    ],
)
async def test_what_is_clear_is_not_asked(browser: Browser, fields: dict[str, str]) -> None:
    assert (await where(browser, **fields))[2] == "/report/contact"


# ── following it ────────────────────────────────────────────────────────────────────────────────


async def track(browser: Browser, pool: asyncpg.Pool, **said: object) -> str:
    told = complaint(1)
    await file(pool, told, routed(told, **said))
    answer = await browser.get(f"/track/{told.reference}")
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", await answer.text())).split())


def referral(certain: bool, how: str = "road", agency: str = "MoDOT") -> Referral:
    return Referral(agency=agency, how=how, because="US 24", certain=certain)


async def test_the_page_of_a_report_says_who_else_can_help(
    browser: Browser, pool: asyncpg.Pool
) -> None:
    words = await track(browser, pool, place="refer", referral=referral(certain=True))

    assert "Who else can help The road is looked after by: Missouri Department" in words
    assert MODOT in words
    assert "US 24" not in words  # this page tells nobody where it is


async def test_what_may_be_theirs_is_said_to_be_so(browser: Browser, pool: asyncpg.Pool) -> None:
    words = await track(browser, pool, place="found", referral=referral(certain=False))

    assert "The road may be one that is looked after by:" in words


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"place": "found", "referral": referral(certain=False, how="words", agency="Railroad")},
        {"place": "found", "referral": referral(certain=True, agency="gone from the folder")},
    ],
)
async def test_nobody_is_sent_elsewhere_without_need(
    browser: Browser, pool: asyncpg.Pool, said: dict[str, object]
) -> None:
    assert "Who else can help" not in await track(browser, pool, **said)


async def test_choices_are_no_public_matter(browser: Browser, pool: asyncpg.Pool) -> None:
    choices = (PlaceChoice(name="100 N Main St"), PlaceChoice(name="100 S Main St"))
    words = await track(browser, pool, place="ambiguous", place_choices=choices)

    assert "Main St" not in words
