"""A real SMTP server for tests: it keeps what it is sent, and can be told to refuse."""

import socket
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class SmtpSink:
    """
    An aiosmtpd server on a free port. `answers` are given to the next mails, then 250; with a
    `password`, it wants that.
    """

    def __init__(self, password: str = "") -> None:
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []
        self.password = password
        wants: dict[str, Any] = {}
        if password:
            wants = {
                "authenticator": self._knows,
                "auth_required": True,
                "auth_require_tls": False,
            }
        self._controller = Controller(self, hostname="127.0.0.1", port=0, **wants)

    def _knows(
        self, server: SMTP, session: Session, envelope: Envelope, way: str, told: Any
    ) -> AuthResult:
        return AuthResult(success=told.password == self.password.encode(), handled=False)

    @property
    def port(self) -> int:
        assert self._controller.server is not None
        port: int = self._controller.server.sockets[0].getsockname()[1]
        return port

    def start(self) -> None:
        # Controller connects to its own port to see that it is up; port 0 is not it.
        self._controller._trigger_server = self._knock  # type: ignore[method-assign]
        self._controller.start()

    def _knock(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 5) as knock:
            knock.recv(100)

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            answer = self.answers.pop(0)
            if not answer.startswith("2"):
                return answer
        content = envelope.content
        assert isinstance(content, bytes)
        mail = BytesParser(policy=default).parsebytes(content)
        assert isinstance(mail, EmailMessage)
        mail["X-Rcpt-To"] = ", ".join(envelope.rcpt_tos)
        mail["X-Mail-From"] = envelope.mail_from or ""
        self.mails.append(mail)
        return "250 kept"
