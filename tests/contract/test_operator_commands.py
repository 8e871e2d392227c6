"""`buckstop dead` and `buckstop bus`, as an operator types them, on a real bus and real books."""

import asyncio
import json
import os
import subprocess

import asyncpg
import pytest

from bus.connect import Bus
from store import grave_acts, graves
from tests.support.graves import dead
from tests.support.product import BUCKSTOP, Answer, clean_environment, ended
from tests.support.store import hear


@pytest.fixture
def environment(dsn: str, nats_url: str) -> dict[str, str]:
    return clean_environment() | {
        "BUCKSTOP__STORE__DSN": dsn,
        "BUCKSTOP__BUS__URL": nats_url,
        "COLUMNS": "120",
    }


async def ask(environment: dict[str, str], *words: str | os.PathLike[str]) -> Answer:
    process = await asyncio.to_thread(
        subprocess.Popen,
        [BUCKSTOP, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    return await ended(process)


async def test_letters_are_listed_told_again_and_discarded(
    bus: Bus, pool: asyncpg.Pool, environment: dict[str, str]
) -> None:
    one, two = dead(1), dead(2, reason="KeyError: 'x'")
    await hear(pool, "store_dead", one, two)

    listed, shown = await asyncio.gather(
        ask(environment, "dead", "list", "--reason", "keyerror", "--format", "json"),
        ask(environment, "dead", "show", str(one.message_id)[:8]),
    )
    assert [line["id"] for line in listed.lines] == [str(two.message_id)]
    assert (listed.code, shown.code) == (0, 0)
    assert "Rosa Lara" in shown.out

    told, gone, nothing = await asyncio.gather(
        ask(environment, "dead", "replay", str(one.message_id), "--why", "mended", "--by", "olga"),
        ask(environment, "dead", "discard", "--all", "--reason", "keyerror", "--why", "a test"),
        ask(environment, "dead", "replay"),
    )
    assert (told.code, told.out) == (0, "1 told again\n"), told.err
    assert (gone.code, gone.out) == (0, "1 discarded\n"), gone.err
    assert nothing.code == 1
    assert "--all" in nothing.err
    assert (await bus.js.stream_info("COMPLAINTS")).state.messages == 1
    async with pool.acquire() as conn:
        assert await graves.waiting(conn) == []
        [act] = await grave_acts.acts(conn, [one.message_id])
        assert (act.by, act.why, act.problem) == ("olga", "mended", None)


async def test_status_says_what_is_wrong_and_ends_with_1_when_somebody_waits(
    bus: Bus, pool: asyncpg.Pool, environment: dict[str, str]
) -> None:
    await hear(pool, "store_dead", dead(1))
    text, away = await asyncio.gather(
        ask(environment, "bus", "status"),
        ask(
            environment | {"BUCKSTOP__STORE__DSN": "postgresql://nobody@127.0.0.1:1/none"},
            *("bus", "status", "--format", "json"),
        ),
    )
    assert text.code == 0
    assert "Messages that nobody could handle wait as dead letters: 1." in text.out
    assert "ever   received 1 = filed 0 + quarantined 1" in text.out
    found = json.loads(away.out)
    assert away.code == 1
    assert [one["cause"] for one in found["findings"]] == ["store_away"]
    assert found["store"] is None
    assert found["bus"] is not None
