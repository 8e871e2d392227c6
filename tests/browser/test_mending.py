"""
What stops, hangs or is locked out is told in words within ten seconds; an operator mends it from
the page, without a shell.
"""

import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from playwright.async_api import Page, expect

from tests.browser.people import DESK, PHONE, Visitors, sign_in, too_wide
from tests.browser.test_accessibility import Judge
from tests.support import imap
from tests.support.imap import Pymap, deliver
from tests.support.letters import mail
from tests.support.mail import SmtpSink
from tests.support.product import Product, own_folder, until, visitor, with_sample_logins

WITHIN = 15_000  # milliseconds: ten seconds, and a machine that does much else
WELL = "All is well: every message is handled within seconds, and nothing is lost."


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator[Pymap]:
    with own_folder() as folder:
        server = Pymap(folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def mail_server() -> Iterator[SmtpSink]:
    server = SmtpSink("the first one")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def product(mailbox: Pymap, mail_server: SmtpSink) -> AsyncIterator[Product]:
    """
    One with a mailbox and a mail server; its engines and services are stopped here, so nobody
    shares it.
    """
    box = {
        "host": "127.0.0.1", "port": mailbox.port, "security": "none", "username": imap.USER,
        "password": imap.PASSWORD,
    }  # fmt: skip
    smtp = {
        "host": "127.0.0.1", "port": mail_server.port, "security": "none", "username": "311",
        "password": mail_server.password, "seconds_per_connection": 0.1,
    }  # fmt: skip
    async with with_sample_logins(
        BUCKSTOP__CHANNELS__EMAIL=json.dumps([box]),
        BUCKSTOP__NOTIFIER__SMTP=json.dumps(smtp),
        BUCKSTOP__NOTIFIER__FROM_ADDRESS="311@city.example",
    ) as product:
        yield product


@pytest.fixture
async def operator(visitors: Visitors) -> Page:
    page = await visitors.visitor(DESK | {"viewport": {"width": 1280, "height": 900}}, "en")
    await sign_in(page, "amy.lindqvist")
    await page.get_by_role("link", name="Operations").click()
    await expect(page.locator("#op-sentence")).to_have_text(WELL, timeout=3 * WITHIN)
    return page


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """They hang, and stay so for as long as nobody mends it."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


async def test_a_password_that_somebody_changed_is_entered_on_the_page(
    visitors: Visitors, product: Product, mailbox: Pymap, operator: Page
) -> None:
    sentence = operator.locator("#op-sentence")
    await visitors.picture(operator, "well")
    assert not await too_wide(operator)
    mailbox.stop()
    mailbox.password = "another one"
    mailbox.start()
    await expect(sentence).to_contain_text(
        f"{imap.USER} does not let us in: 127.0.0.1 does not accept username and password",
        timeout=WITHIN,
    )
    await expect(operator.locator(".op-verdict")).to_contain_text("Enter the password")
    await visitors.picture(operator, "locked-out")

    await operator.get_by_role("link", name="Enter it").click()
    ours = operator.get_by_role("region", name=imap.USER)
    await ours.get_by_label("New password").fill("a guess")
    await ours.get_by_role("button", name="Try it and keep it").click()
    await expect(operator.get_by_role("alert")).to_contain_text("It was tried, and not kept")
    assert await ours.get_by_label("New password").input_value() == ""
    await visitors.picture(operator, "not-kept")
    await ours.get_by_label("New password").fill("another one")
    await ours.get_by_role("button", name="Try it and keep it").click()
    await expect(operator.get_by_role("status").first).to_contain_text("It lets us in again")
    await visitors.picture(operator, "let-in")
    await operator.goto("/ops")
    await expect(sentence).to_have_text(WELL, timeout=WITHIN)

    deliver(mailbox, mail("The street light at 111 E Maple Ave is out."))
    await until(lambda: _cases(product, 1))
    await operator.goto("/ops/levers")
    await expect(operator.locator(".st-timeline")).to_contain_text("Let in with what was entered")


async def test_mails_that_the_mail_server_does_not_take_leave_after_its_new_password(
    visitors: Visitors, product: Product, mail_server: SmtpSink, operator: Page
) -> None:
    sentence = operator.locator("#op-sentence")
    mail_server.password = "the second one"
    report = {"text": "A pothole at 11401 E 23rd St.", "email": "rosa@resident.example"}
    async with visitor(product) as rosa:
        assert (await rosa.post("/channels/web", json=report)).status == 200
    await expect(sentence).to_have_text(
        f"No mail is sent: the mail server 127.0.0.1:{mail_server.port} does not accept our "
        "password.",
        timeout=WITHIN,
    )
    await visitors.picture(operator, "no-mail-is-sent")
    await operator.get_by_role("link", name="Enter it").click()
    ours = operator.locator("section", has_text="Our mails leave here")
    await ours.get_by_label("New password").fill("the first one")
    await ours.get_by_role("button", name="Try it and keep it").click()
    await expect(operator.get_by_role("alert")).to_contain_text("does not accept username")
    await ours.get_by_label("New password").fill("the second one")
    await ours.get_by_role("button", name="Try it and keep it").click()
    await expect(operator.get_by_role("status").first).to_contain_text("It lets us in again")
    await until(lambda: _has_come(mail_server, "rosa@resident.example"))
    await operator.goto("/ops")
    await expect(sentence).to_have_text(WELL, timeout=WITHIN)


async def test_services_that_hang_are_started_again_on_the_page(
    visitors: Visitors, product: Product, operator: Page
) -> None:
    sentence = operator.locator("#op-sentence")
    with stopped([_with_router(product)]):
        await expect(sentence).to_contain_text("gives no sign of life", timeout=WITHIN)
        await expect(operator.locator(".op-verdict")).to_contain_text("The service router")
        await operator.locator("[href='/ops/again?what=router']").click()
        await expect(operator.get_by_label("channels, router, store")).to_be_checked()
        await visitors.picture(operator, "again")
        await operator.get_by_label("Why?").fill("It hangs.")
        await operator.get_by_role("button", name="Start it again").click()
        await expect(operator.get_by_role("status").first).to_contain_text(
            "was started again, and runs", timeout=2 * WITHIN
        )
    await operator.goto("/ops")
    await expect(sentence).to_have_text(WELL, timeout=2 * WITHIN)
    await operator.goto("/ops/levers")
    await expect(operator.locator(".st-timeline")).to_contain_text("It hangs.")


@pytest.mark.parametrize(
    ("engine", "says"),
    [("postgresql", "PostgreSQL does not answer"), ("nats", "The bus (NATS) does not answer")],
)
async def test_an_engine_that_hangs_is_started_again_on_the_page(
    visitors: Visitors, product: Product, operator: Page, engine: str, says: str
) -> None:
    sentence = operator.locator("#op-sentence")
    pid = product.postgres_pid if engine == "postgresql" else product.nats_pid
    assert pid is not None
    server = psutil.Process(pid)
    with stopped([server, *server.children()]):
        await expect(sentence).to_contain_text(says, timeout=WITHIN)
        await visitors.picture(operator, f"{engine}-hangs")
        # Who is signed in stands in PostgreSQL; an operator opens the page anew all the same.
        await operator.goto("/ops")
        await expect(sentence).to_contain_text(says)
        await operator.locator(f"[href='/ops/again?what={engine}']").click()
        await expect(operator.locator("input:checked")).to_have_value(engine)
        await visitors.picture(operator, f"{engine}-again")
        await operator.get_by_label("Why?").fill(f"{engine} hangs.")
        await operator.get_by_role("button", name="Start it again").click()
        await expect(operator.get_by_role("status").first).to_contain_text(
            "was started again, and runs", timeout=3 * WITHIN
        )
    await operator.goto("/ops")
    await expect(sentence).to_have_text(WELL, timeout=3 * WITHIN)
    await operator.goto("/ops/levers")
    await expect(operator.locator(".st-timeline")).to_contain_text(f"{engine} hangs.")


async def test_the_pages_can_be_used_by_everybody(visitors: Visitors) -> None:
    page = await visitors.visitor({}, "en", bypass_csp=True)
    await sign_in(page, "amy.lindqvist")
    judge = Judge(page, ((390, 844), (1280, 900)))
    for path in ("/ops/again", "/ops/places"):
        await page.goto(path)
        await judge.look(path)
    assert not judge.faults, "\n".join(judge.faults)


async def test_they_work_on_a_phone_in_spanish_and_without_script(visitors: Visitors) -> None:
    page = await visitors.visitor(PHONE, "es", java_script_enabled=False)
    await sign_in(page, "amy.lindqvist")
    for path in ("/ops/again?what=router", "/ops/places"):
        await page.goto(path)
        assert not await too_wide(page)
        await visitors.picture(page, f"phone-{path[5:10]}")
    await page.get_by_role("button", name="Mirar ahora").first.click()
    await expect(page.get_by_role("status").first).to_contain_text("todo está bien")


def _with_router(product: Product) -> psutil.Process:
    # The first of the two that are forked.
    return min(product.services, key=lambda one: (one.create_time(), one.pid))


async def _has_come(mail_server: SmtpSink, recipient: str) -> bool:
    return any(mail["X-Rcpt-To"] == recipient for mail in mail_server.mails)


async def _cases(product: Product, count: int) -> bool:
    async with product.database() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM cases WHERE channel = 'email'")
    return found == count
