"""
The commands that teach the classifier and measure it: `train`, `evaluate` and `model`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gateway.classifier_trials import Trial, lessons_in, taught, trial, unknown_types
from gateway.command import HERE, Format, Where, go, line, out, trouble
from gateway.compose import city_folder
from gateway.promotion import FEWEST, Verdict, lessons, verdict
from gateway.run import reach
from gateway.settings import Settings
from router.classify import Model
from router.figures import Figures
from router.labelled import BadFile, Labelled, read_labelled, read_names
from router.models import ACTIVE, SHADOW, SHIPPED, BadModel, ModelFolder, learn_written
from router.rules import load_city
from store import guesses
from store.pool import open_pool

model = App(name="model", help="The classifier's models: which answers, and which is being tried.")

_MOST_CASES = 40_000

TextColumn = Annotated[str, Parameter(help="The column with the text, if it is called otherwise")]
LabelColumn = Annotated[str, Parameter(help="The column with the type, if it is called otherwise")]
Names = Annotated[
    Path | None, Parameter(help="A CSV file: a label of theirs, a type of ours on each line")
]


# ── evaluate ────────────────────────────────────────────────────────────────────────────────────


def evaluate(
    file: Annotated[Path, Parameter(help="A CSV file with columns text and problem_type")],
    *,
    train_split: Annotated[str, Parameter(help="Learn from the lines of this split first")] = "",
    split: Annotated[
        str, Parameter(help="Score the lines of this split; default: all others")
    ] = "",
    text_column: TextColumn = "",
    label_column: LabelColumn = "",
    labels: Names = None,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Measure the classifier on complaints whose type is known. Nothing is kept.

    Without --train-split the model of the city's written examples is scored, as on its first day:
    none of the file has been seen. With it, that model learns from those lines before.
    """
    settings = where.settings()
    try:
        read = _labelled(file, text_column, label_column, labels)
        city = load_city(city_folder(settings))
        base = ModelFolder(settings.data / "models").written(city)
        lines = read.of(train_split) if train_split else ()
        scored = (
            read.of(split)
            if split
            else tuple(row for row in read.rows if not train_split or row.split != train_split)
        )
        if not scored:
            raise BadFile("There is no line left to score.")
        asked = taught(base, lines, city) if lines else base
        done = trial(asked, scored, taught_by=len(lines))
        unknown = unknown_types(asked, scored)
    except (BadFile, BadModel, ValueError) as error:
        return trouble(str(error), code=1)
    if format == "json":
        line(_in_json(done, read, unknown))
    else:
        out.print(_in_words(done, read, unknown), markup=False)
    return 0


def _labelled(file: Path, text: str, label: str, names: Path | None) -> Labelled:
    return read_labelled(file, text=text, label=label, names=read_names(names) if names else None)


def _in_json(done: Trial, read: Labelled, unknown: Mapping[str, int]) -> dict[str, object]:
    return {
        "model": done.model.version,
        "taught_by": done.taught_by,
        **asdict(done.figures),
        "own_types": asdict(done.own_types) if done.own_types else None,
        "types": done.types,
        "milliseconds": round(done.milliseconds, 4),
        "confusions": [asdict(one) for one in done.confusions],
        "left_out": dict(read.left_out) | {"type unknown": done.unknown},
        "unknown_types": dict(unknown),
    }


def _in_words(done: Trial, read: Labelled, unknown: Mapping[str, int]) -> str:
    how = (
        f"taught by {done.taught_by} lines of the file"
        if done.taught_by
        else "cold: taught by written examples alone"
    )
    told = [f"{done.figures.texts} texts, {how}", "", *_figure_lines(done.figures)]
    told.append(f"  CPU for each text         {done.milliseconds:.3f} ms, in batches of 128")
    if done.own_types is not None:
        told += [
            "",
            f"If it could answer only the {done.types} types that the file has "
            f"(of {len(done.model.labels)} that it knows):",
            *_figure_lines(done.own_types),
        ]
    if done.confusions:
        told += ["", "Taken for each other most often:"]
        told += [
            f"  {one.count:>4}  {one.share:>4.0%} of {one.truth}, as {one.guessed}"
            for one in done.confusions
        ]
    left = [f"{count} with {reason}" for reason, count in read.left_out.items()]
    left += [
        f'{count} of "{name}", which the classifier does not know'
        for name, count in unknown.items()
    ]
    if left:
        told += ["", "Lines left out: " + "; ".join(left) + "."]
    return "\n".join(told)


def _figure_lines(one: Figures) -> list[str]:
    return [
        f"  accuracy                  {one.accuracy:.3f}",
        f"  macro F1                  {one.macro_f1:.3f}",
        f"  weighted F1               {one.weighted_f1:.3f}",
        f"  among the first three     {one.top3:.3f}",
        f"  calibration error         {one.calibration_error:.3f}",
        f"  coverage at 90 % right    {one.coverage:.3f}",
    ]


# ── train ───────────────────────────────────────────────────────────────────────────────────────


def train(
    file: Annotated[
        Path | None, Parameter(help="A CSV file to learn from; default: the city's closed cases")
    ] = None,
    *,
    split: Annotated[str, Parameter(help="Only the lines of this split")] = "",
    text_column: TextColumn = "",
    label_column: LabelColumn = "",
    labels: Names = None,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Learn from closed cases, or from a file. The new model runs in the shadow of the old one.

    What staff corrected counts most. The new model is asked about every complaint and not heeded,
    until `buckstop model promote` finds it better. Running or not.
    """
    settings = where.settings()
    folder = ModelFolder(settings.data / "models")
    city = load_city(city_folder(settings))
    known = {kind.name for kind in city.offered}

    async def work() -> int:
        if file is not None:
            read = _labelled(file, text_column, label_column, labels)
            rows = read.of(split) if split else read.rows
            told = lessons_in(rows)
        else:
            async with reach(settings) as engines:
                stored = settings.store.model_copy(update={"dsn": engines.dsn})
                async with open_pool(stored) as pool, pool.acquire() as conn:
                    told = lessons(await guesses.closed_cases(conn, _MOST_CASES))
        usable = [one for one in told if one.problem_type in known]
        new = await asyncio.to_thread(folder.cast_shadow, usable, city)
        _tell_new(new, len(told) - len(usable), format)
        return 0

    try:
        return go(work())
    except (BadFile, BadModel) as error:
        return trouble(f"Nothing was learned: {error}", code=1)


def _tell_new(new: Model, strange: int, format: str) -> None:
    if format == "json":
        line({"model": new.version, "examples": new.examples, **new.figures})
        return
    out.print(
        f"{new.version} learned from {new.examples} complaints, and runs in shadow from now on."
    )
    if strange:
        out.print(f"{strange} were left out: the city has no such type any more.")
    out.print("On complaints that it had not seen:")
    out.print("\n".join(_figure_lines(figures_of(new))), markup=False)
    out.print("\n`buckstop model show` shows how it does beside the one that answers.")


def figures_of(model: Model) -> Figures:
    """What a model reached when it was made."""
    told = {one.name: model.figures.get(one.name, 0.0) for one in fields(Figures)}
    return Figures(texts=int(told.pop("texts")), **told)


# ── model ───────────────────────────────────────────────────────────────────────────────────────


@model.default
@model.command
def show(*, where: Where = HERE, format: Format = "text") -> int:
    """Which model answers, which runs in its shadow, and how both did on closed cases."""
    settings = where.settings()
    models = ModelFolder(settings.data / "models").open(load_city(city_folder(settings)))

    async def work() -> int:
        told = await _verdict(settings, models.active, models.shadow) if models.shadow else None
        if format == "json":
            line(
                {
                    "active": models.active.version,
                    "shadow": models.shadow.version if models.shadow else None,
                    "faults": list(models.faults),
                    "districts": [asdict(one) for one in told.districts] if told else [],
                    "better": told.better if told else None,
                    "reasons": list(told.reasons) if told else [],
                }
            )
            return 1 if models.faults else 0
        out.print(f"{models.active.version} answers: {_about(models.active)}.", markup=False)
        if models.shadow is None:
            out.print("No model runs in its shadow. `buckstop train` makes one.")
        else:
            out.print(f"{models.shadow.version} runs in its shadow: {_about(models.shadow)}.")
        if told is not None:
            _tell_verdict(told)
        for fault in models.faults:
            out.print(f"Cannot be used: {fault}", markup=False)
        return 1 if models.faults else 0

    return go(work())


@model.command
def promote(
    *,
    anyway: Annotated[bool, Parameter(help="Even if it is not shown to be better")] = False,
    where: Where = HERE,
) -> int:
    """
    Let the shadow answer from now on, if it was better overall and no worse in any district.

    Judged by closed cases that both were asked about. What runs takes it up within seconds.
    """
    settings = where.settings()
    folder = ModelFolder(settings.data / "models")
    models = folder.open(load_city(city_folder(settings)))
    shadow = models.shadow
    if shadow is None:
        return trouble(
            "\n".join((*models.faults, "No model runs in shadow. `buckstop train` makes one.")),
            code=1,
        )

    async def work() -> int:
        told = await _verdict(settings, models.active, shadow)
        _tell_verdict(told)
        if not told.better and not anyway:
            return trouble(f"{models.active.version} goes on answering.", code=1)
        folder.promote()
        out.print(f"{shadow.version} answers from now on.")
        return 0

    return go(work())


@model.command
def discard(*, where: Where = HERE) -> int:
    """Forget the model that runs in shadow."""
    if not ModelFolder(where.settings().data / "models").discard(SHADOW):
        return trouble("No model runs in shadow.", code=1)
    out.print("No model runs in shadow any more.")
    return 0


@model.command
def back(*, where: Where = HERE) -> int:
    """Go back to the model of the written examples; what history taught is forgotten."""
    if not ModelFolder(where.settings().data / "models").discard(ACTIVE):
        return trouble("The model of the written examples answers already.", code=1)
    out.print("The model of the written examples answers from now on.")
    return 0


@model.command
def make(*, where: Where = HERE) -> int:
    """
    Learn a city's written examples now, and keep the model in the city's folder.

    Whoever gets the folder then starts at once. A minute or two; to be done again after the
    examples or the types have changed.
    """
    folder = city_folder(where.settings())
    try:
        made = learn_written(load_city(folder), to=folder / SHIPPED)
    except BadModel as error:
        return trouble(str(error), code=1)
    out.print(f"{made.version}, {_about(made)}, is kept in {folder / SHIPPED}.", markup=False)
    out.print("On a third of the words of each example, judged by a model of patterns alone:")
    out.print("\n".join(_figure_lines(figures_of(made))), markup=False)
    return 0


async def _verdict(settings: Settings, active: Model, shadow: Model) -> Verdict:
    async with reach(settings) as engines:
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        async with open_pool(stored) as pool, pool.acquire() as conn:
            return verdict(await guesses.judged(conn, active.version, shadow.version))


def _tell_verdict(told: Verdict) -> None:
    if told.districts:
        out.print(f"\n{'':<28}{'cases':>7}{'answers':>9}{'shadow':>9}")
    for one in told.districts:
        out.print(
            f"{one.district or 'no district':<28}{one.cases:>7}"
            f"{one.active / one.cases:>9.3f}{one.shadow / one.cases:>9.3f}",
            markup=False,
        )
    for reason in told.reasons:
        out.print(reason, markup=False)
    if told.better:
        out.print("It is better, and no worse anywhere: `buckstop model promote`.")
    elif told.cases < FEWEST:
        out.print("Give it time.")


def _about(one: Model) -> str:
    what = "written examples" if one.source == "written" else "complaints of the city"
    return f"learned from {one.examples} {what}, {len(one.labels)} types"
