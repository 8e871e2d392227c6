"""
One thing that is not as it should be, and how bad it is (pure).

A sentence is written here in English with holes, and translated where it is shown. Each cause says
what to do in words that need no knowledge of NATS or PostgreSQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from gateway.operator.figures import Disk
from gateway.pages.i18n import noted as N_

# Seconds. A message is handled within one or two when all is well.
LATE = 60.0
VERY_LATE = 600.0
DISK_LOW, DISK_VERY_LOW = 0.10, 0.04
GIB = 1024**3
DAYS_FEW, DAYS_VERY_FEW = 21, 7

AGAIN = N_("Start it again")
GO_ON = N_("Let it go on")
LOOK = N_("See how it stands")


class Level(IntEnum):
    """How bad it is."""

    WELL = 0
    LOOK = 1
    """Nothing is lost and people are served, but somebody should look today."""
    WRONG = 2
    """Somebody waits because of it: act now."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    cause: str
    """A name for machines, as `service_silent`."""
    words: str
    """What is wrong, in English, with holes for `values`."""
    todo: str
    """What to do about it, in the same way."""
    values: Mapping[str, str | int]
    link: str = ""
    """Our page on which it is mended."""
    way: str = N_("Open them")
    """What the link to it says."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """Further values, which are sentences as `words` is, and are translated like it."""


def level_of_age(age: float | None) -> Level:
    """How bad it is that a message has waited for so many seconds."""
    if age is None or age < LATE:
        return Level.WELL
    return Level.WRONG if age >= VERY_LATE else Level.LOOK


def level_of_disk(disk: Disk) -> Level:
    share = disk.free / disk.total if disk.total else 1.0
    if share < DISK_VERY_LOW or disk.free < GIB:
        return Level.WRONG
    return Level.LOOK if share < DISK_LOW and disk.free < 20 * GIB else Level.WELL


def level_of_days(days: int | None) -> Level:
    """How bad it is that something ends in so many days."""
    if days is None or days >= DAYS_FEW:
        return Level.WELL
    return Level.WRONG if days < DAYS_VERY_FEW else Level.LOOK


def seconds_since(since: datetime | None, now: datetime) -> float:
    """0 for what never was."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
