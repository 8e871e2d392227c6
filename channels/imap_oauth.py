"""
Access tokens for mailboxes at Microsoft 365 and Google: short-lived, made from a refresh token.

A token is renewed at half of its life, so that a connection never starts with one that is about
to end.
"""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import structlog

from channels.email_settings import OAuthSettings

log = structlog.stdlib.get_logger()

_PATIENCE = aiohttp.ClientTimeout(total=20)
_LIFE = 3600.0  # seconds, where the provider does not say


class NoToken(Exception):
    """
    The provider gives none. `lasting`: it said no, and a person has to look; else it may be a
    matter of minutes.
    """

    def __init__(self, words: str, *, lasting: bool) -> None:
        super().__init__(words)
        self.lasting = lasting


class Tokens:
    """The access tokens of one mailbox."""

    def __init__(self, settings: OAuthSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._refresh_token = settings.refresh_token.get_secret_value()
        self._now = now
        self._token = ""
        self._renew_at = 0.0
        self._one = asyncio.Lock()

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
                "again and put the new refresh token into the settings.",
                lasting=True,
            )
        self._token = told["access_token"]
        # Microsoft hands out a new one each time; the old one goes on working for its own life.
        self._refresh_token = str(told.get("refresh_token") or self._refresh_token)
        try:
            life = float(told.get("expires_in") or _LIFE)
        except (TypeError, ValueError):
            life = _LIFE
        self._renew_at = self._now() + life / 2
        log.info("access token renewed", seconds=round(life))
