"""What is remembered of a mailbox from one look to the next, by UID; the gateway hands it in."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID


class Remembered(Protocol):
    """One mail in a folder."""

    @property
    def tries(self) -> int:
        """How often it was begun; counted before it is read, so that a crash counts too."""

    @property
    def complaint(self) -> UUID | None:
        """The id under which it was told; None until it was."""

    @property
    def settled(self) -> bool:
        """The books have it, and it stays where it lies."""


class MailboxMemory(Protocol):
    """
    Every change is on disk when it returns. A folder's UIDs are worth something only together
    with its UIDVALIDITY. Raises `Unavailable` while the database is away.
    """

    async def enter(self, mailbox: str, folder: str, validity: int) -> int | None:
        """
        The UIDVALIDITY that the folder had when last looked at; None when it is new. Another one
        now, and everything about the folder is forgotten.
        """

    async def done_up_to(self, mailbox: str, folder: str) -> int:
        """Every mail up to this UID is in the books and stays where it lies, or is gone."""

    async def advance(self, mailbox: str, folder: str, up_to: int) -> None:
        """From now on that is so up to this UID."""

    async def recall(
        self, mailbox: str, folder: str, *, after: int = 0
    ) -> Mapping[int, Remembered]:
        """By UID, those that are greater than `after`."""

    async def begin(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """They are about to be tried once more."""

    async def excuse(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """That they were begun in vain was no fault of theirs."""

    async def told(self, mailbox: str, folder: str, mails: Mapping[int, UUID]) -> None:
        """They were told to the bus under these ids; what was counted before is forgotten."""

    async def settle(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """The books have them."""

    async def forget(self, mailbox: str, folder: str, uids: Sequence[int]) -> None:
        """They lie there no more."""
