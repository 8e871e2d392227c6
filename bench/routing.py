"""
What routing costs: `python -m bench.routing [--complaints 2048]`.

Prints milliseconds of CPU for each complaint, in batches of 128, for type, place, district,
department and team together and for the type alone; a cold single one, the first that a fresh
router hears; seconds until a router is open, from an empty folder; and the memory of a process
that holds one. Beside each figure stands the most that it may be; exit 1 where one is above.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.rules import BATCH, complaints, cost
from router.rules import CITIES, City, load_city
from router.service import Router, open_router

MOST = {
    "the whole router, in batches": (2.0, "ms of CPU for each"),
    "the classifier alone, in batches": (0.3, "ms of CPU for each"),
    "a cold single complaint": (50.0, "ms of CPU"),
    "start, from an empty folder": (5.0, "s"),
    "memory of the process": (350.0, "MB"),
    "its highest": (350.0, "MB"),
}


def texts_of(city: City, count: int) -> list[str]:
    written = [example.text for example in city.examples]
    return [written[number * 7 % len(written)] for number in range(count)]


def started() -> dict[str, float]:
    """A fresh router's start, its first complaint and its memory."""
    begun = time.perf_counter()
    with TemporaryDirectory() as folder:
        router = open_router(load_city(CITIES / "independence"), Path(folder))
    opened = time.perf_counter() - begun
    heard = complaints(["Huge pothole by the gas station on Noland, 3rd time I report it"])
    begun = time.process_time()
    router.route(heard)
    cold = (time.process_time() - begun) * 1000
    return {
        "a cold single complaint": cold,
        "start, from an empty folder": opened,
        "memory of the process": psutil.Process().memory_info().rss / 1e6,
        "its highest": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def batches(count: int) -> dict[str, float]:
    city = load_city(CITIES / "independence")
    with TemporaryDirectory() as folder:
        router = open_router(city, Path(folder))
    texts = texts_of(city, count)
    heard = complaints(texts)

    def whole(asked: Router = router) -> None:
        for start in range(0, count, BATCH):
            asked.route(heard[start : start + BATCH])

    def guess(asked: Router = router) -> None:
        for start in range(0, count, BATCH):
            asked.classifier.guess(texts[start : start + BATCH])

    return {
        "the whole router, in batches": cost(whole, count),
        "the classifier alone, in batches": cost(guess, count),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--complaints", type=int, default=BATCH * 16)
    parser.add_argument("--started", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.started:
        print(json.dumps(started()))
        return 0
    # In a process of its own: nothing may be warm, and nothing else in its memory.
    fresh = subprocess.run(
        [sys.executable, "-m", "bench.routing", "--started"], capture_output=True, check=True
    )
    found = batches(arguments.complaints) | json.loads(fresh.stdout.splitlines()[-1])
    for name, (most, unit) in MOST.items():
        print(f"  {name:34} {found[name]:9.3f} {unit}, at most {most:g}")
    return int(any(found[name] > most for name, (most, _) in MOST.items()))


if __name__ == "__main__":
    sys.exit(main())
