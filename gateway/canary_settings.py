"""The canary: how often one is sent through the house, and how soon it should come through."""

from pydantic import BaseModel, ConfigDict, Field


class CanarySettings(BaseModel):
    """A complaint that nobody made, to see that the others come through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: float = Field(default=60.0, ge=0, le=3600)
    """Seconds between two; 0: none is sent, and nobody is told that one is late."""
    aim: float = Field(default=10.0, gt=0, le=3600)
    """Seconds after which one that has not come through is late."""
