"""
The web form: checks what a resident typed, keeps it as it was typed, and tells the bus.

The pages of `gateway/resident` call `WebForm.receive`; `POST /channels/web` takes a whole report
at once, urlencoded or as JSON, from other pages and programs.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from aiohttp import web

from bus.contracts import ComplaintReceived, Contact, FileRef, Follows
from channels.base import Channel, noted
from channels.intake import LANGUAGES, Heard, Intake, clean_line, clean_text, read_email, read_phone

MOST_LETTERS = 20_000
"""Of the report's text."""
MOST_OF_A_LINE = 300

FIELDS = (
    "text",
    "problem_type",
    "address",
    "lat",
    "lon",
    "place_source",
    "name",
    "email",
    "phone",
    "language",
)
EMERGENCY = {
    "en": "Call 911 now if anyone is in danger. We do not send help.",
    "es": "Llame al 911 ya si alguien corre peligro. Nosotros no mandamos ayuda.",
}
"""What a program that reported danger is told to show, by language."""
_PLACE_SOURCES = frozenset({"pin", "device", "photo", "address"})


@dataclass(frozen=True)
class Problem:
    """What is wrong with a field, as a sentence in English that says how to mend it."""

    field: str
    sentence: str
    values: Mapping[str, object]

    @property
    def message(self) -> str:
        return self.sentence % self.values


@dataclass(frozen=True)
class Answers:
    """What a resident answered, checked."""

    text: str
    address: str | None = None
    lat: float | None = None
    lon: float | None = None
    place_source: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    language: str = "en"
    problem_type: str | None = None


class BadAnswers(web.HTTPUnprocessableEntity):
    """The report was not taken: `problems` say why, `typed` is what was typed."""

    def __init__(self, problems: Sequence[Problem], typed: Mapping[str, str]) -> None:
        self.problems = problems
        self.typed = typed
        super().__init__(
            text=json.dumps(
                {"errors": [{"field": one.field, "message": one.message} for one in problems]}
            ),
            content_type="application/json",
        )


class WebForm:
    """The channel `web`."""

    name = "web"

    def __init__(self, intake: Intake, *, problem_types: Collection[str] = ()) -> None:
        """`problem_types`: those a resident may choose; none given: any word is taken."""
        self._intake = intake
        self._problem_types = frozenset(problem_types)

    def channel(self) -> Channel:
        return Channel(self.name, routes=[web.post("/channels/web", self.take)])

    def check(self, typed: Mapping[str, str]) -> tuple[Answers, list[Problem]]:
        """What was answered, and everything that is wrong with it at once."""
        return check(typed, self._problem_types)

    def reference(self, external_id: str) -> str:
        """The reference that the report with this id has or will have."""
        return self._intake.reference(self.name, external_id)

    async def receive(
        self,
        typed: Mapping[str, str],
        external_id: str,
        attachments: Sequence[FileRef] = (),
        *,
        same_as: UUID | None = None,
    ) -> ComplaintReceived:
        """
        Takes a report; returns once it is on disk, with its reference. Raises `BadAnswers` when
        it cannot be taken. The same `external_id` again is the same complaint. `same_as` is the
        open case that its sender was shown and called the same problem.
        """
        answers, problems = self.check(typed)
        if problems:
            raise BadAnswers(problems, typed)
        kept = dict(typed) | ({"same_as": str(same_as)} if same_as else {})
        return await self._intake.receive(
            Heard(
                channel=self.name,
                external_id=external_id,
                original=original_of(kept, external_id, attachments),
                original_type="application/json",
                original_name="web-form.json",
                text=answers.text,
                language=answers.language,
                address=answers.address,
                lat=answers.lat,
                lon=answers.lon,
                place_source=answers.place_source,
                reporter=Contact(name=answers.name, email=answers.email, phone=answers.phone),
                problem_type=answers.problem_type,
                attachments=tuple(attachments),
                follows=Follows(same_as=same_as) if same_as else None,
            )
        )

    async def take(self, request: web.Request) -> web.Response:
        """`POST /channels/web`: a whole report in one request."""
        as_json = request.content_type == "application/json"
        typed = await (_read_json(request) if as_json else read_form(request))
        external_id = (
            clean_line(request.headers.get("Idempotency-Key") or typed.get("token") or "")
            or uuid4().hex
        )
        if len(external_id) > MOST_OF_A_LINE:
            raise BadAnswers([_too_long("token")], typed)
        complaint = await self.receive(typed, external_id)

        accepted = request.headers.get("Accept", "")
        if "json" in accepted or (as_json and "text/html" not in accepted):
            told: dict[str, object] = {
                "reference": complaint.reference,
                "id": str(complaint.message_id),
            }
            if complaint.emergency:
                told["emergency"] = EMERGENCY[complaint.language]
            return web.json_response(told)
        # A redirect, so that reloading the receipt sends nothing again.
        urgent = "?urgent=1" if complaint.emergency else ""
        receipt = f"/receipt/{complaint.reference}{urgent}"
        return web.Response(status=303, headers={"Location": receipt})


def check(
    typed: Mapping[str, str], problem_types: Collection[str] = ()
) -> tuple[Answers, list[Problem]]:
    """What was answered, and everything that is wrong with it at once. Pure."""
    problems: list[Problem] = []

    text = clean_text(typed.get("text", ""))
    if not text:
        problems.append(Problem("text", noted("Tell us what the problem is."), {}))
    elif len(text) > MOST_LETTERS:
        problems.append(
            Problem(
                "text",
                noted(
                    "Your report has %(letters)s characters; we can take %(most)s. Please shorten "
                    "it, and keep what matters most."
                ),
                {"letters": f"{len(text):,}", "most": f"{MOST_LETTERS:,}"},
            )
        )

    lines = {}
    for field in ("address", "name", "email", "phone", "problem_type"):
        line = clean_line(typed.get(field, ""))
        if len(line) > MOST_OF_A_LINE:
            problems.append(_too_long(field))
            line = ""
        lines[field] = line

    email = read_email(lines["email"]) if lines["email"] else None
    if lines["email"] and email is None:
        problems.append(
            Problem(
                "email",
                noted("Enter an email address like name@example.com, or leave it empty."),
                {},
            )
        )
    phone = read_phone(lines["phone"]) if lines["phone"] else None
    if lines["phone"] and phone is None:
        problems.append(
            Problem(
                "phone",
                noted("Enter the phone number with its area code, or leave it empty."),
                {},
            )
        )
    if lines["problem_type"] and problem_types and lines["problem_type"] not in problem_types:
        problems.append(
            Problem("problem_type", noted("Choose a kind of problem from the list."), {})
        )

    lat, lon = _degrees(typed.get("lat", ""), 90), _degrees(typed.get("lon", ""), 180)
    if (lat is None) != (lon is None) or (
        lat is None and (typed.get("lat", "").strip() or typed.get("lon", "").strip())
    ):
        problems.append(
            Problem("lat", noted("The place on the map could not be read. Set it again."), {})
        )
        lat = lon = None
    source = typed.get("place_source", "")
    language = typed.get("language", "")
    answers = Answers(
        text=text,
        address=lines["address"] or None,
        lat=lat,
        lon=lon,
        place_source=None if lat is None else source if source in _PLACE_SOURCES else "pin",
        name=lines["name"] or None,
        email=email,
        phone=phone,
        language=language if language in LANGUAGES else "en",
        problem_type=lines["problem_type"] or None,
    )
    return answers, problems


def original_of(
    typed: Mapping[str, str], external_id: str, attachments: Sequence[FileRef] = ()
) -> bytes:
    """The form as it was typed, in the one way to write it: the same form gives the same bytes."""
    form = {
        "token": external_id,
        "fields": {name: value for name, value in typed.items() if name != "token"},
        "attachments": [one.sha256 for one in attachments],
    }
    # ASCII, so that even half a character comes back as it was typed.
    return json.dumps(form, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form; files in it are left out."""
    try:
        form = await request.post()
    except (ValueError, LookupError) as error:  # bytes of no encoding, or of an unknown one
        raise web.HTTPBadRequest(
            text='{"errors":[{"field":"","message":"The form could not be read."}]}',
            content_type="application/json",
        ) from error
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def _read_json(request: web.Request) -> dict[str, str]:
    try:
        body = await request.json()
    except (ValueError, LookupError, RecursionError) as error:
        raise web.HTTPBadRequest(
            text='{"errors":[{"field":"","message":"The body is not JSON."}]}',
            content_type="application/json",
        ) from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(
            text='{"errors":[{"field":"","message":"The body must be a JSON object."}]}',
            content_type="application/json",
        )
    typed = {
        str(name): str(value)
        for name, value in body.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }
    known = {*FIELDS, "token"}
    unread = [
        name
        for name, value in body.items()
        if name in known and name not in typed and value is not None
    ]
    if unread:
        what = noted("This must be a text or a number.")
        raise BadAnswers([Problem(name, what, {}) for name in unread], typed)
    return typed


def _too_long(field: str) -> Problem:
    return Problem(
        field,
        noted("This is longer than %(most)s characters. Please shorten it."),
        {"most": MOST_OF_A_LINE},
    )


def _degrees(typed: str, most: int) -> float | None:
    try:
        value = float(typed)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= most else None
