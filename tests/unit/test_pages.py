"""What stands on every page: a readable colour, known limits, our own forms only."""

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.pages import csrf
from gateway.pages.city_page import Phone, page_of, readable, town_of
from gateway.pages.i18n import wanted_language
from gateway.pages.static import StaticFiles
from router import rules

CITY = page_of(rules.load_city(Path(rules.__file__).parent / "cities" / "independence"))


def brightness(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@given(st.from_regex(r"\A#[0-9a-fA-F]{6}\Z"))
def test_white_words_can_be_read_on_any_city_colour(colour: str) -> None:
    assert 1.05 / (brightness(readable(colour)) + 0.05) >= 4.5


def test_a_colour_that_can_be_read_stays() -> None:
    assert readable("#1F4173") == "#1f4173"


@pytest.mark.parametrize(
    ("address", "town"),
    [
        ("1200 Main St, Kansas City, MO 64105", "Kansas City"),
        ("111 E Maple Ave, Independence, MO 64050", "Independence"),
        ("111 E Maple Ave", ""),
        ("behind the school, near the old oak", ""),
        ("", ""),
    ],
)
def test_a_town_is_read_only_beside_its_state_or_zip(address: str, town: str) -> None:
    assert town_of(address) == town


def test_the_city_knows_its_limits() -> None:
    assert not CITY.is_elsewhere("", 39.0911, -94.4155)
    assert CITY.is_elsewhere("", 39.1, -94.58)
    assert CITY.is_elsewhere("1200 Main St, Kansas City, MO 64105", None, None)
    assert not CITY.is_elsewhere("111 E Maple Ave", None, None)


def test_a_number_can_be_called() -> None:
    assert Phone({"en": "City Hall"}, "(816) 325-7000").href == "tel:+18163257000"
    assert Phone({"en": "Emergency"}, "911").href == "tel:911"


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://city.example"}, False),
        ({"Origin": "https://city.example"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, True),
    ],
)
def test_a_form_comes_from_our_own_pages(headers: dict[str, str], ours: bool) -> None:
    request = make_mocked_request(
        "POST", "/report/what", headers={"Host": "city.example"} | headers
    )
    assert csrf.is_our_own(request) is ours


def test_a_token_belongs_to_its_session() -> None:
    session: dict[str, object] = {}
    token = csrf.token(session)
    assert csrf.token(session) == token
    csrf.check(session, token)
    for wrong in ("", None, "x", csrf.token({})):
        with pytest.raises(csrf.FormTooOld):
            csrf.check(session, wrong)
    with pytest.raises(csrf.FormTooOld):
        csrf.check({}, None)


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "language"),
    [
        ("?lang=es", "en", "en", "es"),
        ("?lang=xx", "es", "en", "es"),
        ("", "", "es-MX,es;q=0.9,en;q=0.8", "es"),
        ("", "", "fr, de;q=0.7", "en"),
        ("", "", "en;q=0.2, es;q=0.7", "es"),
        ("", "", ";;q=,,x=;q=zz", "en"),
    ],
)
def test_a_choice_goes_before_what_the_browser_asks_for(
    query: str, cookie: str, accepted: str, language: str
) -> None:
    headers = {"Accept-Language": accepted} | ({"Cookie": f"lang={cookie}"} if cookie else {})
    assert wanted_language(make_mocked_request("GET", f"/{query}", headers=headers)) == language


def test_an_address_changes_with_the_files(tmp_path: Path) -> None:
    (tmp_path / "vendor/uswds/css").mkdir(parents=True)
    (tmp_path / "vendor/uswds/css/uswds.min.css").write_text("a {}")
    before = StaticFiles(tmp_path).version
    (tmp_path / "vendor/uswds/css/uswds.min.css").write_text("b {}")
    assert StaticFiles(tmp_path).version != before
    with pytest.raises(KeyError):
        StaticFiles(tmp_path).url("../secret")
