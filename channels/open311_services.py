"""The city's problem types as other programs see them: services with codes and questions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Words = Mapping[str, str]
"""The same words by language, `en` always among them."""

UNSURE = "unsure"
"""The service of a report whose kind the city decides."""

Datatype = Literal["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"]
LISTS = frozenset({"singlevaluelist", "multivaluelist"})


def in_language(words: Words, language: str) -> str:
    """The words in this language, else in English, else none."""
    return words.get(language) or words.get("en", "")


@dataclass(frozen=True)
class Choice:
    """One of the answers of which a question lets choose."""

    key: str
    name: Words


@dataclass(frozen=True)
class Question:
    """What an app asks for a service (`attribute` in Open311)."""

    code: str
    ask: Words
    datatype: Datatype = "string"
    required: bool = False
    variable: bool = True
    """False: it is only shown, and nobody answers."""
    help: Words = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()

    @cached_property
    def names(self) -> Mapping[str, Words]:
        return {choice.key: choice.name for choice in self.choices}


@dataclass(frozen=True)
class Service:
    code: str
    """Opaque and stable: apps keep it for years."""
    problem_type: str | None
    """The city's own name; None of `UNSURE`."""
    name: Words
    description: Words
    group: Words
    keywords: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


class ServiceBook:
    """All services that can be reported, in the order in which they are listed."""

    def __init__(self, services: Iterable[Service], *, jurisdiction: str, changed: str) -> None:
        """`changed`: when the services last changed, as a text that sorts."""
        self.services = {service.code: service for service in services}
        self.jurisdiction = jurisdiction
        self.changed = changed
        self.by_type = {
            service.problem_type: service
            for service in self.services.values()
            if service.problem_type is not None
        }

    def is_ours(self, jurisdiction_id: str) -> bool:
        """Whether a request means this city; one that names none does."""
        return jurisdiction_id.casefold() in ("", self.jurisdiction.casefold())
