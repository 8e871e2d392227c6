"""The places of a city's folder: `streets.csv` and `addresses.csv`, read and checked."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from sys import intern

import numpy as np
import shapely
from pydantic import model_validator
from shapely.geometry.base import BaseGeometry

from router.folder import (
    Given,
    Listed,
    MaybeLatitude,
    MaybeLongitude,
    Part,
    YesNo,
    made,
    read_rows,
)
from router.gazetteer import Address, Gazetteer
from router.place_words import place_key, street_named

PLACES, ADDRESSES = "streets.csv", "addresses.csv"
KINDS = ("landmark", "address", "corner", "street")
COLUMNS = ("number", "street", "zip", "lat", "lon")
"""Of addresses.csv."""

_MOST_SAID = 5  # faults of one kind in a file that may have a hundred thousand lines


class Place(Part):
    """A landmark, an address, a corner or a street of `streets.csv`."""

    name: Given
    kind: Given
    aliases: Listed = ()
    lat: MaybeLatitude = None
    lon: MaybeLongitude = None
    approximate: YesNo = True

    @model_validator(mode="after")
    def _is_whole(self) -> "Place":
        if (self.lat is None) != (self.lon is None):
            raise ValueError("lat and lon go together")
        return self


def read_places(folder: Path, faults: list[str]) -> list[tuple[int, Place]]:
    """What `streets.csv` says, with its lines; nothing when there is no such file."""
    if not (folder / PLACES).exists():
        return []
    read = []
    for line, row in read_rows(folder, PLACES, ("name", "kind"), faults):
        known = {key: row[key] for key in row if key in Place.model_fields and row[key].strip()}
        if place := made(Place, known, f"{PLACES}, line {line}", faults):
            read.append((line, place))
    return read


def check_places(
    places: Sequence[tuple[int, Place]], boundary: BaseGeometry | None, faults: list[str]
) -> None:
    """No place has another's name, or lies outside the city."""
    seen: dict[str, Place] = {}
    for line, place in places:
        where = f"{PLACES}, line {line}"
        if place.kind not in KINDS:
            faults.append(f'{where}: "{place.kind}" is no kind; kinds are {", ".join(KINDS)}.')
        if place.kind in ("address", "corner") and place.lat is None:
            faults.append(f'{where}: "{place.name}" is an {place.kind} and has no point.')
        if (
            boundary is not None
            and place.lat is not None
            and not boundary.covers(shapely.Point(place.lon, place.lat))
        ):
            faults.append(f'{where}: "{place.name}" lies outside boundary.geojson.')
        for name in (place.name, *place.aliases):
            key = place_key(name)
            if not key:
                faults.append(f'{where}: "{name}" has no word that a place could be found by.')
            elif key in seen and seen[key] is not place:
                faults.append(f'{where}: "{name}" also names "{seen[key].name}".')
            else:
                seen[key] = place


def read_gazetteer(
    folder: Path,
    places: Sequence[tuple[int, Place]],
    towns: Sequence[Sequence[str]],
    own_town: str,
    boundary: BaseGeometry | None,
    faults: list[str],
) -> Gazetteer:
    """The places and all of `addresses.csv`, which may be missing, ready for looking up."""
    addresses = list(read_addresses(folder, faults))
    if boundary is not None and addresses:
        lons = np.array([address.lon for address in addresses])
        lats = np.array([address.lat for address in addresses])
        shapely.prepare(boundary)
        (outside,) = np.nonzero(~shapely.intersects_xy(boundary, lons, lats))
        for place in outside[:_MOST_SAID].tolist():
            one = addresses[place]
            faults.append(
                f'{ADDRESSES}: "{one.number} {one.street}" lies outside boundary.geojson.'
            )
        if len(outside) > _MOST_SAID:
            faults.append(f"{ADDRESSES}: so do {len(outside) - _MOST_SAID} others.")
    return Gazetteer([place for _, place in places], addresses, towns, own_town)


def read_addresses(folder: Path, faults: list[str]) -> Iterator[Address]:
    """The addresses of `addresses.csv`; what is none is said, a few of each file."""
    if not (folder / ADDRESSES).exists():
        return
    # A city has a hundred thousand of them: read one by one, not gathered first.
    bad = 0
    for line, row in _address_rows(folder, faults):
        number, street, zip_code, lat, lon = row
        fault = ""
        try:
            at = int(number), float(lat), float(lon)
        except ValueError:
            fault = "number, lat or lon is none"
        else:
            if at[0] < 1 or not (abs(at[1]) <= 90 and abs(at[2]) <= 180):
                fault = "number, lat or lon is none"
            elif street_named(street) is None:
                fault = f'"{street}" names no street'
        if not fault:
            yield Address(at[0], intern(street.strip()), intern(zip_code.strip()), at[1], at[2])
            continue
        bad += 1
        if bad <= _MOST_SAID:
            faults.append(f"{ADDRESSES}, line {line}: {fault}.")
    if bad > _MOST_SAID:
        faults.append(f"{ADDRESSES}: {bad - _MOST_SAID} more lines are no addresses.")


def _address_rows(folder: Path, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The cells of COLUMNS of each line."""
    try:
        with (folder / ADDRESSES).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, [])
            if missing := [column for column in COLUMNS if column not in head]:
                faults.append(f"{ADDRESSES}, line 1: the column {', '.join(missing)} is missing.")
                return
            at = [head.index(column) for column in COLUMNS]
            for row in reader:
                if len(row) == len(head):
                    yield reader.line_num, [row[place] for place in at]
                elif row:
                    faults.append(
                        f"{ADDRESSES}, line {reader.line_num}: has {len(row)} cells, but line 1 "
                        f"has {len(head)} columns; is a comma not in quotes?"
                    )
    except UnicodeDecodeError as error:
        faults.append(f"{ADDRESSES} is not UTF-8: byte {error.start} cannot be read.")
    except csv.Error as error:
        faults.append(f"{ADDRESSES}, line {reader.line_num}: {error}.")
    except OSError as error:
        faults.append(f"{ADDRESSES} cannot be read: {error.strerror}.")
