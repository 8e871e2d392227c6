"""
What classifiers read out of cases: kept, shown, held against how the cases ended, learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from bus.contracts import ComplaintRouted, TypeGuess
from store.text import clean, to_jsonb

# The last word of the router holds. What a router without a shadow says takes none away.
KEEP = """
    UPDATE cases
    SET guess = coalesce(told.guess::jsonb, cases.guess),
        shadow = coalesce(told.shadow::jsonb, cases.shadow)
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS told (id, guess, shadow)
    WHERE cases.id = told.id
"""


async def keep_guesses(conn: asyncpg.Connection, told: Sequence[ComplaintRouted]) -> None:
    """Write down what classifiers said of cases."""
    last = {one.complaint_id: one for one in told if one.guess or one.shadow}
    if not last:
        return
    ids = sorted(last)
    await conn.execute(
        KEEP,
        ids,
        [_kept(last[one].guess) for one in ids],
        [_kept(last[one].shadow) for one in ids],
    )


def _kept(guess: TypeGuess | None) -> str | None:
    if guess is None:
        return None
    # Words come from what a resident wrote; jsonb holds no NUL.
    words = [clean(word) for word in guess.words]
    return to_jsonb(guess.model_dump() | {"words": words})


OF_CASE = "SELECT guess FROM cases WHERE id = $1"


async def of_case(conn: asyncpg.Connection, case_id: UUID) -> TypeGuess | None:
    """What the classifier said of a case; None where it was not asked."""
    kept = await conn.fetchval(OF_CASE, case_id)
    return TypeGuess.model_validate(kept) if kept else None


# ── learning ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Closed:
    """A closed case, as a lesson: nothing in it says who reported."""

    text: str
    problem_type: str
    corrected: bool
    """Whether a person set the type, and did not leave the one that was guessed."""
    chosen: bool
    """Whether the resident or the call taker had chosen it."""
    place: str
    """The address, or the point to some 100 m; empty where neither is known."""


# A duplicate says what its first report says, in words that nobody looked at.
CLOSED = """
    SELECT text, problem_type, typed_by IS NOT NULL AS corrected,
           chosen_type IS NOT DISTINCT FROM problem_type AS chosen,
           coalesce(
             nullif(address, ''), round(lat::numeric, 3) || ' ' || round(lon::numeric, 3), ''
           ) AS place
    FROM cases
    WHERE status = 'closed' AND problem_type IS NOT NULL AND text <> ''
      AND outcome <> 'duplicate'
    ORDER BY closed_at DESC, id
    LIMIT $1
"""


async def closed_cases(conn: asyncpg.Connection, most: int) -> list[Closed]:
    """The cases closed last, at most so many; those with a type and words; the last one last."""
    return [Closed(**row) for row in reversed(await conn.fetch(CLOSED, most))]


@dataclass(frozen=True)
class Judged:
    """How two models did in one district, on cases whose end is known."""

    district: str
    """Empty: in none."""
    cases: int
    active: int
    """How many the model that answers named right."""
    shadow: int


JUDGED = """
    SELECT coalesce(district, '') AS district,
           count(*)::int AS cases,
           count(*) FILTER (WHERE guess ->> 'problem_type' = problem_type)::int AS active,
           count(*) FILTER (WHERE shadow ->> 'problem_type' = problem_type)::int AS shadow
    FROM cases
    WHERE status = 'closed' AND problem_type IS NOT NULL AND outcome <> 'duplicate'
      AND guess ->> 'model' = $1 AND shadow ->> 'model' = $2
    GROUP BY 1
    ORDER BY 1
"""


async def judged(conn: asyncpg.Connection, active: str, shadow: str) -> list[Judged]:
    """How two models did on the closed cases that both were asked about, by district."""
    return [Judged(**row) for row in await conn.fetch(JUDGED, active, shadow)]
