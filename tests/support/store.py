"""What the store's tests share: telling it facts, and reading what it wants to tell."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from bus.codec import decode
from bus.contracts import ComplaintReceived, ComplaintRouted, Fact
from bus.identity import fact_id
from store import accounts
from store.service import listeners
from tests.support.facts import ASSIGNEE, NOON


async def hear(pool: asyncpg.Pool, durable: str, *facts: Fact) -> None:
    """Hand a batch to one of the store's listeners, as the worker loop does."""
    [listener] = [one for one in listeners(pool) if one.durable == durable]
    await listener.handle(facts)


async def file(pool: asyncpg.Pool, *facts: Fact) -> None:
    await hear(pool, "store_complaint", *facts)


def routed(complaint: ComplaintReceived, **other: object) -> ComplaintRouted:
    """Where the sample router says that a complaint belongs."""
    values: dict[str, object] = {
        "message_id": fact_id("routed", complaint.message_id),
        "occurred_at": NOON,
        "complaint_id": complaint.message_id,
        "reference": complaint.reference,
        "channel": complaint.channel,
        "problem_type": "Pothole/Street Maintenance",
        "confidence": 0.83,
        "alternatives": [{"problem_type": "Sinkhole", "confidence": 0.06}],
        "district": "District 2",
        "department": "MS-STREET MAINTENANCE",
        "assignee": ASSIGNEE,
        "reasons": ["the words say a pothole", "District 2: the point lies in it"],
        "model": "independence-1",
    }
    return ComplaintRouted.model_validate(values | other)


async def put_staff(conn: asyncpg.Connection) -> None:
    """Two people of streets and one of water."""
    for login, name, department in (
        ("pat.moore", "Pat Moore", "MS-STREET MAINTENANCE"),
        ("dana.ruiz", "Dana Ruiz", "MS-STREET MAINTENANCE"),
        ("lee.chan", "Lee Chan", "MS-WATER"),
    ):
        await accounts.put_person(
            conn,
            login=login,
            name=name,
            email=f"{login}@independence.example",
            phone="816-555-0111",
            department=department,
            roles=["staff"],
        )


TO_TELL = """
    SELECT tag, payload
    FROM outbox
    ORDER BY id
"""


async def to_tell(conn: asyncpg.Connection) -> Sequence[Fact]:
    """All that the outbox holds, told or not, in its order."""
    return [decode(row["payload"], row["tag"]) for row in await conn.fetch(TO_TELL)]


async def kinds(conn: asyncpg.Connection, case_id: UUID) -> list[str]:
    """The kinds of a case's events, oldest first."""
    rows = await conn.fetch("SELECT kind FROM events WHERE case_id = $1 ORDER BY id", case_id)
    return [row["kind"] for row in rows]
