"""
Reading the files of a city's folder: every fault becomes a sentence with its file and line.

What can be read is returned, what cannot is said; whoever reads goes on, so that all faults of a
folder are told at once.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar

import shapely
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

Words = dict[str, str]
"""The same words in each of the city's languages: `{"en": ..., "es": ...}`."""


class BadLayer(Exception):
    """A file or a layer of a map that cannot be taken; the message is a sentence for who asked."""


def _yes_no(value: object) -> object:
    if isinstance(value, str):
        answer = {"yes": True, "no": False}.get(value.strip().lower())
        if answer is None:
            raise ValueError(f'"{value}" is neither yes nor no')
        return answer
    return value


def unlist(value: object) -> object:
    """`a; b` as a tuple; what is no text stays as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(";") if part.strip())
    return value


def or_none(value: object) -> object:
    """Nothing for an empty cell."""
    return None if isinstance(value, str) and not value.strip() else value


YesNo = Annotated[bool, BeforeValidator(_yes_no)]
Listed = Annotated[tuple[str, ...], BeforeValidator(unlist)]
Given = Annotated[str, Field(min_length=1)]
Maybe = Annotated[str | None, BeforeValidator(or_none)]
MaybeDay = Annotated[date | None, BeforeValidator(or_none)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
MaybeMetres = Annotated[
    Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, BeforeValidator(or_none)
]
MaybeLatitude = Annotated[Latitude | None, BeforeValidator(or_none)]
MaybeLongitude = Annotated[Longitude | None, BeforeValidator(or_none)]


class Part(BaseModel):
    """A part of a city, never changed once it is loaded."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, arbitrary_types_allowed=True
    )


M = TypeVar("M", bound=Part)

# What shapely raises for geometry that is none, according to where it is broken.
UNREADABLE_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError, ShapelyError)


def read_text(folder: Path, file: str, faults: list[str]) -> str | None:
    """A file of the folder, UTF-8; None, with the fault said, when it cannot be read."""
    try:
        return (folder / file).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        faults.append(f"{file} is missing in {folder}.")
    except UnicodeDecodeError as error:
        faults.append(f"{file} is not UTF-8: byte {error.start} cannot be read.")
    except OSError as error:
        faults.append(f"{file} cannot be read: {error.strerror}.")
    return None


def read_rows(
    folder: Path, file: str, needed: Sequence[str], faults: list[str]
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their lines; a row that does not fit is said and left out."""
    text = read_text(folder, file, faults)
    if text is None:
        return []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    read: list[tuple[int, dict[str, str]]] = []
    try:
        columns = next(reader, [])
        missing = [column for column in needed if column not in columns]
        if missing:
            faults.append(f"{file}, line 1: the column {', '.join(missing)} is missing.")
            return []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns):
                faults.append(
                    f"{file}, line {reader.line_num}: has {len(row)} cells, but line 1 has "
                    f"{len(columns)} columns; is a comma not in quotes?"
                )
                continue
            read.append((reader.line_num, dict(zip(columns, row, strict=True))))
    except csv.Error as error:
        faults.append(f"{file}, line {reader.line_num}: {error}.")
    return read


def read_features(
    folder: Path, file: str, faults: list[str]
) -> list[tuple[int, Mapping[str, Any], BaseGeometry]]:
    """The valid polygons of a GeoJSON file, with their numbers and properties."""
    text = read_text(folder, file, faults)
    if text is None:
        return []
    try:
        collection = json.loads(text)
        features = collection["features"]
    except (ValueError, KeyError, TypeError):
        faults.append(f"{file} is no GeoJSON FeatureCollection.")
        return []
    read = []
    for number, feature in enumerate(features, start=1):
        where = f"{file}, feature {number}"
        try:
            area = shape(feature["geometry"])
            properties = feature.get("properties") or {}
        except UNREADABLE_SHAPE as error:
            faults.append(f"{where}: its geometry cannot be read ({error}).")
            continue
        if area.geom_type not in ("Polygon", "MultiPolygon") or area.is_empty:
            faults.append(f"{where}: is a {area.geom_type}; it has to be a polygon.")
        elif not area.is_valid:
            faults.append(f"{where}: the polygon is not valid: {shapely.is_valid_reason(area)}.")
        elif not (-180 <= area.bounds[0] and area.bounds[2] <= 180) or not (
            -90 <= area.bounds[1] and area.bounds[3] <= 90
        ):
            faults.append(f"{where}: its points are not longitude and latitude (WGS 84).")
        else:
            read.append((number, properties, area))
    if not features:
        faults.append(f"{file} has no feature.")
    return read


def spoken(
    row: Mapping[str, str], what: str, languages: Sequence[str], where: str, faults: list[str]
) -> Words:
    """The cells `what_en`, `what_es` of a row; an empty one is a fault."""
    words = {language: row.get(f"{what}_{language}", "").strip() for language in languages}
    faults.extend(
        f"{where}: {what}_{language} is empty." for language in words if not words[language]
    )
    return words


def made(model: type[M], values: Mapping[str, object], where: str, faults: list[str]) -> M | None:
    """The values as a part of the city; None, with every fault said, when they are none."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults.extend(f"{where}: {sentence}" for sentence in sentences(error))
        return None


def sentences(error: ValidationError) -> list[str]:
    """What pydantic found, a sentence each."""
    return [
        f"{'.'.join(str(step) for step in fault['loc']) or 'it'}: {fault['msg']}."
        for fault in error.errors()
    ]
