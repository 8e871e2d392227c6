"""`deploy/nats.conf` on the real nats-server: accepted, durable, closed to whoever has no token."""

import asyncio
import json
import os
import socket
import subprocess
import sysconfig
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import nats
import nats.errors
import pytest
from pydantic import SecretStr

from bus.connect import Settings, open_bus
from bus.topology import STREAMS
from gateway.engine_nats import Nats

CONF = Path(__file__).parents[2] / "deploy" / "nats.conf"
SERVER = str(Path(sysconfig.get_path("scripts")) / "nats-server")
TOKEN = "4815162342"  # digits, which the server would read as a number but for the quotes


@dataclass(frozen=True)
class Deployed:
    url: str
    monitor: str


def environment() -> dict[str, str]:
    return os.environ | {"NATS_TOKEN": f'"{TOKEN}"'}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def deployed(tmp_path: Path) -> AsyncIterator[Deployed]:
    """A server with our file; only its ports and its folder are this machine's."""
    port, monitor = free_port(), free_port()
    conf = tmp_path / "nats.conf"
    conf.write_text(CONF.read_text().replace("/data/jetstream", str(tmp_path / "jetstream")))
    # By the command line, as the file's own are those of a container.
    ours = ["-a", "127.0.0.1", "-p", str(port), "-m", str(monitor)]
    process = await asyncio.create_subprocess_exec(
        *(SERVER, "-c", str(conf), *ours),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Deployed(f"nats://127.0.0.1:{port}", f"http://127.0.0.1:{monitor}")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


def told(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def test_the_server_accepts_the_file() -> None:
    answer = subprocess.run(
        [SERVER, "-c", str(CONF), "-t"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert answer.returncode == 0, answer.stderr
    assert "is valid" in answer.stdout + answer.stderr


async def test_our_streams_fit_and_an_acknowledged_message_is_on_disk(deployed: Deployed) -> None:
    at = Settings(url=deployed.url, token=SecretStr(TOKEN))
    async with open_bus(at, name="test") as bus:
        account = await bus.js.account_info()
        assert account.streams == len(STREAMS) + 1  # and the drafts
        jetstream = await asyncio.to_thread(told, f"{deployed.monitor}/jsz?config=true")
        config = jetstream["config"]
        assert isinstance(config, dict)
        assert config["sync_always"] is True
        assert await asyncio.to_thread(told, f"{deployed.monitor}/healthz") == {"status": "ok"}


async def test_messages_may_be_as_large_as_with_the_embedded_server(
    deployed: Deployed, tmp_path: Path
) -> None:
    embedded = Nats(tmp_path / "nats")
    await embedded.start()
    try:
        sizes = set()
        for url, token in ((deployed.url, TOKEN), (embedded.url, None)):
            async with open_bus(
                Settings(url=url, token=SecretStr(token) if token else None), name="test"
            ) as bus:
                sizes.add(bus.client.max_payload)
        assert sizes == {8 * 1024 * 1024}
    finally:
        await embedded.stop()


async def test_nobody_comes_in_without_the_token(deployed: Deployed) -> None:
    async with open_bus(Settings(url=deployed.url, token=SecretStr(TOKEN)), name="test"):
        pass  # it answers

    async def grumble(error: Exception) -> None:
        pass

    for wrong in (None, "wrong"):
        with pytest.raises((nats.errors.Error, OSError)):
            await nats.connect(
                deployed.url,
                token=wrong,
                allow_reconnect=False,
                error_cb=grumble,
                max_reconnect_attempts=1,
            )
