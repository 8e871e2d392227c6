"""How staff pages write times, shares and problem types."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from babel.dates import format_timedelta
from babel.numbers import format_percent

from gateway.pages.i18n import current_language
from gateway.rule_words import tried_words
from router.rules import City


def filters(city: City) -> Mapping[str, Callable[..., str]]:
    """What the templates of staff pages say after a `|`."""

    def words_of(name: str) -> str:
        return type_words(city, name)

    return {"ago": ago, "percent": percent, "type_words": words_of, "tried_words": tried_words}


def type_words(city: City, name: str) -> str:
    """A problem type as staff know it: its own name in English, its label elsewhere."""
    language = current_language()
    return name if language == "en" else city.label_of(name, language)


def type_options(city: City) -> list[tuple[str, str]]:
    """All problem types for a select, in the order of what is read."""
    options = [(one.name, type_words(city, one.name)) for one in city.problem_types]
    return sorted(options, key=lambda option: option[1].casefold())


def ago(moment: datetime) -> str:
    """How long ago, in one unit: `3 hours ago`."""
    return format_timedelta(
        moment - datetime.now(UTC),
        granularity="minute",
        threshold=1.2,
        add_direction=True,
        locale=current_language(),
    )


def percent(share: float) -> str:
    return format_percent(share, locale=current_language())
