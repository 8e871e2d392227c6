"""Dead letters: what nobody could handle, buried with its reason, and raised again on demand."""

import base64
from datetime import UTC, datetime
from uuid import UUID

from nats.aio.msg import Msg

from bus.codec import CONTRACT_HEADER, decode, subject_of
from bus.contracts import CaseFact, ComplaintReceived, ComplaintRouted, DeadLetter, Fact
from bus.errors import Refused, Unreadable
from bus.identity import fact_id
from bus.publish import Letter


def letter_of(message: Msg, *, durable: str, fact: Fact | None, reason: Exception) -> DeadLetter:
    """The dead letter of a message; burying it again tells the same letter."""
    meta = message.metadata
    headers = {str(key): str(value) for key, value in (message.headers or {}).items()}
    return DeadLetter(
        message_id=fact_id("dead", durable, meta.stream, meta.sequence.stream, meta.timestamp),
        occurred_at=datetime.now(UTC),
        durable=durable,
        stream=meta.stream,
        sequence=meta.sequence.stream,
        original_subject=message.subject,
        original_id=headers.get("Nats-Msg-Id", ""),
        complaint_id=_complaint_of(fact),
        reason=f"{type(reason).__name__}: {reason}"[:2000],
        tries=meta.num_delivered,
        headers=headers,
        payload=base64.b64encode(message.data).decode(),
    )


def raised(letter: DeadLetter, *, time: int) -> Letter:
    """
    The message as it was, to be told again for the `time`-th time.

    Everybody who hears the subject hears it again; those who had answered it know it by the id
    inside. The id outside is new, else the duplicate window would swallow it.
    """
    headers = {key: value for key, value in letter.headers.items() if not key.startswith("Nats-")}
    return Letter(
        subject=letter.original_subject,
        data=base64.b64decode(letter.payload),
        headers=headers | {"Nats-Msg-Id": f"{letter.original_id}#dead{time}"},
        stream=letter.original_subject.partition(".")[0],
    )


def mend(letter: DeadLetter, text: str, tag: str) -> tuple[dict[str, str], str]:
    """
    The headers and the payload of a mended copy, ready to be raised in the letter's place.

    Raises `Refused` with a sentence when nobody could hear it: it is no message of the contract
    `tag`, would be told elsewhere, or bears another id than the letter, which would make two of it.
    """
    fact = decode(text.encode(), tag)
    if subject_of(fact) != letter.original_subject:
        raise Refused(
            f"it would be told on {subject_of(fact)}, and the letter lay on "
            f"{letter.original_subject}"
        )
    try:
        before = decode(
            base64.b64decode(letter.payload), letter.headers.get(CONTRACT_HEADER, "")
        ).message_id
    except Unreadable:
        before = None  # it never was a message of ours: whatever id it is given is its first
    if before not in (None, fact.message_id):
        raise Refused(f"message_id has to stay {before}")
    headers = dict(letter.headers) | {CONTRACT_HEADER: tag}
    return headers, base64.b64encode(text.encode()).decode()


def _complaint_of(fact: Fact | None) -> UUID | None:
    if isinstance(fact, ComplaintReceived):
        return fact.message_id
    if isinstance(fact, ComplaintRouted):
        return fact.complaint_id
    if isinstance(fact, CaseFact):
        return fact.case.case_id
    return None
