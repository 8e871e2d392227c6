"""Machines are told from people, and bounces from both."""

import pytest

from channels.mime import Bounce, kind_of, read_mail


def automatic(headers: str, subject: str = "Pothole") -> str | None:
    head = "" if "From:" in headers else "From: Ana <ana@example.org>\n"
    return read_mail(f"{head}Subject: {subject}\n{headers}\n\nThe lamp is out.".encode()).automatic


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ("Auto-Submitted: no", None),
        ("Auto-Submitted: auto-replied", "auto_reply"),
        ("Auto-Submitted: auto-generated (rejected)", "auto_reply"),
        ("Precedence: bulk", "bulk"),
        ("Precedence: list", "list"),
        ("Precedence: auto_reply", "auto_reply"),
        ("X-Precedence: junk", "bulk"),
        ("X-Autoreply: yes", "auto_reply"),
        ("X-Autorespond: away", "auto_reply"),
        ("X-Loop: a@example.org", "loop"),
        ("List-Id: <news.example.org>", "list"),
        ("List-Unsubscribe: <mailto:x@example.org>", "bulk"),
        ("Feedback-ID: 1:2:3", "bulk"),
        ("Return-Path: <>", "auto_reply"),
        ("From: MAILER-DAEMON@example.org", "auto_reply"),
        ("From: No-Reply <no-reply@example.org>", "no_reply"),
        ("From: donotreply@example.org", "no_reply"),
        ("From: norman@example.org", None),
        ("X-Auto-Response-Suppress: All", None),
        ("Return-Path: <ana@example.org>", None),
    ],
)
def test_machines_say_so_in_their_headers(headers: str, reason: str | None) -> None:
    assert automatic(headers) == reason


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("Out of Office: Pothole", "out_of_office"),
        ("Out of office Re: Pothole", "out_of_office"),
        ("Automatic reply: Pothole", "auto_reply"),
        ("Respuesta automática: Bache", "auto_reply"),
        ("Abwesenheitsnotiz", "out_of_office"),
        ("=?utf-8?q?R=C3=A9ponse_automatique_=3A_trou?=", "auto_reply"),
        ("Fuera de la oficina", "out_of_office"),
        ("Read: Your report", None),
        ("Noise out of office hours", None),
        ("Out of office hours they work with saws", None),
        ("The automatic gate does not reply", None),
        ("Vacation rental next door is too loud", None),
    ],
)
def test_subjects_of_machines_are_known_and_those_of_people_are_not_taken_for_them(
    subject: str, reason: str | None
) -> None:
    if subject.startswith("Read:"):
        reason = "auto_reply"
    assert automatic("", subject) == reason


def test_to_want_no_answer_is_no_machine() -> None:
    asked = read_mail(b"From: a@example.org\nX-Auto-Response-Suppress: DR, OOF, AutoReply\n\nx")
    assert asked.no_answer
    assert asked.automatic is None


def report(fields: str, said: str = "Your mail could not be delivered.", more: str = "") -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.org\nTo: bounce@city.gov\nReturn-Path: <>\n"
        "Subject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
        f"{more}"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="r"\n\n'
        f"--r\n\n{said}\n\n--r\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.example.org\n\n{fields}\n\n"
        "--r\nContent-Type: text/rfc822-headers\n\n"
        "From: no-reply@city.gov\nMessage-ID: <notice-1@city.gov>\nSubject: Receipt\n\n--r--\n"
    ).encode()


def bounce(raw: bytes) -> Bounce:
    read = read_mail(raw)
    assert read.automatic == "bounce"
    assert read.bounce is not None
    return read.bounce


@pytest.mark.parametrize(
    ("fields", "kind", "status"),
    [
        ("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user", "hard", "5.1.1"),
        ("Action: failed\nStatus: 5.1.10\nDiagnostic-Code: smtp; 550 not found", "hard", "5.1.10"),
        ("Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 over quota", "soft", "5.2.2"),
        ("Action: delayed\nStatus: 4.4.1", "soft", "4.4.1"),
        ("Action: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 spam", "reputation", "5.7.1"),
        ("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.1 gone", "hard", "5.1.1"),
        ("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 User unknown", "hard", "5.1.1"),
        ("Action: failed\nStatus: 5.4.4\nDiagnostic-Code: smtp; Host not found", "hard", "5.4.4"),
        ("Action: failed\nStatus: 5.3.0", "soft", "5.3.0"),
        ("Action: delivered\nStatus: 2.0.0", "none", "2.0.0"),
    ],
)
def test_a_report_for_machines_tells_whom_and_why(fields: str, kind: str, status: str) -> None:
    told = bounce(report(f"Final-Recipient: rfc822; Ana@example.org\n{fields}"))
    (one,) = told.recipients
    assert (one.address, one.status, one.kind) == ("ana@example.org", status, kind)
    assert told.original_message_id == "notice-1@city.gov"


def test_the_gravest_of_several_is_the_bounces_kind() -> None:
    told = bounce(
        report(
            "Final-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 4.2.2\n\n"
            "Final-Recipient: rfc822; b@example.org\nAction: failed\nStatus: 5.1.1"
        )
    )
    assert told.kind == "hard"
    assert [one.address for one in told.recipients] == ["a@example.org", "b@example.org"]


def test_a_bounce_in_words_only_is_one_too() -> None:
    told = bounce(
        b"From: Mail Delivery System <Mailer-Daemon@mx.example.org>\nTo: 311@city.gov\n"
        b"Subject: Mail delivery failed: returning message to sender\n\n"
        b"A message that you sent could not be delivered to one of its recipients.\n\n"
        b"  ana@example.org\n    550 5.1.1 <ana@example.org>: no such user\n\n"
        b"------ This is a copy of the message ------\n\n"
        b"From: 311@city.gov\nMessage-ID: <notice-2@city.gov>\nTo: ana@example.org\n\nHello"
    )
    (one,) = told.recipients
    assert (one.address, one.status, one.kind) == ("ana@example.org", "5.1.1", "hard")
    assert told.original_message_id == "notice-2@city.gov"


def test_a_mark_as_unwanted_is_a_matter_of_reputation() -> None:
    told = bounce(
        b"From: fbl@example.org\nSubject: Abuse report\n"
        b"Content-Type: multipart/report; report-type=feedback-report; boundary=r\n\n"
        b"--r\n\nAn abuse report.\n\n--r\nContent-Type: message/feedback-report\n\n"
        b"Feedback-Type: abuse\nOriginal-Rcpt-To: ana@example.org\n\n"
        b"--r\nContent-Type: message/rfc822\n\nMessage-ID: <notice-3@city.gov>\n\nx\n--r--\n"
    )
    assert (told.kind, told.original_message_id) == ("reputation", "notice-3@city.gov")
    assert told.recipients[0].address == "ana@example.org"


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Undeliverable mail in my street", "The carrier does not deliver. Mail was returned."),
        ("Delivery problem", "The truck could not deliver to my address, it was blocked."),
        ("Fwd: Undelivered Mail Returned to Sender", "I got this from you, what does it mean?"),
        ("Mailbox is full of trash", "Somebody fills the mailbox on Main Street, user unknown."),
        ("Re: Returned mail", "You said it was returned to sender. Why?"),
        (
            "Delivery problem",
            "The bin could not be delivered to 5.1.5 Main.\n\nFrom: City <c@city.gov>\n"
            "Sent: Monday\nTo: Ana\nSubject: Bin\n\nYour mail was not forgotten.",
        ),
        ("Bin", "My mail was not answered.\n\nFrom: Ana\nSent: Monday\nTo: City\nSubject: Bin\n"),
    ],
)
def test_residents_who_write_about_delivery_are_no_bounce(subject: str, text: str) -> None:
    read = read_mail(f"From: Ana <ana@example.org>\nSubject: {subject}\n\n{text}".encode())
    assert (read.automatic, read.bounce) == (None, None)


def test_a_resident_who_attaches_a_mail_and_complains_of_it_is_a_resident() -> None:
    read = read_mail(
        b"From: Ana <ana@example.org>\nSubject: What I wrote\n"
        b"Content-Type: multipart/mixed; boundary=m\n\n--m\n\nYour mail did not help, see 5.1.5.\n"
        b"--m\nContent-Type: message/rfc822\n\nFrom: ana@example.org\n\nHelp\n--m--\n"
    )
    assert (read.automatic, read.bounce) == (None, None)


def test_a_resident_who_attaches_a_bounce_is_a_resident() -> None:
    inner = report("Final-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 5.1.1")
    read = read_mail(
        b"From: Ana <ana@example.org>\nSubject: What is this?\n"
        b"Content-Type: multipart/mixed; boundary=m\n\n--m\n\nI got the attached mail.\n"
        b"--m\nContent-Type: message/rfc822\n\n" + inner + b"\n--m--\n"
    )
    assert (read.automatic, read.bounce) == (None, None)


def test_a_kind_follows_from_status_and_words() -> None:
    assert kind_of("5.1.1") == "hard"
    assert kind_of("", "mailbox full") == "soft"
    assert kind_of("", "user unknown") == "hard"
    assert kind_of("5.7.1", "policy") == "reputation"
    assert kind_of("") == "soft"
