"""Waiting for whichever comes first."""

import asyncio


async def first(
    wait: float | None, *events: asyncio.Event, work: asyncio.Task[None] | None = None
) -> None:
    """Returns once one of the events is set, `work` is done, or `wait` seconds are over."""
    waits = [asyncio.create_task(one.wait()) for one in events]
    try:
        everything: list[asyncio.Future[object]] = [*waits]  # type: ignore[list-item]
        if work is not None:
            everything.append(work)  # type: ignore[arg-type]
        await asyncio.wait(everything, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
