"""
Sends the canary off: a complaint that nobody made, by the door behind all channels, now and then.

It is kept and told as any other is, only under a name of its own (`bus.contracts.CanaryFact`), so
that it comes to all who hear complaints and is never taken for one.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from bus.contracts import CanaryReceived, ComplaintReceived, Contact, Fact
from bus.errors import Refused, Unavailable
from bus.publish import Tell
from channels.intake import Heard, Intake
from router.rules import City

log = structlog.stdlib.get_logger()

CHANNEL = "canary"
"""None of the ways in: nobody can come by it."""
TEXT = (
    "Nobody made this report: it is Buckstop's canary, which shows that reports come through. "
    "There is a big pothole in the street."
)
# A name that no server can have (RFC 2606): whatever went wrong, nobody would be written to.
_REPORTER = Contact(name="Canary", email="canary@buckstop.invalid")


def as_canaries(tell: Tell) -> Tell:
    """Tells complaints as the canaries that they are."""

    async def tell_canaries(facts: Sequence[Fact]) -> None:
        await tell(
            [
                CanaryReceived(
                    message_id=fact.message_id,
                    occurred_at=fact.occurred_at,
                    canary=fact.message_id,
                    released_at=fact.occurred_at,
                    complaint=fact,
                )
                for fact in facts
                if isinstance(fact, ComplaintReceived)
            ]
        )

    return tell_canaries


async def release(intake: Intake, city: City, turn: datetime) -> ComplaintReceived:
    """
    Returns once the canary of this turn is on disk. Released twice, by whomever, it is one.

    `intake` tells by `as_canaries`. The original is the same bytes each time: writing them shows
    that originals can be kept, and leaves one file.
    """
    return await intake.receive(
        Heard(
            channel=CHANNEL,
            external_id=turn.isoformat(),
            original=TEXT.encode(),
            original_type="text/plain",
            original_name="canary.txt",
            text=TEXT,
            lat=city.map.lat,
            lon=city.map.lon,
            place_source="pin",
            reporter=_REPORTER,
        )
    )


async def keep_releasing(intake: Intake, city: City, every: float, stop: asyncio.Event) -> None:
    """
    Release a canary now and in each turn of `every` seconds until asked to stop. All processes
    count the same turns from the clock, so that however many run there is one canary in each.
    """
    while not stop.is_set():
        now = time.time()
        turn = datetime.fromtimestamp(now - now % every, UTC)
        try:
            await release(intake, city, turn)
        except (Unavailable, Refused) as error:
            # Whoever waits for it misses it, and says so.
            log.warning("canary not released", error=f"{type(error).__name__}: {error}")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every - time.time() % every)
