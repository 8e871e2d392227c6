"""
576 requests of October 2021 with the counts of the city's own report: each district's, its three
most frequent problems, and the five most frequent of all. Departments add up, as there they do not.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle

from router.rules import City
from store.history import PastCase
from store.model import Status

TRASH, PLANTS, STORAGE = "Trash/Rubbish", "Excessive Vegetation", "Open Storage"
VEHICLE, OFFICER = "Non-Operable Vehicle", "Proactive Officer Investigation"
SEWER, ZONING, SINKHOLE = "Basement Sewer Backup", "Zoning", "Sinkhole"
LIGHTING, LICENCE = "Lighting Issue at City Facilities", "Business Licensing Questions"
TREES = "Tree Trim/PowerObstr"

TOTAL = 576
TOP = [(TRASH, 103), (PLANTS, 58), (STORAGE, 40), (VEHICLE, 29), (OFFICER, 27)]
DISTRICTS = {
    "No District Assigned": (12, [(LIGHTING, 3), (LICENCE, 2), (TREES, 2)]),
    "District 1": (250, [(TRASH, 45), (STORAGE, 33), (PLANTS, 15)]),
    "District 2": (103, [(TRASH, 17), (PLANTS, 14), (OFFICER, 9)]),
    "District 3": (68, [(PLANTS, 8), (SEWER, 6), (ZONING, 5)]),
    "District 4": (141, [(TRASH, 37), (PLANTS, 20), (SEWER, 7)]),
    "Others": (2, [(SINKHOLE, 2)]),
}
# What the five most frequent have besides in districts where they are not among the first three.
_BESIDES = {
    "No District Assigned": {PLANTS: 1},
    "District 1": {VEHICLE: 14, OFFICER: 10},
    "District 2": {STORAGE: 4, VEHICLE: 7},
    "District 3": {TRASH: 4, VEHICLE: 4, OFFICER: 2},
    "District 4": {STORAGE: 3, VEHICLE: 4, OFFICER: 6},
}
_NAMED = {TRASH, PLANTS, STORAGE, VEHICLE, OFFICER, SEWER, ZONING, SINKHOLE}

# From the 1st of October to the end of the 22nd where the city is.
_FIRST = datetime(2021, 10, 1, 5, 0, 1, tzinfo=UTC)
_LAST = datetime(2021, 10, 23, 4, 59, 59, tzinfo=UTC)


def month(city: City) -> list[PastCase]:
    """The requests, from the first second of the span to its last."""
    found = list(_requests(city))
    step = (_LAST - _FIRST) / (len(found) - 1)
    return [
        PastCase(
            number=f"{2021000 + place}",
            channel="phone",
            status=Status.ASSIGNED if department else Status.TRIAGE,
            opened_at=_FIRST + place * step if place < len(found) - 1 else _LAST,
            problem_type=kind,
            department=department,
            district=district,
        )
        for place, (kind, department, district) in enumerate(found)
    ]


def around(month: list[PastCase]) -> list[PastCase]:
    """One request a second before the span, and one a second after it."""
    return [
        PastCase("before", "web", Status.TRIAGE, _FIRST - timedelta(seconds=2), district="Others"),
        PastCase("after", "web", Status.TRIAGE, _LAST + timedelta(seconds=1), district="Others"),
    ]


def _requests(city: City) -> Iterator[tuple[str, str | None, str | None]]:
    others = cycle([one.name for one in city.problem_types if one.name not in _NAMED])
    written: Counter[str] = Counter()
    for district, (count, top) in DISTRICTS.items():
        kinds = Counter(dict(top)) + Counter(_BESIDES.get(district, {}))
        while kinds.total() < count:
            kind = next(others)
            if district != "No District Assigned" or kind not in kinds:
                kinds[kind] += 1
        for kind in kinds.elements():
            department: str | None = city.types_by_name[kind].department
            written[kind] += 1
            # As its papers have it: two names for one department, and a mark before a type.
            if kind == TRASH and written[kind] % 2:
                kind, department = f"CE - {kind}", "CD-NEIGHBORHOOD SERV"
            if kind == SINKHOLE and written[kind] == 1:
                department = None
            yield kind, department, None if district.startswith("No ") else district
