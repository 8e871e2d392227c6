"""What people have typed and not yet sent, kept for a day in a key-value bucket of the bus."""

import hashlib

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig
from nats.js.kv import KeyValue

from bus.errors import Refused, Unavailable

BUCKET = "DRAFTS"
_KEEP = 24 * 3600.0  # seconds
_MOST_BYTES = 512 * 1024


class Drafts:
    """
    Drafts by a token that only their writer holds; the bucket knows the token's hash.

    Every call raises `Unavailable` when the bus does not answer.
    """

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def read(self, token: str) -> bytes | None:
        """The draft; None when there is none or it is older than a day."""
        try:
            return (await self._bucket.get(_key(token))).value
        except nats.js.errors.KeyNotFoundError:
            return None
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable(f"drafts: {type(error).__name__}") from error

    async def write(self, token: str, value: bytes) -> None:
        """Keep the draft; returns once it is stored. `Refused` above 512 KB."""
        if len(value) > _MOST_BYTES:
            raise Refused(f"a draft of {len(value)} bytes")
        try:
            await self._bucket.put(_key(token), value)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable(f"drafts: {type(error).__name__}") from error

    async def forget(self, token: str) -> None:
        try:
            await self._bucket.purge(_key(token))
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable(f"drafts: {type(error).__name__}") from error


async def open_drafts(js: JetStreamContext, *, replicas: int = 1) -> Drafts:
    """The bucket of drafts, made when it is not there."""
    try:
        bucket = await js.key_value(BUCKET)
    except nats.js.errors.BucketNotFoundError:
        bucket = await js.create_key_value(
            KeyValueConfig(
                bucket=BUCKET,
                description="What people typed and have not sent; forgotten after a day",
                ttl=_KEEP,
                history=1,
                max_bytes=1024**3,
                replicas=replicas,
            )
        )
    return Drafts(bucket)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
