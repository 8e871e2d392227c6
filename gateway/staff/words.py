"""How staff pages write shares and problem types."""

from collections.abc import Callable, Mapping

from babel.numbers import format_percent

from gateway.pages.i18n import current_language
from gateway.rule_words import tried_words
from router.rules import City


def filters(city: City) -> Mapping[str, Callable[..., str]]:
    """What the templates of staff pages say after a `|`."""

    def words_of(name: str) -> str:
        return type_words(city, name)

    return {"percent": percent, "type_words": words_of, "tried_words": tried_words}


def type_words(city: City, name: str) -> str:
    """A problem type as staff know it: its own name in English, its label elsewhere."""
    language = current_language()
    return name if language == "en" else city.label_of(name, language)


def type_options(city: City) -> list[tuple[str, str]]:
    """All problem types for a select, in the order of what is read."""
    options = [(one.name, type_words(city, one.name)) for one in city.problem_types]
    return sorted(options, key=lambda option: option[1].casefold())


def percent(share: float) -> str:
    return format_percent(share, locale=current_language())
