"""What staff do to a case: allowed or refused, written and told together, harmless twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from uuid import UUID, uuid4

import asyncpg
import pytest

from bus.contracts import CaseAssigned, CaseClosed, CaseNoted, CaseReopened, Contact, FileRef
from store import cases, changes
from store.model import NotAllowed, Outcome, Status
from store.public import public_view
from tests.support.facts import ASSIGNEE, complaint
from tests.support.store import file, kinds, put_staff, routed, to_tell

STREETS = "MS-STREET MAINTENANCE"
PROOF = FileRef(sha256="c" * 64, media_type="image/jpeg", name="after.jpg", size=10)


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as acquired:
        await put_staff(acquired)
        yield acquired


@pytest.fixture
async def assigned(pool: asyncpg.Pool) -> UUID:
    """A case on Pat's desk."""
    told = complaint()
    await file(pool, told, routed(told))
    return told.message_id


@pytest.fixture
async def triage(pool: asyncpg.Pool) -> UUID:
    """A case that nobody knows what to do with."""
    told = complaint(2)
    await file(pool, told, routed(told, department=None, assignee=None))
    return told.message_id


async def test_a_case_goes_to_another_desk_and_both_hear_of_it(
    conn: asyncpg.Connection, assigned: UUID
) -> None:
    for _ in range(2):
        case = await changes.assign(
            conn, assigned, department=STREETS, assignee="Dana.Ruiz", by="pat.moore", why="away"
        )
    assert (case.status, case.assignee, case.assignee_name) == (
        Status.ASSIGNED,
        "dana.ruiz",
        "Dana Ruiz",
    )
    *_, told = await to_tell(conn)
    assert isinstance(told, CaseAssigned)
    assert told.assigned_by == "Pat Moore"
    assert told.case.assignee is not None
    assert told.case.assignee.email == "dana.ruiz@independence.example"
    assert await kinds(conn, assigned) == ["opened", "routed", "assigned"]
    event = (await cases.history(conn, assigned))[-1]
    assert (event.by, event.by_name, event.public) == ("pat.moore", "Pat Moore", True)
    assert event.data["from_assignee"] == ASSIGNEE.id
    assert event.data["why"] == "away"


async def test_a_case_that_is_not_theirs_goes_back_to_triage_and_nobody_is_told(
    conn: asyncpg.Connection, assigned: UUID
) -> None:
    case = await changes.assign(conn, assigned, department=None, assignee=None, by="pat.moore")
    assert (case.status, case.department, case.assignee_name) == (Status.TRIAGE, None, None)
    assert [fact.subject for fact in await to_tell(conn)] == ["case.opened", "case.assigned"]


async def test_a_person_brings_their_department(conn: asyncpg.Connection, triage: UUID) -> None:
    case = await changes.assign(conn, triage, department=None, assignee="lee.chan", by="lee.chan")
    assert (case.department, case.status) == ("MS-WATER", Status.ASSIGNED)


async def test_nobody_unknown_gets_a_case(conn: asyncpg.Connection, assigned: UUID) -> None:
    with pytest.raises(NotAllowed, match=r"'no\.body'"):
        await changes.assign(conn, assigned, department=STREETS, assignee="no.body", by="x")
    await conn.execute("UPDATE accounts SET active = false WHERE login = 'dana.ruiz'")
    with pytest.raises(NotAllowed, match=r"dana\.ruiz"):
        await changes.assign(conn, assigned, department=STREETS, assignee="dana.ruiz", by="x")


async def test_work_begins_once(conn: asyncpg.Connection, assigned: UUID, triage: UUID) -> None:
    for _ in range(2):
        assert (await changes.start(conn, assigned, by="pat.moore")).status is Status.IN_PROGRESS
    assert await kinds(conn, assigned) == ["opened", "routed", "started"]
    with pytest.raises(NotAllowed, match="no department"):
        await changes.start(conn, triage, by="pat.moore")


async def test_a_note_is_written_once_however_often_it_is_posted(
    conn: asyncpg.Connection, assigned: UUID
) -> None:
    note_id = uuid4()
    for _ in range(2):
        await changes.add_note(
            conn,
            assigned,
            note_id=note_id,
            text=" A crew comes on Tuesday.\x00 ",
            public=True,
            by="pat.moore",
            attachments=(PROOF,),
        )
    await changes.add_note(
        conn, assigned, note_id=uuid4(), text="Angry caller.", public=False, by="ghost"
    )
    public, internal = await cases.notes(conn, assigned, public_only=False)
    assert (public.text, public.author_name) == ("A crew comes on Tuesday.", "Pat Moore")
    assert public.attachments == (PROOF,)
    assert (internal.public, internal.author_name, internal.attachments) == (False, "ghost", ())
    assert await cases.notes(conn, assigned, public_only=True) == [public]
    noted = [fact for fact in await to_tell(conn) if isinstance(fact, CaseNoted)]
    assert [(fact.text, fact.author) for fact in noted] == [
        ("A crew comes on Tuesday.", "Pat Moore"),
        ("Angry caller.", "ghost"),
    ]
    case = await cases.by_id(conn, assigned)
    assert case is not None
    assert PROOF not in case.attachments
    with pytest.raises(NotAllowed, match="needs words"):
        await changes.add_note(
            conn, assigned, note_id=uuid4(), text=" \x00", public=False, by="pat.moore"
        )


async def test_a_case_is_closed_with_words_for_the_resident(
    conn: asyncpg.Connection, assigned: UUID
) -> None:
    for _ in range(2):
        case = await changes.close(
            conn, assigned, outcome="fixed", words=" We filled it. ", by="pat.moore"
        )
    assert (case.status, case.outcome, case.closing_words) == (
        Status.CLOSED,
        Outcome.FIXED,
        "We filled it.",
    )
    told = [fact for fact in await to_tell(conn) if isinstance(fact, CaseClosed)]
    assert [(fact.words, fact.outcome, fact.closed_by) for fact in told] == [
        ("We filled it.", "fixed", "Pat Moore")
    ]
    assert told[0].case.assignee is not None
    with pytest.raises(NotAllowed, match="Reopen it first"):
        await changes.close(conn, assigned, outcome="cannot", words="Or not.", by="pat.moore")


@pytest.mark.parametrize(
    ("outcome", "words", "says"), [("fixed", " ", "Say to the resident"), ("gone", "x", "'gone'")]
)
async def test_a_case_is_not_closed_without_words_or_in_an_unknown_way(
    conn: asyncpg.Connection, assigned: UUID, outcome: str, words: str, says: str
) -> None:
    with pytest.raises(NotAllowed, match=says):
        await changes.close(conn, assigned, outcome=outcome, words=words, by="pat.moore")


async def test_a_closed_case_can_only_be_reopened_and_goes_where_it_was(
    conn: asyncpg.Connection, assigned: UUID, triage: UUID
) -> None:
    for case_id in (assigned, triage):
        await changes.close(conn, case_id, outcome="fixed", words="Done.", by="pat.moore")
        for refused in (
            changes.start(conn, case_id, by="x"),
            changes.assign(conn, case_id, department=STREETS, assignee=None, by="x"),
            changes.assign(conn, case_id, department=None, assignee=None, by="x"),
            changes.set_problem_type(conn, case_id, problem_type="Other", by="x"),
        ):
            with pytest.raises(NotAllowed, match="Reopen it first"):
                await refused
    again = await changes.reopen(conn, assigned, reason="It sank.", by="dana.ruiz")
    assert (again.status, again.assignee, again.outcome, again.closed_at) == (
        Status.ASSIGNED,
        ASSIGNEE.id,
        None,
        None,
    )
    lost = await changes.reopen(conn, triage, reason="It came back.", by="dana.ruiz")
    assert lost.status is Status.TRIAGE
    told = [fact for fact in await to_tell(conn) if isinstance(fact, CaseReopened)]
    assert [(fact.reason, fact.reopened_by) for fact in told] == [
        ("It sank.", "Dana Ruiz"),
        ("It came back.", "Dana Ruiz"),
    ]
    with pytest.raises(NotAllowed, match="open already"):
        await changes.reopen(conn, assigned, reason="again", by="x")


async def test_changing_the_problem_type_is_in_the_history(
    conn: asyncpg.Connection, assigned: UUID
) -> None:
    for _ in range(2):
        case = await changes.set_problem_type(
            conn, assigned, problem_type="Sinkhole", by="pat.moore"
        )
    assert (case.problem_type, case.predicted_type) == ("Sinkhole", "Pothole/Street Maintenance")
    event = (await cases.history(conn, assigned))[-1]
    assert event.kind == "retyped"
    assert event.data == {"problem_type": "Sinkhole", "from": "Pothole/Street Maintenance"}
    assert len(await kinds(conn, assigned)) == 3


async def test_two_people_closing_at_once_close_it_once(
    pool: asyncpg.Pool, conn: asyncpg.Connection, assigned: UUID
) -> None:
    async def close(words: str) -> bool:
        async with pool.acquire() as own:
            try:
                await changes.close(own, assigned, outcome="fixed", words=words, by="pat.moore")
            except NotAllowed:
                return False
        return True

    done = await asyncio.gather(*(close(f"Words {number}") for number in range(5)))
    assert done.count(True) == 1
    assert (await kinds(conn, assigned)).count("closed") == 1
    assert sum(isinstance(fact, CaseClosed) for fact in await to_tell(conn)) == 1


async def test_what_fails_leaves_neither_case_nor_event_nor_fact(
    conn: asyncpg.Connection, assigned: UUID
) -> None:
    before = (await kinds(conn, assigned), len(await to_tell(conn)))

    async def close_and_fall() -> None:
        async with conn.transaction():
            await changes.close(conn, assigned, outcome="fixed", words="Done.", by="pat.moore")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await close_and_fall()
    assert (await kinds(conn, assigned), len(await to_tell(conn))) == before


async def test_a_case_that_is_not_there_is_a_key_error(conn: asyncpg.Connection) -> None:
    assert await cases.by_id(conn, uuid4()) is None
    assert await cases.by_reference(conn, "nonsense\x00") is None
    with pytest.raises(KeyError):
        await changes.start(conn, uuid4(), by="x")


async def test_the_public_sees_nothing_personal(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    told = complaint(
        text="SECRET text",
        address="SECRET street",
        reporter=Contact(name="SECRET name", email="SECRET@x.example", phone="SECRET"),
        entered_by="SECRET",
    )
    await file(pool, told, routed(told, reasons=["SECRET reason"], district="SECRET"))
    await conn.execute("UPDATE accounts SET name = 'SECRET colleague'")
    await changes.assign(conn, told.message_id, department=STREETS, assignee="dana.ruiz", by="x")
    await changes.add_note(
        conn, told.message_id, note_id=uuid4(), text="We come.", public=True, by="dana.ruiz"
    )
    await changes.add_note(
        conn, told.message_id, note_id=uuid4(), text="SECRET note", public=False, by="dana.ruiz"
    )
    await changes.close(conn, told.message_id, outcome="fixed", words="Done.", by="dana.ruiz")
    view = await public_view(conn, told.reference.replace("-", "").lower())
    assert view is not None
    assert (view.reference, view.status, view.outcome) == (
        told.reference,
        Status.CLOSED,
        Outcome.FIXED,
    )
    assert (view.department, view.closing_words) == (STREETS, "Done.")
    assert [note.text for note in view.notes] == ["We come."]
    assert [step.kind for step in view.steps] == ["opened", "routed", "assigned", "noted", "closed"]
    shown = str(asdict(view))
    assert "SECRET" not in shown
    assert "dana" not in shown.lower()
    assert "pat" not in shown.lower()
    assert await public_view(conn, "000-000-00") is None
    assert await public_view(conn, "' OR 1=1 --") is None
