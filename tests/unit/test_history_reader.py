"""Reading another system's export: what fits, what is mended, what is left out and why."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.history.column_map import MAPS, BadMap, ColumnMap, load_map
from gateway.history.reader import NotReadable, Reading, read_past
from store.history import PastCase
from store.model import Outcome, Status
from tests.support.past import COLUMNS, request, still_open, write_export

KANSAS_CITY = load_map("kansas-city", ColumnMap)


def read(
    folder: Path, *rows: dict[str, str], how: ColumnMap = KANSAS_CITY
) -> tuple[list[PastCase], Reading]:
    reading = Reading()
    path = write_export(folder / "export.csv.gz", rows)
    return list(read_past(path, how, reading)), reading


def said(reading: Reading) -> dict[str, tuple[int, list[int | str], bool]]:
    return {what: (one.count, one.rows, one.taken) for what, one in reading.misfits.items()}


def test_a_closed_request_is_read_whole(tmp_path: Path) -> None:
    [past], reading = read(tmp_path, request(1))

    assert past == PastCase(
        number="2019000001",
        channel="phone",
        status=Status.CLOSED,
        # 2:31 p.m. in a Kansas City summer; of the closing only the day is known, so it took
        # seven whole days.
        opened_at=datetime(2019, 6, 3, 19, 31, tzinfo=UTC),
        closed_at=datetime(2019, 6, 10, 19, 31, tzinfo=UTC),
        outcome=Outcome.FIXED,
        problem_type="Pothole",
        department="Public Works",
        district="3",
        address="100 Invented St",
        lat=39.05,
        lon=-94.57,
    )
    assert reading.rows == 1
    assert not reading.misfits


def test_an_open_one_lies_with_its_department_and_else_in_triage(tmp_path: Path) -> None:
    (assigned, triage), _ = read(tmp_path, still_open(1), still_open(2, DEPARTMENT="N/A"))

    assert (assigned.status, assigned.closed_at, assigned.outcome) == (Status.ASSIGNED, None, None)
    assert (triage.status, triage.department) == (Status.TRIAGE, None)


def test_days_to_close_are_those_of_the_wall_clock_across_a_change_of_clocks(
    tmp_path: Path,
) -> None:
    [past], reading = read(
        tmp_path,
        request(1, CREATION_DATE="03/09/2019", CLOSED_DATE="03/11/2019", DAYS_TO_CLOSE="2"),
    )

    assert past.closed_at is not None
    assert (past.closed_at - past.opened_at).total_seconds() == (2 * 24 - 1) * 3600
    assert not reading.misfits


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (request(1, CASE_ID=""), "it has no number"),
        (
            request(1, CREATION_DATE="yesterday"),
            "the day on which it was opened is missing or cannot be read",
        ),
    ],
)
def test_what_cannot_be_a_case_is_left_out_and_said(
    tmp_path: Path, row: dict[str, str], sentence: str
) -> None:
    past, reading = read(tmp_path, request(2), row)

    assert [one.number for one in past] == ["2019000002"]
    assert said(reading) == {sentence: (1, [3], False)}
    assert (reading.rows, reading.left_out) == (2, 1)


def test_a_number_counts_once(tmp_path: Path) -> None:
    past, reading = read(tmp_path, request(1), request(2), request(1, STATUS="OPEN"))

    assert [one.status for one in past] == [Status.CLOSED, Status.CLOSED]
    assert said(reading) == {"its number stood in an earlier row, which counts": (1, [4], False)}


@pytest.mark.parametrize(
    ("row", "sentence", "mended"),
    [
        (
            request(1, DAYS_TO_CLOSE="", STATUS="CANC"),
            "it is closed, and no days are counted for it: not counted in times to close",
            {"timed": False, "outcome": Outcome.CANNOT},
        ),
        (
            request(1, CLOSED_DATE="", DAYS_TO_CLOSE=""),
            "it is closed, and nothing says when: not counted in times to close",
            {"timed": False, "closed_at": datetime(2019, 6, 3, 19, 31, tzinfo=UTC)},
        ),
        (
            request(1, CLOSED_DATE="06/01/2019", DAYS_TO_CLOSE="-2"),
            "it was closed before it was opened: not counted in times to close",
            {"timed": False, "closed_at": datetime(2019, 6, 3, 19, 31, tzinfo=UTC)},
        ),
        (
            request(1, DAYS_TO_CLOSE="9"),
            "its days to close are not those between its two dates, which count",
            {"timed": True, "closed_at": datetime(2019, 6, 10, 19, 31, tzinfo=UTC)},
        ),
        (
            request(1, STATUS="OPEN"),
            "it is open, and has a day on which it was closed: taken as open",
            {"status": Status.ASSIGNED, "closed_at": None},
        ),
        (
            request(1, STATUS="GONE"),
            'the map does not know the status "GONE": its closing day decides',
            {"status": Status.CLOSED, "outcome": Outcome.FIXED},
        ),
        (
            request(1, CLOSED_DATE="soon", STATUS=""),
            "the day on which it was closed cannot be read",
            {"status": Status.ASSIGNED},
        ),
        (
            request(1, LATITUDE="0", LONGITUDE="0"),
            "its point is not on the Earth: left out",
            {"lat": None, "lon": None},
        ),
        (
            request(1, LATITUDE="39.05", LONGITUDE=""),
            "its point is not on the Earth: left out",
            {"lat": None, "lon": None},
        ),
    ],
)
def test_what_can_be_mended_is_mended_and_said(
    tmp_path: Path, row: dict[str, str], sentence: str, mended: dict[str, object]
) -> None:
    [past], reading = read(tmp_path, row)

    assert said(reading) == {sentence: (1, [2], True)}
    assert {name: getattr(past, name) for name in mended} == mended


def test_a_row_with_a_cell_too_few_is_left_out(tmp_path: Path) -> None:
    path = write_export(tmp_path / "export.csv", [request(1)])
    with path.open("a") as file:
        file.write("2019000002,PHONE\n\n")
    reading = Reading()

    assert len(list(read_past(path, KANSAS_CITY, reading))) == 1
    assert said(reading) == {"it has more or fewer cells than there are columns": (1, [3], False)}


def test_letters_of_another_encoding_cost_no_request(tmp_path: Path) -> None:
    path = write_export(tmp_path / "export.csv", [request(1, STREET_ADDRESS="5 Ca~on St")])
    path.write_bytes(path.read_bytes().replace(b"~", "ñ".encode("cp1252")))
    reading = Reading()

    [past] = read_past(path, KANSAS_CITY, reading)

    assert past.address == "5 Ca\ufffdon St"
    assert said(reading) == {
        "it has letters that cannot be read in the map's encoding": (1, [2], True)
    }
    [right] = read_past(path, KANSAS_CITY.model_copy(update={"encoding": "cp1252"}), Reading())
    assert right.address == "5 Cañon St"


def test_names_are_folded_as_the_map_says_whatever_their_case(tmp_path: Path) -> None:
    how = KANSAS_CITY.model_copy(
        update={"names": {"department": {"Public works": "MS-STREET MAINTENANCE"}}}
    )
    past, reading = read(tmp_path, request(1), request(2, DEPARTMENT="KCPD", SOURCE="FAX"), how=how)

    assert [one.department for one in past] == ["MS-STREET MAINTENANCE", "KCPD"]
    assert [one.channel for one in past] == ["PHONE", "FAX"]
    assert reading.names["department"] == {"MS-STREET MAINTENANCE": 1, "KCPD": 1}


def test_moments_with_an_hour_and_a_zone_of_their_own_keep_both(tmp_path: Path) -> None:
    how = ColumnMap.model_validate(
        {
            "name": "elsewhere",
            "timezone": "America/Chicago",
            "dates": ["iso"],
            "columns": {"number": "CASE ID", "opened": "CREATION DATE", "closed": "CLOSED DATE"},
        }
    )
    (zoned, local, open_), reading = read(
        tmp_path,
        request(1, CREATION_DATE="2019-06-03T08:00:00Z", CLOSED_DATE="2019-06-03T10:30:00+02:00"),
        request(2, CREATION_DATE="2019-06-03 08:00", CLOSED_DATE="2019-06-04"),
        request(3, CREATION_DATE="2019-06-03", CLOSED_DATE=""),
        how=how,
    )

    assert (zoned.opened_at, zoned.closed_at) == (
        datetime(2019, 6, 3, 8, tzinfo=UTC),
        datetime(2019, 6, 3, 8, 30, tzinfo=UTC),
    )
    assert (local.opened_at, local.closed_at) == (
        datetime(2019, 6, 3, 13, tzinfo=UTC),
        datetime(2019, 6, 4, 13, tzinfo=UTC),
    )
    assert (open_.status, open_.channel) == (Status.TRIAGE, "import")
    assert not reading.misfits


def test_a_file_that_lacks_columns_is_refused_with_their_names(tmp_path: Path) -> None:
    columns = [name.replace("SOURCE", "SOURCES") for name in COLUMNS]
    path = write_export(tmp_path / "export.csv", [], columns)

    with pytest.raises(NotReadable, match=r'names: "SOURCE" \(is it "SOURCES"\?\)\.'):
        next(read_past(path, KANSAS_CITY, Reading()))


@pytest.mark.parametrize("name", ["cut.csv.gz", "empty.csv"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    rows = [request(number, STREET_ADDRESS=f"{number * 7919} St") for number in range(3000)]
    path = write_export(tmp_path / name, rows)
    path.write_bytes(path.read_bytes()[: 4000 if name == "cut.csv.gz" else 0])

    with pytest.raises(NotReadable, match=r"cut off or damaged|no line with the names"):
        list(read_past(path, KANSAS_CITY, Reading()))


def test_every_map_that_comes_along_can_be_read() -> None:
    assert {load_map(path.stem, ColumnMap).name for path in MAPS.glob("*.toml")} == {"kansas-city"}


def test_a_map_with_faults_is_refused_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        'name = "ours"\ntimezone = "Mars"\nwhole_numbers = ["zip"]\n'
        '[columns]\nnumber = "No"\nopend = "Opened"\n[status]\nX = "done"\n'
    )

    with pytest.raises(BadMap) as refused:
        load_map(str(path), ColumnMap)
    faults = "\n".join(refused.value.faults)

    assert '"Mars" is no time zone' in faults
    assert "columns.opened: this line is missing" in faults
    assert "columns.opend: there is no such line in a map" in faults
    assert "zip: there is no such column of ours" in faults
    assert "status: done: choose of cannot, duplicate" in faults
    with pytest.raises(BadMap, match="Maps that come along: kansas-city"):
        load_map("no-such-map", ColumnMap)
