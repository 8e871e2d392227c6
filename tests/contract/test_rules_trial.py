"""A draft of the rules is tried on cases of the past: who gains and loses, and nothing changes."""

from datetime import timedelta

import asyncpg
import pytest

from bus.contracts import ComplaintReceived
from gateway.rules_commands import tell_trial
from gateway.rules_trial import NOBODY, Trial, try_rules
from router.routing import Rule
from router.rules import CITIES, load_city
from router.service import Router, open_router
from store import changes
from tests.support.facts import NOON, complaint
from tests.support.store import file, put_staff, routed

STREETS, PARKS = "MS-STREET MAINTENANCE", "PRT-PARK MAINTENANCE"
HOLE = "Huge pothole, my tire blew"


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Router:
    city = load_city(CITIES / "independence")
    return open_router(city, tmp_path_factory.mktemp("models"))


def drafted(current: Router, *rules: dict[str, object]) -> Router:
    written = tuple(Rule.model_validate(rule) for rule in rules)
    city = current.city
    changed = city.rules.model_copy(update={"rule": written})
    return Router(city.model_copy(update={"rules": changed}), current.models)


def hole(number: int, **other: object) -> ComplaintReceived:
    return complaint(number, text=HOLE, problem_type="Pothole/Street Maintenance", **other)


async def trial_of(pool: asyncpg.Pool, current: Router, draft: Router) -> Trial:
    async with pool.acquire() as conn:
        return await try_rules(conn, current, draft, NOON - timedelta(days=1), NOON)


WRITTEN = """
    SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM outbox),
           (SELECT md5(string_agg(c::text, '' ORDER BY c.id)) FROM cases c)
"""


async def test_a_draft_says_who_gains_and_who_loses_and_changes_nothing(
    pool: asyncpg.Pool, current: Router, capsys: pytest.CaptureFixture[str]
) -> None:
    """Staff's own type counts more than the text, closed cases count too, older ones do not."""
    async with pool.acquire() as conn:
        await put_staff(conn)
    told = [hole(number) for number in range(1, 5)]
    older = hole(9, occurred_at=NOON - timedelta(days=30))
    await file(pool, *told, older, *(routed(one) for one in told))
    async with pool.acquire() as conn:
        await changes.close(
            conn, told[0].message_id, outcome="fixed", words="Done.", by="pat.moore"
        )
        await changes.set_problem_type(
            conn, told[1].message_id, problem_type="Graffiti", by="pat.moore"
        )
        before = await conn.fetchrow(WRITTEN)
    draft = drafted(
        current,
        {
            "name": "to parks",
            "problem_type": "Pothole/Street Maintenance",
            "channel": "web",
            "people": ["uma.hayes"],
        },
        {"name": "graffiti", "problem_type": "Graffiti", "triage": True},
        {"name": "broken", "people": ["nobody.here"], "channel": "phone"},
        {"name": "never", "words": "unicorn", "triage": True},
    )
    trial = await trial_of(pool, current, draft)

    assert (trial.cases, trial.elsewhere) == (4, 4)
    assert (trial.departments[STREETS].now, trial.departments[STREETS].draft) == (3, 0)
    assert (trial.departments[PARKS].now, trial.departments[PARKS].draft) == (0, 3)
    assert trial.departments[NOBODY].gained == [told[1].reference]
    assert trial.people[f"Uma Hayes ({PARKS})"].difference == 3
    assert len(trial.departments[STREETS].lost) == 3
    assert trial.fits == {"to parks": 3, "graffiti": 1}
    assert trial.unused == ("broken", "never")
    assert not trial.broken
    async with pool.acquire() as conn:
        assert await conn.fetchrow(WRITTEN) == before

    tell_trial(trial, NOON.date(), "text")
    said = capsys.readouterr().out
    assert "4 cases since 2026-11-20: 4 would go elsewhere." in said
    assert f"  {PARKS:<44}      0      3     +3" in said
    assert all(one.reference in said for one in told)


async def test_a_rule_of_the_draft_that_cannot_run_is_named(
    pool: asyncpg.Pool, current: Router
) -> None:
    await file(pool, hole(1))
    draft = drafted(current, {"name": "broken", "people": ["nobody.here"]})
    trial = await trial_of(pool, current, draft)
    assert trial.broken == {("broken", '"nobody.here" is nobody who works here'): 1}
    assert trial.departments[NOBODY].difference == 1


async def test_the_rules_in_force_change_nothing(pool: asyncpg.Pool, current: Router) -> None:
    await file(pool, *(hole(number) for number in range(1, 4)))
    trial = await trial_of(pool, current, current)
    assert (trial.cases, trial.elsewhere) == (3, 0)
    assert not any(work.changes for work in trial.departments.values())
