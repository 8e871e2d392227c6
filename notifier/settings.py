"""What the notifier needs to know beside the city: the mail server, its own address, the links."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from notifier.email_smtp import SmtpSettings
from notifier.mail_message import on_the_wire
from notifier.sms_settings import SmsSettings

NOBODY = "no-reply@localhost"
_LONGEST_LOCAL = 64 - 1 - 39  # RFC 5321, 4.5.3.1.1: 64 characters, a plus, the token


class NotifierSettings(BaseModel):
    """What the notifier needs to know beside the city."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smtp: SmtpSettings = SmtpSettings()
    sms: SmsSettings = SmsSettings()
    from_address: str = NOBODY
    from_name: str = ""
    """Who writes; empty: the city."""
    reply_to: str = ""
    """Where answers go; empty: the mails say that nobody reads them."""
    signed_replies: bool = True
    """
    Answers and bounces go to `local+TOKEN@domain` of `reply_to`, where the token names the mail
    that they belong to. False: the mail server cannot take addresses with a plus.
    """
    map_link: str = "https://www.openstreetmap.org/?mlat={lat}&mlon={lon}#map=18/{lat}/{lon}"
    search_link: str = "https://www.openstreetmap.org/search?query={query}"
    """The map of a place of which only the address is known."""
    staff_language: Literal["en", "es"] = "en"
    attach_up_to: int = Field(default=5 * 1024 * 1024, ge=0)
    """Bytes of photos in one mail; the others are a click away."""
    templates: Path | None = None
    """A city's own templates, laid out like `notifier/templates`; what it lacks is ours."""

    @field_validator("from_address", "reply_to")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not on_the_wire(value).isascii():
            raise ValueError("only plain letters may stand in our own address")
        return value

    @field_validator("map_link")
    @classmethod
    def _names_the_point(cls, value: str) -> str:
        return _filled(value, lat="39.09", lon="-94.41")

    @field_validator("search_link")
    @classmethod
    def _names_the_query(cls, value: str) -> str:
        return _filled(value, query="111 E Maple Ave")

    @model_validator(mode="after")
    def _a_token_fits_beside_it(self) -> "NotifierSettings":
        local = self.reply_to.rpartition("@")[0]
        if self.signed_replies and len(local) > _LONGEST_LOCAL:
            raise ValueError(
                f"reply_to: more than {_LONGEST_LOCAL} letters before the @ leave no room for what "
                "signs a reply; use a shorter address, or signed_replies = false"
            )
        return self

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> "NotifierSettings":
        if self.smtp.host and self.from_address == NOBODY:
            raise ValueError("from_address is needed when smtp.host is set")
        return self


def _filled(link: str, **values: str) -> str:
    """The template of a link as it is, once it was seen to take these values and no others."""
    try:
        filled = link.format(**values)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"may hold only {', '.join(f'{{{name}}}' for name in values)}") from error
    if any(value not in filled for value in values.values()):
        raise ValueError(f"must hold {', '.join(f'{{{name}}}' for name in values)}")
    return link
