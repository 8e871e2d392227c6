"""
The mail channel against a real mail server: nothing is lost, nothing is filed twice, whatever the
network, the server, a colleague in the same mailbox or `kill -9` does.

These run on pymap; `test_dovecot.py` runs all of them again on Dovecot.
"""

import asyncio
import imaplib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext, suppress
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from bus.connect import Bus
from bus.files import Files
from bus.identity import notice_token
from channels import email_imap
from channels.base import Watched
from channels.email_imap import EmailChannel
from channels.mail_reader import MailReader
from tests.support.facts import complaint
from tests.support.imap import (
    MailServer,
    Proxy,
    Pymap,
    count_in,
    deliver,
    flags_in,
    program,
    proxy_before,
    settings_of,
)
from tests.support.imap_script import crowded
from tests.support.letters import bounce, mail
from tests.support.mailroom import SECRET, Mailroom, until
from tests.unit.test_photos import SQUARE, encoded, exif, picture

Look = Callable[[], Awaitable[bool]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    pymap = Pymap(tmp_path)
    pymap.start()
    yield pymap
    pymap.stop()


@pytest.fixture
async def proxy(server: MailServer) -> AsyncIterator[Proxy]:
    async with proxy_before(server) as before:
        yield before


@pytest.fixture(scope="module")
async def reader() -> AsyncIterator[MailReader]:
    """Warm for all tests: to start its processes takes longer than most of them."""
    async with MailReader() as opened:
        yield opened


@pytest.fixture
async def room(
    bus: Bus,
    pool: asyncpg.Pool,
    files: Files,
    reader: MailReader,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Mailroom]:
    monkeypatch.setattr(email_imap, "reader_for", lambda _: nullcontext(reader))
    mailroom = Mailroom(bus, pool, files)
    async with mailroom.storing():
        yield mailroom


async def lies(server: MailServer, **wanted: int) -> None:
    """Returns once that many mails lie in these folders."""

    async def look() -> bool:
        found = {name: await asyncio.to_thread(count_in, server, name) for name in wanted}
        return found == wanted

    await until(look)


async def put(server: MailServer, *mails: bytes, folder: str = "INBOX") -> None:
    await asyncio.to_thread(deliver, server, *mails, folder=folder)


def now(channel: EmailChannel) -> Watched:
    (watched,) = channel.state()
    return watched


# ── the good days ───────────────────────────────────────────────────────────────────────────────


async def test_each_mail_ends_where_it_belongs(server: MailServer, room: Mailroom) -> None:
    await put(
        server,
        mail("A pothole.", subject="Noland Rd"),
        mail("I am away.", subject="Out of office", Auto_Submitted="auto-replied"),
        b"\x00\x01 these bytes are no mail (",
    )

    async with room.watching(settings_of(server)):
        books = await room.settled(3)
        await lies(server, INBOX=0, Processed=2, Quarantine=1)

    assert (books.filed, books.ignored, books.quarantined) == (1, 1, 1)
    assert await room.texts() == ["Noland Rd\n\nA pothole."]
    assert await room.reasons() == [
        ("ignored", "an out-of-office reply"),
        ("quarantined", "these bytes are no mail"),
    ]


async def test_new_mail_is_filed_within_seconds_under_idle(
    server: MailServer, room: Mailroom
) -> None:
    async with room.watching(settings_of(server, poll_every=60)) as channel:
        await until(_has_looked(channel))
        began = time.monotonic()
        await put(server, mail())
        await room.settled(1)

        assert time.monotonic() - began < 5


async def test_the_original_is_kept_to_the_last_byte(server: MailServer, room: Mailroom) -> None:
    raw = mail("Smoke\r\n.\r\n..dots", X_Strange="ü".encode().decode("latin-1"))
    await put(server, raw)

    async with room.watching(settings_of(server)):
        await room.settled(1)

    original = await room.pool.fetchval("SELECT original FROM complaints")
    assert await room.files.read(original["sha256"]) == raw


async def test_nothing_is_marked_as_read(server: MailServer, room: Mailroom) -> None:
    await put(server, mail(), mail())

    async with room.watching(settings_of(server)):
        await lies(server, INBOX=0, Processed=2)

    assert not any("Seen" in flags for flags in flags_in(server, "Processed"))


async def test_mail_that_somebody_has_read_is_taken_in(server: MailServer, room: Mailroom) -> None:
    await put(server, mail(), mail())
    with program(server) as client:
        client.select()
        client.store("1:2", "+FLAGS", r"(\Seen \Flagged)")

    async with room.watching(settings_of(server)):
        assert (await room.settled(2)).filed == 2


async def test_the_same_mail_in_two_mailboxes_is_one_complaint(
    server: MailServer, room: Mailroom, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Pymap(tmp_path / "other")
    other.start()
    raw = mail()
    try:
        await put(server, b"Delivered-To: 311@city.example\r\n" + raw)
        await put(other, b"Received: from mx2\r\nDelivered-To: roads@city.example\r\n" + raw)

        async with room.watching(settings_of(server), settings_of(other)):
            await lies(server, INBOX=0, Processed=1)
            await lies(other, INBOX=0, Processed=1)
    finally:
        other.stop()
    assert (await room.books()).filed == 1


async def test_one_message_id_with_two_contents_is_two_complaints(
    server: MailServer, room: Mailroom
) -> None:
    await put(
        server,
        mail("The first.", message_id="<same@resident.example>"),
        mail("The second.", message_id="<same@resident.example>"),
        mail("None.", message_id=None),
        mail("None either.", message_id=None),
        mail("None.", message_id=None),
    )

    async with room.watching(settings_of(server)):
        await lies(server, INBOX=0, Processed=5)

    assert (await room.books()).filed == 4


async def test_a_reply_carries_its_proof(server: MailServer, room: Mailroom) -> None:
    case = await _case(room)
    notice = await room.pool.fetchval("SELECT gen_random_uuid()")
    await room.pool.execute(
        """
        INSERT INTO deliveries (id, case_id, notice, medium, recipient, state, queued_at)
        VALUES ($1, $2, 'receipt', 'email', 'rosa@resident.example', 'queued', now())
        """,
        notice,
        case,
    )
    token = notice_token(SECRET, notice)
    await put(
        server,
        mail(
            "It is deeper now.\n\nOn Friday the city wrote:\n> We have your report.",
            subject="Re: Your report",
            to=f"reply+{token}@city.example",
        ),
        bounce(f"bounce+{token}@city.example"),
    )

    async with room.watching(settings_of(server)):
        await lies(server, INBOX=0, Processed=2)

    books = await room.books()
    assert (books.filed, books.ignored) == (2, 1)
    assert len(await room.texts()) == 1, "the reply opened no case"


async def test_a_reporters_own_mail_may_be_named_by_anybody(
    server: MailServer, room: Mailroom
) -> None:
    async with room.watching(settings_of(server, authserv_id="mx.city.example")):
        await put(server, mail("A tree fell.", message_id="<first@resident.example>"))
        await room.settled(1)
        for number, result in enumerate(("fail", "pass"), start=2):
            said = f"mx.city.example; dmarc={result} header.from=resident.example"
            names = {"In_Reply_To": "<first@resident.example>", "Authentication_Results": said}
            await put(server, mail("It lies on a car.", subject="Re: Pothole", **names))
            await room.settled(number)

    notes = await room.pool.fetch("SELECT verified FROM notes ORDER BY at")
    assert [note["verified"] for note in notes] == [False, True]


async def test_a_photo_shows_the_place_and_loses_it(server: MailServer, room: Mailroom) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"] = "rosa@resident.example", "311@city.example"
    letter["Subject"] = "Pothole"
    letter.set_content("See the photo.")
    taken = encoded(picture(), exif=exif(gps=SQUARE))
    letter.add_attachment(taken, "image", "jpeg", filename="IMG_1.JPG")
    letter.add_attachment(b"%PDF-1.4 a letter", "application", "pdf", filename="letter.pdf")
    await put(server, letter.as_bytes(policy=SMTP))

    async with room.watching(settings_of(server)):
        await room.settled(1)

    case = await room.pool.fetchrow("SELECT lat, lon, place_source FROM cases")
    assert (case["lat"], case["lon"], case["place_source"]) == (39.0913, -94.4159, "photo")
    files = await room.pool.fetch("SELECT sha256, name, media_type FROM files ORDER BY name")
    assert [(one["name"], one["media_type"]) for one in files] == [
        ("IMG_1.jpg", "image/jpeg"),
        ("letter.pdf", "application/pdf"),
    ]
    assert b"Exif" not in await room.files.read(files[0]["sha256"])


# ── bad mail ────────────────────────────────────────────────────────────────────────────────────


async def test_good_mail_between_bad_ones_is_filed_within_seconds(
    server: MailServer, room: Mailroom
) -> None:
    # pymap takes seconds for what Dovecot keeps as it is, and refuses the deepest; our limits
    # are the same. The whole of each is read in test_mail_reader.py.
    levels, parameters = (60, 8_000) if isinstance(server, Pymap) else (2_000, 40_000)
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth)
        for depth in range(levels)
    )
    bad = [
        b"From: a@b.example\r\nMIME-Version: 1.0\r\n" + nested,
        b"From: " + b"(" * 900 + b"\r\nSubject: parentheses\r\n\r\n",
        b"From: a@b.example\r\nContent-Type: text/plain" + b"; a=b" * parameters + b"\r\n\r\nx",
        b"From: a@b.example\r\nTo: " + b"a@b.example, " * 20_000 + b"\r\n\r\nx",
    ]
    taken = 0
    for one in bad:
        with suppress(imaplib.IMAP4.abort):  # some are too much for pymap itself
            await put(server, one)
            taken += 1
    assert taken >= 3

    async with room.watching(settings_of(server)) as channel:
        await until(_has_looked(channel))
        began = time.monotonic()
        await put(server, mail("A good one."))
        await until(lambda: _is_filed(room, "A good one."), within=10)
        assert time.monotonic() - began < 5
        books = await room.settled(taken + 1, within=60)

    assert books.closes
    assert books.in_flight == 0


async def test_a_giant_is_not_downloaded(server: MailServer, room: Mailroom) -> None:
    await put(server, mail("word " * 60_000), mail("A small one."))

    async with room.watching(settings_of(server, max_size=200_000)):
        await lies(server, INBOX=0, Processed=1, Quarantine=1)

    assert await room.reasons() == [("quarantined", "it has 0 MB, more than 0")]


async def test_after_three_tries_without_an_end_it_is_quarantined(
    server: MailServer, room: Mailroom
) -> None:
    await put(server, mail("Kills whoever reads it."), mail("A good one."))
    settings = settings_of(server)
    async with room.watching(settings) as channel:
        await until(_has_looked(channel))
        await lies(server, INBOX=0)
    with program(server) as client:
        client.select("Processed")
        client.copy("1", "INBOX")
        client.select("INBOX")
        _, (line,) = client.fetch("1", "(UID)")
    uid = int(line.split()[2].rstrip(b")"))
    memory = room.around.mailboxes
    assert memory is not None
    for _ in range(3):
        await memory.begin(settings.name, "INBOX", [uid])

    async with room.watching(settings):
        await lies(server, INBOX=0, Quarantine=1)

    assert ("quarantined", "it was tried 3 times and came to no end") in await room.reasons()
    assert (await room.books()).filed == 2


# ── the network and the server ──────────────────────────────────────────────────────────────────


async def test_after_bye_and_a_broken_line_it_comes_back(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    async with room.watching(settings_of(server, proxy.port)) as channel:
        for number, harm in enumerate((lambda: proxy.say(b"* BYE shutting down"), proxy.cut), 1):
            await until(_has_looked(channel))
            harm()
            await put(server, mail(f"Number {number}"))
            assert (await room.settled(number, within=10)).filed == number

    assert proxy.connections >= 3


async def test_thousands_of_lines_at_once_are_no_harm(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    flood = b"".join(b"* %d FETCH (FLAGS (\\Seen))\r\n" % number for number in range(1, 5001))
    async with room.watching(settings_of(server, proxy.port)) as channel:
        await until(_has_looked(channel))
        proxy.say(flood[:-2])
        await put(server, mail())
        assert (await room.settled(1, within=10)).filed == 1
        assert proxy.connections == 1


async def test_a_half_open_connection_is_noticed(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    async with room.watching(settings_of(server, proxy.port)) as channel:
        await until(_has_looked(channel))
        proxy.silent = True
        await put(server, mail())
        await until(_is_in_trouble(channel), within=10)
        assert "does not answer" in now(channel).trouble
        proxy.silent = False
        proxy.cut()
        assert (await room.settled(1, within=10)).filed == 1
        await until(_is_well(channel))


async def test_when_idle_lies_looking_finds_it(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    proxy.idle_lies = True
    async with room.watching(settings_of(server, proxy.port, poll_every=2.0)) as channel:
        await until(_has_looked(channel))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await put(server, mail())
        await room.settled(1)
        # Two seconds for the look and two until IDLE's own end is given up: in life 60 and 30.
        assert 0.5 < time.monotonic() - began < 6


async def test_a_server_that_goes_away_in_between_loses_nothing(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    await put(server, *(mail(f"Number {number}") for number in range(12)))
    heard = 0

    def cut_now_and_then(line: bytes) -> None:
        nonlocal heard
        heard += 1
        if heard % 17 == 0:
            proxy.cut()

    proxy.heard = cut_now_and_then
    async with room.watching(settings_of(server, proxy.port)):
        assert (await room.settled(12, within=60)).filed == 12
        proxy.heard = lambda line: None
        await lies(server, INBOX=0)
    assert len(set(await room.texts())) == 12


async def test_a_server_that_says_one_byte_a_second_holds_nobody_up_and_loses_nothing(
    server: MailServer, proxy: Proxy, room: Mailroom, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Pymap(tmp_path / "other")
    other.start()
    slow = settings_of(server, proxy.port, fetch_seconds=0.4)
    cut_short = 0

    def slow_down(line: bytes) -> None:
        nonlocal cut_short
        if b"BODY.PEEK" in line:
            cut_short += 1
            proxy.drips = 1.0

    def hurry(data: bytes) -> None:
        if data.startswith(b"* OK"):
            proxy.drips = 0.0  # a fresh connection is well until it is asked for the mail

    proxy.heard, proxy.answered = slow_down, hurry
    try:
        await put(server, mail("From a slow server."))
        async with room.watching(slow, settings_of(other)) as channel:
            # More often than a mail may be tried that harms whoever reads it.
            await until(lambda: _is_so(lambda: cut_short > email_imap.MOST_TRIES + 1), within=30)
            assert "did not answer" in channel.state()[0].trouble
            began = time.monotonic()
            await put(other, mail("From a good server."))
            await until(lambda: _is_filed(room, "From a good server."), within=5)
            assert time.monotonic() - began < 5
            proxy.heard, proxy.drips = lambda line: None, 0.0
            await until(lambda: _is_filed(room, "From a slow server."), within=10)
            await lies(server, INBOX=0, Processed=1)
    finally:
        other.stop()
    assert (await room.books()).quarantined == 0


async def test_a_mail_that_can_never_be_fetched_keeps_no_other_and_is_quarantined(
    server: MailServer, proxy: Proxy, room: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email_imap, "GIVE_UP_AFTER", 0.5)
    await put(server, mail("Nobody can have me."), *(mail(f"Number {one}") for one in range(3)))
    first = f"FETCH {await asyncio.to_thread(_first_uid, server)} ".encode()
    proxy.heard = lambda line: proxy.cut() if first in line and b"BODY" in line else None

    async with room.watching(settings_of(server, proxy.port)):
        await until(lambda: _is_filed(room, "Number 2"), within=5)
        await lies(server, INBOX=0, Processed=3, Quarantine=1)

    [(state, reason)] = await room.reasons()
    assert (state, reason.startswith("it could not be fetched in")) == ("quarantined", True)


async def test_a_server_that_cannot_move_piles_no_copies_up(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    proxy.hides = (b" MOVE", b" UIDPLUS")
    settings = settings_of(server, proxy.port)
    await put(server, mail("One"), mail("Two"))
    with program(server) as client:  # somebody deleted it already
        client.select()
        client.store("2", "+FLAGS", r"(\Deleted)")
    for _ in range(2):
        async with room.watching(settings) as channel:
            await room.settled(2)
            await until(_nothing_waits(channel))
            for _ in range(3):
                looked = now(channel).looked_at
                await until(lambda before=looked: _is_so(lambda: now(channel).looked_at != before))
    await lies(server, INBOX=2, Processed=1)
    assert all("Deleted" in flags for flags in flags_in(server))
    assert (await room.books()).received == 2


async def test_another_uidvalidity_means_looking_again(server: MailServer, room: Mailroom) -> None:
    settings = settings_of(server, keep_in_inbox=True)
    await put(server, mail("One"), mail("Two"))
    async with room.watching(settings) as channel:
        await room.settled(2)
        await until(_nothing_waits(channel))
    await asyncio.to_thread(server.renumber)
    await put(server, mail("Three"))

    with capture_logs() as logs:
        async with room.watching(settings) as channel:
            assert (await room.settled(3)).filed == 3
            await until(_nothing_waits(channel))

    assert [one for one in logs if one["event"].startswith("UIDVALIDITY changed")]
    assert (await room.books()).received == 3


async def test_kept_mail_is_not_fetched_again(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    settings = settings_of(server, proxy.port, keep_in_inbox=True)
    await put(server, mail("One"), mail("Two"))
    async with room.watching(settings) as channel:
        await room.settled(2)
        await until(_nothing_waits(channel))
    asked: list[bytes] = []
    proxy.heard = asked.append

    async with room.watching(settings) as channel:
        await until(_nothing_waits(channel))

    assert not [line for line in asked if b"BODY" in line]
    assert await asyncio.to_thread(count_in, server) == 2


async def test_a_hundred_thousand_kept_mails_are_not_walked_through_at_each_look(
    room: Mailroom,
) -> None:
    old = 100_000
    async with crowded(old) as server:
        settings = settings_of(server, keep_in_inbox=True, poll_every=0.2)
        await room.pool.execute(
            "INSERT INTO mailbox_folders (mailbox, folder, uidvalidity) VALUES ($1, 'INBOX', 7)",
            settings.name,
        )
        await room.pool.execute(
            """
            INSERT INTO mailbox_mails (mailbox, folder, uid, complaint_id, settled)
            SELECT $1, 'INBOX', uid, gen_random_uuid(), true
            FROM generate_series(1, $2::int) AS uid
            """,
            settings.name,
            old,
        )
        for number in (1, 2):
            server.asked.clear()
            async with room.watching(settings) as channel:
                await until(_nothing_waits(channel))
                server.deliver(mail(f"Number {number}"))
                assert (await room.settled(number)).filed == number
                await until(_nothing_waits(channel))
                last = f"UID SEARCH UID {old + number + 1}:*"
                await until(lambda words=last: _is_so(lambda: server.asked.count(words) > 2))
            # Once from the beginning, for what an older Buckstop remembered; then never again.
            assert server.asked.count("UID SEARCH ALL") == (number == 1)


async def test_a_wrong_password_is_told_in_words(server: MailServer, room: Mailroom) -> None:
    async with room.watching(settings_of(server, password="wrong", command_seconds=8)) as channel:
        await until(_is_in_trouble(channel))
        assert "does not accept username and password" in now(channel).trouble


async def test_no_server_is_told_in_words(server: MailServer, room: Mailroom) -> None:
    await asyncio.to_thread(server.stop)
    async with room.watching(settings_of(server)) as channel:
        await until(_is_in_trouble(channel))
        assert "cannot be reached" in now(channel).trouble


async def test_while_the_store_is_away_mail_stays_in_the_inbox(
    server: MailServer,
    bus: Bus,
    pool: asyncpg.Pool,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(email_imap, "TELL_AGAIN", 0.2)  # it is told many times meanwhile
    room = Mailroom(bus, pool, files)
    await put(server, mail(), mail())
    async with room.watching(settings_of(server)) as channel:
        await until(_has_looked(channel))
        await until(lambda: _is_so(lambda: now(channel).waiting == 2))
        await asyncio.sleep(1.5)
        assert await asyncio.to_thread(count_in, server) == 2
        assert now(channel).waiting == 2
        async with room.storing():
            assert (await room.settled(2)).filed == 2
            await lies(server, INBOX=0, Processed=2)
    assert (await room.books()).quarantined == 0


# ── kill -9 ─────────────────────────────────────────────────────────────────────────────────────

# What the channel says on its way from the greeting to the mail being put away.
STEPS = 12
# Between the last byte of a mail and the end there are steps that the mail server does not see.
DELAYS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05)


async def test_killed_between_any_two_steps_it_files_once(
    server: MailServer,
    proxy: Proxy,
    room: Mailroom,
    nats_url: str,
    dsn: str,
    tmp_path: Path,
) -> None:
    kills = [
        *(("question", step, 0.0) for step in range(1, STEPS + 1)),
        *(("answer", step, 0.0) for step in range(STEPS // 2, STEPS + 1)),
        *(("after the mail", 0, delay) for delay in DELAYS),
    ]
    children = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.mail_child"), stdin=PIPE, stdout=PIPE
    )
    assert children.stdin is not None
    assert children.stdout is not None
    for number, (when, step, delay) in enumerate(kills, start=1):
        await put(server, mail(f"Number {number}"))
        children.stdin.write(f"{nats_url} {dsn} {tmp_path / 'child'} {proxy.port}\n".encode())
        dead = asyncio.Event()
        _kill_at(proxy, int(await children.stdout.readline()), dead, when, step, delay)
        async with asyncio.timeout(15):
            await dead.wait()
        proxy.heard = proxy.answered = lambda data: None
        proxy.cut()
        async with room.watching(settings_of(server)):
            await room.settled(number)
            await lies(server, INBOX=0, Processed=number)
    children.kill()
    await children.wait()

    books = await room.books()
    assert (books.received, books.filed) == (len(kills), len(kills))
    assert len(set(await room.texts())) == len(kills)


def _kill_at(
    proxy: Proxy, pid: int, dead: asyncio.Event, when: str, step: int, delay: float
) -> None:
    said = 0

    def kill() -> None:
        if not dead.is_set():
            os.kill(pid, signal.SIGKILL)
            dead.set()

    def heard(line: bytes) -> None:
        nonlocal said
        said += 1
        if when == "question" and said == step:
            kill()

    def answered(data: bytes) -> None:
        if when == "answer" and said == step:
            kill()
        if when == "after the mail" and b"BODY[]" in data:
            asyncio.get_running_loop().call_later(delay, kill)

    proxy.heard, proxy.answered = heard, answered


# ── people ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_colleague_in_the_same_mailbox_is_no_harm(
    server: MailServer, room: Mailroom
) -> None:
    await put(server, *(mail(f"Number {number}") for number in range(40)))
    await put(server, mail("elsewhere"), folder="Private")

    def tidy() -> None:
        with program(server) as client:
            client.select()
            for number in range(1, 15):
                client.store(str(number), "+FLAGS", r"(\Seen)")
                client.noop()
            client.fetch("1:*", "(BODY[])")

    async with room.watching(settings_of(server)) as channel:
        await asyncio.to_thread(tidy)
        await until(_nothing_waits(channel))
        # Whoever puts a mail back has it looked at again, and it is the same.
        with program(server) as client:
            client.select("Processed")
            client.copy("1:5", "INBOX")
        await lies(server, INBOX=0, Processed=45, Private=1)

    books = await room.books()
    assert (books.filed, books.received) == (40, 40)


async def test_what_somebody_deletes_meanwhile_stops_nothing(
    server: MailServer, proxy: Proxy, room: Mailroom
) -> None:
    await put(server, *(mail(f"Number {number}") for number in range(10)))
    deleted = False

    def delete(line: bytes) -> None:
        nonlocal deleted
        if b"BODY.PEEK" in line and not deleted:
            deleted = True
            with program(server) as client:
                client.select()
                client.store("5:6", "+FLAGS", r"(\Deleted)")
                client.expunge()

    proxy.heard = delete
    async with room.watching(settings_of(server, proxy.port)):
        assert (await room.settled(8)).filed == 8
        await lies(server, INBOX=0, Processed=8)


# ── the audit ───────────────────────────────────────────────────────────────────────────────────


async def test_an_audit_brings_in_what_is_missing(server: MailServer, room: Mailroom) -> None:
    await put(server, mail("One"), mail("Two"))
    settings = settings_of(server)
    async with room.watching(settings):
        await lies(server, INBOX=0, Processed=2)
    await put(server, mail("Moved by hand"), folder="Processed")
    channel = EmailChannel(room.around, [settings])

    found = {one.place.partition(" ")[2]: one for one in await channel.audit()}
    again = {one.place.partition(" ")[2]: one for one in await channel.audit()}

    assert (found["Processed"].held, found["Processed"].brought_in) == (3, 1)
    assert (found["INBOX"].held, found["INBOX"].brought_in) == (0, 0)
    assert (await room.settled(3)).filed == 3
    assert again["Processed"].brought_in == 0


async def test_an_audit_says_which_folder_it_could_not_see(
    server: MailServer, room: Mailroom
) -> None:
    await asyncio.to_thread(server.stop)

    found = await EmailChannel(room.around, [settings_of(server)]).audit()

    assert all("cannot be reached" in one.trouble for one in found)


# ── what the tests wait for ─────────────────────────────────────────────────────────────────────


def _has_looked(channel: EmailChannel) -> Look:
    async def look() -> bool:
        return now(channel).looked_at is not None

    return look


def _nothing_waits(channel: EmailChannel) -> Look:
    async def look() -> bool:
        return now(channel).looked_at is not None and not now(channel).waiting

    return look


def _is_in_trouble(channel: EmailChannel) -> Look:
    async def look() -> bool:
        return bool(now(channel).trouble)

    return look


def _is_well(channel: EmailChannel) -> Look:
    async def look() -> bool:
        return not now(channel).trouble

    return look


async def _is_so(look: Callable[[], bool]) -> bool:
    return look()


def _first_uid(server: MailServer) -> int:
    with program(server) as client:
        client.select()
        _, (line,) = client.fetch("1", "(UID)")
    return int(line.split()[2].rstrip(b")"))


async def _is_filed(room: Mailroom, words: str) -> bool:
    return any(words in text for text in await room.texts())


async def _case(room: Mailroom) -> UUID:
    await room.bus.tell([complaint(1)])
    await room.settled(1)
    return complaint(1).message_id
