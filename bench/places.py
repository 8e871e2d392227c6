"""
What finding a place costs: `python -m bench.places [--addresses 60000] [--texts FILE.csv]`.

Prints CPU per complaint, in batches of 128 and alone, for reading the words, looking them up, and
finding the district, on the sample city and on one with many addresses; how long that one takes to
load, and what memory it takes. `--texts` takes the column `text` of a file, else the city's own
examples are read.
"""

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from bench.rules import cost
from router.address_import import write
from router.gazetteer import Address, Gazetteer
from router.locate import Locator, Spot
from router.place_files import read_addresses
from router.place_reader import mentions_in
from router.rules import CITIES, City, load_city
from router.sentence import Sentence

BATCH = 128


def town(city: City, count: int) -> Iterator[Address]:
    """So many made-up addresses on a grid of streets inside the city."""
    chance = random.Random(5)
    west, south, east, north = city.boundary.bounds
    streets = max(20, count // 40)
    for number in range(streets):
        along = number % 2
        at = chance.random()
        name = f"{'ES'[along]} {_name(number)} {('St', 'Ave', 'Rd', 'Ter')[number % 4]}"
        for house in range(count // streets):
            way = house / (count // streets)
            x, y = (way, at) if along == 0 else (at, way)
            yield Address(
                100 + 12 * house,
                name[0] + name[1:],
                "64050",
                south + (north - south) * y,
                west + (east - west) * x,
            )


def _name(number: int) -> str:
    letters = "bcdfghklmnprstvw"
    return "".join(
        letters[number // 16**place % 16] + "aeiou"[(number + place) % 5] for place in range(4)
    ).capitalize()


def spots(texts: Sequence[str], known: Sequence[Address]) -> list[Spot]:
    """Half of the texts as they are, a third with a known address, the rest with a pin."""
    chance = random.Random(3)
    made = []
    for number, text in enumerate(texts):
        one = chance.choice(known) if known else None
        if number % 6 < 3 or one is None:
            made.append(Spot(None, None, None, text))
        elif number % 6 < 5:
            made.append(Spot(None, None, f"{one.number} {one.street}", text))
        else:
            made.append(Spot(one.lat, one.lon, None, text))
    return made


def locator_of(city: City, gazetteer: Gazetteer) -> Locator:
    return Locator(city.boundary, city.districts, gazetteer, city=city.name, state=city.state_code)


def batches(locator: Locator, asked: Sequence[Spot]) -> None:
    for start in range(0, len(asked), BATCH):
        locator.locate(asked[start : start + BATCH])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--addresses", type=int, default=60_000)
    arguments.add_argument("--texts", type=Path)
    given = arguments.parse_args()
    city = load_city(CITIES / "independence")
    texts = [example.text for example in city.examples][: BATCH * 16]
    if given.texts:
        with given.texts.open(newline="", encoding="utf-8") as file:
            texts = [row["text"] for row in csv.DictReader(file)][: BATCH * 32]

    known = list(town(city, given.addresses))
    with TemporaryDirectory() as folder:
        write(Path(folder), known, date(2026, 1, 1))
        process = psutil.Process()
        before, begun = process.memory_info().rss, time.process_time()
        gazetteer = Gazetteer(
            city.places, read_addresses(Path(folder), []), city.referrals.towns, city.name
        )
        seconds, memory = time.process_time() - begun, process.memory_info().rss - before

    small, large = locator_of(city, city.gazetteer), locator_of(city, gazetteer)
    plain = [Spot(None, None, None, text) for text in texts]
    mixed = spots(texts, known)
    words = city.gazetteer.vocabulary
    points = np.random.default_rng(1).uniform(size=(2, 10_000))
    west, south, east, north = city.boundary.bounds
    lats, lons = south + (north - south) * points[0], west + (east - west) * points[1]
    outcomes = Counter(found.outcome.value for found in large.locate(mixed))
    print(
        json.dumps(
            {
                "texts": len(texts),
                "letters": round(sum(map(len, texts)) / len(texts)),
                "ms_splitting": cost(lambda: [Sentence(text) for text in texts], len(texts)),
                "ms_reading": cost(
                    lambda: [mentions_in(text, words) for text in texts], len(texts)
                ),
                "ms_sample_city": cost(lambda: batches(small, plain), len(plain)),
                "ms_many_addresses": cost(lambda: batches(large, mixed), len(mixed)),
                "ms_alone": cost(lambda: [large.locate([one]) for one in mixed[:200]], 200),
                "ms_district": cost(lambda: small.districts.of(lats, lons), len(lats)),
                "addresses": gazetteer.address_count,
                "cpu_seconds_to_load": round(seconds, 2),
                "megabytes": round(memory / 1e6, 1),
                "outcomes": dict(outcomes),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
