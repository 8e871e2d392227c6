"""Open311's pure parts: what was sent, what is asked for, and how answers are written."""

import json
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from channels.open311_desk import Recent
from channels.open311_form import read_report, read_time, text_of, words_and_answers
from channels.open311_format import Fault, Refusal, format_for, split_name, written
from gateway.open311.book import public_book, services_of
from gateway.open311.query import read_listing
from gateway.settings import Settings
from tests.support.web import CITY

CHICAGO = ZoneInfo("America/Chicago")
BOOK = services_of(CITY, Settings())
PUBLIC = public_book(CITY)
NAMES = st.from_regex(r"[a-z]+", fullmatch=True)
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-03-01T09:15:00-06:00", "2026-03-01T15:15:00+00:00"),
        ("2026-03-01T09:15:00Z", "2026-03-01T09:15:00+00:00"),
        ("2026-03-01T09:15:00 01:00", "2026-03-01T08:15:00+00:00"),
        ("2026-07-01T09:15:00", "2026-07-01T14:15:00+00:00"),
        ("2026-03-01", "2026-03-01T06:00:00+00:00"),
        (" 2026-03-01T09:15:00.5Z ", "2026-03-01T09:15:00.500000+00:00"),
    ],
)
def test_times_are_read_as_they_come(typed: str, meant: str) -> None:
    moment = read_time(typed, CHICAGO)
    assert moment is not None
    assert moment.astimezone(UTC).isoformat() == meant


@pytest.mark.parametrize("typed", ["", "soon", "2026-13-01", "0001-01-01T00:00:00+23:00", "1" * 99])
def test_what_is_no_time_is_none(typed: str) -> None:
    assert read_time(typed, CHICAGO) is None


@given(st.text(), st.lists(st.tuples(st.from_regex(r"[a-z]+", fullmatch=True), st.text())))
def test_words_and_answers_come_apart_again(words: str, answers: list[tuple[str, str]]) -> None:
    said = " ".join(words.split())
    told = tuple((label, " ".join(value.split())) for label, value in answers)
    if not said.startswith("—"):
        assert words_and_answers(text_of(said, told)) == (said, told)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    )
)
def test_whatever_is_written_can_be_read(value: object) -> None:
    ElementTree.fromstring(written("xml", "errors", value))
    json.loads(written("json", "errors", value))


def test_lists_are_bare_and_empty_elements_are_null() -> None:
    told = [{"code": 404, "description": None}]
    assert written("json", "errors", told) == b'[{"code":404,"description":null}]'
    assert written("xml", "errors", told).endswith(
        b"<errors><error><code>404</code><description /></error></errors>"
    )
    assert written("json", "services", []) == b"[]"
    assert written("xml", "services", []).endswith(b"<services />")


def test_the_format() -> None:
    assert split_name("033.json") == ("033", "json")
    assert split_name("033") == ("033", None)
    assert format_for("XML", "") == "xml"
    assert format_for(None, "") == "xml"
    assert format_for(None, "text/html, application/json;q=0.9") == "json"
    assert format_for(None, "*/*") == "xml"
    for suffix in ("", "html"):
        with pytest.raises(Refusal):
            format_for(suffix, "")


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "service_code",
                "lat",
                "long",
                "description",
                "email",
                "phone",
                "attribute[LANE]",
                "attribute[DEPTH]",
                "media_url",
                "jurisdiction_id",
                "address_string",
                "langcode",
            ]
        ),
        st.text() | st.sampled_from(["pothole", "unsure", "39.09", "-94.41", "curb", "nan"]),
    )
)
def test_whatever_is_sent_is_a_report_or_has_a_fault(fields: dict[str, str]) -> None:
    report, faults = read_report(MultiDict(fields), BOOK, lambda lat, lon: True, CHICAGO)
    assert (report is None) == bool(faults)


def test_a_list_without_a_word_is_that_of_the_last_ninety_days() -> None:
    listing = read_listing(MultiDict(), PUBLIC, NOW)
    assert listing.wanted.opened_from == NOW - timedelta(days=90)
    assert listing.page is None
    paged = read_listing(MultiDict(page="1"), PUBLIC, NOW)
    assert paged.wanted.opened_from is None
    # A search reads every case of its span, so it always has one.
    searched = read_listing(MultiDict(page="1", q="pot"), PUBLIC, NOW)
    assert searched.wanted.opened_from == NOW - timedelta(days=90)
    ((word, types),) = searched.wanted.words
    assert word == "pot"
    assert "Pothole/Street Maintenance" in types
    updated = read_listing(MultiDict(updated_after="2026-11-01"), PUBLIC, NOW)
    assert updated.wanted.opened_from is None
    assert updated.wanted.updated_until is not None


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "page",
                "page_size",
                "status",
                "service_code",
                "start_date",
                "end_date",
                "bbox",
                "updated_after",
                "updated_before",
                "q",
                "lat",
                "long",
                "radius",
                "cursor",
                "extensions",
                "service_request_id",
            ]
        ),
        st.text() | st.sampled_from(["1", "0", "2026-01-01", "9999-12-31T23:59:59Z", "1,2,3,4"]),
    )
)
def test_whatever_is_asked_is_a_list_or_refused(query: dict[str, str]) -> None:
    faults: tuple[Fault, ...] = ()
    try:
        read_listing(MultiDict(query), PUBLIC, NOW)
    except Refusal as refusal:
        faults = refusal.faults
    assert all(fault.code in (400, 404) for fault in faults)


def test_codes_stay_what_they_are() -> None:
    """Apps keep them for years: another code is another service for them."""
    assert BOOK.by_type["Pothole/Street Maintenance"].code == "pothole"
    assert BOOK.by_type["Snow/Ice"].code == "snow-ice"
    assert set(PUBLIC.types.values()) == set(PUBLIC.codes)
    assert BOOK.jurisdiction == "independencemo.gov"


def test_recent_references_are_forgotten_again() -> None:
    recent = Recent()
    for number in range(Recent._MOST + 5):
        recent.add(str(number))
    assert "0" not in recent
    assert str(Recent._MOST) in recent
