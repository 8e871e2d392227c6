"""
Who must act, as a city lives with it: told why, tried before it counts, moved after a change, and
danger answered at once on every channel.
"""

import json
import re
from collections.abc import Awaitable, Callable
from html import unescape
from pathlib import Path

import asyncpg
import pytest

from tests.support.city import change, copy_of_sample
from tests.support.product import Product, copy_of, until, visitor
from tests.support.staff import goes_to, token_in, value_in

LONG_AGO = "2026-01-01"
PARKS = "PRT-PARK MAINTENANCE"
STREETS = "MS-STREET MAINTENANCE"
HOLE = "Huge pothole, my tire blew"
COUCH = "Somebody dumped an old couch in the park"
# A rule that the city adds before its own.
DRAFT = """
[[rule]]
name = "Potholes are for the parks crew"
problem_type = "Pothole/Street Maintenance"
people = ["uma.hayes"]

[[rule]]
name = "Unicorns"
words = "unicorn"
triage = true
"""


@pytest.fixture
async def city(folder: Path) -> Path:
    """A city of its own, whose rules may be changed."""
    return copy_of_sample(folder)


@pytest.fixture
async def product(template: Path, folder: Path, city: Path) -> Product:  # type: ignore[misc]
    product = Product(copy_of(template, folder), BUCKSTOP__CITY=str(city))
    try:
        yield product
    finally:
        await product.clear()


def with_draft(city: Path) -> str:
    """The city's rules, and the draft before them."""
    rules = (city / "rules.toml").read_text()
    first = rules.index("[[rule]]")
    return rules[:first] + DRAFT.lstrip() + "\n" + rules[first:]


async def desks(product: Product) -> dict[str, tuple[str | None, str | None]]:
    """Where each case lies, by its text."""
    async with product.database() as database:
        rows = await database.fetch("SELECT text, department, assignee FROM cases")
    return {row["text"]: (row["department"], row["assignee"]) for row in rows}


async def test_it_says_why_without_any_server(product: Product, folder: Path) -> None:
    lines = folder / "reports.jsonl"
    lines.write_text("\n".join(json.dumps({"text": text}) for text in (HOLE, COUCH)) + "\n")
    told = await product.ask("route", "--explain", lines)
    assert told.code == 0, told.err
    for words in (
        "goes to Uma Hayes, PRT-PARK MAINTENANCE",
        "Limbs in wires at night: Not this one: it is for the type Tree Trim/PowerObstr, Power "
        "Problem; here it is Pothole/Street Maintenance.",
        "None fits: the type says the department.",
        "Dumping and dead animals in parks: It fits, and decides.",
        'The rule "Dumping and dead animals in parks" sends it to PRT-PARK MAINTENANCE',
    ):
        assert words in told.out

    told = await product.ask("route", "--explain", "--format", "json", "--text", COUCH)
    [line] = told.lines
    assert line["rule"] == "Dumping and dead animals in parks"
    assert [tried["outcome"] for tried in line["trace"]] == ["differs", "differs", "fits"]
    assert line["teams"][0]["people"] == ["uma.hayes"]

    change(product.data.parent / "city", "rules.toml", "17:00-07:00", "after lunch")
    broken = await product.ask("city", "check")
    assert broken.code == 2
    assert 'rules.toml, line 13 ("Limbs in wires at night"): hours: "after lunch"' in broken.err


async def test_a_draft_is_tried_and_old_cases_follow_the_new_rules(
    product: Product, folder: Path, city: Path
) -> None:
    """
    A draft shows who would gain and lose and changes nothing. Once it counts, the cases that would
    move are listed, and move when asked; what a person decided stays, however often it is asked.
    """
    texts = [HOLE, f"{HOLE} again", f"{HOLE} by the school", COUCH]
    reports = folder / "reports.jsonl"
    reports.write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n")
    await product.start("--sample-logins")
    assert (await product.ask("submit", reports)).code == 0
    await product.settled(4)
    before = await desks(product)
    assert {before[text][0] for text in texts[:3]} == {STREETS}

    draft = folder / "draft.toml"
    draft.write_text(with_draft(city))
    tried = await product.ask("rules", "try", draft, "--since", LONG_AGO, "--format", "json")
    assert tried.code == 0, tried.err
    [figures] = tried.lines
    assert (figures["cases"], figures["elsewhere"]) == (4, 3)
    assert figures["departments"][PARKS]["difference"] == 3
    assert figures["departments"][STREETS]["difference"] == -3
    assert figures["people"][f"Uma Hayes ({PARKS})"]["now"] == 1
    assert len(figures["departments"][PARKS]["gains"]) == 3
    assert "Unicorns" in figures["unused"]
    assert await desks(product) == before

    # A person decides about one of them; and the draft becomes the rule.
    async with product.database() as database:
        kept = await database.fetchval("SELECT id FROM cases WHERE text = $1", texts[1])
    async with visitor(product, "amy.lindqvist") as amy:
        page = await (await amy.get(f"/staff/cases/{kept}")).text()
        form = {"csrf": token_in(page), "seen": value_in(page, "seen")}
        chosen = form | {"department": STREETS, "assignee": "max.odell", "why": "mine"}
        goes_to(await amy.post(f"/staff/cases/{kept}/assign", data=chosen, allow_redirects=False))
    (city / "rules.toml").write_text(with_draft(city))
    stale = await product.ask("rules", "reroute", "--since", LONG_AGO, "--apply", "--wait", "30")
    assert stale.code == 1
    assert "start it again" in stale.err, "the router that runs has the rules of yesterday"
    await product.stop()
    await product.start("--sample-logins")

    listed = await product.ask("rules", "reroute", "--since", LONG_AGO)
    assert "2 would move, 1 stay, 1 are not touched" in listed.out
    assert "-> Uma Hayes (PRT-PARK MAINTENANCE)  by “Potholes are for the parks crew”" in listed.out
    assert (await desks(product))[HOLE][0] == STREETS
    applied = await product.ask("rules", "reroute", "--since", LONG_AGO, "--apply")
    assert applied.code == 0, applied.err
    assert "2 have moved." in applied.out

    after = await desks(product)
    assert after[HOLE] == after[texts[2]] == after[COUCH] == (PARKS, "uma.hayes")
    assert after[texts[1]] == (STREETS, "max.odell")
    async with product.database() as database:
        moved_id = await database.fetchval("SELECT id FROM cases WHERE text = $1", HOLE)
    await until(was_told(product, "assignment", "uma.hayes@independence.example", 3))
    async with visitor(product, "amy.lindqvist") as amy:
        page = unescape(await (await amy.get(f"/staff/cases/{moved_id}")).text())
        assert "The rules changed: Buckstop gave it to Uma Hayes" in page
        assert "Potholes are for the parks crew" in page
        assert "It fits, and decides." in page


def was_told(
    product: Product, notice: str, recipient: str, times: int
) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        async with product.database() as database:
            count = await database.fetchval(
                "SELECT count(*) FROM deliveries WHERE notice = $1 AND recipient = $2",
                notice,
                recipient,
            )
        return bool(count == times)

    return look


async def test_danger_is_answered_at_once_on_every_channel(product: Product) -> None:
    """
    On the web before anything is sent and on the receipt, to a call taker while typing, by email
    and by text in the first words; and each case stands on top of the triage desk.
    """
    await product.start(command="demo")
    await product.said_so("Ctrl-C stops it.")
    async with visitor(product) as resident:
        answer = await resident.post("/report/what", data={"text": "I smell gas in my house"})
        assert answer.url.path == "/report/urgent"
        await resident.post("/report/where", data={"address": "111 E Maple Ave"})
        await resident.post("/report/contact", data={"language": "en"})
        check = await (await resident.get("/report/check")).text()
        assert "tel:911" in check[check.index("<main") : check.index("I smell gas")]
        form = {"form_id": value_in(check, "form_id")}
        receipt = await resident.post("/report/send", data=form)
        page = await receipt.text()
        assert "tel:911" in page[page.index("<main") : page.index('class="bs-receipt"')]

    async with visitor(product, "tess.calloway") as tess:
        form_page = await (await tess.get("/staff/calls/new?fresh")).text()
        call = {
            "csrf": token_in(form_page),
            "call": value_in(form_page, "call"),
            "text": "A man is not breathing at the bus stop",
            "anonymous": "yes",
        }
        piece = await (await tess.post("/staff/calls/suggest", data=call)).text()
        assert "This sounds like an emergency." in piece
        goes_to(await tess.post("/staff/calls/new", data=call, allow_redirects=False))

    async with visitor(product) as writer:
        mail = {"from": "ana@resident.example", "subject": "", "body": "Hay un incendio en la casa"}
        await writer.post("/try/email", data=mail)
        text = {"phone": "816-555-0142", "words": "wires down across my car, sparking"}
        await writer.post("/try/text", data=text)

    async def answered() -> bool:
        return {"ana@resident.example", "+18165550142"} <= (await receipts(product)).keys()

    await until(answered, within=30)
    told = await receipts(product)
    mailed, texted = told["ana@resident.example"], told["+18165550142"]
    assert "Llame al 911" in mailed["subject_line"]
    assert "911" in re.split(r"\n\n", mailed["text"])[0] + re.split(r"\n\n", mailed["text"])[1]
    assert texted["text"].startswith("CALL 911 NOW")

    # A further text on a calm case: the answer comes by itself.
    async with visitor(product) as writer:
        calm = {"phone": "816-555-0177", "words": "Big pothole at 23rd and Noland"}
        await writer.post("/try/text", data=calm)
        await until(lambda: case_of(product, "+18165550177"), within=15)
        await writer.post("/try/text", data=calm | {"words": "somebody is trapped in a car now"})
    await until(was_told(product, "danger", "+18165550177", 1), within=20)

    async with visitor(product, "amy.lindqvist") as amy:
        triage = unescape(await (await amy.get("/staff/queue?view=triage")).text())
    rows = triage.split('<tr role="row" class="st-row')[1:]
    marked = ["st-row--emergency" in row[:40] for row in rows]
    assert marked == sorted(marked, reverse=True), "emergencies first"
    for words in ("I smell gas", "not breathing", "incendio", "wires down", "Big pothole"):
        assert any(words in row for row, danger in zip(rows, marked, strict=True) if danger), words


async def receipts(product: Product) -> dict[str, asyncpg.Record]:
    async with product.database() as database:
        rows = await database.fetch(
            "SELECT recipient, subject_line, text FROM deliveries WHERE notice = 'receipt'"
        )
    return {row["recipient"]: row for row in rows}


async def case_of(product: Product, phone: str) -> bool:
    async with product.database() as database:
        known = "SELECT EXISTS (SELECT FROM cases WHERE reporter_phone = $1 AND status <> 'new')"
        return bool(await database.fetchval(known, phone))
