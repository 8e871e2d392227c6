"""`buckstop rules`: trying a draft of the rules, and routing old cases again after a change."""

import asyncio
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gateway import reroute as reroute_
from gateway.command import HERE, Format, Where, err, go, line, out, trouble
from gateway.compose import city_folder
from gateway.days import begin_of
from gateway.rules_trial import Trial, Work, try_rules
from gateway.run import reach, running
from router.models import written_version
from router.rules import City, city_with_rules, load_city
from router.service import Router, open_router
from store.pool import open_pool

rules = App(name="rules", help="The rules by which cases are given out.")

Since = Annotated[date, Parameter(help="The first day, as 2026-03-31")]
_MOST_SHOWN = 200


@rules.command(name="try")
def try_(
    draft: Annotated[Path, Parameter(help="A rules.toml, or a whole city folder")],
    *,
    since: Since,
    where: Where = HERE,
    format: Format = "text",
) -> int:
    """
    Run a draft of the rules against past cases: who would gain and who would lose work.

    Changes nothing. The rules in force and the draft are asked about the same cases, closed ones
    too; where staff have set the type, it counts. Running or not.
    """
    settings = where.settings()
    current = load_city(city_folder(settings))
    drafted = _drafted(current, draft)
    models = settings.data / "models"

    async def work() -> int:
        now_router = await asyncio.to_thread(open_router, current, models)
        draft_router = (
            Router(drafted, now_router.models)
            if _learns_alike(current, drafted)
            else await asyncio.to_thread(open_router, drafted, models)
        )
        async with reach(settings) as engines:
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_pool(stored) as pool, pool.acquire() as conn:
                trial = await try_rules(
                    conn, now_router, draft_router, begin_of(since, current.zone), datetime.now(UTC)
                )
        tell_trial(trial, since, format)
        return 0

    return go(work())


@rules.command
def reroute(
    *,
    since: Since,
    apply: Annotated[bool, Parameter(help="Have the moves made")] = False,
    where: Where = HERE,
    format: Format = "text",
    wait: Annotated[float, Parameter(help="Seconds to wait until all have moved")] = 60.0,
) -> int:
    """
    Route open cases again after the rules have changed: what would move; with --apply, move it.

    What staff have decided stays: cases that a person gave to somebody, began to work on or set
    the type of, and closed ones. The moves go the way of every routing, through the router that
    runs; start it again first, so that it has the new rules.
    """
    settings = where.settings()
    city = load_city(city_folder(settings))

    async def work() -> int:
        router = await asyncio.to_thread(open_router, city, settings.data / "models")
        is_running = running(settings) is not None
        async with reach(settings) as engines:
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_pool(stored) as pool:
                now = datetime.now(UTC)
                async with pool.acquire() as conn:
                    plan = await reroute_.plan(conn, router, begin_of(since, city.zone), now)
                    if apply and plan.moves:
                        await reroute_.apply(conn, plan)
                outcome = None
                if apply and plan.moves and is_running:
                    outcome = await reroute_.await_outcome(pool, plan, now, wait)
        return _tell_plan(plan, outcome, format, applied=apply, is_running=is_running)

    return go(work())


def _drafted(current: City, draft: Path) -> City:
    if draft.is_dir():
        return load_city(draft)
    return city_with_rules(current, draft.read_text(encoding="utf-8-sig"))


def _learns_alike(one: City, other: City) -> bool:
    return written_version(one) == written_version(other)


# ── telling ─────────────────────────────────────────────────────────────────────────────────────


def tell_trial(trial: Trial, since: date, format: str) -> None:
    """Prints what a draft would have done."""
    if format == "json":
        line(
            {
                "since": since.isoformat(),
                "cases": trial.cases,
                "elsewhere": trial.elsewhere,
                "departments": {name: _figures(work) for name, work in _sorted(trial.departments)},
                "people": {name: _figures(work) for name, work in _sorted(trial.people)},
                "fits": dict(trial.fits.most_common()),
                "unused": list(trial.unused),
                "broken": [
                    {"rule": rule, "reason": reason, "count": count}
                    for (rule, reason), count in trial.broken.most_common()
                ],
            }
        )
        return
    out.print(f"{trial.cases} cases since {since}: {trial.elsewhere} would go elsewhere.")
    for heading, works in (("Departments", trial.departments), ("People", trial.people)):
        changed = [(name, work) for name, work in _sorted(works) if work.changes]
        if changed:
            out.print(f"\n{heading:<46}{'now':>7}{'draft':>7}{'':>7}")
        for name, work in changed:
            out.print(
                f"  {name or 'nobody: the triage desk':<44}{work.now:>7}{work.draft:>7}"
                f"{work.difference:>+7}",
                markup=False,
            )
            for what, references in (("gains", work.gained), ("loses", work.lost)):
                if references:
                    out.print(f"    {what} {', '.join(references)}", markup=False)
    if trial.fits:
        out.print("\nRules of the draft that decided")
        for name, count in trial.fits.most_common():
            out.print(f"  {count:>6}  {name}", markup=False)
    for name in trial.unused:
        out.print(f"  {0:>6}  {name}", markup=False)
    for (rule, reason), count in trial.broken.most_common():
        err.print(f"The rule “{rule}” could not run {count} times: {reason}.", markup=False)


def _sorted(works: dict[str, Work]) -> list[tuple[str, Work]]:
    return sorted(works.items(), key=lambda one: (-abs(one[1].difference), one[0]))


def _figures(work: Work) -> dict[str, object]:
    return {
        "now": work.now,
        "draft": work.draft,
        "difference": work.difference,
        "gains": work.gained,
        "loses": work.lost,
    }


def _tell_plan(
    plan: reroute_.Plan,
    outcome: reroute_.Outcome | None,
    format: str,
    *,
    applied: bool,
    is_running: bool,
) -> int:
    if format == "json":
        line(
            {
                "moves": [
                    {
                        "reference": move.reference,
                        "from": [move.from_department, move.from_person],
                        "to": [move.to_department, move.to_person],
                        "rule": move.rule,
                    }
                    for move in plan.moves
                ],
                "stay": plan.stay,
                "by_hand": plan.by_hand,
                "applied": applied,
                "outcome": vars(outcome) if outcome else None,
            }
        )
    else:
        for move in plan.moves[:_MOST_SHOWN]:
            before = _place(move.from_department, move.from_person)
            after = _place(move.to_department, move.to_person)
            rule = f"  by “{move.rule}”" if move.rule else ""
            out.print(f"{move.reference}  {before} -> {after}{rule}", markup=False)
        if len(plan.moves) > _MOST_SHOWN:
            out.print(f"and {len(plan.moves) - _MOST_SHOWN} more")
        verb = "are sent to be routed again" if applied else "would move"
        out.print(
            f"{len(plan.moves)} {verb}, {plan.stay} stay, {plan.by_hand} are not touched because "
            "staff have decided about them."
        )
        if plan.moves and not applied:
            out.print("Nothing has changed. With --apply they move.")
        if outcome is not None:
            out.print(f"{outcome.moved} have moved.")
    sys.stdout.flush()
    if applied and plan.moves and not is_running:
        return trouble("Buckstop does not run: they move once it does.", code=0)
    return _judge(outcome)


def _judge(outcome: reroute_.Outcome | None) -> int:
    if outcome is None:
        return 0
    if outcome.other_rules:
        return trouble(
            f"{outcome.other_rules} were answered by a router with other rules than these: start "
            "it again, and repeat the command.",
            code=1,
        )
    if outcome.waiting:
        return trouble(f"{outcome.waiting} have not been answered yet; they will be.", code=1)
    if outcome.stayed:
        return trouble(f"{outcome.stayed} stay after all: things have changed meanwhile.", code=0)
    return 0


def _place(department: str | None, person: str | None) -> str:
    if department is None:
        return "triage"
    return f"{person} ({department})" if person else department
