"""When reports are about one problem: two of them, or a storm of them."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


class DuplicateSettings(BaseModel):
    """Which open cases may be about the same problem."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(default=90, ge=1)
    """Cases older than this are not proposed."""
    reach: float = Field(default=120.0, gt=0)
    """Metres between two reports of one problem, for types that name none."""


class StormSettings(BaseModel):
    """From when on many reports are one incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reports: int = Field(default=10, ge=0)
    """So many reports of one kind are a storm; 0: nobody looks for storms."""
    within_metres: float = Field(default=1000.0, gt=0)
    """From the middle of them to the farthest."""
    within_minutes: float = Field(default=60.0, gt=0)
    """From the first of them to now; and from the last one until another one is too late."""
    attach: bool = False
    """True: an incident begins by itself, and takes in what comes later. False: it is proposed."""
    look_every: float = Field(default=10.0, gt=0)
    """Seconds between two looks."""

    @property
    def span(self) -> timedelta:
        return timedelta(minutes=self.within_minutes)
