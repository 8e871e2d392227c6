"""Any number of reports, no two alike, as residents of the sample city might write them."""

import json
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

_WHAT = (
    "There is a deep pothole in the right lane",
    "The street light has been dark for a week",
    "Trash is piled up in the front yard and it smells",
    "A big limb came down and blocks the sidewalk",
    "Water is bubbling up out of the pavement",
    "Hay un hoyo grande en la calle y se llena de agua",
    "The grass is taller than my fence",
    "Somebody left a couch and two mattresses by the road",
    "An old pickup without plates has not moved since spring",
    "A loose dog chases the children on their way to school",
    "The storm drain is clogged and the corner floods",
    "Graffiti all over the back of the building",
    "The traffic signal stays red for five minutes",
    "No recogieron la basura de nuestra cuadra",
    "The sewer smells terribly every evening",
    "I just want to say that something should be done about it all",
)
_WHERE = (
    ("11401 E 23rd St", None),
    ("1200 S Noland Rd", None),
    ("625 S Osage St", None),
    (None, (39.0911, -94.4155)),
    ("the corner by the gas station", None),
    (None, None),
    ("4520 Main Street, Kansas City", None),
)
_WHO = (
    {"name": "Rosa Lara", "email": "rosa@resident.example", "language": "es"},
    {"email": "marcus@resident.example", "phone": "816-555-0142"},
    {"phone": "816-555-0177"},
    {},
)


def reports() -> Iterator[dict[str, object]]:
    """Reports with the fields that `buckstop submit` takes; the `n`-th is always the same."""
    for number, (who, (address, point), what) in enumerate(product(_WHO, _WHERE, _WHAT), start=1):
        report: dict[str, object] = {
            "external_id": f"report-{number}",
            "text": f"{what}. It is the {number}. time that I write. 🚧",
            **who,
        }
        if address:
            report["address"] = address
        if point:
            report["lat"], report["lon"] = point
        yield report


def write_reports(path: Path, count: int, *, start: int = 0) -> Path:
    """`count` of them as a file for `buckstop submit`."""
    lines = [json.dumps(report) for report in islice(reports(), start, start + count)]
    assert len(lines) == count
    path.write_text("\n".join(lines) + "\n")
    return path
