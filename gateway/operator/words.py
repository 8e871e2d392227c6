"""How operators' figures are written: rates, ages, sizes, and sentences with holes."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from babel.dates import format_timedelta
from babel.numbers import format_decimal
from markupsafe import Markup, escape

from gateway.operator import sparks
from gateway.operator.finding import (
    Finding,
    Level,
    level_of_age,
    level_of_days,
    level_of_disk,
)
from gateway.pages.i18n import current_language, gettext


def filters(zone: ZoneInfo) -> Mapping[str, Callable[..., str | float]]:
    """What the templates of operators' pages say after a `|`."""
    return {
        "rate": rate,
        "seconds": seconds,
        "bytes": size,
        "whole": whole,
        "finding_words": finding_words,
        "finding_todo": finding_todo,
        "level_name": level_name,
        "age_level": lambda age: level_name(level_of_age(age)),
        "disk_level": lambda disk: level_name(level_of_disk(disk)),
        "code": code,
        "clock": lambda moment: moment.astimezone(zone).strftime("%H:%M:%S"),
        "exact": lambda moment: exact(moment, zone),
        "span": span,
        "days_level": lambda days: level_name(level_of_days(days)),
        "spark_line": sparks.line,
        "spark_top": lambda rows: sparks.top(*rows),
        "spark_when": lambda values, end: _clock(sparks.when(values, end), zone),
        "figure": figure,
    }


def finding_words(finding: Finding) -> str:
    """What is wrong, in the reader's language."""
    return gettext(finding.words) % _values(finding)


def finding_todo(finding: Finding) -> str:
    """What to do about it, in the reader's language."""
    return gettext(finding.todo) % _values(finding)


def _values(finding: Finding) -> Mapping[str, str | int]:
    spoken = {name: gettext(words) % finding.values for name, words in finding.spoken.items()}
    return {**finding.values, **spoken}


def code(sentence: str) -> Markup:
    """What stands between backticks is a command."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))  # noqa: S704


def level_name(level: Level) -> str:
    """For a style sheet and for machines: `well`, `look`, `wrong`."""
    return level.name.lower()


def rate(value: float | None) -> str:
    """Messages a second; a dash while it is not known."""
    if value is None:
        return "–"
    return format_decimal(value, format="#,##0.0" if value < 10 else "#,##0", locale=_locale())


def figure(value: float | None) -> str:
    """A rate or a count, as short as it can be; a dash while it is not known."""
    if value is None:
        return "–"
    many = "#,##0" if value >= 10 or value == int(value) else "#,##0.0#"
    return format_decimal(value, format=many, locale=_locale())


def _clock(moment: datetime | None, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%H:%M") if moment else ""


def seconds(value: float | None) -> str:
    """A length of time in one unit; a dash for none."""
    if value is None:
        return "–"
    return format_timedelta(
        max(0, round(value)), granularity="second", threshold=1.2, locale=_locale(), format="short"
    )


def exact(moment: datetime, zone: tzinfo | None) -> str:
    """The time of day to the hundredth of a second, as hops that follow each other need it."""
    local = moment.astimezone(zone)
    return f"{local:%H:%M:%S}.{local.microsecond // 10_000:02}"


def span(value: float) -> str:
    """How long something took: short times to the hundredth of a second."""
    if value < 10:
        return f"{format_decimal(value, format='0.00', locale=_locale())} s"
    return seconds(value)


def size(value: int) -> str:
    """Bytes, in the unit that makes them readable."""
    for unit, bytes_ in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if value >= bytes_:
            return f"{format_decimal(value / bytes_, format='#,##0.0', locale=_locale())} {unit}"
    return f"{value} B"


def whole(value: int) -> str:
    """A count, with the reader's own separators."""
    return format_decimal(value, locale=_locale())


def _locale() -> str:
    return current_language()
