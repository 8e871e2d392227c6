"""A model from shadow answers only if it was better overall and no worse anywhere."""

import pytest

from gateway.promotion import FEWEST, lessons, verdict
from store.guesses import Closed, Judged


def judged(*told: tuple[str, int, int, int]) -> list[Judged]:
    return [Judged(*one) for one in told]


def test_better_overall_and_no_worse_anywhere_may_answer() -> None:
    found = verdict(judged(("District 1", 80, 60, 66), ("District 2", 70, 50, 50)))

    assert (found.better, found.cases) == (True, 150)
    assert found.reasons == ("The shadow named 116 of 150 right, what answers 110.",)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([("District 1", 80, 60, 70), ("District 2", 70, 50, 49)], "Worse in District 2"),
        ([("District 1", 80, 60, 60), ("", 70, 50, 50)], "The shadow named 110 of 150 right"),
        ([("District 1", FEWEST - 1, 10, 90)], "it takes 100"),
        ([], "0 closed cases"),
    ],
)
def test_else_the_old_one_goes_on(told: list[tuple[str, int, int, int]], reason: str) -> None:
    found = verdict(judged(*told))

    assert not found.better
    assert reason in " ".join(found.reasons)


def test_districts_with_few_cases_are_counted_together() -> None:
    found = verdict(
        judged(("District 1", 95, 60, 70), ("District 2", 5, 5, 4), ("District 3", 6, 3, 4))
    )

    assert found.better
    assert [one.district for one in found.districts] == ["District 1", "districts with few cases"]


def test_what_staff_corrected_counts_most() -> None:
    told = lessons(
        [
            Closed("a", "Noise", corrected=True, chosen=False, place="Noland Rd"),
            Closed("b", "Noise", corrected=False, chosen=True, place=""),
            Closed("c", "Noise", corrected=False, chosen=False, place="Noland Rd"),
        ]
    )

    assert [one.text for one in told] == ["a", "b", "c"]
    assert [one.place for one in told] == ["Noland Rd", "", "Noland Rd"]
    weights = [one.weight for one in told]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) == 3
