"""The program in docs/bus.md that tells dead letters again, run as it stands there."""

import base64
import re
import runpy
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bus.codec import CONTRACT_HEADER, decode, encode
from bus.connect import Bus
from bus.contracts import DeadLetter
from store import graves
from store.ledger import equation
from tests.support.facts import NOON, complaint
from tests.support.store import file, hear

PAGE = Path(__file__).parents[2] / "docs" / "bus.md"


@pytest.fixture
def program(tmp_path: Path) -> dict[str, Any]:
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "replay.py"
    path.write_text(found)
    return runpy.run_path(str(path))


async def test_a_quarantined_complaint_is_told_again_and_filed(
    bus: Bus,
    pool: asyncpg.Pool,
    dsn: str,
    nats_url: str,
    program: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUCKSTOP__STORE__DSN", dsn)
    monkeypatch.setenv("BUCKSTOP__BUS__URL", nats_url)
    heard = complaint(1)
    letter = DeadLetter(
        message_id=complaint(2).message_id,
        occurred_at=NOON,
        durable="store_complaint",
        stream="COMPLAINTS",
        sequence=1,
        original_subject="complaint.received.web",
        original_id=str(heard.message_id),
        complaint_id=heard.message_id,
        reason="Refused: for the test",
        tries=6,
        headers={"Nats-Msg-Id": str(heard.message_id), CONTRACT_HEADER: heard.tag},
        payload=base64.b64encode(encode(heard)).decode(),
    )
    await hear(pool, "store_dead", letter)
    async with pool.acquire() as conn:
        assert (await equation(conn)).quarantined == 1

    assert await program["replay"]("amy.lindqvist", "the rule is mended") == 1

    raw = await bus.js.get_last_msg("COMPLAINTS", "complaint.received.web")
    assert raw.data is not None
    again = decode(raw.data, (raw.headers or {})[CONTRACT_HEADER])
    assert again == heard
    await file(pool, again)
    async with pool.acquire() as conn:
        books = await equation(conn)
        assert (books.filed, books.quarantined) == (1, 0)
        assert await graves.waiting(conn) == []
