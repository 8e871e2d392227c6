"""
Reads a layer from a city's ArcGIS server: every page of it, in longitude and latitude.

What the REST interface of FeatureServer and MapServer answers, read on Esri's pages: `f=json`
describes a layer, `/query` gives its features in pages of `maxRecordCount` and says
`exceededTransferLimit` while there are more.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from router.folder import BadLayer

_PATIENCE = aiohttp.ClientTimeout(total=60, sock_connect=10)
_TRIES = 3
_PAUSE = 0.25  # seconds, doubled with each try
_MOST_BYTES = 200 * 1024 * 1024
_MOST_PAGES = 10_000
_PAGE = 1_000
WGS84 = 4326

Feature = tuple[Mapping[str, Any], BaseGeometry]
"""Its attributes, and its shape in longitude and latitude."""


Answer = dict[str, Any]


async def read_arcgis(url: str) -> tuple[str, list[Feature]]:
    """
    The layer's name and all its features. `url` names a layer (`…/FeatureServer/0`) or a service
    with a single polygon or point layer. Raises `BadLayer`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadLayer(f"{url} is no web address.")
    base = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    if base.endswith("/query"):
        base = base.removesuffix("/query")
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        layer = await _ask(session, base, {"f": "json"})
        if "layers" in layer and "fields" not in layer:
            base = f"{base}/{_only_layer(base, layer['layers'])}"
            layer = await _ask(session, base, {"f": "json"})
        return str(layer.get("name") or base), [
            feature async for feature in _features(session, base, layer)
        ]


def _only_layer(base: str, layers: Sequence[Mapping[str, Any]]) -> int:
    useful = [one for one in layers if "subLayerIds" not in one or not one["subLayerIds"]]
    if len(useful) == 1:
        return int(useful[0]["id"])
    names = ", ".join(f"{one['id']} ({one.get('name', '')})" for one in useful) or "none"
    raise BadLayer(f"{base} has the layers {names}: name one, as {base}/0.")


async def _features(
    session: aiohttp.ClientSession, base: str, layer: Mapping[str, Any]
) -> AsyncIterator[Feature]:
    wanted = await _ask(session, f"{base}/query", _query(layer, returnCountOnly="true"))
    count = wanted.get("count")
    key = _object_id(layer)
    seen: set[object] = set()
    pages = _pages if _has_pages(layer) else _by_ids
    async for page in pages(session, base, layer):
        shapes = _shapes_of(page)
        for feature, area in zip(page.get("features", ()), shapes, strict=True):
            attributes = feature.get("attributes") or {}
            if key and attributes.get(key) is not None:
                if attributes[key] in seen:
                    continue  # a server that moved on while we read
                seen.add(attributes[key])
            yield attributes, area
    if isinstance(count, int) and key and len(seen) != count:
        raise BadLayer(f"{base} says that it has {count} features, and gave {len(seen)}.")


async def _pages(
    session: aiohttp.ClientSession, base: str, layer: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Page by page by `resultOffset`, until the server says that there is no more."""
    size = min(int(layer.get("maxRecordCount") or _PAGE), _PAGE)
    offset = 0
    for _ in range(_MOST_PAGES):
        query = _query(layer, outFields="*", resultOffset=str(offset), resultRecordCount=str(size))
        if key := _object_id(layer):
            query["orderByFields"] = key
        page = await _ask(session, f"{base}/query", query)
        yield page
        got = len(page.get("features", ()))
        offset += got
        # A short page may be the server's own limit: only its word counts, and an empty page.
        if not got or not page.get("exceededTransferLimit"):
            return
    raise BadLayer(f"{base} does not come to an end.")


async def _by_ids(
    session: aiohttp.ClientSession, base: str, layer: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """From a server without pages: its ids first, then some of them at a time."""
    answer = await _ask(session, f"{base}/query", _query(layer, returnIdsOnly="true"))
    ids = sorted(answer.get("objectIds") or [])
    for start in range(0, len(ids), 100):
        some = ",".join(str(one) for one in ids[start : start + 100])
        yield await _ask(
            session, f"{base}/query", _query(layer, where="", outFields="*", objectIds=some)
        )


def _query(layer: Mapping[str, Any], where: str = "1=1", **other: str) -> dict[str, str]:
    asked = {"f": "json", "outSR": str(WGS84), "returnGeometry": "true", **other}
    return {"where": where, **asked} if where else asked


def _has_pages(layer: Mapping[str, Any]) -> bool:
    can = layer.get("advancedQueryCapabilities") or {}
    return bool(can.get("supportsPagination", layer.get("supportsPagination", False)))


def _object_id(layer: Mapping[str, Any]) -> str:
    if layer.get("objectIdField"):
        return str(layer["objectIdField"])
    for field in layer.get("fields") or ():
        if field.get("type") == "esriFieldTypeOID":
            return str(field["name"])
    return ""


async def _ask(
    session: aiohttp.ClientSession, url: str, query: Mapping[str, str]
) -> dict[str, Any]:
    """One answer as JSON; what failed for now is asked again."""
    for tried in range(1, _TRIES + 1):
        try:
            async with session.get(url, params=query) as response:
                if response.status >= 500 and tried < _TRIES:
                    raise aiohttp.ClientError(f"status {response.status}")
                if response.status != 200:
                    raise BadLayer(f"{url} answers with status {response.status}.")
                data = bytearray()
                async for chunk in response.content.iter_chunked(1 << 20):
                    data += chunk
                    if len(data) > _MOST_BYTES:
                        raise BadLayer(f"{url} answers with more than 200 MB.")
                answer = json.loads(data)
        except (aiohttp.ClientError, TimeoutError) as error:
            if tried == _TRIES:
                raise BadLayer(f"{url} cannot be reached: {error or 'no answer'}.") from error
            await asyncio.sleep(_PAUSE * 2**tried)
            continue
        except ValueError as error:
            raise BadLayer(f"{url} answers with something that is no JSON.") from error
        if not isinstance(answer, dict):
            raise BadLayer(f"{url} answers with something that is no layer.")
        if trouble := answer.get("error"):
            raise BadLayer(f"{url} refuses: {_reason(trouble)}.")
        return answer
    raise AssertionError


def _reason(trouble: object) -> str:
    # ArcGIS says its errors with status 200.
    if not isinstance(trouble, Mapping):
        return str(trouble)[:200]
    code, message = trouble.get("code"), str(trouble.get("message") or "").rstrip(". ")
    if code in (498, 499):
        return f"it wants a token ({message or code}); ask for a layer that the public may read"
    return f"{message or 'no reason'} ({code})"[:200]


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────


def _shapes_of(page: Mapping[str, Any]) -> Iterator[BaseGeometry]:
    """The shapes of a page, in longitude and latitude whatever the server gave."""
    shapes = [_shape_of(feature.get("geometry")) for feature in page.get("features", ())]
    reference = page.get("spatialReference") or {}
    wkid = reference.get("latestWkid") or reference.get("wkid")
    if wkid in (None, WGS84) and not reference.get("wkt"):
        return iter(shapes)
    turn = to_wgs84(reference.get("wkt") or str(wkid))
    return iter([turn(one) for one in shapes])


def to_wgs84(reference: str) -> Callable[[BaseGeometry], BaseGeometry]:
    """
    What turns a shape from a coordinate system (`EPSG:26915`, `102697`, WKT) into longitude and
    latitude. Raises `BadLayer` for one that nobody knows.
    """
    turn = _transformer(reference)

    def turned(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(turn.transform(at[:, 0], at[:, 1]))

    return lambda one: shapely.transform(one, turned)


def _transformer(reference: str) -> Transformer:
    # Servers name theirs by a number, which is EPSG's or Esri's.
    named = [f"EPSG:{reference}", f"ESRI:{reference}"] if reference.isdigit() else [reference]
    for name in named:
        try:
            return Transformer.from_crs(CRS.from_user_input(name), WGS84, always_xy=True)
        except CRSError:
            continue
    raise BadLayer(f'The coordinate system "{reference[:80]}" is not known.')


def _shape_of(geometry: Mapping[str, Any] | None) -> BaseGeometry:
    if not geometry:
        return shapely.Point()
    if "curveRings" in geometry:
        raise BadLayer("The layer has curves; ask the server for it without true curves.")
    if "rings" in geometry:
        return _polygon(geometry["rings"])
    if geometry.get("x") is not None and geometry["x"] != "NaN":
        return shapely.Point(float(geometry["x"]), float(geometry["y"]))
    return shapely.Point()


def _polygon(rings: Sequence[Sequence[Sequence[float]]]) -> BaseGeometry:
    """Rings as Esri writes them: an outer one goes with the clock, a hole against it."""
    lines = [shapely.LinearRing([point[:2] for point in ring]) for ring in rings if len(ring) > 3]
    outers = [shapely.Polygon(line) for line in lines if not line.is_ccw]
    inside: list[list[BaseGeometry]] = [[] for _ in outers]
    alone: list[BaseGeometry] = []
    for hole in (line for line in lines if line.is_ccw):
        around = [number for number, outer in enumerate(outers) if outer.covers(hole)]
        if around:
            inside[min(around, key=lambda number: float(outers[number].area))].append(hole)
        else:
            alone.append(shapely.Polygon(hole))  # drawn the wrong way round
    areas = [
        shapely.Polygon(outer.exterior, holes) for outer, holes in zip(outers, inside, strict=True)
    ]
    areas += alone
    return areas[0] if len(areas) == 1 else shapely.MultiPolygon(areas)
