"""What a mail's bytes say; whatever cannot be read costs itself and nothing else."""

import base64
import binascii
import pickle
import random
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.mime import Address, Mail, content_key, dmarc_passed, read_mail
from channels.photos import prepare

FIXTURES = Path(__file__).parents[1] / "fixtures"
HEAD = (
    "From: Ana Ruiz <ana@example.org>\r\nTo: 311@city.example.gov\r\nSubject: Pothole\r\n"
    "Message-ID: <one@example.org>\r\nDate: Mon, 2 Nov 2026 08:00:00 -0600\r\nMIME-Version: 1.0\r\n"
)


def mail(headers: str = "", body: str | bytes = "", head: str = HEAD) -> Mail:
    written = body.encode() if isinstance(body, str) else body
    return read_mail((head + headers).encode() + b"\r\n" + written)


def part(headers: str, body: str | bytes) -> bytes:
    return headers.encode() + b"\r\n\r\n" + (body.encode() if isinstance(body, str) else body)


def multipart(kind: str, *parts: bytes, boundary: str = "b") -> bytes:
    edge = f"--{boundary}".encode()
    inside = b"".join(edge + b"\r\n" + one + b"\r\n" for one in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode() + (
        inside + edge + b"--\r\n"
    )


def read_parts(kind: str, *parts: bytes) -> Mail:
    return read_mail(HEAD.encode() + multipart(kind, *parts))


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def file_part(headers: str, data: bytes) -> bytes:
    return part(f"{headers}\r\nContent-Transfer-Encoding: base64", base64.encodebytes(data))


TEXT = part("Content-Type: text/plain", "A pothole on Main Street.")


def test_a_plain_mail_says_who_when_and_what() -> None:
    read = mail("Content-Type: text/plain\r\n", "It is deep.\r\n\r\nAna\r\n")
    assert read.sender == Address("Ana Ruiz", "ana@example.org")
    assert (read.subject, read.message_id) == ("Pothole", "one@example.org")
    assert read.identity == "one@example.org"
    assert read.sent_at == datetime(2026, 11, 2, 14, 0, tzinfo=UTC)
    assert read.recipients == ("311@city.example.gov",)
    assert read.text == "It is deep.\n\nAna"
    assert read.automatic is None
    assert read.problems == ()
    assert pickle.loads(pickle.dumps(read)) == read


def test_without_an_id_the_content_is_the_identity() -> None:
    one = read_mail(b"From: a@example.org\n\nThe lamp is out.")
    two = read_mail(b"Received: from elsewhere\r\nFrom:  a@example.org\r\n\r\nThe lamp is out.\r\n")
    assert one.message_id is None
    assert one.identity == two.identity == f"gen-{one.content_key}"
    assert content_key(b"From: a@example.org\n\nAnother lamp is out.") != one.content_key


def test_where_it_was_read_goes_before_whom_it_names() -> None:
    read = read_mail(
        b"To: someone@example.org, 311@city.gov\nDelivered-To: in@city.gov\n"
        b"Cc: =?utf-8?q?The_Mayor?= <Mayor@city.gov>\nX-Original-To: 311@city.gov\n\nx"
    )
    assert read.recipients == (
        "in@city.gov",
        "311@city.gov",
        "someone@example.org",
        "mayor@city.gov",
    )


@pytest.mark.parametrize(
    ("header", "name", "email"),
    [
        ("From: =?iso-8859-1?q?Jos=E9?= <jose@example.org>", "José", "jose@example.org"),
        ('From: "Ruiz, Ana" <ana@example.org>', "Ruiz, Ana", "ana@example.org"),
        ("From: ana@example.org (Ana Ruiz)", "Ana Ruiz", "ana@example.org"),
        ("From: Only A Name", "Only A Name", ""),
        (
            "From: =?utf-8?b?0JDQvdC90LAg?= =?utf-8?b?0KA=?= <a@example.org>",
            "Анна Р",
            "a@example.org",
        ),
        ("From: <ana@example.org", "", "ana@example.org"),
        ("Sender: ana@example.org", "", "ana@example.org"),
    ],
)
def test_the_sender_is_found(header: str, name: str, email: str) -> None:
    assert read_mail(header.encode() + b"\n\nx").sender == Address(name, email)


def test_raw_letters_in_headers_are_read() -> None:
    assert read_mail("Subject: Straße\n\nx".encode()).subject == "Straße"
    assert read_mail("Subject: Straße gesperrt\n\nx".encode("latin-1")).subject == "Straße gesperrt"


def test_a_letter_torn_between_two_encoded_words_is_whole_again() -> None:
    word = "ñandú".encode()
    torn = " ".join(
        f"=?utf-8?b?{base64.b64encode(piece).decode()}?=" for piece in (word[:1], word[1:])
    )
    assert read_mail(f"Subject: {torn}\n\nx".encode()).subject == "ñandú"


def test_nine_hundred_parentheses_are_only_a_bad_sender() -> None:
    read = read_mail(b"From: " + b"(" * 900 + b" <a@example.org>\nSubject: Hi\n\nThe lamp is out.")
    assert (read.subject, read.text) == ("Hi", "The lamp is out.")


def test_an_answer_goes_to_reply_to_when_that_can_be_an_address() -> None:
    assert mail("Reply-To: me@example.net\r\n").reply_to == Address("", "me@example.net")
    assert mail("Reply-To: nobody\r\n").reply_to is None
    assert mail("Reply-To: ana@example.org\r\n").reply_to is None
    assert mail("Reply-To: me@example.net\r\nAuto-Submitted: auto-replied\r\n").reply_to is None


def test_references_are_told_newest_first_whatever_parts_them() -> None:
    read = mail("In-Reply-To: <c@x>\r\nReferences: <a@x>,<b@x>\r\n <c@x>\r\n")
    assert read.in_reply_to == "c@x"
    assert read.references == ("c@x", "b@x", "a@x")
    assert mail("References: a@x b@x\r\n").references == ("b@x", "a@x")


def test_plain_text_is_preferred_unless_it_is_blank() -> None:
    html = part("Content-Type: text/html; charset=utf-8", "<p>From the <b>page</b></p>")
    assert read_parts("alternative", TEXT, html).text == "A pothole on Main Street."
    blank = part("Content-Type: text/plain", " \r\n\r\n")
    read = read_parts("alternative", blank, html)
    assert read.text == "From the page"
    assert read.html == "<p>From the <b>page</b></p>"
    assert read.attachments == ()


def test_two_texts_around_a_photo_are_both_read() -> None:
    photo = file_part("Content-Type: image/png", PNG)
    read = read_parts("mixed", TEXT, photo, part("Content-Type: text/plain", "And a lamp."))
    assert read.text == "A pothole on Main Street.\n\nAnd a lamp."
    assert [(one.name, one.media_type, one.data) for one in read.attachments] == [
        ("photo-1.png", "image/png", PNG)
    ]


def test_nothing_at_all_is_still_a_mail() -> None:
    read = mail("Content-Type: text/plain\r\n", "")
    assert (read.text, read.attachments, read.problems) == ("", (), ())


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", "señal".encode(), "señal"),
        ("iso-8859-1", b"se\xf1al \x80", "señal €"),
        ("us-ascii", "señal caída".encode(), "señal caída"),
        ("no-such-charset", "señal".encode(), "señal"),
        ("idna", "señal".encode(), "señal"),
        ("gb2312", "道路坏了，请修理".encode("gb18030"), "道路坏了，请修理"),
        ("iso-2022-jp", "道路の穴".encode("iso-2022-jp"), "道路の穴"),
        ("utf-16le", "señal".encode("utf-16le"), "señal"),
        ("windows-1251", "яма на дороге".encode("cp1251"), "яма на дороге"),
    ],
)
def test_the_charset_is_what_it_says_or_what_it_is(charset: str, data: bytes, text: str) -> None:
    encoded = (
        f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n"
    )
    assert mail(encoded, base64.encodebytes(data)).text == text


def test_nul_never_comes_through() -> None:
    read = read_mail(b"Subject: a\0b\nFrom: a\0 <a@example.org>\n\nho\0le")
    assert "\0" not in read.subject + read.text + str(read.sender)


def test_flowed_lines_are_one_again() -> None:
    flowed = "Content-Type: text/plain; format=flowed; delsp=no\r\n"
    assert mail(flowed, "The hole is \r\nvery deep.\r\n  indented\r\n-- \r\nAna").text == (
        "The hole is very deep.\n indented\n-- \nAna"
    )


def test_text_that_only_claims_to_be_encoded_is_read() -> None:
    read = mail("Content-Transfer-Encoding: base64\r\n", "It is not encoded: come & see!\r\n")
    assert read.text == "It is not encoded: come & see!"
    assert read.problems


def test_a_list_footer_below_base64_is_left_out() -> None:
    body = base64.encodebytes(b"The lamp is out.\n...") + b"____\r\nlist mailing list\r\n"
    assert mail("Content-Transfer-Encoding: base64\r\n", body).text.startswith("The lamp is out.")


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ("Content-Disposition: attachment; filename*=utf-8''Stra%C3%9Fe.png", "Straße.png"),
        ('Content-Disposition: attachment; filename="=?utf-8?q?Stra=C3=9Fe=2Epng?="', "Straße.png"),
        ("Content-Type: image/png; name=a.png", "a.png"),
        ('Content-Disposition: attachment; filename="../../etc/pass\x01wd"', "passwd"),
        ('Content-Disposition: attachment; filename="C:\\\\photos\\\\a.png"', "a.png"),
        ("Content-Location: http://example.org/pics/b.png?x=1", "b.png"),
        ("Content-Type: image/png", "photo-1.png"),
        ("Content-Disposition: attachment; filename=..", "photo-1.png"),
    ],
)
def test_an_attachment_gets_a_harmless_name(headers: str, name: str) -> None:
    if "Content-Type" not in headers:
        headers += "\r\nContent-Type: image/png"
    (one,) = read_parts("mixed", TEXT, file_part(headers, PNG)).attachments
    assert one.name == name


def test_two_of_one_name_are_told_apart() -> None:
    photo = file_part("Content-Type: image/png; name=IMG_1.PNG", PNG)
    names = [one.name for one in read_parts("mixed", TEXT, photo, photo, photo).attachments]
    assert names == ["IMG_1.PNG", "IMG_1-2.PNG", "IMG_1-3.PNG"]


def test_the_type_is_what_the_bytes_are() -> None:
    lies = file_part("Content-Type: application/pdf; name=a.pdf", PNG)
    fakes = file_part("Content-Type: image/jpeg; name=b.jpg", b"<script>alert(1)</script>")
    one, two = read_parts("mixed", TEXT, lies, fakes).attachments
    assert (one.media_type, two.media_type) == ("image/png", "application/octet-stream")


def test_a_photo_from_a_telephone_goes_through_the_darkroom() -> None:
    heic = (FIXTURES / "photos" / "telephone.heic").read_bytes()
    (one,) = read_parts(
        "mixed", TEXT, file_part("Content-Type: application/octet-stream; name=IMG.HEIC", heic)
    ).attachments
    assert one.media_type == "image/heic"
    assert prepare(one.data).data.startswith(b"\xff\xd8")


def test_a_picture_in_the_text_is_a_file_and_inline() -> None:
    html = part("Content-Type: text/html", '<p>See <img src="cid:abc@x"></p>')
    shown = file_part("Content-Type: image/png\r\nContent-ID: <abc@x>", PNG)
    logo = file_part("Content-Type: image/png\r\nContent-Disposition: inline", PNG)
    read = read_parts("related", html, shown, logo)
    assert read.text == "See"
    assert [(one.inline, one.content_id) for one in read.attachments] == [
        (True, "abc@x"),
        (True, None),
    ]


def test_an_attached_text_is_a_file_and_not_the_text() -> None:
    notes = part("Content-Type: text/plain; name=notes.txt", "my notes")
    page = part(
        "Content-Type: text/html\r\nContent-Disposition: attachment; filename=p.html", "<p>"
    )
    read = read_parts("mixed", TEXT, notes, page)
    assert read.text == "A pothole on Main Street."
    assert [one.name for one in read.attachments] == ["notes.txt", "p.html"]


def test_a_mail_inside_is_a_file_and_lends_nothing() -> None:
    inner = b"From: else@example.org\r\nSubject: Old one\r\nMessage-ID: <old@x>\r\n\r\nOld words"
    read = read_parts("mixed", TEXT, part("Content-Type: message/rfc822", inner))
    assert (read.text, read.message_id) == ("A pothole on Main Street.", "one@example.org")
    (one,) = read.attachments
    assert (one.name, one.media_type) == ("Old one.eml", "message/rfc822")
    assert b"Old words" in one.data


def test_a_mail_inside_that_is_encoded_is_decoded() -> None:
    inner = b"Subject: Old one\r\n\r\nOld words"
    (one,) = read_parts("mixed", TEXT, file_part("Content-Type: message/rfc822", inner)).attachments
    assert one.data == inner
    assert one.name == "Old one.eml"


def test_a_calendar_is_a_file() -> None:
    invitation = part("Content-Type: text/calendar; method=REPLY", "BEGIN:VCALENDAR")
    (one,) = read_parts("alternative", TEXT, invitation).attachments
    assert (one.name, one.media_type) == ("invitation-1.ics", "text/calendar")


def test_a_uuencoded_file_is_taken_out_of_the_text() -> None:
    lines = [b"begin 644 photo.png"]
    lines += [binascii.b2a_uu(PNG[at : at + 45]).rstrip() for at in range(0, len(PNG), 45)]
    read = mail("", b"Here it is:\r\n\r\n" + b"\r\n".join([*lines, b"`", b"end", b"", b"Ana"]))
    assert read.text.split() == ["Here", "it", "is:", "Ana"]
    assert [(one.name, one.data) for one in read.attachments] == [("photo.png", PNG)]


def tnef(*attributes: tuple[int, int, bytes]) -> bytes:
    written = struct.pack("<IH", 0x223E9F78, 1)
    for level, name, data in attributes:
        written += struct.pack("<BII", level, name, len(data)) + data
        written += struct.pack("<H", sum(data) & 0xFFFF)
    return written


def test_winmail_dat_is_opened() -> None:
    wrapped = tnef(
        (1, 0x0002800C, b"The lamp is out.\0"),
        (2, 0x00069002, b"\0" * 14),
        (2, 0x00018010, b"lamp.png\0"),
        (2, 0x0006800F, PNG),
    )
    read = read_parts(
        "mixed",
        part("Content-Type: text/plain", ""),
        file_part("Content-Type: application/ms-tnef; name=winmail.dat", wrapped),
    )
    assert read.text == "The lamp is out."
    assert [(one.name, one.media_type) for one in read.attachments] == [("lamp.png", "image/png")]


def test_a_winmail_dat_that_is_none_stays_a_file() -> None:
    read = read_parts(
        "mixed", TEXT, file_part("Content-Type: application/ms-tnef; name=winmail.dat", b"no")
    )
    assert [one.name for one in read.attachments] == ["winmail.dat"]
    assert "winmail.dat" in read.problems[0]


def test_what_is_encrypted_is_named_and_kept() -> None:
    smime = file_part(
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data", b"\x30\x80"
    )
    read = read_mail(HEAD.encode() + smime)
    assert (read.unreadable, read.text) == ("smime", "")
    assert [one.name for one in read.attachments] == ["attachment-1.p7m"]
    pgp = read_parts(
        "encrypted",
        part("Content-Type: application/pgp-encrypted", "Version: 1"),
        part("Content-Type: application/octet-stream", "-----BEGIN PGP MESSAGE-----"),
    )
    assert pgp.unreadable == "pgp"
    assert mail("", "-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM").unreadable == "pgp"
    signed = read_parts("signed", TEXT, part("Content-Type: application/pgp-signature", "x"))
    assert (signed.unreadable, signed.text) == (None, "A pothole on Main Street.")


def test_parts_with_another_boundary_than_promised_are_found() -> None:
    read = mail(
        "Content-Type: multipart/mixed; boundary=promised\r\n",
        b"--given\r\n" + TEXT + b"\r\n--given\r\n" + file_part("Content-Type: image/png", PNG),
    )
    assert read.text == "A pothole on Main Street."
    assert len(read.attachments) == 1
    assert read.problems


def test_a_line_that_is_no_header_hides_none() -> None:
    read = read_mail(
        b"From a@example.org Mon\nSubject: One\nhello there\nFrom: a@example.org\n\nText"
    )
    assert (read.subject, read.text) == ("One", "Text")
    assert read.sender == Address("", "a@example.org")


def parts(*lines: str) -> Mail:
    return read_mail("\n".join(("From: a@example.org", *lines)).encode())


NESTED = 'Content-Type: multipart/mixed; boundary="{}"'


def test_words_below_a_part_that_does_not_end_are_words_and_no_boundaries() -> None:
    read = parts(
        NESTED.format("out"), "", "--out", NESTED.format("in"), "", "--in",
        "Content-Type: text/plain", "", "One", "--out", "Content-Type: text/plain", "", "Two",
        "--in", "Content-Type: text/plain", "", "Three", "--in", "Content-Type: image/gif",
        "Content-Disposition: attachment; filename=a.gif", "", "GIF89a",
    )  # fmt: skip
    assert read.text == "One\n\nTwo\n\nThree"
    assert [one.name for one in read.attachments] == ["a.gif"]
    assert read.problems


def test_an_end_on_the_last_line_of_the_words_is_none_of_them() -> None:
    read = parts(NESTED.format("b"), "", "--b", "Content-Type: text/plain", "", "The end.--b--")
    assert read.text == "The end."
    read = parts(NESTED.format("b"), "", "--b", "", "Call --b-- or --c--, please.", "--b--")
    assert read.text == "Call --b-- or --c--, please."


def test_where_parts_end_too_early_what_stands_below_is_read() -> None:
    lost = (
        NESTED.format("a--"), "", "--a--", NESTED.format("a----"), "", "--a----",
        "Content-Type: text/plain", "", "A tree fell.", "--a------",
    )  # fmt: skip
    assert parts(*lost).text == "A tree fell."
    footer = (NESTED.format("b"), "", "--b", "", "Words.", "--b--", "", "Sent by a virus scanner.")
    assert parts(*footer).text == "Words.", "below a mail's end stands nothing of it"


def test_forwarded_is_not_answered() -> None:
    body = (
        "Please see below.\n\n---------- Forwarded message ---------\nFrom: Bo <bo@example.org>\n"
        "Date: Mon, Nov 2, 2026\nSubject: Lamp\nTo: <a@example.org>\n\nThe lamp is out.\n"
    )
    read = read_mail(f"From: a@example.org\nSubject: Fwd: Lamp\n\n{body}".encode())
    assert read.forwarded
    assert read.forwarded_from == (Address("Bo", "bo@example.org"),)
    assert "The lamp is out." in read.text
    assert not read_mail(b"Subject: Re: Fwd: Lamp\n\nx").forwarded


BO = Address("Bo Lind", "bo@example.org")
FORWARDS = {
    "Outlook": "Please.\n\n________________________________\nFrom: Bo Lind <bo@example.org>\n"
    "Sent: Friday, November 20, 2026 12:00 PM\nTo: Pat <p@city.gov>\nSubject: Lamp\n\nIt is out.",
    "old Outlook": "-----Original Message-----\nFrom: Bo Lind [mailto:bo@example.org]\n"
    "Sent: Friday, November 20, 2026 12:00 PM\nTo: Pat\nSubject: Lamp\n\nIt is out.",
    "Outlook in Spanish": "De: Bo Lind <bo@example.org>\nEnviado el: viernes, 20 de noviembre"
    "\nPara: Pat <p@city.gov>\nAsunto: Lamp\n\nNo hay luz.",
    "Apple": "Begin forwarded message:\n\n> From: Bo Lind <bo@example.org>\n> Subject: Lamp\n"
    "> Date: November 20, 2026 at 12:00:00 PM CST\n> To: p@city.gov\n> \n> It is out.",
    "Thunderbird": "-------- Forwarded Message --------\nSubject: \tLamp\nDate: \tFri, 20 Nov\n"
    "From: \tBo Lind <bo@example.org>\nTo: \tp@city.gov\n\nIt is out.",
}


@pytest.mark.parametrize("program", FORWARDS)
def test_who_wrote_what_is_forwarded(program: str) -> None:
    head = "From: Pat <p@city.gov>\nSubject: RV: Lamp\nContent-Type: text/plain; charset=utf-8\n\n"
    assert read_mail((head + FORWARDS[program]).encode()).forwarded_from == (BO,)


def test_what_was_forwarded_twice_or_whole_names_its_writer_too() -> None:
    again = (
        "From: Pat <p@city.gov>\nSubject: Lamp again\n\nBegin forwarded message:\n\n"
        "From: Dana <dana@city.gov>\nSubject: Lamp\nDate: today\nTo: p@city.gov\n\nFor you.\n\n"
        + FORWARDS["Outlook"]
    )
    read = read_mail(again.encode())
    assert [one.email for one in read.forwarded_from] == ["dana@city.gov", "bo@example.org"]
    whole = (
        "From: Pat <p@city.gov>\nSubject: FW: Lamp\nContent-Type: multipart/mixed; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nSee below.\n--b\nContent-Type: message/rfc822\n\n"
        "From: Bo Lind <bo@example.org>\nSubject: Lamp\n\nIt is out.\n--b--\n"
    )
    assert read_mail(whole.encode()).forwarded_from == (BO,)
    assert read_mail(whole.replace("FW:", "Re:").encode()).forwarded_from == ()


def test_an_answer_is_parted_from_what_it_quotes_and_nothing_is_thrown_away() -> None:
    read = mail(
        "", "At the corner.\n\nOn Mon, Nov 2, 2026 at 8:00 AM City <c@city.gov> wrote:\n> Where?\n"
    )
    assert read.fresh == "At the corner."
    assert "> Where?" in read.elided
    assert "> Where?" in read.text


def test_our_own_mail_is_known_when_it_comes_back() -> None:
    assert mail("X-Buckstop-Notice: 1\r\n").automatic == "own"
    raw = b"From: a@city.gov\nMessage-ID: <1@mail.city.gov>\n\nx"
    assert read_mail(raw, own_domains={"mail.city.gov"}).is_own
    assert not read_mail(raw).is_own
    answer = b"From: a@example.org\nIn-Reply-To: <1@mail.city.gov>\n\nx"
    assert read_mail(answer, own_domains={"mail.city.gov"}).automatic is None


RESULTS = "mx.city.gov; spf=fail; dmarc={} (p=NONE) header.from=example.org"


@pytest.mark.parametrize(
    ("results", "passed"),
    [
        ([RESULTS.format("pass")], True),
        ([RESULTS.format("fail")], False),
        (["mx.city.gov 1; dmarc=pass"], True),
        (["evil.example; dmarc=pass header.from=example.org", RESULTS.format("pass")], False),
        (["mx.city.gov; spf=pass (dmarc=pass) ; dkim=none"], False),
        (["mx.city.gov; dmarc=pass header.from=else.org"], False),
        (['mx.city.gov; spf=pass smtp.mailfrom="a; dmarc=pass"'], False),
        (["mx.city.gov; dmarc=fail; dmarc=pass"], False),
        ([], False),
    ],
)
def test_only_our_own_server_vouches_for_a_sender(results: list[str], passed: bool) -> None:
    read = mail("".join(f"Authentication-Results: {one}\r\n" for one in results))
    assert dmarc_passed(read, "mx.city.gov") is passed
    assert not dmarc_passed(replace(read, sender=None), "mx.city.gov")


def test_two_authors_prove_nobody() -> None:
    head = f"Authentication-Results: {RESULTS.format('pass')}\nFrom: a@example.org, b@evil.org\n\nx"
    assert not dmarc_passed(read_mail(head.encode()), "mx.city.gov")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 1000,
        bytes(range(256)) * 40,
        b"\xff\xfe" + "no mail".encode("utf-16le"),
        b"Content-Type: multipart/mixed\n\n--x\n\ny",
        b"Content-Type: multipart/mixed; boundary=\n\n--\n\ny",
        b"Content-Type: message/rfc822\n\n",
        b"Content-Type: \xff\xff; charset=\xff\nContent-Transfer-Encoding: \xff\n\n\xff",
        b"Content-Type: text/plain; charset*=a'b'c%zz\n\nx",
        b"Content-Disposition: attachment; filename*0*=x'y; filename*1=%\n\nx",
        b"Subject: =?utf-8?b?!!!?= =?x?q?=?= =?utf-8?q?=ZZ?=\nDate: 99 99 99\n\nx",
        b"Content-Type: text/plain\nContent-Transfer-Encoding: uuencode\n\nbegin\n!!!\nend",
        b"Content-Type: message/rfc822\n\n" * 700 + b"x",
        b"References: " + b"<" * 5000 + b"\nTo: " + b'"' * 5000 + b"\n\n" + b">" * 5000,
    ],
)
def test_no_bytes_are_too_strange(raw: bytes) -> None:
    assert isinstance(read_mail(raw), Mail)


def test_no_damage_is_too_strange() -> None:
    """Every mail below, with bytes changed, lost and doubled by chance."""
    chance = random.Random(311)
    photo = file_part("Content-Type: image/png; name*=utf-8''%C3%9F.png", PNG)
    html = part("Content-Type: text/html; charset=utf-8", "<p>a</p><blockquote type=cite>b")
    whole = HEAD.encode() + multipart(
        "mixed", multipart("alternative", TEXT, html, boundary="c"), photo
    )
    for _ in range(300):
        raw = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(raw))
            raw[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        assert isinstance(read_mail(bytes(raw)), Mail)
