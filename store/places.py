"""
What became of the question where a case is: kept, asked about once, and answered.

The router tells it with each routing. What it could not settle (a street alone, several places,
outside the city) is asked of whoever can answer; what a geocoder had not found in time is looked at
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from bus.contracts import CaseIncomplete, ComplaintRouted, PlaceChoice, Referral
from bus.identity import fact_id
from store import cases, outbox
from store.follow_settings import FollowSettings
from store.records import NewEvent, add_events
from store.text import clean, clean_or_none, to_jsonb

OPEN = ("vague", "ambiguous", "outside")
"""Outcomes that only the resident can settle."""

_LOOK_AGAIN = timedelta(minutes=2)
_MOST_LOOKS = 3

# The last word of the router holds.
KEEP = """
    UPDATE cases
    SET place_outcome = told.outcome,
        place_given = told.given,
        place_choices = told.choices::jsonb,
        place_look_at = CASE WHEN told.later AND place_looks < $11 THEN $10::timestamptz END,
        refer_to = told.agency,
        refer_how = told.how,
        refer_because = told.because,
        refer_certain = told.certain
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[],
        $6::text[], $7::text[], $8::text[], $9::boolean[]
    ) AS told (id, outcome, given, choices, later, agency, how, because, certain)
    WHERE cases.id = told.id
"""


async def keep_places(
    conn: asyncpg.Connection, told: Sequence[ComplaintRouted], now: datetime
) -> None:
    """Write down what the router says of places and of others whom cases concern."""
    last = {routed.complaint_id: routed for routed in told if routed.place}
    if not last:
        return
    rows = [
        (
            routed.complaint_id,
            routed.place,
            clean_or_none(routed.address),
            to_jsonb([choice.model_dump() for choice in routed.place_choices]),
            routed.place_later,
            *(
                (clean(one.agency), one.how, clean(one.because), one.certain)
                if (one := routed.referral) is not None
                else (None, None, None, False)
            ),
        )
        for routed in (last[complaint] for complaint in sorted(last))
    ]
    columns = (list(column) for column in zip(*rows, strict=True))
    await conn.execute(KEEP, *columns, now + _LOOK_AGAIN, _MOST_LOOKS)


# ── what is known of it ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class CasePlace:
    """What became of the place of a case."""

    outcome: str | None
    given: str | None
    choices: tuple[PlaceChoice, ...]
    referral: Referral | None
    """Whom it concerns beside the city, or in its stead."""


OF_CASE = """
    SELECT place_outcome, place_given, place_choices,
           refer_to, refer_how, refer_because, refer_certain
    FROM cases
    WHERE id = $1
"""


async def of_case(conn: asyncpg.Connection, case_id: UUID) -> CasePlace:
    """What is known of a case's place; nothing for a case that is not there."""
    row = await conn.fetchrow(OF_CASE, case_id)
    if row is None:
        return CasePlace(None, None, (), None)
    return CasePlace(
        row["place_outcome"],
        row["place_given"],
        tuple(PlaceChoice.model_validate(one) for one in row["place_choices"] or ()),
        _referral(row),
    )


OF_REFERENCE = """
    SELECT refer_to, refer_how, refer_because, refer_certain
    FROM cases
    WHERE reference = $1
"""


async def public_referral(conn: asyncpg.Connection, reference: str) -> Referral | None:
    """Whom a case concerns beside the city; anybody who has the reference may know."""
    row = await conn.fetchrow(OF_REFERENCE, reference)
    return None if row is None else _referral(row)


def _referral(row: asyncpg.Record) -> Referral | None:
    if row["refer_to"] is None:
        return None
    return Referral(
        agency=row["refer_to"],
        how=row["refer_how"] or "words",
        because=row["refer_because"] or "",
        certain=row["refer_certain"],
    )


# ── asking ──────────────────────────────────────────────────────────────────────────────────────

# Texts and mails: whoever filled in the form, or called, was asked there and then.
UNSETTLED = """
    UPDATE cases
    SET place_asked_at = $1
    WHERE id IN (
        SELECT id
        FROM cases
        WHERE place_outcome IN ('vague', 'ambiguous', 'outside') AND place_asked_at IS NULL
          AND status <> 'closed' AND lat IS NULL
          AND (conversation IS NOT NULL OR channel = 'email')
          AND routed_at IS NOT NULL AND heard_at < $2
        ORDER BY heard_at
        LIMIT 100
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""


async def ask_which_place(conn: asyncpg.Connection, rules: FollowSettings, now: datetime) -> int:
    """Have those asked whose words do not say enough where it is, once; how many."""
    async with conn.transaction():
        rows = await conn.fetch(UNSETTLED, now, now - timedelta(seconds=rules.ask_place_after))
        for row in rows:
            case = await cases.by_id(conn, row["id"])
            if case is None:
                continue
            place = await of_case(conn, case.id)
            names = tuple(choice.name for choice in place.choices)
            data: dict[str, object] = {
                "missing": "place",
                "why": place.outcome,
                "choices": list(names),
            }
            event = NewEvent(
                case_id=case.id, at=now, kind="asked", by=None, public=False, data=data
            )
            await add_events(conn, [event])
            fact = CaseIncomplete(
                message_id=fact_id("case.incomplete", case.id, "place"),
                occurred_at=now,
                case=cases.summary(case),
                missing="place",
                why=place.outcome or "",
                given=place.given or "",
                choices=names,
            )
            await outbox.append(conn, [fact])
    return len(rows)


def answered(words: str, place: CasePlace) -> str:
    """
    The place that an answer gives, with what was known before: a number chooses, a house number
    completes a street. Pure.
    """
    said = words.strip()
    bare = said.strip(" .,)#").casefold()
    if place.outcome == "ambiguous" and place.choices:
        chosen = _chosen(bare, [choice.name for choice in place.choices])
        return chosen or said
    if place.outcome == "vague" and place.given:
        return f"{said} {place.given}" if bare.isdigit() else f"{place.given} {said}"
    return said


_YES = frozenset("yes yep yeah y correct right si sí claro correcto".split())


def _chosen(said: str, names: Sequence[str]) -> str | None:
    """The one of several that an answer means; None when that is not clear."""
    if said.isdigit() and 1 <= int(said) <= len(names):
        return names[int(said) - 1]
    if said in _YES:
        return names[0] if len(names) == 1 else None
    words = _words(said)
    fit = [name for name in names if words and words <= _words(name)]
    return fit[0] if len(fit) == 1 else None


_SHORT = {
    "north": "n", "south": "s", "east": "e", "west": "w", "norte": "n", "sur": "s", "este": "e",
    "oeste": "w", "street": "st", "avenue": "ave", "road": "rd", "drive": "dr", "court": "ct",
}  # fmt: skip
_EMPTY = frozenset("the one on a la el en del de un una it is its es".split())


def _words(text: str) -> frozenset[str]:
    words = "".join(letter if letter.isalnum() else " " for letter in text.casefold()).split()
    return frozenset(_SHORT.get(word, word) for word in words if word not in _EMPTY)


# ── looking again ───────────────────────────────────────────────────────────────────────────────

DUE = """
    UPDATE cases
    SET place_look_at = NULL, place_looks = place_looks + 1
    WHERE id IN (
        SELECT id
        FROM cases
        WHERE place_look_at < $1 AND status <> 'closed'
        ORDER BY place_look_at
        LIMIT 50
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id, place_looks
"""


async def due_looks(conn: asyncpg.Connection, now: datetime) -> list[tuple[cases.Case, UUID]]:
    """
    Cases at which the router is to look again, since a geocoder may know more by now, each with
    the id of that look. Inside a transaction.
    """
    due = []
    for row in await conn.fetch(DUE, now):
        case = await cases.by_id(conn, row["id"])
        if case is not None:
            due.append((case, fact_id("look", case.id, str(row["place_looks"]))))
    return due
