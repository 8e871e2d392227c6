"""
A whole stream, with its durables and how far each has come, into a file and back: JetStream's own
snapshot, in the server's own format.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamInfo

from bus.errors import Refused, Unavailable

_CHUNK = 128 * 1024
_PATIENCE = 30.0  # seconds without a word from the server


async def streams(client: Client) -> list[StreamInfo]:
    """Every stream of ours, drafts included."""
    return list(await client.jetstream().streams_info())


async def save(client: Client, stream: str, target: Path) -> dict[str, Any]:
    """
    Write the stream into `target`; what `restore` needs beside it. Raises `Unavailable` when the
    server does not answer, `Refused` when it will not.
    """
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=arrived.put, pending_bytes_limit=-1)
    try:
        answer = await _ask(
            client,
            f"$JS.API.STREAM.SNAPSHOT.{stream}",
            {"deliver_subject": inbox, "chunk_size": _CHUNK, "no_consumers": False},
        )
        with target.open("wb") as file:
            while True:
                try:
                    message = await asyncio.wait_for(arrived.get(), _PATIENCE)
                except TimeoutError as error:
                    raise Unavailable(f"the snapshot of {stream} broke off") from error
                if not message.data:
                    status = (message.headers or {}).get("Status", "204")
                    if status not in ("204", "200"):
                        said = (message.headers or {}).get("Description", status)
                        raise Refused(f"snapshot of {stream}: {said}")
                    break
                file.write(message.data)
                # The server sends on only once it is told that we have what it sent.
                if message.reply:
                    await client.publish(message.reply, b"")
    finally:
        await subscription.unsubscribe()
    return {"config": answer["config"], "state": answer["state"]}


async def restore(client: Client, stream: str, source: Path, about: dict[str, Any]) -> None:
    """Make the stream from a file that `save` wrote. Raises `Refused` where one is already."""
    answer = await _ask(
        client,
        f"$JS.API.STREAM.RESTORE.{stream}",
        {"config": about["config"], "state": about["state"]},
    )
    target = answer["deliver_subject"]
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            await client.request(target, chunk, timeout=_PATIENCE)
    last = await client.request(target, b"", timeout=_PATIENCE)
    _judge(json.loads(last.data))


async def _ask(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await client.request(subject, json.dumps(body).encode(), timeout=_PATIENCE)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable(f"JetStream: {type(error).__name__}") from error
    said: dict[str, Any] = json.loads(answer.data)
    _judge(said)
    return said


def _judge(answer: dict[str, Any]) -> None:
    if problem := answer.get("error"):
        raise Refused(str(problem.get("description", "JetStream refused")))
