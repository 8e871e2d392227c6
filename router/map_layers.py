"""A layer of a map, from a GeoJSON file or an ArcGIS server: attributes and shapes in WGS 84."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from router.arcgis import Feature, read_arcgis, to_wgs84
from router.folder import UNREADABLE_SHAPE, BadLayer

_WGS84_NAMES = ("CRS84", "EPSG::4326", "EPSG:4326", "WGS84", "WGS 84")


@dataclass(frozen=True)
class Layer:
    name: str
    source: str
    """The file or the address that it was read from."""
    features: tuple[Feature, ...]


async def read_layer(source: str, *, crs: str = "") -> Layer:
    """
    The layer of a file or a web address. `crs` is the coordinate system of a file that does not
    say its own. Raises `BadLayer` with a sentence, and `OSError` for a file that is not there.
    """
    if source.startswith(("http://", "https://")):
        name, features = await read_arcgis(source)
    else:
        path = Path(source)
        name, features = path.name, read_file(path, crs)
    if not features:
        raise BadLayer(f"{source} has no feature.")
    for number, (_, area) in enumerate(features, start=1):
        west, south, east, north = area.bounds if not area.is_empty else (0, 0, 0, 0)
        if west < -180 or east > 180 or south < -90 or north > 90:
            raise BadLayer(
                f"{source}, feature {number}: its points are not longitude and latitude. Say "
                "which coordinate system they are in, as --crs EPSG:26915."
            )
    return Layer(name, source, tuple(features))


def read_file(path: Path, crs: str = "") -> list[Feature]:
    """The features of a GeoJSON file, or of one with a feature on each line (`.gz` as well)."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise BadLayer(f"{path} is no gzip file: {error}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLayer(f"{path} is not UTF-8: byte {error.start} cannot be read.") from error
    try:
        whole: Any = json.loads(text)
    except ValueError:
        whole = {"features": _lines(path, text)}
    if isinstance(whole, dict) and whole.get("type") == "Feature":
        whole = {"features": [whole]}
    if not isinstance(whole, dict) or not isinstance(whole.get("features"), list):
        raise BadLayer(f"{path} is no GeoJSON FeatureCollection.")
    features = []
    for number, feature in enumerate(whole["features"], start=1):
        try:
            features.append((feature.get("properties") or {}, _shape(feature["geometry"])))
        except UNREADABLE_SHAPE as error:
            raise BadLayer(
                f"{path}, feature {number}: its geometry cannot be read ({error})."
            ) from error
    reference = crs or _crs_of(whole)
    if reference:
        turn = to_wgs84(reference)
        features = [(properties, turn(area)) for properties, area in features]
    return features


def _shape(geometry: object) -> BaseGeometry:
    if geometry is None:
        return shapely.Point()
    return shapely.force_2d(shape(geometry))


def _lines(path: Path, text: str) -> list[Any]:
    features = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                features.append(json.loads(line))
            except ValueError as error:
                raise BadLayer(f"{path}, line {number}: is no JSON.") from error
    return features


def _crs_of(whole: dict[str, Any]) -> str:
    """The coordinate system that an older GeoJSON file names; empty for WGS 84."""
    named = whole.get("crs")
    name = named.get("properties", {}).get("name", "") if isinstance(named, dict) else ""
    if not name or any(known in str(name) for known in _WGS84_NAMES):
        return ""
    return str(name)
