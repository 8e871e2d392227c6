"""What everybody may read over Open311, what nobody may, and what happens to a case afterwards."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import FormData
from PIL import Image

from bus.contracts import CaseFollowed, CaseReopened, Fact
from gateway.open311.book import public_book
from gateway.open311.record import Teller
from router.public_record import PublicRecord
from router.rules import City
from store import cases, changes, published
from store.merging import merge, unmerge
from store.model import Outcome, Status
from tests.support.open311 import INSIDE, Reach, codes, picture, put_case, reachable
from tests.support.store import to_tell
from tests.support.web import CITY

NOW = datetime.now(UTC).replace(microsecond=0)
POTHOLE = "Pothole/Street Maintenance"
STREETS = "MS-STREET MAINTENANCE"
# Every field in which somebody could be found, each with a word that stands nowhere else.
PLANTED = {
    "email": "planted.email@resident.example",
    "first_name": "Plantedfirst",
    "last_name": "Plantedlast",
    "phone": "816-555-0142",
    "device_id": "planted-device",
    "account_id": "planted-account",
    "address_string": "4711 Maple Ave, Apt 12B, Independence, MO 64050",
    "attribute[PLANTED]": "planted-attribute",
    "client_request_id": "planted-request",
    "media_url": "http://127.0.0.1/planted-media",
    "description": "Ask Plantedfirst Plantedlast, 816 555 0142, planted.email@resident.example, "
    "at 4711 Maple Ave apt 12B. A very big hole.",
}
SEEN = re.compile(
    r"planted|\b4711\b|\b12B\b|555.?0142|5550142|resident\.example|127\.0\.0\.1", re.IGNORECASE
)


@pytest.fixture(scope="module")
async def city(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Reach]:
    folder: Path = tmp_path_factory.mktemp("open311")
    shown = CITY.public.model_copy(update={"photos": "apps"})
    public = CITY.model_copy(update={"public": shown})
    async with reachable(nats_url, postgres_dsn, template, folder, city=public) as reach:
        yield reach


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def listed(city: Reach, query: str) -> list[str]:
    answer = await city.get(f"/requests.json?{query}")
    assert answer.status == 200, answer.text
    return codes(answer.json)


async def test_a_report_that_was_joined_to_another_names_it_unless_that_is_private(
    city: Reach,
) -> None:
    one, other = [await city.report(**{**INSIDE, "description": f"A hole, {n}"}) for n in (1, 2)]
    stays, joins = [await city.filed(reference) for reference in (one, other)]
    async with city.pool.acquire() as conn:
        for type_ in ("Sinkhole", "Police Non-Emergency"):
            for case in (stays, joins):
                await changes.set_problem_type(
                    conn, case.id, problem_type="Sinkhole", by="pat.moore"
                )
                await changes.assign(
                    conn, case.id, department=STREETS, assignee=None, by="pat.moore"
                )
            await merge(conn, joins.id, into=stays.id, by="pat.moore")
            await changes.set_problem_type(conn, stays.id, problem_type=type_, by="pat.moore")
            answer = await city.get(f"/requests/{other}.json?extensions=true")
            told = answer.json[0]["extended_attributes"]
            assert told["duplicate"] is True
            parent = one if type_ == "Sinkhole" else None
            assert told["parent_service_request_id"] == parent
            await unmerge(conn, joins.id, by="pat.moore")


# ── who is not to be found ──────────────────────────────────────────────────────────────────────


async def test_nothing_that_could_name_a_person_is_in_any_answer(city: Reach) -> None:
    reference = await city.report(**{**PLANTED, **INSIDE})
    case = await city.filed(reference)
    async with city.pool.acquire() as conn:
        await changes.assign(
            conn, case.id, department=STREETS, assignee="pat.moore", by="pat.moore"
        )
        await changes.add_note(
            conn,
            case.id,
            note_id=uuid4(),
            text="planted internal note",
            public=False,
            by="pat.moore",
        )
        await changes.add_note(
            conn,
            case.id,
            note_id=uuid4(),
            text="Dear Plantedfirst, Pat Moore calls you at 816-555-0142.",
            public=True,
            by="pat.moore",
        )
        await changes.close(
            conn, case.id, outcome=Outcome.FIXED, words="Done, Ms. Plantedlast.", by="pat.moore"
        )
    paths = [
        f"/requests/{reference}.FORMAT?extensions=true",
        f"/requests.FORMAT?service_request_id={reference}&extensions=true",
        "/requests.FORMAT?extensions=true",
        "/requests.FORMAT?page=1&page_size=500&extensions=true",
        "/requests.FORMAT?q=hole",
        f"/tokens/{reference}.FORMAT",
        "/servicerequestupdates.FORMAT",
        "/services.FORMAT",
        "/discovery.FORMAT",
    ]
    for path in paths:
        for format in ("json", "xml"):
            answer = await city.get(path.replace("FORMAT", format))
            assert answer.status == 200, answer.text
            assert SEEN.search(answer.text) is None, f"{path}: {SEEN.search(answer.text)}"
            assert "Pat Moore" not in answer.text, path
    # And nobody feels their way to them.
    for word in ("plantedfirst", "8165550142", "resident.example", "4711", "internal"):
        assert reference not in await listed(city, f"q={word}"), word
    assert reference in await listed(city, "q=big+hole")
    (told,) = (await city.get(f"/requests/{reference}.json")).json
    assert told["description"].endswith("A very big hole.")
    assert told["address"] == "4700 block of Maple Ave, Independence, MO 64050"
    assert told["status_notes"] == "Done, Ms. […]."


async def test_words_that_came_in_privately_stay_private(city: Reach) -> None:
    reference = await put_case(
        city.pool,
        text="My neighbour is strange",
        address="111 E Maple Ave, Independence, MO 64050",
        lat=39.09114,
        lon=-94.41553,
        problem_type="Noise",
        department="PD-PATROL",
        opened_at=ago(days=400),
    )
    (told,) = (await city.get(f"/requests/{reference.lower()}.json")).json
    assert told["description"] is None
    assert told["service_code"] == "noise"
    assert told["service_name"] == "Noise"
    assert told["agency_responsible"] == "Police Patrol"
    assert told["address"] == "100 block of E Maple Ave, Independence, MO 64050"
    assert told["zipcode"] == "64050"
    assert (told["lat"], told["long"]) == (39.091, -94.416)
    assert told["requested_datetime"].endswith(("-05:00", "-06:00"))
    # A filter sees the place as it is shown.
    assert reference in await listed(city, "bbox=-94.4161,39.0909,-94.4159,39.0911&page=1")
    exactly = "bbox=-94.41554,39.09113,-94.41552,39.09115&page=1"
    assert reference not in await listed(city, exactly)
    near = "page=1&service_code=noise&lat=39.091&long=-94.416&radius="
    assert reference in await listed(city, f"{near}20")
    assert reference not in await listed(city, "page=1&lat=39.2&long=-94.416&radius=5000")


async def test_a_private_type_is_nowhere(city: Reach) -> None:
    private = await put_case(city.pool, problem_type="Police Non-Emergency", opened_at=ago(days=2))
    retired = await put_case(city.pool, problem_type="A type of long ago", opened_at=ago(days=2))
    posted = await city.post(
        "/requests.json",
        {"service_code": "police-non-emergency", "description": "Theft", **INSIDE},
    )
    mine = str(posted.json[0]["service_request_id"])
    await city.filed(mine)
    total = (await city.get("/requests.json?page=1&status=open")).headers["X-Total-Count"]
    for reference in (private, retired, mine):
        assert (await city.get(f"/requests/{reference}.json")).status == 404
        assert (await city.get(f"/tokens/{reference}.json")).status == 404
        assert await listed(city, f"service_request_id={reference}") == []
        assert (await city.get(f"/photos/{reference}/1.jpg")).status == 404
    assert not {private, retired, mine} & set(await listed(city, ""))
    assert (await city.get("/requests.json?service_code=police-non-emergency")).status == 404
    async with city.pool.acquire() as conn:
        case = await cases.by_reference(conn, mine)
        assert case is not None
        await changes.assign(conn, case.id, department=STREETS, assignee=None, by="pat.moore")
    updates = (await city.get("/servicerequestupdates.json")).json
    assert mine not in codes(updates)
    # Whoever typed it otherwise makes it public.
    async with city.pool.acquire() as conn:
        await changes.set_problem_type(conn, case.id, problem_type=POTHOLE, by="pat.moore")
    assert (await city.get(f"/requests/{mine}.json")).status == 200
    later = (await city.get("/requests.json?page=1&status=open&q=")).headers["X-Total-Count"]
    assert int(later) >= int(total)


async def test_what_a_sender_called_it_is_not_repeated(city: Reach) -> None:
    reference = await put_case(city.pool, chosen_type="Rosa Lara's own words")
    (told,) = (await city.get(f"/requests/{reference}.json")).json
    assert told["service_code"] == "unsure"
    assert reference in await listed(city, "service_code=unsure")
    chosen = await put_case(city.pool, chosen_type=POTHOLE)
    assert chosen in await listed(city, "service_code=pothole,noise")
    assert chosen not in await listed(city, "service_code=unsure")


async def test_a_city_decides_how_much_it_shows(city: Reach) -> None:
    reference = await put_case(
        city.pool,
        text="A hole, call 816-555-0142",
        address="4711 Planted St",
        lat=39.09114,
        lon=-94.41553,
    )
    open_ = PublicRecord(descriptions="everyone", places="exact", photos="everyone")
    told = await as_shown(city, CITY.model_copy(update={"public": open_}), reference)
    assert told["description"] == "A hole, call […]"
    assert told["address"] == "4711 Planted St"
    assert (told["lat"], told["long"]) == (39.09114, -94.41553)
    posted = await city.report(description="From an app")
    shut = PublicRecord(descriptions="none", notes=False)
    told = await as_shown(city, CITY.model_copy(update={"public": shut}), posted)
    assert told["description"] is None


async def as_shown(city: Reach, other: City, reference: str) -> dict[str, object]:
    book = public_book(other)
    async with city.pool.acquire() as conn:
        (row,) = await published.find(
            conn, book.rules, published.Wanted(references=[reference]), limit=1
        )
    return Teller(book, city.desk.book, "https://x").request(row)


# ── what stands in a request ────────────────────────────────────────────────────────────────────


async def test_a_closed_request_was_updated_when_it_was_closed(city: Reach) -> None:
    reference = await city.report()
    case = await city.filed(reference)
    async with city.pool.acquire() as conn:
        await changes.assign(conn, case.id, department=STREETS, assignee=None, by="pat.moore")
        await changes.close(
            conn, case.id, outcome=Outcome.NO_VIOLATION, words="All is well.", by="pat.moore"
        )
        # A word afterwards changes nothing of that.
        await changes.add_note(
            conn, case.id, note_id=uuid4(), text="Thanks", public=True, by="pat.moore"
        )
        closed = await cases.by_id(conn, case.id)
    assert closed is not None
    assert closed.closed_at is not None
    (told,) = (await city.get(f"/requests/{reference}.json")).json
    assert told["status"] == "closed"
    assert told["status_notes"] == "All is well."
    assert told["agency_responsible"] == "Street Maintenance"
    at = datetime.fromisoformat(told["updated_datetime"])
    assert at == closed.closed_at.replace(microsecond=0)
    assert reference in await listed(city, "status=closed")
    assert reference not in await listed(city, "status=open")
    window = f"updated_after={iso(at)}&updated_before={iso(at + timedelta(seconds=1))}"
    assert reference in await listed(city, window)
    assert reference not in await listed(city, f"updated_before={iso(at - timedelta(seconds=5))}")


async def test_lists_go_back_ninety_days_from_now_or_from_where_they_are_asked(
    city: Reach,
) -> None:
    old = await put_case(city.pool, problem_type="Graffiti", opened_at=ago(days=100))
    new = await put_case(city.pool, problem_type="Graffiti", opened_at=ago(days=80))
    only = "service_code=graffiti"
    assert await listed(city, only) == [new]
    assert await listed(city, f"{only}&end_date={iso(ago(days=90))}") == [old]
    assert await listed(city, f"{only}&start_date={iso(ago(days=101))}") == [new, old]
    assert await listed(city, f"{only}&page=1") == [new, old]
    assert await listed(city, f"{only}&status=open&start_date={iso(ago(days=85))}") == [new]


async def test_an_old_case_with_news_is_found_by_its_news(city: Reach) -> None:
    reference = await put_case(city.pool, problem_type="Zoning", opened_at=ago(days=300))
    (case_id,) = await city.pool.fetchrow("SELECT id FROM cases WHERE reference = $1", reference)
    since = f"updated_after={iso(NOW - timedelta(seconds=2))}&service_code=zoning"
    assert await listed(city, since) == []
    async with city.pool.acquire() as conn:
        await changes.assign(conn, case_id, department=STREETS, assignee=None, by="pat.moore")
    assert await listed(city, since) == [reference]


async def test_extensions_are_there_when_asked_for(city: Reach) -> None:
    reference = await city.report(
        **{"attribute[LANE]": "mid", "attribute[uprn]": "123456", "description": "Hole"}
    )
    case = await city.filed(reference)
    async with city.pool.acquire() as conn:
        await changes.add_note(
            conn, case.id, note_id=uuid4(), text="A crew comes.", public=True, by="pat.moore"
        )
    plain = (await city.get(f"/requests/{reference}.json")).json[0]
    assert "notes" not in plain
    answer = await city.get(f"/requests/{reference}.json?extensions=true")
    told = answer.json[0]
    assert told["description"] == "Hole"
    assert told["attributes"] == [
        {"label": "Which lane?", "name": "LANE", "value": "Middle", "code": "mid"}
    ]
    assert told["extended_attributes"]["channel"] == "open311"
    assert [(one["type"], one["description"]) for one in told["notes"]] == [
        ("submitted", None),
        ("activity", "A crew comes."),
    ]
    xml = (await city.get(f"/requests/{reference}.xml?extensions=true")).xml
    assert xml.findtext("request/notes/note/type") == "submitted"
    assert xml.findtext("request/attributes/attribute/value") == "Middle"


async def test_a_public_photo_is_a_picture_and_nothing_else(city: Reach) -> None:
    form = FormData()
    for name, value in ({"service_code": "graffiti", **INSIDE, "api_key": city.key}).items():
        form.add_field(name, value)
    form.add_field("media", picture(), filename="x.jpg", content_type="image/jpeg")
    (told,) = (await city.post("/requests.json", form)).json
    await city.filed(told["service_request_id"])
    (shown,) = (await city.get(f"/requests/{told['service_request_id']}.json")).json
    path = shown["media_url"].partition("/open311/v2")[2]
    answer = await city.get(path)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert not Image.open(io.BytesIO(answer.body)).getexif()
    assert (await city.get(path.replace("1.jpg", "2.jpg"))).status == 404


# ── what happened, in both directions ───────────────────────────────────────────────────────────


async def test_updates_tell_what_is_news(city: Reach) -> None:
    reference = await city.report()
    case = await city.filed(reference)
    begin = datetime.now(UTC)
    async with city.pool.acquire() as conn:
        for department, person in ((STREETS, "pat.moore"), (STREETS, "dana.ruiz")):
            await changes.assign(conn, case.id, department=department, assignee=person, by="x")
        await changes.start(conn, case.id, by="dana.ruiz")
        await changes.add_note(
            conn, case.id, note_id=uuid4(), text="On Tuesday.", public=True, by="dana.ruiz"
        )
        await changes.close(conn, case.id, outcome=Outcome.FIXED, words="Filled.", by="dana.ruiz")
        await changes.reopen(conn, case.id, reason="It sank", by="dana.ruiz")
    answer = await city.get(
        f"/servicerequestupdates.json?start_date={iso(begin)}&end_date={iso(begin + timedelta(1))}"
    )
    mine = [one for one in answer.json if one["service_request_id"] == reference]
    # Another desk of the same department is no news.
    assert [(one["status"], one["description"]) for one in mine] == [
        ("investigating", ""),
        ("in_progress", ""),
        ("in_progress", "On Tuesday."),
        ("fixed", "Filled."),
        ("reopen", ""),
    ]
    assert len({one["update_id"] for one in mine}) == 5
    assert {one["media_url"] for one in mine} == {""}
    xml = (await city.get(f"/servicerequestupdates.xml?start_date={iso(begin)}")).xml
    assert xml.tag == "service_request_updates"
    assert xml.findtext("request_update/updated_datetime")
    assert (await city.get("/servicerequestupdates.json?start_date=x")).status == 400
    # Of a longer span, the first 90 days.
    wide = f"start_date={iso(ago(days=200))}&end_date={iso(NOW)}"
    assert (await city.get(f"/servicerequestupdates.json?{wide}")).json == []
    assert (await city.get("/servicerequestupdates.json?end_date=0001-01-01")).json == []


def update(reference: str, **changes: str) -> dict[str, str]:
    return {
        "service_request_id": reference,
        "update_id": "u-1",
        "status": "OPEN",
        "updated_datetime": "2026-03-02T08:00:00-06:00",
        "description": "It is deeper now.",
        "email": "rosa@resident.example",
        "first_name": "Rosa",
        "last_name": "Lara",
    } | changes


async def test_what_an_app_tells_later_joins_its_case_once(city: Reach) -> None:
    reference = await city.report()
    answers = [await city.post("/servicerequestupdates.xml", update(reference)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert answers[0].xml.findtext("request_update/update_id")
    await until_notes(city, reference, 1)
    (note,) = await notes_of(city, reference)
    assert (note.text, note.verified, note.from_outside) == ("It is deeper now.", True, True)
    (told,) = [fact for fact in await followed(city) if fact.case.reference == reference]
    assert told.verified
    # Nobody but staff and the app's own page shows it.
    assert "deeper" not in (await city.get(f"/requests/{reference}.json?extensions=true")).text


async def test_an_app_takes_its_closed_case_up_again_only_when_it_says_so(city: Reach) -> None:
    reference = await city.report()
    case = await city.filed(reference)
    async with city.pool.acquire() as conn:
        await changes.close(conn, case.id, outcome=Outcome.FIXED, words="Done.", by="pat.moore")
    thanks = update(reference, status="FIXED", description="Thank you!", update_id="u-2")
    await city.post("/servicerequestupdates.json", thanks)
    await until_notes(city, reference, 1)
    assert (await city.filed(reference)).status is Status.CLOSED
    assert (await notes_of(city, reference))[0].text == "Thank you!\n\n— status: fixed"
    again = update(reference, description="Not at all.", update_id="u-3")
    await city.post("/servicerequestupdates.json", again)
    await until_notes(city, reference, 2)
    assert (await city.filed(reference)).status is Status.TRIAGE
    assert [fact.reason for fact in await reopened(city)] == ["Not at all."]


async def test_another_app_may_speak_and_is_not_believed(city: Reach) -> None:
    reference = await city.report()
    case = await city.filed(reference)
    async with city.pool.acquire() as conn:
        await changes.close(conn, case.id, outcome=Outcome.FIXED, words="Done.", by="pat.moore")
    key = await city.app("stranger")
    await city.post("/servicerequestupdates.json", update(reference), key=key)
    await until_notes(city, reference, 1)
    (note,) = await notes_of(city, reference)
    assert (note.verified, note.sender) == (False, "Rosa Lara, Stranger rosa@resident.example")
    assert (await city.filed(reference)).status is Status.CLOSED


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"status": "GONE"}, 400, "status must be one of"),
        ({"updated_datetime": "soon"}, 400, "updated_datetime"),
        ({"description": " "}, 400, "description is missing"),
        ({"update_id": ""}, 400, "update_id is missing"),
        ({"service_request_id": "7KQ-2MX-94"}, 404, "service_request_id"),
        ({"service_request_id": "nonsense"}, 404, "service_request_id"),
        ({"jurisdiction_id": "elsewhere.org"}, 404, "jurisdiction_id"),
    ],
)
async def test_a_bad_update_is_refused(
    city: Reach, changes: dict[str, str], status: int, words: str
) -> None:
    answer = await city.post("/servicerequestupdates.json", update(await city.report(), **changes))
    assert answer.status == status
    assert words in answer.json[0]["description"]
    assert (await city.post("/servicerequestupdates.json", {}, key="wrong")).status == 403


async def test_a_private_case_takes_updates_of_its_own_app_only(city: Reach) -> None:
    answer = await city.post(
        "/requests.json",
        {"service_code": "police-non-emergency", "description": "Theft", **INSIDE},
    )
    reference = str(answer.json[0]["service_request_id"])
    await city.filed(reference)
    assert (await city.post("/servicerequestupdates.json", update(reference))).status == 200
    other = await city.app("curious")
    answer = await city.post("/servicerequestupdates.json", update(reference), key=other)
    assert answer.status == 404


async def notes_of(city: Reach, reference: str) -> list[cases.Note]:
    case = await city.filed(reference)
    async with city.pool.acquire() as conn:
        return await cases.notes(conn, case.id, public_only=False)


async def until_notes(city: Reach, reference: str, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await notes_of(city, reference)) < count:
            await asyncio.sleep(0.02)


async def followed(city: Reach) -> list[CaseFollowed]:
    return [one for one in await told_by(city) if isinstance(one, CaseFollowed)]


async def reopened(city: Reach) -> list[CaseReopened]:
    return [
        one for one in await told_by(city) if isinstance(one, CaseReopened) and not one.reopened_by
    ]


async def told_by(city: Reach) -> list[Fact]:
    async with city.pool.acquire() as conn:
        return list(await to_tell(conn))
