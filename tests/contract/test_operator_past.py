"""The last hour and day, and what ends soon: sampled from a real bus, seen at real TLS servers."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.files import Files
from bus.look import Looker
from gateway.operator import expiring, sampling
from gateway.operator.expiring import Door, Ending, doors, look_at
from gateway.operator.sampling import keep_sampling, look
from gateway.settings import Settings
from store import samples
from store.model import Role
from tests.contract.test_operator_figures import collecting, the_store, working
from tests.support.facts import complaint
from tests.support.product import until
from tests.support.staff import Reader, put_account, small_settings, staff_pages

TLS = Path(__file__).parents[1] / "fixtures" / "tls"


async def test_a_sample_is_kept_once_a_minute_and_swept(bus: Bus, pool: asyncpg.Pool) -> None:
    async with working(the_store(bus, pool)):
        await bus.tell([complaint(1), complaint(2)])

        async def filed() -> bool:
            async with pool.acquire() as conn:
                return bool(await conn.fetchval("SELECT count(*) = 2 FROM cases"))

        await until(filed)
        await asyncio.sleep(0.2)
        now = await look(Looker(bus.js))
    assert now.streams["COMPLAINTS"] == 2
    durable = now.durables["store_complaint"]
    assert (durable.waiting, durable.arrived, durable.answered) == (0, 2, 2)
    async with pool.acquire() as conn:
        assert await samples.add(conn, now)
        assert not await samples.add(conn, now)  # another process was first
        [kept] = await samples.after(conn, now.at - timedelta(hours=1))
        assert kept == now
        [came] = await samples.intake(conn, now.at - timedelta(days=3650))
        assert (came.channel, came.count) == ("web", 2)
        await samples.sweep(conn, now.at + timedelta(minutes=2))
        assert await samples.after(conn, now.at - timedelta(hours=1)) == []


async def test_sampling_goes_on_until_it_is_asked_to_stop(
    bus: Bus, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_EVERY", 0.2)
    stop = asyncio.Event()
    work = asyncio.create_task(keep_sampling(bus.js, pool, stop))

    async def there() -> bool:
        async with pool.acquire() as conn:
            return bool(await samples.after(conn, datetime.now(UTC) - timedelta(hours=1)))

    await until(there)
    stop.set()
    await asyncio.wait_for(work, 5)


# ── certificates ────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def server(*, manner: str) -> AsyncIterator[Door]:
    """A TLS server with the tests' own certificate; for `imap` and `smtp` after STARTTLS."""
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if manner != "tls":
                greetings = {"imap": [b"* OK hello"], "smtp": [b"220-hello", b"220 mail"]}
                writer.write(b"".join(line + b"\r\n" for line in greetings[manner]))
                while b"STARTTLS" not in (line := await reader.readline()):
                    assert line.startswith(b"EHLO")
                    writer.write(b"250-mail\r\n250-SIZE 5\r\n250 STARTTLS\r\n")
                writer.write(b"a OK begin\r\n" if manner == "imap" else b"220 go ahead\r\n")
                await writer.start_tls(shown)
            await reader.read()
        except (ssl.SSLError, ConnectionError):
            pass
        finally:
            writer.close()

    one = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=shown if manner == "tls" else None)
    async with one:
        port = one.sockets[0].getsockname()[1]
        yield Door("localhost", port, manner, TLS / "cert.pem")  # type: ignore[arg-type]


@pytest.mark.parametrize("manner", ["tls", "imap", "smtp"])
async def test_the_end_of_a_certificate_is_seen(manner: str) -> None:
    async with server(manner=manner) as door:
        [seen] = await look_at([door])
    decoded = ssl._ssl._test_decode_cert(str(TLS / "cert.pem"))  # type: ignore[attr-defined]
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded["notAfter"]), UTC)
    assert seen == Ending("certificate", door.name, ends)


async def test_what_is_away_or_not_trusted_is_said_and_raises_nothing() -> None:
    async with server(manner="tls") as door:
        stranger = Door(door.host, door.port, "tls")
        [untrusted] = await look_at([stranger])
    [away] = await look_at([door])
    assert untrusted.ends is away.ends is None
    assert untrusted.trouble.startswith("not trusted")
    assert away.trouble.startswith("no answer")


def test_each_server_that_the_settings_name_is_looked_at_once() -> None:
    mailbox = {"host": "mail.example.gov", "username": "help@example.gov", "password": "p"}
    settings = Settings.model_validate(
        {
            "http": {"base_url": "https://report.example.gov"},
            "channels": {"email": [mailbox, mailbox | {"username": "b@example.gov"}]},
            "notifier": {
                "smtp": {"host": "mail.example.gov"}, "from_address": "help@example.gov",
            },
        }
    )  # fmt: skip
    assert [(one.name, one.manner) for one in doors(settings)] == [
        ("report.example.gov:443", "tls"), ("mail.example.gov:993", "tls"),
        ("mail.example.gov:587", "smtp"),
    ]  # fmt: skip
    assert doors(Settings.model_validate({"http": {"base_url": "http://localhost:1"}})) == ()


# ── the page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    async with staff_pages(pool, bus, files, None, small_settings(tmp_path)) as opened:
        yield opened


async def test_the_page_draws_the_past_with_words_beside_it(
    reader: Reader, bus: Bus, pool: asyncpg.Pool
) -> None:
    now = datetime.now(UTC)
    async with working(the_store(bus, pool)), pool.acquire() as conn:
        await bus.tell([complaint(1)])
        for back in (2, 1, 0):
            await samples.add(
                conn,
                samples.Sample(
                    now - timedelta(minutes=back),
                    {"COMPLAINTS": 120 * (3 - back)},
                    {"store_complaint": samples.DurableSample(41 * back, 9, 9)},
                ),
            )
        await reader.sign_in("olga.op")
        page = await reader.read("/ops")
    assert page.count('<svg viewBox="0 0 120 24"') >= 6
    assert "Waiting, the last hour. At most 82, at" in page
    assert "max. 2/s" in page
    assert "Nothing is known of them yet" not in page
    figures = await reader.read("/ops/figures.json")
    assert '"lately"' not in figures


async def test_a_certificate_that_ends_soon_is_in_the_verdict(
    bus: Bus, pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def soon(doors: object) -> tuple[Ending, ...]:
        return (Ending("certificate", "a:443", datetime.now(UTC) + timedelta(days=6, hours=1)),)

    monkeypatch.setattr("gateway.operator.figures.look_at", soon)
    async with collecting(bus, pool, tmp_path, doors=[Door("a", 443, "tls")]) as collector:
        await collector.latest()
        await asyncio.sleep(0)  # it is looked at beside the figures, which do not wait for it
        found = await collector.latest()
    assert [one.what for one in found.endings] == ["a:443"]
    assert expiring.Ending.days(found.endings[0], found.at) == 6
