"""
Access tokens for mailboxes at Microsoft 365 and Google: short-lived, made from a refresh token.

A token is renewed at half of its life, so that a connection never starts with one that is about
to end.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import structlog

from channels.email_settings import OAuthSettings
from channels.kept_secret import KeptSecret

log = structlog.stdlib.get_logger()

_PATIENCE = aiohttp.ClientTimeout(total=20)
_LIFE = 3600.0  # seconds, where the provider does not say
_LONGEST = 10 * 365 * 86400.0


class NoToken(Exception):
    """
    The provider gives none. `lasting`: it said no, and a person has to look; else it may be a
    matter of minutes.
    """

    def __init__(self, words: str, *, lasting: bool) -> None:
        super().__init__(words)
        self.lasting = lasting


class Tokens:
    """The access tokens of one mailbox. `keep` is where a refresh token outlives us."""

    def __init__(
        self,
        settings: OAuthSettings,
        now: Callable[[], float] = time.monotonic,
        keep: KeptSecret | None = None,
    ) -> None:
        self._settings = settings
        self._given = settings.refresh_token.get_secret_value()
        self._refresh_token = ""
        self._keep = keep
        self._now = now
        self._token = ""
        self._renew_at = 0.0
        self._one = asyncio.Lock()
        self.ends: datetime | None = None
        """When somebody has to allow us into the mailbox again, where the provider says so."""

    async def token(self) -> str:
        """A token with at least half of its life before it. Raises `NoToken`."""
        async with self._one:
            if not self._token or self._now() >= self._renew_at:
                await self._renew()
            return self._token

    def forget(self) -> None:
        """The mail server did not take the last one."""
        self._token = ""

    async def _renew(self) -> None:
        if not self._refresh_token:
            self._refresh_token = (
                await asyncio.to_thread(self._keep.read) if self._keep else self._given
            )
        try:
            await self._ask()
        except NoToken as error:
            if not error.lasting:
                raise
            if self._refresh_token == self._given:
                self._refresh_token = ""  # an operator may enter another one
                raise
            # The one that we kept is worth nothing any more; perhaps the settings' own still is.
            log.warning("a kept refresh token is refused; the one in the settings is tried")
            self._refresh_token = self._given
            if self._keep:
                await asyncio.to_thread(self._keep.forget)
            await self._ask()

    async def _ask(self) -> None:
        form = {
            "grant_type": "refresh_token",
            "client_id": self._settings.client_id,
            "refresh_token": self._refresh_token,
        }
        if self._settings.client_secret is not None:
            form["client_secret"] = self._settings.client_secret.get_secret_value()
        if self._settings.scope:
            form["scope"] = self._settings.scope
        try:
            async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
                async with session.post(self._settings.token_url, data=form) as answer:
                    status, said = answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NoToken(
                f"{self._settings.token_url} gives no access token ({type(error).__name__}).",
                lasting=False,
            ) from error
        told = said if isinstance(said, dict) else {}
        if status >= 500 or status == 429:
            raise NoToken(f"{self._settings.token_url} answers {status}.", lasting=False)
        if status != 200 or not isinstance(told.get("access_token"), str):
            raise NoToken(
                f"{self._settings.token_url} gives no access token "
                f"({told.get('error', status)!s:.60}): somebody has to allow us into the mailbox "
                "again and enter the new refresh token.",
                lasting=True,
            )
        self._token = told["access_token"]
        # Microsoft hands out a new one each time; the old one goes on working for its own life.
        newest = str(told.get("refresh_token") or self._refresh_token)
        if newest != self._refresh_token:
            self._refresh_token = newest
            if self._keep:
                try:
                    await asyncio.to_thread(self._keep.write, newest)
                except OSError as error:
                    log.error("a new refresh token cannot be kept", error=type(error).__name__)
        life = _seconds(told.get("expires_in")) or _LIFE
        if left := _seconds(told.get("refresh_token_expires_in")):
            self.ends = datetime.now(UTC) + timedelta(seconds=left)
        self._renew_at = self._now() + life / 2
        log.info("access token renewed", seconds=round(life))


def _seconds(told: object) -> float | None:
    """A span as a provider tells it; None for what is none."""
    try:
        return min(float(told), _LONGEST) if isinstance(told, str | int | float) else None
    except ValueError:
        return None
