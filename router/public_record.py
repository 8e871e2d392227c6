"""
What a city tells everybody about its cases, and how its problem types look to other programs: the
folder's `public.toml`, which may be missing.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

FILE = "public.toml"
UNSURE = "unsure"
"""The code of the service whose kind the city decides; no problem type can have it."""

Words = dict[str, str]


def _plain(code: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", code) is None:
        raise ValueError(f'"{code}" is no code: letters, digits, "-" and "_" make one')
    return code


Code = Annotated[str, AfterValidator(_plain)]
Whose = Literal["none", "apps", "everyone"]
"""Nobody's; of reports that came through an app (Open311), which publishes them; everybody's."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ChoicePart(_Part):
    key: str = Field(min_length=1, max_length=100)
    name: Words


class QuestionPart(_Part):
    """A question that apps ask for a problem type."""

    code: Code
    datatype: Literal[
        "string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"
    ] = "string"
    ask: Words
    help: Words = Field(default_factory=dict)
    required: bool = False
    shown_only: bool = False
    """It is a sentence to be shown, and nobody answers."""
    choices: tuple[ChoicePart, ...] = ()


class ServicePart(_Part):
    """How a problem type looks to other programs."""

    code: Code = ""
    """Empty: made of the type's name."""
    group: Words = Field(default_factory=dict)
    """Empty: the department's name."""
    keywords: tuple[str, ...] = ()
    questions: tuple[QuestionPart, ...] = ()


class PublicRecord(_Part):
    """What everybody may know of a case; a city without the file has these defaults."""

    descriptions: Whose = "apps"
    """Whose words are shown, with what could name a person taken out."""
    photos: Whose = "none"
    """Whose photos are shown."""
    places: Literal["block", "exact"] = "block"
    """`block`: the hundred of a house number, and a point to about a hundred metres."""
    notes: bool = True
    """Whether public notes and closing words are shown."""
    private_types: tuple[str, ...] = ()
    """Cases of these problem types are in no public list."""
    services: Mapping[str, ServicePart] = Field(default_factory=dict)
    """By problem type."""

    def code_of(self, problem_type: str) -> str:
        """The code of a problem type, the same for as long as the folder says so."""
        part = self.services.get(problem_type)
        return part.code if part is not None and part.code else code_from(problem_type)


def code_from(name: str) -> str:
    """A code of a problem type's name: `Snow/Ice` is `snow-ice`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "type"


def read_public_record(
    text: str | None, problem_types: Sequence[str], languages: Sequence[str], faults: list[str]
) -> PublicRecord:
    """What the file says; adds a sentence to `faults` for each thing that is wrong in it."""
    try:
        record = PublicRecord.model_validate(tomllib.loads(text or ""))
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{FILE} is no TOML: {error}.")
        return PublicRecord()
    except ValidationError as error:
        faults.extend(f"{FILE}: {_sentence(fault)}" for fault in error.errors())
        return PublicRecord()
    for name in (*record.private_types, *record.services):
        if name not in problem_types:
            faults.append(f'{FILE}: "{name}" is not in problem-types.csv.')
    first: dict[str, str] = {UNSURE: "what nobody has sorted yet"}
    for name in problem_types:
        code = record.code_of(name)
        if code in first:
            faults.append(f'{FILE}: "{name}" has the code "{code}", as {first[code]} has.')
        first.setdefault(code, f'"{name}"')
    for name, part in record.services.items():
        faults.extend(f'{FILE}: services."{name}" {one}' for one in _faults_of(part, languages))
    return record


def _faults_of(part: ServicePart, languages: Sequence[str]) -> Iterable[str]:
    if part.group:
        yield from _unspoken("group", part.group, languages)
    seen = set()
    for question in part.questions:
        where = f"question {question.code}"
        if question.code in seen:
            yield f"{where} stands there twice."
        seen.add(question.code)
        yield from _unspoken(f"{where}: ask", question.ask, languages)
        if question.help:
            yield from _unspoken(f"{where}: help", question.help, languages)
        if question.datatype.endswith("list") != bool(question.choices):
            yield f"{where}: lists have choices, and nothing else has."
        keys = [choice.key for choice in question.choices]
        if len(set(keys)) != len(keys):
            yield f"{where}: two choices have the same key."
        for choice in question.choices:
            yield from _unspoken(f"{where}: choice {choice.key}", choice.name, languages)


def _unspoken(what: str, words: Words, languages: Sequence[str]) -> Iterable[str]:
    for language in languages:
        if not words.get(language):
            yield f'{what} has no "{language}".'


def _sentence(fault: Any) -> str:
    return f"{'.'.join(str(step) for step in fault['loc']) or 'it'}: {fault['msg']}."
