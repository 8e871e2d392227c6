"""
Who is signed in: aiohttp-session on Postgres, so that a session can be revoked at once.

The cookie holds a random number and nothing else; the database holds what it stands for.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import cast

from aiohttp import web
from aiohttp_session import AbstractStorage, Session, SessionData

from gateway.keys import POOL
from store import sessions

COOKIE = "buckstop_staff"
LIFETIME = timedelta(hours=12)


class PostgresSessions(AbstractStorage):
    """Sessions that end after twelve hours, at sign-out, or when somebody revokes them."""

    def __init__(self, *, secure: bool) -> None:
        """`secure` keeps the cookie off plain HTTP: right wherever the site stands on https."""
        super().__init__(
            cookie_name=COOKIE,
            max_age=int(LIFETIME.total_seconds()),
            httponly=True,
            samesite="Lax",
            secure=secure,
        )

    async def load_session(self, request: web.Request) -> Session:
        sid = self.load_cookie(request)
        if sid:
            async with request.config_dict[POOL].acquire() as conn:
                data = await sessions.read(conn, sid)
            if data is not None:
                return Session(sid, data=cast(SessionData, data), new=False, max_age=self.max_age)
        return Session(None, data=None, new=True, max_age=self.max_age)

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: Session
    ) -> None:
        async with request.config_dict[POOL].acquire() as conn:
            if session.empty:
                if session.identity is not None:
                    await sessions.forget(conn, session.identity)
                self.save_cookie(response, "")
                return
            sid = session.identity or secrets.token_urlsafe(32)
            await sessions.write(
                conn, sid, self._get_session_data(session), datetime.now(UTC) + LIFETIME
            )
        self.save_cookie(response, sid, max_age=self.max_age)
