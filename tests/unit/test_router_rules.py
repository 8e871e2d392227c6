"""A city folder is judged whole: what is wrong with it is said in sentences with file and line."""

from pathlib import Path

import pytest

from router.rules import CITIES, BadCity, load_city
from tests.support.city import change, copy_of_sample, square, write_features


def test_the_sample_city_loads() -> None:
    city = load_city(CITIES / "independence")

    assert city.name == "Independence"
    assert len(city.problem_types) == 46
    assert len(city.departments) == 21
    assert city.district_names == ("District 1", "District 2", "District 3", "District 4")
    assert all(district.sample for district in city.districts)
    assert all(person.email.endswith("@independence.example") for person in city.people)


def test_staff_only_types_are_not_offered() -> None:
    city = load_city(CITIES / "independence")

    assert not city.types_by_name["Proactive Officer Investigation"].offered
    assert len(city.offered) == 45


def test_an_alias_finds_its_department() -> None:
    city = load_city(CITIES / "independence")

    known = city.departments_by_name["CD-NEIGHBORHOOD SERV"]
    assert known.name == "CD-NEIGHBORHOOD SERVICES"


def test_labels_are_in_both_languages() -> None:
    city = load_city(CITIES / "independence")

    assert city.label_of("Graffiti", "es") == "Grafiti"
    assert city.label_of("No such type", "es") == "No such type"
    assert city.department_label("IPL", "en") == "Independence Power & Light"


def test_reports_know_other_names_and_aims() -> None:
    known = {one.problem_type: one for one in load_city(CITIES / "independence").reporting}

    assert known["Trash/Rubbish"].aliases == ("CE - Trash/Rubbish",)
    assert known["Trash/Rubbish"].act_within_days == 5
    assert known["Trash/Rubbish"].close_within_days is None


def test_a_city_needs_no_reports_csv(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    (city / "reports.csv").unlink()

    assert load_city(city).reporting == ()


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        (
            "reports.csv",
            "Zoning,CE - Zoning",
            "Zoning,CE - Trash/Rubbish",
            'reports.csv, line 6: "CE - Trash/Rubbish" already stands in line 2.',
        ),
        (
            "reports.csv",
            "Zoning,CE - Zoning,5",
            "Zoning,Graffiti,soon",
            'reports.csv, line 6: act_within_days "soon" is no number of days.',
        ),
        (
            "reports.csv",
            "Zoning,",
            "Zones,",
            'reports.csv, line 6: "Zones" is not in problem-types.csv.',
        ),
        (
            "problem-types.csv",
            "Graffiti,CD-NEIGHBORHOOD SERVICES",
            "Graffiti,CD-NOBODY",
            'problem-types.csv, line 16: the department "CD-NOBODY" of "Graffiti" is not in '
            "departments.csv.",
        ),
        (
            "problem-types.csv",
            "Graffiti,CD-NEIGHBORHOOD SERVICES,yes,20,Graffiti,Grafiti",
            "Graffiti,CD-NEIGHBORHOOD SERVICES,yes,20,Graffiti,",
            "problem-types.csv, line 16: label_es is empty.",
        ),
        (
            "problem-types.csv",
            "Graffiti,CD-NEIGHBORHOOD SERVICES,yes",
            "Graffiti,CD-NEIGHBORHOOD SERVICES,perhaps",
            'problem-types.csv, line 16: offered: Value error, "perhaps" is neither yes nor no.',
        ),
        (
            "problem-types.csv",
            "Graffiti,CD-NEIGHBORHOOD SERVICES,yes,20,Graffiti",
            "Graffiti,CD-NEIGHBORHOOD SERVICES,yes,20,Graffiti, paint",
            "problem-types.csv, line 16: has 12 cells, but line 1 has 11 columns; is a comma not "
            "in quotes?",
        ),
        (
            "problem-types.csv",
            "seed,40,yes",
            "seed,near,yes",
            "problem-types.csv, line 2: reach: Input should be a valid number, unable to parse "
            "string as a number.",
        ),
        (
            "problem-types.csv",
            "problem_type,department",
            "type,department",
            "problem-types.csv, line 1: the column problem_type is missing.",
        ),
        (
            "departments.csv",
            ",hank.weller,",
            ",hank.nobody,",
            'departments.csv, line 4: the lead "hank.nobody" is not in people.csv.',
        ),
        (
            "departments.csv",
            "STREET,Street Division",
            "IPL,Street Division",
            'departments.csv, line 20: "IPL" already stands in line 6.',
        ),
        (
            "people.csv",
            "max.odell,Max",
            "jo.linden,Max",
            'people.csv, line 22: "jo.linden" already stands in line 21.',
        ),
        (
            "people.csv",
            "max.odell@independence.example",
            "max.odell",
            'people.csv, line 22: "max.odell" is no email address.',
        ),
        (
            "people.csv",
            "staff,yes,District 2;District 3",
            "staff,yes,District 2;District 9",
            'people.csv, line 22: the district "District 9" is not in districts.geojson.',
        ),
        (
            "people.csv",
            "staff,yes,District 2;District 3,,",
            "boss,yes,District 2;District 3,,",
            'people.csv, line 22: "boss" is no role; roles are call_taker, staff, lead, operator, '
            "admin.",
        ),
        (
            "people.csv",
            "staff,yes,District 2;District 3,,",
            "staff,yes,District 2;District 3,2026-05-09,2026-05-01",
            "people.csv, line 22: max.odell comes back before leaving.",
        ),
        (
            "people.csv",
            "xavier.cole@independence.example,816-555-0129,STREET,lead;staff,yes",
            "xavier.cole@independence.example,816-555-0129,STREET,lead;staff,no",
            'departments.csv, line 20: the lead "xavier.cole" is not active in people.csv.',
        ),
        (
            "streets.csv",
            "39.0911,-94.4155,no",
            "38.0911,-94.4155,no",
            'streets.csv, line 2: "City Hall" lies outside boundary.geojson.',
        ),
        (
            "examples.jsonl",
            '"problem_type": "Abandoned Vehicle on Street"',
            '"problem_type": "Abandoned Spaceship"',
            'examples.jsonl, line 1: "Abandoned Spaceship" is not in problem-types.csv.',
        ),
        (
            "examples.jsonl",
            '{"problem_type": "Abandoned Vehicle on Street"',
            "Abandoned",
            "examples.jsonl, line 1: is no JSON object with problem_type and text.",
        ),
        (
            "city.toml",
            'timezone = "America/Chicago"',
            'timezone = "America/Independence"',
            'city.toml: timezone "America/Independence" is no IANA time zone.',
        ),
        (
            "city.toml",
            'title = { en = "City of Independence", es = "Ciudad de Independence" }',
            'title = { en = "City of Independence" }',
            'city.toml: title has no "es".',
        ),
        (
            "city.toml",
            'colour = "#1f4173"',
            'color = "#1f4173"',
            "city.toml: color: Extra inputs are not permitted.",
        ),
    ],
)
def test_a_fault_is_said_with_its_file_and_line(
    tmp_path: Path, file: str, old: str, new: str, sentence: str
) -> None:
    city = copy_of_sample(tmp_path)
    change(city, file, old, new)

    with pytest.raises(BadCity) as bad:
        load_city(city)

    assert sentence in bad.value.faults


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    change(city, "people.csv", "ruth.kemp@independence.example", "ruth.kemp")
    change(city, "departments.csv", ",hank.weller,", ",hank.nobody,")
    (city / "districts.geojson").write_text("{}")

    with pytest.raises(BadCity) as bad:
        load_city(city)

    told = str(bad.value)
    assert "ruth.kemp" in told
    assert "hank.nobody" in told
    assert "districts.geojson is no GeoJSON FeatureCollection." in told


def test_districts_must_not_overlap(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    write_features(
        city,
        "districts.geojson",
        square(-94.44, 39.05, -94.40, 39.08, name="District 1"),
        square(-94.41, 39.05, -94.38, 39.08, name="District 2"),
    )

    with pytest.raises(BadCity) as bad:
        load_city(city)

    assert 'districts.geojson: "District 1" and "District 2" overlap.' in bad.value.faults


def test_a_district_must_lie_in_the_city(tmp_path: Path) -> None:
    city = copy_of_sample(tmp_path)
    write_features(
        city, "districts.geojson", square(-94.44, 39.05, -94.40, 40.0, name="District 1")
    )

    with pytest.raises(BadCity) as bad:
        load_city(city)

    sentence = 'districts.geojson: "District 1" reaches outside boundary.geojson.'
    assert sentence in bad.value.faults


@pytest.mark.parametrize(
    ("geometry", "told"),
    [
        ({"type": "Point", "coordinates": [-94.4, 39.0]}, "is a Point; it has to be a polygon."),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
            "the polygon is not valid",
        ),
        ({"type": "Polygon", "coordinates": "here"}, "its geometry cannot be read"),
        (
            {
                "type": "Polygon",
                "coordinates": [[[3e5, 4e6], [4e5, 4e6], [4e5, 5e6], [3e5, 4e6]]],
            },
            "its points are not longitude and latitude (WGS 84).",
        ),
    ],
)
def test_a_bad_polygon_is_named(tmp_path: Path, geometry: object, told: str) -> None:
    city = copy_of_sample(tmp_path)
    feature = {"type": "Feature", "properties": {"name": "District 1"}, "geometry": geometry}
    write_features(city, "districts.geojson", feature)

    with pytest.raises(BadCity, match=r"districts\.geojson, feature 1") as bad:
        load_city(city)

    assert told in str(bad.value)


@pytest.mark.parametrize(
    "file",
    ["city.toml", "people.csv", "departments.csv", "problem-types.csv", "boundary.geojson"],
)
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    city = copy_of_sample(tmp_path)
    (city / file).unlink()

    with pytest.raises(BadCity) as bad:
        load_city(city)

    assert f"{file} is missing in {city}." in bad.value.faults


@pytest.mark.parametrize("file", ["city.toml", "people.csv", "examples.jsonl"])
def test_a_file_of_noise_is_a_sentence_too(tmp_path: Path, file: str) -> None:
    city = copy_of_sample(tmp_path)
    (city / file).write_bytes(b"\xff\xfe\x00noise")

    with pytest.raises(BadCity, match="is not UTF-8"):
        load_city(city)


def test_no_folder_is_no_city(tmp_path: Path) -> None:
    with pytest.raises(BadCity, match="is no folder"):
        load_city(tmp_path / "nowhere")
