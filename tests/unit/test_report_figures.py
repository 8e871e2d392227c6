"""A report's arithmetic: every request once, names folded, percentages that add up."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reports.names import NO_DEPARTMENT, NO_DISTRICT, OTHERS, Names, natural
from gateway.reports.service_requests import Many, ServiceRequestReport, service_request_report
from gateway.reports.shares import percentages
from gateway.reports.spans import Span, month_before, week_before, year_of
from gateway.reports.written import as_csv
from store.statistics import Opened

CHICAGO = ZoneInfo("America/Chicago")
SPAN = Span(date(2026, 11, 1), date(2026, 11, 30))
NAMES = Names(
    districts=("District 1", "District 2", "District 10"),
    department_aliases={"STREETS": "MS-STREET MAINTENANCE"},
    type_aliases={"CE - Zoning": "Zoning"},
)


def opened(
    count: int,
    department: str | None = "MS-STREET MAINTENANCE",
    kind: str | None = "Pothole",
    district: str | None = "District 1",
    *,
    elsewhere: bool = False,
) -> Opened:
    return Opened(department, kind, district, elsewhere, count)


def report(*groups: Opened) -> ServiceRequestReport:
    return service_request_report(groups, NAMES, SPAN)


@given(st.lists(st.integers(0, 10_000), max_size=40))
def test_percentages_add_up_and_none_is_a_tenth_off(counts: list[int]) -> None:
    shares = percentages(counts)

    if sum(counts):
        assert round(sum(shares), 6) == 100.0
        for share, count in zip(shares, counts, strict=True):
            assert abs(share - 100 * count / sum(counts)) < 0.1
            assert round(share, 1) == share
    else:
        assert not any(shares)


def test_the_tenths_that_are_missing_go_to_those_that_lost_most() -> None:
    assert percentages([1, 1, 1]) == [33.4, 33.3, 33.3]
    assert percentages([1, 2, 4]) == [14.3, 28.6, 57.1]


def test_other_names_of_one_department_or_type_are_one() -> None:
    made = report(
        opened(3, "STREETS", "CE - Zoning"),
        opened(4, "MS-STREET MAINTENANCE", "Zoning"),
        opened(1, None, None, None),
    )

    assert [(one.name, one.count, one.percent) for one in made.departments] == [
        (NO_DEPARTMENT, 1, 12.5),
        ("MS-STREET MAINTENANCE", 7, 87.5),
    ]
    assert made.top_problem_types == (Many("Zoning", 7),)
    assert (made.total, made.without_type) == (8, 1)


def test_every_district_stands_in_its_order_also_without_any_request() -> None:
    made = report(
        opened(2, district="District 10"),
        opened(1, district="Old Town"),
        opened(1, district=None),
        opened(1, district=None, elsewhere=True),
        opened(1, district="others"),
        opened(1, district="No district assigned"),
    )

    assert [(one.name, one.count) for one in made.districts] == [
        (NO_DISTRICT, 2),
        ("District 1", 0),
        ("District 2", 0),
        ("District 10", 2),
        ("Old Town", 1),
        (OTHERS, 2),
    ]
    assert sum(one.count for one in made.districts) == made.total == 7


def test_the_most_frequent_come_first_and_equals_by_their_names() -> None:
    made = report(*(opened(2, kind=kind) for kind in "fbdace"), opened(3, kind="z"))

    assert [one.name for one in made.top_problem_types] == ["z", "a", "b", "c", "d"]
    assert [one.name for one in made.districts[1].top] == ["z", "a", "b"]


def test_nothing_is_a_report_too() -> None:
    made = report()

    assert (made.total, made.departments, made.top_problem_types) == (0, (), ())
    assert [one.name for one in made.districts] == [
        NO_DISTRICT,
        *NAMES.districts,
        OTHERS,
    ]


def test_numbers_in_names_count() -> None:
    names = ["District 10", "district 9", "9", "10", "A", "1st"]

    assert sorted(names, key=natural) == ["1st", "9", "10", "A", "district 9", "District 10"]


def test_a_name_is_no_formula_for_a_spreadsheet() -> None:
    written = as_csv(report(opened(1, '=HYPERLINK("x")', "@sum", "+1")))

    for line in written.splitlines()[1:]:
        assert all(not cell.lstrip('"').startswith(("=", "+", "@")) for cell in line.split(","))


def test_a_span_is_of_the_citys_days() -> None:
    # The clocks go back on the first of November 2026.
    assert SPAN.moments(CHICAGO) == (
        datetime(2026, 11, 1, 5, tzinfo=UTC),
        datetime(2026, 12, 1, 6, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("span", "before", "year_before"),
    [
        (
            Span(date(2021, 10, 1), date(2021, 10, 22)),
            Span(date(2021, 9, 9), date(2021, 9, 30)),
            Span(date(2020, 10, 1), date(2020, 10, 22)),
        ),
        (
            Span(date(2025, 3, 1), date(2025, 3, 31)),
            Span(date(2025, 2, 1), date(2025, 2, 28)),
            Span(date(2024, 3, 1), date(2024, 3, 31)),
        ),
        (
            Span(date(2025, 1, 1), date(2025, 2, 28)),
            Span(date(2024, 11, 1), date(2024, 12, 31)),
            Span(date(2024, 1, 1), date(2024, 2, 29)),
        ),
        (
            Span(date(2024, 2, 29), date(2024, 2, 29)),
            Span(date(2024, 2, 28), date(2024, 2, 28)),
            Span(date(2023, 2, 28), date(2023, 2, 28)),
        ),
    ],
)
def test_what_a_span_is_compared_with(span: Span, before: Span, year_before: Span) -> None:
    assert (span.before(), span.year_before()) == (before, year_before)


def test_usual_spans() -> None:
    thursday = date(2026, 1, 1)

    assert week_before(thursday) == Span(date(2025, 12, 22), date(2025, 12, 28))
    assert week_before(date(2025, 12, 29)) == Span(date(2025, 12, 22), date(2025, 12, 28))
    assert month_before(thursday) == Span(date(2025, 12, 1), date(2025, 12, 31))
    assert year_of(thursday) == Span(date(2026, 1, 1), date(2026, 12, 31))
