"""Spans of days as people ask for them, and the moments at which they begin and end (pure)."""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EARLIEST = date(1900, 1, 1)
LATEST = date(2199, 12, 31)


@dataclass(frozen=True)
class Span:
    """Some days of the city's calendar, the first and the last among them."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def moments(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """From when until before when, in UTC."""
        begin = datetime.combine(self.first, time(), zone)
        end = datetime.combine(self.last + timedelta(days=1), time(), zone)
        return begin.astimezone(UTC), end.astimezone(UTC)

    def before(self) -> "Span":
        """The span just before: as many days, or as many whole months where it is whole months."""
        if self.first.day == 1 and self.last == _end_of_month(self.last):
            months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month
            return Span(_months_earlier(self.first, months + 1), self.first - timedelta(days=1))
        return Span(self.first - timedelta(days=self.days), self.first - timedelta(days=1))

    def year_before(self) -> "Span":
        """The same days of the year before; the 29th of February becomes the 28th."""
        last = _year_earlier(self.last)
        if self.last == _end_of_month(self.last):
            last = _end_of_month(last)
        return Span(_year_earlier(self.first), last)


def month_of(day: date) -> Span:
    return Span(day.replace(day=1), _end_of_month(day))


def month_before(day: date) -> Span:
    """The last month that is over on this day."""
    return month_of(day.replace(day=1) - timedelta(days=1))


def week_before(day: date) -> Span:
    """The last week, from Monday to Sunday, that is over on this day."""
    sunday = day - timedelta(days=day.isoweekday())
    return Span(sunday - timedelta(days=6), sunday)


def quarter_before(day: date) -> Span:
    """The last quarter of a year that is over on this day."""
    began = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return Span(_months_earlier(began, 3), began - timedelta(days=1))


def year_before(day: date) -> Span:
    return year_of(date(day.year - 1, 1, 1))


def year_of(day: date) -> Span:
    return Span(date(day.year, 1, 1), date(day.year, 12, 31))


def _end_of_month(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _months_earlier(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _year_earlier(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)
