"""`buckstop key …`: apps that may report over Open311, each with a key of its own."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import asyncpg
from cyclopts import App, Parameter

from gateway.command import HERE, Format, Where, err, go, line, out, trouble
from gateway.run import reach
from store import apps
from store.pool import open_pool

key = App(name="key", help="Apps that may report over Open311, each with a key.")

AppId = Annotated[str, Parameter(help="In small letters, as fixmystreet; it never changes")]
AMinute = Annotated[int | None, Parameter(help="Reports and updates in a minute at most")]
ADay = Annotated[int | None, Parameter(help="Reports and updates in a day at most")]
Test = Annotated[bool | None, Parameter(help="Reports are checked, and not filed")]

_ONCE = "Nobody can show it again."


@key.command(name="add")
def add_key(
    app: AppId,
    *,
    name: Annotated[str, Parameter(help="What people call it")],
    contact: Annotated[str, Parameter(help="How to reach whoever runs it")],
    a_minute: AMinute = None,
    a_day: ADay = None,
    test: Test = None,
    where: Where = HERE,
) -> int:
    """
    Make a key with which an app may report over Open311. It is printed once, and only its digest
    is kept.
    """
    if apps.ID.fullmatch(app) is None:
        return trouble(f"{app!r}: small letters, digits and dashes, 40 at most.", code=1)

    async def work(conn: asyncpg.Connection) -> int:
        try:
            made = await apps.add(
                conn,
                id=app,
                name=name.strip(),
                contact=contact.strip(),
                a_minute=apps.A_MINUTE if a_minute is None else a_minute,
                a_day=apps.A_DAY if a_day is None else a_day,
                test=bool(test),
            )
        except KeyError:
            again = f"`buckstop key renew {app}` makes another key."
            return trouble(f"There is an app {app} already. {again}", code=1)
        err.print(f"{app} may report over Open311 with this key. {_ONCE}")
        sys.stdout.write(f"{made}\n")
        return 0

    return _with_store(where, work)


@key.command(name="renew")
def renew_key(app: AppId, *, where: Where = HERE) -> int:
    """Make another key for an app; the one that it has ends at once."""

    async def work(conn: asyncpg.Connection) -> int:
        made = await apps.renew(conn, app)
        err.print(f"This is the key of {app} from now on. {_ONCE}")
        sys.stdout.write(f"{made}\n")
        return 0

    return _with_store(where, work)


@key.command(name="change")
def change_key(
    app: AppId,
    *,
    name: str | None = None,
    contact: str | None = None,
    a_minute: AMinute = None,
    a_day: ADay = None,
    test: Test = None,
    active: Annotated[bool | None, Parameter(help="Whether its key is good")] = None,
    where: Where = HERE,
) -> int:
    """Change what an app may do; what is not named stays. `--no-active` ends its key."""

    async def work(conn: asyncpg.Connection) -> int:
        changed = await apps.change(
            conn,
            app,
            name=name,
            contact=contact,
            a_minute=a_minute,
            a_day=a_day,
            test=test,
            active=active,
        )
        _tell([changed], "text")
        return 0

    return _with_store(where, work)


@key.command(name="list")
def list_keys(*, where: Where = HERE, format: Format = "text") -> int:
    """The apps that have a key, what they may, and when it was last used."""

    async def work(conn: asyncpg.Connection) -> int:
        _tell(await apps.all_of_them(conn), format)
        return 0

    return _with_store(where, work)


def _tell(known: Sequence[apps.StoredApp], format: Format) -> None:
    if format == "json":
        moments = ("made_at", "used_at")
        line([asdict(one) | {name: _iso(getattr(one, name)) for name in moments} for one in known])
        return
    for one in known:
        told = [
            one.name,
            one.contact,
            f"{one.a_minute} a minute, {one.a_day} a day",
            f"used {one.used_at:%Y-%m-%d %H}h" if one.used_at else "never used",
            f"key {one.key_begins}…",
            *(word for word, so in (("test", one.test), ("ended", not one.active)) if so),
        ]
        out.print(f"{one.id}: {'; '.join(told)}", markup=False)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _with_store(where: Where, work: Callable[[asyncpg.Connection], Awaitable[int]]) -> int:
    settings = where.settings()

    async def reached() -> int:
        async with reach(settings) as engines:
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_pool(stored) as pool, pool.acquire() as connection:
                try:
                    return await work(connection)
                except KeyError as error:
                    return trouble(f"There is no app {error.args[0]}.", code=1)
                except asyncpg.CheckViolationError:
                    return trouble("Limits are numbers from 1 on, and names are words.", code=1)

    return go(reached())
