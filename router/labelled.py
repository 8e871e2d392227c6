"""
Reading a CSV file of complaints whose type is known, from whatever city it comes.

A file needs a text and a type on each line. What cannot be used is counted and said, and the rest
is read.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Descriptions of ten pages are real; the csv module's own limit is less.
_LONGEST_CELL = 10_000_000

TEXT_COLUMNS = ("text", "description", "comments", "complaint", "details", "body")
TYPE_COLUMNS = ("problem_type", "type", "category", "request_type", "label")
SPLIT_COLUMN = "split"
DISTRICT_COLUMN = "district"
PLACE_COLUMN = "address"


class BadFile(Exception):
    """The file cannot be used; the message is a sentence for whoever named it."""


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    text: str
    problem_type: str
    split: str
    district: str
    place: str
    """Where it is, as the file says it; empty where it does not."""


@dataclass(frozen=True)
class Labelled:
    """What a file holds."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]
    """How many lines were not used, by the reason."""
    splits: tuple[str, ...]

    def of(self, split: str) -> tuple[Row, ...]:
        """The rows of a split; raises BadFile, naming those that there are, when it has none."""
        found = tuple(row for row in self.rows if row.split == split)
        if not found:
            known = ", ".join(self.splits) or "none"
            raise BadFile(
                f'No line of split "{split}" has a text and a type. Splits in the file: {known}.'
            )
        return found


def read_labelled(
    path: Path, *, text: str = "", label: str = "", names: Mapping[str, str] | None = None
) -> Labelled:
    """
    The complaints of a CSV file. `text` and `label` name its columns where they are called
    otherwise; `names` says which type of ours a label of theirs means (empty: none).

    Raises BadFile for a file that is no such table.
    """
    try:
        told = path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise BadFile(f"{path}: there is no such file.") from None
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}.") from error
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.DictReader(io.StringIO(told, newline=""))
    try:
        columns = [column.strip() for column in reader.fieldnames or () if column]
        reader.fieldnames = [(column or "").strip() for column in reader.fieldnames or ()]
        text_column = _column(path, columns, text, TEXT_COLUMNS, "the text")
        type_column = _column(path, columns, label, TYPE_COLUMNS, "the type")
        return _rows(reader, text_column, type_column, names or {})
    except csv.Error as error:
        raise BadFile(f"{path}, line {reader.line_num}: {error}.") from error


def _column(path: Path, columns: Sequence[str], named: str, usual: Sequence[str], what: str) -> str:
    known = {column.lower(): column for column in columns}
    for name in (named,) if named else usual:
        if name.lower() in known:
            return known[name.lower()]
    there = ", ".join(columns) or "no columns"
    asked = f'"{named}"' if named else f"none of {', '.join(usual)}"
    raise BadFile(
        f"{path} has no column with {what}: {asked} is there. It has {there}. "
        "Name it with --text-column or --label-column."
    )


def _rows(
    reader: "csv.DictReader[str]", text_column: str, type_column: str, names: Mapping[str, str]
) -> Labelled:
    rows: list[Row] = []
    splits: dict[str, None] = {}
    left_out: Counter[str] = Counter()
    for cells in reader:
        split = (cells.get(SPLIT_COLUMN) or "").strip()
        if split:
            splits.setdefault(split)
        text = (cells.get(text_column) or "").strip()
        label = (cells.get(type_column) or "").strip()
        label = names.get(label, label)
        if not text:
            left_out["no text"] += 1
        elif not label:
            left_out["no type"] += 1
        else:
            district = (cells.get(DISTRICT_COLUMN) or "").strip()
            place = (cells.get(PLACE_COLUMN) or "").strip()
            rows.append(Row(reader.line_num, text, label, split, district, place))
    return Labelled(tuple(rows), dict(left_out), tuple(splits))


def read_names(path: Path) -> dict[str, str]:
    """
    A CSV file of two columns, a label of theirs and a type of ours; raises BadFile.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise BadFile(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{path} cannot be read: {error}.") from error
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise BadFile(f"{path}, row {number}: a label and a type are due.")
    return {row[0].strip(): row[1].strip() for row in rows}
