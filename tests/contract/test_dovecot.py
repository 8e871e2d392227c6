"""
Everything that `test_email_imap.py` promises, on the mail server that most cities run.

`make test` leaves these out, so that it passes where Dovecot is not installed; `make test-dovecot`
and `.ci/run` run them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.test_email_imap import *  # noqa: F403  its tests, on another server
from tests.contract.test_email_imap import _is_in_trouble, lies, now, proxy, reader, room
from tests.support.imap import Dovecot, MailServer, NoDovecot, deliver, settings_of
from tests.support.letters import mail
from tests.support.mailroom import Mailroom, until

__all__ = ["proxy", "reader", "room"]

pytestmark = pytest.mark.dovecot
TLS = Path(__file__).parents[1] / "fixtures" / "tls"


@pytest.fixture
def server() -> Iterator[MailServer]:
    folder = Path(tempfile.mkdtemp(prefix="buckstop-dovecot-"))
    folder.chmod(0o755)
    dovecot = Dovecot(folder, certificate=TLS)
    try:
        dovecot.start()
    except NoDovecot as reason:
        pytest.fail(str(reason))
    yield dovecot
    dovecot.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_it_speaks_tls_and_looks_at_the_certificate(
    server: Dovecot, room: Mailroom, security: str
) -> None:
    deliver(server, mail())
    port = server.tls_port if security == "tls" else server.port
    told = {"security": security, "host": "localhost"}

    async with room.watching(settings_of(server, port, **told)) as stranger:
        await until(_is_in_trouble(stranger))
        assert "is not to be trusted" in now(stranger).trouble
    async with room.watching(settings_of(server, port, **told, ca_file=TLS / "cert.pem")):
        assert (await room.settled(1)).filed == 1


async def test_folder_names_may_have_any_letters(server: Dovecot, room: Mailroom) -> None:
    deliver(server, mail())
    async with room.watching(settings_of(server, processed="Erledigt & geprüft 台北")):
        await lies(server, **{"INBOX": 0, "Erledigt &- gepr&APw-ft &U,BTFw-": 1})
