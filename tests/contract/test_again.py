"""Starting again what hangs, from the page: who may, what it says, and that it is written down."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from bus.connect import Bus
from bus.files import Files
from gateway.companion import Companion
from gateway.engine_process import EngineTrouble
from gateway.engines import Engines
from gateway.keeper import Keeper
from store import levers
from store.model import Role
from store.pool import Settings as PoolSettings
from store.pool import open_pool
from tests.support.staff import Reader, goes_to, put_account, small_settings, staff_pages, token_in


class Engine:
    """An engine of ours, as the pages see it; `trouble` is why it does not start."""

    def __init__(self) -> None:
        self.started = 0
        self.trouble = ""

    async def start_again(self) -> None:
        if self.trouble:
            raise EngineTrouble(self.trouble)
        self.started += 1


@asynccontextmanager
async def pages(
    dsn: str, bus: Bus, files: Files, folder: Path, engine: Engine
) -> AsyncIterator[tuple[Reader, asyncpg.Pool]]:
    settings = small_settings(folder)

    def begin(names: Sequence[str]) -> Companion:
        return Companion(settings, names, None)

    engines = Engines("", dsn, again={"postgresql": engine.start_again})
    keeper = Keeper(engines, (), begin, known=["channels", "router"], here=["channels"])
    async with open_pool(PoolSettings(dsn=dsn)) as pool:
        await put_account(pool, "olga.op", [Role.OPERATOR])
        await put_account(pool, "pat.moore", [Role.LEAD])
        async with staff_pages(pool, bus, files, None, settings, keeper) as reader:
            yield reader, pool


async def test_only_operators_start_anything_again(
    dsn: str, bus: Bus, files: Files, tmp_path: Path
) -> None:
    engine = Engine()
    async with pages(dsn, bus, files, tmp_path, engine) as (reader, _pool):
        await reader.read("/ops/again", 303)
        form = {"what": "postgresql", "why": ""}
        assert (await reader.client.post("/ops/again", data=form)).status == 401
        await reader.sign_in("pat.moore")
        assert (await reader.send("/ops/again", form)).status == 403
        await reader.sign_in("olga.op")
        assert (await reader.client.post("/ops/again", data=form)).status == 403  # no token
    assert engine.started == 0


async def test_it_is_started_again_and_written_down(
    dsn: str, bus: Bus, files: Files, tmp_path: Path
) -> None:
    engine = Engine()
    async with pages(dsn, bus, files, tmp_path, engine) as (reader, pool):
        await reader.sign_in("olga.op")
        page = await reader.read("/ops/again?what=postgresql")
        # Nobody runs the router: it can be run here. Nobody can start the pages' own, nor NATS.
        offered = [one.split('"')[0] for one in page.split('name="what" value="')[1:]]
        assert offered == ["router", "postgresql"]
        form = {"what": "postgresql", "why": "It hung."}
        answer = await reader.send("/ops/again", form, page)
        assert goes_to(answer) == "/ops/again?done=postgresql"
        assert "PostgreSQL was started again, and runs." in await reader.read(goes_to(answer))

        engine.trouble = "PostgreSQL did not start; pg/log says why."
        answer = await reader.send("/ops/again", form, page)
        assert answer.status == 422
        said = await answer.text()
        assert "PostgreSQL did not start; pg/log says why" in said
        assert "It hung." in said  # what was typed is kept
        for nobodys in ("channels", "nats", "", "web", "../pg"):
            refused = await reader.send("/ops/again", {"what": nobodys}, page)
            assert refused.status == 422, nobodys
        async with pool.acquire() as conn:
            acts = [(one.act, one.what, one.by, one.outcome) for one in await levers.acts(conn)]
    assert engine.started == 1
    assert acts == [
        ("start_again", "postgresql", "olga.op", f"failed: {engine.trouble}"),
        ("start_again", "postgresql", "olga.op", "done"),
    ]


async def test_while_the_books_are_away_an_operators_cookie_is_enough_with_its_own_token(
    dsn: str, bus: Bus, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operator.again._NOTED_WITHIN", 0.5)
    monkeypatch.setattr("gateway.operator.again_page._SEEN_WITHIN", 0.5)
    engine = Engine()
    async with pages(dsn, bus, files, tmp_path, engine) as (reader, pool):
        await reader.sign_in("olga.op")
        of_session = token_in(await reader.read("/ops/again"))
        pool.terminate()  # as when the server is gone: every question fails
        page = await reader.read("/ops/again?what=postgresql")
        form = {"what": "postgresql", "why": "It hangs."}
        for wrong in ("", of_session, "0" * 64, "ü"):
            sent = {"csrf": wrong, **form}
            answer = await reader.client.post("/ops/again", data=sent, allow_redirects=False)
            assert answer.status == 403, wrong
            assert "It hangs." in await answer.text()
        assert engine.started == 0
        answer = await reader.send("/ops/again", form, page)
        assert goes_to(answer) == "/ops/again?done=postgresql"
        assert engine.started == 1
        # From another site: the browser says so, and nobody is heard.
        other = await reader.client.post(
            "/ops/again",
            data={"csrf": token_in(page), **form},
            headers={"Sec-Fetch-Site": "cross-site"},
        )
        assert other.status == 403
        assert (await reader.client.post("/ops/places/look", data={})).status == 503
    assert engine.started == 1
