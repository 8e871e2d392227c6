"""Days as people say them, and the moments at which they begin and end where the city is."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def begin_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day."""
    return datetime.combine(day, time(), zone)


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a day is over."""
    return begin_of(day + timedelta(days=1), zone)


def first_day(begins: datetime, zone: ZoneInfo) -> date:
    """The day that begins then."""
    return begins.astimezone(zone).date()


def last_day(ends: datetime, zone: ZoneInfo) -> date:
    """The last day before this moment."""
    return (ends.astimezone(zone) - timedelta(seconds=1)).date()
