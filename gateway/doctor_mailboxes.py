"""What `buckstop doctor` sees of a mailbox: can we reach it, may we in, and what can its server."""

from pathlib import Path

from channels.email_settings import MailboxSettings
from channels.imap_session import CommandRefused, ImapTrouble
from channels.mailbox_access import Access


class BadMailbox(Exception):
    """A sentence that says what to do."""


async def look_at_mailbox(settings: MailboxSettings, data: Path | None = None) -> str:
    """What can be said of a mailbox that is well. Raises `BadMailbox`."""
    hasty = settings.model_copy(update={"connect_seconds": 8.0, "command_seconds": 6.0})
    try:
        async with Access(hasty, data).open() as session:
            try:
                inbox = await session.select(settings.inbox)
            except CommandRefused as error:
                raise BadMailbox(f"there is no folder {settings.inbox!r} ({error}).") from error
            folders = () if settings.keep_in_inbox else (settings.processed, settings.quarantine)
            for folder in folders:
                try:
                    await session.make(folder)
                except CommandRefused as error:
                    raise BadMailbox(
                        f"the folder {folder!r} is not there and cannot be made ({error}). Some "
                        f"servers want it below INBOX: try {settings.inbox}.{folder}."
                    ) from error
            lacks = [one for one in ("IDLE", "MOVE", "UIDPLUS") if not session.can(one)]
    except ImapTrouble as error:
        raise BadMailbox(str(error)) from error
    words = f"{settings.host} lets us in, {inbox.exists} mails wait"
    if settings.security == "none":
        words += "; nothing is encrypted on the way"
    if "IDLE" in lacks:
        words += f"; it has no IDLE, so mail is found within {settings.poll_every:g} s"
    if "MOVE" in lacks and "UIDPLUS" in lacks:
        words += "; it has neither MOVE nor UIDPLUS, so mail put away stays marked as deleted"
    return words
