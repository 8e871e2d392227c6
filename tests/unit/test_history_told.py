"""What `buckstop import` says when it is done."""

from gateway.history.column_map import ColumnMap, load_map
from gateway.history.reader import Reading
from gateway.history.take_in import Imported, foreign_to
from gateway.history.told import as_json, as_text
from router.rules import CITIES, load_city
from store.history import Taken
from store.ledger import Equation

HOW = load_map("kansas-city", ColumnMap)
FILE = "export.csv.gz"


def imported() -> Imported:
    reading = Reading(rows=12)
    for row in range(2, 9):
        reading.note(row, "its point is not on the Earth: left out", taken=True)
    reading.note(9, "it has no number", taken=False)
    reading.names["department"].update({"NHS": 7, "IPL": 1, "CD-NEIGHBORHOOD SERV": 2})
    reading.names["problem_type"].update({"CE - Trash/Rubbish": 4, "Graffiti": 1})
    reading.names["district"].update({"District 1": 3, "Others": 1, "9": 2})
    city = load_city(CITIES / "independence")
    return Imported(
        city=city.name,
        reading=reading,
        taken=Taken(new=8, same=1, changed=1, kept=1),
        foreign=foreign_to(city, reading),
        seconds=1.23,
        books=Equation(11, 11, 0, 0, 0),
    )


def test_a_person_reads_what_became_of_the_rows_and_what_did_not_fit() -> None:
    assert as_text(FILE, HOW, imported(), dry=False).splitlines() == [
        "export.csv.gz, read by the map kansas-city: 12 rows, 1.2 s",
        "         8  new cases",
        "         1  known already, and the same",
        "         1  known already, and changed as the file says",
        "         1  known already and changed here by staff: left alone",
        "         1  left out",
        "What did not fit:",
        "         1  left out: it has no number (row 9)",
        "         7  its point is not on the Earth: left out (rows 2, 3, 4, 5, 6, …)",
        "Names that Independence does not have, kept as they are:",
        "         1  department: NHS (7)",
        "         1  district: 9 (2)",
        "received 11 = filed 11 + quarantined 0 + ignored 0 + in flight 0",
    ]


def test_a_dry_run_says_what_would_be() -> None:
    said = as_text(FILE, HOW, imported(), dry=True)

    assert "         8  would be new cases" in said
    assert said.endswith("Nothing was written.")


def test_a_program_reads_the_same() -> None:
    told = as_json(FILE, HOW, imported(), dry=False)

    assert (told["rows"], told["new"], told["left_out"], told["closes"]) == (12, 8, 1, True)
    assert told["misfits"] == [
        {
            "what": "its point is not on the Earth: left out",
            "count": 7,
            "rows": [2, 3, 4, 5, 6],
            "taken": True,
        },
        {"what": "it has no number", "count": 1, "rows": [9], "taken": False},
    ]
    assert told["foreign"] == {
        "department": [{"name": "NHS", "count": 7}],
        "problem_type": [],
        "district": [{"name": "9", "count": 2}],
    }
