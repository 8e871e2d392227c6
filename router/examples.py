"""
A city's written examples: `examples.jsonl`, a report on a line, and the folder `patterns`.

Read and checked with the rest of the folder; what the classifier makes of them is `stories.py`.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from router.folder import read_text
from router.patterns import Patterns, load_patterns

FEWEST = 5
"""So many examples or patterns each type needs that may be guessed."""


class Example(NamedTuple):
    problem_type: str
    text: str
    language: str = "en"


class Kind(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def offered(self) -> bool: ...


def read_examples(folder: Path, faults: list[str]) -> list[tuple[int, Example]]:
    """The lines of `examples.jsonl`, each with its number."""
    text = read_text(folder, "examples.jsonl", faults)
    read = []
    for line, row in enumerate((text or "").splitlines(), start=1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
            example = Example(value["problem_type"], value["text"], value.get("language", "en"))
        except (ValueError, KeyError, TypeError, AttributeError):
            faults.append(
                f"examples.jsonl, line {line}: is no JSON object with problem_type and text."
            )
            continue
        if not isinstance(example.text, str) or not example.text.strip():
            faults.append(f"examples.jsonl, line {line}: text is empty.")
        elif not isinstance(example.language, str):
            faults.append(f"examples.jsonl, line {line}: language is no text.")
        else:
            read.append((line, example))
    return read


def read_patterns(folder: Path, faults: list[str]) -> Patterns:
    """The folder `patterns`; a city need not have one."""
    return load_patterns(folder / "patterns", faults)


def check_examples(
    examples: Sequence[tuple[int, Example]],
    patterns: Patterns,
    problem_types: Iterable[Kind],
    faults: list[str],
) -> None:
    """That every type that may be guessed is shown often enough, and no other is."""
    types = {kind.name: kind for kind in problem_types}
    shown = dict.fromkeys((name for name, kind in types.items() if kind.offered), 0)
    told = [(f"examples.jsonl, line {line}", one.problem_type) for line, one in examples]
    told += [(one.where, one.problem_type) for one in patterns.patterns]
    for where, name in told:
        kind = types.get(name)
        if kind is None:
            faults.append(f'{where}: "{name}" is not in problem-types.csv.')
        elif not kind.offered:
            faults.append(
                f'{where}: "{name}" is for staff only and never guessed, so it takes no examples.'
            )
        else:
            shown[name] += 1
    for name, count in shown.items():
        if count < FEWEST:
            faults.append(
                f'examples.jsonl: "{name}" has {count} examples; it needs at least {FEWEST}.'
            )
