"""The table of ways in: a new channel is one file and one line here."""

from collections.abc import Callable, Mapping

from channels import open311, sms_photos, sms_twilio
from channels.base import Channel, Surroundings
from channels.email_imap import EmailChannel
from channels.phone_transcript import PhoneTranscript
from channels.settings import ChannelSettings
from channels.web_form import WebForm

Build = Callable[[Surroundings, ChannelSettings], Channel | None]

CHANNELS: Mapping[str, Build] = {
    "web": lambda around, settings: WebForm(around.intake).channel(),
    "email": lambda around, settings: (
        EmailChannel(around, settings.email).channel() if settings.email else None
    ),
    "phone": lambda around, settings: PhoneTranscript(around.intake).channel(),
    "sms": lambda around, settings: sms_twilio.build(around, settings.sms),
    "open311": lambda around, settings: open311.build(around, settings.open311),
}

HEARS: Mapping[str, str] = {sms_photos.DURABLE: "sms"}
"""The durables of channels, and whose they are: where that one is turned off, nobody hears it."""


def open_channels(around: Surroundings, settings: ChannelSettings) -> dict[str, Channel]:
    """All ways in that the settings turn on, by name."""
    built = {name: build(around, settings) for name, build in CHANNELS.items()}
    return {name: channel for name, channel in built.items() if channel is not None}
