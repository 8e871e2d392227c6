"""
`python -m bench.history FILE`: whether a city's past comes in as its file has it.

A fresh Buckstop of our own imports the file by its map; then the counts by department, problem
type and district, for all years and for each, and the medians and 90th percentiles of the times
to close, are held against those that the few lines here find in the file. It reads an export of
Kansas City, Missouri ("311 Call Center Service Requests 2007-2021").
"""

import argparse
import asyncio
import csv
import gzip
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from math import ceil
from pathlib import Path

from gateway.history.column_map import ColumnMap, load_map
from gateway.history.take_in import import_past
from gateway.reports.names import NO_DEPARTMENT, NO_DISTRICT
from gateway.reports.performance import NO_TYPE, Line, make_performance
from gateway.reports.spans import Span, year_of
from gateway.run import reach
from gateway.settings import load
from router.rules import CITIES, load_city
from store.pool import open_pool

ALL = Span(date(2000, 1, 1), date(2030, 12, 31))
COLUMNS = {
    "department": ("DEPARTMENT", NO_DEPARTMENT),
    "problem_type": ("REQUEST TYPE", NO_TYPE),
    "district": ("COUNCIL DISTRICT", NO_DISTRICT),
}
NOTHING = {"", "NULL", "None", "N/A", "No Department Assigned", "No District Assigned"}


class InTheFile:
    """What the file says of a span, by the name of a department, a type or a district."""

    def __init__(self, rows: list[dict[str, str]], span: Span, by: str) -> None:
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.days: defaultdict[str, list[int]] = defaultdict(list)
        column, unnamed = COLUMNS[by]
        for row in rows:
            name = row[column].removesuffix(".0") if by == "district" else row[column]
            name = unnamed if name in NOTHING else name
            opened = day(row["CREATION DATE"])
            self.opened[name] += span.first <= opened <= span.last
            if row["STATUS"] in ("OPEN", "ASSIG"):
                continue
            closed = day(row["CLOSED DATE"]) if row["CLOSED DATE"] else None
            timed = closed is not None and closed >= opened and row["DAYS TO CLOSE"] != ""
            if closed is None or closed < opened:
                closed = opened
            if span.first <= closed <= span.last:
                self.closed[name] += 1
                if timed and row["STATUS"] != "DUP":
                    self.days[name].append((closed - opened).days)


def day(word: str) -> date:
    return datetime.strptime(word, "%m/%d/%Y").date()


def rank(days: list[int], share: float) -> int | None:
    return sorted(days)[ceil(len(days) * share) - 1] if days else None


def differences(found: InTheFile, lines: Mapping[str, Line]) -> list[str]:
    """Every figure that is not the file's, in words."""
    told = []
    for name in sorted({*found.opened, *lines}):
        line = lines.get(name)
        days = found.days[name]
        expected = (
            found.opened[name],
            found.closed[name],
            len(days),
            rank(days, 0.5),
            rank(days, 0.9),
        )
        took = line.closing if line else None
        ours = (
            line.opened.opened if line else 0,
            took.cases if took else 0,
            took.timed if took else 0,
            in_days(took.median if took else None),
            in_days(took.p90 if took else None),
        )
        if ours != expected:
            told.append(f"{name}: the file has {expected}, we {ours}")
    return told


def in_days(minutes: int | None) -> int | None:
    # The city's clocks are put forward and back: a day may have 23 hours or 25.
    return None if minutes is None else round(minutes / 1440)


async def main(folder: Path, path: Path) -> int:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    city = load_city(CITIES / "independence")
    settings = load(data=folder / "data")
    wrong = checked = 0
    async with reach(settings) as engines:
        stored = settings.store.model_copy(update={"dsn": engines.dsn})
        bus = settings.bus.model_copy(update={"url": engines.nats_url})
        there = settings.model_copy(update={"store": stored, "bus": bus})
        began = time.perf_counter()
        how = load_map("kansas-city", ColumnMap)
        imported = await import_past(there, path, how)
        took = time.perf_counter() - began
        print(f"{len(rows):,} rows, {imported.taken.new:,} new cases, {took:.1f} s", flush=True)
        years = sorted({day(row["CREATION DATE"]).year for row in rows})
        async with open_pool(stored) as pool:
            for span in (ALL, *(year_of(date(year, 1, 1)) for year in years)):
                made = await make_performance(pool, city, span)
                for by in COLUMNS:
                    found = InTheFile(rows, span, by)
                    lines = {one.name: one for one in made.by[by]}
                    checked += len({*found.opened, *lines}) * 5
                    for sentence in differences(found, lines):
                        wrong += 1
                        print(f"  {span.first} to {span.last}, by {by}: {sentence}", flush=True)
                whole = made.whole
                print(
                    f"  {span.first} to {span.last}: {whole.opened.opened:>6,} opened, "
                    f"{whole.closing.cases:>6,} closed, half within "
                    f"{in_days(whole.closing.median)} days, nine of ten within "
                    f"{in_days(whole.closing.p90)}",
                    flush=True,
                )
    print(f"{checked:,} figures held against the file, {wrong} names differ")
    return 1 if wrong or imported.taken.new != len(rows) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    # Not in the system's own folder for temporary files, which may be in memory.
    with tempfile.TemporaryDirectory(prefix="buckstop-bench-", dir=os.getcwd()) as name:
        Path(name).chmod(0o755)
        sys.exit(asyncio.run(main(Path(name), asked.file)))
