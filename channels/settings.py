"""Which ways in are open: a channel's section turns it on, without one it stays off."""

from pydantic import BaseModel, ConfigDict

from channels.email_settings import MailboxSettings
from channels.open311_settings import Open311Settings
from channels.sms_settings import TwilioSettings


class ChannelSettings(BaseModel):
    """Web form and phone entry are always open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: tuple[MailboxSettings, ...] = ()
    sms: TwilioSettings = TwilioSettings()
    open311: Open311Settings = Open311Settings()
