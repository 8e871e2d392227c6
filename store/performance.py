"""
How the city does, read from `counted_cases`: what was opened, closed and first acted upon in a
span, how long that took, and what is open now.

How long something took is counted by the minute up to two hours, by ten minutes up to two days,
by the hour up to two weeks, and by the nearest day beyond. So there are few different numbers,
and no million of them has to be sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

_LONG = 30.0  # seconds


@dataclass(frozen=True)
class Fold:
    """A city's other names for things, the days in which it wants to be done, by its own names."""

    types: Mapping[str, str] = field(default_factory=dict)
    departments: Mapping[str, str] = field(default_factory=dict)
    act_days: Mapping[str, float] = field(default_factory=dict)
    close_days: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Cases that have one thing in common."""

    by: str
    """`problem_type`, `department`, `district`, `channel`, `assignee`; empty: all of them."""
    name: str | None
    """None: they have none. `ELSEWHERE`: a place that is known and in no district."""


WHOLE = Group("", None)
ELSEWHERE = "\x01elsewhere"
"""Stands for a district's name; the first letter is one that no name can begin with."""


@dataclass(frozen=True)
class OpenedCount:
    """What was opened in a span, and what has become of it since."""

    opened: int
    reopened: int
    duplicates: int
    type_foretold: int
    type_corrected: int
    department_foretold: int
    department_corrected: int


@dataclass(frozen=True)
class Took:
    """How long it took; `None` where nothing is timed."""

    cases: int
    """All of them, the timed and the others."""
    timed: int
    median: int | None
    """Minutes: no more than half of the timed took less, and no more than half took longer."""
    p90: int | None
    aimed: int
    """Of the timed, those of a type for which the city has an aim."""
    in_time: int


NOTHING_TOOK = Took(0, 0, None, None, 0, 0)


@dataclass(frozen=True)
class OpenNow:
    """What is open at this moment, by its age in days."""

    cases: int
    week: int
    """Younger than 7 days."""
    month: int
    """7 to 30."""
    quarter: int
    """30 to 90."""
    year: int
    """90 to 365."""
    older: int
    late_to_act: int
    """Nobody has acted, and the aim is over."""
    late_to_close: int


@dataclass(frozen=True)
class Totals:
    """The figures of a span that another one is compared with."""

    opened: OpenedCount
    first_action: Took
    closing: Took


@dataclass(frozen=True)
class Place:
    name: str
    count: int


@dataclass(frozen=True)
class Block:
    """A square of about a hundred metres; its middle."""

    lat: float
    lon: float
    count: int


BY = ("problem_type", "department", "district", "channel")

# Another system's empty district may mean anything; our own says that the point lies in none.
_RAW = {
    "problem_type": "c.problem_type",
    "department": "c.department",
    "district": "CASE WHEN c.district IS NULL AND c.lat IS NOT NULL AND NOT c.imported"
    " THEN E'\\x01elsewhere' ELSE c.district END",
    "channel": "c.channel",
    "assignee": "c.assignee",
}
_FOLDED = {
    "problem_type": "coalesce(t.name, r.problem_type)",
    "department": "CASE WHEN lower(r.department) IN ('no department', 'no department assigned')"
    " THEN NULL ELSE coalesce(d.name, r.department) END",
    "district": "CASE WHEN lower(r.district) IN ('other', 'others') THEN E'\\x01elsewhere'"
    " WHEN lower(r.district) IN ('no district', 'no district assigned') THEN NULL"
    " ELSE r.district END",
    "channel": "r.channel",
    "assignee": "r.assignee",
}
_AIMS = """
    unnest($3::text[], $4::text[], $5::float8[], $6::float8[])
        AS {name} (alias, name, act_days, close_days)
"""
# Names are folded when most of the counting is done: there are few of them, and many cases.
_FOLD = """
    LEFT JOIN {types} ON t.alias = {problem_type}
    LEFT JOIN unnest($7::text[], $8::text[]) AS d (alias, name) ON d.alias = {department}
"""
OPENED = """
    WITH r AS (
        SELECT {raw}
               count(*) AS opened,
               count(c.reopened_at) AS reopened,
               count(*) FILTER (WHERE c.outcome = 'duplicate') AS duplicates,
               count(*) FILTER (WHERE c.type_foretold) AS type_foretold,
               count(*) FILTER (WHERE c.type_corrected) AS type_corrected,
               count(*) FILTER (WHERE c.department_foretold) AS department_foretold,
               count(*) FILTER (WHERE c.department_corrected) AS department_corrected
        FROM counted_cases c
        WHERE c.opened_at >= $1 AND c.opened_at < $2
        {group_by_places}
    ), folded AS (
        SELECT {folded} r.opened, r.reopened, r.duplicates, r.type_foretold, r.type_corrected,
               r.department_foretold, r.department_corrected
        FROM r {fold}
    )
    SELECT {which}, {sums}
    FROM folded
    GROUP BY GROUPING SETS ({sets})
"""
_OPENED_SUMS = ", ".join(
    f"coalesce(sum({name}), 0)::int AS {name}"
    for name in (
        *("opened", "reopened", "duplicates", "type_foretold", "type_corrected"),
        *("department_foretold", "department_corrected"),
    )
)
# What was joined with another case was closed by that, which tells nothing of how long work takes.
TOOK = """
    WITH timed AS (
        SELECT {raw} a.{aim} * 1440 AS aim,
               CASE WHEN {timed} THEN
                   greatest(0, floor(date_part('epoch', c.{until} - c.opened_at) / 60))::int
               END AS minutes
        FROM counted_cases c
        LEFT JOIN {aims} ON a.alias = c.problem_type
        WHERE c.{until} >= $1 AND c.{until} < $2
        OFFSET 0  -- or all of this would be computed again for each way to count
    ), stepped AS (
        SELECT {columns} aim, minutes,
               CASE WHEN minutes < 120 THEN minutes
                    WHEN minutes < 2880 THEN minutes / 10 * 10
                    WHEN minutes < 20160 THEN minutes / 60 * 60
                    ELSE (minutes + 720) / 1440 * 1440 END AS step
        FROM timed
        OFFSET 0
    ), r AS (
        SELECT {which}, step, count(*) AS cases,
               count(*) FILTER (WHERE minutes IS NOT NULL AND aim IS NOT NULL) AS aimed,
               count(*) FILTER (WHERE minutes <= aim) AS in_time
        FROM stepped
        GROUP BY GROUPING SETS ({sets})
    ), named AS (
        -- Sorted as bytes, which is much quicker than as words.
        SELECT r.which, ({name}) COLLATE "C" AS name, r.step, r.cases, r.aimed, r.in_time
        FROM r {fold}
    ), ranked AS (
        SELECT *, sum(cases) OVER (PARTITION BY which, name ORDER BY step) AS upto,
               sum(cases) FILTER (WHERE step IS NOT NULL) OVER (PARTITION BY which, name) AS timed
        FROM named
    )
    SELECT which, name, sum(cases)::int AS cases, coalesce(max(timed), 0)::int AS timed,
           min(step) FILTER (WHERE upto >= ceil(timed * 0.5)) AS median,
           min(step) FILTER (WHERE upto >= ceil(timed * 0.9)) AS p90,
           sum(aimed)::int AS aimed, sum(in_time)::int AS in_time
    FROM ranked
    GROUP BY which, name
"""
OPEN_NOW = """
    WITH r AS (
        SELECT {raw} $1::timestamptz - c.opened_at AS age,
               NOT c.imported AND c.first_action_at IS NULL
                   AND c.opened_at + a.act_days * interval '1 day' < $1 AS late_to_act,
               c.opened_at + a.close_days * interval '1 day' < $1 AS late_to_close
        FROM counted_cases c
        LEFT JOIN {aims} ON a.alias = c.problem_type
        WHERE c.closed_at IS NULL AND c.opened_at < $2
    ), folded AS (
        SELECT {folded} r.age, r.late_to_act, r.late_to_close
        FROM r {fold}
    )
    SELECT {which}, count(*) AS cases,
           count(*) FILTER (WHERE age < interval '7 days') AS week,
           count(*) FILTER (WHERE age >= interval '7 days' AND age < interval '30 days') AS month,
           count(*) FILTER (WHERE age >= interval '30 days' AND age < interval '90 days')
               AS quarter,
           count(*) FILTER (WHERE age >= interval '90 days' AND age < interval '365 days') AS year,
           count(*) FILTER (WHERE age >= interval '365 days') AS older,
           count(*) FILTER (WHERE late_to_act) AS late_to_act,
           count(*) FILTER (WHERE late_to_close) AS late_to_close
    FROM folded
    GROUP BY GROUPING SETS ({sets})
"""
PLACES = """
    SELECT c.place AS name, count(*)::int AS count
    FROM counted_cases c
    WHERE c.opened_at >= $1 AND c.opened_at < $2 AND c.place IS NOT NULL
      AND c.outcome IS DISTINCT FROM 'duplicate'
    GROUP BY c.place
    HAVING count(*) >= $3
    ORDER BY count(*) DESC, c.place
    LIMIT $4
"""
BLOCKS = """
    SELECT round(c.lat * 1000)::int / 1000.0::float8 AS lat,
           round(c.lon * 1000)::int / 1000.0::float8 AS lon, count(*)::int AS count
    FROM counted_cases c
    WHERE c.opened_at >= $1 AND c.opened_at < $2 AND c.lat IS NOT NULL AND c.lon IS NOT NULL
    GROUP BY 1, 2
    HAVING count(*) >= $3
    ORDER BY count(*) DESC, 1, 2
    LIMIT $4
"""
NAMES = "SELECT login, name FROM accounts WHERE login = ANY ($1::text[])"
# Compiling such a question takes longer than answering it, and sorting a million names for each
# way to count them, as would be chosen, five times as long as looking each up in a table.
QUICK = """
    SET LOCAL jit = off;
    SET LOCAL enable_sort = off;
    SET LOCAL work_mem = '64MB';
    SET LOCAL hash_mem_multiplier = 64
"""


async def opened(
    conn: asyncpg.Connection, begin: datetime, end: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, OpenedCount]:
    """What was opened from `begin` until before `end`, all of it and by each of `by`."""
    # Who has a case is asked apart: there would be too many different ones.
    told: dict[Group, OpenedCount] = {}
    for some in (tuple(name for name in by if name != "assignee"), ("assignee",)):
        if some != ("assignee",) or "assignee" in by:
            asked = await _asked(conn, _put(OPENED, some), begin, end, fold, some)
            told |= {group: OpenedCount(**rest) for group, rest in asked}
    return told


async def closing(
    conn: asyncpg.Connection, begin: datetime, end: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, Took]:
    """
    What was closed in the span, and how long that took since it was opened. Not timed: what was
    joined with another case, and what another system closed without saying how long it took.
    """
    timed = "c.timed AND c.outcome IS DISTINCT FROM 'duplicate'"
    return await _took(conn, begin, end, fold, by, ("closed_at", "close_days", timed))


async def first_actions(
    conn: asyncpg.Connection, begin: datetime, end: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, Took]:
    """What somebody who works for the city first acted upon in the span, and how soon."""
    return await _took(conn, begin, end, fold, by, ("first_action_at", "act_days", "true"))


async def totals(conn: asyncpg.Connection, begin: datetime, end: datetime, fold: Fold) -> Totals:
    """A span's figures as a whole."""
    return Totals(
        (await opened(conn, begin, end, fold, ()))[WHOLE],
        (await first_actions(conn, begin, end, fold, ()))[WHOLE],
        (await closing(conn, begin, end, fold, ()))[WHOLE],
    )


async def open_now(
    conn: asyncpg.Connection, now: datetime, fold: Fold, by: Sequence[str] = BY
) -> dict[Group, OpenNow]:
    """What is open, by its age."""
    asked = await _asked(conn, _put(OPEN_NOW, by), now, now, fold, by)
    return {group: OpenNow(**rest) for group, rest in asked}


async def repeat_places(
    conn: asyncpg.Connection, begin: datetime, end: datetime, *, least: int, limit: int
) -> list[Place]:
    """The addresses with the most requests, those joined with another left out."""
    rows = await conn.fetch(PLACES, begin, end, least, limit, timeout=_LONG)
    return [Place(**row) for row in rows]


async def blocks(
    conn: asyncpg.Connection, begin: datetime, end: datetime, *, least: int, limit: int
) -> list[Block]:
    """Where requests come from, by squares of a thousandth of a degree; most first."""
    rows = await conn.fetch(BLOCKS, begin, end, least, limit, timeout=_LONG)
    return [Block(**row) for row in rows]


async def names_of_people(conn: asyncpg.Connection, logins: Sequence[str]) -> dict[str, str]:
    return {row["login"]: row["name"] for row in await conn.fetch(NAMES, list(logins))}


async def _took(
    conn: asyncpg.Connection,
    begin: datetime,
    end: datetime,
    fold: Fold,
    by: Sequence[str],
    what: tuple[str, str, str],
) -> dict[Group, Took]:
    until, aim, timed = what
    query = _put(TOOK, by, "step", until=until, aim=aim, timed=timed)
    asked = await _asked(conn, query, begin, end, fold, by)
    return {WHOLE: NOTHING_TOOK} | {group: Took(**rest) for group, rest in asked}


def _put(query: str, by: Sequence[str], beside: str = "", **words: str) -> str:
    """A question about all cases and about those of each of `by`; only our own words go in."""
    columns = ", ".join(by)
    sets = [[name, beside] for name in by] + [[beside]]
    cases = " ".join(f"WHEN {bit} THEN {_FOLDED[name]}" for bit, name in _bits(by).items())
    return query.format(
        raw="".join(f"{_RAW[name]} AS {name}, " for name in by),
        columns="".join(f"{name}, " for name in by),
        folded="".join(f"{_FOLDED[name]} AS {name}, " for name in by),
        fold=_FOLD.format(
            types=_AIMS.format(name="t"),
            problem_type="r.problem_type" if "problem_type" in by else "NULL",
            department="r.department" if "department" in by else "NULL",
        ),
        aims=_AIMS.format(name="a"),
        which=f"grouping({columns}) AS which, {columns}" if by else "0 AS which",
        name=f"CASE r.which {cases} END" if by else "NULL::text",
        group_by_places=f"GROUP BY {', '.join(str(n + 1) for n in range(len(by)))}" if by else "",
        sums=_OPENED_SUMS,
        sets=", ".join(f"({', '.join(name for name in one if name)})" for one in sets),
        **words,
    )


async def _asked(
    conn: asyncpg.Connection,
    query: str,
    begin: datetime,
    end: datetime,
    fold: Fold,
    by: Sequence[str],
) -> list[tuple[Group, dict[str, int]]]:
    types = sorted({*fold.types, *fold.act_days, *fold.close_days})
    own = [fold.types.get(name, name) for name in types]
    async with conn.transaction():
        await conn.execute(QUICK)
        rows = await conn.fetch(
            query,
            begin,
            end,
            types,
            own,
            [fold.act_days.get(name) for name in own],
            [fold.close_days.get(name) for name in own],
            list(fold.departments),
            list(fold.departments.values()),
            timeout=_LONG,
        )
    bits = _bits(by)
    told = []
    for row in rows:
        rest = dict(row)
        named = bits.get(rest.pop("which"), "")
        names = {one: rest.pop(one) for one in by if one in rest}
        name = rest.pop("name", None)
        told.append((Group(named, names.get(named, name)), rest))
    return told


def _bits(by: Sequence[str]) -> dict[int, str]:
    # PostgreSQL writes a bit for each column: 0 for the one by which a row is grouped.
    return {(1 << len(by)) - 1 - (1 << place): name for place, name in enumerate(reversed(by))}
