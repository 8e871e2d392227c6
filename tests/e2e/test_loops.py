"""
The loop lab: machines that answer machines. Whoever they are, it soon is quiet: at most one
receipt for each case, and ten mails in all.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

import pytest

from tests.support.imap import PASSWORD, USER, Pymap, count_in, deliver
from tests.support.mail import SmtpSink
from tests.support.product import Product, copy_of, own_folder, until

Robot = Callable[[EmailMessage], bytes]


def written(sender: str, to: str, subject: str, body: str, **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Message-ID"] = make_msgid(domain="robots.example")
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(body)
    return mail


def out_of_office(mail: EmailMessage) -> bytes:
    """A holiday notice, marked as RFC 3834 asks."""
    return written(
        mail["To"], mail["Reply-To"] or mail["From"], f"Automatic reply: {mail['Subject']}",
        "I am away until Monday.", Auto_Submitted="auto-replied", In_Reply_To=mail["Message-ID"],
    ).as_bytes()  # fmt: skip


def old_out_of_office(mail: EmailMessage) -> bytes:
    """A holiday notice that nothing marks but its words."""
    return written(
        mail["To"], mail["From"], f"Out of Office: {mail['Subject']}", "I am away until Monday."
    ).as_bytes()


def ticket_system(mail: EmailMessage) -> bytes:
    """Another city's gateway: a fresh mail for every mail, and nothing says that it is one."""
    return written(
        mail["To"], mail["From"], "[#77120] We have opened a ticket",
        f"Thank you for contacting us about {mail['Subject']}.",
    ).as_bytes()  # fmt: skip


def answering_system(mail: EmailMessage) -> bytes:
    """A gateway that answers in the thread, and nothing says that it is one."""
    return written(
        mail["To"], mail["Reply-To"] or mail["From"], f"Re: {mail['Subject']}",
        "Thank you for your message. We will look into it.", In_Reply_To=mail["Message-ID"],
    ).as_bytes()  # fmt: skip


def forwarder(mail: EmailMessage) -> bytes:
    """A mailbox that sends everything on, to where it came from."""
    received = b"Received: from robots.example by robots.example; Mon, 23 Nov 2026 10:00:00 +0000"
    return received + b"\r\n" + mail.as_bytes()


def bouncing(mail: EmailMessage) -> bytes:
    """A mail server that knows no such user, and says so to the envelope's sender."""
    headers = "\r\n".join(f"{name}: {value}" for name, value in mail.items())
    return (
        "From: MAILER-DAEMON@robots.example (Mail Delivery System)\r\n"
        f"To: {mail['X-Mail-From']}\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "Auto-Submitted: auto-replied\r\n"
        f"Message-ID: {make_msgid(domain='robots.example')}\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; robots.example\r\n\r\n"
        f"Final-Recipient: rfc822; {mail['X-Rcpt-To']}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{headers}\r\n--b--\r\n"
    ).encode()


ROBOTS: dict[str, Robot] = {
    f"{robot.__name__}@robots.example": robot
    for robot in (
        out_of_office, old_out_of_office, ticket_system, answering_system, forwarder, bouncing,
    )
}  # fmt: skip


@pytest.fixture
def mailbox(folder: Path) -> Iterator[Pymap]:
    server = Pymap(folder)
    server.start()
    yield server
    server.stop()


async def test_machines_that_answer_machines_fall_silent(
    template: Path, smtp_sink: SmtpSink, mailbox: Pymap
) -> None:
    with own_folder() as folder:
        box = {
            "host": "127.0.0.1", "port": mailbox.port, "security": "none",
            "username": USER, "password": PASSWORD, "poll_every": 1,
        }  # fmt: skip
        product = Product(
            copy_of(template, folder),
            BUCKSTOP__CHANNELS__EMAIL=json.dumps([box]),
            BUCKSTOP__NOTIFIER__FROM_ADDRESS=USER,
            BUCKSTOP__NOTIFIER__REPLY_TO=USER,
            BUCKSTOP__NOTIFIER__SMTP__HOST="127.0.0.1",
            BUCKSTOP__NOTIFIER__SMTP__PORT=str(smtp_sink.port),
            BUCKSTOP__NOTIFIER__SMTP__SECURITY="none",
        )
        try:
            await product.start()
            for address in ROBOTS:
                first = written(
                    address, USER, "Pothole", f"A pothole at 23rd and Noland, {address}"
                )
                deliver(mailbox, first.as_bytes())
            await until_quiet(product, smtp_sink, mailbox)

            to_robots = [mail for mail in smtp_sink.mails if mail["X-Rcpt-To"] in ROBOTS]
            got = Counter(mail["X-Rcpt-To"] for mail in to_robots)
            assert set(got) == set(ROBOTS)  # each was answered, once at least
            assert max(got.values()) <= 3
            receipts = Counter(
                mail["Subject"] for mail in to_robots if mail["X-Buckstop-Notice"] == "receipt"
            )
            assert max(receipts.values()) == 1
            async with product.database() as connection:
                cases = await connection.fetch("SELECT reporter_email, reference FROM cases")
            whose = {case["reference"]: case["reporter_email"] for case in cases}
            caused: Counter[str] = Counter()
            for mail in smtp_sink.mails:
                caused.update(
                    address for reference, address in whose.items() if reference in mail["Subject"]
                )
            assert max(caused.values()) <= 10, caused
            # Only who says in no way that it is a machine has more than one case.
            count = Counter(whose.values())
            assert {address for address, number in count.items() if number > 1} <= {
                "ticket_system@robots.example"
            }
            answer = await product.ask("audit")
            assert answer.code == 0, answer.out + answer.err
        finally:
            await product.clear()


WAITING = """
    SELECT (SELECT count(*) FROM complaints),
           (SELECT count(*) FROM complaints WHERE state = 'received')
           + (SELECT count(*) FROM outbox WHERE told_at IS NULL)
           + (SELECT count(*) FROM deliveries WHERE state IN ('queued', 'unknown'))
"""


async def until_quiet(product: Product, sink: SmtpSink, mailbox: Pymap) -> None:
    """
    Let the robots answer every mail, until none has come for a while and none can come: no mail
    lies in the mailbox, nothing waits to be told or sent.
    """
    answered = 0
    looks = 0

    async def quiet() -> bool:
        nonlocal answered, looks
        looks += 1
        assert len(sink.mails) < 100, Counter(mail["X-Rcpt-To"] for mail in sink.mails)
        if answered == len(sink.mails):
            if await asyncio.to_thread(count_in, mailbox):
                looks = 0
                return False
            async with product.database() as connection:
                seen, waiting = await connection.fetchrow(WAITING)
            if waiting:
                looks = 0
            return looks > 25 and bool(seen >= len(ROBOTS))
        looks = 0
        for mail in sink.mails[answered:]:
            answered += 1
            if robot := ROBOTS.get(str(mail["X-Rcpt-To"])):
                deliver(mailbox, robot(mail))
        return False

    await until(quiet, within=120)
