"""
Who hears of a case besides its reporter: the reporters of the cases that were joined to it, and
those who were shown it when they told us of the same, and have no case of their own.

A joined case keeps its reporter and its followers; whoever asks for those of the case that stays
gets them too. So nothing has to be put back when it is taken out again.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from bus.contracts import ComplaintReceived, Contact, Follower, FollowerJoined
from bus.identity import fact_id
from store import cases, outbox
from store.contacts import reachable
from store.text import clean, clean_or_none

IN_ONE_FACT = 100
"""So many followers one fact names; more of them come in further facts."""


def new_stop_key() -> str:
    """What nobody can guess, for a link."""
    return secrets.token_urlsafe(18)


# ── joining and leaving ─────────────────────────────────────────────────────────────────────────

# Somebody who follows already, under the same address, is told nothing new.
FOLLOW = """
    INSERT INTO followers (
        id, case_id, name, email, phone, texts, language, channel, since, stop_key, reference
    )
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
    WHERE NOT EXISTS (
        SELECT FROM followers
        WHERE case_id = $2 AND stopped_at IS NULL
          AND ((email IS NULL AND phone = $5) OR lower(email) = lower($4))
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


async def follow(
    conn: asyncpg.Connection, case: cases.Case, complaint: ComplaintReceived, now: datetime
) -> bool:
    """
    Let whoever sent this follow the case, which the caller has locked; False for those who left
    no way to reach them, report it already, or follow it already.
    """
    who = complaint.reporter
    if not (who.email or who.phone) or _way(who) == _way(case.reporter):
        return False
    key = new_stop_key()
    fresh = await conn.fetchval(
        FOLLOW,
        complaint.message_id,
        case.id,
        clean_or_none(who.name),
        clean_or_none(who.email),
        clean_or_none(who.phone),
        who.texts,
        clean(complaint.language) or "en",
        clean(complaint.channel),
        complaint.occurred_at,
        key,
        clean(complaint.reference),
    )
    if fresh is None:
        return False
    [contact] = await reachable(conn, [who])
    follower = Follower(
        id=complaint.message_id,
        case_id=case.id,
        reference=complaint.reference,
        contact=contact,
        language=complaint.language,
        channel=complaint.channel,
        stop=key,
    )
    told = FollowerJoined(
        message_id=fact_id("case.follower_joined", complaint.message_id),
        occurred_at=now,
        case=cases.summary(case),
        follower=follower,
    )
    await outbox.append(conn, [told])
    return True


@dataclass(frozen=True)
class Following:
    """That somebody follows a case; as much of it as the page says on which they can stop."""

    reference: str
    problem_type: str | None
    stopped_at: datetime | None


BY_KEY = """
    SELECT f.reference, c.problem_type, f.stopped_at
    FROM followers f
    JOIN cases c ON c.id = f.case_id
    WHERE f.stop_key = $1
    UNION ALL
    SELECT c.reference, c.problem_type, m.stopped_at
    FROM merges m
    JOIN cases c ON c.id = m.case_id
    WHERE m.stop_key = $1
"""


async def by_stop_key(conn: asyncpg.Connection, key: str) -> Following | None:
    """Whom a link lets stop; None where there is nothing to stop any more."""
    row = await conn.fetchrow(BY_KEY, clean(key))
    return None if row is None else Following(**row)


STOP_FOLLOWER = """
    UPDATE followers
    SET stopped_at = $2
    WHERE stop_key = $1 AND stopped_at IS NULL
"""

STOP_REPORTER = """
    UPDATE merges
    SET stopped_at = $2
    WHERE stop_key = $1 AND stopped_at IS NULL
"""


async def stop_following(conn: asyncpg.Connection, key: str) -> None:
    """Whoever has this link hears no more; a second time changes nothing."""
    now = datetime.now(UTC)
    async with conn.transaction():
        await conn.execute(STOP_FOLLOWER, clean(key), now)
        await conn.execute(STOP_REPORTER, clean(key), now)


# ── who they are ────────────────────────────────────────────────────────────────────────────────

FOLLOWERS = """
    SELECT f.id, f.case_id, f.reference, f.name, f.email, f.phone, f.texts,
           f.language, f.channel, f.stop_key AS stop, f.since, f.stopped_at
    FROM cases c
    JOIN followers f ON f.case_id = c.id
    WHERE c.id = ANY ($1::uuid[]) OR c.merged_into = ANY ($1::uuid[])
    UNION ALL
    SELECT c.id, c.id, c.reference, c.reporter_name, c.reporter_email, c.reporter_phone,
           c.reporter_texts, c.language, c.channel, m.stop_key, c.opened_at, m.stopped_at
    FROM merges m
    JOIN cases c ON c.id = m.case_id
    WHERE m.into_id = ANY ($1::uuid[])
    ORDER BY since, id
"""


@dataclass(frozen=True)
class Listed:
    """A follower as staff see them."""

    follower: Follower
    since: datetime
    stopped_at: datetime | None
    """They want to hear no more."""


async def listed(conn: asyncpg.Connection, case_ids: Sequence[UUID]) -> list[Listed]:
    """
    Everybody who follows one of these cases or has followed it, with and without a way to reach
    them.
    """
    return await _listed(conn, await conn.fetch(FOLLOWERS, list(case_ids)))


async def _listed(conn: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> list[Listed]:
    contacts = await reachable(
        conn,
        [
            Contact(name=row["name"], email=row["email"], phone=row["phone"], texts=row["texts"])
            for row in rows
        ],
    )
    return [
        Listed(
            follower=Follower(
                id=row["id"],
                case_id=row["case_id"],
                reference=row["reference"],
                contact=contact,
                language=row["language"],
                channel=row["channel"],
                stop=row["stop"],
            ),
            since=row["since"],
            stopped_at=row["stopped_at"],
        )
        for row, contact in zip(rows, contacts, strict=True)
    ]


async def followers_of(conn: asyncpg.Connection, case: cases.Case) -> list[Follower]:
    """Those who are told what is told to the reporter: no person twice, and never the reporter."""
    told = [one.follower for one in await listed(conn, [case.id]) if one.stopped_at is None]
    return each_once(told, but=[case.reporter])


REPORTERS = """
    SELECT c.id, c.id AS case_id, c.reference, c.reporter_name AS name,
           c.reporter_email AS email, c.reporter_phone AS phone, c.reporter_texts AS texts,
           c.language, c.channel, '' AS stop, c.opened_at AS since,
           NULL::timestamptz AS stopped_at
    FROM cases c
    WHERE c.id = ANY ($1::uuid[])
    ORDER BY c.opened_at, c.id
"""


async def everybody_of(conn: asyncpg.Connection, case_ids: Sequence[UUID]) -> list[Follower]:
    """The reporters of these cases, and their followers: no person twice, whoever was first."""
    reporters = await _listed(conn, await conn.fetch(REPORTERS, list(case_ids)))
    told = [*reporters, *await listed(conn, case_ids)]
    return each_once([one.follower for one in told if one.stopped_at is None])


def each_once(told: Sequence[Follower], *, but: Sequence[Contact] = ()) -> list[Follower]:
    """The first of each person but these, without those who left no way to reach them."""
    seen = {_way(one) for one in but}
    found = []
    for one in told:
        way = _way(one.contact)
        if way and way not in seen:
            seen.add(way)
            found.append(one)
    return found


def in_parts(told: Sequence[Follower]) -> Iterator[tuple[Follower, ...]]:
    """Groups that a fact can name; one empty group when there is nobody."""
    for start in range(0, max(len(told), 1), IN_ONE_FACT):
        yield tuple(told[start : start + IN_ONE_FACT])


def _way(contact: Contact) -> str:
    """Where we would write to somebody: what makes two of them one person for us."""
    if contact.email and contact.email_works:
        return contact.email.strip().lower()
    return (contact.phone or contact.email or "").strip().lower()
