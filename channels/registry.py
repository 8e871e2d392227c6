"""The table of ways in: a new channel is one file and one line here."""

from collections.abc import Callable, Mapping

from channels.base import Channel
from channels.intake import Intake
from channels.phone_transcript import PhoneTranscript
from channels.web_form import WebForm

CHANNELS: Mapping[str, Callable[[Intake], Channel]] = {
    "web": lambda intake: WebForm(intake).channel(),
    "phone": lambda intake: PhoneTranscript(intake).channel(),
}


def open_channels(intake: Intake) -> dict[str, Channel]:
    """All ways in, by name."""
    return {name: build(intake) for name, build in CHANNELS.items()}
