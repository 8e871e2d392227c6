"""The operators' page while PostgreSQL, which knows who is signed in, is away."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.files import Files
from gateway.staff import standby
from gateway.staff.sessions import COOKIE
from store.model import Role
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from tests.support.staff import Reader, put_account, small_settings, staff_pages


@asynccontextmanager
async def pages(
    dsn: str, bus: Bus, files: Files, folder: Path
) -> AsyncIterator[tuple[Reader, asyncpg.Pool]]:
    async with open_pool(PoolSettings(dsn=dsn)) as pool:
        await put_account(pool, "olga.op", [Role.OPERATOR])
        await put_account(pool, "pat.moore", [Role.LEAD])
        async with staff_pages(pool, bus, files, None, small_settings(folder)) as reader:
            yield reader, pool


async def test_an_operator_opens_the_page_anew_and_nothing_else(
    dsn: str, bus: Bus, files: Files, tmp_path: Path
) -> None:
    async with pages(dsn, bus, files, tmp_path) as (reader, pool):
        await reader.sign_in("olga.op")
        await reader.read("/staff")
        pool.terminate()  # as when the server is gone: every question fails

        page = await reader.read("/ops")
        assert "PostgreSQL does not answer" in page
        assert 'href="/staff/people"' not in page
        await reader.read("/ops/figures.json")
        for path in ("/ops/dead", "/ops/levers", "/ops/follow", "/staff"):
            await reader.read(path, 503)
        acted = await reader.client.post("/ops/levers/audit", data={"csrf": ""})
        assert acted.status == 503


async def test_nobody_else_does(dsn: str, bus: Bus, files: Files, tmp_path: Path) -> None:
    async with pages(dsn, bus, files, tmp_path) as (reader, pool):
        await reader.sign_in("pat.moore")
        await reader.read("/staff")
        assert standby.COOKIE not in _cookies(reader)
        await reader.sign_in("olga.op")
        page = await reader.read("/staff")
        good = _cookies(reader)[standby.COOKIE]
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        assert found
        await reader.client.post("/staff/sign-out", data={"csrf": found[1]})
        assert standby.COOKIE not in _cookies(reader)
        pool.terminate()

        await reader.read("/ops", 303)  # there is no session, whoever can be asked
        whose, until, seal = good.split(".")
        for forged in (
            f"{whose}.{int(until) + 1}.{seal}", f"{whose}.{until}.{'0' * 64}",
            f"cGF0.{until}.{seal}", "..", "", "ü.1.2",
        ):  # fmt: skip
            answer = await reader.client.get(
                "/ops", headers={"Cookie": f"{COOKIE}=some; {standby.COOKIE}={forged}"}
            )
            assert answer.status == 503, forged
        alone = await reader.client.get(
            "/ops", headers={"Cookie": f"{standby.COOKIE}={good}"}, allow_redirects=False
        )
        assert alone.status == 303  # beside a session it speaks, and never for itself


async def test_the_cookie_is_over_after_four_hours(
    dsn: str, bus: Bus, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "LIFETIME", -1)
    async with pages(dsn, bus, files, tmp_path) as (reader, pool):
        await reader.sign_in("olga.op")
        answer = await reader.client.get("/staff")
        old = answer.cookies[standby.COOKIE].value
        pool.terminate()
        answer = await reader.client.get("/ops", headers={"Cookie": f"{standby.COOKIE}={old}"})
        assert answer.status == 503


async def test_while_the_sessions_can_be_asked_they_decide(
    dsn: str, bus: Bus, files: Files, tmp_path: Path
) -> None:
    """Somebody who lost the role is stopped by their next click, cookie or not."""
    async with pages(dsn, bus, files, tmp_path) as (reader, pool):
        await reader.sign_in("olga.op")
        await reader.read("/ops")
        assert standby.COOKIE in _cookies(reader)
        await put_account(pool, "olga.op", [Role.OPERATOR], active=False)
        await reader.read("/ops", 303)


def _cookies(reader: Reader) -> dict[str, str]:
    url = reader.client.make_url("/ops")
    return {
        name: one.value
        for name, one in reader.client.session.cookie_jar.filter_cookies(url).items()
    }
