"""Days as people say them, and the moments at which they begin and end where the city is."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def begin_of(day: date | None, zone: ZoneInfo) -> datetime | None:
    """The first moment of a day; None for none."""
    return None if day is None else datetime.combine(day, time(), zone)


def end_of(day: date | None, zone: ZoneInfo) -> datetime | None:
    """The moment at which a day is over."""
    return None if day is None else datetime.combine(day + timedelta(days=1), time(), zone)


def first_day(begins: datetime | None, zone: ZoneInfo) -> date | None:
    """The day that begins then."""
    return None if begins is None else begins.astimezone(zone).date()


def last_day(ends: datetime | None, zone: ZoneInfo) -> date | None:
    """The last day before this moment."""
    return None if ends is None else (ends.astimezone(zone) - timedelta(seconds=1)).date()
