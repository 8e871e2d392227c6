"""Where on the bus the newest canary lies; looking consumes nothing."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from bus.codec import CONTRACT_HEADER, decode
from bus.contracts import (
    CanaryCarried,
    CanaryFact,
    CanaryFiled,
    CanaryQueued,
    CanaryReceived,
    CanaryRouted,
)
from bus.errors import Unavailable, Unreadable
from bus.topology import STREAMS

_SUBJECTS = tuple(
    contract.subject
    for contract in (CanaryReceived, CanaryRouted, CanaryFiled, CanaryQueued, CanaryCarried)
)


async def newest(js: JetStreamContext) -> Mapping[str, datetime]:
    """
    For each subject of theirs, when the canary that was told on it last was released; what no
    stream holds is left out. Raises `Unavailable` when the server does not say.
    """

    async def last(subject: str) -> datetime | None:
        [stream] = [one.name for one in STREAMS if f"{subject.partition('.')[0]}.>" in one.subjects]
        try:
            found = await js.get_last_msg(stream, subject, direct=True)
            fact = decode(found.data or b"", (found.headers or {}).get(CONTRACT_HEADER, ""))
        except (nats.js.errors.NotFoundError, Unreadable):
            return None
        return fact.released_at if isinstance(fact, CanaryFact) else None

    try:
        found = await asyncio.gather(*(last(subject) for subject in _SUBJECTS))
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"JetStream: {type(error).__name__}") from error
    return {subject: at for subject, at in zip(_SUBJECTS, found, strict=True) if at is not None}
