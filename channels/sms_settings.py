"""The Twilio account over which residents text."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from channels.intake import read_phone

ROUTE = "/channels/sms"


class TwilioSettings(BaseModel):
    """Without an account, no texts come in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_sid: str = Field(default="", pattern=r"^(AC[0-9a-fA-F]{32})?$")
    auth_token: SecretStr | None = None
    previous_auth_token: SecretStr | None = None
    """While a token is changed, Twilio may sign with the old one or the new one."""
    numbers: tuple[str, ...] = ()
    """Our own numbers in E.164; the poller asks Twilio for what was sent to them."""
    webhook_path: str = Field(default=ROUTE, pattern=r"^/[^\s?#]*[^\s?#/]$")
    """Where the world reaches our webhook, when a proxy in front gives it another path."""
    poll_every: float = Field(default=300.0, ge=1)
    """Seconds between two looks for texts that no webhook brought."""
    look_back: float = Field(default=72.0, gt=0, le=24 * 400)
    """Hours that the first look after a start goes back."""
    grace: float = Field(default=30.0, ge=0)
    """Seconds that the webhook has before the poller takes a text for missed."""
    most_media: int = Field(default=10, ge=0, le=10)
    """Photos and other files of one text."""
    most_media_bytes: int = Field(default=5 * 1024 * 1024, ge=1)
    """Bytes of each of them."""
    media_timeout: float = Field(default=15.0, gt=0)
    """Seconds in which each of them has to be here."""
    delete_media: bool = True
    """Whether what we keep is deleted at Twilio."""
    lost_again_after: float = Field(default=600.0, ge=120, le=24 * 3600)
    """Seconds after which a text that a carrier lost, nobody knows why, is sent once more."""
    most_a_minute: int = Field(default=10, ge=1)
    most_an_hour: int = Field(default=60, ge=1)
    """More texts than that from one number are kept, and not answered."""
    api_url: str = Field(default="https://api.twilio.com", pattern=r"^https?://[^\s/?#]+$")
    """Twilio, or what stands between us and Twilio. It is trusted with the account's token."""
    timeout: float = Field(default=15.0, gt=0)
    """Seconds that Twilio has for each answer."""

    @field_validator("numbers")
    @classmethod
    def _in_one_form(cls, numbers: tuple[str, ...]) -> tuple[str, ...]:
        read = tuple(read_phone(number) for number in numbers)
        wrong = [one for one, number in zip(numbers, read, strict=True) if number is None]
        if wrong:
            raise ValueError(f"not a telephone number: {', '.join(wrong)}")
        return tuple(number for number in read if number is not None)

    @model_validator(mode="after")
    def _account_has_a_token(self) -> "TwilioSettings":
        if self.account_sid and self.auth_token is None:
            raise ValueError("auth_token is needed when account_sid is set")
        return self

    @property
    def tokens(self) -> tuple[str, ...]:
        """Those that may have signed a webhook, the newest first."""
        known: tuple[Any, ...] = (self.auth_token, self.previous_auth_token)
        return tuple(one.get_secret_value() for one in known if one and one.get_secret_value())
