"""
The Service Request Report: what was opened in a span, by department, problem type and district.

Every request counts once. Other names of a department or a type are folded into one, percentages
are of the total and add up to 100.0, and what has no department or district is shown as that.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.reports.names import (
    NO_DISTRICT,
    OTHERS,
    Names,
    districts_in_order,
    in_order,
    natural,
)
from gateway.reports.shares import percentages
from gateway.reports.spans import Span
from store.statistics import Opened

TOP_OF_ALL = 5
TOP_OF_A_DISTRICT = 3


@dataclass(frozen=True)
class Share:
    name: str
    count: int
    percent: float


@dataclass(frozen=True)
class Many:
    name: str
    count: int


@dataclass(frozen=True)
class DistrictCount:
    name: str
    count: int
    percent: float
    top: tuple[Many, ...]
    """The most frequent problem types, most first."""


@dataclass(frozen=True)
class ServiceRequestReport:
    """One span's report; names are the city's own."""

    span: Span
    total: int
    departments: tuple[Share, ...]
    top_problem_types: tuple[Many, ...]
    districts: tuple[DistrictCount, ...]
    """Every district of the city and whatever else cases name, without one first, others last."""
    without_type: int
    """Of the total, those whose type nobody has said yet: no problem type, so in no top."""


def service_request_report(
    opened: Iterable[Opened], names: Names, span: Span
) -> ServiceRequestReport:
    departments: Counter[str] = Counter()
    types: Counter[str] = Counter()
    districts: Counter[str] = Counter()
    types_in: defaultdict[str, Counter[str]] = defaultdict(Counter)
    without_type = 0
    for one in opened:
        district = names.district(one.district, elsewhere=one.elsewhere)
        departments[names.department(one.department)] += one.count
        districts[district] += one.count
        if one.problem_type is None:
            without_type += one.count
        else:
            name = names.problem_type(one.problem_type)
            types[name] += one.count
            types_in[district][name] += one.count
    by_name = in_order(departments)
    shares = percentages([departments[name] for name in by_name])
    all_districts = districts_in_order({NO_DISTRICT, OTHERS, *names.districts, *districts})
    parts = percentages([districts[name] for name in all_districts])
    return ServiceRequestReport(
        span=span,
        total=districts.total(),
        departments=tuple(
            Share(name, departments[name], share)
            for name, share in zip(by_name, shares, strict=True)
        ),
        top_problem_types=_top(types, TOP_OF_ALL),
        districts=tuple(
            DistrictCount(name, districts[name], part, _top(types_in[name], TOP_OF_A_DISTRICT))
            for name, part in zip(all_districts, parts, strict=True)
        ),
        without_type=without_type,
    )


def _top(counts: Counter[str], how_many: int) -> tuple[Many, ...]:
    ranked = sorted(counts.items(), key=lambda one: (-one[1], natural(one[0])))
    return tuple(Many(name, count) for name, count in ranked[:how_many])
