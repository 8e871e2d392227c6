"""The model learns from examples, says how sure it is, and reads whatever people send."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.classify import READ, Model, normal, packed, pieces_of, unpacked, words_of
from router.models import ModelCache

KINDS = {
    "Pothole": "STREETS",
    "Snow": "STREETS",
    "Dog": "ANIMALS",
}
SAYINGS = {
    "Pothole": ["pothole", "deep hole in the road", "bache en la calle", "asphalt broken"],
    "Snow": ["snow on the street", "street not plowed", "ice on the bridge", "nieve en la calle"],
    "Dog": ["dog loose", "barking dog", "perro suelto", "dog bite"],
}
EXAMPLES = [
    (kind, f"{saying}{ending}")
    for kind, sayings in SAYINGS.items()
    for saying in sayings
    for ending in ("", " again", " on Maple", "!!", " since monday")
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ModelCache:
    return ModelCache(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def model(cache: ModelCache) -> Model:
    return cache.model_of(EXAMPLES, KINDS, precision=0.8)


def test_it_learns_what_it_was_shown(model: Model) -> None:
    texts = ["a huge pothole", "they never plowed our street", "un perro suelto"]

    assert [guess.ranked[0][0] for guess in model.guess(texts)] == ["Pothole", "Snow", "Dog"]


def test_it_says_which_words_decided(model: Model) -> None:
    (guess,) = model.guess(["a barking dog on Maple"])

    assert guess.words[0] in ("barking dog", "barking")


def test_probabilities_are_ranked_and_add_up(model: Model) -> None:
    (guess,) = model.guess(["snow"])
    shares = [share for _, share in guess.ranked]

    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=0.01)


def test_a_chosen_type_is_always_among_the_ranked(model: Model) -> None:
    (guess,) = model.guess(["dog"], known=["Snow"])

    assert guess.probability_of("Snow") is not None
    assert guess.probability_of("No such type") is None


@pytest.mark.parametrize("text", ["", "   ", "\x00", "\u202e\u200f", "😀"])
def test_nothing_to_read_is_nothing_to_be_sure_of(model: Model, text: str) -> None:
    (guess,) = model.guess([text])

    assert not guess.sure
    assert guess.words == ()


def test_an_empty_batch_has_no_answers(model: Model) -> None:
    assert model.guess([]) == []


def test_a_batch_says_what_each_text_alone_would(model: Model) -> None:
    texts = ["pothole on Maple", "", "dog", "nieve"]

    assert model.guess(texts) == [model.guess([text])[0] for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_gets_an_answer(model: Model, text: str) -> None:
    (guess,) = model.guess([text])

    assert len(guess.ranked) == 3
    assert all(0 <= share <= 1 for _, share in guess.ranked)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "dog " * 25_000, "\U0001f600" * 50_000, "ﷺ" * 100_000]
)
def test_a_very_long_text_is_read_from_its_beginning(model: Model, text: str) -> None:
    begun = time.process_time()
    model.guess([text])

    assert time.process_time() - begun < 0.5
    assert len(normal(text)) <= READ


def test_a_text_is_read_without_case_accents_and_numbers() -> None:
    assert normal("¡Árbol  caído\nen 1109 S Arlington, 23rd!") == (
        "¡arbol caido en 00 s arlington, 23rd!"
    )


def test_words_and_pieces() -> None:
    assert words_of("big hole") == ["big", "hole", "big hole"]
    assert pieces_of("ab") == [" a", "ab", "b ", " ab", "ab ", " ab "]


def test_a_model_survives_being_kept(model: Model) -> None:
    again = unpacked(packed(model))

    assert again.guess(["pothole", "dog"]) == model.guess(["pothole", "dog"])
    assert (again.version, again.threshold) == (model.version, model.threshold)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"no archive at all"])
def test_what_is_no_model_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(damage)


def test_a_model_is_made_once(tmp_path: Path) -> None:
    first = ModelCache(tmp_path).model_of(EXAMPLES, KINDS, precision=0.8)
    begun = time.monotonic()
    second = ModelCache(tmp_path).model_of(EXAMPLES, KINDS, precision=0.8)

    assert time.monotonic() - begun < 0.5
    assert first.version == second.version
    assert [path.name for path in tmp_path.glob("*.npz")] == [f"{first.version}.npz"]


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    first = ModelCache(tmp_path).model_of(EXAMPLES, KINDS, precision=0.8)
    kept = tmp_path / f"{first.version}.npz"
    kept.write_bytes(kept.read_bytes()[:1000])

    with capture_logs() as logs:
        again = ModelCache(tmp_path).model_of(EXAMPLES, KINDS, precision=0.8)

    assert again.guess(["dog"]) == first.guess(["dog"])
    assert logs[0]["event"] == "model cache unreadable"
    assert unpacked(kept.read_bytes()).version == first.version


def test_no_room_for_the_cache_does_not_keep_it_from_learning(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")

    with capture_logs() as logs:
        model = ModelCache(tmp_path / "taken").model_of(EXAMPLES, KINDS, precision=0.8)

    assert model.guess(["dog"])[0].ranked[0][0] == "Dog"
    assert "model not kept" in [line["event"] for line in logs]
