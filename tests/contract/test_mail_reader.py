"""Real processes read mails: a bad one ends within its limits, and good ones pass it by."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from channels import mail_worker
from channels.mail_limits import Limits
from channels.mail_reader import MailReader, Unparseable

GOOD = (
    b"From: Ana <ana@example.org>\r\nSubject: Lamp\r\nContent-Type: text/plain\r\n\r\n"
    b"The lamp is out.\r\n"
)
STUCK = b"Subject: stuck\r\n\r\nx"
HUNGRY = b"Subject: hungry\r\n\r\nx"

# A worker of our own that does on purpose what no mail is known to do.
MISBEHAVING = """
import sys, time
from channels import mail_worker, mime
read = mail_worker.read_mail
def misbehave(raw, **how):
    if b"Subject: stuck" in raw:
        while True: pass
    if b"Subject: hungry" in raw:
        kept = [bytes(10_000_000) for _ in range(1000)]
    if b"Subject: noisy" in raw:
        print("not an answer")
    if b"Subject: slow" in raw:
        time.sleep(1)
    return read(raw, **how)
mail_worker.read_mail = misbehave
mail_worker.main(sys.argv[1])
"""


@pytest.fixture
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> None:
    start = asyncio.create_subprocess_exec

    async def start_ours(*command: str, **how: object) -> asyncio.subprocess.Process:
        assert command[1:4] == ("-P", "-m", "channels.mail_worker")
        return await start(command[0], "-P", "-c", MISBEHAVING, *command[4:], **how)

    monkeypatch.setattr("asyncio.create_subprocess_exec", start_ours)


@asynccontextmanager
async def watched_loop(longest: float) -> AsyncIterator[None]:
    """Fails when the event loop was held for longer than that."""
    lags: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - before - 0.005)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
    assert max(lags, default=0) < longest


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


async def refused(reader: MailReader, raw: bytes) -> str:
    with pytest.raises(Unparseable) as told:
        await reader.read(raw)
    return told.value.reason


def nested(levels: int) -> bytes:
    return b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(levels)
    )


def with_file(data: bytes, kind: str = "application/octet-stream") -> bytes:
    head = f"Subject: A file\r\nContent-Type: {kind}; name=a\r\n"
    return head.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(data)


BOMB = zlib.compress(bytes(10_000_000))
ADVERSARIES = {
    "2,000 nested parts": (nested(2000), "deep"),
    "20,000 recipients": (
        b"To: " + b", ".join(b"a%d@example.org" % one for one in range(20_000)) + b"\r\n\r\nx",
        "headers",
    ),
    "900 parentheses": (b"From: " + b"(" * 900 + b"\r\n\r\nx", None),
    "184 KB of Content-Type": (
        b"Content-Type: text/plain" + b"".join(b"; a%d=b" % one for one in range(19_000)) + b"\n\n",
        "one of its headers",
    ),
    "a bomb": (with_file(BOMB, "application/zip"), None),
    "no mail": (os.urandom(50_000), None),
    "no mail at all": (bytes(1_000_000), "headers"),
    "deep HTML": (b"Content-Type: text/html\r\n\r\n" + b"<div>" * 100_000, None),
    "wide HTML": (b"Content-Type: text/html\r\n\r\n" + b"<table><td>x" * 30_000, None),
    "200 MB": (bytes(200_000_000), "MB"),
}


@pytest.mark.parametrize("name", ADVERSARIES)
async def test_an_adversary_ends_and_good_mail_beside_it_is_read(
    name: str, reader: MailReader
) -> None:
    raw, word = ADVERSARIES[name]
    async with watched_loop(0.5):
        bad = asyncio.create_task(reader.read(raw))
        with within(5):
            assert (await reader.read(GOOD)).text == "The lamp is out."
        if word is None:
            await bad
        else:
            with pytest.raises(Unparseable, match=word):
                await bad


@pytest.fixture(scope="module")
async def reader() -> AsyncIterator[MailReader]:
    async with MailReader() as reader:
        yield reader


@pytest.mark.usefixtures("misbehaving")
async def test_a_mail_that_never_ends_is_ended_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("channels.mail_reader.PATIENCE", 0.3)
    async with MailReader(seconds=2.5) as reader:
        await asyncio.gather(reader.read(GOOD), reader.read(GOOD))
        before = reader.pids
        stuck = [asyncio.create_task(reader.read(STUCK)) for _ in range(2)]
        await asyncio.sleep(0.1)
        with within(2.3):
            # Both places are held; after a while they no longer count.
            assert (await reader.read(GOOD)).subject == "Lamp"
        for task in stuck:
            with pytest.raises(Unparseable, match=r"longer than 2\.5 s"):
                await task
        assert not set(before) & set(reader.pids)
        assert (await reader.read(GOOD)).subject == "Lamp"


@pytest.mark.usefixtures("misbehaving")
async def test_a_mail_that_takes_all_memory_is_refused() -> None:
    async with MailReader(memory=300 * 1024 * 1024) as reader:
        assert "memory" in await refused(reader, HUNGRY)
        assert (await reader.read(GOOD)).subject == "Lamp"
        assert 0 < reader.peak_memory <= 300 * 1024 * 1024


@pytest.mark.usefixtures("misbehaving")
async def test_what_a_library_prints_is_no_answer() -> None:
    async with MailReader() as reader:
        assert (await reader.read(b"Subject: noisy\n\nx")).subject == "noisy"


@pytest.mark.usefixtures("misbehaving")
async def test_a_worker_killed_from_outside_costs_no_mail() -> None:
    async with MailReader() as reader:
        await reader.read(GOOD)
        (pid,) = reader.pids
        slow = asyncio.create_task(reader.read(b"Subject: slow\n\nx"))
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        assert (await slow).subject == "slow"
        assert pid not in reader.pids


@pytest.mark.usefixtures("misbehaving")
async def test_a_mail_that_kills_two_workers_is_refused() -> None:
    async with MailReader() as reader:
        await reader.read(GOOD)
        stuck = asyncio.create_task(refused(reader, STUCK))
        killed: set[int] = set()
        async with asyncio.timeout(20):
            while len(killed) < 2:
                await asyncio.sleep(0.1)
                for pid in set(reader.pids) - killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
        assert "died" in await stuck
        assert (await reader.read(GOOD)).subject == "Lamp"


async def test_an_idle_reader_keeps_no_process() -> None:
    async with MailReader(idle=0.1) as reader:
        assert reader.pids == ()
        await reader.read(GOOD)
        assert len(reader.pids) == 1
        await asyncio.sleep(0.5)
        assert reader.pids == ()
        await reader.read(GOOD)


async def test_a_worker_dies_with_its_reader() -> None:
    async with MailReader() as reader:
        await reader.read(GOOD)
        (pid,) = reader.pids
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("misbehaving")
async def test_who_stops_waiting_leaves_a_reader_that_reads() -> None:
    async with MailReader() as reader:
        task = asyncio.create_task(reader.read(STUCK))
        await asyncio.sleep(0.6)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reader.pids == ()
        assert (await reader.read(GOOD)).subject == "Lamp"


async def test_a_large_mail_holds_neither_the_loop_nor_the_mail_beside_it() -> None:
    large = with_file(os.urandom(11_000_000))
    usual = with_file(os.urandom(14_000))
    async with MailReader() as reader:
        await asyncio.gather(reader.read(GOOD), reader.read(GOOD))
        started = time.monotonic()
        async with watched_loop(0.25):
            mails = await asyncio.gather(
                reader.read(large), *(reader.read(usual) for _ in range(60))
            )
        assert len(mails[0].attachments[0].data) == 11_000_000
        assert len(mails) / (time.monotonic() - started) > 10
        assert reader.peak_memory < 512 * 1024 * 1024


async def test_limits_and_domains_are_the_readers() -> None:
    async with MailReader(limits=Limits(size=100), own_domains=["city.gov"]) as reader:
        assert "MB" in await refused(reader, b"x" * 101)
        assert (await reader.read(b"Message-ID: <1@city.gov>\n\nx")).is_own


def test_a_worker_imports_only_what_reading_takes() -> None:
    code = "import sys, channels.mail_worker as w; print(*(m for m in sys.modules if '.' not in m))"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"aiohttp", "nats", "pydantic", "asyncpg", "obstore", "bus", "PIL"} & set(modules)
    assert mail_worker.LENGTH.size == 8
