"""Dead letters for tests."""

import base64
from datetime import timedelta
from uuid import uuid4

from bus.codec import CONTRACT_HEADER, encode
from bus.contracts import DeadLetter
from tests.support.facts import NOON, complaint


def dead(number: int, *, reason: str = "Refused: for the test", **other: object) -> DeadLetter:
    """The letter of the `number`-th complaint, which the store could not file."""
    told = complaint(number)
    values: dict[str, object] = {
        "message_id": uuid4(),
        "occurred_at": NOON + timedelta(seconds=number),
        "durable": "store_complaint",
        "stream": "COMPLAINTS",
        "sequence": number,
        "original_subject": "complaint.received.web",
        "original_id": str(told.message_id),
        "complaint_id": told.message_id,
        "reason": reason,
        "tries": 6,
        "headers": {"Nats-Msg-Id": str(told.message_id), CONTRACT_HEADER: told.tag},
        "payload": base64.b64encode(encode(told)).decode(),
    }
    return DeadLetter.model_validate(values | other)
