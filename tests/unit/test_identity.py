"""References: short, unguessable, readable over the phone."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.identity import (
    ALPHABET,
    complaint_id,
    mint_reference,
    notice_token,
    read_notice_token,
    read_reference,
)

SECRET = b"a secret for tests, long enough"
NOTICE = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
REFERENCES = st.uuids().map(lambda id_: mint_reference(SECRET, id_))


def test_the_same_complaint_has_the_same_id_and_reference() -> None:
    id_ = complaint_id("sms", "SM123")
    assert id_ == complaint_id("sms", "SM123") != complaint_id("email", "SM123")
    assert mint_reference(SECRET, id_) == mint_reference(SECRET, id_)
    assert mint_reference(SECRET, id_) != mint_reference(b"another", id_)
    assert mint_reference(SECRET, id_) != mint_reference(SECRET, id_, attempt=1)


@given(REFERENCES)
def test_a_reference_is_read_however_it_is_typed(reference: str) -> None:
    assert read_reference(reference) == reference
    assert read_reference(reference.lower().replace("-", " ")) == reference
    assert read_reference(reference.replace("0", "o").replace("1", "l")) == reference


@given(REFERENCES, st.integers(0, 7), st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_noticed(reference: str, place: int, letter: str) -> None:
    letters = list(reference.replace("-", ""))
    if letters[place] == letter:
        return
    letters[place] = letter
    assert read_reference("".join(letters)) is None


@given(st.text(max_size=40))
def test_whatever_is_typed_gives_a_reference_or_none(typed: str) -> None:
    read = read_reference(typed)
    assert read is None or read_reference(read) == read


def test_references_do_not_follow_each_other() -> None:
    first = [mint_reference(SECRET, UUID(int=number)) for number in range(2000)]
    assert len(set(first)) == 2000
    assert len({reference[:3] for reference in first}) > 1500


def test_a_notice_token_names_its_notice_to_who_has_the_secret() -> None:
    token = notice_token(SECRET, NOTICE)
    assert re.fullmatch(r"[a-z2-7]{39}", token)
    assert read_notice_token(SECRET, token) == NOTICE
    assert read_notice_token(SECRET, token.upper()) == NOTICE  # mail servers change the case


@given(st.integers(0, 38), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_notice_token_names_nothing(place: int, letter: str) -> None:
    token = notice_token(SECRET, NOTICE)
    changed = token[:place] + letter + token[place + 1 :]
    # The last letter carries bits that stand for nothing.
    assert changed == token or place == 38 or read_notice_token(SECRET, changed) is None


@pytest.mark.parametrize("token", ["", "a", "ä" * 39, "a" * 39, "=" * 39, "a" * 4000])
def test_what_is_no_notice_token_names_nothing(token: str) -> None:
    assert read_notice_token(SECRET, token) is None
    assert read_notice_token(b"another secret", notice_token(SECRET, NOTICE)) is None
