"""What staff type into forms, read and checked; every error says how to mend it."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from channels.intake import clean_line, clean_text
from gateway.pages.i18n import gettext
from gateway.pages.i18n import noted as N_
from store.model import Outcome

NOTE = 10_000
WORDS = 5_000
MOST_OF_A_LINE = 300


Problems = dict[str, str]
"""What has to be mended: the field, and the sentence that says how."""


Clean = BeforeValidator(lambda value: clean_text(str(value)))
Line = Annotated[str, BeforeValidator(lambda value: clean_line(str(value))[:MOST_OF_A_LINE])]


def needed(sentence: str) -> AfterValidator:
    """Refuses an empty answer with this sentence."""

    def check(text: str) -> str:
        if not text:
            raise PydanticCustomError("needed", "{sentence}", {"sentence": sentence})
        return text

    return AfterValidator(check)


def at_most(letters: int) -> AfterValidator:
    """Refuses a longer answer, and says how much longer it is."""

    def check(text: str) -> str:
        if len(text) > letters:
            raise PydanticCustomError(
                "long",
                "{sentence}",
                {"sentence": TOO_LONG, "limit": letters, "over": len(text) - letters},
            )
        return text

    return AfterValidator(check)


NO_DAY = N_("Write the day as 2026-11-30.")


def _day(value: object) -> object:
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError as error:
        raise PydanticCustomError("day", "{sentence}", {"sentence": NO_DAY}) from error


def _day_or_none(value: object) -> object:
    return _day(value) if str(value).strip() else None


TOO_LONG = N_("Shorten this by %(over)d characters: at most %(limit)d fit.")


class Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AssignForm(Form):
    department: Line = ""
    assignee: Line = ""
    why: Annotated[str, Clean, at_most(WORDS)] = ""


class TypeForm(Form):
    problem_type: Annotated[Line, needed(N_("Choose the type of problem."))] = ""


class EmergencyForm(Form):
    emergency: Literal["yes", "no"]


class AbsenceForm(Form):
    absence_id: UUID
    login: Annotated[Line, needed(N_("Choose who is away."))] = ""
    first: Annotated[date, BeforeValidator(_day)]
    last: Annotated[date | None, BeforeValidator(_day_or_none)] = None


class NoteForm(Form):
    note_id: UUID
    audience: Literal["internal", "public"]
    text: Annotated[str, Clean, needed(N_("Write the note.")), at_most(NOTE)]


class CloseForm(Form):
    outcome: Outcome
    words: Annotated[str, Clean, needed(N_("Write what the resident will read.")), at_most(WORDS)]


class MergeForm(Form):
    other: Line = ""
    """The id of a case that was offered."""
    reference: Line = ""
    """Of another one, as somebody typed it."""
    stays: Literal["this", "that"]


class TakeInForm(Form):
    takes_in: Line = ""


class GiveForm(Form):
    assignee: Annotated[Line, needed(N_("Choose somebody from the list."))] = ""


class ReopenForm(Form):
    reason: Annotated[str, Clean, needed(N_("Say why the case opens again.")), at_most(WORDS)]


MISSING = {
    "outcome": N_("Choose how the case ended."),
    "audience": N_("Choose who may read the note."),
    "note_id": N_("This form was not whole. Send it again."),
    "absence_id": N_("This form was not whole. Send it again."),
    "emergency": N_("This form was not whole. Send it again."),
    "stays": N_("Choose which of the two goes on."),
}

F = TypeVar("F", bound=Form)


def read(form: type[F], typed: Mapping[str, str]) -> F | Problems:
    """The form as it was filled in, or everything that has to be mended."""
    whole = {name: typed.get(name, "") for name in form.model_fields}
    try:
        return form.model_validate(whole)
    except ValidationError as error:
        return {str(one["loc"][0]): _sentence(one) for one in error.errors()}


def _sentence(error: ErrorDetails) -> str:
    values = error.get("ctx", {})
    return gettext(values.get("sentence") or MISSING[str(error["loc"][0])]) % values
