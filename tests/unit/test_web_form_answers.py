"""What a resident typed is checked whole, and every fault says how to mend it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.intake import clean_line, clean_text, read_phone
from channels.web_form import FIELDS, MOST_LETTERS, check, original_of


def faults(**typed: str) -> dict[str, str]:
    _answers, problems = check({"text": "A pothole", **typed}, {"Potholes"})
    return {problem.field: problem.message for problem in problems}


def test_a_whole_report_is_read() -> None:
    answers, problems = check(
        {
            "text": " Big hole \r\n in the road\x00 ",
            "address": " 111  E Maple\tAve ",
            "lat": "39.0911",
            "lon": "-94.4155",
            "place_source": "device",
            "name": "Ana López",
            "email": "Ana@Example.COM",
            "phone": "(816) 555-0123",
            "language": "es",
            "problem_type": "Potholes",
        },
        {"Potholes"},
    )
    assert problems == []
    assert answers.text == "Big hole \n in the road"
    assert answers.address == "111 E Maple Ave"
    assert (answers.lat, answers.lon, answers.place_source) == (39.0911, -94.4155, "device")
    assert answers.email == "Ana@example.com"
    assert answers.phone == "+18165550123"
    assert (answers.language, answers.problem_type) == ("es", "Potholes")


def test_the_text_alone_is_a_report() -> None:
    answers, problems = check({"text": "👻 مشكلة في الشارع"})
    assert problems == []
    assert answers.text == "👻 مشكلة في الشارع"
    assert (answers.lat, answers.email, answers.language) == (None, None, "en")


@pytest.mark.parametrize("text", ["", "   \n\t ", "\x00\x01\x1b", "\ud800"])
def test_a_text_that_says_nothing_is_asked_for(text: str) -> None:
    assert faults(text=text) == {"text": "Tell us what the problem is."}


def test_a_text_may_have_so_many_letters_and_no_more() -> None:
    assert faults(text="é" * MOST_LETTERS) == {}
    assert "100,000 characters; we can take 20,000" in faults(text="é" * 100_000)["text"]


def test_all_faults_are_told_at_once() -> None:
    assert set(
        faults(
            text="",
            email="nobody",
            phone="12",
            lat="north",
            lon="",
            problem_type="Dragons",
            name="x" * 400,
        )
    ) == {"text", "email", "phone", "lat", "problem_type", "name"}


@pytest.mark.parametrize(
    ("lat", "lon"),
    [("39", ""), ("", "-94"), ("nan", "1"), ("91", "1"), ("1", "181"), ("1e999", "1")],
)
def test_half_a_place_is_none(lat: str, lon: str) -> None:
    assert set(faults(lat=lat, lon=lon)) == {"lat"}


@pytest.mark.parametrize("typed", ["911", "555-0123", "call me", "1" * 40, "+"])
def test_what_cannot_be_called_is_no_phone_number(typed: str) -> None:
    assert read_phone(typed) is None


@given(st.text())
def test_a_cleaned_text_can_be_stored_and_is_clean(typed: str) -> None:
    cleaned = clean_text(typed)
    cleaned.encode()
    assert "\0" not in cleaned
    assert "\r" not in cleaned
    assert clean_text(cleaned) == cleaned
    assert "\n" not in clean_line(typed)


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(st.characters(codec=None))))
def test_no_form_breaks_the_check_and_the_original_keeps_it(typed: dict[str, str]) -> None:
    check(typed)
    assert json.loads(original_of(typed, "token"))["fields"] == typed
    assert original_of(typed, "token") == original_of(dict(reversed(typed.items())), "token")
