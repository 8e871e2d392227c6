"""`buckstop backup` and `buckstop restore`."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bus.connect import Bus, open_bus
from bus.errors import Refused, Unavailable
from gateway.backup import BackupTrouble, read_manifest, unfit
from gateway.backup import backup as backup_
from gateway.backup import restore as restore_
from gateway.command import HERE, Where, go, out, trouble
from gateway.engine_process import EngineTrouble
from gateway.engines import Engines
from gateway.run import engines_of, reach
from gateway.settings import Settings


def backup(folder: Path, /, *, where: Where = HERE) -> int:
    """
    Write a backup of this moment into a new folder, while Buckstop runs or not.

    The database, the streams, the files, the secret. Files in a bucket stay where they are.
    """
    settings = where.settings()

    async def save() -> int:
        async def act(bus: Bus, engines: Engines) -> dict[str, Any]:
            return await backup_(settings, bus, engines.dsn, folder)

        async with reach(settings) as engines:
            return await _with(settings, engines, act, "saved")

    return _say(save)


def restore(folder: Path, /, *, where: Where = HERE) -> int:
    """
    Bring a backup into an empty data directory, or into an empty database and bus.

    Nothing may run on it meanwhile. Start Buckstop afterwards, and run `buckstop audit`.
    """
    settings = where.settings()

    async def bring() -> int:
        read_manifest(folder)  # before engines make a directory of what is to stay empty

        async def act(bus: Bus, engines: Engines) -> dict[str, Any]:
            return await restore_(settings, bus, engines.dsn, folder)

        async with engines_of(settings) as engines:
            return await _with(settings, engines, act, "restored")

    return _say(bring)


async def _with(
    settings: Settings,
    engines: Engines,
    act: Callable[[Bus, Engines], Awaitable[dict[str, Any]]],
    done: str,
) -> int:
    at = settings.bus.model_copy(update={"url": engines.nats_url})
    async with open_bus(at, name="backup") as bus:
        manifest = await act(bus, engines)
    books, files = manifest["ledger"], manifest["files"]
    out.print(
        f"{done}: {manifest['counts']['cases']} cases, {books['received']} messages in the ledger, "
        f"{files['count']} files ({files['bytes']} bytes), {len(manifest['streams'])} streams, "
        f"as of {manifest['at']}",
        markup=False,
    )
    return 0


def _say(work: Callable[[], Any]) -> int:
    try:
        return go(work())
    except (BackupTrouble, Refused, Unavailable, EngineTrouble) as error:
        return trouble(unfit(error), 1)
