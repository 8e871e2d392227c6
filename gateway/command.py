"""What all commands share: their options, how they tell figures, and how they end."""

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway import settings as settings_
from gateway.logs import set_up
from gateway.settings import Settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Options that every command takes."""

    data: Annotated[Path | None, Parameter(help="The data directory (default: .buckstop)")] = None
    config: Annotated[Path | None, Parameter(help="A TOML file of settings")] = None

    def settings(self) -> Settings:
        loaded = settings_.load(self.config, data=self.data)
        set_up(loaded.log)
        return loaded


HERE = Where()
Format = Annotated[Literal["text", "json"], Parameter(help="How figures are printed")]


def go(work: Coroutine[Any, Any, int | None]) -> int:
    """Runs a command's work; the exit code."""
    return asyncio.run(work) or 0


def trouble(sentence: str, code: int = 2) -> int:
    """Says why a command did not do what was asked; the exit code."""
    err.print(sentence, markup=False)
    return code


def line(value: object) -> None:
    """Prints a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def lines_of(file: Path) -> list[str]:
    """The lines of a file, or of standard input, that are not empty."""
    stream = sys.stdin.buffer if str(file) == "-" else file.open("rb")
    with stream:
        return [line for raw in stream if (line := raw.decode(errors="replace")).strip()]


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Any]:
    """
    A progress bar on a terminal, silence elsewhere; gives what is called after each step, or with
    how far it came by now. `total` None: nobody knows yet.
    """
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    task = bar.add_task(what, total=total)

    def step(done: int | None = None) -> None:
        if done is None:
            bar.advance(task)
        else:
            bar.update(task, completed=done)

    with bar:
        yield step
