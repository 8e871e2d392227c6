"""
A server that speaks ArcGIS's REST as far as a layer is read: it describes the layer, counts it, and
gives its features page by page, in the coordinate system that it likes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from aiohttp import web
from aiohttp.test_utils import TestServer
from pyproj import Transformer
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry


@dataclass
class ArcGis:
    """A layer of polygons or points, given as GeoJSON features."""

    features: Sequence[Mapping[str, Any]]
    page: int = 2
    """maxRecordCount."""
    pages: bool = True
    """Whether it can give pages by an offset."""
    wkid: int = 4326
    """The layer's own coordinate system."""
    obeys: bool = True
    """Whether it gives what `outSR` asks for; some old servers do not."""
    fail_first: int = 0
    """So many requests are answered with status 503 first."""
    loses: int = 0
    """So many features are missing from its pages."""
    asked: list[dict[str, str]] = field(default_factory=list)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The address of the layer, while the server runs."""
        app = web.Application()
        app.router.add_get("/arcgis/rest/services/Districts/FeatureServer", self._service)
        app.router.add_get("/arcgis/rest/services/Districts/FeatureServer/0", self._layer)
        app.router.add_get("/arcgis/rest/services/Districts/FeatureServer/0/query", self._query)
        app.router.add_get("/arcgis/rest/services/Secret/FeatureServer/0", self._secret)
        server = TestServer(app)
        await server.start_server()
        try:
            yield str(server.make_url("/arcgis/rest/services/Districts/FeatureServer/0"))
        finally:
            await server.close()

    async def _service(self, _request: web.Request) -> web.Response:
        return web.json_response({"layers": [{"id": 0, "name": "Districts"}], "tables": []})

    async def _secret(self, _request: web.Request) -> web.Response:
        # Errors come with status 200.
        return web.json_response({"error": {"code": 499, "message": "Token Required"}})

    async def _layer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        return web.json_response(
            {
                "id": 0,
                "name": "City Council Districts",
                "geometryType": "esriGeometryPolygon",
                "maxRecordCount": self.page,
                "advancedQueryCapabilities": {"supportsPagination": self.pages},
                "fields": [{"name": "OBJECTID", "type": "esriFieldTypeOID"}],
                "extent": {"spatialReference": {"wkid": self.wkid}},
            }
        )

    async def _query(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.asked.append(query)
        if self.fail_first > 0:
            self.fail_first -= 1
            raise web.HTTPServiceUnavailable
        ids = list(range(1, len(self.features) + 1))
        if query.get("returnCountOnly") == "true":
            return web.json_response({"count": len(ids)})
        if query.get("returnIdsOnly") == "true":
            return web.json_response({"objectIdFieldName": "OBJECTID", "objectIds": ids})
        there = ids[: len(ids) - self.loses]
        more = False
        if "objectIds" in query:
            there = [one for one in there if str(one) in query["objectIds"].split(",")]
        else:
            start = int(query.get("resultOffset", 0)) if self.pages else 0
            size = min(int(query.get("resultRecordCount", self.page)), self.page)
            more = start + size < len(there)
            there = there[start : start + size]
        wkid = int(query.get("outSR", self.wkid)) if self.obeys else self.wkid
        answer: dict[str, Any] = {
            "objectIdFieldName": "OBJECTID",
            "spatialReference": {"wkid": wkid},
            "features": [self._feature(one, wkid) for one in there],
        }
        if more:
            answer["exceededTransferLimit"] = True
        return web.json_response(answer)

    def _feature(self, number: int, wkid: int) -> dict[str, Any]:
        feature = self.features[number - 1]
        return {
            "attributes": {**feature["properties"], "OBJECTID": number},
            "geometry": _esri(_turned(shape(feature["geometry"]), wkid)),
        }


def _turned(area: BaseGeometry, wkid: int) -> BaseGeometry:
    if wkid == 4326:
        return area
    authority = "ESRI" if wkid >= 102_000 and wkid != 102100 else "EPSG"
    named = f"{authority}:{3857 if wkid == 102100 else wkid}"
    turn = Transformer.from_crs(4326, named, always_xy=True)
    return shapely.transform(area, lambda at: np.column_stack(turn.transform(at[:, 0], at[:, 1])))


def _esri(area: BaseGeometry) -> dict[str, Any]:
    if area.geom_type == "Point":
        return {"x": area.x, "y": area.y}
    rings = []
    for part in shapely.get_parts(area):
        # Outer rings go with the clock, holes against it.
        turned = shapely.orient_polygons(part, exterior_cw=True)
        rings += [[list(at) for at in ring.coords] for ring in shapely.get_rings(turned)]
    return {"rings": rings}
