"""What the sieve holds back could not have been found; and nearly all that is harmless it holds."""

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import phrases as phrases_
from router.phrases import any_of, compiled, fold, phrase_pattern
from router.rules import CITIES, load_city
from router.sieve import Sieve

LISTS = {"person": ["man", "old lady", "child*"], "thing": ["car"]}
PHRASES = [
    "on fire",
    "(car|pick up) ... on fire",
    "smell* (of|) gas",
    "{person} down",
    "(a|the|) break* in",
    "(on (a|the) {thing}|in it)",
    "(shot*|gun fire) ... (fired|heard)",
    "niño",
    "пожар",
    "at&t line",
    "no (es|) broma*",
]
WORDS = sorted(
    {word for phrase in PHRASES for word in re.findall(r"[\w&ñ]+", phrase)}
    | {word for words in LISTS.values() for one in words for word in re.findall(r"\w+", one)}
    | {"breaking", "broken", "children", "shots", "smells", "fired", "firé", "пожар", "x", "911"}
)
TEXTS = st.lists(
    st.tuples(
        st.sampled_from(WORDS),
        st.sampled_from([" ", " ", " ", ", ", ". ", "-", "\n", "ß", ""]),
    ),
    max_size=14,
).map(lambda pieces: "".join(word + between for word, between in pieces))


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=4), TEXTS)
def test_a_sieved_search_finds_what_its_pattern_finds(said: list[str], text: str) -> None:
    sieved, plain = any_of(said, LISTS), fold(text)
    assert sieved is not None
    patterns = sorted({phrase_pattern(phrase, LISTS) for phrase in said})
    bare = compiled(rf"\b(?:{'|'.join(patterns)})\b")

    found, wanted = sieved.search(plain), bare.search(plain)
    assert (found and (found.start(), found.group())) == (
        wanted and (wanted.start(), wanted.group())
    )
    assert [one.group() for one in sieved.finditer(plain)] == [
        one.group() for one in bare.finditer(plain)
    ]
    assert sieved.sub(" , ", plain) == bare.sub(" , ", plain)


@pytest.mark.parametrize(
    ("needs", "text", "passing"),
    [
        ([({"fire"},)], "a fire", [0]),
        ([({"fire"},)], "fired", []),
        ([({"fire"}, {"car", "van"})], "a fire", []),
        ([({"fire"}, {"car", "van"})], "van on fire", [0]),
        ([({"burn*"},), ({"burning"},)], "it burns", [0]),
        ([({"ak*"},)], "an ak47", [0]),
        ([({"ak*"},)], "an oak", []),
        ([({"fire"}, {"burn*"})], "fire burning", [0]),
        ([({"fire"}, {"fire", "gas"})], "fire", [0]),
        ([({"gas"},), (), ({"fire"},)], "fire", [1, 2]),
        ([], "anything", []),
    ],
)
def test_a_phrase_passes_where_one_word_of_each_need_is(
    needs: list[tuple[set[str], ...]], text: str, passing: list[int]
) -> None:
    sieve = Sieve([tuple(frozenset(need) for need in phrase) for phrase in needs])

    assert sieve.passing(text) == passing


def test_it_holds_back_nearly_all_that_is_no_emergency() -> None:
    examples = (CITIES / "independence" / "examples.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in random.Random(7).sample(examples, 400)]
    words = load_city(CITIES / "independence").emergency_words._any
    assert isinstance(words, phrases_._Phrases)

    asked = sum(len(words._sieve.passing(fold(text))) for text in texts)

    assert asked <= 100  # of 557 phrases times 400 texts
