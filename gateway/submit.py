"""
`buckstop submit`: complaints from a file go the way that every complaint goes.

Each line is kept, gets its reference and is told to the bus; the answer is written once the bus
has it on disk. While Buckstop is away, it waits and tries again: a line is never given up half.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from bus.contracts import ComplaintReceived, Contact
from bus.errors import Unavailable
from channels.intake import Heard, Intake, clean_line, clean_text, read_email, read_phone

log = structlog.stdlib.get_logger()

CHUNK = 100
_LONGEST_WAIT = 5.0  # seconds between two tries


class Line(BaseModel):
    """One complaint in a file. Only `text` must be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(max_length=200_000)
    channel: str = Field(default="web", pattern=r"^[a-z][a-z0-9_]{0,30}$")
    external_id: str | None = Field(default=None, min_length=1, max_length=300)
    address: str | None = None
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    language: str | None = None
    problem_type: str | None = None
    received_at: AwareDatetime | datetime | None = None


@dataclass(frozen=True)
class Taken:
    """A line that is on the bus."""

    external_id: str
    reference: str


@dataclass(frozen=True)
class NotTaken:
    """A line that cannot be a complaint, and what to mend."""

    number: int
    reason: str


async def submit(
    lines: Iterable[str], intake: Intake, *, patience: float
) -> AsyncIterator[Taken | NotTaken]:
    """
    Submit complaints, one JSON object a line; gives an answer a line, in order. Raises
    `Unavailable` when the bus stayed away for `patience` seconds.
    """
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    while chunk := list(islice(numbered, CHUNK)):
        read = [read_line(line, number) for number, line in chunk]
        heard = [one for one in read if isinstance(one, Heard)]
        taken = iter(await _receive(intake, heard, patience))
        for one in read:
            if isinstance(one, NotTaken):
                yield one
            else:
                complaint = next(taken)
                yield Taken(complaint.external_id, complaint.reference)


def read_line(line: str, number: int) -> Heard | NotTaken:
    """What a line says, or what is wrong with it."""
    try:
        said = Line.model_validate(json.loads(line))
    except ValueError as error:
        if isinstance(error, ValidationError):
            reason = "; ".join(
                f"{'.'.join(str(step) for step in fault['loc']) or 'line'}: {fault['msg']}"
                for fault in error.errors()
            )
        else:
            reason = f"no JSON object ({error})"
        return NotTaken(number, reason)
    text = clean_text(said.text)
    if not text:
        return NotTaken(number, "text: there is none")
    received_at = said.received_at
    if received_at is not None and received_at.tzinfo is None:
        received_at = received_at.replace(tzinfo=UTC)
    # A line without an id of its own is known by what it says and where it stands, so that the
    # same file again brings nothing new.
    own = hashlib.sha256(f"{number}\n{line.strip()}".encode(errors="replace")).hexdigest()
    email = clean_line(said.email or "")
    phone = clean_line(said.phone or "")
    return Heard(
        channel=said.channel,
        external_id=said.external_id or f"line-{own[:32]}",
        original=line.encode(errors="replace"),
        original_type="application/json",
        original_name="submitted.json",
        text=text,
        language=said.language or "en",
        address=clean_line(said.address or "") or None,
        lat=said.lat if said.lon is not None else None,
        lon=said.lon if said.lat is not None else None,
        place_source="pin" if said.lat is not None and said.lon is not None else None,
        reporter=Contact(
            name=clean_line(said.name or "") or None,
            email=read_email(email) if email else None,
            phone=(read_phone(phone) or phone) if phone else None,
        ),
        problem_type=clean_line(said.problem_type or "") or None,
        received_at=received_at,
    )


async def _receive(intake: Intake, heard: list[Heard], patience: float) -> list[ComplaintReceived]:
    loop = asyncio.get_running_loop()
    until, wait = loop.time() + patience, 0.2
    while True:
        try:
            return await intake.receive_all(heard)
        except Unavailable:
            if loop.time() > until:
                raise
            log.info("the bus does not answer, trying again", waited=round(wait, 1))
            await asyncio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)
