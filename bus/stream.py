"""Looking at what a stream holds, without consuming it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bus.codec import CONTRACT_HEADER
from bus.publish import Letter
from bus.pull import Pull

_AT_ONCE = 1000


@dataclass(frozen=True)
class Stored:
    """A message as it lies in its stream, without its body."""

    sequence: int
    message_id: UUID


async def stored_in(client: Client, stream: str, subject: str) -> AsyncIterator[list[Stored]]:
    """
    Every message that lies on `subject` now, oldest first, in lists. Messages that are none of
    ours (no id) are passed over: they lie in DEAD with their reason.
    """
    js = client.jetstream()
    info = await js.add_consumer(
        stream,
        ConsumerConfig(
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.NONE,
            filter_subjects=[subject],
            headers_only=True,
            inactive_threshold=60,
            mem_storage=True,
        ),
    )
    try:
        left = info.num_pending or 0
        async with Pull(client, stream=stream, durable=info.name, most=_AT_ONCE) as pull:
            while left > 0:
                messages = await pull.batch(wait=10)
                if not messages:
                    raise TimeoutError(f"{stream} stopped answering with {left} messages unread")
                left -= len(messages)
                yield [
                    Stored(message.metadata.sequence.stream, id_)
                    for message in messages
                    if (id_ := id_of((message.headers or {}).get("Nats-Msg-Id", ""))) is not None
                ]
    finally:
        await js.delete_consumer(stream, info.name)


async def again(client: Client, stream: str, sequence: int, mark: str) -> Letter:
    """The message at `sequence` as a letter that the duplicate window will let through."""
    raw = await client.jetstream().get_msg(stream, sequence)
    headers = raw.headers or {}
    return Letter(
        subject=raw.subject or "",
        data=raw.data or b"",
        headers={
            CONTRACT_HEADER: headers.get(CONTRACT_HEADER, ""),
            "Nats-Msg-Id": f"{headers.get('Nats-Msg-Id', '').partition('#')[0]}#{mark}",
        },
        stream=(raw.subject or "").partition(".")[0],
    )


def id_of(message_id: str) -> UUID | None:
    """The id in a `Nats-Msg-Id` of ours, which may bear a mark; None if it is none of ours."""
    try:
        return UUID(message_id.partition("#")[0])
    except ValueError:
        return None
