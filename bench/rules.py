"""
What deciding who must act costs: `python -m bench.rules [--rules 50]`.

Prints CPU per complaint, in batches of 128, for reading the words of danger, for trying every rule,
and for the whole way to department and team, beside the floor that the classifier sets in the same
run; and with `--texts FILE.csv` which of those texts sound like danger (column `text`).
"""

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from bus.contracts import ComplaintReceived
from channels.intake import Heard, complaint_from
from gateway.samples import now
from router.assign import assign
from router.match import Asked, Matcher
from router.routing import Rule
from router.rules import CITIES, City, load_city
from router.service import Router, open_router

BATCH = 128
FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "emergency.jsonl"


def many_rules(city: City, count: int) -> tuple[Rule, ...]:
    """Rules of every kind, as a large city might write them; few of them fit."""
    chance = random.Random(7)
    types = [kind.name for kind in city.offered]
    districts = city.district_names
    written = []
    for number in range(count):
        kinds: tuple[dict[str, object], ...] = (
            {"hours": "17:00-07:00", "days": "weekdays"},
            {"district": chance.choice(districts)},
            {"words": [f"word{number}", "(blue|green) ... house"]},
            {"street": "Noland Rd"},
            {"near": {"place": "City Hall", "feet": 800}},
            {"pattern": rf"case\s+{number}\d+"},
            {"channel": "phone", "language": "es"},
        )
        asks = dict(kinds[number % len(kinds)])
        if number % 3:
            asks["problem_type"] = chance.sample(types, 4)
        written.append(Rule.model_validate({"name": f"rule {number}", "triage": True} | asks))
    return tuple(written)


def cost(work: Callable[[], object], count: int, rounds: int = 5) -> float:
    """Milliseconds of CPU for each of `count` things, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best / count * 1000


def complaints(texts: Sequence[str]) -> list[ComplaintReceived]:
    return [
        complaint_from(
            Heard(
                channel="web",
                external_id=str(number),
                original=b"",
                original_type="",
                original_name="",
                text=text,
                address="1200 S Noland Rd" if number % 3 else None,
                lat=39.0911 if number % 2 else None,
                lon=-94.4155 if number % 2 else None,
            ),
            reference="",
            original=None,
            received_at=now(),
        )
        for number, text in enumerate(texts)
    ]


def measure(rules: int) -> None:
    city = load_city(CITIES / "independence")
    changed = city.rules.model_copy(update={"rule": many_rules(city, rules)})
    city = city.model_copy(update={"rules": changed})
    texts = [example.text for example in city.examples][: BATCH * 8]
    heard = complaints(texts)
    with TemporaryDirectory() as folder:
        router = open_router(city, Path(folder))
    matcher = Matcher(city.rules, city)
    routed = router.route(heard)

    def asked() -> list[Asked]:
        return [
            Asked(
                at=one.occurred_at,
                text=one.text,
                problem_type=fact.problem_type,
                district=fact.district,
                address=fact.address,
                lat=fact.lat,
                lon=fact.lon,
            )
            for one, fact in zip(heard, routed, strict=True)
        ]

    def read_danger() -> None:
        for text in texts:
            city.emergency_words.found_in(text)

    def try_rules() -> None:
        for one in asked():
            matcher.decide(one)

    def decide() -> None:
        day = now().date()
        for one, fact in zip(asked(), routed, strict=True):
            assign(city, matcher.decide(one), uuid4(), fact.district, day)

    def guess(model: Router = router) -> None:
        for start in range(0, len(texts), BATCH):
            model.classifier.guess(texts[start : start + BATCH])

    def whole() -> None:
        for start in range(0, len(heard), BATCH):
            router.route(heard[start : start + BATCH])

    count = len(texts)
    print(f"{count} complaints, {rules} rules; ms of CPU for each")
    for name, work in (
        ("words of danger", read_danger),
        ("rules", try_rules),
        ("rules, department and team", decide),
        ("floor: the classifier alone", guess),
        ("the whole router", whole),
    ):
        print(f"  {name:28} {cost(work, count):.4f}")


def judge(texts: Path | None) -> None:
    words = load_city(CITIES / "independence").emergency_words
    read = [json.loads(line) for line in FIXTURE.read_text().splitlines()]
    told = Counter((one["danger"], words.found_in(one["text"]) is not None) for one in read)
    heard, missed, wrongly = told[True, True], told[True, False], told[False, True]
    print(
        f"emergency.jsonl: {len(read)} texts, recall {heard / (heard + missed):.3f}, "
        f"precision {heard / (heard + wrongly):.3f}"
    )
    if texts is None:
        return
    with texts.open(newline="") as file:
        rows = [row["text"] for row in csv.DictReader(file)]
    found = [(danger, text) for text in rows if (danger := words.found_in(text))]
    print(f"{texts.name}: {len(rows)} texts, {len(found)} sound like danger")
    for danger, text in found:
        print(f"  {danger.kind:6} “{danger.words}”: {' '.join(text.split())[:100]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--texts", type=Path)
    arguments = parser.parse_args()
    measure(arguments.rules)
    judge(arguments.texts)
