"""Staff find a case by whatever they know of it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from bus.contracts import ComplaintReceived, Contact
from store import changes, search
from store.model import Status
from store.search import Filter
from tests.support.facts import NOON, complaint
from tests.support.store import file, put_staff, routed


def told(number: int, **other: object) -> ComplaintReceived:
    values: dict[str, object] = {
        "occurred_at": NOON + timedelta(minutes=number),
        "text": f"report {number}",
        "address": f"{number}00 Main St",
        "reporter": Contact(),
        "attachments": (),
    }
    return complaint(number, **(values | other))


ONE = told(1, text="Hay un árbol caído", reporter=Contact(name="José O'Neil"))
TWO = told(2, text="no water at all", channel="phone", reporter=Contact(phone="+18165550142"))
THREE = told(3, address="11401 E 23rd St", reporter=Contact(email="ann.b@resident.example"))
FOUR = told(4, text="SMOKE! " + "x" * 300)


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    await file(pool, ONE, TWO, THREE, FOUR)
    await file(
        pool,
        routed(ONE),
        routed(TWO, department="MS-WATER", assignee=None, district=None, problem_type="Water main"),
        routed(THREE, department=None, assignee=None),
        routed(FOUR, emergency=True),
    )
    async with pool.acquire() as acquired:
        await put_staff(acquired)
        yield acquired


async def numbers(conn: asyncpg.Connection, **wanted: object) -> list[int]:
    page = await search.find(conn, Filter(**wanted))  # type: ignore[arg-type]
    assert page.total == len(page.cases)
    known = {one.message_id: number for number, one in enumerate((ONE, TWO, THREE, FOUR), 1)}
    return [known[row.id] for row in page.cases]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("arbol", [1]),
        ("ÁRBOL ca", [1]),
        ("o'neil jose", [1]),
        ("(816) 555-0142", [2]),
        ("+1 816 555 0142", [2]),
        ("555-0142", [2]),
        ("ann.b@resident.example", [3]),
        ("11401 23rd", [3]),
        ("main", [4, 2, 1]),
        ("main nonsense", []),
        ("  ", [4, 3, 2, 1]),
        ("!?", []),
        ("& | ! ( : * '", []),
        ("a\x00rbol", [1]),
        ("'; DROP TABLE cases --", []),
    ],
)
async def test_words_find(conn: asyncpg.Connection, words: str, found: list[int]) -> None:
    assert await numbers(conn, words=words) == found


async def test_a_reference_finds_its_case_however_it_is_typed(conn: asyncpg.Connection) -> None:
    for typed in (TWO.reference, TWO.reference.lower().replace("-", ""), TWO.reference[:7]):
        assert await numbers(conn, words=typed) == [2]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"statuses": [Status.TRIAGE]}, [3]),
        ({"statuses": ["assigned", "in_progress"]}, [4, 2, 1]),
        ({"department": "MS-WATER"}, [2]),
        ({"department": ""}, [3]),
        ({"district": ""}, [2]),
        ({"assignee": "pat.moore"}, [4, 1]),
        ({"assignee": ""}, [3, 2]),
        ({"problem_type": "Water main"}, [2]),
        ({"channel": "phone"}, [2]),
        ({"channel": "phone", "department": ""}, []),
        ({"order": "oldest"}, [1, 2, 3, 4]),
        ({"order": "urgent"}, [4, 1, 2, 3]),
        ({"order": "; DROP TABLE cases"}, [4, 3, 2, 1]),
    ],
)
async def test_filters_find(
    conn: asyncpg.Connection, wanted: dict[str, object], found: list[int]
) -> None:
    assert await numbers(conn, **wanted) == found


async def test_pages_hold_every_case_once(conn: asyncpg.Connection) -> None:
    seen = []
    for page in (1, 2, 3):
        found = await search.find(conn, Filter(page=page, page_size=3))
        assert (found.total, found.pages) == (4, 2)
        seen.append([row.reference for row in found.cases])
    assert len(seen[0]) == 3
    assert seen[1] == seen[2] == [ONE.reference]
    empty = await search.find(conn, Filter(channel="email", page=9))
    assert (empty.cases, empty.total, empty.page, empty.pages) == ([], 0, 1, 1)


async def test_a_row_says_enough_for_a_list(conn: asyncpg.Connection) -> None:
    row, *_ = (await search.find(conn, Filter())).cases
    assert (row.reference, row.emergency, row.assignee_name) == (FOUR.reference, True, "Pat Moore")
    assert row.summary.startswith("SMOKE! xxx")
    assert len(row.summary) == 160


async def test_a_desk_shows_emergencies_first_then_the_oldest_and_nothing_closed(
    conn: asyncpg.Connection,
) -> None:
    assert [row.id for row in await search.desk(conn, "pat.moore")] == [
        FOUR.message_id,
        ONE.message_id,
    ]
    assert await counts(conn, "pat.moore") == (2, 2, 4)
    assert await counts(conn, None) == (0, 2, 4)
    await changes.close(conn, FOUR.message_id, outcome="fixed", words="Out.", by="pat.moore")
    assert [row.id for row in await search.desk(conn, "pat.moore")] == [ONE.message_id]
    assert await counts(conn, "pat.moore") == (1, 1, 3)


async def counts(conn: asyncpg.Connection, login: str | None) -> tuple[int, int, int]:
    numbers = await search.counts(conn, login)
    return numbers["mine"], numbers["triage"], numbers["open"]
