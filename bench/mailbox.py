"""
`python -m bench.mailbox`: a full mailbox taken in, on a real mail server, bus and store.

Prints mails a second until all of them are filed and lie in Processed, the longest time that the
event loop was held, and as a floor what fetching alone takes over the same kind of connection.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from base64 import encodebytes
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path

from bus import connect
from bus.connect import open_bus
from bus.files import Settings as FileSettings
from bus.files import open_files
from channels.imap_session import open_session
from gateway.engine_nats import Nats
from gateway.engine_postgres import Postgres
from gateway.run import look_rarely, what_is_there_stays
from store.migrate import migrate
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from tests.support.imap import (
    Address,
    Dovecot,
    MailServer,
    Pymap,
    count_in,
    deliver,
    settings_of,
)
from tests.support.letters import mail
from tests.support.mailroom import Mailroom, until

MEDIAN, LARGEST = 20_000, 15_000_000


def mails(count: int) -> list[bytes]:
    """Mails as residents send them: half below 20 KB, a few with photos, one of 15 MB."""
    dice = random.Random(7)
    sizes = [min(LARGEST, int(dice.lognormvariate(9.9, 1.3))) for _ in range(count - 1)]
    return [_mail(number, size) for number, size in enumerate([*sizes, LARGEST])]


def _mail(number: int, size: int) -> bytes:
    words = f"There is a deep pothole at {number} E 23rd St. It is getting worse every day.\n"
    dice = random.Random(number)
    if size < 30_000:
        return _with_html(words * dice.randint(1, 15), number, size)
    pdf = b"%PDF-1.4\n" + dice.randbytes(int(size * 0.73))
    head, _, body = mail(words * 5, subject=f"Pothole {number}").partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.startswith((b"Content-", b"MIME"))]
    return b"\r\n".join(
        [
            *kept,
            b"MIME-Version: 1.0",
            b"Content-Type: multipart/mixed; boundary=b",
            b"",
            b"--b",
            b"Content-Type: text/plain",
            b"",
            body,
            b"--b",
            b"Content-Type: application/pdf; name=letter.pdf",
            b"Content-Transfer-Encoding: base64",
            b"",
            encodebytes(pdf).replace(b"\n", b"\r\n"),
            b"--b--",
            b"",
        ]
    )


def _with_html(words: str, number: int, size: int) -> bytes:
    """As mail programs write it: the words in plain, and again in a page full of style."""
    line = '<td style="font-family:Arial,sans-serif;font-size:11pt;color:#1f1f1f">&nbsp;</td>'
    rest = (size - 2 * len(words)) // (len(line) + 2)
    message = BytesParser(policy=SMTP).parsebytes(mail(words, subject=f"Pothole {number}"))
    assert isinstance(message, EmailMessage)
    page = "\n".join([f"<p>{words}</p><table><tr>", *[line] * max(0, rest), "</tr></table>"])
    message.add_alternative(page, subtype="html")
    return message.as_bytes()


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[MailServer]:
    dovecot = shutil.which("dovecot", path="/usr/bin:/usr/sbin:/usr/local/sbin")
    server: MailServer = Dovecot(folder) if dovecot else Pymap(folder)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def _fill(server: MailServer, count: int) -> list[int]:
    """Put the mails there from a process of its own; their sizes."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as other:
        return await asyncio.get_running_loop().run_in_executor(
            other, _deliver_all, server.port, count
        )


def _deliver_all(port: int, count: int) -> list[int]:
    waiting = mails(count)
    deliver(Address(port), *waiting)
    return sorted(len(one) for one in waiting)


async def _longest_hold(stop: asyncio.Event) -> list[float]:
    """The longest waits beyond what was asked for, in seconds, the longest first."""
    loop, held = asyncio.get_running_loop(), list[float]()
    while not stop.is_set():
        began = loop.time()
        await asyncio.sleep(0.002)
        held.append(loop.time() - began - 0.002)
    return sorted(held, reverse=True)


async def measure(count: int, folder: Path) -> dict[str, object]:
    nats, postgres = Nats(folder / "nats"), Postgres(folder / "pg")
    await asyncio.gather(nats.start(), postgres.start())
    try:
        await migrate(postgres.dsn)
        async with (
            _server(folder) as server,
            open_bus(connect.Settings(url=nats.url), name="bench") as bus,
            open_pool(PoolSettings(dsn=postgres.dsn)) as pool,
        ):
            room = Mailroom(bus, pool, open_files(FileSettings(), folder))
            sizes = await _fill(server, count)
            settings = settings_of(server, command_seconds=30, fetch_seconds=60, poll_every=60)

            began = time.monotonic()
            async with open_session(settings) as session:
                await session.select("INBOX")
                for uid in await session.uids():
                    await session.fetch(uid)
            floor = time.monotonic() - began

            look_rarely()
            what_is_there_stays()  # as `buckstop run` does
            stop = asyncio.Event()
            holding = asyncio.create_task(_longest_hold(stop))
            began = time.monotonic()
            async with room.storing(), room.watching(settings):
                await until(lambda: _is_empty(room, count), within=600)
                filed = time.monotonic() - began
                while await asyncio.to_thread(count_in, server, "Processed") < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                seconds = time.monotonic() - began
            stop.set()
            held = await holding
            books = await room.books()
            return {
                "server": type(server).__name__,
                "mails": count,
                "median_bytes": sizes[len(sizes) // 2],
                "megabytes": round(sum(sizes) / 1e6, 1),
                "fetching_alone_per_second": round(count / floor, 1),
                "filed_per_second": round(count / filed, 1),
                "put_away_per_second": round(count / seconds, 1),
                "longest_holds_ms": [round(one * 1000, 1) for one in held[:5]],
                "equation": str(books),
            }
    finally:
        await asyncio.gather(nats.stop(), postgres.stop())


async def _is_empty(room: Mailroom, count: int) -> bool:
    await asyncio.sleep(0.2)
    return (await room.books()).filed >= count


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mails", type=int, default=1000)
    asked = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="buckstop-bench-"))
    folder.chmod(0o755)
    try:
        print(json.dumps(asyncio.run(measure(asked.mails, folder)), indent=2))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
