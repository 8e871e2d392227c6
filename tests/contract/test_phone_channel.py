"""The phone: what staff write down for a caller reaches the bus once, with its original."""

import json
from uuid import uuid4

import pytest

from bus.codec import decode
from bus.connect import Bus
from bus.contracts import ComplaintReceived
from bus.files import Files
from bus.identity import read_reference
from channels.intake import Intake
from channels.phone_transcript import MOST_LETTERS, PhoneTranscript, check
from tests.support.facts import SECRET

TYPES = ["Graffiti", "Sinkhole"]
CALL = {
    "address": " 11401 E 23rd St ",
    "text": "Caller: there is a hole\r\nTaker: how big?\x00",
    "problem_type": "Sinkhole",
    "name": "Rosa Lara",
    "phone": "816 555 0142",
    "email": "rosa@resident.example",
    "language": "es",
    "csrf": "not part of what was said",
}


@pytest.fixture
def phone(bus: Bus, files: Files) -> PhoneTranscript:
    return PhoneTranscript(Intake(secret=SECRET, files=files, tell=bus.tell))


async def told(bus: Bus) -> ComplaintReceived:
    raw = await bus.js.get_last_msg("COMPLAINTS", "complaint.received.phone")
    assert raw.data is not None
    fact = decode(raw.data, ComplaintReceived.tag)
    assert isinstance(fact, ComplaintReceived)
    return fact


async def test_a_call_is_told_with_who_called_and_who_wrote_it_down(
    phone: PhoneTranscript, bus: Bus
) -> None:
    answers, problems = check(CALL, TYPES)
    assert not problems
    complaint = await phone.receive(answers, "casey.caller", "call-1")

    assert await told(bus) == complaint
    assert complaint.channel == "phone"
    assert complaint.entered_by == "casey.caller"
    assert complaint.text == "Caller: there is a hole\nTaker: how big?"
    assert complaint.address == "11401 E 23rd St"
    assert complaint.problem_type == "Sinkhole"
    assert complaint.language == "es"
    assert complaint.reporter.phone == "+18165550142"
    assert read_reference(complaint.reference) == complaint.reference


async def test_the_original_is_the_form_as_it_was_typed(
    phone: PhoneTranscript, files: Files
) -> None:
    answers, _ = check(CALL, TYPES)
    complaint = await phone.receive(answers, "casey.caller", "call-1")
    assert complaint.original is not None
    original = json.loads(await files.read(complaint.original.sha256))
    assert original["entered_by"] == "casey.caller"
    assert original["fields"]["text"] == CALL["text"]
    assert "csrf" not in original["fields"]


async def test_the_same_call_saved_twice_is_one_complaint(phone: PhoneTranscript, bus: Bus) -> None:
    answers, _ = check(CALL, TYPES)
    call = str(uuid4())
    first = await phone.receive(answers, "casey.caller", call)
    second = await phone.receive(answers, "casey.caller", call)
    assert (first.message_id, first.reference) == (second.message_id, second.reference)
    assert phone.reference(call) == first.reference
    assert (await bus.js.stream_info("COMPLAINTS")).state.messages == 1


async def test_an_anonymous_caller_leaves_no_trace_in_the_complaint_or_its_original(
    phone: PhoneTranscript, files: Files
) -> None:
    answers, _ = check(CALL | {"anonymous": "yes"}, TYPES)
    complaint = await phone.receive(answers, "casey.caller", "call-1")
    assert complaint.reporter.name is None
    assert complaint.reporter.phone is None
    assert complaint.reporter.email is None
    assert complaint.original is not None
    kept = (await files.read(complaint.original.sha256)).decode()
    assert "Rosa" not in kept
    assert "0142" not in kept


def test_a_phone_number_that_cannot_be_read_is_kept_as_it_was_said() -> None:
    answers, problems = check({"text": "x", "phone": "the one on the fridge"}, TYPES)
    assert not problems
    assert answers.caller.phone == "the one on the fridge"


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"text": " \x00\n"}, "text"),
        ({"text": "x" * (MOST_LETTERS + 1)}, "text"),
        ({"text": "x", "email": "at home"}, "email"),
        ({"text": "x", "problem_type": "Dragons"}, "problem_type"),
        ({"text": "x", "address": "y" * 301}, "address"),
    ],
)
def test_what_has_to_be_mended_is_named(typed: dict[str, str], field: str) -> None:
    _, problems = check(typed, TYPES)
    assert [one.field for one in problems] == [field]
    assert problems[0].message


def test_everything_wrong_is_said_at_once() -> None:
    _, problems = check({"text": "", "email": "nope", "problem_type": "Dragons"}, TYPES)
    assert {one.field for one in problems} == {"text", "email", "problem_type"}
