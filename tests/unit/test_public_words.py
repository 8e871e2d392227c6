"""What is taken out of words and addresses before everybody may read them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.open311.public_words import public_address, public_words, zip_code

PLACES: dict[str, frozenset[str]] = {
    "landmarks": frozenset({"city hall"}),
    "towns": frozenset({"independence"}),
}
ROSA = ("Rosa Lara",)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Big hole", "Big hole"),
        ("a & <b>", "a & <b>"),
        ("Call 816-555-0142", "Call […]"),
        ("Call (816) 555 01 42 or +1.816.555.0142!", "Call […] or […]!"),
        ("rosa.lara@resident.example wrote", "[…] wrote"),
        ("rosa (at) resident.example", "[…]"),
        ("see https://fb.com/rosa?x=1 and www.x.org", "see […] and […]"),
        ("ask Rosa, or ROSA's mother Lara", "ask […], or […] mother […]"),
        ("Rosalind and roses", "Rosalind and roses"),
        ("at 111 E Maple Ave, apt 4B", "at 100 block of E Maple Ave, […]"),
        ("57 Oak Lane", "first block of Oak Lane"),
        ("my name is Zaphod Beeblebrox.", "my name is […]."),
        ("Me llamo Ana María López", "Me llamo […]"),
        ("Mr. Smith and Sra Pérez", "Mr. […] and Sra. […]"),
        ("license plate is XYZ-4567", "license plate […]"),
        ("placas ABC 123", "placas […]"),
        ("account 12345678", "account […]"),
        ("3 feet deep since 2019, 12 potholes", "3 feet deep since 2019, 12 potholes"),
        ("the 3 houses on the street, 1200 tires", "the 3 houses on the street, 1200 tires"),
        ("23rd Street and 35th", "23rd Street and 35th"),
        ("", ""),
    ],
)
def test_words(said: str, shown: str) -> None:
    assert public_words(said, ROSA) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("111 E Maple Ave", "100 block of E Maple Ave"),
        (
            "111 E Maple Ave, Independence, MO 64050",
            "100 block of E Maple Ave, Independence, MO 64050",
        ),
        ("4711 Planted St Apt 4B", "4700 block of Planted St"),
        ("1234 1/2 N Main Street Independence MO", "1200 block of N Main Street, Independence, MO"),
        ("7 Oak Ln", "first block of Oak Ln"),
        ("Noland Rd & 23rd St", "Noland Rd & 23rd St"),
        ("corner of Noland Rd and 23rd St", "Noland Rd & 23rd St"),
        ("W Truman Rd", "W Truman Rd"),
        ("City  Hall", "City Hall"),
        ("the blue house of Mrs Smith", None),
        ("111 E Maple Ave, ask for Rosa 816-555-0142", None),
        ("111 E Maple Ave, ask for Rosa", "100 block of E Maple Ave"),
        ("Rosa Lara, 111 E Maple Ave", None),
        ("home", None),
        ("", None),
        (None, None),
        ("x" * 300, None),
    ],
)
def test_addresses(written: str | None, shown: str | None) -> None:
    assert public_address(written, exact=False, **PLACES) == shown


def test_an_exact_address_keeps_its_number_and_loses_the_door() -> None:
    told = public_address("111 E Maple Ave Apt 4B", exact=True, **PLACES)
    assert told == "111 E Maple Ave"


def test_zip_codes() -> None:
    assert zip_code("100 block of E Maple Ave, Independence, MO 64050") == "64050"
    assert zip_code("12345 Main St") is None
    assert zip_code(None) is None


@given(
    st.text(max_size=60),
    st.from_regex(r"[2-9][0-9]{2}[-. ][2-9][0-9]{2}[-. ][0-9]{4}", fullmatch=True),
    st.text(max_size=60),
)
def test_no_number_is_left_whatever_stands_around_it(before: str, number: str, after: str) -> None:
    assert number not in public_words(f"{before} {number} {after}")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_is_left_whatever_stands_around_it(before: str, after: str) -> None:
    assert "Zaphod" not in public_words(f"{before} Zaphod {after}", ("Zaphod Beeblebrox",))


@pytest.mark.parametrize(
    "evil",
    ["a.a", "1 ", "1 a ", "1 north ", "a@", "apt ", "+(5", "1 a b c st ", "plate is ", "Mr. A "],
)
def test_no_text_takes_long(evil: str) -> None:
    began = time.perf_counter()
    public_words((evil * 4000)[:4000], ROSA)
    public_address((evil * 200)[:200], exact=False, **PLACES)
    assert time.perf_counter() - began < 1
