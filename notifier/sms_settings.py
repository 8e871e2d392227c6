"""The account over which texts are sent."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class SmsSettings(BaseModel):
    """Twilio, for texts to residents and staff. Without an account they stay in the mailbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_sid: str = Field(default="", pattern=r"^(AC[0-9a-fA-F]{32})?$")
    """Empty: the account of `channels.sms`, if there is one."""
    auth_token: SecretStr | None = None
    from_number: str = Field(default="", pattern=r"^(\+[1-9][0-9]{6,14}|[0-9]{5,6})?$")
    """Our number, in E.164, or a short code."""
    messaging_service_sid: str = Field(default="", pattern=r"^(MG[0-9a-fA-F]{32})?$")
    """A Messaging Service that chooses one of our numbers; goes before `from_number`."""
    most_a_day: int = Field(default=2_000, ge=0)
    most_a_month: int = Field(default=20_000, ge=0)
    """
    Texts of ours at most, within 24 hours and within 30 days; 0: as many as there are. What is
    over that is not sent, and the case says so. The last fifth is for receipts and for what may be
    an emergency.
    """
    most_to_one_a_day: int = Field(default=50, ge=0)
    most_to_one_a_month: int = Field(default=500, ge=0)
    """The same for one number."""
    texts_per_second: float = Field(default=1.0, gt=0)
    """What the carriers allow our number."""
    at_once: int = Field(default=4, ge=1, le=32)
    """Texts on their way to Twilio at the same time."""
    timeout: float = Field(default=10.0, gt=0)
    """Seconds that Twilio has for each answer."""
    patience: float = Field(default=20.0, gt=0)
    """Seconds for one batch; what was not begun by then comes again."""
    rest: float = Field(default=5.0, ge=0)
    """Seconds in which Twilio is left alone when it could not be reached."""
    status_callback: str = Field(default="", pattern=r"^(https?://[^\s?#]+)?$")
    """Where Twilio reports what became of a text; empty: our webhook, where Twilio reaches it."""
    api_url: str = Field(default="https://api.twilio.com", pattern=r"^https?://[^\s/?#]+$")
    """Twilio, or what stands between us and Twilio."""

    @model_validator(mode="after")
    def _account_is_whole(self) -> "SmsSettings":
        if self.account_sid and self.auth_token is None:
            raise ValueError("auth_token is needed when account_sid is set")
        if self.account_sid and not (self.from_number or self.messaging_service_sid):
            raise ValueError("from_number or messaging_service_sid is needed")
        return self
