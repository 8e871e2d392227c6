"""What PostgreSQL cannot hold is mended before it gets there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.text import clean, folded, phone_digits, point, searchable, to_jsonb

any_text = st.text(st.characters(codec=None, exclude_categories=()))


@given(any_text)
def test_clean_text_can_be_stored_and_is_clean_already_the_second_time(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    cleaned.encode()
    assert clean(cleaned) == cleaned


def test_everything_but_nul_stays() -> None:
    assert clean("a\x00b\x07\n🕳 שלום é") == "ab\x07\n🕳 שלום é"


@given(st.recursive(any_text | st.integers(), lambda inner: st.dictionaries(any_text, inner)))
def test_json_for_jsonb_is_json_without_nul(value: object) -> None:
    told = to_jsonb(value)
    told.encode()

    def strings(node: object) -> list[str]:
        if isinstance(node, dict):
            return [*node, *(text for inner in node.values() for text in strings(inner))]
        return [node] if isinstance(node, str) else []

    assert not any("\x00" in text for text in strings(json.loads(told)))


def test_json_keeps_a_backslash_that_only_looks_like_nul() -> None:
    assert json.loads(to_jsonb({"path": "C:\\u0000"})) == {"path": "C:\\u0000"}


@pytest.mark.parametrize(
    ("lat", "lon"), [(91, 0), (0, 181), (float("nan"), 0), (0, float("inf")), (None, 1), (1, None)]
)
def test_what_is_no_point_on_the_earth_is_none(lat: float | None, lon: float | None) -> None:
    assert point(lat, lon) is None


def test_accents_and_case_do_not_matter_in_a_search() -> None:
    assert folded("Árbol CAÍDO") == "arbol caido"


def test_a_phone_is_found_with_and_without_its_prefixes() -> None:
    assert searchable(phone="+1 (816) 555-0142") == "18165550142 8165550142 5550142"
    assert phone_digits("(816) 555-0142") == "8165550142"
    assert phone_digits("816") is None
    assert phone_digits("23rd St 555") is None
