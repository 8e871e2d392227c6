"""
The commands that say which district a point lies in, and which place words mean.

Loaded only when one of them is asked for.
"""

import asyncio
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from gateway.command import HERE, Where, err, line
from gateway.compose import city_folder
from router.district_import import judge
from router.districts import DistrictMap
from router.folder import BadLayer
from router.locate import Located, Locator, Spot
from router.map_layers import read_layer
from router.mentions import Kind, Mention
from router.place_reader import mentions_in
from router.rules import BadCity, City, load_city, read_districts

Folder = Annotated[Path | None, Parameter(help="The city's folder; default: the settings'")]
_MOST_TOLD = 20


def districts_of(
    file: Annotated[Path, Parameter(help="A CSV file with a column for lat and one for lon")],
    *,
    city: Folder = None,
    map: Annotated[str, Parameter(help="Another map than the city's: a file or an address")] = "",
    name_field: Annotated[str, Parameter(help="Of that map")] = "",
    crs: Annotated[str, Parameter(help="Of that map's file")] = "",
    lat: str = "lat",
    lon: str = "lon",
    agree: Annotated[str, Parameter(help="A column with the right answer, to be counted")] = "",
    where: Where = HERE,
) -> int:
    """
    Say which district each point of a CSV file lies in: the same lines with a column `district`.

    With `--agree COLUMN` it also counts how many are what that column says; exit 1 when some are
    not.
    """
    rows, columns = _csv(file)
    if missing := [
        column for column in (lat, lon, *([agree] if agree else [])) if column not in columns
    ]:
        raise BadLayer(f"{file} has no column {', '.join(missing)}; it has {', '.join(columns)}.")
    if map:
        layer = asyncio.run(read_layer(map, crs=crs))
        new = judge(layer, name_field=name_field)
        if new.faults:
            raise BadLayer("\n".join(new.faults))
        districts = DistrictMap(new.districts)
    else:
        faults: list[str] = []
        districts = DistrictMap(read_districts(city or city_folder(where.settings()), faults))
        if faults:
            raise BadCity(faults)
    names = districts.names_of(
        [_number(row[lat]) for row in rows], [_number(row[lon]) for row in rows]
    )
    writer = csv.DictWriter(sys.stdout, [*columns, "district"], lineterminator="\n")
    writer.writeheader()
    for row, name in zip(rows, names, strict=True):
        writer.writerow({**row, "district": name or ""})
    sys.stdout.flush()
    none = sum(1 for name in names if name is None)
    err.print(f"{len(rows):,} points: {len(rows) - none:,} in a district, {none:,} in none")
    if not agree:
        return 0
    wrong = [
        (row, name)
        for row, name in zip(rows, names, strict=True)
        if (name or "") != row[agree].strip()
    ]
    share = 1 - len(wrong) / len(rows) if rows else 1.0
    err.print(
        f"{len(rows) - len(wrong):,} of {len(rows):,} agree with {agree} ({share:.2%})",
        markup=False,
    )
    for row, name in wrong[:_MOST_TOLD]:
        err.print(f"  {row[lat]}, {row[lon]}: {name or 'none'}, not {row[agree]}", markup=False)
    return 1 if wrong else 0


def places_of(
    file: Annotated[
        Path,
        Parameter(
            help="A text a line; or .csv, .jsonl with text and/or address; - is standard input",
            allow_leading_hyphen=True,
        ),
    ],
    *,
    city: Folder = None,
    column: Annotated[str, Parameter(help="Of a CSV file: what is read as an address")] = "address",
    where: Where = HERE,
) -> int:
    """
    Say which place each text or address names, and what becomes of it. No servers, no geocoder.

    Prints a JSON object a line: outcome, words, point, district, choices, referral, and for an
    address its parts. Counts the outcomes at the end.
    """
    loaded = load_city(city or city_folder(where.settings()))
    asked = _asked(file, column)
    located = locator_of(loaded).locate([spot for spot, _ in asked])
    whole = 0
    for (spot, row), found in zip(asked, located, strict=True):
        told = _told(loaded, spot, row, found)
        whole += bool(told["whole"])
        line(told)
    sys.stdout.flush()
    outcomes = Counter(found.outcome.value for found in located)
    err.print(", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common()))
    if addresses := sum(1 for spot, _ in asked if spot.address):
        err.print(f"{whole:,} of {addresses:,} addresses are read whole: number and street")
    return 0


def locator_of(city: City) -> Locator:
    """What looks places up in a city."""
    return Locator(
        city.boundary, city.districts, city.gazetteer, city=city.name, state=city.state_code
    )


# ── what is asked and told ──────────────────────────────────────────────────────────────────────


def _csv(file: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
        rows = [{key: value for key, value in row.items() if key} for row in reader]
    except UnicodeDecodeError as error:
        raise BadLayer(f"{file} is not UTF-8: byte {error.start} cannot be read.") from error
    except csv.Error as error:
        raise BadLayer(f"{file} is no CSV: {error}.") from error
    return rows, list(reader.fieldnames or [])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _asked(file: Path, column: str) -> list[tuple[Spot, Mapping[str, Any]]]:
    if file.suffix == ".csv":
        rows, columns = _csv(file)
        if column not in columns and "text" not in columns:
            raise BadLayer(
                f"{file} has neither a column {column} nor text; it has {', '.join(columns)}."
            )
        return [(_spot({**row, "address": row.get(column, "")}), row) for row in rows]
    stream = sys.stdin.buffer if str(file) == "-" else file.open("rb")
    with stream:
        lines = [raw.decode("utf-8", errors="replace").strip() for raw in stream]
    asked: list[tuple[Spot, Mapping[str, Any]]] = []
    for number, said in enumerate(lines, start=1):
        if not said:
            continue
        row: Mapping[str, Any] = {"text": said}
        if said.startswith("{"):
            try:
                row = json.loads(said)
            except ValueError as error:
                raise BadLayer(f"{file}, line {number}: is no JSON.") from error
        asked.append((_spot(row), row))
    return asked


def _spot(row: Mapping[str, Any]) -> Spot:
    lat, lon = row.get("lat"), row.get("lon")
    return Spot(
        None if lat in (None, "") else _number(str(lat)),
        None if lon in (None, "") else _number(str(lon)),
        str(row.get("address") or "") or None,
        str(row.get("text") or ""),
    )


def _is_whole(address: str, mentions: Sequence[Mention]) -> bool:
    """Whether an address is one number and one street, and nothing of it is left over."""
    if len(mentions) != 1 or mentions[0].kind is not Kind.ADDRESS:
        return False
    return " ".join(address.split()).rstrip(" .,") == mentions[0].words


def _told(city: City, spot: Spot, row: Mapping[str, Any], found: Located) -> dict[str, object]:
    referral = city.referrals.of(found, row.get("problem_type") or None, spot.text)
    agency = city.referrals.agencies.get(referral.agency) if referral else None
    mentions = mentions_in(spot.address or spot.text, city.gazetteer.vocabulary)
    return {
        **{key: row[key] for key in ("id", "external_id", "text", "address") if row.get(key)},
        "whole": bool(spot.address) and _is_whole(spot.address or "", mentions),
        "outcome": "refer" if referral and referral.certain else found.outcome.value,
        "place": found.address,
        "lat": found.lat,
        "lon": found.lon,
        "approximate": found.approximate,
        "district": found.district,
        "choices": [
            {"name": one.name, "lat": one.lat, "lon": one.lon, "district": one.district}
            for one in found.choices
        ],
        "refer": referral
        and {
            "agency": referral.agency,
            "phone": agency.phone if agency else None,
            "because": referral.because,
            "certain": referral.certain,
        },
        "read": [
            {
                "kind": one.kind.value,
                "words": one.words,
                "number": one.number,
                "upto": one.upto,
                "streets": [
                    {"direction": s.direction, "name": s.core, "suffix": s.suffix}
                    for s in one.streets
                ],
                "unit": one.unit,
                "town": one.town,
                "state": one.state,
                "zip": one.zip,
            }
            for one in mentions
        ],
        "reason": found.reason,
    }
