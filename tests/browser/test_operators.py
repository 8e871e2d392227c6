"""An operator mends a poisoned complaint from the page; pauses; reads again; on a phone, too."""

import json

import nats
import pytest
from playwright.async_api import Page, expect

from bus.codec import CONTRACT_HEADER, encode
from tests.browser.people import DESK, PHONE, Visitors, placed, sign_in, too_wide
from tests.browser.test_accessibility import Judge
from tests.support.facts import complaint
from tests.support.product import Product

WITHIN = 15_000  # milliseconds: ten seconds, and a machine that does much else
WELL = "All is well: every message is handled within seconds, and nothing is lost."


@pytest.fixture
async def operator(visitors: Visitors) -> Page:
    page = await visitors.visitor(DESK | {"viewport": {"width": 1280, "height": 900}}, "en")
    await sign_in(page, "amy.lindqvist")
    await page.get_by_role("link", name="Operations").click()
    await expect(page.locator("#live")).to_have_text("Live")
    return page


async def test_a_poisoned_complaint_is_mended_from_the_page(
    visitors: Visitors, product: Product, operator: Page
) -> None:
    told = complaint(901, text="The street light at the corner is out", attachments=())
    poisoned = json.loads(encode(told)) | {"occurred_at": "yesterday"}
    await _publish(product, "complaint.received.web", json.dumps(poisoned), told.tag)

    await expect(operator.locator("#op-sentence")).to_contain_text(
        "Messages that nobody could handle wait as dead letters", timeout=WITHIN
    )
    await visitors.picture(operator, "poisoned")
    await operator.locator("#op-link-dead_letters").click()
    letters = operator.locator(".op-letter__reason", has_text="occurred_at")
    await expect(letters).to_have_count(2)  # the router and the store each have theirs
    await visitors.picture(operator, "dead-letters")
    await operator.locator(".op-letter", has_text="store_complaint").get_by_role("link").click()
    await operator.get_by_text("Mend a copy and tell that").click()
    await operator.get_by_label("The message", exact=True).fill(encode(told).decode())
    await operator.get_by_label("What did you change, and why?").fill("The day was a word.")
    await visitors.picture(operator, "dead-letter")
    await operator.get_by_role("button", name="Tell the mended copy").click()
    await expect(operator.get_by_role("status").first).to_contain_text("1 letter is being told")
    await placed(product, told.reference)
    await operator.goto("/ops")
    await operator.get_by_role("link", name="Follow one complaint").click()
    await operator.get_by_label("Which one?").fill(told.reference)
    await operator.get_by_role("button", name="Follow it").click()
    await expect(operator.locator(".op-way__stop")).to_have_count(5)
    await expect(operator.locator(".op-way__stop--done").first).to_contain_text("Channel")
    await expect(operator.locator(".op-hop", has_text="It came in")).to_have_count(1)
    await visitors.picture(operator, "followed")

    await operator.goto("/ops/dead?reason=occurred_at")
    await operator.get_by_text("All 1 that the filter shows").click()
    await operator.get_by_label("Why?").fill("The mended copy was heard by everybody.")
    await operator.get_by_role("button", name="Discard").click()
    await expect(operator.get_by_role("status").first).to_contain_text("1 letter is discarded")
    await operator.goto("/ops")
    await expect(operator.locator("#op-sentence")).to_have_text(WELL, timeout=WITHIN)


async def test_a_durable_is_paused_and_resumed_from_the_page(
    visitors: Visitors, operator: Page
) -> None:
    await operator.get_by_role("link", name="Pause, resume, audit").click()
    await operator.get_by_label("What?").select_option("notifier_notice_queued")
    await operator.get_by_label("Why?").first.fill("The mail server is being moved.")
    await operator.get_by_role("button", name="Pause it").click()
    await expect(operator.get_by_role("status").first).to_contain_text("It is paused")
    assert not await too_wide(operator)
    await visitors.picture(operator, "levers")
    await operator.goto("/ops")
    await expect(operator.locator("#op-sentence")).to_contain_text(
        "notifier_notice_queued is paused by amy.lindqvist", timeout=WITHIN
    )
    await visitors.picture(operator, "paused")
    await operator.goto("/ops/levers")
    await operator.get_by_role("button", name="Let it go on").click()
    await operator.goto("/ops")
    await expect(operator.locator("#op-sentence")).to_have_text(WELL, timeout=WITHIN)


async def test_the_pages_can_be_used_by_everybody_and_a_span_is_read_again(
    visitors: Visitors,
) -> None:
    page = await visitors.visitor({}, "en", bypass_csp=True)
    await sign_in(page, "amy.lindqvist")
    judge = Judge(page, ((390, 844), (1280, 900)))
    await page.goto("/ops")
    await expect(page.locator("#lately svg").first).to_be_visible(timeout=WITHIN)
    for path in ("/ops", "/ops/levers", "/ops/reread"):
        await page.goto(path)
        await judge.look(path)
    await page.get_by_role("button", name="Read again and compare").click()
    await expect(page.get_by_role("button", name="Read another span")).to_be_visible(timeout=WITHIN)
    await expect(page.get_by_role("status").first).to_contain_text("would be otherwise")
    await judge.look("read again")
    assert not judge.faults, "\n".join(judge.faults)


async def test_the_page_works_on_a_phone_and_without_script(visitors: Visitors) -> None:
    page = await visitors.visitor(PHONE, "es", java_script_enabled=False)
    await sign_in(page, "amy.lindqvist")
    await page.goto("/ops")
    await expect(page.locator("#op-sentence")).to_contain_text("Todo está bien")
    await visitors.picture(page, "phone")
    await page.goto("/ops/dead")
    await visitors.picture(page, "phone-dead")
    await page.goto("/ops/levers")
    assert not await too_wide(page)
    await visitors.picture(page, "phone-levers")


async def _publish(product: Product, subject: str, body: str, tag: str) -> None:
    client = await nats.connect(product.address["nats_url"])
    await client.jetstream().publish(subject, body.encode(), headers={CONTRACT_HEADER: tag})
    await client.drain()
