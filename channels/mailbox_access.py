"""
How we sign in at a mailbox: with what an operator entered last, else with what the settings say.

What they enter is kept below the data directory, and each sign-in reads it anew: whichever process
looks after the mailbox finds it there, as long as it sees the same directory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from channels.email_settings import MailboxSettings
from channels.imap_oauth import Tokens
from channels.imap_session import ImapSession, open_session
from channels.kept_secret import PASSWORDS, TOKENS, KeptSecret, kept_secret


class Access:
    """To one mailbox."""

    def __init__(self, settings: MailboxSettings, data: Path | None) -> None:
        """Without a data directory nothing is kept, and the settings alone count."""
        self._settings = settings
        self._data = data
        self._keep: KeptSecret | None
        self._tokens: Tokens | None = None
        if settings.oauth is not None:
            given = settings.oauth.refresh_token.get_secret_value()
            self._keep = kept_secret(data, TOKENS, settings.name, given)
            self._tokens = Tokens(settings.oauth, keep=self._keep)
        else:
            given = settings.password.get_secret_value() if settings.password else ""
            self._keep = kept_secret(data, PASSWORDS, settings.name, given)

    @property
    def ends(self) -> datetime | None:
        """When somebody has to allow us in again; None: never, or nobody has said."""
        return self._tokens.ends if self._tokens else None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ImapSession]:
        """A connection that is signed in. Raises `ImapTrouble`, `SignInRefused` among them."""
        settings = self._settings
        if self._tokens is None and self._keep is not None:
            newest = await asyncio.to_thread(self._keep.read)
            settings = settings.model_copy(update={"password": SecretStr(newest)})
        async with open_session(settings, self._tokens) as session:
            yield session

    async def try_with(self, entered: str) -> None:
        """
        Sign in with a password, or a refresh token where the mailbox takes those, that somebody
        entered just now. Raises `ImapTrouble` with the server's words; nothing is kept.
        """
        async with _with(self._settings, entered).open():
            pass

    async def keep(self, entered: str) -> None:
        """From now on this one counts. Raises `OSError` when the disk refuses."""
        if self._keep is None:
            raise OSError("nowhere to keep it")
        await asyncio.to_thread(self._keep.write, entered)


def _with(settings: MailboxSettings, entered: str) -> Access:
    if settings.oauth is None:
        update: dict[str, object] = {"password": SecretStr(entered)}
    else:
        renewed = {"refresh_token": SecretStr(entered)}
        update = {"oauth": settings.oauth.model_copy(update=renewed)}
    return Access(settings.model_copy(update=update), None)
