"""Where requests come from, as a picture: one square for each block (pure)."""

from collections.abc import Mapping, Sequence
from math import cos, radians, sqrt

from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from store.performance import Block

_WIDE = 1000
_SIDE = 0.001  # degrees; as the blocks are counted


def heat_map(blocks: Sequence[Block], boundary: BaseGeometry) -> Mapping[str, object] | None:
    """
    The values of an SVG: its `width` and `height`, the city's `outline` and the `squares`, the
    darker the more requests. None without any block inside the city.
    """
    west, south, east, north = boundary.bounds
    inside = [one for one in blocks if west <= one.lon <= east and south <= one.lat <= north]
    if not inside:
        return None
    flat = cos(radians((south + north) / 2))
    scale = _WIDE / ((east - west) * flat)
    most = max(one.count for one in inside)

    def x(lon: float) -> float:
        return float(round((lon - west) * flat * scale, 1))

    def y(lat: float) -> float:
        return float(round((north - lat) * scale, 1))

    # No wider than a tenth of a block off.
    simple = boundary.simplify(_SIDE / 10)
    parts = list(simple.geoms) if isinstance(simple, MultiPolygon) else [simple]
    rings = [part.exterior for part in parts if isinstance(part, Polygon)]
    return {
        "width": _WIDE,
        "height": round((north - south) * scale),
        "outline": " ".join(
            "M" + " L".join(f"{x(lon)} {y(lat)}" for lon, lat, *_ in ring.coords) + " Z"
            for ring in rings
        ),
        # The roundest number of a block is its middle; a square is no smaller than a reader sees.
        "side_x": max(5.0, round(_SIDE * flat * scale, 1)),
        "side_y": max(6.0, round(_SIDE * scale, 1)),
        "squares": [
            {
                "x": x(one.lon - _SIDE / 2),
                "y": y(one.lat + _SIDE / 2),
                "dark": round(0.15 + 0.85 * sqrt(one.count / most), 2),
                "count": one.count,
            }
            for one in reversed(inside)
        ],
    }
