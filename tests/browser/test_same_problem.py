"""Two stories: five people and one pothole, and a quarter that goes dark all at once."""

import re
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.people import (
    Visitors,
    go_on,
    let_in,
    placed,
    reference_on,
    sign_in,
    too_wide,
)
from tests.browser.test_accessibility import WIDTHS, Judge
from tests.support.product import Product, until

CORNER = "Crysler Ave & 23rd St"
ROSA, LUIS, ANA, TIM = (f"{name}@pothole.example" for name in ("rosa", "luis", "ana", "tim"))
MAILS = """
    SELECT notice, recipient, subject_line, text
    FROM deliveries
    WHERE recipient = ANY ($1::text[]) AND settled_at IS NOT NULL
    ORDER BY queued_at, notice
"""


async def test_two_cases_become_one_and_two_again_and_everybody_hears(
    visitors: Visitors, product: Product
) -> None:
    """
    Rosa reports a pothole. Luis is shown it, and calls it the same; Ana does not. Staff join
    Ana's to Rosa's, take it out, and join it again; then it is closed.
    """
    rosa = await visitors.resident("es")
    mine = await _report(
        visitors, rosa, "Hay un bache enorme en la esquina, ya se cayeron dos ciclistas.", ROSA
    )
    case = await placed(product, mine)
    await let_in(product, case["assignee"])

    luis = await visitors.resident("en")
    his = await _report(
        visitors, luis, "There is a huge pothole on the corner, my tire blew.", LUIS, same=True
    )
    ana = await visitors.resident("en")
    hers = await _report(
        visitors, ana, "Deep pothole in the road, cars swerve around it.", ANA, same=False
    )
    apart = await placed(product, hers)

    staff = await visitors.visitor(
        {}, "en", bypass_csp=True, viewport={"width": 1280, "height": 900}
    )
    await sign_in(staff, case["assignee"])
    await _join(visitors, staff, str(apart["id"]), mine)
    assert not await too_wide(staff)

    tess = await visitors.colleague("en")
    call = await _take_call(visitors, tess, mine)
    await staff.reload()

    # What Luis and Ana told is there, and Ana's page leads on.
    await staff.goto(f"/staff/cases/{case['id']}")
    for told in (hers, "cars swerve around it", ANA, LUIS, "my tire blew", "Luis", "He fell", TIM):
        await expect(staff.locator("main")).to_contain_text(told)
    await visitors.picture(staff, "joined")
    judge = Judge(staff, WIDTHS["en"])
    await judge.look("a case with others joined")
    assert not judge.faults, "\n".join(judge.faults)
    await ana.goto(f"/track/{hers}")
    await expect(ana.locator("main")).to_contain_text(f"as report {mine}")
    await visitors.picture(ana, "leads-on")

    # It was another pothole after all; no, it was not.
    await staff.set_viewport_size({"width": 1280, "height": 900})
    await staff.goto(f"/staff/cases/{apart['id']}")
    await staff.get_by_role("button", name=re.compile("Take it out again")).click()
    await expect(staff.get_by_role("status").first).to_contain_text("by itself again")
    again = await placed(product, hers)
    assert {**again} == {**apart}
    await ana.goto(f"/track/{hers}")
    await expect(ana.locator("main")).not_to_contain_text(mine)
    await _join(visitors, staff, str(apart["id"]), mine)

    await _close(staff, str(case["id"]), "The hole is filled.")
    everybody = [ROSA, LUIS, ANA, TIM]
    mails = await _mails(product, everybody)
    heard = sorted((one["notice"], one["recipient"]) for one in mails)
    assert heard == sorted(
        [
            ("receipt", ROSA), ("follow_receipt", LUIS), ("receipt", ANA),
            ("joined", ANA), ("apart", ANA), ("joined", ANA),
            ("follow_receipt", TIM), ("closure_resident", ROSA),
            ("follower_closure", LUIS), ("follower_closure", ANA), ("follower_closure", TIM),
        ]
    )  # fmt: skip
    for one in mails:
        if one["recipient"] != ROSA:
            assert "ciclistas" not in one["text"], "nobody reads what Rosa wrote"
        if one["notice"] == "follower_closure":
            assert "The hole is filled." in one["text"]
            known = {LUIS: his, ANA: hers, TIM: call}[one["recipient"]]
            assert known in one["subject_line"]
    await _stop_hearing(visitors, luis, next(one for one in mails if one["recipient"] == LUIS))


async def _report(
    visitors: Visitors, page: Page, text: str, email: str, *, same: bool | None = None
) -> str:
    """A report with a phone; `same` is what is answered where one of the same is shown."""
    await page.goto("/report/what")
    await page.fill("#text", text)
    await go_on(page)
    await go_on(page)
    await page.fill("#address", CORNER)
    await go_on(page)
    if same is not None:
        await page.wait_for_url("**/report/near")
        await expect(page.locator("main")).to_contain_text("Pothole or street repair")
        await expect(page.locator("main")).to_contain_text("Crysler Ave & 23rd St")
        await expect(page.locator("main")).not_to_contain_text("ciclistas")
        assert not await too_wide(page)
        await go_on(page)  # neither was chosen
        await expect(page.get_by_role("alert")).to_contain_text("Choose one")
        await page.locator("label[for=same]" if same else "label[for=same-none]").tap()
        await visitors.picture(page, "near")
        await go_on(page)
    await page.wait_for_url("**/report/contact")
    await page.fill("#name", email.partition("@")[0].capitalize())
    await page.fill("#email", email)
    await go_on(page)
    await page.wait_for_url("**/report/check")
    added = page.get_by_text("Your report is added to one that we have")
    await expect(added).to_have_count(1 if same else 0)
    await visitors.picture(page, "check")
    await go_on(page)
    reference = await reference_on(page)
    await visitors.picture(page, "receipt")
    return reference


async def _join(visitors: Visitors, staff: Page, case_id: str, reference: str) -> None:
    await staff.goto(f"/staff/cases/{case_id}")
    await staff.get_by_role("link", name="1 may be the same").click()
    form = staff.locator("#form-merge")
    offered = form.locator(".st-likely", has_text=reference)
    await expect(offered).to_contain_text(re.compile(r"same address · same type"))
    await offered.locator("label").click()
    await visitors.picture(staff, "join")
    await form.get_by_role("button", name="Join them").click()
    await expect(staff.get_by_role("status").first).to_contain_text("The two cases are one now")
    await expect(staff.locator("main")).to_contain_text("This case was joined to another one")
    await visitors.picture(staff, "was-joined")


async def _close(staff: Page, case_id: str, words: str) -> None:
    await staff.goto(f"/staff/cases/{case_id}")
    await staff.get_by_role("link", name="Close", exact=True).click()
    form = staff.locator("#form-close")
    await expect(form.locator(".st-told")).to_contain_text("3 other people")
    await form.get_by_text("It was done.").click()
    await form.get_by_label("Words for the resident").fill(words)
    await form.get_by_role("button", name="Close the case").click()
    await expect(staff.get_by_role("status").first).to_contain_text("The case is closed.")


async def _take_call(visitors: Visitors, page: Page, reference: str) -> str:
    """Tim calls about the same: his words join the case that is shown while they are typed."""
    await sign_in(page, "tess.calloway")
    await page.goto("/staff/calls/new?fresh=1")
    await page.get_by_label("1. Where is it?").fill("23rd and Crysler")
    await page.get_by_label("2. What does the caller say?").fill("He fell into the big pothole")
    offered = page.locator("#suggestions .st-likely", has_text=reference)
    await expect(offered).to_contain_text("same address · same type")
    await offered.locator("label").click()
    # More is typed, and the list is asked for again: the choice stays.
    async with page.expect_response("**/staff/calls/suggest"):
        await page.get_by_label("2. What does the caller say?").press_sequentially(" with his bike")
    await expect(offered.get_by_role("radio")).to_be_checked()
    await visitors.picture(page, "call")
    await page.fill("#email", TIM)
    await page.get_by_role("button", name="Save the call").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Call saved")
    told = (await page.locator(".bs-reference").inner_text()).strip()
    await until(lambda: _leads_to(page, told, reference))
    return told


async def _leads_to(page: Page, told: str, reference: str) -> bool:
    answer = await page.request.get(f"/staff/cases/{told}")
    return answer.ok and reference in await answer.text()


async def _mails(product: Product, people: list[str]) -> list[Any]:
    found: list[Any] = []

    async def look() -> bool:
        async with product.database() as connection:
            found[:] = await connection.fetch(MAILS, people)
        ends = [one for one in found if "closure" in one["notice"]]
        return len(ends) >= len(people)

    await until(look)
    return found


async def _stop_hearing(visitors: Visitors, page: Page, mail: Any) -> None:
    link = re.search(r"https?://\S+(/following/\S+)", mail["text"])
    assert link, mail["text"]
    await page.goto(link[1])
    await visitors.picture(page, "stop")
    await page.get_by_role("button", name="Write to me no more").tap()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You hear no more of it")
    assert not await too_wide(page)


# ── a storm ─────────────────────────────────────────────────────────────────────────────────────

LIGHTS = """
    SELECT c.reference, c.status, c.incident_id, i.state
    FROM cases c
    LEFT JOIN incidents i ON i.id = c.incident_id
    WHERE c.text LIKE 'The whole block is dark%'
    ORDER BY c.opened_at, c.reference
"""
TO_THEM = """
    SELECT recipient, notice
    FROM deliveries
    WHERE recipient LIKE '%@dark.example' AND settled_at IS NOT NULL AND notice <> 'receipt'
"""


async def _dark(page: Page, number: int) -> str:
    """A street light is out; every third one is told by the same person."""
    who = "again" if number % 3 == 0 else f"r{number}"
    answer = await page.request.post(
        "/channels/web",
        data={
            "text": f"The whole block is dark, the street light is out, number {number}",
            "problem_type": "Street Light Out",
            "lat": str(39.044 + number * 0.0008),
            "lon": "-94.365",
            "email": f"{who}@dark.example",
            "token": f"dark-{number}",
        },
        headers={"Accept": "application/json"},
    )
    told: dict[str, str] = await answer.json()
    return told["reference"]


async def test_a_storm_is_one_incident_with_one_word_and_one_end(
    visitors: Visitors, product: Product
) -> None:
    staff = await visitors.visitor(
        {}, "en", bypass_csp=True, viewport={"width": 1280, "height": 900}
    )
    await sign_in(staff, "amy.lindqvist")
    references = [await _dark(staff, number) for number in range(10)]
    for reference in references:
        await placed(product, reference)

    async def proposed() -> bool:
        await staff.goto("/staff/incidents")
        return await staff.get_by_role("link", name="Street Light Out").count() == 1

    await until(proposed)
    await visitors.picture(staff, "proposed")
    await staff.get_by_role("link", name="Street Light Out").click()
    await expect(staff.get_by_role("checkbox", checked=True)).to_have_count(11)
    await visitors.picture(staff, "is-it-one")
    judge = Judge(staff, WIDTHS["en"])
    await judge.look("a proposal")
    await staff.get_by_role("button", name="Make it one incident").click()
    await expect(staff.get_by_role("status").first).to_contain_text("It is one incident now.")
    await expect(staff.locator("header.st-case-head")).to_contain_text("10 reports")

    # One more comes in: it is part of it, and nobody gets a mail for it.
    late = await _dark(staff, 10)
    await placed(product, late)
    await staff.reload()
    await expect(staff.locator("header.st-case-head")).to_contain_text("11 reports")

    form = staff.locator("#form-note")
    await form.locator("summary").click()
    await form.get_by_text("One mail or text to each person").click()
    await form.get_by_label("Note").fill("A crew is out. Light by six.")
    await form.get_by_role("button", name="Save the note").click()
    await expect(staff.locator(".st-note--public")).to_contain_text("Light by six.")
    await judge.look("an incident")
    assert not judge.faults, "\n".join(judge.faults)
    await staff.set_viewport_size({"width": 1280, "height": 900})
    await visitors.picture(staff, "incident")

    neighbour = await visitors.resident("en")
    await neighbour.goto(f"/track/{references[3]}")
    await expect(neighbour.locator("main")).to_contain_text("Light by six.")

    form = staff.locator("#form-close")
    await form.locator("summary").click()
    await form.get_by_text("It was done.").click()
    await form.get_by_label("Words for the residents").fill("All lights are on again.")
    await form.get_by_role("button", name="Close the incident").click()
    await expect(staff.get_by_role("status").first).to_contain_text("hears of it once")
    await visitors.picture(staff, "closed")
    await neighbour.reload()
    await expect(neighbour.locator("main")).to_contain_text("All lights are on again.")

    # Each person hears each thing once: eight people, of whom one reported four times.
    people = {"again", *(f"r{number}" for number in range(11) if number % 3)}
    async with product.database() as connection:
        assert {row["status"] for row in await connection.fetch(LIGHTS)} == {"closed"}

    async def told() -> bool:
        async with product.database() as connection:
            rows = await connection.fetch(TO_THEM)
        found = sorted((row["notice"], row["recipient"].partition("@")[0]) for row in rows)
        wanted = [(one, who) for one in ("follower_closure", "follower_update") for who in people]
        assert len(found) <= len(wanted)
        return found == sorted(wanted)

    await until(told)

    # One of them is dark again: it goes on by itself, and the others stay closed.
    await staff.get_by_role("link", name=re.compile(f"again by itself {references[3]}")).click()
    form = staff.locator("#form-reopen")
    await form.get_by_label("Why does it open again?").fill("Ours is still dark.")
    await form.get_by_role("button", name="Open again").click()
    await expect(staff.get_by_role("status").first).to_contain_text("open again")
    async with product.database() as connection:
        rows = await connection.fetch(LIGHTS)
    still = [row for row in rows if row["status"] != "closed"]
    assert [(row["reference"], row["incident_id"]) for row in still] == [(references[3], None)]
