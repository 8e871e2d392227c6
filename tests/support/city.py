"""A small city for tests: written into a folder file by file, so that a test can break one."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from bus.contracts import ComplaintReceived
from bus.identity import complaint_id
from router.rules import CITIES

HEARD = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)


def copy_of_sample(folder: Path) -> Path:
    """A copy of the sample city that may be changed."""
    return Path(shutil.copytree(CITIES / "independence", folder / "city"))


def change(city: Path, file: str, old: str, new: str) -> None:
    """Replaces the first `old` in a file of a city; it has to stand there."""
    text = (city / file).read_text()
    assert old in text, f"{old!r} does not stand in {file}"
    (city / file).write_text(text.replace(old, new, 1))


def square(west: float, south: float, east: float, north: float, **properties: str) -> object:
    """A GeoJSON feature with four corners."""
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def write_features(city: Path, file: str, *features: object) -> None:
    collection = {"type": "FeatureCollection", "features": features}
    (city / file).write_text(json.dumps(collection))


def complaint(text: str, number: int = 1, **fields: object) -> ComplaintReceived:
    """A complaint from the web form, as the router hears it."""
    external_id = str(number)
    return ComplaintReceived.model_validate(
        {
            "message_id": complaint_id("web", external_id),
            "occurred_at": HEARD,
            "channel": "web",
            "external_id": external_id,
            "reference": "7KQ-2MX-94",
            "text": text,
            **fields,
        }
    )
