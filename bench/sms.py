"""
How long Twilio waits for its answer: `python -m bench.sms` posts signed texts at 50 a second to the
webhook of a whole Buckstop, which files them meanwhile, and prints the figures.

The load is a process of its own. The floor is a page of the same process that only says it lives;
the web form, which does the same work for a report, stands beside it.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import aiohttp

from tests.support.twilio import ACCOUNT, TOKEN, signed, text_form

PUBLIC = "https://report.example.gov"
PER_SECOND = 50
COUNT = 1_500
BODIES = (
    "Big pothole on 23rd by the gas station, car got a flat tire",
    "Hay basura tirada en la esquina de Main y Maple desde hace una semana",
    "street light out 1200 W Truman Rd",
    "arbol caido en Sterling",
)


async def load(url: str, path: str, count: int) -> None:
    """Post texts at the pace and print how long each answer took, in seconds."""
    took: list[float] = []
    statuses: dict[int, int] = {}
    async with aiohttp.ClientSession() as session:

        async def post(number: int) -> None:
            form = text_form(
                f"{BODIES[number % len(BODIES)]} ({number})",
                From=f"+1816{5550000 + number:07d}",
                MessageSid="SM" + uuid4().hex,
            )
            headers = signed(PUBLIC + path, form)
            began = time.perf_counter()
            ask = session.get if path == "/healthz" else session.post
            sent = form if path == "/channels/sms" else {"text": form["Body"]}
            async with ask(url + path, data=sent, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                took.append(time.perf_counter() - began)
                statuses[answer.status] = statuses.get(answer.status, 0) + 1

        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                due = began + number / PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(post(number))
    json.dump({"took": took, "statuses": statuses}, sys.stdout)


async def measured(url: str, path: str, count: int) -> list[float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sms", url, path, str(count), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    told = json.loads(output)
    assert set(told["statuses"]) <= {"200", "303"}, told["statuses"]
    return sorted(told["took"])


def words(name: str, took: list[float]) -> str:
    def at(part: float) -> float:
        return 1000 * took[min(len(took) - 1, int(part * len(took)))]

    return (
        f"{name}: {len(took)} at {PER_SECOND}/s, median {1000 * statistics.median(took):.1f} ms,"
        f" p95 {at(0.95):.1f} ms, p99 {at(0.99):.1f} ms, longest {1000 * took[-1]:.1f} ms"
    )


async def main(folder: Path) -> None:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # No number of our own: what we answer stays in the mailbox, and nobody is called.
    made = {
        "DATA": str(folder / "data"),
        "HTTP__PORT": str(port),
        "HTTP__BASE_URL": PUBLIC,
        "CHANNELS__SMS__ACCOUNT_SID": ACCOUNT,
        "CHANNELS__SMS__AUTH_TOKEN": TOKEN,
        "CHANNELS__SMS__API_URL": "http://127.0.0.1:9",
        "LOG__LEVEL": "warning",
    }
    environment = os.environ | {f"BUCKSTOP__{name}": value for name, value in made.items()}
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "run", env=environment
    )
    try:
        await reachable(url)
        floor = await measured(url, "/healthz", COUNT // 3)
        await measured(url, "/channels/sms", 100)  # everything once, to be warm
        took = await measured(url, "/channels/sms", COUNT)
        form = await measured(url, "/channels/web", COUNT // 2)
    finally:
        server.send_signal(signal.SIGTERM)
        await server.wait()
    print(words("floor (/healthz)", floor))
    print(words("web form        ", form))
    print(words("webhook         ", took))
    p99, floor99 = took[int(0.99 * len(took))], floor[int(0.99 * len(floor))]
    busy = os.getloadavg()[0]
    print(f"p99 is {p99 / floor99:.1f} times the floor's; load of the machine {busy:.1f}")
    if p99 > 0.1:
        sys.exit("the 99th percentile is over 100 ms")


async def reachable(url: str) -> None:
    async with asyncio.timeout(90), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # not there yet
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(load(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            place.chmod(0o755)  # the database runs as another user
            asyncio.run(main(place))
