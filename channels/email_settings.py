"""The mailboxes that residents write to."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Security = Literal["tls", "starttls", "none"]
_PORTS: dict[str, int] = {"tls": 993, "starttls": 143, "none": 143}


class OAuthSettings(BaseModel):
    """How to sign in at Microsoft 365 or Google, which take no passwords from programs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    client_secret: SecretStr | None = None
    refresh_token: SecretStr
    token_url: str
    """As `https://oauth2.googleapis.com/token`."""
    scope: str = ""
    """Empty: what the refresh token was given for."""


class MailboxSettings(BaseModel):
    """One mailbox, and the folders in it that we use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    port: int = Field(default=0, ge=0, le=65535)
    """0: 993 with `tls`, else 143."""
    security: Security = "tls"
    ca_file: Path | None = None
    """The certificate authority of a mail server with the city's own certificates."""
    username: str = Field(min_length=1)
    password: SecretStr | None = None
    oauth: OAuthSettings | None = None

    inbox: str = "INBOX"
    processed: str = "Processed"
    """Where mail goes whose complaint is in the books."""
    quarantine: str = "Quarantine"
    """Where mail goes that nobody could read; the reason stands in the ledger."""
    keep_in_inbox: bool = False
    """Mail stays where it is, and what was taken in is remembered."""

    addresses: tuple[str, ...] = ()
    """Addresses of ours that lead here: mail from them is not a resident's."""
    own_domain: str = ""
    """A domain in whose Message-IDs nobody but Buckstop writes. What we signed is known anyway."""
    authserv_id: str = Field(default="", pattern=r"^[^\s;=]*$")
    """
    How the mail server names itself in Authentication-Results; `-` for one that does not
    (Microsoft 365). Empty: nobody says whether a mail's sender is who it says.
    """

    poll_every: float = Field(default=60.0, gt=0, le=3600)
    """Seconds; what IDLE does not tell is found within them."""
    idle: float = Field(default=300.0, gt=0, le=1500)
    """Seconds after which IDLE is renewed; servers hang up on longer ones."""
    connect_seconds: float = Field(default=20.0, gt=0, le=300)
    command_seconds: float = Field(default=30.0, gt=0, le=600)
    fetch_seconds: float = Field(default=240.0, gt=0, le=3600)
    """For one mail, however large."""
    max_size: int = Field(default=50_000_000, ge=100_000, le=200_000_000)
    """Bytes; a larger mail is not downloaded but put into quarantine."""

    @model_validator(mode="after")
    def _has_a_way_in(self) -> Self:
        if (self.password is None) == (self.oauth is None):
            raise ValueError("a mailbox needs either a password or oauth")
        if len({self.inbox, self.processed, self.quarantine}) < 3:
            raise ValueError("inbox, processed and quarantine must be three folders")
        return self

    @property
    def name(self) -> str:
        """What people and the ledger call it."""
        return self.username if "@" in self.username else f"{self.username}@{self.host}"

    @property
    def at_port(self) -> int:
        return self.port or _PORTS[self.security]

    @property
    def judges(self) -> frozenset[str]:
        """The server that says whether a mail's sender is who it says, if one does."""
        return frozenset({self.authserv_id} if self.authserv_id else ())

    @property
    def ours(self) -> frozenset[str]:
        """Every address of ours that leads here, in small letters."""
        named = {one.lower() for one in self.addresses}
        return frozenset(named | ({self.username.lower()} if "@" in self.username else set()))
