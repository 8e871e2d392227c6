"""What can carry a notice: the port, what goes in and the outcome that comes out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bus.contracts import ContactMark, FileRef, NoticeQueued


@dataclass(frozen=True)
class Mail:
    """
    One email to one address, or one text to one number. `notice_id` makes it the same mail however
    often it is tried.
    """

    notice_id: UUID
    reference: str
    recipient: str
    recipient_name: str | None
    subject: str
    text: str
    html: str | None
    attachments: tuple[FileRef, ...]
    written_at: datetime
    notice: str = ""
    """Which notice, as `receipt`."""
    case_id: UUID | None = None
    answers: str | None = None
    """The Message-ID of the recipient's own mail that it answers."""


@dataclass(frozen=True)
class Sent:
    """The next hop took it."""

    provider_id: str | None = None


@dataclass(frozen=True)
class Failed:
    """It was refused for good, for a reason that a person can act on; it names nobody."""

    reason: str
    mark: ContactMark | None = None
    """What that teaches about the address or number."""


@dataclass(frozen=True)
class Again:
    """Not now; the very same mail may be taken later."""

    reason: str
    nobody_there: bool = False
    """The server as a whole did not answer; it said nothing about this mail."""


@dataclass(frozen=True)
class Unknown:
    """It was handed over, and nobody said whether it was taken; to be tried again."""

    reason: str


Outcome = Sent | Failed | Again | Unknown


class Budget(Protocol):
    """How many texts may be sent; the gateway hands it in."""

    async def spend(
        self, texts: Sequence[NoticeQueued], first: Collection[UUID]
    ) -> Mapping[UUID, str]:
        """
        Which of these texts may not be sent, and why; the others are counted, each once however
        often it is asked about. `first` may use what is kept for them. Raises `Unavailable`.
        """
        ...


@dataclass(frozen=True)
class Door:
    """How it stands with the server to which a sender hands what it carries."""

    place: str
    """As `host:port`."""
    opened_at: datetime | None = None
    """When it last let us in."""
    tried_at: datetime | None = None
    trouble: str = ""
    """In words, for an operator; empty when all is well, or nothing was tried yet."""
    refused: bool = False
    """It does not accept our password."""


class Sender(Protocol):
    """Carries mails. `name` is what the delivery ledger calls it."""

    @property
    def name(self) -> str: ...

    async def send(self, mails: Sequence[Mail]) -> Sequence[Outcome]:
        """What became of each mail, in their order. Never raises for what a server answers."""
        ...
