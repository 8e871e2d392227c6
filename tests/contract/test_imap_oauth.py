"""Signing in at Microsoft 365 and Google: tokens renewed in time, a refusal told in words."""

import asyncio
import base64
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from channels.email_settings import MailboxSettings, OAuthSettings
from channels.imap_oauth import NoToken, Tokens
from channels.imap_session import SignInRefused, open_session
from channels.kept_secret import TOKENS, KeptSecret, kept_secret


class Provider:
    """Hands out tokens that live for an hour."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.status, self.answer = 200, dict[str, object]()
        self.refused: set[str] = set()

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append(parse_qs(await request.text()))
        number = len(self.asked)
        if self.refused & set(self.asked[-1]["refresh_token"]):
            return web.json_response({"error": "invalid_grant"}, status=400)
        given = {
            "access_token": f"token-{number}",
            "expires_in": 3600,
            "refresh_token": f"r-{number}",
        }
        return web.json_response(self.answer or given, status=self.status)


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Provider, OAuthSettings]]:
    one, app = Provider(), web.Application()
    app.router.add_post("/token", one.token)
    async with TestServer(app) as server:
        yield (
            one,
            OAuthSettings.model_validate(
                {
                    "client_id": "us",
                    "client_secret": "secret",
                    "refresh_token": "r-0",
                    "token_url": str(server.make_url("/token")),
                }
            ),
        )


async def test_a_token_is_renewed_at_half_of_its_life(
    provider: tuple[Provider, OAuthSettings],
) -> None:
    one, settings = provider
    now = 0.0
    tokens = Tokens(settings, now=lambda: now)

    assert [await tokens.token(), await tokens.token()] == ["token-1", "token-1"]
    now = 1799.0
    assert await tokens.token() == "token-1"
    now = 1801.0
    assert await tokens.token() == "token-2"
    assert [asked["refresh_token"] for asked in one.asked] == [["r-0"], ["r-1"]]


async def test_a_new_refresh_token_outlives_a_restart(
    provider: tuple[Provider, OAuthSettings], tmp_path: Path
) -> None:
    one, settings = provider
    keep = kept_secret(tmp_path, TOKENS, "311@city.example", "r-0")
    for number in (1, 2):
        assert await Tokens(settings, keep=keep).token() == f"token-{number}"
    assert [asked["refresh_token"] for asked in one.asked] == [["r-0"], ["r-1"]]
    [kept] = (tmp_path / "oauth").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "311" not in kept.name

    # Somebody allowed us in anew: what came from the old one counts no more.
    renewed = settings.model_copy(update={"refresh_token": SecretStr("r-new")})
    keep = kept_secret(tmp_path, TOKENS, "311@city.example", "r-new")
    await Tokens(renewed, keep=keep).token()
    assert one.asked[-1]["refresh_token"] == ["r-new"]

    kept.write_text("{broken")
    assert keep is not None
    assert keep.read() == "r-new"


async def test_a_kept_token_that_is_refused_gives_way_to_the_settings(
    provider: tuple[Provider, OAuthSettings], tmp_path: Path
) -> None:
    one, settings = provider
    kept = KeptSecret(tmp_path / "kept.json", "r-0")
    kept.write("r-old")
    one.refused = {"r-old"}
    assert await Tokens(settings, keep=kept).token() == "token-2"
    assert [asked["refresh_token"] for asked in one.asked] == [["r-old"], ["r-0"]]
    assert kept.read() == "r-2"
    one.refused = {"r-2", "r-0"}
    with pytest.raises(NoToken) as refused:
        await Tokens(settings, keep=kept).token()
    assert refused.value.lasting


@pytest.mark.parametrize(
    ("status", "lasting"), [(400, True), (401, True), (429, False), (503, False)]
)
async def test_a_refusal_is_told_apart_from_a_bad_day(
    provider: tuple[Provider, OAuthSettings], status: int, lasting: bool
) -> None:
    one, settings = provider
    one.status, one.answer = status, {"error": "invalid_grant"}

    with pytest.raises(NoToken) as refused:
        await Tokens(settings).token()

    assert refused.value.lasting is lasting
    assert not lasting or "invalid_grant" in str(refused.value)


@pytest.mark.parametrize("accepts", [True, False])
async def test_xoauth2_signs_in_and_hears_the_refusal(
    provider: tuple[Provider, OAuthSettings], accepts: bool
) -> None:
    _, settings = provider
    said: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode().strip():
            tag, _, rest = line.partition(" ")
            if rest.startswith("AUTHENTICATE"):
                said.append(base64.b64decode(rest.split()[2]).decode())
                if not accepts:
                    writer.write(b"+ " + base64.b64encode(b'{"status":"401"}') + b"\r\n")
                    assert (await reader.readline()) == b"\r\n"
                    writer.write(f"{tag} NO AUTHENTICATE failed.\r\n".encode())
                    continue
            if rest == "CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\n")
            writer.write(f"{tag} OK done\r\n".encode())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    mailbox = MailboxSettings(
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        security="none",
        username="311@city.example",
        oauth=settings,
        command_seconds=3,
    )
    tokens = Tokens(settings)
    async with server:
        if accepts:
            async with open_session(mailbox, tokens) as session:
                assert not session.can("IDLE")
        else:
            with pytest.raises(SignInRefused, match="does not accept our access token"):
                async with open_session(mailbox, tokens):
                    pass
            assert await tokens.token() == "token-2", "the refused one is not used again"
    assert said == ["user=311@city.example\x01auth=Bearer token-1\x01\x01"]


async def test_when_the_access_ends_is_known_where_the_provider_says_so(
    provider: tuple[Provider, OAuthSettings],
) -> None:
    one, settings = provider
    tokens = Tokens(settings)
    await tokens.token()
    assert tokens.ends is None

    one.answer = {"access_token": "t", "refresh_token_expires_in": 7 * 86400}
    tokens.forget()
    await tokens.token()
    assert tokens.ends is not None
    assert timedelta(days=6.9) < tokens.ends - datetime.now(UTC) <= timedelta(days=7)

    one.answer = {"access_token": "t", "refresh_token_expires_in": "soon"}
    tokens.forget()
    await tokens.token()  # what nobody understands keeps nobody out
