"""Dead letters: what nobody could handle, buried with its reason, and raised again on demand."""

import base64
from datetime import UTC, datetime
from uuid import UUID

from nats.aio.msg import Msg

from bus.contracts import CaseFact, ComplaintReceived, ComplaintRouted, DeadLetter, Fact
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


def _complaint_of(fact: Fact | None) -> UUID | None:
    if isinstance(fact, ComplaintReceived):
        return fact.message_id
    if isinstance(fact, ComplaintRouted):
        return fact.complaint_id
    if isinstance(fact, CaseFact):
        return fact.case.case_id
    return None
