"""A mailbox whose password has changed: entered once, tried, kept, and used from then on."""

import asyncio
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.files import Files
from channels.imap_session import SignInRefused
from channels.kept_secret import PASSWORDS
from channels.mailbox_access import Access
from tests.support.imap import USER, Pymap, deliver, settings_of
from tests.support.letters import mail
from tests.support.mailroom import Mailroom, until

NEW = "  changed, with spaces "


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Pymap]:
    server = Pymap(tmp_path)
    server.password = NEW
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


async def test_what_was_entered_is_tried_kept_and_counts_until_the_settings_change(
    server: Pymap, tmp_path: Path
) -> None:
    data, old = tmp_path / "data", settings_of(server, password="old")
    access = Access(old, data)
    with pytest.raises(SignInRefused, match="does not accept username and password"):
        await access.try_with("a guess")
    assert not data.exists()  # nothing is kept of what was only tried
    await access.try_with(NEW)
    with pytest.raises(SignInRefused):
        async with access.open():
            pass
    await access.keep(NEW)
    for one in (access, Access(old, data)):  # at once, and after a restart
        async with one.open() as session:
            assert (await session.select("INBOX")).exists == 0
    [kept] = (data / PASSWORDS).iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert USER not in kept.name

    # Somebody changed the settings since: they know better.
    with pytest.raises(SignInRefused):
        async with Access(settings_of(server, password="newer"), data).open():
            pass
    async with Access(settings_of(server, password=NEW), data).open():
        pass


async def test_a_mailbox_that_waits_looks_at_once_when_it_is_told_to(
    server: Pymap, bus: Bus, pool: asyncpg.Pool, files: Files, tmp_path: Path
) -> None:
    room = Mailroom(bus, pool, files)
    room.around = replace(room.around, data=tmp_path / "data")
    settings = settings_of(server, password="old", poll_every=60.0, idle=60.0)
    async with room.storing(), room.watching(settings) as channel:
        await until(lambda: _is_so(channel.state()[0].refused))
        before = channel.state()[0].tried_at
        channel.look_now()
        await until(lambda: _is_so(channel.state()[0].tried_at != before))
        assert channel.state()[0].refused

        await Access(settings, tmp_path / "data").keep(NEW)
        deliver(server, mail())
        channel.look_now()  # else it would wait for five minutes, so that nobody is locked out
        assert (await room.settled(1)).filed == 1
        await until(lambda: _is_so(not channel.state()[0].trouble))
        assert not channel.state()[0].refused


async def _is_so(so: bool) -> bool:
    return so
