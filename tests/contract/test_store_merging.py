"""Two cases become one and two again: nobody is lost, nothing stays behind, whoever is quicker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from bus.contracts import (
    CaseClosed,
    CaseFollowed,
    CaseMerged,
    CaseNoted,
    CaseUnmerged,
    ComplaintReceived,
    Contact,
    FollowerJoined,
    Follows,
    NoticeQueued,
)
from store import cases, changes, followers, ledger, search
from store.merging import joined_to, merge, standing, unmerge
from store.model import NotAllowed, Outcome, Status
from store.public import public_view
from tests.support.facts import NOON, complaint
from tests.support.store import file, hear, kinds, put_staff, routed, to_tell

LUIS = Contact(name="Luis Ortiz", email="luis@resident.example", phone="+18165550177")
ANA = Contact(name="Ana Gil", email="ana@resident.example")
NOTICE = UUID(int=77)


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as acquired:
        await put_staff(acquired)
        yield acquired


async def filed(pool: asyncpg.Pool, number: int, **other: object) -> ComplaintReceived:
    told = complaint(number, **other)
    await file(pool, told, routed(told))
    return told


@pytest.fixture
async def two(pool: asyncpg.Pool) -> tuple[UUID, UUID]:
    """Rosa's case, which stays, and Luis's, which is joined to it in the tests."""
    stays = await filed(pool, 1)
    joins = await filed(pool, 2, reporter=LUIS)
    return stays.message_id, joins.message_id


async def row(conn: asyncpg.Connection, case_id: UUID) -> dict[str, Any]:
    return dict(await conn.fetchrow("SELECT * FROM cases WHERE id = $1", case_id))


async def case_of(conn: asyncpg.Connection, case_id: UUID) -> cases.Case:
    case = await cases.by_id(conn, case_id)
    assert case is not None
    return case


async def hearers(conn: asyncpg.Connection, case_id: UUID) -> list[str | None]:
    told = await followers.followers_of(conn, await case_of(conn, case_id))
    return [one.contact.email for one in told]


async def test_a_joined_case_is_closed_points_to_the_other_and_is_told_once(
    conn: asyncpg.Connection, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    for _ in range(2):
        case = await merge(conn, joins, into=stays, by="pat.moore", why="80 m away")
    assert case.id == stays
    joined = await case_of(conn, joins)
    assert (joined.status, joined.outcome, joined.merged_into) == (
        Status.CLOSED,
        Outcome.DUPLICATE,
        stays,
    )
    assert (await case_of(conn, stays)).status is Status.ASSIGNED
    [told] = [fact for fact in await to_tell(conn) if isinstance(fact, CaseMerged)]
    assert told.case.reporter.email == "luis@resident.example"
    assert (told.into_id, told.into_reference, told.merged_by) == (
        stays,
        case.reference,
        "Pat Moore",
    )
    [mine] = [one for one in await cases.history(conn, joins) if one.kind == "merged"]
    [theirs] = [one for one in await cases.history(conn, stays) if one.kind == "took_in"]
    assert mine.data == {"case_id": str(stays), "reference": case.reference, "why": "80 m away"}
    assert theirs.data["case_id"] == str(joins)
    assert (mine.by, theirs.by) == ("pat.moore", "pat.moore")
    assert [one.id for one in await search.desk(conn, "pat.moore")] == [stays]
    [line] = await search.desk(conn, "pat.moore")
    assert line.joined == 1
    [shown] = await joined_to(conn, stays)
    assert (shown.case.id, shown.by_name) == (joins, "Pat Moore")
    assert shown.case.attachments == joined.attachments != ()


@pytest.mark.parametrize("before", ["assigned", "in_progress", "triage"])
async def test_taking_it_out_restores_both_exactly(
    conn: asyncpg.Connection, two: tuple[UUID, UUID], before: str
) -> None:
    stays, joins = two
    if before == "in_progress":
        await changes.start(conn, joins, by="dana.ruiz")
    elif before == "triage":
        await changes.assign(conn, joins, department=None, assignee=None, by="dana.ruiz")
    was = [await row(conn, one) for one in two]
    heard = [await hearers(conn, one) for one in two]
    for _ in range(2):  # and again, after it was taken out
        await merge(conn, joins, into=stays, by="pat.moore")
        assert await row(conn, joins) != was[1]
        for _ in range(2):
            alone = await unmerge(conn, joins, by="pat.moore")
        assert [await row(conn, one) for one in two] == was
        assert [await hearers(conn, one) for one in two] == heard
        assert await conn.fetchval("SELECT count(*) FROM merges") == 0
    assert alone.status == before
    told = [fact for fact in await to_tell(conn) if isinstance(fact, CaseUnmerged)]
    assert [fact.out_of_id for fact in told] == [stays, stays]
    assert told[0].case.reference == alone.reference
    assert (await kinds(conn, joins))[-4:] == ["merged", "unmerged"] * 2
    assert (await kinds(conn, stays))[-4:] == ["took_in", "gave_back"] * 2


async def test_an_alarm_goes_along_and_comes_back(
    conn: asyncpg.Connection, pool: asyncpg.Pool, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    third = (await filed(pool, 3, reporter=ANA)).message_id
    await conn.execute("UPDATE cases SET emergency = true WHERE id <> $1", stays)
    was = [await row(conn, one) for one in (stays, joins, third)]
    for one in (joins, third):
        await merge(conn, one, into=stays, by="pat.moore")
    assert (await case_of(conn, stays)).emergency
    await unmerge(conn, joins, by="pat.moore")
    assert (await case_of(conn, stays)).emergency, "the third one is one, too"
    await unmerge(conn, third, by="pat.moore")
    assert [await row(conn, one) for one in (stays, joins, third)] == was


async def test_what_cannot_be_joined_is_refused_in_words(
    conn: asyncpg.Connection, pool: asyncpg.Pool, two: tuple[UUID, UUID]
) -> None:
    one, other = two
    third = (await filed(pool, 3, reporter=ANA)).message_id
    fresh = complaint(4)
    await file(pool, fresh)  # not routed yet

    async def refused(case: UUID, into: UUID, why: str) -> None:
        with pytest.raises(NotAllowed, match=why):
            await merge(conn, case, into=into, by="pat.moore")

    await refused(one, one, "to itself")
    await refused(fresh.message_id, one, "still being sorted")
    await merge(conn, other, into=one, by="pat.moore")
    await refused(one, other, "was itself joined")  # a circle
    await refused(one, third, "Other reports were joined")  # a chain
    await refused(third, other, "was itself joined")  # the same, from its other end
    await refused(other, third, "joined to another one already")
    with pytest.raises(NotAllowed, match="joined to another one already"):
        await changes.reopen(conn, other, reason="It is back.", by="pat.moore")
    await changes.close(conn, one, outcome="fixed", words="Done.", by="pat.moore")
    await refused(third, one, "That case is closed")
    await refused(one, third, "Other reports were joined")
    with pytest.raises(KeyError):
        await merge(conn, third, into=uuid4(), by="pat.moore")
    with pytest.raises(KeyError):
        await unmerge(conn, uuid4(), by="pat.moore")
    assert (await unmerge(conn, third, by="pat.moore")).status is Status.ASSIGNED


async def test_at_the_same_time_from_all_sides_no_chain_comes_about(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    some = [(await filed(pool, number)).message_id for number in range(1, 5)]

    async def join(case: UUID, into: UUID) -> None:
        async with pool.acquire() as own:
            try:
                await merge(own, case, into=into, by="pat.moore")
            except NotAllowed:
                with suppress(NotAllowed):  # somebody joined it just then
                    await unmerge(own, case, by="dana.ruiz")

    for _ in range(3):
        await asyncio.gather(*(join(one, other) for one, other in permutations(some, 2)))
    chains = """
        SELECT count(*)
        FROM cases c
        JOIN cases next ON next.id = c.merged_into
        WHERE next.merged_into IS NOT NULL
    """
    assert await conn.fetchval(chains) == 0
    pointing = "SELECT count(*) FROM cases WHERE merged_into IS NOT NULL"
    assert await conn.fetchval(pointing) == await conn.fetchval("SELECT count(*) FROM merges")
    for case_id in some:
        case = await case_of(conn, case_id)
        assert (case.merged_into is None) == (case.status is Status.ASSIGNED)


async def test_everybody_hears_of_what_is_said_and_of_the_end(
    conn: asyncpg.Connection, pool: asyncpg.Pool, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    rosa_again = await filed(pool, 3)
    anonymous = await filed(pool, 4, reporter=Contact())
    for one in (joins, rosa_again.message_id, anonymous.message_id):
        await merge(conn, one, into=stays, by="pat.moore")
    note = uuid4()
    for public, told in ((True, ["luis@resident.example"]), (False, [])):
        await changes.add_note(
            conn, stays, note_id=note if public else uuid4(), text="On it.", public=public, by="x"
        )
        *_, noted = await to_tell(conn)
        assert isinstance(noted, CaseNoted)
        assert [one.contact.email for one in noted.followers] == told
    await changes.close(conn, stays, outcome="fixed", words="Filled.", by="pat.moore")
    *_, closed = await to_tell(conn)
    assert isinstance(closed, CaseClosed)
    [luis] = closed.followers
    assert (luis.case_id, luis.reference) == (
        joins,
        (await case_of(conn, joins)).reference,
    )
    assert luis.stop


async def test_many_followers_come_in_several_facts(
    conn: asyncpg.Connection, two: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, joins = two
    monkeypatch.setattr(followers, "IN_ONE_FACT", 2)
    add = """
        INSERT INTO followers
            (id, case_id, reference, email, texts, language, channel, since, stop_key)
        SELECT gen_random_uuid(), $1, 'R' || n, 'f' || n || '@x.org', false, 'en', 'web', now(),
               n::text
        FROM generate_series(1, 4) AS n
    """
    await conn.execute(add, joins)  # followers of a joined case follow on
    await merge(conn, joins, into=stays, by="pat.moore")
    await changes.close(conn, stays, outcome="fixed", words="Filled.", by="pat.moore")
    closed = [fact for fact in await to_tell(conn) if isinstance(fact, CaseClosed)]
    assert [(len(one.followers), one.rest) for one in closed] == [
        (2, False),
        (2, True),
        (1, True),
    ]
    assert len({one.message_id for one in closed}) == 3


async def test_the_page_of_the_joined_reference_leads_on(
    conn: asyncpg.Connection, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    first, second = await case_of(conn, stays), await case_of(conn, joins)
    await changes.add_note(
        conn, joins, note_id=uuid4(), text="For Luis.", public=True, by="pat.moore"
    )
    await merge(conn, joins, into=stays, by="pat.moore")
    await changes.start(conn, stays, by="pat.moore")
    await changes.add_note(
        conn, stays, note_id=uuid4(), text="For both.", public=True, by="pat.moore"
    )
    view = await public_view(conn, second.reference)
    assert view is not None
    assert (view.reference, view.goes_on_as) == (second.reference, first.reference)
    assert view.status is Status.IN_PROGRESS
    assert [note.text for note in view.notes] == ["For Luis.", "For both."]
    other = await public_view(conn, first.reference)
    assert other is not None
    assert other.goes_on_as is None
    assert [note.text for note in other.notes] == ["For both."], "what Luis was told is his"
    await unmerge(conn, joins, by="pat.moore")
    view = await public_view(conn, second.reference)
    assert view is not None
    assert (view.goes_on_as, view.status) == (None, Status.ASSIGNED)


# ── what comes in later ─────────────────────────────────────────────────────────────────────────


async def test_an_answer_about_the_joined_case_reaches_the_one_that_stays(
    conn: asyncpg.Connection, pool: asyncpg.Pool, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    await merge(conn, joins, into=stays, by="pat.moore")
    queued = NoticeQueued(
        message_id=NOTICE,
        occurred_at=NOON,
        case_id=joins,
        reference="x",
        notice="joined",
        medium="email",
        recipient="luis@resident.example",
        text="x",
    )
    await hear(pool, "store_notice", queued)
    answer = complaint(
        9, "email", text="It is deeper.", reporter=LUIS, follows=Follows(notices=(NOTICE,))
    )
    for _ in range(2):
        await file(pool, answer, routed(answer, emergency=True))
    [note] = await cases.notes(conn, stays, public_only=False)
    assert (note.text, note.verified, note.from_outside) == ("It is deeper.", True, True)
    assert note.sender == "Luis Ortiz luis@resident.example", "it is not Rosa who wrote"
    joined, case = await case_of(conn, joins), await case_of(conn, stays)
    assert (joined.status, joined.merged_into) == (Status.CLOSED, stays)
    assert case.emergency
    assert [
        fact.case.case_id for fact in await to_tell(conn) if isinstance(fact, CaseFollowed)
    ] == [stays]


async def test_a_further_mail_of_the_joined_reporter_is_known_as_theirs(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    stays = await filed(pool, 1)
    first = complaint(2, "email", reporter=LUIS, follows=Follows(message_id="luis-1@resident"))
    await file(pool, first, routed(first))
    await merge(conn, first.message_id, into=stays.message_id, by="pat.moore")
    later = complaint(
        3, "email", reporter=LUIS, text="Still there.",
        follows=Follows(message_id="luis-2@resident", message_ids=("luis-1@resident",)),
    )  # fmt: skip
    await file(pool, later)
    [note] = await cases.notes(conn, stays.message_id, public_only=False)
    assert (note.text, note.verified) == ("Still there.", True)


async def test_a_further_text_of_the_joined_case_joins_the_one_that_stays(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    stays = await filed(pool, 1)
    phone = Contact(phone="+18165550177", texts=True)
    hints = Follows(conversation="+18165550100")
    first = complaint(2, "sms", reporter=phone, follows=hints)
    await file(pool, first, routed(first))
    await merge(conn, first.message_id, into=stays.message_id, by="pat.moore")
    later = complaint(
        3, "sms", reporter=phone, follows=hints, text="And a second hole.",
        occurred_at=NOON + timedelta(seconds=30), attachments=(),
    )  # fmt: skip
    await file(pool, later, routed(later))
    [note] = await cases.notes(conn, stays.message_id, public_only=False)
    assert (note.text, note.verified) == ("And a second hole.", True)
    case = await case_of(conn, stays.message_id)
    assert "second hole" not in case.text, "Rosa's report stays in her words"


# ── following without a case ────────────────────────────────────────────────────────────────────


def same(number: int, case_id: UUID, channel: str = "web", **other: object) -> ComplaintReceived:
    values: dict[str, object] = {
        "reporter": LUIS,
        "text": "Same hole, my bike broke.",
        "follows": Follows(same_as=case_id),
    }
    return complaint(number, channel, **(values | other))


async def test_who_reports_the_same_follows_and_their_words_and_photos_join_the_case(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    stays = await filed(pool, 1)
    again = same(2, stays.message_id)
    for _ in range(2):
        await file(pool, again, routed(again))
    entry = await ledger.entry(conn, again.message_id)
    assert entry is not None
    assert (entry.state, entry.case_id) == ("filed", stays.message_id)
    assert await cases.by_id(conn, again.message_id) is None
    [note] = await cases.notes(conn, stays.message_id, public_only=False)
    assert (note.text, note.verified, note.public) == ("Same hole, my bike broke.", False, False)
    assert note.attachments == again.attachments
    [one] = await followers.listed(conn, [stays.message_id])
    assert (one.follower.contact.email, one.follower.reference, one.stopped_at) == (
        LUIS.email,
        again.reference,
        None,
    )
    case = await cases.by_reference(conn, again.reference)
    assert case is not None
    assert case.id == stays.message_id
    view = await public_view(conn, again.reference)
    assert view is not None
    assert (view.reference, view.goes_on_as) == (again.reference, stays.reference)
    found = await search.find(conn, search.Filter(words=again.reference))
    assert [each.id for each in found.cases] == [stays.message_id]
    [joined] = [fact for fact in await to_tell(conn) if isinstance(fact, FollowerJoined)]
    assert joined.follower == one.follower
    [followed] = [fact for fact in await to_tell(conn) if isinstance(fact, CaseFollowed)]
    assert (followed.same, followed.verified) == (True, False)
    assert (await kinds(conn, stays.message_id)).count("reported_again") == 1
    assert await followers.by_stop_key(conn, one.follower.stop) is not None


async def test_a_follower_stops_by_the_link_and_may_come_back(
    conn: asyncpg.Connection, pool: asyncpg.Pool, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    await merge(conn, joins, into=stays, by="pat.moore")
    await file(pool, same(5, stays, reporter=ANA))
    for _ in range(2):
        for one in await followers.listed(conn, [stays]):
            await followers.stop_following(conn, one.follower.stop)
    assert await hearers(conn, stays) == []
    assert all(one.stopped_at for one in await followers.listed(conn, [stays]))
    await followers.stop_following(conn, "no such key")
    assert await followers.by_stop_key(conn, "no such key\x00") is None
    await file(pool, same(6, stays, reporter=ANA))
    assert await hearers(conn, stays) == ["ana@resident.example"]


async def test_who_follows_already_reported_it_or_left_no_address_is_no_new_follower(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    stays = await filed(pool, 1)
    here = stays.message_id
    tell = [same(2, here), same(3, here), same(4, here, reporter=stays.reporter)]
    for one in (*tell, same(5, here, reporter=Contact(name="Nobody"))):
        await file(pool, one)
    assert len(await followers.listed(conn, [here])) == 1
    assert len([one for one in await to_tell(conn) if isinstance(one, FollowerJoined)]) == 1
    assert len(await cases.notes(conn, here, public_only=False)) == 4, "their words count"


async def test_a_call_about_the_same_is_trusted_and_follows_where_the_case_went(
    conn: asyncpg.Connection, pool: asyncpg.Pool, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    await merge(conn, joins, into=stays, by="pat.moore")
    call = same(5, joins, "phone", reporter=ANA, entered_by="tess.calloway")
    await file(pool, call)
    [note] = await cases.notes(conn, stays, public_only=False)
    assert (note.verified, note.sender) == (True, "Ana Gil ana@resident.example")
    assert "ana@resident.example" in await hearers(conn, stays)


async def test_the_same_as_a_case_that_is_closed_by_now_is_a_case_of_its_own(
    conn: asyncpg.Connection, pool: asyncpg.Pool
) -> None:
    stays = await filed(pool, 1)
    await changes.close(conn, stays.message_id, outcome="fixed", words="Done.", by="pat.moore")
    late, nowhere = same(2, stays.message_id), same(3, uuid4())
    await file(pool, late, nowhere)
    for told in (late, nowhere):
        assert (await case_of(conn, told.message_id)).text == told.text
    assert await followers.listed(conn, [stays.message_id]) == []


async def test_the_one_that_stays_is_found_from_either(
    conn: asyncpg.Connection, two: tuple[UUID, UUID]
) -> None:
    stays, joins = two
    await merge(conn, joins, into=stays, by="pat.moore")
    async with conn.transaction():
        for asked in two:
            case = await standing(conn, asked)
            assert case is not None
            assert case.id == stays
        assert await standing(conn, uuid4()) is None
