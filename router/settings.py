"""What the router needs to know beside the city: whom it asks for a point that no list has."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class GeocoderSettings(BaseModel):
    """A geocoder; without a provider none is asked, and nothing leaves the house."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Literal["", "census", "nominatim", "arcgis"] = ""
    url: str = ""
    """A server of one's own; empty: the provider's public one."""
    contact: str = ""
    """Who asks, as Nominatim's usage policy wants it: an email address or a web page."""
    per_second: float = Field(default=1.0, gt=0, le=100)
    """Questions a second at most. The public Nominatim allows one."""
    timeout: float = Field(default=5.0, gt=0)
    """Seconds that the geocoder has for an answer."""
    patience: float = Field(default=2.0, ge=0)
    """Seconds that a complaint waits for it; then it is routed without, and looked at again."""
    keep_days: int = Field(default=90, ge=1)
    """Days for which an answer is kept, so that nothing is asked twice."""
    rest: float = Field(default=60.0, gt=0)
    """Seconds in which a geocoder that failed three times is left alone."""

    @model_validator(mode="after")
    def _keeps_the_policy(self) -> "GeocoderSettings":
        if self.provider == "nominatim" and not self.url:
            if not self.contact:
                raise ValueError("contact is needed: the public Nominatim wants to know who asks")
            if self.per_second > 1:
                raise ValueError("per_second: the public Nominatim allows one question a second")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url is no web address")
        return self


class RouterSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    geocoder: GeocoderSettings = GeocoderSettings()
