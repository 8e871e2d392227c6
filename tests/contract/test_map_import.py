"""
A city's map and addresses are brought in from files and from a server that speaks ArcGIS's REST:
read whole, judged, compared, shown before they are written, and the old ones kept.
"""

import asyncio
import csv
import gzip
import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from shapely.geometry import mapping

from router.address_import import gather
from router.district_import import NewMap, compare, judge, moves
from router.districts import DistrictMap
from router.folder import BadLayer
from router.map_layers import Layer, read_layer
from router.place_files import read_addresses
from router.rules import District, load_city
from tests.support.arcgis import ArcGis
from tests.support.city import copy_of_sample, square, write_features
from tests.support.commands import Said, command


def feature(area: shapely.Geometry, **properties: object) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": mapping(area)}


def wards() -> list[dict[str, Any]]:
    """Six wards with borders as real ones have them: crooked, one with a hole, one in two parts."""
    rng = random.Random(7)
    west, south, step = -94.6, 39.0, 0.1
    xs = [west + step * x for x in range(4)]

    def crooked(x: float) -> list[tuple[float, float]]:
        return [(x + rng.uniform(-0.01, 0.01), south + 0.02 * number) for number in range(1, 10)]

    borders = [[(x, south), *crooked(x), (x, south + 0.2)] for x in xs]
    columns = [
        shapely.Polygon([*left, *reversed(right)]) for left, right in itertools.pairwise(borders)
    ]
    hole = shapely.box(-94.46, 39.08, -94.44, 39.1)
    middle, inner = columns[1].difference(hole), hole
    islands = shapely.MultiPolygon(
        [shapely.box(-94.2, 39.0, -94.15, 39.1), shapely.box(-94.1, 39.0, -94.05, 39.1)]
    )
    north = shapely.box(-94.2, 39.1, -94.05, 39.2)
    areas = [columns[0], middle, columns[2], inner, islands, north]
    return [feature(area, DISTRICT=str(number), MEMBER=f"Member {number % 3}")
            for number, area in enumerate(areas, start=1)]  # fmt: skip


WARDS = wards()


def points(count: int = 3_000) -> tuple[list[float], list[float]]:
    rng = random.Random(11)
    return (
        [rng.uniform(38.99, 39.21) for _ in range(count)],
        [rng.uniform(-94.62, -94.04) for _ in range(count)],
    )


def of_file(tmp_path: Path, features: list[dict[str, Any]], **other: object) -> Path:
    path = tmp_path / "wards.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **other}))
    return path


async def judged(source: Path | str, **asked: Any) -> NewMap:
    return judge(await read_layer(str(source)), **asked)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "server",
    [
        {},
        {"page": 1},
        {"page": 1000},
        {"pages": False},
        {"wkid": 102100},
        {"wkid": 102100, "obeys": False},
        {"wkid": 102697, "obeys": False},
        {"wkid": 26915, "obeys": False, "page": 4},
        {"fail_first": 2},
    ],
    ids=str,
)
async def test_a_server_gives_the_same_map_as_a_file(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    from_file = await judged(of_file(tmp_path, WARDS))
    async with ArcGis(WARDS, **server).served() as url:
        from_server = await judged(url)

    assert from_server.name_field == from_file.name_field == "DISTRICT"
    assert [one.name for one in from_server.districts] == ["1", "2", "3", "4", "5", "6"]
    lats, lons = points()
    assert DistrictMap(from_server.districts).names_of(lats, lons) == DistrictMap(
        from_file.districts
    ).names_of(lats, lons)
    for one, other in zip(from_server.districts, from_file.districts, strict=True):
        assert one.area.symmetric_difference(other.area).area < 1e-9 * other.area.area


async def test_a_service_with_one_layer_needs_no_number() -> None:
    async with ArcGis(WARDS).served() as url:
        layer = await read_layer(url.removesuffix("/0"))
        asked_again = await read_layer(f"{url}/query?where=1%3D1&f=geojson")

    assert len(layer.features) == len(asked_again.features) == 6


async def test_every_page_is_asked_for() -> None:
    server = ArcGis(WARDS, page=2)
    async with server.served() as url:
        await read_layer(url)

    assert [query["resultOffset"] for query in server.asked if "resultOffset" in query] == [
        "0", "2", "4",
    ]  # fmt: skip


async def test_a_server_that_loses_features_is_not_believed() -> None:
    async with ArcGis(WARDS, loses=1).served() as url:
        with pytest.raises(BadLayer, match="says that it has 6 features, and gave 5"):
            await read_layer(url)


async def test_a_layer_behind_a_token_says_so() -> None:
    async with ArcGis(WARDS).served() as url:
        with pytest.raises(BadLayer, match="wants a token"):
            await read_layer(url.replace("Districts", "Secret"))
        with pytest.raises(BadLayer, match="status 404"):
            await read_layer(url.replace("Districts", "Nowhere"))


async def test_a_server_that_is_away_says_so() -> None:
    with pytest.raises(BadLayer, match="cannot be reached"):
        await read_layer("http://127.0.0.1:9/arcgis/rest/services/X/FeatureServer/0")


async def test_a_file_in_another_coordinate_system(tmp_path: Path) -> None:
    east, north = 399_000.0, 4_327_000.0
    area = shapely.box(east, north, east + 1_000, north + 1_000)
    path = of_file(
        tmp_path,
        [feature(area, name="A")],
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::26915"}},
    )
    (district,) = (await judged(path)).districts

    assert district.area.centroid.y == pytest.approx(39.09, abs=0.01)
    assert district.area.centroid.x == pytest.approx(-94.16, abs=0.01)
    bare = of_file(tmp_path, [feature(area, name="A")])
    with pytest.raises(BadLayer, match="not longitude and latitude"):
        await read_layer(str(bare))
    assert len((await read_layer(str(bare), crs="EPSG:26915")).features) == 1
    with pytest.raises(BadLayer, match="is not known"):
        await read_layer(str(bare), crs="EPSG:99999999")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "is no GeoJSON FeatureCollection"),
        ("hello", "line 1: is no JSON"),
        ('{"features": []}', "has no feature"),
        ('{"features": [{"geometry": {"type": "Polygon", "coordinates": "x"}}]}', "cannot be read"),
    ],
)
async def test_a_file_that_is_no_map_says_so(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "map.geojson"
    path.write_text(text)

    with pytest.raises(BadLayer, match=told):
        await read_layer(str(path))


# ── judging ─────────────────────────────────────────────────────────────────────────────────────

WEST, EAST = shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)


def judge_these(*features: Mapping[str, Any], **asked: Any) -> NewMap:
    layer = Layer(
        "L",
        "map",
        tuple((one["properties"], shapely.geometry.shape(one["geometry"])) for one in features),
    )
    return judge(layer, **asked)


def test_overlaps_are_refused_and_slivers_are_not() -> None:
    bad = judge_these(feature(WEST, name="A"), feature(shapely.box(0.9, 0, 2, 1), name="B"))
    fine = judge_these(feature(WEST, name="A"), feature(shapely.box(0.9999, 0, 2, 1), name="B"))

    assert bad.faults[0].startswith('"A" and "B" overlap by ')
    assert fine.faults == ()
    assert fine.notes[0].startswith("Neighbours overlap by slivers of ")


def test_gaps_are_named_with_their_neighbours() -> None:
    gap = judge_these(
        feature(shapely.box(0, 0, 3, 1), name="A"),
        feature(shapely.box(0, 2, 3, 3), name="B"),
        feature(shapely.box(0, 1, 1, 2), name="C"),
        feature(shapely.box(2, 1, 3, 2), name="D"),
    )
    edge = judge_these(feature(WEST, name="A"), boundary=shapely.box(0, 0, 1.5, 1))
    hair = judge_these(
        feature(shapely.box(0, 0, 1 - 2e-5, 1), name="A"), feature(EAST, name="B"),
        boundary=shapely.box(0, 0, 2, 1),
    )  # fmt: skip

    assert gap.faults == ()
    (note,) = gap.notes
    assert "lies in no district, at 1.5" in note
    assert note.endswith("beside A, B, C, D.")
    assert "lies in no district" in edge.notes[0]
    assert hair.notes == ()


def test_a_shape_that_can_be_mended_is_and_one_that_cannot_is_refused() -> None:
    spike = shapely.Polygon([(0, 0), (1, 0), (1, 1), (2, 1), (1, 1), (0, 1)])
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])

    mended = judge_these(feature(spike, name="A"))
    assert mended.faults == ()
    assert "was mended" in mended.notes[0]
    assert mended.districts[0].area.equals(WEST)
    assert "A is not valid" in judge_these(feature(bow, name="A")).faults[0]
    assert "it has to be a polygon" in judge_these(feature(shapely.Point(0, 0), name="A")).faults[0]


def test_odd_names_are_told() -> None:
    assert judge_these(feature(WEST, name=" "), feature(EAST, name="B"), name_field="name").faults
    trimmed = judge_these(feature(WEST, name=" Ward  1"), feature(EAST, name="Ward 2"))
    assert [one.name for one in trimmed.districts] == ["Ward 1", "Ward 2"]
    assert trimmed.notes == ('" Ward  1" is taken as "Ward 1".',)
    assert "only in its capitals" in judge_these(
        feature(WEST, name="North"), feature(EAST, name="NORTH")
    ).notes[0]  # fmt: skip
    assert (
        '"Third" has no number'
        in judge_these(
            feature(WEST, name="1"),
            feature(EAST, name="2"),
            feature(shapely.box(5, 5, 6, 6), name="Third"),
        ).notes[0]
    )


def test_pieces_of_one_name_are_one_district() -> None:
    new = judge_these(
        feature(WEST, name="A"), feature(EAST, name="B"), feature(shapely.box(5, 5, 6, 6), name="A")
    )

    assert [(one.name, one.area.area) for one in new.districts] == [("A", 2.0), ("B", 1.0)]
    assert '"A" comes in 2 features' in new.notes[0]


def test_the_field_with_the_names_is_found_or_asked_for() -> None:
    member = {"OBJECTID": 1, "MEMBER": "Jo", "DISTRICT": 4.0}
    new = judge_these(feature(WEST, **member), prefix="District ")
    assert (new.name_field, new.districts[0].name) == ("DISTRICT", "District 4")
    assert judge_these(feature(WEST, **member), name_field="MEMBER").districts[0].name == "Jo"
    with pytest.raises(BadLayer, match="there are MEMBER, OBJECTID"):
        judge_these(feature(WEST, OBJECTID=1, MEMBER="Jo"))
    with pytest.raises(BadLayer, match='"WARD" is no field of it'):
        judge_these(feature(WEST, **member), name_field="WARD")


def test_what_changes_is_told_by_land_and_by_points() -> None:
    old = [District(name="A", area=WEST), District(name="B", area=EAST)]
    new = judge_these(
        feature(shapely.box(0, 0, 1.5, 1), name="A"), feature(shapely.box(1.5, 0, 2, 1), name="C")
    ).districts
    changes = {one.name: one for one in compare(old, new)}
    moved = moves(old, new, np.array([0.5, 0.5, 0.5]), np.array([0.5, 1.2, 1.8]))

    assert changes["A"].moved == pytest.approx((changes["A"].before or 0) / 2, rel=0.01)
    assert (changes["B"].after, changes["C"].before) == (None, None)
    assert moved.points == 3
    assert dict(moved.moved) == {("B", "A"): 1, ("B", "C"): 1}


# ── the commands ────────────────────────────────────────────────────────────────────────────────


def run(tmp_path: Path, *words: object) -> Said:
    return command("city", *words, "--data", tmp_path / "data")


def quarters(tmp_path: Path, *, shift: float = 0.0) -> Path:
    """The sample city's outline in four, under the names that its people work."""
    boundary = load_city(copy_of_sample(tmp_path / "outline")).boundary
    west, south, east, north = boundary.bounds
    x, y = (west + east) / 2 + shift, (south + north) / 2
    boxes = [
        shapely.box(west, south, x, y), shapely.box(x, south, east, y),
        shapely.box(west, y, x, north), shapely.box(x, y, east, north),
    ]  # fmt: skip
    return of_file(
        tmp_path,
        [
            feature(box.intersection(boundary), DISTRICT=number)
            for number, box in enumerate(boxes, start=1)
        ],
    )


def test_a_map_is_shown_then_written_and_the_old_one_kept(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    before = (city / "districts.geojson").read_text()
    source = quarters(tmp_path)

    asked = run(tmp_path, "import-districts", source, city, "--prefix", "District ")
    assert asked.code == 1
    assert "There is nobody to ask: say --yes." in asked.err
    assert "District 1: " in asked.out
    assert "known addresses and places come into another district" in asked.out
    assert "Open cases were not counted" in asked.out
    assert (city / "districts.geojson").read_text() == before

    done = run(tmp_path, "import-districts", source, city, "--prefix", "District ", "--yes")
    assert done.code == 0, done.err
    (kept,) = city.glob("districts.until-*.geojson")
    assert kept.read_text() == before
    loaded = load_city(city)
    assert loaded.district_names == ("District 1", "District 2", "District 3", "District 4")
    assert not any(one.sample for one in loaded.districts)

    again = run(tmp_path, "import-districts", source, city, "--prefix", "District ", "--yes")
    assert again.out.count("stays as it is") == 4
    assert "0 of 19 known addresses and places" in again.out
    assert len(list(city.glob("districts.until-*.geojson"))) == 2


def test_a_map_that_the_folder_cannot_bear_is_not_written(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    before = (city / "districts.geojson").read_text()

    source = quarters(tmp_path)
    refused = run(tmp_path, "import-districts", source, city, "--yes")

    assert refused.code == 1
    assert (
        'people.csv, line 3: the district "District 1" is not in districts.geojson.' in refused.out
    )
    assert '--prefix "District "' in refused.err
    assert (city / "districts.geojson").read_text() == before
    assert run(tmp_path, "import-districts", source, city, "--yes", "--anyway").code == 0
    assert run(tmp_path, "check", city).code == 2


def test_a_bad_map_is_not_written_at_all(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    write_features(
        tmp_path, "bad.geojson",
        square(-94.44, 39.05, -94.40, 39.08, name="District 1"),
        square(-94.41, 39.05, -94.38, 39.08, name="District 2"),
    )  # fmt: skip

    refused = run(tmp_path, "import-districts", tmp_path / "bad.geojson", city, "--yes", "--anyway")

    assert refused.code == 1
    assert "the map itself has to be mended" in refused.err
    assert not list(city.glob("districts.until-*"))


def test_the_sample_itself_is_not_written_to(tmp_path: Path) -> None:
    refused = run(tmp_path, "import-districts", quarters(tmp_path), "--yes")

    assert refused.code == 1
    assert "is the sample that comes with Buckstop" in refused.err


def test_points_of_a_file_find_their_district(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    file = tmp_path / "points.csv"
    file.write_text(
        "id,lat,lon,right\n1,39.0911,-94.4155,District 1\n2,39.0440,-94.3650,District 3\n"
        "3,38.0,-94.0,\n4,,,\n"
    )

    found = run(tmp_path, "districts-of", file, "--city", city, "--agree", "right")
    assert found.code == 0, found.err
    rows = list(csv.DictReader(found.out.splitlines()))
    assert [row["district"] for row in rows] == ["District 1", "District 3", "", ""]
    assert "4 of 4 agree with right (100.00%)" in found.err

    file.write_text(file.read_text().replace("District 3", "District 9"))
    wrong = run(tmp_path, "districts-of", file, "--city", city, "--agree", "right")
    assert wrong.code == 1
    assert "39.0440, -94.3650: District 3, not District 9" in wrong.err
    assert "has no column lng" in run(tmp_path, "districts-of", file, "--lon", "lng").err


async def test_a_server_and_a_file_give_points_the_same_districts(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    lats, lons = points(500)
    file.write_text(
        "lat,lon\n" + "".join(f"{lat!r},{lon!r}\n" for lat, lon in zip(lats, lons, strict=True))
    )
    source = of_file(tmp_path, WARDS)
    from_file = await asyncio.to_thread(run, tmp_path, "districts-of", file, "--map", source)
    async with ArcGis(WARDS, wkid=102100, obeys=False).served() as url:
        from_server = await asyncio.to_thread(run, tmp_path, "districts-of", file, "--map", url)

    assert from_file.code == from_server.code == 0
    assert from_file.out == from_server.out
    assert len(from_file.out.splitlines()) == 501


def test_places_are_told_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("hole at 23rd & Noland\n\npothole on I-70\n")

    told = run(tmp_path, "places-of", file)

    one, other = told.lines
    assert (one["outcome"], one["place"], one["district"]) == (
        "found",
        "23rd & Noland",
        "District 1",
    )
    assert other["outcome"] == "vague"
    assert other["refer"]["phone"] == "(888) 275-6636"
    assert "1 found, 1 vague" in told.err


def test_addresses_are_parted_whole(tmp_path: Path) -> None:
    file = tmp_path / "addresses.csv"
    file.write_text(
        "address\n1420 S Kings Hwy\n17210 E R D Mize Rd\n9801 E US Highway 24\n"
        "18110 E State Route 78\n"
    )

    told = run(tmp_path, "places-of", file)

    assert "4 of 4 addresses are read whole" in told.err
    assert told.lines[1]["read"][0]["streets"] == [
        {"direction": "e", "name": "rd mize", "suffix": "rd"}
    ]


# ── addresses ───────────────────────────────────────────────────────────────────────────────────

OPEN_ADDRESSES = """LON,LAT,NUMBER,STREET,UNIT,CITY,DISTRICT,REGION,POSTCODE,ID,HASH
-94.4150,39.0911,111,E MAPLE AVE,,INDEPENDENCE,,MO,64050,,a
-94.4150,39.0911,111,E MAPLE AVE,APT 2,INDEPENDENCE,,MO,64050,,b
-94.4133,39.0500,3900,S NOLAND RD,,INDEPENDENCE,,MO,64055,,c
-94.4000,39.0000,,S NOLAND RD,,INDEPENDENCE,,MO,64055,,d
,,12,S NOLAND RD,,INDEPENDENCE,,MO,64055,,e
-93.0000,39.0000,5,S NOLAND RD,,ELSEWHERE,,MO,64055,,f
"""


def test_addresses_are_imported_and_found(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    source = tmp_path / "openaddresses.csv"
    source.write_text(OPEN_ADDRESSES)

    done = run(tmp_path, "import-addresses", source, city, "--yes")

    assert done.code == 0, done.err
    assert "6 lines, 2 addresses on 2 streets; there were 0." in done.out
    assert "left out: outside the city" in done.out
    assert [(one.number, one.street) for one in read_addresses(city, [])] == [
        (111, "E Maple Ave"), (3900, "S Noland Rd"),
    ]  # fmt: skip
    file = tmp_path / "texts.txt"
    file.write_text("tall grass at 3900 s noland\n")
    (found,) = run(tmp_path, "places-of", file, "--city", city).lines
    assert (found["outcome"], found["lat"], found["district"]) == ("found", 39.05, "District 4")

    again = run(tmp_path, "import-addresses", source, city, "--yes")
    assert "there were 2" in again.out
    assert list(city.glob("addresses.until-*.csv"))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("address,lat,lon,zip", "3900 S Noland Rd Apt 4,39.05,-94.4133,64055"),
        ("FULLADDR,Latitude,Longitude,ZIPCODE", "3900 S NOLAND RD,39.05,-94.4133,64055"),
        ("HSE_NUM,PREDIR,ST_NAME,ST_TYPE,Y,X,ZIP", "3900,S,NOLAND,RD,39.05,-94.4133,64055"),
        ("number,street,postcode,lat,lon", "3900,S Noland Rd,64055-1234,39.05,-94.4133"),
    ],
)
async def test_the_names_that_cities_use_are_known(tmp_path: Path, header: str, row: str) -> None:
    source = tmp_path / "addresses.csv"
    source.write_text(f"{header}\n{row}\n")

    (one,) = (await gather(str(source), None)).addresses

    assert (one.number, one.street, one.zip) == (3900, "S Noland Rd", "64055")
    assert (one.lat, one.lon) == (39.05, -94.4133)


async def test_open_addresses_lines_of_geojson_and_a_server_of_points(tmp_path: Path) -> None:
    features = [
        feature(shapely.Point(-94.4133, 39.05 + number / 1e4), number=str(3900 + number),
                street="S Noland Rd", postcode="64055")
        for number in range(5)
    ]  # fmt: skip
    lines = tmp_path / "source.geojson.gz"
    lines.write_bytes(gzip.compress("\n".join(map(json.dumps, features)).encode()))
    async with ArcGis(features, page=3).served() as url:
        from_server = await gather(url, None)
    from_file = await gather(str(lines), None)

    assert from_file.addresses == from_server.addresses
    assert [one.number for one in from_file.addresses] == [3900, 3901, 3902, 3903, 3904]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "has no columns with the points"),
        ("lat,lon\n1,2\n", "has no columns with the addresses"),
        ("lat,lon,address\n", "has no line"),
    ],
)
async def test_a_file_without_addresses_says_so(tmp_path: Path, text: str, told: str) -> None:
    source = tmp_path / "addresses.csv"
    source.write_text(text)

    with pytest.raises(BadLayer, match=told):
        await gather(str(source), None)
