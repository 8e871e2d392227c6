"""
The phone: what staff write down for a caller, typed or pasted from a transcript.

The pages of `gateway/staff` call `PhoneTranscript.receive`. It is always known who called, unless
they wish to stay anonymous, and who wrote it down.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from bus.contracts import ComplaintReceived, Contact, Follows
from channels.base import Channel, noted
from channels.intake import LANGUAGES, Heard, Intake, clean_line, clean_text, read_email, read_phone
from channels.web_form import Problem

MOST_LETTERS = 50_000
"""Of the transcript: an hour of speech."""
MOST_OF_A_LINE = 300

FIELDS = (
    "address",
    "text",
    "problem_type",
    "name",
    "phone",
    "email",
    "anonymous",
    "language",
    "same_as",
)
_CONTACT = frozenset({"name", "phone", "email"})


@dataclass(frozen=True)
class CallAnswers:
    """What a call taker wrote down, checked; `typed` is how they wrote it."""

    typed: Mapping[str, str]
    text: str
    address: str | None = None
    problem_type: str | None = None
    """None: Buckstop decides."""
    caller: Contact = field(default_factory=Contact)
    language: str = "en"
    same_as: UUID | None = None
    """The open case that the call taker was shown and called the same problem."""


class PhoneTranscript:
    """The channel `phone`."""

    name = "phone"

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def channel(self) -> Channel:
        return Channel(self.name)

    def reference(self, external_id: str) -> str:
        """The reference that the call with this id has or will have."""
        return self._intake.reference(self.name, external_id)

    async def receive(
        self, answers: CallAnswers, entered_by: str, external_id: str
    ) -> ComplaintReceived:
        """
        Takes a call that `entered_by` wrote down; returns once it is on disk, with its reference.
        The same `external_id` again is the same complaint.
        """
        return await self._intake.receive(
            Heard(
                channel=self.name,
                external_id=external_id,
                original=original_of(answers.typed, entered_by, external_id),
                original_type="application/json",
                original_name="phone-call.json",
                text=answers.text,
                language=answers.language,
                address=answers.address,
                reporter=answers.caller,
                problem_type=answers.problem_type,
                entered_by=entered_by,
                follows=Follows(same_as=answers.same_as) if answers.same_as else None,
            )
        )


def check(
    typed: Mapping[str, str], problem_types: Collection[str]
) -> tuple[CallAnswers, list[Problem]]:
    """
    What was written down, and everything that is wrong with it at once. Pure.

    A caller who stays anonymous leaves no name, phone or email, not even in the original. A phone
    number that cannot be read as one is kept as it was said.
    """
    problems: list[Problem] = []

    text = clean_text(typed.get("text", ""))
    if not text:
        problems.append(Problem("text", noted("Write down what the caller said."), {}))
    elif len(text) > MOST_LETTERS:
        problems.append(
            Problem(
                "text",
                noted(
                    "This has %(letters)s characters; %(most)s fit. Please shorten it, and keep "
                    "what matters most."
                ),
                {"letters": f"{len(text):,}", "most": f"{MOST_LETTERS:,}"},
            )
        )

    anonymous = bool(typed.get("anonymous"))
    if anonymous:
        typed = {name: value for name, value in typed.items() if name not in _CONTACT}
    lines = {}
    for name in ("address", "problem_type", "name", "phone", "email"):
        lines[name] = clean_line(typed.get(name, ""))
        if len(lines[name]) > MOST_OF_A_LINE:
            problems.append(
                Problem(
                    name,
                    noted("This is longer than %(most)s characters. Please shorten it."),
                    {"most": MOST_OF_A_LINE},
                )
            )
            lines[name] = ""
    email = read_email(lines["email"]) if lines["email"] else None
    if lines["email"] and email is None:
        problems.append(
            Problem(
                "email",
                noted("This is no email address. Ask the caller to spell it, or leave it empty."),
                {},
            )
        )
    if lines["problem_type"] and lines["problem_type"] not in problem_types:
        problems.append(Problem("problem_type", noted("Choose a type from the list."), {}))

    language = typed.get("language", "")
    answers = CallAnswers(
        typed={name: typed[name] for name in FIELDS if name in typed},
        text=text,
        address=lines["address"] or None,
        problem_type=lines["problem_type"] or None,
        caller=Contact(
            name=lines["name"] or None,
            email=email,
            phone=read_phone(lines["phone"]) or lines["phone"] or None,
        ),
        language=language if language in LANGUAGES else "en",
        same_as=_case(typed.get("same_as", "")),
    )
    return answers, problems


def _case(typed: str) -> UUID | None:
    try:
        return UUID(typed)
    except ValueError:
        return None


def original_of(typed: Mapping[str, str], entered_by: str, external_id: str) -> bytes:
    """The call as it was written down; the same call gives the same bytes."""
    form = {"call": external_id, "entered_by": entered_by, "fields": dict(typed)}
    return json.dumps(form, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
