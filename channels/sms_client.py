"""Twilio's API as the channel asks it: without blocking, in time, and without writing it down."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from channels.sms_settings import TwilioSettings

TWILIO = "https://api.twilio.com"
TROUBLE: tuple[type[Exception], ...] = (
    TwilioException,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,  # an answer that is no JSON
)
"""What a call can raise."""

# The SDK logs every address that it calls, and telephone numbers stand in them.
_SILENT = logging.getLogger("channels.twilio")
_SILENT.disabled = True


@asynccontextmanager
async def open_twilio(settings: TwilioSettings) -> AsyncIterator[Any]:
    """The SDK's client for the account of the settings; its connections are closed at the end."""
    token = settings.auth_token.get_secret_value() if settings.auth_token else ""
    async with _Line(settings.api_url, settings.timeout) as line:
        yield Client(settings.account_sid, token, http_client=line)


class _Line(AsyncTwilioHttpClient):  # type: ignore[misc]
    def __init__(self, api_url: str, timeout: float) -> None:
        super().__init__(timeout=timeout, logger=_SILENT)
        self._api_url = api_url

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **others: Any,
    ) -> Response:
        known = {"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {}
        # The SDK hands `timeout=None` on, which aiohttp takes for "as long as you like".
        async with asyncio.timeout(self.timeout):
            return await super().request(
                method,
                url.replace(TWILIO, self._api_url, 1),
                headers={**(headers or {}), **known},
                **others,
            )
