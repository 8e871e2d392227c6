"""Phrases that a city writes are found in what people write, and bad ones are named."""

import time

import pytest

from router.phrases import BadPhrase, any_of, compiled, fold, phrase_pattern

LISTS = {"person": ["man", "old lady"]}


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("on fire", "My CAR is\ton  fire!"),
        ("on fire", "it is on, fire"),
        ("cant breathe", "she can’t breathe"),
        ("fuga de gas", "¡Fuga de GAS!"),
        ("call 911", "please call 911"),
        ("(car|pick up) ... on fire", "the pick up of my neighbor is on fire"),
        ("smell (of|) gas", "a smell gas"),
        ("smell (of|) gas", "a smell of gas"),
        ("(a|) big fire", "big fire"),
        ("{person} down", "an old lady down"),
        ("break* in", "breaking in"),
        ("(on (a|the) car|in it)", "it fell on the car"),
        ("shots ... (fired|heard)", "shots were fired"),
        ("niño", "un nino"),
        ("at&t line", "AT&T line"),
    ],
)
def test_it_is_found(phrase: str, text: str) -> None:
    pattern = any_of([phrase], LISTS)

    assert pattern is not None
    assert pattern.search(fold(text))


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("on fire", "on a fire"),
        ("on fire", "it was on. Fire them all"),
        ("on fire", "on\nfire"),
        ("fire", "fired"),
        ("fire", "ceasefire"),
        ("call 911", "call 411"),
        ("car ... on fire", "the car that I bought one day last spring is on fire"),
        ("car ... on fire", "my car. It is on fire"),
        ("break* in", "outbreak in"),
    ],
)
def test_it_is_not_found(phrase: str, text: str) -> None:
    pattern = any_of([phrase], LISTS)

    assert pattern is not None
    assert not pattern.search(fold(text))


@pytest.mark.parametrize(
    "phrase",
    ["", "...", "... fire", "fire ...", "(fire", "fire)", "(a|)", "(a|) (b|)", "{nobody} down",
     "{person", "fi+re", "()", "fire .. now", "a||", "*"],
)  # fmt: skip
def test_what_is_no_phrase_is_refused_with_its_words(phrase: str) -> None:
    with pytest.raises(BadPhrase, match=r'^"'):
        phrase_pattern(phrase, LISTS)


def test_a_pattern_that_is_none_is_refused_with_the_reason() -> None:
    with pytest.raises(BadPhrase, match="missing"):
        compiled("(fire")
    with pytest.raises(BadPhrase):
        compiled(r"(?=fire)")  # looks ahead, which is what RE2 never does


def test_no_phrases_are_no_search() -> None:
    assert any_of([]) is None


def test_no_text_can_hold_the_search_up() -> None:
    # Python's own engine needs longer than anybody lives for the second one.
    gaps = any_of(["a ... a ... a ... a ... a ... b"])
    nested = compiled("(a+)+$")
    begun = time.process_time()
    assert gaps is not None
    assert gaps.search(fold("a " * 3_000)) is None
    assert nested.search("a" * 3_000 + "!") is None
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("text", ["\x00", "\ud83d", "شارع مظلم", "💩" * 5_000, "", "İ" * 4_000])
def test_odd_texts_are_read_too(text: str) -> None:
    pattern = any_of(["on fire"])

    assert pattern is not None
    assert pattern.search(fold(text)) is None
