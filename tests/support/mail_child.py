"""
The mail channel in processes that a test can kill, started in a moment: `python -m
tests.support.mail_child` forks one for each line that it is told, and answers with its number.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from bus import connect
from bus.connect import open_bus
from bus.files import Settings as FileSettings
from bus.files import open_files
from channels.email_imap import EmailChannel
from channels.email_settings import MailboxSettings
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from tests.support.imap import PASSWORD, USER
from tests.support.mailroom import Mailroom


async def watch(nats_url: str, dsn: str, data: str, port: str) -> None:
    settings = MailboxSettings.model_validate(
        {
            "host": "127.0.0.1",
            "port": int(port),
            "security": "none",
            "username": USER,
            "password": PASSWORD,
            "poll_every": 1.0,
        }
    )
    files = open_files(FileSettings(), Path(data))
    async with (
        open_bus(connect.Settings(url=nats_url), name="child") as bus,
        open_pool(PoolSettings(dsn=dsn)) as pool,
    ):
        channel = EmailChannel(Mailroom(bus, pool, files).around, [settings])
        await channel.run(asyncio.Event())


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the log is not for whoever asks
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(watch(*line.split()))
            os._exit(0)
        print(pid, file=answers, flush=True)


if __name__ == "__main__":
    main()
