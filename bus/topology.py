"""
The streams of Buckstop as data, and the code that makes the server agree with it on every start.

Limits retention: two services hear the same complaint. `discard: new`: a full stream refuses the
publisher, who still holds the message, where the default would silently drop the oldest.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from bus.codec import LAST_TOKENS
from bus.contracts import Fact

log = structlog.stdlib.get_logger()

GIB = 1024**3


@dataclass(frozen=True)
class Stream:
    name: str
    subjects: tuple[str, ...]
    about: str
    keep: timedelta = timedelta(days=30)
    max_bytes: int = 8 * GIB


STREAMS = (
    Stream("COMPLAINTS", ("complaint.>",), "What residents told us, and where it belongs"),
    Stream("CASES", ("case.>", "incident.>"), "What happened to cases, told by the store's outbox"),
    Stream("NOTICES", ("notice.>", "report.>"), "Emails and texts: queued, sent, failed; reports"),
    Stream("DEAD", ("dead.>",), "What nobody could handle, with the reason", keep=timedelta(365)),
)

# JetStream forgets a Nats-Msg-Id after this; for ever after, the store's primary keys remember.
DUPLICATE_WINDOW = timedelta(minutes=10)


def stream_config(stream: Stream, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        description=stream.about,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_age=stream.keep.total_seconds(),
        max_bytes=stream.max_bytes,
        duplicate_window=DUPLICATE_WINDOW.total_seconds(),
        num_replicas=replicas,
        # A batch of facts is stored with one fsync instead of one each (bus/publish.py).
        allow_atomic=True,
        # Some contracts last for less than the stream (`Fact.lasts`).
        allow_msg_ttl=True,
        allow_direct=True,
    )


def subjects_heard(contracts: tuple[type[Fact], ...], only: str = "") -> list[str]:
    """
    The subjects on which these facts are told; with `only`, those of one channel, or medium.
    """
    return [
        f"{contract.subject}.{only or '>'}" if contract.subject in LAST_TOKENS else contract.subject
        for contract in contracts
    ]


async def ensure_streams(js: JetStreamContext, *, replicas: int = 1) -> None:
    """Make the server's streams agree with `STREAMS`; what they hold stays."""
    for stream in STREAMS:
        config = stream_config(stream, replicas)
        try:
            await js.stream_info(stream.name)
        except NotFoundError:
            await js.add_stream(config)
            log.info("stream made", stream=stream.name)
        else:
            await js.update_stream(config)


async def ensure_durable(
    js: JetStreamContext,
    *,
    stream: str,
    durable: str,
    contracts: tuple[type[Fact], ...],
    ack_wait: float,
    max_ack_pending: int,
    only: str = "",
) -> None:
    """
    Make the server's durable agree; its place in the stream stays, and so does an operator's pause.

    `max_deliver` stays unlimited on the server: the worker loop counts the tries, so that nothing
    ends without a grave. (`pull_subscribe` with a config would never update an existing durable.)
    """
    paused_until = None
    with suppress(NotFoundError):
        paused_until = (await js.consumer_info(stream, durable)).config.pause_until
    await js.add_consumer(
        stream,
        ConsumerConfig(
            durable_name=durable,
            pause_until=paused_until,
            description=f"{durable.split('_')[0]} hears {', '.join(c.subject for c in contracts)}",
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_ack_pending=max_ack_pending,
            filter_subjects=subjects_heard(contracts, only),
        ),
    )
