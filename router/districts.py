"""
Which district a point lies in: for whole batches at once, and the same way every time.

The rule for borders: a point on the border of several districts belongs to the one whose name
comes first, numbers by their value ("District 2" before "District 10"). A point that lies in none,
and no more than `SLIVER` from the nearest, belongs to that one: maps that were drawn by hand part
neighbours by a hair. Everything else has no district.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

SLIVER = 0.00005
"""Degrees, about five metres: so wide may a gap be that a map's drawing left between districts."""

Numbers = NDArray[np.float64]

_FIGURES = re.compile(r"(\d+)")


class NamedArea(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def area(self) -> BaseGeometry: ...


def in_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """What districts are sorted by: letters without their case, numbers by their value."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in _FIGURES.split(name.casefold())
        if part
    )


class DistrictMap:
    """The districts of a city, made ready for looking up."""

    def __init__(self, districts: Sequence[NamedArea]) -> None:
        ordered = sorted(districts, key=lambda district: (in_order(district.name), district.name))
        self.names = tuple(district.name for district in ordered)
        self._areas = [district.area for district in ordered]
        self._tree = shapely.STRtree(self._areas)
        for area in self._areas:
            # The first look-up builds what the later ones use, and they may come from two threads.
            shapely.prepare(area)
            shapely.intersects_xy(area, *area.representative_point().coords[0])

    def of(self, lats: Sequence[float] | Numbers, lons: Sequence[float] | Numbers) -> list[int]:
        """
        For each point which of `names` it lies in; -1 for none, and for what is no point (NaN).
        """
        x, y = np.asarray(lons, dtype=float), np.asarray(lats, dtype=float)
        found = np.full(len(x), len(self.names), dtype=np.intp)
        is_point = (np.abs(x) <= 180) & (np.abs(y) <= 90)
        (asked,) = np.nonzero(is_point)
        if not len(asked) or not self.names:
            return [-1] * len(x)
        # The tree says whose box a point lies in; the area itself decides.
        points = shapely.points(x[asked], y[asked])
        which, hits = self._tree.query(points)
        for number in np.unique(hits).tolist():
            some = asked[which[hits == number]]
            inside = some[shapely.intersects_xy(self._areas[number], x[some], y[some])]
            found[inside] = np.minimum(found[inside], number)
        (lost,) = np.nonzero(is_point & (found == len(self.names)))
        if len(lost):
            self._nearest(x, y, lost, found)
        found[found == len(self.names)] = -1
        result: list[int] = found.tolist()
        return result

    def _nearest(
        self, x: Numbers, y: Numbers, lost: NDArray[np.intp], found: NDArray[np.intp]
    ) -> None:
        points = shapely.points(x[lost], y[lost])
        which, hits = self._tree.query_nearest(points, max_distance=SLIVER, all_matches=True)
        for place, number in zip(which.tolist(), hits.tolist(), strict=True):
            found[lost[place]] = min(found[lost[place]], number)

    def name_of(self, lat: float, lon: float) -> str | None:
        """The district of one point, or None."""
        (number,) = self.of([lat], [lon])
        return None if number < 0 else self.names[number]

    def names_of(self, lats: Sequence[float], lons: Sequence[float]) -> list[str | None]:
        """The district of each point, or None."""
        return [None if number < 0 else self.names[number] for number in self.of(lats, lons)]
