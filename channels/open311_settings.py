"""How other programs report and read: Open311 GeoReport v2."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Open311Settings(BaseModel):
    """
    The interface at `/open311/v2`. What it shows of a case stands in the city's folder
    (`public.toml`); who may report through it, `buckstop key` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    """False: neither reading nor reporting."""
    jurisdiction_id: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """What programs call the city, as `independencemo.gov`; empty: its website's host."""
    stage: Literal["production", "test"] = "production"
    """What discovery says of this instance."""
    contact: str = ""
    """How developers get help; empty: the city's name and website."""
    key_service: str = ""
    """How to get a key; empty: a sentence that says to ask the city."""
    reads_a_minute: int = Field(default=600, ge=1)
    """Of one address; more are answered 429."""
    strangers_a_minute: int = Field(default=60, ge=1)
    """Reports of one address without a good key; more are answered 429."""
    most_photos: int = Field(default=10, ge=0, le=50)
    """Of one report, sent along or linked."""
    most_photo_bytes: int = Field(default=15 * 1024 * 1024, ge=1)
    """Of each of them."""
    fetch_media: bool = True
    """Whether pictures that a report links to are fetched; else only their link is kept."""
    media_seconds: float = Field(default=6.0, gt=0, le=60)
    """In which all of them have to be here; the app waits as long for its answer."""
