"""`evaluate`, `train` and `model`, as an operator types them, on real files and real books."""

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from bus.contracts import TypeGuess
from bus.identity import fact_id
from store import changes, guesses
from tests.support.commands import Said, command
from tests.support.facts import complaint
from tests.support.store import file, put_staff, routed

HOLE, BARK = "Pothole/Street Maintenance", "Animal Services"
SAID = {
    HOLE: ("pothole on {}", "deep hole in the road by {}", "my tire blew on {}", "asphalt gone {}"),
    BARK: ("dog loose on {}", "barking dog at {}", "stray dog by {}", "dog bit my son on {}"),
    "Noise": ("loud music at {}", "party all night on {}", "drums at 2 am, {}", "noisy bar {}"),
}
PLACES = ("Maple", "Noland", "23rd", "Truman", "Sterling", "Crysler")


def rows() -> list[tuple[str, str, str]]:
    told = [
        (kind, way.format(place)) for kind, ways in SAID.items() for way in ways for place in PLACES
    ]
    return [
        ("later" if number % 4 == 3 else "first", kind, text)
        for number, (kind, text) in enumerate(told)
    ]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "past.csv"
    with path.open("w", newline="") as written:
        out = csv.writer(written)
        out.writerow(["split", "problem_type", "text"])
        out.writerows(rows())
        out.writerow(["later", "Spaceship", "it landed on the square"])
        out.writerow(["later", "Noise", ""])
    return path


async def ask(*words: object) -> Said:
    return await asyncio.to_thread(command, *words)


@pytest.fixture(autouse=True)
def settings(dsn: str, nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BUCKSTOP__STORE__DSN": dsn,
        "BUCKSTOP__BUS__URL": nats_url,
        "BUCKSTOP__DATA": str(tmp_path / "data"),
        "COLUMNS": "160",
    }.items():
        monkeypatch.setenv(name, value)


async def test_evaluate_measures_and_keeps_nothing(table: Path, tmp_path: Path) -> None:
    cold = await ask("evaluate", table, "--split", "later")
    learned = await ask(
        *("evaluate", table, "--train-split", "first", "--split", "later", "--format", "json"),
    )

    assert cold.code == 0, cold.err
    assert "18 texts, cold: taught by written examples alone" in cold.out
    for figure in ("accuracy", "macro F1", "weighted F1", "first three", "calibration error"):
        assert figure in cold.out
    assert "coverage at 90 % right" in cold.out
    assert "CPU for each text" in cold.out
    assert "1 with no text" in cold.out
    assert '1 of "Spaceship", which the classifier does not know' in cold.out
    [told] = learned.lines
    assert (told["texts"], told["taught_by"]) == (18, 54)
    assert told["accuracy"] > 0.9
    assert 0 <= told["calibration_error"] <= 1
    assert told["unknown_types"] == {"Spaceship": 1}
    assert not list((tmp_path / "data").glob("models/*.skops"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--split", "never"], 'No line of split "never"'),
        (["--train-split", "never"], "Splits in the file: first, later."),
        (["--text-column", "words"], '"words" is there. It has split, problem_type, text.'),
    ],
)
async def test_evaluate_says_what_to_mend(table: Path, words: Sequence[str], said: str) -> None:
    answer = await ask("evaluate", table, *words)

    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err


async def test_a_model_is_trained_shown_refused_promoted_and_taken_back(
    table: Path, pool: asyncpg.Pool
) -> None:
    nothing = await ask("model", "promote")
    assert nothing.code == 1
    assert "`buckstop train` makes one" in nothing.err

    trained = await ask("train", table)
    assert trained.code == 0, trained.err
    assert "learned from 72 complaints, and runs in shadow" in trained.out
    assert "1 were left out" in trained.out

    shown = await ask("model")
    assert "written examples, 45 types" in shown.out
    assert "runs in its shadow" in shown.out
    assert "0 closed cases were answered by both; it takes 100" in shown.out

    refused = await ask("model", "promote")
    assert refused.code == 1
    assert "goes on answering" in refused.err

    promoted = await ask("model", "promote", "--anyway")
    assert promoted.code == 0
    assert "history-" in promoted.out
    assert "complaints of the city" in (await ask("model")).out
    back = await ask("model", "back")
    assert (back.code, back.out) == (0, "The model of the written examples answers from now on.\n")
    assert (await ask("model", "discard")).code == 1


async def test_closed_cases_teach_and_judge(pool: asyncpg.Pool) -> None:
    """The open case teaches nothing; what staff changed is known as such; districts are counted."""
    async with pool.acquire() as conn:
        await put_staff(conn)
    told = [
        complaint(number, text=text)
        for number, (_, kind, text) in enumerate(rows()[:30:2], start=1)
    ]
    kinds = [kind for _, kind, _ in rows()[:30:2]]
    sent = [
        routed(
            one,
            problem_type=HOLE,
            guess=TypeGuess(problem_type=HOLE, confidence=0.6, words=("hole\x00",), model="old"),
            shadow=TypeGuess(problem_type=kind, confidence=0.7, model="new"),
        )
        for one, kind in zip(told, kinds, strict=True)
    ]
    await file(pool, *told, *sent)
    # Told again without a shadow, as a router says it that has none: nothing is taken away.
    again = sent[0].model_copy(
        update={"message_id": fact_id("again", told[0].message_id), "shadow": None}
    )
    await file(pool, again, again)
    async with pool.acquire() as conn:
        for one, kind in list(zip(told, kinds, strict=True))[1:]:
            if kind != HOLE:
                await changes.set_problem_type(
                    conn, one.message_id, problem_type=kind, by="pat.moore"
                )
            await changes.close(
                conn, one.message_id, outcome="fixed", words="Done.", by="pat.moore"
            )
        lessons = await guesses.closed_cases(conn, 100)
        [district] = await guesses.judged(conn, "old", "new")
        kept = await guesses.of_case(conn, told[0].message_id)

    assert len(lessons) == len(told) - 1
    assert lessons[-1].text == told[-1].text, "the last one closed comes last"
    assert {one.problem_type for one in lessons if one.corrected} == {BARK}
    assert not any(one.corrected for one in lessons if one.problem_type == HOLE)
    holes = sum(kind == HOLE for kind in kinds[1:])
    assert (district.district, district.cases) == ("District 2", len(told) - 1)
    assert (district.active, district.shadow) == (holes, len(told) - 1)
    assert kept is not None
    assert (kept.problem_type, kept.model) == (HOLE, "old")
    assert "\x00" not in "".join(kept.words)

    trained = await ask("train", "--format", "json")
    assert trained.code == 0, trained.err
    assert trained.lines[0]["examples"] == len(told) - 1
