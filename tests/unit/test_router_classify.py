"""The model learns from examples, says how sure it is, and reads whatever people send."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.naive_bayes import MultinomialNB

from router.classify import (
    READ,
    Classifier,
    Model,
    lowest_threshold,
    normal,
    pieces_of,
    weighed,
    words_of,
)
from router.figures import figures, worst
from router.learn import Told, folds, glimpse, learn_history, learn_written, write_skops
from router.packing import from_skops, model_from, packed, unpacked
from router.stories import Story

HOMES = {
    "Pothole": "STREETS",
    "Snow": "STREETS",
    "Dog": "ANIMALS",
}
SAYINGS = {
    "Pothole": ["pothole", "deep hole in the road", "bache en la calle", "asphalt broken"],
    "Snow": ["snow on the street", "street not plowed", "ice on the bridge", "nieve en la calle"],
    "Dog": ["dog loose", "barking dog", "perro suelto", "dog bite"],
}
ENDINGS = ("", " again", " on Maple", "!!", " since monday")
STORIES = [
    Story(kind, f"{saying}{ending}", source, judged, spun=source % 2 == 0)
    for source, (kind, saying) in enumerate(
        (kind, saying) for kind, sayings in SAYINGS.items() for saying in sayings
    )
    for ending in ENDINGS
    for judged in (False, True)
]
HISTORY = [
    Told(kind, f"{saying}{ending}")
    for kind, sayings in (
        ("Pothole", ["chuckhole", "road eats tires", "crater in the lane", "chuckhole deep"]),
        ("Dog", ["mutt running about", "mutt bit me", "hound howls", "hound off leash"]),
    )
    for saying in sayings
    for ending in ENDINGS
]


@pytest.fixture(scope="module")
def model() -> Model:
    return learn_written(STORIES, {}, version="written-1")


@pytest.fixture(scope="module")
def taught(model: Model) -> Model:
    return learn_history(HISTORY, model, version="history-1")


@pytest.fixture(scope="module")
def mind(model: Model) -> Classifier:
    return Classifier(model, HOMES, precision=0.6)


def test_it_learns_what_it_was_shown(mind: Classifier) -> None:
    texts = ["a huge pothole", "they never plowed our street", "un perro suelto"]

    assert [guess.ranked[0][0] for guess in mind.guess(texts)] == ["Pothole", "Snow", "Dog"]


def test_it_says_which_words_decided(mind: Classifier) -> None:
    (guess,) = mind.guess(["a barking dog on Maple"])

    assert guess.words[0] in ("barking dog", "barking")


def test_probabilities_are_ranked_and_add_up(mind: Classifier) -> None:
    (guess,) = mind.guess(["snow"])
    shares = [share for _, share in guess.ranked]

    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=0.01)


def test_a_choice_weighs_in_and_the_words_may_outweigh_it(mind: Classifier) -> None:
    (alone,) = mind.guess(["snow"])
    (chosen,) = mind.guess(["snow"], chosen=[("Dog", 0.9)])
    (unlikely,) = mind.guess(["snow on the street, street not plowed"], chosen=[("Dog", 0.34)])

    before, after = alone.probability_of("Dog"), chosen.probability_of("Dog")
    assert before is not None
    assert after is not None
    assert after > before
    assert unlikely.ranked[0][0] == "Snow"
    assert chosen.probability_of("No such type") is None


def test_a_choice_counts_as_often_as_choices_are_right() -> None:
    even = weighed(np.array([0.5, 0.5], dtype=np.float32), 0, 0.9)

    assert even.tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize("text", ["", "   ", "\x00", "\u202e\u200f", "😀"])
def test_nothing_to_read_is_nothing_to_be_sure_of(mind: Classifier, text: str) -> None:
    (guess,) = mind.guess([text])

    assert not guess.sure
    assert guess.words == ()


def test_an_empty_batch_has_no_answers(mind: Classifier) -> None:
    assert mind.guess([]) == []


def test_a_batch_says_what_each_text_alone_would(mind: Classifier) -> None:
    texts = ["pothole on Maple", "", "dog", "nieve"]

    assert mind.guess(texts) == [mind.guess([text])[0] for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_gets_an_answer(mind: Classifier, text: str) -> None:
    (guess,) = mind.guess([text])

    assert len(guess.ranked) == 3
    assert all(0 <= share <= 1 for _, share in guess.ranked)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "dog " * 25_000, "\U0001f600" * 50_000, "ﷺ" * 100_000]
)
def test_a_very_long_text_is_read_from_its_beginning(mind: Classifier, text: str) -> None:
    begun = time.process_time()
    mind.guess([text])

    assert time.process_time() - begun < 0.5
    assert len(normal(text)) <= READ


def test_a_text_is_read_without_case_accents_and_numbers() -> None:
    assert normal("¡Árbol  caído\nen 1109 S Arlington, 23rd!") == (
        "¡arbol caido en 00 s arlington, 23rd!"
    )


def test_words_and_pieces() -> None:
    assert words_of("big hole") == ["big", "hole", "big hole"]
    assert pieces_of("ab") == [" ab", "ab ", " ab "]


# ── being sure ──────────────────────────────────────────────────────────────────────────────────


def test_what_it_answers_alone_is_as_often_right_as_the_city_asks() -> None:
    trust = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, True])
    weight = np.ones(4)

    assert lowest_threshold(trust, right, weight, 0.75) == pytest.approx((0.6, 0.75, 1.0))
    assert lowest_threshold(trust, right, weight, 0.9) == pytest.approx((0.8, 1.0, 0.5))
    assert lowest_threshold(trust, ~right, weight, 0.9) == (1.1, 0.0, 0.0)


def test_a_city_that_asks_for_more_gets_fewer_answers(taught: Model) -> None:
    texts = [one.text for one in HISTORY] + ["hole", "it is broken", "loose", "street"]

    def sure(precision: float) -> int:
        mind = Classifier(taught, HOMES, precision=precision)
        return sum(guess.sure for guess in mind.guess(texts))

    assert sure(0.3) >= sure(0.9) >= sure(0.999)
    assert sure(0.3) > 0


def test_types_that_are_not_offered_are_never_answered(model: Model) -> None:
    mind = Classifier(model, {"Snow": "STREETS", "Pothole": "STREETS"}, precision=0.6)
    (guess,) = mind.guess(["a barking dog"])

    assert guess.ranked[0][0] != "Dog"
    with pytest.raises(ValueError, match="knows none"):
        Classifier(model, {"Zoning": "PLANNING"}, precision=0.6)


def test_a_glimpse_is_always_of_the_same_words() -> None:
    text = "a deep hole in the road"

    assert glimpse(text) == glimpse(text)
    assert len(glimpse(text).split()) == 2
    assert (glimpse("dog"), glimpse("")) == ("dog", "")


def test_caution_takes_sureness_and_leaves_the_order(model: Model) -> None:
    assert model.caution < 1
    bold, careful = (
        replace(model, caution=caution).read(["pothole", "dog on street"]).probabilities
        for caution in (1.0, 0.5)
    )

    assert (np.argsort(bold) == np.argsort(careful)).all()
    assert (bold.max(axis=1) > careful.max(axis=1)).all()


# ── a city's history ────────────────────────────────────────────────────────────────────────────


def test_history_teaches_on_top_of_what_was_written(model: Model, taught: Model) -> None:
    assert (taught.source, taught.labels) == ("history", ("Dog", "Pothole", "Snow"))
    mind = Classifier(taught, HOMES, precision=0.6)
    texts = ["a chuckhole", "that hound again", "deep hole, asphalt broken"]

    assert [guess.ranked[0][0] for guess in mind.guess(texts)] == ["Pothole", "Dog", "Pothole"]


def test_a_type_that_nobody_told_of_stays_possible_but_rare(model: Model, taught: Model) -> None:
    assert taught.strange == ("Snow",)
    assert taught.strangeness < 1
    probabilities = taught.read(["snow on the street, street not plowed", "chuckhole"])
    snow = probabilities.probabilities[:, taught.labels.index("Snow")]

    assert snow[0] > 10 * snow[1]
    assert probabilities.probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-4)


def test_what_counts_more_decides(model: Model) -> None:
    doubtful = [Told("Dog", f"thing number {word}", 0.2) for word in ("one", "two", "six")]
    corrected = [Told("Pothole", f"thing number {word}", 5.0) for word in ("one", "two", "six")]
    mind = Classifier(learn_history([*HISTORY, *doubtful, *corrected], model), HOMES, precision=0.6)

    assert mind.guess(["thing number"])[0].ranked[0][0] == "Pothole"


def test_what_the_most_alike_complaints_were_has_a_say(taught: Model) -> None:
    # These few are told apart by any voice: here the last one has to be heard.
    taught = replace(taught, shares=(0.1, 0.1, 0.1, 0.6))
    assert taught.near is not None
    near = taught.near.truth == taught.labels.index("Dog")
    assert near.sum() == sum(one.problem_type == "Dog" for one in HISTORY)
    all_holes = replace(taught.near, truth=np.full_like(taught.near.truth, 1))
    dog = taught.labels.index("Dog")

    told = taught.read(["mutt bit me"]).probabilities[0, dog]
    assert replace(taught, near=all_holes).read(["mutt bit me"]).probabilities[0, dog] < told
    # Read alone or among many it is the same.
    many = taught.read(["chuckhole"] * 200 + ["mutt bit me"]).probabilities
    assert many[-1, dog] == pytest.approx(told, abs=1e-5)


def test_what_is_of_one_place_or_in_the_same_words_is_not_judged_by_itself() -> None:
    told = [
        Told("Dog" if number % 2 else "Pothole", f"report {letters}", place=f"{number % 26} Maple")
        for number, letters in enumerate(map("".join, product("abcdef", repeat=3)))
    ]
    told += [Told("Dog", "The same words!", place=str(number)) for number in range(10)]
    truth = np.array([one.problem_type == "Dog" for one in told], dtype=int)
    fold = folds(told, truth)

    by_place: dict[str, set[int]] = {}
    for one, number in zip(told, fold.tolist(), strict=True):
        by_place.setdefault(one.place if one.text != "The same words!" else "", set()).add(number)
    assert by_place.pop("")
    assert all(len(numbers) == 1 for numbers in by_place.values())
    assert len(set(fold[-10:].tolist())) == 1
    # And all parts have about as much of each type.
    shares = [
        np.bincount(fold[truth == kind], minlength=5) / (truth == kind).sum() for kind in (0, 1)
    ]
    assert min(share.min() for share in shares) > 0.1


def test_written_examples_help_where_there_are_few_complaints(model: Model) -> None:
    told = [*HISTORY, Told("Snow", "sleet all over"), Told("Snow", "sleet again")]
    written = [("Snow", text) for text in ("sleet on the bridge", "black ice, sleet") * 40]
    alone, helped = learn_history(told, model), learn_history(told, model, written)
    snow = alone.labels.index("Snow")
    chances = [one.read(["sleet"]).probabilities[0, snow] for one in (alone, helped)]

    assert chances[1] > chances[0]
    assert helped.near is not None
    assert len(helped.near.truth) == len(told), (
        "they help to learn, and nobody is compared with them"
    )


def test_one_type_is_nothing_to_learn_from(model: Model) -> None:
    with pytest.raises(ValueError, match="fewer than two types"):
        learn_history([one for one in HISTORY if one.problem_type == "Dog"], model)


def test_what_stands_in_one_report_only_is_not_kept(model: Model) -> None:
    told = [*HISTORY, Told("Dog", "Mrs Wintergreen's hound howls")]

    assert "wintergreen" not in learn_history(told, model).words


# ── keeping ─────────────────────────────────────────────────────────────────────────────────────


def same(one: Model, other: Model, texts: Sequence[str]) -> bool:
    told, again = one.read(texts).probabilities, other.read(texts).probabilities
    return np.allclose(told, again, atol=0.02)


def test_a_model_survives_being_kept(taught: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    write_skops(taught, path)
    texts = ["pothole", "chuckhole", "dog", "snow"]

    for again in (unpacked(packed(taught)), from_skops(path.read_bytes())):
        assert same(again, taught, texts)
        assert (again.version, again.shares, again.strange, again.base_trust) == (
            taught.version,
            taught.shares,
            taught.strange,
            taught.base_trust,
        )
        assert again.near is not None
        assert again.near.truth.tolist() == taught.near.truth.tolist()  # type: ignore[union-attr]
        assert again.base is not None
        assert again.base.version == "written-1"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"no archive at all"])
def test_what_is_no_model_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(damage)
    with pytest.raises(ValueError, match=r"."):
        from_skops(damage)


def test_a_skops_file_with_anything_but_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump({"about": MultinomialNB()}, path)

    with pytest.raises(ValueError, match=r"holds a sklearn.*MultinomialNB"):
        from_skops(path.read_bytes())


def test_skops_itself_reads_our_files_without_trusting_anything(
    model: Model, tmp_path: Path
) -> None:
    write_skops(model, tmp_path / "model.skops")

    assert skops.io.get_untrusted_types(file=tmp_path / "model.skops") == []
    parts = skops.io.load(tmp_path / "model.skops", trusted=[])
    assert same(model_from(parts), model, ["pothole", "dog"])


def test_parts_that_do_not_fit_together_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="prior"):
        unpacked(packed(replace(model, prior=model.prior[:1])))


def test_complaints_that_do_not_fit_are_refused(taught: Model) -> None:
    near = taught.near
    assert near is not None
    for broken in (
        replace(near, truth=near.truth + 50),
        replace(near, weight=near.weight[1:]),
        replace(near, of_base=near.of_base[:, 1:]),
    ):
        with pytest.raises(ValueError, match="no model"):
            unpacked(packed(replace(taught, near=broken)))
    with pytest.raises(ValueError, match="shares"):
        unpacked(packed(replace(taught, shares=taught.shares[:2])))


# ── figures ─────────────────────────────────────────────────────────────────────────────────────


def test_figures_are_what_they_say() -> None:
    probabilities = np.array(
        [[0.9, 0.05, 0.03, 0.02], [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32
    )
    found = figures(probabilities, ("a", "b", "c", "d"), ["a", "b", "a"])

    assert found.accuracy == pytest.approx(1 / 3)
    assert found.top3 == pytest.approx(2 / 3)
    # a: one hit of two true and two guessed; b never guessed; d guessed wrongly.
    assert found.macro_f1 == pytest.approx((0.5 + 0 + 0) / 3)
    assert found.weighted_f1 == pytest.approx(0.5 * 2 / 3)
    assert found.coverage == pytest.approx(1 / 3)
    assert found.calibration_error == pytest.approx((0.1 + 0.8) / 3)
    (first, second) = worst(["a", "b", "a"], ["a", "a", "d"])
    assert {(first.truth, first.guessed), (second.truth, second.guessed)} == {
        ("a", "d"),
        ("b", "a"),
    }
