"""
The commands that bring a city's map of districts and its addresses in.

Loaded only when one of them is asked for.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import numpy as np
from cyclopts import Parameter

from gateway.command import HERE, Format, Where, err, line, out, trouble
from gateway.compose import CITIES, city_folder
from gateway.run import running
from gateway.settings import Settings
from router import address_import, district_import
from router.district_import import Change, Moves, NewMap
from router.districts import Numbers
from router.folder import BadLayer
from router.map_layers import Layer, read_layer
from router.place_files import ADDRESSES, read_addresses
from router.rules import BadCity, District, load_city, read_boundary, read_districts
from store.pool import open_pool
from store.search import open_points

Folder = Annotated[Path | None, Parameter(help="The city's folder; default: the settings'")]
_MOST_TOLD = 20


def import_districts(
    source: Annotated[str, Parameter(help="A GeoJSON file, or the address of an ArcGIS layer")],
    folder: Folder = None,
    *,
    name_field: Annotated[str, Parameter(help="The attribute with the districts' names")] = "",
    prefix: Annotated[str, Parameter(help='Put before each name, as "District "')] = "",
    crs: Annotated[str, Parameter(help="A file's coordinate system, as EPSG:26915")] = "",
    new_boundary: Annotated[
        bool, Parameter(help="The outline of the districts becomes the city's")
    ] = False,
    yes: Annotated[bool, Parameter(help="Do not ask")] = False,
    anyway: Annotated[
        bool, Parameter(help="Also when other files of the folder do not fit any more")
    ] = False,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Bring in the city's own map of districts, after showing what it would change.

    It is read (an ArcGIS layer page by page, put into longitude and latitude), judged (shapes,
    overlaps, gaps, names) and compared: which districts change, how many known addresses and open
    cases come into another one. The old file is kept beside the new one.
    """
    settings = where.settings()
    target = _writable(folder or city_folder(settings))
    layer = asyncio.run(read_layer(source, crs=crs))
    faults: list[str] = []
    boundary = None if new_boundary else read_boundary(target, faults)
    new = district_import.judge(layer, name_field=name_field, prefix=prefix, boundary=boundary)
    old = read_districts(target, [])
    changes = district_import.compare(old, new.districts)
    addresses = district_import.moves(old, new.districts, *_known_points(target))
    cases = asyncio.run(_case_moves(settings, old, new))
    fits = _faults_with(target, new, layer, new_boundary=new_boundary)
    _tell_import(layer, new, changes, addresses, cases, fits, format)
    if new.faults:
        return trouble("Nothing was written: the map itself has to be mended.", code=1)
    if fits and not anyway:
        if hint := _prefix_hint(old, new):
            err.print(hint, markup=False)
        return trouble(
            "Nothing was written: Buckstop would not start with this map until what stands above "
            "is mended. --anyway writes it nevertheless.",
            code=1,
        )
    if not (yes or _agrees(f"Write {target / district_import.FILE}?")):
        return trouble("Nothing was written.", code=1)
    kept = district_import.write(target, new, layer, _today(), boundary=new_boundary)
    if format == "text":
        for path in kept:
            out.print(f"Kept the old one as {path.name}.")
        out.print(
            f"Wrote {target / district_import.FILE}. Buckstop uses it from its next start.",
            markup=False,
        )
    return 0


def import_addresses(
    source: Annotated[
        str, Parameter(help="CSV or GeoJSON, as from OpenAddresses; or an ArcGIS layer of points")
    ],
    folder: Folder = None,
    *,
    crs: Annotated[str, Parameter(help="A file's coordinate system, as EPSG:26915")] = "",
    everywhere: Annotated[
        bool, Parameter(help="Also those outside the city (then it cannot be loaded)")
    ] = False,
    yes: Annotated[bool, Parameter(help="Do not ask")] = False,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Bring in the city's addresses with their points, so that words find their district.

    Takes `number,street,lat,lon` or `address,lat,lon` (OpenAddresses' and many cities' names for
    these are known). What lies outside the city's boundary is left out. The old file is kept.
    """
    settings = where.settings()
    target = _writable(folder or city_folder(settings))
    boundary = None if everywhere else read_boundary(target, [])
    found = asyncio.run(address_import.gather(source, boundary, crs=crs))
    before = len(list(read_addresses(target, [])))
    told = {
        "read": found.read,
        "addresses": len(found.addresses),
        "streets": found.streets,
        "before": before,
        "left_out": dict(found.left_out),
        "columns": dict(found.columns),
    }
    if format == "json":
        line(told)
    else:
        out.print(f"{found.read:,} lines, {len(found.addresses):,} addresses on "
                  f"{found.streets:,} streets; there were {before:,}.")  # fmt: skip
        for why, count in found.left_out.items():
            out.print(f"  {count:>8,}  left out: {why}", markup=False)
    if not found.addresses:
        return trouble("Nothing was written: no address is left.", code=1)
    if not (yes or _agrees(f"Write {target / ADDRESSES}?")):
        return trouble("Nothing was written.", code=1)
    kept = address_import.write(target, found.addresses, _today())
    if format == "text":
        if kept is not None:
            out.print(f"Kept the old one as {kept.name}.")
        out.print(f"Wrote {target / ADDRESSES}.", markup=False)
    return 0


# ── what an import says ─────────────────────────────────────────────────────────────────────────


def _tell_import(
    layer: Layer,
    new: NewMap,
    changes: Sequence[Change],
    addresses: Moves,
    cases: Moves | None,
    fits: Sequence[str],
    format: str,
) -> None:
    if format == "json":
        line(
            {
                "source": layer.source,
                "layer": layer.name,
                "name_field": new.name_field,
                "districts": [one.name for one in new.districts],
                "faults": list(new.faults),
                "notes": list(new.notes),
                "changes": [
                    {
                        "district": one.name,
                        "before_km2": one.before and round(one.before, 3),
                        "after_km2": one.after and round(one.after, 3),
                        "moved_km2": round(one.moved, 3),
                    }
                    for one in changes
                ],
                "addresses": _moves_told(addresses),
                "cases": None if cases is None else _moves_told(cases),
                "folder_faults": list(fits),
            }
        )
        return
    names = ", ".join(one.name for one in new.districts)
    out.print(f"{layer.name}: {len(new.districts)} districts, named by {new.name_field}: {names}",
              markup=False)  # fmt: skip
    for sentence in new.faults:
        out.print(f"  wrong: {sentence}", markup=False)
    for sentence in new.notes:
        out.print(f"  note: {sentence}", markup=False)
    out.print("What would change:")
    for one in changes:
        if one.before is None:
            said = f"new, {one.after:.2f} km²"
        elif one.after is None:
            said = f"is no more ({one.before:.2f} km²)"
        elif one.moved < 1e-6:
            said = "stays as it is"
        else:
            said = (
                f"{one.before:.2f} km² become {one.after:.2f} km²; {one.moved:.2f} km² are in one "
                "map only"
            )
        out.print(f"  {one.name}: {said}", markup=False)
    _tell_moves("known addresses and places", addresses)
    if cases is None:
        out.print("Open cases were not counted: no database is running on this data directory.")
    else:
        _tell_moves("open cases with a point", cases)
    for sentence in fits:
        out.print(f"  does not fit: {sentence}", markup=False)


def _tell_moves(what: str, moves: Moves) -> None:
    out.print(f"{moves.count:,} of {moves.points:,} {what} come into another district")
    for (before, after), count in list(moves.moved.items())[:_MOST_TOLD]:
        out.print(f"  {count:>8,}  {before or 'none'} → {after or 'none'}", markup=False)


def _moves_told(moves: Moves) -> dict[str, object]:
    return {
        "points": moves.points,
        "moved": moves.count,
        "from_to": [
            {"from": before, "to": after, "count": count}
            for (before, after), count in moves.moved.items()
        ],
    }


def _writable(folder: Path) -> Path:
    if not folder.is_dir():
        raise BadLayer(f"{folder} is no folder.")
    if folder.resolve().parent == CITIES.resolve():
        raise BadLayer(
            f"{folder} is the sample that comes with Buckstop. Copy it (cp -r {folder} my-city), "
            'name the copy in the settings (city = "my-city"), and import there.'
        )
    return folder


def _known_points(folder: Path) -> tuple[Numbers, Numbers]:
    """The points of the folder's addresses and places."""
    points = [(one.lat, one.lon) for one in read_addresses(folder, [])]
    try:
        places = load_city(folder).places
    except BadCity:
        places = ()
    points += [(one.lat, one.lon) for one in places if one.lat is not None and one.lon is not None]
    lats, lons = np.array([lat for lat, _ in points]), np.array([lon for _, lon in points])
    return lats, lons


async def _case_moves(settings: Settings, old: Sequence[District], new: NewMap) -> Moves | None:
    """Of the open cases; None where no database is up."""
    engines = running(settings)
    if engines is None:
        return None
    stored = settings.store.model_copy(update={"dsn": engines.dsn})
    try:
        async with open_pool(stored) as pool, pool.acquire(timeout=10) as conn:
            points = await open_points(conn)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return None
    lats, lons = np.array([lat for lat, _ in points]), np.array([lon for _, lon in points])
    return district_import.moves(old, new.districts, lats, lons)


def _faults_with(folder: Path, new: NewMap, layer: Layer, *, new_boundary: bool) -> list[str]:
    """What `city check` would say of the folder with the new map, and does not say now."""
    before: set[str] = set()
    try:
        load_city(folder)
    except BadCity as error:
        before = set(error.faults)
    if new.faults:
        return []
    with tempfile.TemporaryDirectory(prefix="buckstop-city-") as tried:
        copy = Path(shutil.copytree(folder, Path(tried) / "city"))
        district_import.write(copy, new, layer, _today(), boundary=new_boundary)
        try:
            load_city(copy)
        except BadCity as error:
            return [fault for fault in error.faults if fault not in before]
    return []


def _prefix_hint(old: Sequence[District], new: NewMap) -> str:
    """How the new names become those that the folder knows: `4` with a word before it."""
    heads = {one.name.rstrip("0123456789") for one in old}
    bare = all(one.name.isdigit() for one in new.districts)
    head = heads.pop() if len(heads) == 1 else ""
    if not bare or not head:
        return ""
    return f'The folder\'s districts are called "{head}…": --prefix "{head}" names the new ones so.'


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        err.print(f"{question} There is nobody to ask: say --yes.", markup=False)
        return False
    err.print(f"{question} [y/N] ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _today() -> date:
    return datetime.now(UTC).date()
