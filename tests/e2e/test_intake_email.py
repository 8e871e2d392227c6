"""`buckstop intake email`, and what audit and doctor say of a mailbox, as their users run them."""

import json
from pathlib import Path

from tests.support.imap import PASSWORD, USER, Pymap, count_in, deliver
from tests.support.letters import bounce, mail
from tests.support.product import Product


def folder_of_mails(folder: Path) -> Path:
    below = folder / "mails" / "below"
    below.mkdir(parents=True)
    raw = mail("One pothole.")
    (below.parent / "1.eml").write_bytes(raw)
    (below / "the same.txt").write_bytes(b"Received: from mx\r\n" + raw)
    (below / "2.eml").write_bytes(mail("Another pothole."))
    (below / "bounce.eml").write_bytes(bounce("bounce@city.example"))
    (below / "nested").write_bytes(
        b"From: a@b.example\r\n"
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2000
    )
    (below / "picture").write_bytes(bytes(range(256)) * 20)
    (below / "empty").write_bytes(b"")
    return below.parent


async def test_a_folder_is_taken_in_once_running_or_not(product: Product, folder: Path) -> None:
    mails = folder_of_mails(folder)

    alone = await product.ask("intake", "email", mails, "--format", "json", within=90)
    (first,) = alone.lines
    assert alone.code == 0, alone.err
    assert (first["mails"], first["same"], first["filed"]) == (7, 1, 2)
    assert (first["ignored"], first["quarantined"], first["without_end"]) == (1, 3, 0)
    assert first["closes"]

    await product.start()
    (again,) = (await product.ask("intake", "email", mails, "--format", "json", within=90)).lines
    assert again["equation"] == first["equation"]
    said = await product.ask("intake", "email", mails, within=90)
    assert "7 mails, 1 of them the same as another" in said.out
    assert first["equation"] in said.out


async def test_a_mailbox_in_the_settings_is_watched_audited_and_examined(
    product: Product, folder: Path
) -> None:
    server = Pymap(folder)
    server.start()
    try:
        box = {"host": "127.0.0.1", "port": server.port, "security": "none", "username": USER}
        settings = folder / "city.toml"
        settings.write_text(f"[channels]\nemail = [{_table(box | {'password': PASSWORD})}]\n")
        await product.start("--config", str(settings))
        deliver(server, mail("Seen by IDLE."), mail("And another."))
        await product.settled(2)
        await product.stop()
        deliver(server, mail("Put there by hand."), folder="Processed")

        audit = await product.ask("audit", "--config", settings, "--wait", "1")
        assert f"{USER} Processed: 3 messages, 1 brought in" in audit.out
        looked = await product.ask("doctor", "--config", settings)
        assert f"mailbox {USER}: 127.0.0.1 lets us in" in looked.out
        assert count_in(server) == 0

        settings.write_text(f"[channels]\nemail = [{_table(box | {'password': 'wrong'})}]\n")
        looked = await product.ask("doctor", "--config", settings)
        assert looked.code == 1
        assert "does not accept username and password" in looked.out
    finally:
        server.stop()


def _table(values: dict[str, object]) -> str:
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + "}"
