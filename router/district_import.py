"""
A new map of districts: judged, compared with the one in force, and written in its place.

Pure but for the last step. A map with overlaps, shapes that cannot be mended or names that are
missing is refused; gaps, slivers and odd names are told. What would change is told before anything
is written: which districts, how much land, which known addresses.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from router.arcgis import Feature
from router.districts import SLIVER, DistrictMap, Numbers, in_order
from router.folder import BadLayer, Part
from router.map_layers import Layer

FILE = "districts.geojson"
BOUNDARY = "boundary.geojson"

# In this order; a field that is called just `name` comes first. NAME is often the member's.
_FIELDS = (
    "district", "district_name", "districtname", "dist_name", "council_district", "councildistrict",
    "ward", "ward_name", "district_no", "districtno", "dist_no", "distno", "district_id", "dist",
    "council", "area", "name", "label", "number", "no", "id",
)  # fmt: skip
_MENDED = 1e-6
"""The share of its area that a mended shape may differ by."""
_OVERLAP = 0.001
"""The share of a district that another may cover: where two drawings of one line differ."""
_WORTH = 1_000.0
"""Square metres of a gap or a sliver that is worth a word."""
_METRES = 111_320.0


class NewDistrict(Part):
    name: str
    area: BaseGeometry
    properties: Mapping[str, Any] = {}


@dataclass(frozen=True)
class NewMap:
    """A map as it would be written, and what there is to say about it."""

    districts: tuple[NewDistrict, ...]
    faults: tuple[str, ...]
    """Why it cannot be taken."""
    notes: tuple[str, ...]
    name_field: str


@dataclass(frozen=True)
class Change:
    """One district of the old or the new map."""

    name: str
    before: float | None
    """Square kilometres; None: there was none of this name."""
    after: float | None
    moved: float
    """Square kilometres that are in one of the two maps alone."""


@dataclass(frozen=True)
class Moves:
    """What a new map does to points: how many there are, how many change from where to where."""

    points: int
    moved: Mapping[tuple[str | None, str | None], int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.moved.values())


def judge(
    layer: Layer,
    *,
    name_field: str = "",
    prefix: str = "",
    boundary: BaseGeometry | None = None,
) -> NewMap:
    """
    The layer as a map of districts. `name_field` is the attribute with their names; without it,
    the one that looks most like it. `prefix` is put before each: `District ` makes `4` District 4.
    """
    faults: list[str] = []
    notes: list[str] = []
    chosen = name_field or _name_field(layer.features)
    known = sorted({key for properties, _ in layer.features for key in properties})
    if not chosen or chosen not in known:
        which = f'"{name_field}" is no field of it' if name_field else "no field names them all"
        raise BadLayer(
            f"The districts of {layer.source} have no names: {which}. Choose one with "
            f"--name-field; there are {', '.join(known) or 'none'}."
        )
    parts: dict[str, list[tuple[Mapping[str, Any], BaseGeometry]]] = {}
    for number, (properties, area) in enumerate(layer.features, start=1):
        where = f"feature {number}"
        name = _name_of(properties.get(chosen), where, faults, notes)
        mended = _mended(area, name or where, faults, notes)
        if name and mended is not None:
            parts.setdefault(prefix + name, []).append((properties, mended))
    districts = []
    for name, pieces in parts.items():
        if len(pieces) > 1:
            notes.append(f'"{name}" comes in {len(pieces)} features, which become one district.')
        area = pieces[0][1] if len(pieces) == 1 else shapely.union_all([one for _, one in pieces])
        districts.append(NewDistrict(name=name, area=area, properties=pieces[0][0]))
    districts.sort(key=lambda one: (in_order(one.name), one.name))
    _check_names([one.name for one in districts], notes)
    if districts:
        _check_overlaps(districts, faults, notes)
        _check_gaps(districts, boundary, notes)
    return NewMap(tuple(districts), tuple(faults), tuple(notes), chosen)


def compare(old: Sequence[Any], new: Sequence[NewDistrict]) -> list[Change]:
    """Every district of either map, with how much land it gains or loses."""
    before = {one.name: one.area for one in old}
    after = {one.name: one.area for one in new}
    changes = []
    for name in sorted({*before, *after}, key=in_order):
        was, becomes = before.get(name), after.get(name)
        if was is not None and becomes is not None:
            moved = _square_metres(was.symmetric_difference(becomes))
        else:
            moved = _square_metres(was if was is not None else becomes)
        changes.append(
            Change(
                name,
                None if was is None else _square_metres(was) / 1e6,
                None if becomes is None else _square_metres(becomes) / 1e6,
                moved / 1e6,
            )
        )
    return changes


def moves(old: Sequence[Any], new: Sequence[NewDistrict], lats: Numbers, lons: Numbers) -> Moves:
    """Which points come into another district."""
    if not len(lats):
        return Moves(0)
    one, other = DistrictMap(old), DistrictMap(new)
    before = [None if at < 0 else one.names[at] for at in one.of(lats, lons)]
    after = [None if at < 0 else other.names[at] for at in other.of(lats, lons)]
    counted = Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
    return Moves(len(lats), dict(counted.most_common()))


def write(folder: Path, new: NewMap, layer: Layer, today: date, *, boundary: bool) -> list[Path]:
    """
    Put the map into the folder; the old file is kept beside it, with the day as its name. With
    `boundary` the city's outline becomes that of its districts. Returns the files that were kept.
    """
    collection = {
        "type": "FeatureCollection",
        "name": layer.name,
        "source": layer.source,
        "imported": today.isoformat(),
        "features": [
            {
                "type": "Feature",
                "properties": {**_plain(one.properties), "name": one.name},
                "geometry": mapping(one.area),
            }
            for one in new.districts
        ],
    }
    kept = [_replace(folder / FILE, json.dumps(collection, ensure_ascii=False), today)]
    if boundary:
        outline = {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"source": "the outline of the districts"},
                    "geometry": mapping(shapely.union_all([one.area for one in new.districts])),
                }
            ],
        }
        kept.append(_replace(folder / BOUNDARY, json.dumps(outline), today))
    return [path for path in kept if path is not None]


def keep_old(path: Path, today: date) -> Path | None:
    """Keep a file under the name of the day up to which it held; None if there was none."""
    if not path.exists():
        return None
    for number in range(1, 1_000):
        ending = "" if number == 1 else f".{number}"
        kept = path.with_name(f"{path.stem}.until-{today.isoformat()}{ending}{path.suffix}")
        if not kept.exists():
            kept.write_bytes(path.read_bytes())
            return kept
    raise BadLayer(f"{path.parent} has a thousand old files of today.")


def _replace(path: Path, text: str, today: date) -> Path | None:
    kept = keep_old(path, today)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
    return kept


def _plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in properties.items()
        if isinstance(value, str | int | float | bool) and key != "status"
    }


# ── judging ─────────────────────────────────────────────────────────────────────────────────────


def _name_field(features: Sequence[Feature]) -> str:
    """The attribute that has a name for every district, and another for each if there is one."""
    present = {key for properties, _ in features for key in properties}
    wanted = [*(["name"] if "name" in present else []), *_FIELDS]
    by_name = {key.lower(): key for key in sorted(present, reverse=True)}
    doubled = ""
    for key in (by_name[name] for name in wanted if name in by_name):
        values = [str(properties.get(key) or "").strip() for properties, _ in features]
        if all(values):
            if len(set(values)) == len(values):
                return key
            doubled = doubled or key
    return doubled


def _name_of(value: object, where: str, faults: list[str], notes: list[str]) -> str:
    if value is None or not str(value).strip():
        faults.append(f"{where} has no name.")
        return ""
    written = str(value)
    if isinstance(value, float) and value.is_integer():
        written = str(int(value))
    name = " ".join(written.split())
    if name != written:
        notes.append(f'"{written}" is taken as "{name}".')
    if not name.isprintable():
        faults.append(f"{where} has a name with letters that cannot be shown: {name!r}.")
    return name


def _check_names(names: Sequence[str], notes: list[str]) -> None:
    folded = Counter(name.casefold() for name in names)
    notes.extend(
        f'"{name}" differs from another only in its capitals.'
        for name in names
        if folded[name.casefold()] > 1
    )
    numbered = [name for name in names if any(letter.isdigit() for letter in name)]
    if numbered and len(numbered) < len(names):
        odd = [name for name in names if name not in numbered]
        if len(odd) <= len(numbered):
            listed = ", ".join(f'"{name}"' for name in odd)
            notes.append(f"{listed} has no number, and the others have.")


def _mended(
    area: BaseGeometry, name: str, faults: list[str], notes: list[str]
) -> BaseGeometry | None:
    if area.is_empty:
        faults.append(f"{name} has no shape.")
        return None
    if area.geom_type not in ("Polygon", "MultiPolygon"):
        faults.append(f"{name} is a {area.geom_type}; it has to be a polygon.")
        return None
    if area.is_valid:
        return area
    why = shapely.is_valid_reason(area)
    whole = shapely.make_valid(area)
    polygons = [one for one in shapely.get_parts(whole) if one.geom_type == "Polygon"]
    if whole.geom_type in ("Polygon", "MultiPolygon"):
        polygons = list(shapely.get_parts(whole))
    mended = shapely.union_all(polygons) if polygons else None
    if mended is None or mended.is_empty or abs(mended.area - area.area) > _MENDED * mended.area:
        faults.append(f"{name} is not valid: {why}.")
        return None
    notes.append(f"{name} was not valid ({why}) and was mended; its area stays the same.")
    return mended


def _check_overlaps(districts: Sequence[NewDistrict], faults: list[str], notes: list[str]) -> None:
    areas = [one.area for one in districts]
    tree = shapely.STRtree(areas)
    first, second = tree.query(areas, predicate="intersects")
    slivers = 0.0
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        if one >= other:
            continue
        shared = areas[one].intersection(areas[other])
        if not shared.area:
            continue
        metres = _square_metres(shared)
        if shared.area > _OVERLAP * min(areas[one].area, areas[other].area):
            faults.append(
                f'"{districts[one].name}" and "{districts[other].name}" overlap by '
                f"{_said(metres)}, {_place(shared)}."
            )
        else:
            slivers += metres
    if slivers > _WORTH:
        notes.append(
            f"Neighbours overlap by slivers of {_said(slivers)} in all; a point there belongs to "
            "the name that comes first."
        )


def _check_gaps(
    districts: Sequence[NewDistrict], boundary: BaseGeometry | None, notes: list[str]
) -> None:
    whole = shapely.union_all([one.area for one in districts])
    holes = [
        shapely.Polygon(ring)
        for part in shapely.get_parts(whole)
        for ring in shapely.get_rings(part)[1:]
    ]
    outer = shapely.union_all([shapely.Polygon(part.exterior) for part in shapely.get_parts(whole)])
    if boundary is not None:
        holes += [
            part
            for part in shapely.get_parts(boundary.difference(outer))
            if part.geom_type == "Polygon"
        ]
    # A hair is closed by the rule for slivers.
    wide = [hole for hole in holes if not hole.buffer(-SLIVER / 2).is_empty]
    for hole in sorted(wide, key=lambda one: -one.area):
        size = _square_metres(hole)
        if size < _WORTH:
            continue
        beside = [one.name for one in districts if one.area.distance(hole) <= SLIVER]
        between = f" beside {', '.join(beside)}" if beside else ""
        notes.append(f"A gap of {_said(size)} lies in no district, {_place(hole)}{between}.")
    if boundary is not None:
        beyond = _square_metres(outer.difference(boundary))
        if beyond > _WORTH:
            notes.append(f"{_said(beyond)} of the districts lie outside {BOUNDARY}.")


def _square_metres(area: BaseGeometry) -> float:
    """Of a shape in degrees, near enough to tell how much moves."""
    if area.is_empty:
        return 0.0
    lat = float(area.centroid.y)
    return float(area.area) * _METRES**2 * float(np.cos(np.radians(lat)))


def _said(square_metres: float) -> str:
    if square_metres >= 100_000:
        return f"{square_metres / 1e6:.2f} km²"
    return f"{square_metres:,.0f} m²"


def _place(area: BaseGeometry) -> str:
    point = area.representative_point()
    return f"at {point.y:.5f}, {point.x:.5f}"
