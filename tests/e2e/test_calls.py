"""A caller's complaint, written down by staff, reaches the department that it is for."""

import re
from html import unescape

import pytest

from tests.support.product import Product, visitor
from tests.support.staff import goes_to, token_in, value_in

CASE = """
    SELECT c.id, c.reference, c.status, c.channel, c.text, c.entered_by, c.reporter_name,
           c.reporter_phone, c.reporter_email, c.problem_type, c.department, c.district,
           c.assignee, c.assignee_email,
           (SELECT department FROM accounts WHERE login = c.entered_by) AS entered_in,
           (SELECT department FROM accounts WHERE login = c.assignee) AS assigned_in
    FROM cases c
    WHERE c.text = $1
"""


@pytest.fixture
async def running(product: Product) -> Product:
    await product.start()
    return product


async def test_a_call_for_another_department_reaches_it(running: Product) -> None:
    """
    Alex of Neighborhood Services takes one call about a street, whose type the words tell, and
    one about water, whose type Alex chooses. Neither lands in Neighborhood Services.
    """
    about_a_street = "A deep pothole in the middle of the lane, two cars have a flat tire"
    about_water = "She says it has been like this since Monday and nobody comes"
    async with visitor(running, "alex.reed") as browser:
        for text, problem_type in (
            (about_a_street, ""),
            (about_water, "Water Leak/Pressure"),
        ):
            form = await (await browser.get("/staff/calls/new?fresh")).text()
            call = {
                "csrf": token_in(form),
                "call": value_in(form, "call"),
                "text": text,
                "problem_type": problem_type,
                "address": "11401 E 23rd St",
                "name": "Rosa Lara",
                "phone": "816-555-0142",
                "email": "rosa@resident.example",
                "language": "es",
            }
            answers = [
                # The button is pressed twice: it stays one call.
                await browser.post("/staff/calls/new", data=call, allow_redirects=False)
                for _ in range(2)
            ]
            assert goes_to(answers[0]) == goes_to(answers[1])
            page = await (await browser.get(goes_to(answers[0]))).text()
            assert re.search(r"[0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{2}", page)

        await running.settled(2)
        async with running.database() as database:
            street = await database.fetchrow(CASE, about_a_street)
            water = await database.fetchrow(CASE, about_water)
            assert await database.fetchval("SELECT count(*) FROM cases") == 2
        for case in (street, water):
            assert case["channel"] == "phone"
            assert case["status"] == "assigned"
            assert case["entered_by"] == "alex.reed"
            assert case["entered_in"] == "CD-NEIGHBORHOOD SERVICES"
            assert case["reporter_name"] == "Rosa Lara"
            assert case["reporter_phone"] == "+18165550142"
            assert case["assigned_in"] == case["department"]
        assert (street["problem_type"], street["department"]) == (
            "Pothole/Street Maintenance",
            "MS-STREET MAINTENANCE",
        )
        assert (water["problem_type"], water["department"]) == (
            "Water Leak/Pressure",
            "WTR-ADMINISTRATION",
        )
        page = unescape(await (await browser.get(f"/staff/cases/{street['id']}")).text())
        assert about_a_street in page
        assert "Alex Reed" in page, "the case tells who wrote it down"

    async with visitor(running, "amy.lindqvist") as admin:
        mailbox = unescape(await (await admin.get("/mailbox")).text())
        for case in (street, water):
            assert case["assignee_email"] in mailbox
            assert mailbox.count(case["reference"]) >= 2, "the assignment, and the caller's receipt"
    async with running.database() as database:
        mails = await database.fetch(
            "SELECT notice, recipient, language, text FROM deliveries WHERE case_id = $1",
            street["id"],
        )
    told = {row["notice"]: row for row in mails}
    assert told.keys() == {"assignment", "receipt"}
    assert told["assignment"]["recipient"] == street["assignee_email"]
    for words in (about_a_street, "Rosa Lara", "816", f"/staff/cases/{street['id']}"):
        assert words in told["assignment"]["text"]
    assert told["receipt"]["recipient"] == "rosa@resident.example"
    assert told["receipt"]["language"] == "es"


async def test_a_call_that_nobody_can_place_waits_for_a_person(running: Product) -> None:
    """A call taker writes it down; no department is guessed, and whoever opens triage finds it."""
    words = "He was very upset and hung up before I could ask anything"
    async with visitor(running, "tess.calloway") as browser:
        form = await (await browser.get("/staff/calls/new?fresh")).text()
        call = {
            "csrf": token_in(form),
            "call": value_in(form, "call"),
            "text": words,
            "anonymous": "yes",
        }
        goes_to(await browser.post("/staff/calls/new", data=call, allow_redirects=False))
        await running.settled(1)
        queue = unescape(await (await browser.get("/staff/queue?status=triage")).text())
    async with running.database() as database:
        case = await database.fetchrow(CASE, words)
    assert (case["status"], case["department"], case["assignee"]) == ("triage", None, None)
    assert case["entered_by"] == "tess.calloway"
    assert case["reporter_name"] is None
    assert case["reference"] in queue
