"""
The public record: cases as everybody may know them, found quickly among a million.

What a city keeps private (`PublicRules`) is in no answer, no count and no filter: a place is
filtered as it is shown, so that nobody can feel their way to the exact one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from store.model import Outcome, Status

_APPS = "open311"  # the channel of reports whose words their app publishes itself


@dataclass(frozen=True)
class PublicRules:
    """What a city publishes; `none`, `apps` (only what came through an app) or `everyone`."""

    types: tuple[str, ...]
    """The problem types whose cases are public; cases that have no type yet always are."""
    known: tuple[str, ...]
    """Every problem type of the city: what else a sender chose counts as none."""
    words: str = "none"
    photos: str = "none"
    exact_places: bool = False
    notes: bool = True


@dataclass(frozen=True)
class Wanted:
    """What is looked for; None means any."""

    references: Sequence[str] | None = None
    """Then nothing else counts."""
    types: Sequence[str] | None = None
    unsorted: bool = False
    """Beside `types`: the cases that have no type yet."""
    closed: bool | None = None
    opened_from: datetime | None = None
    opened_until: datetime | None = None
    updated_from: datetime | None = None
    updated_until: datetime | None = None
    box: tuple[float, float, float, float] | None = None
    """West, south, east, north, in degrees."""
    near: tuple[float, float, float] | None = None
    """Latitude, longitude, metres."""
    words: Sequence[tuple[str, Sequence[str]]] = ()
    """
    Beginnings of words, folded, all of which have to be there, each with the problem types whose
    name has it. Finds too much: the text that is searched is not the one that is shown.
    """


@dataclass(frozen=True)
class After:
    """The last case of a page: the next one begins behind it."""

    opened_at: datetime
    id: UUID


@dataclass(frozen=True)
class PublicRow:
    """
    A case, with what is needed to tell it in public. `text`, `note` and `closing_words` are as
    they were written: whoever shows them takes out what could name a person, `names` among it.
    """

    id: UUID
    reference: str
    status: Status
    outcome: Outcome | None
    problem_type: str | None
    channel: str
    text: str | None
    """None: these words are not public."""
    department: str | None
    district: str | None
    opened_at: datetime
    closed_at: datetime | None
    updated_at: datetime
    address: str | None
    lat: float | None
    lon: float | None
    """As precise as is public."""
    closing_words: str | None
    note: str | None
    """The newest public one."""
    photos: int
    """How many are public."""
    parent: str | None
    """The reference of the case that it was joined to, where that is public."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class PublicChange:
    """Something that everybody may know happened to a case; `kind` as in the case's history."""

    id: int
    case_id: UUID
    reference: str
    at: datetime
    kind: str
    department: str | None
    outcome: str | None
    text: str | None
    """Of a note, or the closing words, as they were written."""
    names: tuple[str, ...]


CHANGES = ("opened", "routed", "assigned", "started", "noted", "closed", "reopened")

# A change of the type is no news for the reporter, but it moves the case in the public record.
_UPDATED = """
    CASE WHEN c.status = 'closed' THEN c.closed_at
    ELSE greatest(c.opened_at, (
        SELECT max(e.at) FROM events e
        WHERE e.case_id = c.id AND (e.public OR e.kind IN ('retyped', 'amended'))
    )) END
"""
_ORDER = " ORDER BY c.opened_at DESC, c.id DESC"
# Of an app that reported it, the address by which it is known stands before the first slash.
NAMED = """
    SELECT c.id, {visible} AS visible,
           (
               SELECT split_part(l.external_id, '/', 1)
               FROM complaints l
               WHERE l.id = c.id AND l.channel = 'open311'
           ) AS app
    FROM cases c
    WHERE c.reference = {reference}
"""


class _Asked:
    """A question that is put together: only what is asked for stands in it."""

    def __init__(self, rules: PublicRules) -> None:
        self.rules = rules
        self.values: list[object] = []
        known, types = self.value(list(rules.known)), self.value(list(rules.types))
        # What a sender chose may be any word; only the city's own types are told.
        self.kind = (
            "coalesce(c.problem_type, "
            f"CASE WHEN c.chosen_type = ANY ({known}::text[]) THEN c.chosen_type END)"
        )
        self.visible = f"({self.kind} IS NULL OR {self.kind} = ANY ({types}::text[]))"
        self.conditions = [self.visible]
        self.lat, self.lon = "c.lat", "c.lon"
        if not rules.exact_places:
            self.lat, self.lon = (
                f"floor({one} * 1000 + 0.5) / 1000" for one in (self.lat, self.lon)
            )

    def value(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def where(self, wanted: Wanted) -> None:
        add = self.conditions.append
        if wanted.references is not None:
            add(f"c.reference = ANY ({self.value(list(wanted.references))}::text[])")
            return
        if wanted.types is not None:
            of_types = (
                "coalesce(c.problem_type, c.chosen_type) = "
                f"ANY ({self.value(list(wanted.types))}::text[])"
            )
            add(f"({of_types} OR {self.kind} IS NULL)" if wanted.unsorted else of_types)
        if wanted.closed is not None:
            add("c.status = 'closed'" if wanted.closed else "c.status <> 'closed'")
        if wanted.opened_from is not None:
            add(f"c.opened_at >= {self.value(wanted.opened_from)}")
        if wanted.opened_until is not None:
            add(f"c.opened_at <= {self.value(wanted.opened_until)}")
        self._updated(wanted)
        if wanted.box is not None:
            west, south, east, north = (self.value(one) for one in wanted.box)
            add(f"{self.lon} BETWEEN {west} AND {east} AND {self.lat} BETWEEN {south} AND {north}")
        if wanted.near is not None:
            lat, lon, metres = (f"{self.value(one)}::float8" for one in wanted.near)
            # The Earth is flat within a city.
            add(
                f"sqrt((({self.lat} - {lat}) * 111320) ^ 2 + "
                f"(({self.lon} - {lon}) * 111320 * cos(radians({lat}))) ^ 2) <= {metres}"
            )
        for word, types in wanted.words:
            query, named = self.value(f"{word}:*"), self.value(list(types))
            said = f"SELECT w.case_id FROM case_words w WHERE w.words @@ {query}::text::tsquery"  # noqa: S608
            of_type = f"coalesce(c.problem_type, c.chosen_type) = ANY ({named}::text[])"
            add(f"(c.id IN ({said}) OR {of_type})")

    def _updated(self, wanted: Wanted) -> None:
        if wanted.updated_from is None and wanted.updated_until is None:
            return
        spans = []
        for sign, moment in ((">=", wanted.updated_from), ("<=", wanted.updated_until)):
            if moment is not None:
                spans.append((sign, self.value(moment)))
        # First whatever happened in that time, which is found at once; then whether it was the
        # last that happened.
        happened = " AND ".join(f"e.at {sign} {moment}" for sign, moment in spans)
        self.conditions.append(
            f"c.id IN (SELECT e.case_id FROM events e WHERE {happened})"  # noqa: S608
        )
        self.conditions += [f"{_UPDATED} {sign} {moment}" for sign, moment in spans]

    def after(self, last: After | None) -> None:
        if last is not None:
            at, id_ = self.value(last.opened_at), self.value(last.id)
            self.conditions.append(f"(c.opened_at, c.id) < ({at}, {id_})")

    def allowed(self, whose: str, column: str, otherwise: str) -> str:
        """A column that is public for all, for what came through apps, or for nobody."""
        if whose == "everyone":
            return column
        if whose == "apps":
            return f"CASE WHEN c.channel = '{_APPS}' THEN {column} ELSE {otherwise} END"
        return otherwise


async def find(
    conn: asyncpg.Connection,
    rules: PublicRules,
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    after: After | None = None,
) -> list[PublicRow]:
    """The newest cases that are wanted, `limit` at most."""
    asked = _Asked(rules)
    asked.where(wanted)
    asked.after(after)
    text = asked.allowed(rules.words, "c.text", "NULL::text")
    photos = asked.allowed(
        rules.photos,
        "(SELECT count(*) FROM files f WHERE f.case_id = c.id AND f.note_id IS NULL"
        " AND f.media_type = 'image/jpeg')",
        "0",
    )
    # The ids first, from as little as possible; then all about them.
    query = f"""
        WITH found AS MATERIALIZED (
            SELECT c.id, c.merged_into
            FROM cases c
            WHERE {" AND ".join(asked.conditions)}
            {_ORDER} LIMIT {asked.value(limit)} OFFSET {asked.value(offset)}
        )
        SELECT c.id, c.reference, c.status, c.outcome, {asked.kind} AS problem_type, c.channel,
               {text} AS text, c.department, c.district, c.opened_at, c.closed_at,
               {_UPDATED} AS updated_at, c.address, {asked.lat} AS lat, {asked.lon} AS lon,
               c.closing_words, {photos} AS photos,
               (
                   SELECT n.text FROM notes n WHERE n.case_id = c.id AND n.public
                   ORDER BY n.at DESC, n.id DESC LIMIT 1
               ) AS note,
               (
                   SELECT c.reference FROM cases c
                   WHERE c.id = found.merged_into AND {asked.visible}
               ) AS parent,
               c.reporter_name, c.assignee_name
        FROM found
        JOIN cases c ON c.id = found.id
        {_ORDER}
    """  # noqa: S608  every value is a parameter
    return [_row(row, rules) for row in await conn.fetch(query, *asked.values)]


async def count(conn: asyncpg.Connection, rules: PublicRules, wanted: Wanted) -> int:
    """How many cases are wanted."""
    asked = _Asked(rules)
    asked.where(wanted)
    query = f"SELECT count(*) FROM cases c WHERE {' AND '.join(asked.conditions)}"  # noqa: S608
    counted: int = await conn.fetchval(query, *asked.values)
    return counted


@dataclass(frozen=True)
class Named:
    """A case by its reference, public or not."""

    id: UUID
    is_public: bool
    app: str | None
    """The app that reported it."""


async def named(conn: asyncpg.Connection, rules: PublicRules, reference: str) -> Named | None:
    """The case with this reference, in its one written form."""
    asked = _Asked(rules)
    query = NAMED.format(visible=asked.visible, reference=asked.value(reference))
    row = await conn.fetchrow(query, *asked.values)
    return None if row is None else Named(row["id"], row["visible"], row["app"])


async def changes(
    conn: asyncpg.Connection,
    rules: PublicRules,
    *,
    since: datetime,
    until: datetime,
    limit: int,
) -> list[PublicChange]:
    """What happened to public cases in a span of time, oldest first."""
    asked = _Asked(rules)
    begin, end, kinds = asked.value(since), asked.value(until), asked.value(list(CHANGES))
    where = (
        f"e.at >= {begin} AND e.at <= {end} AND e.public AND e.kind = ANY ({kinds}::text[])"
        f" AND {asked.visible} ORDER BY e.at, e.id LIMIT {asked.value(limit)}"
    )
    return [_change(row, rules) for row in await conn.fetch(_CHANGES + where, *asked.values)]


async def histories(
    conn: asyncpg.Connection, rules: PublicRules, cases: Sequence[UUID]
) -> Mapping[UUID, list[PublicChange]]:
    """All that everybody may know happened to these cases, which must be public; oldest first."""
    where = "e.case_id = ANY ($1::uuid[]) AND e.public AND e.kind = ANY ($2::text[]) ORDER BY e.id"
    told: dict[UUID, list[PublicChange]] = {case: [] for case in cases}
    for row in await conn.fetch(_CHANGES + where, list(cases), list(CHANGES)):
        told[row["case_id"]].append(_change(row, rules))
    return told


_CHANGES = """
    SELECT e.id, e.case_id, c.reference, e.at, e.kind, e.data->>'department' AS department,
           e.data->>'outcome' AS outcome,
           CASE e.kind
               WHEN 'closed' THEN e.data->>'words'
               WHEN 'noted' THEN (
                   SELECT n.text FROM notes n
                   WHERE n.id = (e.data->>'note_id')::uuid AND n.public
               )
           END AS text,
           c.reporter_name, c.assignee_name
    FROM events e
    JOIN cases c ON c.id = e.case_id
    WHERE
"""

PHOTO = """
    SELECT f.sha256
    FROM files f
    WHERE f.case_id = $1 AND f.note_id IS NULL AND f.media_type = 'image/jpeg'
    ORDER BY f.id
    LIMIT 1 OFFSET $2
"""


async def photo(
    conn: asyncpg.Connection, rules: PublicRules, reference: str, number: int
) -> str | None:
    """Where the `number`-th public photo of a case is kept, from 1; None if there is none."""
    rows = await find(conn, rules, Wanted(references=[reference]), limit=1)
    if not rows or not 1 <= number <= rows[0].photos:
        return None
    sha256: str | None = await conn.fetchval(PHOTO, rows[0].id, number - 1)
    return sha256


def _row(row: asyncpg.Record, rules: PublicRules) -> PublicRow:
    values = dict(row)
    names = _names(values)
    if not rules.notes:
        values |= {"note": None, "closing_words": None}
    values |= {
        "status": Status(values["status"]),
        "outcome": Outcome(values["outcome"]) if values["outcome"] else None,
    }
    return PublicRow(**values, names=names)


def _change(row: asyncpg.Record, rules: PublicRules) -> PublicChange:
    values = dict(row)
    names = _names(values)
    if not rules.notes:
        values["text"] = None
    return PublicChange(**values, names=names)


def _names(values: dict[str, object]) -> tuple[str, ...]:
    told = values.pop("reporter_name"), values.pop("assignee_name")
    return tuple(str(name) for name in told if name)
