"""
Joining a case to another one that is about the same problem, and taking it out again.

The joined case is closed and points to the one that stays; what it was stands in `merges`. Its
reporter, notes and files stay its own, and are shown with the other (`store/followers.py`), so
that taking it out restores both. Whoever joins or takes out locks both cases in the order of their
ids, as everybody does who locks more than one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from bus.contracts import CaseMerged, CaseUnmerged
from store import outbox
from store.cases import Case, by_id, locked, summary
from store.changes import name_of, the_locked
from store.followers import new_stop_key
from store.model import Action, NotAllowed, Status, check_change
from store.records import NewEvent, add_events

_MOST_STEPS = 3  # until a case stands still: one is enough, unless somebody joins it meanwhile

LOCK_BOTH = """
    SELECT id
    FROM cases
    WHERE id = ANY ($1::uuid[])
    ORDER BY id
    FOR UPDATE
"""

JOIN = """
    UPDATE cases
    SET status = 'closed', outcome = 'duplicate', closing_words = '', closed_at = $3,
        merged_into = $2, placed_by = $4
    WHERE id = $1
"""

REMEMBER = """
    INSERT INTO merges (
        case_id, into_id, at, by, status_before, placed_by_before, raised_alarm, stop_key
    )
    SELECT id, $2, $3, $4, $5, placed_by, $6, $7
    FROM cases
    WHERE id = $1
"""

RAISE_ALARM = """
    UPDATE cases
    SET emergency = true
    WHERE id = $1
"""

HAS_JOINED = "SELECT EXISTS (SELECT FROM cases WHERE merged_into = $1)"


async def merge(
    conn: asyncpg.Connection, case_id: UUID, *, into: UUID, by: str, why: str = ""
) -> Case:
    """
    Join a case to another one, which goes on for both; that one is returned. `why` is kept in
    both histories. Joined already, it changes nothing.

    Raises `NotAllowed` for what cannot be joined, `KeyError` for a case that is not there.
    """
    if case_id == into:
        raise NotAllowed("A case cannot be joined to itself.")
    async with conn.transaction():
        case, other = await _both(conn, case_id, into)
        if case.merged_into == other.id:
            return other
        if case.merged_into is not None:
            raise NotAllowed(
                "This case was joined to another one already. Take it out there first."
            )
        if other.merged_into is not None:
            raise NotAllowed(
                "That case was itself joined to another one. Choose the one that it was joined to."
            )
        if await conn.fetchval(HAS_JOINED, case.id):
            raise NotAllowed(
                "Other reports were joined to this case. Join that case to this one instead."
            )
        if other.status is Status.CLOSED:
            raise NotAllowed("That case is closed. Open it again first, or choose another one.")
        check_change(case.status, Status.CLOSED, Action.MERGE)
        now = datetime.now(UTC)
        raises = case.emergency and not other.emergency
        await conn.execute(
            REMEMBER, case.id, other.id, now, by, case.status.value, raises, new_stop_key()
        )
        await conn.execute(JOIN, case.id, other.id, now, by)
        if raises:
            await conn.execute(RAISE_ALARM, other.id)
        await _happened(conn, case, "merged", other, by, now, public=True, why=why)
        await _happened(conn, other, "took_in", case, by, now, public=False, why=why)
        told = CaseMerged(
            message_id=uuid4(),
            occurred_at=now,
            case=summary(case),
            into_id=other.id,
            into_reference=other.reference,
            merged_by=await name_of(conn, by),
        )
        await outbox.append(conn, [told])
        return await by_id(conn, other.id) or other


BEFORE = """
    SELECT status_before, placed_by_before, raised_alarm
    FROM merges
    WHERE case_id = $1
"""

TAKE_OUT = """
    UPDATE cases
    SET status = $2, outcome = NULL, closing_words = NULL, closed_at = NULL,
        merged_into = NULL, placed_by = $3
    WHERE id = $1
"""

FORGET = "DELETE FROM merges WHERE case_id = $1"

# The alarm was another report's as well, or a further message's, or it ends with this one.
HAND_ALARM_ON = """
    UPDATE merges
    SET raised_alarm = true
    WHERE case_id = (
        SELECT m.case_id
        FROM merges m
        JOIN cases c ON c.id = m.case_id
        WHERE m.into_id = $1 AND c.emergency
        ORDER BY m.at, m.case_id
        LIMIT 1
    )
    RETURNING case_id
"""

END_ALARM = """
    UPDATE cases
    SET emergency = false
    WHERE id = $1
      AND NOT EXISTS (
          SELECT FROM events e
          WHERE e.case_id = $1 AND (e.kind = 'emergency' OR e.data ->> 'emergency' = 'true')
      )
"""


async def unmerge(conn: asyncpg.Connection, case_id: UUID, *, by: str) -> Case:
    """
    Take a case out of the one that it was joined to. Both are what they were; what was told while
    they were one stays with the case that stayed. Taken out already, it changes nothing.

    Raises `KeyError` for a case that is not there.
    """
    async with conn.transaction():
        into = await conn.fetchval("SELECT merged_into FROM cases WHERE id = $1", case_id)
        case, other = await _both(conn, case_id, into or case_id)
        if case.merged_into is None:
            return case
        if case.merged_into != other.id:
            raise NotAllowed("Somebody joined it to another case just now. Look at it again.")
        before = await conn.fetchrow(BEFORE, case.id)
        after = Status(before["status_before"])
        check_change(case.status, after, Action.UNMERGE)
        now = datetime.now(UTC)
        await conn.execute(FORGET, case.id)
        await conn.execute(TAKE_OUT, case.id, after.value, before["placed_by_before"])
        if before["raised_alarm"] and await conn.fetchval(HAND_ALARM_ON, other.id) is None:
            await conn.execute(END_ALARM, other.id)
        await _happened(conn, case, "unmerged", other, by, now, public=True)
        await _happened(conn, other, "gave_back", case, by, now, public=False)
        alone = await by_id(conn, case.id) or case
        told = CaseUnmerged(
            message_id=uuid4(),
            occurred_at=now,
            case=summary(alone),
            out_of_id=other.id,
            out_of_reference=other.reference,
            unmerged_by=await name_of(conn, by),
        )
        await outbox.append(conn, [told])
        return alone


async def standing(conn: asyncpg.Connection, case_id: UUID) -> Case | None:
    """
    The case that goes on for this one, itself where nobody joined it; nobody else can change it
    before this transaction ends. None where there is none.
    """
    for _ in range(_MOST_STEPS):
        # Only the one that stays is locked: whoever joins two locks both in their order.
        stays = await conn.fetchval(
            "SELECT coalesce(merged_into, id) FROM cases WHERE id = $1", case_id
        )
        case = None if stays is None else await locked(conn, stays)
        if case is None or case.merged_into is None:
            return case
        case_id = case.id
    raise RuntimeError(f"case {case_id} is joined to another one again and again")


@dataclass(frozen=True)
class Joined:
    """A case that was joined to another one."""

    case: Case
    at: datetime
    by_name: str


JOINED = """
    SELECT m.case_id, m.at, coalesce(a.name, m.by) AS by_name
    FROM merges m
    LEFT JOIN accounts a ON a.login = m.by
    WHERE m.into_id = $1
    ORDER BY m.at, m.case_id
"""


async def joined_to(conn: asyncpg.Connection, case_id: UUID) -> list[Joined]:
    """The cases that were joined to this one, in that order. For staff."""
    found = []
    for row in await conn.fetch(JOINED, case_id):
        case = await by_id(conn, row["case_id"])
        if case is not None:
            found.append(Joined(case, row["at"], row["by_name"]))
    return found


async def _both(conn: asyncpg.Connection, one: UUID, other: UUID) -> tuple[Case, Case]:
    await conn.execute(LOCK_BOTH, [one, other])
    return await the_locked(conn, one), await the_locked(conn, other)


async def _happened(
    conn: asyncpg.Connection,
    case: Case,
    kind: str,
    other: Case,
    by: str,
    now: datetime,
    *,
    public: bool,
    why: str = "",
) -> None:
    data: dict[str, object] = {"case_id": str(other.id), "reference": other.reference}
    if why:
        data["why"] = why
    event = NewEvent(case_id=case.id, at=now, kind=kind, by=by, public=public, data=data)
    await add_events(conn, [event])
