"""Messages of a span read again by today's code: what would differ, and having it changed."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.contracts import CaseAmended, ComplaintReceived, ComplaintRouted, MessageSetAside
from bus.files import Files
from bus.identity import complaint_id
from channels.mail_reader import MailReader
from channels.read_again import ReadAgain
from channels.second_look import SecondLook
from gateway import reread
from gateway.compose import surroundings
from gateway.reread import Difference, Plan
from router.rules import CITIES, load_city
from router.service import Router, as_told, open_router
from store import changes, levers
from store.model import Role
from tests.contract.test_operator_commands import ask
from tests.support.facts import NOON, SECRET, complaint
from tests.support.letters import mail
from tests.support.product import clean_environment, until
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages
from tests.support.store import file, kinds, put_staff, to_tell

STREETS = "MS-STREET MAINTENANCE"
HOLE = "There is a huge pothole on 23rd, my tire blew."
MISREAD = "(This mail has no text.)"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    return open_router(load_city(CITIES / "independence"), tmp_path_factory.mktemp("models"))


async def a_mail(
    pool: asyncpg.Pool, files: Files, router: Router, number: int, *, text: str | None = None
) -> ComplaintReceived:
    """A case that a mail opened; `text` is what an older reading made of it."""
    raw = mail(HOLE, subject="Street", message_id=f"<m{number}@resident.example>")
    original = await files.keep(raw, media_type="message/rfc822", name="mail.eml")
    told = complaint(
        number, "email", text=text or f"Street\n\n{HOLE}", original=original, attachments=()
    )
    await file(pool, told, *router.route([told], at=NOON))
    return told


async def read(pool: asyncpg.Pool, files: Files, router: Router, **other: object) -> Plan:
    values: dict[str, object] = {
        "since": NOON - timedelta(days=1), "until": NOON + timedelta(days=1), "channel": "",
        "version": router.city.version, "total": 9,
    }  # fmt: skip
    plan = Plan(**(values | other))  # type: ignore[arg-type]
    async with MailReader(workers=1) as reader:
        again = ReadAgain(files, reader, secret=SECRET, ours=["help@independence.example"])
        await reread.plan(pool, router, again, plan, NOON, most=1000)
    return plan


def look(bus: Bus, pool: asyncpg.Pool, files: Files, folder: Path) -> SecondLook:
    return SecondLook(surroundings(small_settings(folder), bus=bus, pool=pool, files=files))


def by_reference(plan: Plan) -> dict[str, Difference]:
    return {one.reference: one for one in plan.differences}


def fields(one: Difference) -> dict[str, tuple[str, str]]:
    return {change.field: (change.before, change.after) for change in one.changes}


EVERYTHING = """
    SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM outbox),
           (SELECT md5(string_agg(c::text, '' ORDER BY c.id)) FROM cases c)
"""


async def answer_all(pool: asyncpg.Pool, router: Router) -> None:
    """The router and the store do what they do with cases that are to be looked at again."""
    async with pool.acquire() as conn:
        asked = [fact for fact in await to_tell(conn) if isinstance(fact, CaseAmended)]
    told = router.route([as_told(one) for one in asked], at=NOON)
    answers = [
        answer.model_copy(
            update={
                "message_id": question.message_id, "amended": True,
                "rules_changed": question.rules_changed,
            }
        )
        for question, answer in zip(asked, told, strict=True)
    ]  # fmt: skip
    assert all(isinstance(one, ComplaintRouted) for one in answers)
    await file(pool, *answers)


async def test_a_misread_mail_is_found_and_nothing_changes_before_it_is_wanted(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> None:
    async with pool.acquire() as conn:
        await put_staff(conn)
    well = await a_mail(pool, files, router, 1)
    misread = await a_mail(pool, files, router, 2, text=MISREAD)
    async with pool.acquire() as conn:
        before = await conn.fetchrow(EVERYTHING)
        plan = await read(pool, files, router)
        assert await conn.fetchrow(EVERYTHING) == before
    assert (plan.read, plan.cut) == (2, False)
    assert well.reference not in by_reference(plan)
    found = fields(by_reference(plan)[misread.reference])
    assert found["text"] == ("", "")  # what stands in it is said nowhere
    assert found["type"] == ("", "Pothole/Street Maintenance")
    assert found["department"] == ("", STREETS)
    assert plan.counts()["department"] == 1

    second = look(bus, pool, files, tmp_path)
    done = await reread.apply(pool, second, plan, None, "olga.op")
    assert str(done) == "asked 1, words mended 1, brought in 0"
    again = await reread.apply(pool, second, plan, None, "olga.op")
    assert again.mended == 0  # it was so already
    await answer_all(pool, router)
    await second.close()
    async with pool.acquire() as conn:
        case = await conn.fetchrow(
            "SELECT text, problem_type, department FROM cases WHERE id = $1", misread.message_id
        )
        assert HOLE in case["text"]
        assert (case["problem_type"], case["department"]) == ("Pothole/Street Maintenance", STREETS)
        events = await kinds(conn, misread.message_id)
        assert events[-2:] == ["read_again", "routed"]
        old = "SELECT data ->> 'before' FROM events WHERE case_id = $1 AND kind = 'read_again'"
        assert await conn.fetchval(old, misread.message_id) == MISREAD
        found_by = (
            "SELECT words @@ to_tsquery('simple', 'pothole') FROM case_words WHERE case_id = $1"
        )
        assert await conn.fetchval(found_by, misread.message_id)
    assert (await read(pool, files, router)).differences == []


async def test_what_staff_have_decided_stays_and_is_said_to(
    pool: asyncpg.Pool, files: Files, router: Router
) -> None:
    async with pool.acquire() as conn:
        await put_staff(conn)
    typed = complaint(1, text="A sofa lies in the ditch, somebody dumped it")
    closed = complaint(2, text="A sofa lies in the ditch, somebody dumped it, too")
    wrong = {"problem_type": "Sinkhole", "department": "MS-WATER"}
    for one in (typed, closed):
        [answer] = router.route([one], at=NOON)
        await file(pool, one, answer.model_copy(update=wrong | {"assignee": None, "teams": ()}))
    async with pool.acquire() as conn:
        await changes.set_problem_type(
            conn, typed.message_id, problem_type="Sinkhole", by="pat.moore"
        )
        await changes.close(conn, closed.message_id, outcome="fixed", words="Done.", by="pat.moore")
    plan = await read(pool, files, router)
    assert by_reference(plan)[typed.reference].stays == "by_hand"
    assert by_reference(plan)[closed.reference].stays == "closed"
    assert plan.applicable == []


async def test_a_quarantined_mail_that_can_be_read_today_is_brought_in(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> None:
    raw = mail(HOLE, subject="Street", message_id="<q@resident.example>")
    original = await files.keep(raw, media_type="message/rfc822", name="mail.eml")
    aside = MessageSetAside(
        message_id=complaint_id("email", "q"), occurred_at=NOON, channel="email", external_id="q",
        outcome="quarantined", reason="these bytes are no mail", original=original,
    )  # fmt: skip
    await file(pool, aside)
    plan = await read(pool, files, router)
    [one] = plan.differences
    assert fields(one)["state"] == ("quarantined: these bytes are no mail", "filed")

    second = look(bus, pool, files, tmp_path)
    assert (await reread.apply(pool, second, plan, {"another"}, "olga.op")).brought_in == 0
    assert (await reread.apply(pool, second, plan, {one.key}, "olga.op")).brought_in == 1
    await second.close()
    info = await bus.js.stream_info("COMPLAINTS", subjects_filter="complaint.received.email")
    assert info.state.messages == 1


async def test_a_report_that_would_be_set_aside_today_is_said_and_left(
    pool: asyncpg.Pool, files: Files, router: Router
) -> None:
    raw = mail("I am away.", subject="Out of office", Auto_Submitted="auto-replied")
    original = await files.keep(raw, media_type="message/rfc822", name="mail.eml")
    told = complaint(1, "email", text="Out of office", original=original)
    await file(pool, told, *router.route([told], at=NOON))
    [one] = (await read(pool, files, router)).differences
    assert (one.stays, fields(one)["state"][0]) == ("filed", "filed")
    assert fields(one)["state"][1].startswith("set aside: ")


async def test_words_that_were_added_since_are_not_taken_away(
    pool: asyncpg.Pool, files: Files, router: Router
) -> None:
    await a_mail(pool, files, router, 1, text=MISREAD)
    async with pool.acquire() as conn:
        await conn.execute("UPDATE cases SET heard_at = opened_at + interval '1 minute'")
    differences = by_reference(await read(pool, files, router))
    assert all("text" not in fields(one) for one in differences.values())


async def test_a_text_message_is_read_from_its_original(
    pool: asyncpg.Pool, files: Files, router: Router
) -> None:
    form = {"MessageSid": "SM1", "From": "+18165550123", "To": "+18165550100", "Body": HOLE}
    original = await files.keep(
        json.dumps(form).encode(), media_type="application/json", name="text-message.json"
    )
    told = complaint(1, "sms", text=MISREAD, original=original)
    await file(pool, told, *router.route([told], at=NOON))
    one = by_reference(await read(pool, files, router, channel="sms"))[told.reference]
    assert "text" in fields(one)
    assert (await read(pool, files, router, channel="email")).read == 0


async def test_at_most_so_many_are_read_and_it_is_said(
    pool: asyncpg.Pool, files: Files, router: Router
) -> None:
    await file(pool, *(complaint(number) for number in range(1, 6)))
    plan = Plan(NOON - timedelta(1), NOON + timedelta(1), "", router.city.version, total=5)
    steps: list[int] = []
    async with MailReader(workers=1) as reader:
        again = ReadAgain(files, reader, secret=SECRET)
        await reread.plan(
            pool, router, again, plan, NOON, most=3, step=lambda: steps.append(plan.read)
        )
    assert (plan.read, plan.cut, steps) == (3, True, [1, 2, 3])


# ── page and command ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> AsyncIterator[Reader]:
    await put_account(pool, "olga.op", [Role.OPERATOR])
    await put_account(pool, "pat.moore", [Role.LEAD])
    async with staff_pages(pool, bus, files, router, small_settings(tmp_path)) as opened:
        yield opened


async def test_an_operator_reads_a_span_again_and_has_it_changed(
    reader: Reader, pool: asyncpg.Pool, files: Files, router: Router
) -> None:
    told = await a_mail(pool, files, router, 1, text=MISREAD)
    await reader.sign_in("pat.moore")
    await reader.read("/ops/reread", 403)
    await reader.sign_in("olga.op")
    form = await reader.read("/ops/reread")
    odd = {"since": "soon", "until": "", "channel": "pigeon"}
    wrong = await reader.send("/ops/reread", odd, form)
    assert wrong.status == 422
    assert (await wrong.text()).count("usa-error-message") == 3
    day = NOON.date().isoformat()
    begun = await reader.send("/ops/reread", {"since": day, "until": day, "channel": ""}, form)
    assert goes_to(begun) == "/ops/reread"

    async def finished() -> bool:
        return "http-equiv" not in await reader.read("/ops/reread")

    await until(finished)
    page = await reader.read("/ops/reread")
    assert told.reference in page
    assert HOLE not in page
    assert "would be other words" in page
    assert "Pothole" in page
    nothing = await reader.send("/ops/reread/apply", {"which": "selected", "why": ""}, page)
    assert nothing.status == 422
    given = {"which": "selected", "one": str(told.message_id), "why": "a fault was mended"}
    assert goes_to(await reader.send("/ops/reread/apply", given, page)) == "/ops/reread"
    assert "of those with other words: 1" in await reader.read("/ops/reread")
    async with pool.acquire() as conn:
        [act] = await levers.acts(conn)
        assert HOLE in await conn.fetchval("SELECT text FROM cases")
    assert (act.act, act.by, act.why) == ("read_again", "olga.op", "a fault was mended")
    assert act.outcome == "asked 1, words mended 1, brought in 0"
    assert "The words as they were" in await reader.read(f"/staff/cases/{told.message_id}")
    ended = await reader.send("/ops/reread/end", {}, page)
    assert goes_to(ended) == "/ops/reread"
    assert "Read again and compare" in await reader.read("/ops/reread")


async def test_the_command_does_the_same(
    bus: Bus, pool: asyncpg.Pool, dsn: str, nats_url: str, router: Router, tmp_path: Path
) -> None:
    told = complaint(1, text=HOLE)
    [answer] = router.route([told], at=NOON)
    triage = {"problem_type": None, "department": None, "assignee": None, "teams": ()}
    await file(pool, told, answer.model_copy(update=triage))
    environment = clean_environment() | {
        "BUCKSTOP__STORE__DSN": dsn, "BUCKSTOP__BUS__URL": nats_url, "COLUMNS": "200",
        "BUCKSTOP__DATA": str(tmp_path),
    }  # fmt: skip
    day = NOON.date().isoformat()
    span = ("--since", day, "--until", day)
    shown = await ask(environment, "bus", "reread", *span)
    assert shown.code == 0, shown.err
    assert f"{told.reference}  type: nothing -> Pothole/Street Maintenance" in shown.out
    assert "Nothing has changed" in shown.out
    done = await ask(
        environment, "bus", "reread", *span, "--apply", "--why", "x", "--format", "json"
    )
    assert json.loads(done.out)["applied"] == {"asked": 1, "mended": 0, "brought_in": 0}
    async with pool.acquire() as conn:
        assert [fact.tag for fact in await to_tell(conn)].count("case.amended.v1") == 1
