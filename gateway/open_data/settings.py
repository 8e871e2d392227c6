"""The dashboard and the public record in files, which anybody may read."""

from pydantic import BaseModel, ConfigDict, Field


class OpenDataSettings(BaseModel):
    """`/dashboard`, and the files at `/open-data`. What they hold stands in the city's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    hour: int = Field(default=3, ge=0, le=23)
    """Of the city's day: when they are written anew."""
