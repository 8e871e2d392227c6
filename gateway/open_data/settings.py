"""When the public record is written into files that anybody may fetch."""

from pydantic import BaseModel, ConfigDict, Field


class OpenDataSettings(BaseModel):
    """The files at `/open-data`. What they hold of a case stands in the city's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    hour: int = Field(default=3, ge=0, le=23)
    """Of the city's day: when they are written anew."""
