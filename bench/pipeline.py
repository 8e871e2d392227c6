"""
`make bench`: the whole pipeline, and in the same run the floor under it.

Prints a table, and with `--json` one document. Every server is real and fresh, in a folder of its
own; the load comes from a process of its own. A ratio holds from machine to machine, a figure
does not.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import nats
import psutil

from gateway.engines import open_engines
from gateway.instance import Address

PYTHON = sys.executable
CONNECTIONS = 64


@dataclass
class Figures:
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, value: float, unit: str, aim: str, good: bool | None) -> None:
        self.rows.append({"what": what, "value": value, "unit": unit, "aim": aim, "good": good})
        mark = {True: "ok", False: "MISSED", None: ""}[good]
        print(f"  {what:<58} {value:>10,.2f} {unit:<10} {aim:<18} {mark}", flush=True)


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(*command: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as file:
        child = subprocess.Popen([*command], stdout=file, stderr=file)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()


async def wait_for(port: int, child: "subprocess.Popen[bytes]", seconds: float = 90) -> None:
    until = time.time() + seconds
    while time.time() < until:
        if child.poll() is not None:
            raise SystemExit("a server ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        await asyncio.sleep(0.02)
    raise SystemExit("a server did not come up")


async def load(url: str, count: int, per_second: float, name: str) -> dict[str, Any]:
    command = (url, str(count), str(CONNECTIONS), str(per_second), name)
    child = await asyncio.create_subprocess_exec(
        PYTHON, "-m", "bench.load", *command, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate()
    if child.returncode:
        raise SystemExit("the load failed")
    answer: dict[str, Any] = json.loads(said)
    if answer["failed"]:
        raise SystemExit(f"{answer['failed']} POSTs were not taken")
    return answer


def p99(values: list[float]) -> float:
    """In milliseconds."""
    return float(statistics.quantiles(values, n=100)[98] * 1000)


async def until_count(connection: asyncpg.Connection, query: str, wanted: int) -> float:
    """The moment when the query's count reaches `wanted`, to a tenth of a second or two."""
    until = time.time() + 300
    while time.time() < until:
        asked = time.time()
        if await connection.fetchval(query) >= wanted:
            return time.time()
        # To count thousands of rows is work: a twentieth of one core at the most.
        await asyncio.sleep(max(0.1, 20 * (time.time() - asked)))
    raise SystemExit(f"only {await connection.fetchval(query)} of {wanted}: {query}")


async def measure_floor(folder: Path, count: int, figures: Figures, when: str) -> float:
    async with open_engines(folder / f"floor-{when}", nats_url="", dsn="") as engines:
        port = free_port()
        with process(
            PYTHON, "-m", "bench.floor", str(port), engines.nats_url, engines.dsn,
            log=folder / "floor.log",
        ) as server:  # fmt: skip
            await wait_for(port, server)
            connection = await asyncpg.connect(engines.dsn)
            url = f"http://127.0.0.1:{port}/channels/web"
            await load(url, 300, 0, "warm")
            told = await load(url, count, 0, "floor")
            done = await until_count(connection, "SELECT count(*) FROM floor", count + 300)
            rate = float(count / (done - told["began"]))
            figures.add(f"floor {when}: POST, fsynced publish, row", rate, "a second", "", None)
            calm = await load(url, 500, 50, "calm")
            figures.add(
                f"floor {when}: POST answered at 50 a second, p99",
                p99([one[2] for one in calm["answers"]]), "ms", "", None,
            )  # fmt: skip
            await connection.close()
    return rate


class Watch:
    """
    Sees when each case gets onto a desk, by asking every 20 ms for those of the last second, and
    now and then for all: who asks for more, or more often, is most of the load.
    """

    QUERY = """
        SELECT reference
        FROM cases
        WHERE status = 'assigned' AND opened_at >= greatest($1, now() - $2::interval)
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.seen: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._connection = await asyncpg.connect(self._dsn)
        since = await self._connection.fetchval("SELECT now()")
        self._task = asyncio.create_task(self._look(since))
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._connection.close()

    async def _look(self, since: object) -> None:
        for look in itertools.count():
            span = timedelta(hours=1) if look % 50 == 0 else timedelta(seconds=1)
            for row in await self._connection.fetch(self.QUERY, since, span):
                self.seen.setdefault(row["reference"], time.time())
            await asyncio.sleep(0.02)


async def measure_pipeline(folder: Path, options: Any, figures: Figures) -> float:
    data = folder / "data"
    data.mkdir()
    port, mail_port = free_port(), free_port()
    arrived = folder / "arrived"
    config = folder / "buckstop.toml"
    config.write_text(
        f'data = "{data}"\n[http]\nport = {port}\n[log]\nlevel = "warning"\nformat = "json"\n'
        f'[notifier]\nfrom_address = "city@independence.example"\n'
        f'[notifier.smtp]\nhost = "127.0.0.1"\nport = {mail_port}\nsecurity = "none"\n'
    )
    buckstop = (PYTHON, "-m", "gateway.cli")
    url = f"http://127.0.0.1:{port}/channels/web"
    await command(*buckstop, "migrate", "--config", str(config))
    began = time.time()
    with (
        process(PYTHON, "-m", "bench.sink", str(mail_port), str(arrived), log=folder / "sink.log"),
        process(*buckstop, "run", "--config", str(config), log=folder / "run.log") as server,
    ):
        await wait_for(port, server)
        ready = time.time() - began
        figures.add("ready on a migrated directory", ready, "s", "<= 10", ready <= 10)
        address = Address.read(data)
        assert address is not None
        connection = await asyncpg.connect(address.dsn)
        queued = "SELECT count(*) FROM deliveries"

        await load(url, 300, 0, "warm")
        await until_count(connection, queued, 600)

        await asyncio.sleep(5)
        idle(server.pid, options.idle, figures)

        async with Watch(address.dsn) as watch:
            calm = await load(url, options.calm * 50, 50, "calm")
            await asyncio.sleep(3)
        posts = {place: (sent, took) for place, sent, took in calm["answers"]}
        missing = len(posts.keys() - watch.seen.keys())
        if missing:
            raise SystemExit(f"{missing} cases were never assigned")
        mails = await both_mails(arrived, posts.keys())
        for what, values, most in (
            ("POST answered", [took for _, took in posts.values()], 50),
            ("assigned after the POST", [watch.seen[ref] - posts[ref][0] for ref in posts], 250),
            ("both emails handed over", [max(mails[ref]) - posts[ref][0] for ref in posts], 1000),
        ):  # fmt: skip
            high = p99(values)
            figures.add(f"at 50 a second: {what}, p99", high, "ms", f"<= {most}", high <= most)

        rate = await storm(url, options.count, address.nats_url)
        figures.add("whole pipeline, sustained", rate, "a second", "", None)

        # The mails of the storm and of a burst drain while intake goes on.
        await load(url, options.burst, 0, "burst")
        start, came = time.time(), lines(arrived)
        during = await load(url, 500, 50, "during")
        drained = (lines(arrived) - came) / (time.time() - start)
        figures.add(
            f"emails while {options.burst} drain and intake goes on",
            drained, "a second", ">= 100", drained >= 100,
        )  # fmt: skip
        slow = p99([one[2] for one in during["answers"]])
        figures.add("  POST answered meanwhile, p99", slow, "ms", "", None)
        everything = (options.count + options.burst + 500 + options.calm * 50 + 300) * 2
        await until_count(
            connection, "SELECT count(*) FROM deliveries WHERE state = 'sent'", everything
        )
        duplicates = lines(arrived) - everything
        figures.add("emails more than once", duplicates, "mails", "0", duplicates == 0)
        await connection.close()
        print("  " + await command(*buckstop, "audit", "--config", str(config)))
    return rate


async def storm(url: str, count: int, nats_url: str) -> float:
    """Complaints a second, from the first POST until the bus holds the notices of all."""
    client = await nats.connect(nats_url)
    js = client.jetstream()

    async def queued() -> int:
        # A sum that the server keeps: asking for it costs next to nothing.
        about = await js.stream_info("NOTICES", subjects_filter="notice.queued.>")
        return sum((about.state.subjects or {}).values())

    try:
        before = await queued()
        told = await load(url, count, 0, "storm")
        until = time.time() + 300
        while await queued() < before + 2 * count:
            if time.time() > until:
                raise SystemExit(f"only {await queued() - before} of {2 * count} notices")
            await asyncio.sleep(0.1)
        return float(count / (time.time() - told["began"]))
    finally:
        await client.close()


async def both_mails(arrived: Path, references: Collection[str]) -> dict[str, list[float]]:
    """When the mails of each case came, once two have come for each."""
    until = time.time() + 60
    while True:
        mails: dict[str, list[float]] = {}
        for line in (await asyncio.to_thread(arrived.read_text)).splitlines():
            when, reference = line.split()
            mails.setdefault(reference, []).append(float(when))
        if all(len(mails.get(reference, [])) >= 2 for reference in references):
            return mails
        if time.time() > until:
            raise SystemExit("an email never came")
        await asyncio.sleep(0.2)


async def command(*words: str) -> str:
    """What a command says; it must end well."""
    child = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, trouble = await child.communicate()
    if child.returncode:
        raise SystemExit(f"{words} failed: {(said + trouble).decode()}")
    return said.decode().strip()


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def idle(pid: int, seconds: float, figures: Figures) -> None:
    """What everything but Postgres costs while nothing happens."""
    ours = psutil.Process(pid)
    family = [ours, *ours.children(recursive=True)]
    family = [one for one in family if "postgres" not in one.name()]
    before = sum(sum(one.cpu_times()[:2]) for one in family)
    time.sleep(seconds)
    share = (sum(sum(one.cpu_times()[:2]) for one in family) - before) / seconds * 100
    # What processes share (they are forked from one) is there once.
    memory = sum(one.memory_full_info().pss for one in family) / 1024**2
    figures.add("idle", share, "% of core", "< 2", share < 2)
    figures.add("memory of everything but Postgres", memory, "MB", "< 400", memory < 400)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6000, help="complaints in the storm")
    parser.add_argument("--burst", type=int, default=5000, help="complaints in the burst")
    parser.add_argument("--calm", type=int, default=30, help="seconds at 50 a second")
    parser.add_argument("--idle", type=float, default=20, help="seconds of doing nothing")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="buckstop-bench-"))
    folder.chmod(0o755)
    figures = Figures()

    async def both() -> None:
        # A machine that is shared grows slower and faster: the floor is measured on both sides.
        before = await measure_floor(folder, options.count, figures, "before")
        rate = await measure_pipeline(folder, options, figures)
        after = await measure_floor(folder, options.count, figures, "after")
        ratio = rate / ((before + after) / 2)
        figures.add("whole pipeline against the floor", ratio, "of floor", ">= 0.25", ratio >= 0.25)

    try:
        asyncio.run(both())
    except BaseException:
        log = folder / "run.log"
        if log.exists():
            print(log.read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(figures.rows))
    return 1 if any(row["good"] is False for row in figures.rows) else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent.parent))
    sys.exit(main())
