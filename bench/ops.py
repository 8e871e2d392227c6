"""
What the operators' page costs while many look at it: `python -m bench.ops [--viewers 10]`.

Starts an instance of its own, lets it rest, then lets viewers watch the page live, and tells the
part of a core that each of them takes of all our processes together, and how often the bus is
looked at. The page must take less than 2 % of a core for each viewer, and look no more than once a
second however many they are.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import nats
import psutil
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.pipeline import PYTHON, free_port, process, wait_for
from gateway.instance import Address
from gateway.samples import PASSWORD
from router.rules import CITIES, load_city

WHO = next(
    one.id
    for one in load_city(CITIES / "independence").people
    if "admin" in one.roles and one.active
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="buckstop-bench-") as folder:
        Path(folder).chmod(0o755)
        well = asyncio.run(run(Path(folder), asked.viewers, asked.seconds))
    sys.exit(0 if well else 1)


async def run(folder: Path, viewers: int, seconds: float) -> bool:
    data, port = folder / "data", free_port()
    command = (
        PYTHON, "-m", "gateway.cli", "run", "--sample-logins",
        "--data", str(data), "--port", str(port),
    )  # fmt: skip
    with process(*command, log=folder / "log") as child:
        await wait_for(port, child)
        await asyncio.sleep(15)  # what begins with a start is over
        address = Address.read(data)
        if address is None:
            raise SystemExit("the instance does not say where its engines are")
        family = Family(child.pid, data)
        bus = await nats.connect(address.nats_url)
        looks, questions = await counted(bus)

        began = time.monotonic()
        before = family.spent()
        await asyncio.sleep(seconds)
        resting = (family.spent() - before) / (time.monotonic() - began)
        if looks[0]:
            print(f"  nobody watches, and the bus was looked at {looks[0]} times")

        jar = aiohttp.CookieJar(unsafe=True)  # the address is a number
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=jar) as browser:
            form = {"login": WHO, "password": PASSWORD}
            async with browser.post("/staff/sign-in", data=form) as answer:
                answer.raise_for_status()
            events = [0]
            watching = [asyncio.create_task(watch(browser, events)) for _ in range(viewers)]
            await asyncio.sleep(3)
            looks[0] = questions[0] = events[0] = 0
            began, before, own = time.monotonic(), family.spent(), family.pages()
            await asyncio.sleep(seconds)
            took = time.monotonic() - began
            busy = (family.spent() - before) / took
            pages = (family.pages() - own) / took
            size = len(family.all())
            for one in watching:
                one.cancel()
            for one in watching:
                with suppress(asyncio.CancelledError):
                    await one
        await bus.close()
    each = 100 * (busy - resting) / viewers
    polls = looks[0] / took
    print(f"  {viewers} viewers, {events[0] / took:.1f} renewals a second in all")
    print(f"  {size} processes, the engines' among them; the pages' own takes {100 * pages:.1f} %")
    print(f"  all processes, nobody watching   {100 * resting:6.1f} % of a core")
    print(f"  all processes, all watching      {100 * busy:6.1f} % of a core")
    print(f"  for each viewer                  {each:6.2f} % of a core   (aim: below 2)")
    print(f"  looks at the bus                 {polls:6.2f} a second     (aim: 1 at most)")
    print(f"  questions to NATS for them       {questions[0] / took:6.2f} a second")
    return each < 2 and polls <= 1 and events[0] > 0


class Family:
    """All processes of an instance: its own, NATS, and PostgreSQL, which may be nobody's child."""

    def __init__(self, pid: int, data: Path) -> None:
        self._pages = psutil.Process(pid)
        postmaster = int((data / "pg" / "postmaster.pid").read_text().split()[0])
        self._first = {pid: self._pages, postmaster: psutil.Process(postmaster)}

    def all(self) -> list[psutil.Process]:
        """Who lives now, each once."""
        below = {child.pid: child for one in self._first.values() for child in one.children(True)}
        return [*({**below, **self._first}).values()]

    def spent(self) -> float:
        """Seconds of a core that they have taken, those that ended meanwhile as well."""
        spent = 0.0
        for one in self.all():
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
        return spent

    def pages(self) -> float:
        """The same of the process that serves the pages."""
        times = self._pages.cpu_times()
        return float(times.user + times.system)


async def counted(bus: Client) -> tuple[list[int], list[int]]:
    """How often somebody looks, and all that is asked for it; who asks is heard beside the way."""
    looks, questions = [0], [0]

    async def hear(message: Msg) -> None:
        asked = message.subject.removeprefix("$JS.API.")
        looks[0] += asked == "STREAM.LIST"
        ours = ("STREAM.LIST", "CONSUMER.LIST", "DIRECT.GET", "buckstop.signs")
        questions[0] += asked.startswith(ours)

    for subject in ("$JS.API.>", "buckstop.signs"):
        await bus.subscribe(subject, cb=hear)
    await bus.flush()
    return looks, questions


async def watch(browser: aiohttp.ClientSession, events: list[int]) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with browser.get("/ops/live", timeout=timeout, read_bufsize=1 << 20) as stream:
        stream.raise_for_status()
        while piece := await stream.content.readany():
            events[0] += piece.count(b'"level":')


if __name__ == "__main__":
    main()
