"""Where a complaint lies on the bus, and who has not answered it yet; looking consumes nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bus.errors import Unavailable
from bus.pull import Pull
from bus.stream import id_of

_STREAM = "COMPLAINTS"
_AT_ONCE = 500
_MOST = 50_000  # messages that are looked at; a storm brings fewer until one is routed


@dataclass(frozen=True)
class Passed:
    """A message as it lies in its stream."""

    message_id: UUID
    subject: str
    sequence: int
    stored_at: datetime
    waits_for: tuple[str, ...]
    """Durables that have not been given it yet."""
    in_hand_of: tuple[str, ...]
    """Durables that were given it and have not answered it, or one before it."""


async def find(client: Client, ids: Collection[UUID], since: datetime) -> list[Passed]:
    """
    The messages with these ids in COMPLAINTS, among the first 50,000 stored after `since`; those
    that the stream keeps no more are left out. Raises `Unavailable` when the server does not say.
    """
    try:
        return await _find(client, set(ids), since - timedelta(minutes=1))
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"JetStream: {type(error).__name__}") from error


async def _find(client: Client, wanted: set[UUID], since: datetime) -> list[Passed]:
    js = client.jetstream()
    info = await js.add_consumer(
        _STREAM,
        ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=since,
            ack_policy=AckPolicy.NONE,
            headers_only=True,
            inactive_threshold=30,
            mem_storage=True,
        ),
    )
    found: list[Passed] = []
    try:
        left = min(info.num_pending or 0, _MOST)
        durables = [one for one in await js.consumers_info(_STREAM) if one.config.durable_name]
        async with Pull(client, stream=_STREAM, durable=info.name, most=_AT_ONCE) as pull:
            while left > 0 and wanted:
                messages = await pull.batch(wait=5)
                if not messages:
                    break
                left -= len(messages)
                for message in messages:
                    id_ = id_of((message.headers or {}).get("Nats-Msg-Id", ""))
                    at = message.metadata
                    if id_ is None or id_ not in wanted:
                        continue
                    wanted.discard(id_)
                    sequence = at.sequence.stream
                    open_ = [
                        one
                        for one in durables
                        if _hears(one.config.filter_subjects or [], message.subject)
                        and (one.ack_floor.stream_seq if one.ack_floor else 0) < sequence
                    ]
                    given = {
                        one.name
                        for one in open_
                        if (one.delivered.stream_seq if one.delivered else 0) >= sequence
                    }
                    found.append(
                        Passed(
                            message_id=id_,
                            subject=message.subject,
                            sequence=sequence,
                            stored_at=at.timestamp,
                            waits_for=tuple(one.name for one in open_ if one.name not in given),
                            in_hand_of=tuple(sorted(given)),
                        )
                    )
    finally:
        await js.delete_consumer(_STREAM, info.name)
    return found


def _hears(filters: list[str], subject: str) -> bool:
    return not filters or any(
        subject == one or (one.endswith(".>") and subject.startswith(one[:-1])) for one in filters
    )
