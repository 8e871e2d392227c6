"""The pages of staff, on real servers: who may do what, and that nothing typed is ever lost."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import pytest

from bus.connect import Bus
from bus.contracts import (
    CaseAmended,
    CaseAssigned,
    CaseClosed,
    CaseNoted,
    Contact,
    NoticeQueued,
    PlaceChoice,
    Referral,
)
from bus.files import Files
from bus.identity import complaint_id
from gateway.settings import Settings
from gateway.staff.access import own_path
from gateway.staff.roles import MAY, Act
from gateway.staff.sessions import COOKIE
from router.rules import CITIES, load_city
from router.service import Router, open_router
from store import absences, accounts, cases, changes, sessions
from store.model import Role, Status
from tests.support.facts import ASSIGNEE, NOON, complaint
from tests.support.staff import (
    PASSWORD,
    Reader,
    goes_to,
    put_account,
    small_settings,
    staff_pages,
    value_in,
)
from tests.support.store import file, hear, routed, to_tell

STREETS = "MS-STREET MAINTENANCE"
OTHERS = "CD-NEIGHBORHOOD SERVICES"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    city = load_city(CITIES / "independence")
    return open_router(city, tmp_path_factory.mktemp("models"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path)


@pytest.fixture
async def reader(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, settings: Settings
) -> AsyncIterator[Reader]:
    await put_account(pool, "pat.moore", [Role.STAFF], department=STREETS)
    await put_account(pool, "dana.ruiz", [Role.LEAD], department=OTHERS)
    await put_account(pool, "casey.caller", [Role.CALL_TAKER])
    await put_account(pool, "opal.rate", [Role.OPERATOR])
    async with staff_pages(pool, bus, files, router, settings) as opened:
        yield opened


@pytest.fixture
async def pat(reader: Reader) -> Reader:
    assert goes_to(await reader.sign_in("pat.moore")) == "/staff"
    return reader


async def a_case(pool: asyncpg.Pool, number: int = 1, **other: object) -> UUID:
    """A pothole that lies on Pat's desk."""
    told = complaint(number)
    await file(pool, told, routed(told, **other))
    return told.message_id


async def the_case(pool: asyncpg.Pool, case_id: UUID) -> cases.Case:
    async with pool.acquire() as conn:
        case = await cases.by_id(conn, case_id)
    assert case is not None
    return case


# ── signing in ──────────────────────────────────────────────────────────────────────────────────


async def test_every_staff_page_asks_for_a_sign_in_and_comes_back_to_itself(
    reader: Reader,
) -> None:
    answer = await reader.client.get("/staff/queue?view=triage", allow_redirects=False)
    assert goes_to(answer) == "/staff/sign-in?next=/staff/queue?view%3Dtriage"
    page = await reader.read(answer.headers["Location"])
    answer = await reader.client.post(
        "/staff/sign-in",
        data={"login": " Pat.Moore ", "password": PASSWORD, "next": value_in(page, "next")},
        allow_redirects=False,
    )
    assert goes_to(answer) == "/staff/queue?view=triage"
    cookie = answer.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == str(12 * 3600)
    assert not cookie["secure"]


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", "/a\nb", ""],
)
def test_signing_in_leads_to_our_own_pages_only(wanted: str) -> None:
    assert own_path(wanted) is None


async def test_a_wrong_password_says_so_and_keeps_the_name(reader: Reader) -> None:
    answer = await reader.sign_in("pat.moore", "guessed")
    page = await answer.text()
    assert answer.status == 422
    assert "do not belong together" in page
    assert 'value="pat.moore"' in page
    assert "guessed" not in page
    assert COOKIE not in answer.cookies


async def test_who_guesses_too_often_has_to_wait(reader: Reader) -> None:
    for _ in range(10):
        assert (await reader.sign_in("nobody.here", "guessed")).status == 422
    answer = await reader.sign_in("nobody.here", "guessed")
    assert answer.status == 429
    assert "Wait a quarter of an hour" in await answer.text()
    assert (await reader.sign_in("pat.moore")).status == 303


async def test_signing_in_gives_a_new_session_and_ends_the_old_one(pat: Reader) -> None:
    jar = pat.client.session.cookie_jar
    old = next(one.value for one in jar if one.key == COOKIE)
    await pat.sign_in("pat.moore")
    new = next(one.value for one in jar if one.key == COOKIE)
    assert old != new
    jar.update_cookies({COOKIE: old}, pat.client.make_url("/"))
    await pat.read("/staff", 303)


async def test_signing_out_revokes_the_session_for_whoever_kept_the_cookie(pat: Reader) -> None:
    jar = pat.client.session.cookie_jar
    kept = next(one.value for one in jar if one.key == COOKIE)
    assert goes_to(await pat.send("/staff/sign-out", {})) == "/staff/sign-in?signed-out"
    jar.update_cookies({COOKIE: kept}, pat.client.make_url("/"))
    await pat.read("/staff", 303)


async def test_a_revoked_session_and_a_closed_account_end_with_the_next_click(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    await pat.read("/staff")
    async with pool.acquire() as conn:
        await sessions.forget_all(conn, "pat.moore")
    await pat.read("/staff", 303)

    await pat.sign_in("pat.moore")
    await pat.read("/staff")
    await put_account(pool, "pat.moore", [Role.STAFF], active=False)
    await pat.read("/staff", 303)


# ── who may do what ─────────────────────────────────────────────────────────────────────────────


def test_everybody_may_read_and_everything_can_be_done_by_somebody() -> None:
    assert set(MAY) == set(Role)
    assert all(Act.READ in acts for acts in MAY.values())
    assert frozenset[Act]().union(*MAY.values()) == set(Act)


@pytest.mark.parametrize(
    ("login", "action", "form", "may"),
    [
        ("casey.caller", "note", {"audience": "internal", "text": "x"}, True),
        ("casey.caller", "assign", {"department": OTHERS}, True),
        ("casey.caller", "close", {"outcome": "fixed", "words": "Done."}, False),
        ("casey.caller", "start", {}, False),
        ("opal.rate", "note", {"audience": "internal", "text": "x"}, False),
        ("opal.rate", "assign", {"department": OTHERS}, False),
        ("dana.ruiz", "close", {"outcome": "fixed", "words": "Done."}, True),
        ("dana.ruiz", "start", {}, True),
    ],
)
async def test_a_role_may_what_the_table_says(
    reader: Reader, pool: asyncpg.Pool, login: str, action: str, form: dict[str, str], may: bool
) -> None:
    case_id = await a_case(pool)
    await reader.sign_in(login)
    form = {"note_id": str(uuid4()), **form}
    answer = await reader.send(f"/staff/cases/{case_id}/{action}", form)
    assert answer.status == (303 if may else 403)
    if not may:
        page = await answer.text()
        assert "Department staff" in page
        assert "Administrator" in page


async def test_an_operator_cannot_write_down_calls(reader: Reader) -> None:
    await reader.sign_in("opal.rate")
    page = await reader.read("/staff/calls/new", 403)
    assert "Call taker" in page


async def test_staff_of_another_department_read_everything_and_write_notes(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    await reader.sign_in("dana.ruiz")
    assert "rosa@resident.example" in await reader.read(f"/staff/cases/{case_id}")
    form = {"note_id": str(uuid4()), "audience": "internal", "text": "Ours too."}
    assert (await reader.send(f"/staff/cases/{case_id}/note", form)).status == 303


# ── nothing typed is lost ───────────────────────────────────────────────────────────────────────


async def test_a_form_without_its_token_does_nothing_and_offers_to_send_again(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    path = f"/staff/cases/{case_id}/close"
    form = {"outcome": "fixed", "words": "Filled <today>."}
    answer = await pat.client.post(path, data=form, allow_redirects=False)
    page = await answer.text()
    assert answer.status == 403
    assert "Filled &lt;today&gt;." in page
    assert f'action="{path}"' in page
    assert (await the_case(pool, case_id)).status is Status.ASSIGNED

    assert (await pat.send(path, form, page)).status == 303
    assert (await the_case(pool, case_id)).closing_words == "Filled <today>."


async def test_what_was_sent_after_the_session_had_ended_waits_for_the_sign_in(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    form = {"note_id": str(uuid4()), "audience": "public", "text": "A crew comes on Tuesday."}
    async with pool.acquire() as conn:
        await sessions.forget_all(conn, "pat.moore")
    answer = await pat.client.post(f"/staff/cases/{case_id}/note", data=form)
    page = await answer.text()
    assert answer.status == 401
    assert "A crew comes on Tuesday." in page

    carried = {
        name: value_in(page, name)
        for name in ("held_to", "held:note_id", "held:audience", "held:text")
    }
    answer = await pat.client.post(
        "/staff/sign-in", data={"login": "pat.moore", "password": PASSWORD, **carried}
    )
    page = await answer.text()
    assert answer.status == 200
    assert "A crew comes on Tuesday." in page
    assert (await pat.send(carried["held_to"], form, page)).status == 303
    async with pool.acquire() as conn:
        (note,) = await cases.notes(conn, case_id, public_only=True)
    assert note.text == "A crew comes on Tuesday."


async def test_a_form_from_another_site_is_refused(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    answer = await pat.client.post(
        f"/staff/cases/{case_id}/start", data={}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status == 403
    assert (await the_case(pool, case_id)).status is Status.ASSIGNED


# ── desk and queue ──────────────────────────────────────────────────────────────────────────────


async def test_my_desk_has_my_open_cases_emergencies_first(pat: Reader, pool: asyncpg.Pool) -> None:
    await a_case(pool, 1)
    urgent = await a_case(pool, 2, emergency=True)
    await a_case(pool, 3, assignee=None)
    page = await pat.read("/staff")
    listed = re.findall(r'href="/staff/cases/([0-9a-f-]{36})"', page)
    assert len(listed) == 2
    assert listed[0] == str(urgent)
    assert "Emergency" in page


async def test_the_queue_filters_by_address_and_says_what_it_found(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    pothole = await a_case(pool, 1)
    lost = await a_case(pool, 2, department=None, assignee=None, problem_type=None, district=None)

    def listed(page: str) -> set[str]:
        return set(re.findall(r'href="/staff/cases/([0-9a-f-]{36})"', page))

    both = {str(pothole), str(lost)}
    assert listed(await pat.read("/staff/queue")) == both
    for query, expected in (
        ("view=triage", {str(lost)}),
        ("department=-", {str(lost)}),
        ("district=-", {str(lost)}),
        ("district=District+2", {str(pothole)}),
        ("assignee=pat.moore", {str(pothole)}),
        ("type=Pothole%2FStreet+Maintenance", {str(pothole)}),
        ("status=assigned", {str(pothole)}),
        ("channel=phone", set()),
        ("words=pothole+23rd", both),
        ("words=zebra", set()),
        ("view=closed", set()),
        ("page=999999999999&view=nonsense&status=nonsense&words=%00", both),
    ):
        assert listed(await pat.read(f"/staff/queue?{query}")) == expected, query
    assert "No case fits this filter" in await pat.read("/staff/queue?words=zebra")


async def test_htmx_gets_only_the_list(pat: Reader, pool: asyncpg.Pool) -> None:
    await a_case(pool)
    answer = await pat.client.get("/staff/queue?words=pothole", headers={"HX-Request": "true"})
    piece = await answer.text()
    assert "<html" not in piece
    assert "1 case" in piece


# ── a case ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_case_shows_all_that_is_known_of_it(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    page = await pat.read(f"/staff/cases/{case_id}")
    for words in (
        "Big pothole on 23rd",
        "11401 E 23rd St",
        "District 2",
        'href="tel:+18165550142"',
        'href="mailto:rosa@resident.example',
        "openstreetmap.org/?mlat=39.075700",
        "Pat Moore",
        "83%",
        "Sinkhole",
        "the words say a pothole",
        "Buckstop gave it to",
        "Download the original",
    ):
        assert words in page, words
    reference = (await the_case(pool, case_id)).reference
    assert reference in await pat.read(f"/staff/cases/{reference.replace('-', '').lower()}")


async def test_words_of_residents_are_words_and_never_markup(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    told = complaint(7, text='<script>alert("x")</script>', address="<b>1</b>")
    await file(pool, told, routed(told, address="<b>1</b>"))
    for path in (f"/staff/cases/{told.message_id}", "/staff/queue", "/staff"):
        page = await pat.read(path)
        assert "<script>alert" not in page
        assert "<b>1</b>" not in page


async def test_no_such_case_is_a_page_that_says_so(pat: Reader) -> None:
    assert "No such case" in await pat.read("/staff/cases/7KQ-2MX-94", 404)
    assert "being filed" in await pat.read(f"/staff/cases/{uuid4()}?entered=1", 404)


async def test_a_case_is_given_to_a_person_who_hears_of_it(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    form = {"department": OTHERS, "assignee": "dana.ruiz", "why": "Private yard."}
    answer = await pat.send(f"/staff/cases/{case_id}/assign", form)
    assert goes_to(answer) == f"/staff/cases/{case_id}?done=assign"
    case = await the_case(pool, case_id)
    assert (case.department, case.assignee) == (OTHERS, "dana.ruiz")
    async with pool.acquire() as conn:
        told = [fact for fact in await to_tell(conn) if isinstance(fact, CaseAssigned)]
    assert told[-1].assigned_by == "Pat Moore"
    page = await pat.read(f"/staff/cases/{case_id}?done=assign")
    assert "Pat Moore gave it to Dana Ruiz" in page
    assert "Private yard." in page


async def test_a_person_of_another_department_is_refused_and_the_reason_kept(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    form = {"department": STREETS, "assignee": "dana.ruiz", "why": "She knows the place."}
    answer = await pat.send(f"/staff/cases/{case_id}/assign", form)
    page = await answer.text()
    assert answer.status == 422
    assert "<title>Error:" in page
    assert f"Dana Ruiz works for {OTHERS}" in page
    assert "She knows the place." in page
    assert (await the_case(pool, case_id)).assignee == ASSIGNEE.id


async def test_a_department_that_the_city_does_not_have_is_refused(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    answer = await pat.send(f"/staff/cases/{case_id}/assign", {"department": "Dragons"})
    assert answer.status == 422


async def test_without_a_department_it_goes_back_to_triage(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    assert (await pat.send(f"/staff/cases/{case_id}/assign", {"department": ""})).status == 303
    assert (await the_case(pool, case_id)).status is Status.TRIAGE


async def test_the_people_of_a_department_come_as_options(pat: Reader) -> None:
    piece = await pat.read(f"/staff/people/options?department={OTHERS.replace(' ', '+')}")
    assert '<option value="dana.ruiz">Dana Ruiz</option>' in piece
    assert "pat.moore" not in piece


async def test_a_note_sent_twice_is_one_note(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    page = await pat.read(f"/staff/cases/{case_id}")
    form = {"note_id": value_in(page, "note_id"), "audience": "public", "text": "On our way.\x00"}
    for _ in range(2):
        assert (await pat.send(f"/staff/cases/{case_id}/note", form, page)).status == 303
    async with pool.acquire() as conn:
        notes = await cases.notes(conn, case_id, public_only=True)
        told = [fact for fact in await to_tell(conn) if isinstance(fact, CaseNoted)]
    assert [note.text for note in notes] == ["On our way."]
    assert len(told) == 1
    assert "Public: the resident sees this" in await pat.read(f"/staff/cases/{case_id}")


async def test_a_note_says_for_whom_it_is_or_is_not_taken(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    form = {"note_id": str(uuid4()), "text": "Gate code 4711"}
    answer = await pat.send(f"/staff/cases/{case_id}/note", form)
    page = await answer.text()
    assert answer.status == 422
    assert "Choose who may read the note." in page
    assert "Gate code 4711" in page
    assert form["note_id"] in page


async def test_a_long_note_is_refused_with_its_text(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    form = {"note_id": str(uuid4()), "audience": "internal", "text": "🚧" * 100_000}
    answer = await pat.send(f"/staff/cases/{case_id}/note", form)
    page = await answer.text()
    assert answer.status == 422
    assert "Shorten this by 90000 characters" in page
    assert form["text"] in page


async def test_work_starts_the_type_changes_and_the_case_is_closed_with_words(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    path = f"/staff/cases/{case_id}"
    assert (await pat.send(f"{path}/start", {})).status == 303
    assert (await pat.send(f"{path}/type", {"problem_type": "Sinkhole"})).status == 303
    answer = await pat.send(f"{path}/type", {"problem_type": "Dragons"})
    assert answer.status == 422

    page = await pat.read(path)
    assert "rosa@resident.example" in page.split("Who will be told")[1]
    answer = await pat.send(f"{path}/close", {"outcome": "", "words": ""})
    page = await answer.text()
    assert answer.status == 422
    assert "Choose how the case ended." in page
    assert "Write what the resident will read." in page

    form = {"outcome": "fixed", "words": "We filled it."}
    assert (await pat.send(f"{path}/close", form)).status == 303
    case = await the_case(pool, case_id)
    assert (case.status, case.outcome, case.problem_type) == (Status.CLOSED, "fixed", "Sinkhole")
    async with pool.acquire() as conn:
        (told,) = [fact for fact in await to_tell(conn) if isinstance(fact, CaseClosed)]
    assert (told.words, told.closed_by) == ("We filled it.", "Pat Moore")
    page = await pat.read(path)
    assert "We filled it." in page
    assert "Pat Moore started work." in page


async def test_closing_a_closed_case_says_why_not_and_keeps_the_words(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    path = f"/staff/cases/{case_id}"
    await pat.send(f"{path}/close", {"outcome": "fixed", "words": "Done."})
    answer = await pat.send(f"{path}/start", {})
    assert answer.status == 409
    assert "This case is closed. Reopen it first." in await answer.text()

    answer = await pat.send(f"{path}/reopen", {"reason": ""})
    assert answer.status == 422
    assert (await pat.send(f"{path}/reopen", {"reason": "It sank again."})).status == 303
    assert (await the_case(pool, case_id)).status is Status.ASSIGNED


async def test_who_was_slower_sees_the_new_state_and_keeps_their_words(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    case_id = await a_case(pool)
    path = f"/staff/cases/{case_id}"
    page = await pat.read(path)
    async with pool.acquire() as conn:
        await changes.start(conn, case_id, by="dana.ruiz")
    form = {"outcome": "cannot", "words": "Private land.", "seen": value_in(page, "seen")}
    answer = await pat.send(f"{path}/close", form, page)
    now = await answer.text()
    assert answer.status == 409
    assert "Somebody changed this case while you had it open" in now
    assert "Private land." in now
    assert "Dana Ruiz started work." in now
    assert (await the_case(pool, case_id)).status is Status.IN_PROGRESS

    form["seen"] = value_in(now, "seen")
    assert (await pat.send(f"{path}/close", form, now)).status == 303


async def test_my_own_change_meanwhile_does_not_stop_me(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    path = f"/staff/cases/{case_id}"
    page = await pat.read(path)
    seen = {"seen": value_in(page, "seen")}
    assert (await pat.send(f"{path}/start", seen, page)).status == 303
    assert (await pat.send(f"{path}/start", seen, page)).status == 303


async def test_files_are_for_staff_and_for_their_own_case(
    reader: Reader, pool: asyncpg.Pool, files: Files
) -> None:
    photo = await files.keep(b"\xff\xd8 a photo", media_type="image/jpeg", name="photo.jpg")
    page = await files.keep(b"<script>", media_type="text/html", name="page.html")
    original = await files.keep(b"{}", media_type="application/json", name="web.json")
    told = complaint(1, attachments=(photo, page), original=original)
    other = complaint(2, attachments=(), original=None)
    await file(pool, told, other)
    at = f"/staff/files/{photo.sha256}?case={told.message_id}"
    await reader.read(at, 303)

    await reader.sign_in("opal.rate")
    answer = await reader.client.get(at)
    assert answer.content_type == "image/jpeg"
    assert await answer.read() == b"\xff\xd8 a photo"
    for kept in (page, original):
        answer = await reader.client.get(f"/staff/files/{kept.sha256}?case={told.message_id}")
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
    await reader.read(f"/staff/files/{photo.sha256}?case={other.message_id}", 404)
    await reader.read(f"/staff/files/{photo.sha256}", 404)


# ── calls ───────────────────────────────────────────────────────────────────────────────────────

CALL = {
    "address": "11401 E 23rd St",
    "text": "There is a huge pothole, a tire blew out",
    "phone": "816 555 0142",
    "language": "es",
}


async def test_a_call_for_another_department_is_saved_and_read_back(
    reader: Reader, bus: Bus
) -> None:
    await reader.sign_in("casey.caller")
    page = await reader.read("/staff/calls/new")
    call = value_in(page, "call")
    form = CALL | {"call": call, "problem_type": "Graffiti"}
    for _ in range(2):
        answer = await reader.send("/staff/calls/new", form, page)
        assert goes_to(answer) == f"/staff/calls/{call}"
    assert (await bus.js.stream_info("COMPLAINTS")).state.messages == 1
    page = await reader.read(f"/staff/calls/{call}")
    assert str(complaint_id("phone", call)) in page
    assert "as in" in page


async def test_a_call_without_a_way_to_answer_is_asked_about_once(reader: Reader, bus: Bus) -> None:
    await reader.sign_in("casey.caller")
    page = await reader.read("/staff/calls/new")
    form = {"call": value_in(page, "call"), "text": "A dog howls <all> night"}
    answer = await reader.send("/staff/calls/new", form, page)
    page = await answer.text()
    assert answer.status == 422
    assert "Ask for a phone number or an email" in page
    assert "A dog howls &lt;all&gt; night" in page
    assert (await bus.js.stream_info("COMPLAINTS")).state.messages == 0

    form["contact_asked"] = value_in(page, "contact_asked")
    assert (await reader.send("/staff/calls/new", form, page)).status == 303


async def test_a_call_that_cannot_be_taken_keeps_every_field(reader: Reader) -> None:
    await reader.sign_in("casey.caller")
    page = await reader.read("/staff/calls/new")
    form = CALL | {"call": value_in(page, "call"), "text": "", "email": "at home", "name": "Rosa"}
    answer = await reader.send("/staff/calls/new", form, page)
    page = await answer.text()
    assert answer.status == 422
    for kept in ("Write down what the caller said.", "at home", "Rosa", "11401 E 23rd St"):
        assert kept in page
    assert value_in(page, "call") == form["call"]


async def test_a_call_is_kept_while_it_is_typed_and_comes_back(reader: Reader) -> None:
    await reader.sign_in("casey.caller")
    page = await reader.read("/staff/calls/new")
    form = CALL | {"call": value_in(page, "call")}
    answer = await reader.send("/staff/calls/draft", form, page)
    assert "Kept" in await answer.text()

    page = await reader.read("/staff/calls/new")
    assert value_in(page, "call") == form["call"]
    assert CALL["text"] in page
    assert "This call was not saved" in page
    empty = await reader.read("/staff/calls/new?fresh=1")
    assert CALL["text"] not in empty

    assert (await reader.send("/staff/calls/new", form, page)).status == 303
    assert CALL["text"] not in await reader.read("/staff/calls/new")


async def test_suggestions_are_a_piece_of_the_page(reader: Reader) -> None:
    await reader.sign_in("casey.caller")
    page = await reader.read("/staff/calls/new")
    answer = await reader.send("/staff/calls/suggest", CALL | {"problem_type": "Graffiti"}, page)
    piece = await answer.text()
    assert answer.status == 200
    assert "<html" not in piece
    assert "Graffiti" in piece
    assert OTHERS in piece
    answer = await reader.send("/staff/calls/suggest", {}, page)
    assert answer.status == 200


async def test_a_piece_asked_for_after_the_session_ended_says_so(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    answer = await reader.client.post(
        "/staff/calls/draft", data=CALL, headers={"HX-Request": "true"}
    )
    assert answer.status == 401
    assert "what you typed is still on this page" in await answer.text()


# ── mails ───────────────────────────────────────────────────────────────────────────────────────


async def a_mail(pool: asyncpg.Pool, case_id: UUID) -> UUID:
    notice = NoticeQueued(
        message_id=uuid4(),
        occurred_at=NOON,
        case_id=case_id,
        reference="7KQ-2MX-94",
        notice="receipt",
        medium="email",
        recipient="rosa@resident.example",
        subject_line="We have your <report>",
        text="Thank you.",
        html="<html><head><title>x</title></head><body><h1>Thank you.</h1></body></html>",
    )
    await hear(pool, "store_notice", notice)
    return notice.message_id


async def test_without_a_mail_server_the_mails_of_a_demonstration_can_be_read(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    mail = await a_mail(pool, await a_case(pool))
    assert "We have your &lt;report&gt;" in await reader.read("/mailbox")
    assert "Thank you." in await reader.read(f"/mailbox/{mail}")
    answer = await reader.client.get(f"/mailbox/{mail}/html")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<h1>Thank you.</h1>" in await answer.text()
    await reader.read(f"/mailbox/{uuid4()}", 404)
    await reader.read("/mailbox/nonsense", 404)


async def test_through_a_proxy_the_mailbox_needs_a_role(reader: Reader) -> None:
    far = {"X-Forwarded-For": "203.0.113.9"}
    answer = await reader.client.get("/mailbox", headers=far, allow_redirects=False)
    assert answer.status == 303
    await reader.sign_in("pat.moore")
    assert (await reader.client.get("/mailbox", headers=far)).status == 403
    await reader.sign_in("opal.rate")
    assert (await reader.client.get("/mailbox", headers=far)).status == 200


async def test_with_a_mail_server_there_is_no_mailbox(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> None:
    notifier = {"smtp": {"host": "mail.example"}, "from_address": "city@independence.example"}
    settings = Settings.model_validate({"data": tmp_path, "notifier": notifier})
    async with staff_pages(pool, bus, files, router, settings) as reader:
        await reader.read("/mailbox", 404)


async def test_staff_read_what_was_sent_about_a_case(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    mail = await a_mail(pool, case_id)
    assert f"/staff/notices/{mail}" in await pat.read(f"/staff/cases/{case_id}")
    assert "Thank you." in await pat.read(f"/staff/notices/{mail}")
    assert "Thank you." in await pat.read(f"/staff/notices/{mail}/html")


# ── the rest ────────────────────────────────────────────────────────────────────────────────────


async def test_on_https_the_cookie_stays_on_https(
    pool: asyncpg.Pool, bus: Bus, files: Files, router: Router, tmp_path: Path
) -> None:
    await put_account(pool, "pat.moore", [Role.STAFF], department=STREETS)
    settings = small_settings(tmp_path, base_url="https://report.example.gov")
    async with staff_pages(pool, bus, files, router, settings) as reader:
        assert (await reader.sign_in("pat.moore")).cookies[COOKIE]["secure"]


async def test_the_pages_speak_spanish(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool)
    assert "Mi escritorio" in await pat.read("/staff?lang=es")
    assert "Cerrar el caso" in await pat.read(f"/staff/cases/{case_id}?lang=es")


async def test_a_person_that_only_the_folder_knows_cannot_sign_in(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as conn:
        await accounts.put_person(
            conn, login="new.one", name="N", email="n@x.example", phone=None,
            department=STREETS, roles=["staff"],
        )  # fmt: skip
    assert (await reader.sign_in("new.one", "")).status == 422
    assert (await reader.sign_in("new.one", "anything")).status == 422


# ── people ──────────────────────────────────────────────────────────────────────────────────────

NEW = {
    "login": "nora.new",
    "name": "Nora New",
    "email": "nora.new@independence.example",
    "phone": "",
    "department": STREETS,
    "language": "es",
    "roles": "staff",
    "password": "long enough",
    "active": "yes",
}


async def test_an_administrator_makes_an_account_and_ends_it(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    await put_account(pool, "ada.min", [Role.ADMIN])
    await reader.sign_in("ada.min")
    assert goes_to(await reader.send("/staff/people/new", NEW)) == "/staff/people?done=saved"
    assert "Nora New" in await reader.read("/staff/people")
    answer = await reader.send("/staff/people/new", NEW)
    assert answer.status == 422
    page = await answer.text()
    assert "Somebody has this sign-in name already." in page
    assert "long enough" not in page

    await reader.sign_in("nora.new", "long enough")
    await reader.read("/staff")
    await reader.sign_in("ada.min")
    ended = {name: value for name, value in NEW.items() if name not in {"active", "password"}}
    assert (await reader.send("/staff/people/nora.new", ended)).status == 303
    assert (await reader.sign_in("nora.new", "long enough")).status == 422


async def test_an_administrator_cannot_lock_themselves_out(
    reader: Reader, pool: asyncpg.Pool
) -> None:
    await put_account(pool, "ada.min", [Role.ADMIN])
    await reader.sign_in("ada.min")
    form = NEW | {"password": "short", "roles": "staff"}
    del form["active"]
    answer = await reader.send("/staff/people/ada.min", form)
    page = await answer.text()
    assert answer.status == 422
    for words in ("cannot end your own account", "cannot give up your own role", "at least 10"):
        assert words in page


async def test_accounts_are_for_administrators(pat: Reader) -> None:
    await pat.read("/staff/people", 403)
    await pat.read("/staff/people/new", 403)


# ── who must act ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def dana(reader: Reader) -> Reader:
    """A lead of Neighborhood Services."""
    assert goes_to(await reader.sign_in("dana.ruiz")) == "/staff"
    return reader


async def test_a_lead_says_who_of_the_department_is_away(dana: Reader, pool: asyncpg.Pool) -> None:
    await put_account(pool, "carl.jensen", [Role.STAFF], department=OTHERS)
    page = await dana.read("/staff/absences")
    assert "Carl Jensen" in page
    assert "Pat Moore" not in page, "others say that of theirs"
    form = {
        "absence_id": value_in(page, "absence_id"),
        "login": "carl.jensen",
        "first": "2026-01-05",
        "last": "2099-01-09",
    }
    for _ in range(2):
        answer = await dana.send("/staff/absences", form, page)
        assert goes_to(answer) == "/staff/absences?done=added"
    page = await dana.read("/staff/absences")
    assert "from January 5, 2026 until January 9, 2099" in page
    assert "said by Dana Ruiz" in page
    async with pool.acquire() as conn:
        [one] = await absences.upcoming(conn, NOON)
    # The first moment of the first day and the end of the last, where the city is.
    assert (str(one.begins), str(one.ends)) == (
        "2026-01-05 06:00:00+00:00",
        "2099-01-10 06:00:00+00:00",
    )
    answer = await dana.send(f"/staff/absences/{one.id}/end", {}, page)
    assert goes_to(answer) == "/staff/absences?done=ended"
    assert "Nobody." in await dana.read("/staff/absences")


async def test_an_absence_that_cannot_be_meant_is_shown_again(dana: Reader) -> None:
    page = await dana.read("/staff/absences")
    right = {
        "absence_id": value_in(page, "absence_id"),
        "login": "dana.ruiz",
        "first": "2026-01-05",
        "last": "2026-01-09",
    }
    for wrong, sentence in (
        ({"login": ""}, "Choose who is away."),
        ({"login": "pat.moore"}, "Choose somebody from the list."),
        ({"first": ""}, "Write the day as 2026-11-30."),
        ({"first": "tomorrow"}, "Write the day as 2026-11-30."),
        ({"last": "2026-01-04"}, "The last day is before the first."),
    ):
        answer = await dana.send("/staff/absences", right | wrong, page)
        shown = await answer.text()
        assert answer.status == 422
        assert sentence in shown
        assert f'value="{(right | wrong)["last"]}"' in shown, "what was typed is kept"


async def test_who_is_away_is_marked_where_a_case_is_given_to_somebody(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    await put_account(pool, "jo.linden", [Role.STAFF], department=STREETS)
    async with pool.acquire() as conn:
        await absences.add(
            conn, absence_id=uuid4(), login="jo.linden", begins=None, ends=None, by="pat.moore"
        )
    assert "Jo Linden (away)</option>" in await pat.read(f"/staff/cases/{await a_case(pool)}")
    options = await pat.read(f"/staff/people/options?department={quote(STREETS)}")
    assert "Jo Linden (away)</option>" in options
    assert "Pat Moore</option>" in options


async def test_a_lead_ends_no_absence_of_another_department(
    dana: Reader, pool: asyncpg.Pool
) -> None:
    id_ = uuid4()
    async with pool.acquire() as conn:
        await absences.add(
            conn, absence_id=id_, login="pat.moore", begins=None, ends=None, by="pat.moore"
        )
        answer = await dana.send(f"/staff/absences/{id_}/end", {})
        assert answer.status == 403
        assert len(await absences.upcoming(conn, NOON)) == 1


async def test_only_those_who_may_see_rules_and_absences(pat: Reader) -> None:
    for path in ("/staff/absences", "/staff/rules", "/staff/rules/reroute"):
        await pat.read(path, status=403)


async def test_the_rules_stand_in_words_with_what_they_could_not_do(
    dana: Reader, pool: asyncpg.Pool
) -> None:
    told = complaint()
    broken = {"rule": "Near", "outcome": "broken", "condition": "near", "found": "no place"}
    await file(
        pool, told, routed(told, department=None, assignee=None, rule="Near", trace=[broken])
    )
    page = await dana.read("/staff/rules")
    assert "Limbs in wires at night" in page
    assert "For the type Tree Trim/PowerObstr, Power Problem; the time 17:00-07:00" in page
    assert "the team power line crew (Ruth Kemp, Joel Archer), to who has least to do" in page
    assert "<strong>Near</strong>: near: no place." in page


async def test_a_case_tells_each_rule_that_was_tried(pat: Reader, pool: asyncpg.Pool) -> None:
    trace = [
        {
            "rule": "Night crew",
            "outcome": "differs",
            "condition": "time",
            "asks": "17:00-07:00",
            "found": "Fri 2026-11-20 12:00",
        },
        {"rule": "By the river", "outcome": "unknown", "condition": "near", "asks": "9 feet"},
    ]
    page = await pat.read(f"/staff/cases/{await a_case(pool, trace=trace)}")
    assert "2 rules that were tried" in page
    assert "Not this one: it is for the time 17:00-07:00; here it is Fri 2026-11-20 12:00." in page
    assert "Nobody can tell: it is for places 9 feet; no place is known." in page
    assert "None fits: the type says the department." in page
    page = await pat.read(f"/staff/cases/{complaint().message_id}?lang=es")
    assert "Esta no: es para el horario 17:00-07:00" in page


async def test_staff_say_that_a_case_is_no_emergency(pat: Reader, pool: asyncpg.Pool) -> None:
    case_id = await a_case(pool, emergency=True)
    triage = await pat.read("/staff/queue?view=triage")
    assert str(case_id) in triage, "it stands on the triage desk until somebody begins"
    page = await pat.read(f"/staff/cases/{case_id}")
    form = {"emergency": value_in(page, "emergency"), "seen": value_in(page, "seen")}
    assert form["emergency"] == "no"
    answer = await pat.send(f"/staff/cases/{case_id}/emergency", form, page)
    assert goes_to(answer) == f"/staff/cases/{case_id}?done=emergency"
    assert not (await the_case(pool, case_id)).emergency
    assert str(case_id) not in await pat.read("/staff/queue?view=triage")
    assert "Pat Moore said that it is no emergency." in await pat.read(f"/staff/cases/{case_id}")


async def test_danger_stands_beside_the_words_while_a_call_is_typed_and_when_it_is_saved(
    pat: Reader,
) -> None:
    form = await pat.read("/staff/calls/new?fresh")
    call = {"call": value_in(form, "call"), "text": "the shed is on fire", "anonymous": "yes"}
    for words, danger in ((call["text"], True), ("a pothole", False)):
        answer = await pat.send("/staff/calls/suggest", call | {"text": words}, form)
        piece = await answer.text()
        told = piece[piece.index('id="danger"') :]
        assert 'hx-swap-oob="true"' in told
        assert ("This sounds like an emergency." in told) is danger
    saved = goes_to(await pat.send("/staff/calls/new", call, form))
    assert "This sounds like an emergency." in await pat.read(saved)


async def test_whose_turn_it_is_stands_beside_a_call(pat: Reader, pool: asyncpg.Pool) -> None:
    """Who is away is not named, though the city's folder does not know of it."""
    await put_account(pool, "ruth.kemp", [Role.STAFF], department="IPL")
    await put_account(pool, "joel.archer", [Role.LEAD], department="IPL")
    form = await pat.read("/staff/calls/new?fresh")
    call = {"call": value_in(form, "call"), "problem_type": "Street Light Out", "text": "light out"}
    assert "Ruth Kemp" in await (await pat.send("/staff/calls/suggest", call, form)).text()
    async with pool.acquire() as conn:
        await absences.add(
            conn, absence_id=uuid4(), login="ruth.kemp", begins=None, ends=None, by="joel.archer"
        )
    assert "Joel Archer" in await (await pat.send("/staff/calls/suggest", call, form)).text()


async def test_what_would_move_is_shown_and_moved_when_asked(
    dana: Reader, pool: asyncpg.Pool
) -> None:
    """Cases that a person gave to somebody, or set the type of, are not asked about."""
    for login in ("jo.linden", "max.odell"):
        await put_account(pool, login, [Role.STAFF], department=STREETS)
    place = {"lat": 39.0911, "lon": -94.4155, "text": "Huge pothole, it blew my tire"}
    told = [complaint(number, **place) for number in (1, 2, 3, 4)]
    now = datetime.now(UTC)
    told = [one.model_copy(update={"occurred_at": now}) for one in told]
    elsewhere = {"department": "MS-ENGINEERING", "problem_type": "Sidewalk/Curb"}
    await file(pool, *told, *(routed(one, **elsewhere) for one in told))
    async with pool.acquire() as conn:
        await changes.assign(
            conn, told[1].message_id, department=STREETS, assignee=None, by="pat.moore"
        )
        await changes.set_problem_type(
            conn, told[2].message_id, problem_type="Sinkhole", by="pat.moore"
        )
        await changes.close(
            conn, told[3].message_id, outcome="fixed", words="Done.", by="pat.moore"
        )
    day = (now - timedelta(days=1)).date().isoformat()
    page = await dana.read(f"/staff/rules/reroute?since={day}")
    assert "1 case would go elsewhere." in page
    assert "0 stay where they are; 2 are not touched" in page
    assert told[0].reference in page
    assert "Jo Linden" in page
    for _ in range(2):
        answer = await dana.send("/staff/rules/reroute", {"since": day}, page)
        assert goes_to(answer) == "/staff/rules?asked=1"
    async with pool.acquire() as conn:
        asked = [fact for fact in await to_tell(conn) if isinstance(fact, CaseAmended)]
    assert len({fact.message_id for fact in asked}) == 1, "asked twice, it is one question"
    assert {fact.case.case_id for fact in asked} == {told[0].message_id}
    assert all(fact.rules_changed and fact.case.reporter == Contact() for fact in asked)


async def test_a_day_that_cannot_be_meant_is_asked_for_again(dana: Reader) -> None:
    for since in ("", "yesterday", "1999-01-01"):
        page = await dana.read(f"/staff/rules/reroute?since={since}", status=422)
        assert 'name="since"' in page


STREET_TYPE = "Pothole/Street Maintenance"

# ── places and others ───────────────────────────────────────────────────────────────────────────


async def test_the_case_says_whom_else_it_concerns_and_the_number(
    pat: Reader, pool: asyncpg.Pool
) -> None:
    modot = Referral(agency="MoDOT", how="road", because="US 24", certain=True)
    case = await a_case(pool, place="refer", referral=modot)
    page = await pat.read(f"/staff/cases/{case}")

    assert "For: Missouri Department of Transportation (MoDOT)" in page
    assert "US 24 is not a street of the city." in page
    assert 'href="tel:+18882756636"' in page


async def test_where_no_number_is_known_the_case_says_so(pat: Reader, pool: asyncpg.Pool) -> None:
    town = Referral(agency="City of Raytown", how="town", because="Raytown", certain=False)
    page = await pat.read(f"/staff/cases/{await a_case(pool, place='outside', referral=town)}")

    assert "Perhaps for: City of Raytown" in page
    assert "No number is known yet." in page
    assert "It seems to lie outside the city." in page


async def test_the_case_shows_which_places_it_may_be(pat: Reader, pool: asyncpg.Pool) -> None:
    choices = (PlaceChoice(name="100 N Main St"), PlaceChoice(name="100 S <Main> St"))
    page = await pat.read(
        f"/staff/cases/{await a_case(pool, place='ambiguous', place_choices=choices)}"
    )

    assert "It may be one of these places:" in page
    assert "<li>100 S &lt;Main&gt; St</li>" in page


async def test_the_call_taker_is_told_what_to_ask(reader: Reader) -> None:
    await reader.sign_in("casey.caller")
    page = await reader.read("/staff/calls/new")
    for address, words in (
        ("Blue Ridge Blvd", "Ask where on “Blue Ridge Blvd”"),
        ("US 40 Hwy", "(888) 275-6636"),
        ("1200 Main St, Raytown", "For: City of Raytown"),
    ):
        told = CALL | {"text": "big hole", "address": address, "problem_type": STREET_TYPE}
        answer = await reader.send("/staff/calls/suggest", told, page)
        assert words in await answer.text()
