"""
What no list knows is asked of a geocoder: politely, once, with an end; and believed only where it
answers what was asked. A real server speaks the three providers' ways.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import shapely
from pydantic import ValidationError

from bus.contracts import CaseAmended, ComplaintReceived, ComplaintRouted, Fact
from gateway.doctor_geocoder import BadGeocoder, look_at_geocoder
from gateway.settings import Settings
from router.geocode import Geocoder, open_geocoder
from router.locate import Answer
from router.rules import CITIES, load_city
from router.service import Router, listeners, open_router
from router.settings import GeocoderSettings
from tests.support.city import complaint
from tests.support.facts import NOON, summary
from tests.support.geocoders import Geocoders

ASKED = "4010 S Bolger Rd, Independence, MO"
HOUSE = ("4010 S Bolger Rd", 39.045, -94.37)
BOUNDARY = shapely.box(-94.5, 39.0, -94.2, 39.2)
PROVIDERS = ["census", "nominatim", "arcgis"]


@pytest.fixture
async def server() -> AsyncIterator[Geocoders]:
    async with Geocoders().running() as running:
        yield running


@asynccontextmanager
async def geocoder(
    server: Geocoders, folder: Path, provider: str = "census", **other: object
) -> AsyncIterator[Geocoder]:
    settings = GeocoderSettings.model_validate(server.settings(provider, **other))
    async with open_geocoder(settings, BOUNDARY, folder) as opened:
        assert opened is not None
        yield opened


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_provider_finds_a_house(
    server: Geocoders, tmp_path: Path, provider: str
) -> None:
    server.places[ASKED] = [HOUSE]
    async with geocoder(server, tmp_path, provider, contact="it@example.gov") as asks:
        answers = await asks.find([ASKED, "1 Nowhere St, Independence, MO"])

    (spot,) = answers[ASKED].spots
    assert (spot.lat, spot.lon) == HOUSE[1:]
    assert spot.name.lower().startswith("4010 s bolger rd")
    assert answers["1 Nowhere St, Independence, MO"] == Answer((), answers[ASKED].source)
    assert all("it@example.gov" in agent for agent in server.agents)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "other",
    ["4012 S Bolger Rd", "4010 N Bolger Rd", "4010 S Boulder Rd", "S Bolger Rd", "Bolger Rd"],
)
async def test_what_is_only_near_is_not_believed(
    server: Geocoders, tmp_path: Path, provider: str, other: str
) -> None:
    server.places[ASKED] = [(other, 39.0, -94.3)]
    async with geocoder(server, tmp_path, provider) as asks:
        assert (await asks.find([ASKED]))[ASKED].spots == ()


async def test_a_place_is_believed_by_its_name(server: Geocoders, tmp_path: Path) -> None:
    asked = "McCoy Park, Independence, MO"
    server.places[asked] = [("McCoy Park", 39.1, -94.41), ("Hill Park", 39.0, -94.4)]
    async with geocoder(server, tmp_path, "nominatim") as asks:
        assert [one.lat for one in (await asks.find([asked]))[asked].spots] == [39.1]


async def test_a_corner_is_believed_with_both_streets(server: Geocoders, tmp_path: Path) -> None:
    asked = "S Noland Rd & E 31st St, Independence, MO"
    server.places[asked] = [("S Noland Rd & E 31st St", 39.06, -94.41), ("S Noland Rd", 39, -94.4)]
    async with geocoder(server, tmp_path, "arcgis") as asks:
        assert [one.lat for one in (await asks.find([asked]))[asked].spots] == [39.06]


async def test_what_arcgis_is_not_sure_of_is_not_believed(
    server: Geocoders, tmp_path: Path
) -> None:
    server.places[ASKED] = [HOUSE]
    server.score = 71.0
    async with geocoder(server, tmp_path, "arcgis") as asks:
        assert (await asks.find([ASKED]))[ASKED].spots == ()


async def test_nominatim_is_asked_about_this_city_alone(server: Geocoders, tmp_path: Path) -> None:
    async with geocoder(server, tmp_path, "nominatim") as asks:
        await asks.find([ASKED])

    (query,) = server.queries
    assert query["bounded"] == "1"
    assert query["viewbox"] == "-94.5,39.0,-94.2,39.2"
    assert query["countrycodes"] == "us"


# ── once, slowly, with an end ───────────────────────────────────────────────────────────────────


async def test_nothing_is_asked_twice(server: Geocoders, tmp_path: Path) -> None:
    server.places[ASKED] = [HOUSE]
    async with geocoder(server, tmp_path) as asks:
        together = await asyncio.gather(*(asks.find([ASKED, ASKED]) for _ in range(5)))
        assert {answers[ASKED].spots for answers in together} == {together[0][ASKED].spots}
        await asks.find(["no such place"])
    async with geocoder(server, tmp_path) as asks:  # as after a restart
        again = await asks.find(["4010 S. BOLGER RD., Independence, MO", "no such place"])

    assert [one.lat for one in again["4010 S. BOLGER RD., Independence, MO"].spots] == [HOUSE[1]]
    assert server.asked == [ASKED, "no such place"]


async def test_an_answer_is_kept_under_a_hash(server: Geocoders, tmp_path: Path) -> None:
    async with geocoder(server, tmp_path) as asks:
        await asks.find(["77 Secret Lane"])

    kept = (tmp_path / "geocoder.sqlite3").read_bytes()
    assert kept
    assert b"Secret" not in kept
    assert (tmp_path / "geocoder.sqlite3").stat().st_mode & 0o077 == 0


async def test_a_broken_file_of_answers_is_begun_anew(server: Geocoders, tmp_path: Path) -> None:
    (tmp_path / "geocoder.sqlite3").write_bytes(b"this is no database, it is a poem" * 100)
    server.places[ASKED] = [HOUSE]
    async with geocoder(server, tmp_path) as asks:
        assert (await asks.find([ASKED]))[ASKED].spots


async def test_questions_keep_their_distance(server: Geocoders, tmp_path: Path) -> None:
    async with geocoder(server, tmp_path, per_second=10.0) as asks:
        await asks.find([f"{number} Main St" for number in range(1, 6)])

    waits = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
    assert len(server.asked) == 5
    assert min(waits) > 0.08


async def test_nobody_waits_longer_than_patience(server: Geocoders, tmp_path: Path) -> None:
    server.places[ASKED] = [HOUSE]
    server.slow = 0.4
    async with geocoder(server, tmp_path, patience=0.05) as asks:
        began = asyncio.get_running_loop().time()
        answer = (await asks.find([ASKED]))[ASKED]
        assert answer.later
        assert asyncio.get_running_loop().time() - began < 0.35
        await asyncio.sleep(0.6)
        # It came meanwhile, and is not asked for again.
        assert (await asks.find([ASKED]))[ASKED].spots
    assert server.asked == [ASKED]


async def test_a_geocoder_that_fails_is_left_alone(server: Geocoders, tmp_path: Path) -> None:
    server.status = 503
    async with geocoder(server, tmp_path, rest=0.5) as asks:
        for number in range(1, 6):
            assert (await asks.find([f"{number} Main St"]))[f"{number} Main St"].later
        assert asks.rests
        assert len(server.asked) == 3
        await asyncio.sleep(0.6)
        server.status = 200
        server.places[ASKED] = [HOUSE]
        assert (await asks.find([ASKED]))[ASKED].spots


async def test_a_geocoder_that_is_away_costs_nothing(tmp_path: Path) -> None:
    gone = Geocoders(url="http://127.0.0.1:9")
    for provider in PROVIDERS:
        async with geocoder(gone, tmp_path / provider, provider) as asks:
            assert (await asks.find([ASKED]))[ASKED].later


async def test_without_a_provider_there_is_none(tmp_path: Path) -> None:
    async with open_geocoder(GeocoderSettings(), BOUNDARY, tmp_path) as opened:
        assert opened is None
    assert not (tmp_path / "geocoder.sqlite3").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "nominatim"},
        {"provider": "nominatim", "contact": "it@example.gov", "per_second": 2},
        {"provider": "bing"},
        {"provider": "census", "url": "geocoding.example.gov"},
    ],
)
def test_settings_keep_the_providers_rules(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GeocoderSettings.model_validate(wrong)


# ── in the router ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    # What the texts are about does not matter here.
    city = load_city(CITIES / "independence")
    return open_router(city, tmp_path_factory.mktemp("models"))


async def hear(
    router: Router, asks: Geocoder | None, *facts: ComplaintReceived | CaseAmended
) -> list[ComplaintRouted]:
    told: list[Fact] = []

    async def tell(some: Sequence[Fact]) -> None:
        told.extend(some)

    for one in listeners(router, tell, asks.find if asks else None):
        mine = [fact for fact in facts if isinstance(fact, one.contracts)]
        if mine:
            await one.handle(mine)
    return [fact for fact in told if isinstance(fact, ComplaintRouted)]


async def test_an_unknown_address_finds_its_district(
    router: Router, server: Geocoders, tmp_path: Path
) -> None:
    server.places[ASKED] = [HOUSE]
    heard = [
        complaint("graffiti at 4010 S Bolger Rd", 1),
        complaint("graffiti at 23rd & Noland", 2),
        complaint("graffiti", 3),
    ]
    async with geocoder(server, tmp_path) as asks:
        one, other, none = await hear(router, asks, *heard)

    assert (one.place, one.lat, one.district) == ("found", HOUSE[1], "District 3")
    assert any(reason.endswith("found by the Census Bureau") for reason in one.reasons)
    assert (other.place, none.place) == ("found", "none")
    assert server.asked == [ASKED]


async def test_what_is_late_is_routed_and_looked_at_again(
    router: Router, server: Geocoders, tmp_path: Path
) -> None:
    server.places[ASKED] = [HOUSE]
    server.slow = 0.3
    case = summary().model_copy(
        update={"text": "graffiti at 4010 S Bolger Rd", "address": "4010 S Bolger Rd",
                "lat": None, "lon": None}
    )  # fmt: skip
    async with geocoder(server, tmp_path, patience=0.05) as asks:
        (first,) = await hear(router, asks, complaint("graffiti at 4010 S Bolger Rd", 1))
        await asyncio.sleep(0.5)
        (again,) = await hear(
            router, asks, CaseAmended(message_id=case.case_id, occurred_at=NOON, case=case)
        )

    assert (first.place, first.place_later, first.district) == ("named", True, None)
    assert (again.place, again.place_later, again.district) == ("found", False, "District 3")
    assert again.amended


# ── doctor ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_doctor_asks_for_city_hall(server: Geocoders) -> None:
    city = load_city(CITIES / "independence")
    server.places[city.city_hall] = [("111 E Maple Ave", 39.0911, -94.4155)]

    def settings(**asks: object) -> Settings:
        return Settings.model_validate({"router": {"geocoder": asks}})

    assert (await look_at_geocoder(settings(), city)).startswith("none is set")
    known = settings(**server.settings("census"))
    assert await look_at_geocoder(known, city) == "the Census Bureau answers, and knows City Hall"
    server.status = 503
    with pytest.raises(BadGeocoder, match="does not answer"):
        await look_at_geocoder(known, city)
