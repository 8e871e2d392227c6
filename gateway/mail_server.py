"""The city's mail server: does it answer, does it let us in, and with which password."""

import asyncio

import aiosmtplib

from channels.kept_secret import PASSWORDS, KeptSecret, kept_secret
from gateway.settings import Settings
from notifier.email_smtp import SmtpSettings


class BadMailServer(Exception):
    """A sentence that says what to do."""


def name_of(smtp: SmtpSettings) -> str:
    """As operators see it: `host:port`."""
    return f"{smtp.host}:{smtp.port}"


def password_of(settings: Settings) -> KeptSecret | None:
    """What an operator entered last, else what the settings say; None: no sign-in, or no place."""
    smtp = settings.notifier.smtp
    if not smtp.username:
        return None
    given = smtp.password.get_secret_value() if smtp.password else ""
    return kept_secret(settings.data, PASSWORDS, f"smtp {smtp.username}@{smtp.host}", given)


async def look_at_mail_server(smtp: SmtpSettings, password: str | None) -> str:
    """What can be said of one that is well. Raises `BadMailServer`."""
    client = aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        use_tls=smtp.security == "tls",
        start_tls=smtp.security == "starttls",
        cert_bundle=str(smtp.ca_file) if smtp.ca_file else None,
        timeout=10,
    )
    where = name_of(smtp)
    try:
        await client.connect()
    except aiosmtplib.SMTPConnectTimeoutError as error:
        raise BadMailServer(f"{where} does not answer; is a firewall between us?") from error
    except aiosmtplib.SMTPConnectError as error:
        raise BadMailServer(
            f"{where} cannot be reached ({error}). Are host and port right?"
        ) from error
    except aiosmtplib.SMTPException as error:
        raise BadMailServer(
            f"{where} answers, but not with notifier.smtp.security = {smtp.security!r} ({error})."
        ) from error
    try:
        if smtp.username and password:
            await client.login(smtp.username, password)
    except aiosmtplib.SMTPAuthenticationError as error:
        raise BadMailServer(
            f"{where} does not accept username and password ({error.code})."
        ) from error
    except aiosmtplib.SMTPException as error:
        raise BadMailServer(f"{where} does not let us sign in ({type(error).__name__}).") from error
    finally:
        client.close()
    return f"{where} answers" + (", and knows us" if smtp.username else "")


class MailServerAccess:
    """Our way into the mail server, as an operator mends it."""

    def __init__(self, settings: Settings) -> None:
        self._smtp = settings.notifier.smtp
        self._keep = password_of(settings)

    async def try_with(self, entered: str) -> None:
        """Sign in with it. Raises `BadMailServer` with the server's words; nothing is kept."""
        await look_at_mail_server(self._smtp, entered)

    async def keep(self, entered: str) -> None:
        """From now on this one counts. Raises `OSError` when the disk refuses."""
        if self._keep is None:
            raise OSError("nowhere to keep it")
        await asyncio.to_thread(self._keep.write, entered)
