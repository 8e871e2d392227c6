"""
The load: POSTs complaints and tells how long each answer took, as one JSON document.

`python -m bench.load URL COUNT CONNECTIONS PER_SECOND NAME` runs in a process of its own, so that
its own work is not the server's. PER_SECOND 0 is as fast as the connections allow.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from yarl import URL

from router.classify import Classifier
from router.examples import Example
from router.models import ModelFolder
from router.rules import CITIES, City, load_city


def complaints(count: int, name: str) -> list[dict[str, str]]:
    """
    Varied complaints that each become a case on a desk with two emails: told with the type that a
    resident would choose, and only such as leave the router no doubt.
    """
    told = beyond_doubt(load_city(CITIES / "independence"))
    return [
        {
            "text": f"{one.text} (case {name} {number})",
            "token": f"{name}-{number}",
            "problem_type": one.problem_type,
            "address": f"{1000 + number} E 23rd St",
            "lat": str(39.04 + (number % 97) * 0.001),
            "lon": str(-94.46 + (number % 89) * 0.001),
            "name": f"Resident {number}",
            "email": f"r{number}@resident.example",
            "language": "es" if number % 5 == 0 else "en",
        }
        for number, one in ((number, told[number * 7 % len(told)]) for number in range(count))
    ]


def beyond_doubt(city: City) -> list[Example]:
    """The written examples of which the router alone says what their type says."""
    with TemporaryDirectory() as folder:
        model = ModelFolder(Path(folder)).written(city)
    departments = {kind.name: kind.department for kind in city.offered}
    guesses = Classifier(model, departments, precision=city.classifier.precision).guess(
        [one.text for one in city.examples]
    )
    return [
        one
        for one, guess in zip(city.examples, guesses, strict=True)
        if guess.sure and guess.ranked[0][0] == one.problem_type
    ]


async def main(url: str, count: int, connections: int, per_second: float, name: str) -> None:
    todo = complaints(count, name)
    answers: list[tuple[str, float, float]] = []
    failed = 0
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(number: int) -> None:
            nonlocal failed
            sent = time.time()
            async with session.post(url, data=todo[number], allow_redirects=False) as response:
                await response.read()
                if response.status not in (200, 303):
                    failed += 1
                # The receipt's address may go on: `?urgent=1` for what sounds dangerous.
                place = URL(response.headers.get("Location", "")).name
                answers.append((place, sent, time.time() - sent))

        began = time.time()
        if per_second:
            async with asyncio.TaskGroup() as tasks:
                for number in range(count):
                    await asyncio.sleep(max(0.0, began + number / per_second - time.time()))
                    tasks.create_task(post(number))
        else:
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    await post(number)

            await asyncio.gather(*(work() for _ in range(connections)))
    json.dump(
        {"began": began, "ended": time.time(), "failed": failed, "answers": answers}, sys.stdout
    )


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])
    )
