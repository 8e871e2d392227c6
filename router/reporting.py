"""
What a city's `reports.csv` says of its problem types: other names for them in old papers, and the
days in which they are to be looked after and done. The file may be missing.
"""

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

FILE = "reports.csv"
COLUMNS = ("problem_type", "aliases", "act_within_days", "close_within_days")


@dataclass(frozen=True)
class TypeInReports:
    problem_type: str
    aliases: tuple[str, ...] = ()
    """Other names under which the city's own papers know it; they count as this type."""
    act_within_days: float | None = None
    """In how many days somebody is to have looked at it."""
    close_within_days: float | None = None


def read_reporting(
    folder: Path, problem_types: Collection[str], faults: list[str]
) -> tuple[TypeInReports, ...]:
    """The lines of the file; what is wrong with it is added to `faults`, in sentences."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError as error:
        faults.append(f"{FILE} is not UTF-8: byte {error.start} cannot be read.")
        return ()
    table = csv.DictReader(io.StringIO(text, newline=""))
    if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
        faults.append(f"{FILE}, line 1: the column {', '.join(missing)} is missing.")
        return ()
    read: list[TypeInReports] = []
    taken = dict.fromkeys(problem_types, 0)  # by the line in which a name is used
    named: set[str] = set()
    for row in table:
        line = table.line_num
        name = (row["problem_type"] or "").strip()
        if name not in problem_types:
            faults.append(f'{FILE}, line {line}: "{name}" is not in problem-types.csv.')
            continue
        if name in named:
            faults.append(f'{FILE}, line {line}: "{name}" stands there twice.')
        named.add(name)
        aliases = tuple(part.strip() for part in (row["aliases"] or "").split(";") if part.strip())
        for alias in aliases:
            if alias in taken:
                where = f"line {taken[alias]}" if taken[alias] else "problem-types.csv"
                faults.append(f'{FILE}, line {line}: "{alias}" already stands in {where}.')
            taken.setdefault(alias, line)
        act, close = (_days(row, column, line, faults) for column in COLUMNS[2:])
        read.append(TypeInReports(name, aliases, act, close))
    return tuple(read)


def _days(row: dict[str, str | None], column: str, line: int, faults: list[str]) -> float | None:
    word = (row[column] or "").strip()
    if not word:
        return None
    try:
        days = float(word)
    except ValueError:
        days = 0.0
    if not 0 < days <= 3660:
        faults.append(f'{FILE}, line {line}: {column} "{word}" is no number of days.')
        return None
    return days
