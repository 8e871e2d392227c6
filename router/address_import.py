"""
Addresses for a city's folder, out of what cities and OpenAddresses publish.

CSV with a number and a street (`NUMBER`, `STREET` as OpenAddresses writes them, or the names that
cities use), CSV with the whole address in one column, and point layers as GeoJSON or from an
ArcGIS server. What has no point, no number or no street, and what lies outside the city, is left
out and counted.
"""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import usaddress
from shapely.geometry.base import BaseGeometry

from router.district_import import keep_old
from router.folder import BadLayer
from router.gazetteer import Address
from router.map_layers import read_layer
from router.place_files import ADDRESSES, COLUMNS
from router.place_words import DIRECTION, Street, street_named

Row = Mapping[str, Any]

# The names under which a thing is published, in small letters and without what parts words.
_NUMBER = ("number", "housenumber", "housenum", "hsenum", "stnum", "stnumber", "addrnum",
           "addressnumber", "addnumber", "addrnumber", "addrhn", "hn", "streetnumber",
           "streetnum", "addrhousenumber")  # fmt: skip
_STREET = ("street", "fullstreet", "streetname", "stname", "fullname", "fullstreetname",
           "addrstreet", "roadname", "strname")  # fmt: skip
_BEFORE = ("predir", "stpredir", "prefix", "predirection", "streetprefix", "prefixdir")
_SUFFIX = ("suffix", "sttype", "streettype", "suftype", "sttypesuf", "posttype", "streetsuffix",
           "stpostyp")  # fmt: skip
_BEHIND = ("sufdir", "stsufdir", "postdir", "suffixdir", "stposdir")
_WHOLE = ("address", "fulladdress", "fulladdr", "addressfull", "siteaddress", "siteaddr", "addr",
          "situsaddress", "streetaddress", "location")  # fmt: skip
_ZIP = ("zip", "postcode", "zipcode", "postalcode", "zip5", "addrpostcode")
_LAT = ("lat", "latitude", "y", "ycoord", "pointy")
_LON = ("lon", "lng", "long", "longitude", "x", "xcoord", "pointx")


@dataclass(frozen=True)
class Gathered:
    """The addresses that can be taken, and how many cannot and why."""

    addresses: tuple[Address, ...]
    read: int
    left_out: Mapping[str, int]
    columns: Mapping[str, str]
    """What was taken from which column."""

    @property
    def streets(self) -> int:
        return len({address.street for address in self.addresses})


async def gather(source: str, boundary: BaseGeometry | None, *, crs: str = "") -> Gathered:
    """The addresses of a file or an ArcGIS layer. Raises `BadLayer` with a sentence."""
    if source.lower().removesuffix(".gz").endswith((".csv", ".txt")):
        rows = list(_csv_rows(Path(source)))
    else:
        layer = await read_layer(source, crs=crs)
        rows = [
            {**properties, "lat": point.y, "lon": point.x}
            for properties, area in layer.features
            if not area.is_empty
            for point in (area if area.geom_type == "Point" else area.representative_point(),)
        ]
        if not rows:
            raise BadLayer(f"{source} has no feature with a point.")
    return _gathered(source, rows, boundary)


def write(folder: Path, addresses: Sequence[Address], today: date) -> Path | None:
    """Put them into the folder, by street and number; the old file is kept and returned."""
    path = folder / ADDRESSES
    kept = keep_old(path, today)
    draft = path.with_name(f".{ADDRESSES}.new")
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in addresses:
            writer.writerow((one.number, one.street, one.zip, f"{one.lat:.7f}", f"{one.lon:.7f}"))
    draft.replace(path)
    return kept


def _csv_rows(path: Path) -> Iterator[Row]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLayer(f"{path} is not UTF-8: byte {error.start} cannot be read.") from error
    try:
        yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise BadLayer(f"{path} is no CSV: {error}.") from error


def _gathered(source: str, rows: Sequence[Row], boundary: BaseGeometry | None) -> Gathered:
    if not rows:
        raise BadLayer(f"{source} has no line.")
    columns = _columns(source, rows[0].keys())
    left_out: Counter[str] = Counter()
    found: dict[tuple[int, Street], Address] = {}
    written: dict[Street, Counter[str]] = {}
    for row in rows:
        number, name = _number_and_street(row, columns)
        street = street_named(name)
        point = _point(row, columns)
        if point is None:
            left_out["without a point"] += 1
        elif not number:
            left_out["without a house number"] += 1
        elif street is None:
            left_out["without a street"] += 1
        else:
            written.setdefault(street, Counter())[name] += 1
            address = Address(
                number, name, str(row.get(columns.get("zip", ""), "") or "").strip()[:5], *point
            )
            if found.setdefault((number, street), address) is not address:
                left_out["the same number of the same street again (flats)"] += 1
    # A street that is written in several ways is called as it mostly is.
    names = {street: ways.most_common(1)[0][0] for street, ways in written.items()}
    kept = sorted(
        (one._replace(street=names[street]) for (_, street), one in found.items()),
        key=lambda one: (one.street, one.number),
    )
    if boundary is not None and kept:
        shapely.prepare(boundary)
        inside = shapely.intersects_xy(
            boundary, np.array([one.lon for one in kept]), np.array([one.lat for one in kept])
        )
        left_out["outside the city"] = int((~inside).sum())
        kept = [one for one, is_in in zip(kept, inside.tolist(), strict=True) if is_in]
    return Gathered(tuple(kept), len(rows), {k: n for k, n in left_out.items() if n}, columns)


def _columns(source: str, names: Iterable[str]) -> dict[str, str]:
    known = {_bare(name): name for name in reversed([name for name in names if name])}

    def one(of: Sequence[str]) -> str | None:
        return next((known[name] for name in of if name in known), None)

    columns = {
        what: column
        for what, of in (
            ("number", _NUMBER), ("street", _STREET), ("before", _BEFORE), ("suffix", _SUFFIX),
            ("behind", _BEHIND), ("whole", _WHOLE), ("zip", _ZIP), ("lat", _LAT), ("lon", _LON),
        )
        if (column := one(of)) is not None
    }  # fmt: skip
    if "lat" not in columns or "lon" not in columns:
        raise BadLayer(
            f"{source} has no columns with the points: call them lat and lon, in degrees. "
            f"There are {', '.join(known.values())}."
        )
    if not {"number", "street"} <= columns.keys() and "whole" not in columns:
        raise BadLayer(
            f"{source} has no columns with the addresses: call them number and street, or address "
            f"for both. There are {', '.join(known.values())}."
        )
    if {"number", "street"} <= columns.keys():
        columns.pop("whole", None)
    else:
        for part in ("number", "street", "before", "suffix", "behind"):
            columns.pop(part, None)
    return columns


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _number_and_street(row: Row, columns: Mapping[str, str]) -> tuple[int, str]:
    if "whole" in columns:
        return _parted(str(row.get(columns["whole"]) or ""))
    parts = [
        str(row.get(columns[part]) or "").strip()
        for part in ("before", "street", "suffix", "behind")
        if part in columns
    ]
    written = str(row.get(columns["number"]) or "").strip()
    return _first_number(written), _named(" ".join(part for part in parts if part))


def _parted(address: str) -> tuple[int, str]:
    """The number and the street of a whole address."""
    try:
        parts, _ = usaddress.tag(address)
    except usaddress.RepeatedLabelError:
        return 0, ""
    street = " ".join(
        str(value) for label, value in parts.items() if label.startswith("StreetName")
    )
    return _first_number(str(parts.get("AddressNumber", ""))), _named(street)


def _named(street: str) -> str:
    """As people write it, where a list shouts; without a flat's letter before it."""
    words = street.replace(",", " ").split()
    if len(words) > 2 and len(words[0]) == 1 and words[0].lower() not in DIRECTION:
        words = words[1:]
    if words and street.upper() == street:
        words = [
            word if word.lower() in DIRECTION or not word.isalpha() else word.capitalize()
            for word in words
        ]
        words = [word.lower() if word[0].isdigit() else word for word in words]
    return " ".join(words)


def _first_number(written: str) -> int:
    digits = ""
    for letter in written:
        if not letter.isdigit():
            break
        digits += letter
    return int(digits) if 0 < len(digits) <= 6 else 0


def _point(row: Row, columns: Mapping[str, str]) -> tuple[float, float] | None:
    try:
        lat, lon = float(row[columns["lat"]]), float(row[columns["lon"]])
    except (TypeError, ValueError, KeyError):
        return None
    return (lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 and (lat or lon) else None
