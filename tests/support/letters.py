"""Mails as residents and machines write them."""

from email.message import EmailMessage
from itertools import count

_NUMBERS = count(1)


def mail(
    text: str = "There is a deep pothole at 11401 E 23rd St.",
    *,
    subject: str = "Pothole",
    sender: str = "Rosa Lara <Rosa@Resident.example>",
    to: str = "311@city.example",
    message_id: str | None = "",
    **headers: str,
) -> bytes:
    """A mail; `message_id` empty: one of its own, None: none. `Auto_Submitted` is a header too."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = "Fri, 20 Nov 2026 12:00:00 -0600"
    if message_id is not None:
        message["Message-ID"] = message_id or f"<mail-{next(_NUMBERS)}@resident.example>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def bounce(to: str, *, of: str = "rosa@resident.example", status: str = "5.1.1") -> bytes:
    """A report that a mail of ours did not reach `of`."""
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: {to}\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        f"Message-ID: <bounce-{next(_NUMBERS)}@mx.example>\r\n"
        "MIME-Version: 1.0\r\nAuto-Submitted: auto-replied\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; {of}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; 550 {status} no such user\r\n\r\n--b--\r\n"
    ).encode()
