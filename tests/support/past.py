"""An export of another system as its city would publish it, invented row by row."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS = (
    *("CASE ID", "SOURCE", "DEPARTMENT", "REQUEST TYPE", "CREATION DATE", "CREATION TIME"),
    *("STATUS", "CLOSED DATE", "DAYS TO CLOSE", "STREET ADDRESS", "COUNCIL DISTRICT"),
    *("LATITUDE", "LONGITUDE"),
)
"""Those that the map `kansas-city` names."""


def request(number: int, **other: str) -> dict[str, str]:
    """One row; `other` by its column, with underscores for blanks."""
    row = {
        "CASE ID": f"20190{number:05}",
        "SOURCE": "PHONE",
        "DEPARTMENT": "Public Works",
        "REQUEST TYPE": "Pothole",
        "CREATION DATE": "06/03/2019",
        "CREATION TIME": "02:31 PM",
        "STATUS": "RESOL",
        "CLOSED DATE": "06/10/2019",
        "DAYS TO CLOSE": "7.0",
        "STREET ADDRESS": "100 Invented St",
        "COUNCIL DISTRICT": "3.0",
        "LATITUDE": "39.05",
        "LONGITUDE": "-94.57",
    }
    return row | {name.replace("_", " "): value for name, value in other.items()}


def still_open(number: int, **other: str) -> dict[str, str]:
    return request(number, **{"STATUS": "OPEN", "CLOSED_DATE": "", "DAYS_TO_CLOSE": ""} | other)


def write_export(
    path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS
) -> Path:
    """The rows as CSV; gzipped when the path ends like that."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)
    return path
