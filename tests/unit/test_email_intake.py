"""From a mail to what the bus is told: what is ignored, what a reply proves, what a case shows."""

from uuid import UUID

import pytest

from bus.identity import mint_reference, notice_token
from channels.email_intake import (
    LONGEST_TEXT,
    follows_of,
    mark_of,
    reason_to_ignore,
    reporter_of,
    words_of,
)
from channels.mime import Mail, read_mail
from tests.support.letters import bounce, mail

SECRET = b"a secret for tests, long enough to be one"
NOTICE, OTHER = UUID(int=7), UUID(int=8)
TOKEN = notice_token(SECRET, NOTICE)


def read(raw: bytes) -> Mail:
    return read_mail(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (mail(), None),
        (mail(subject="Re: Out of order traffic light"), None),
        (mail(X_Auto_Response_Suppress="All"), None),
        (mail(Auto_Submitted="auto-replied"), "an automatic reply"),
        (mail(List_Id="<cats.example>"), "mail to a list"),
        (mail(sender="311@City.example"), "one of our own mails came back"),
        (mail(message_id=f"<{TOKEN}@city.example>"), "one of our own mails came back"),
        (mail(sender="pat@city.example", message_id="<n@city.example>"), None),
        (bounce("bounce@city.example"), "a bounce: hard 5.1.1"),
    ],
)
def test_only_what_a_person_wrote_to_us_opens_a_case(raw: bytes, reason: str | None) -> None:
    assert reason_to_ignore(read(raw), {"311@city.example"}, SECRET) == reason


def test_a_token_proves_wherever_it_stands() -> None:
    token = notice_token(SECRET, OTHER)
    found = follows_of(
        read(
            mail(
                to=f"311@city.example, reply+{TOKEN.upper()}@city.example",
                In_Reply_To="<first@resident.example>",
                References=f"<old@resident.example> <{token}@mail.example>",
            )
        ),
        SECRET,
    )

    assert found.notices == (NOTICE, OTHER), "the address to which it was sent goes first"
    assert found.message_ids[0] == "first@resident.example"


def test_what_we_did_not_sign_proves_nothing() -> None:
    forged = notice_token(b"another secret, just as long as ours is", NOTICE)
    reference = mint_reference(SECRET, NOTICE)
    found = follows_of(
        read(mail(to=f"reply+{forged}@city.example", subject=f"Re: Your report {reference}")),
        SECRET,
    )

    assert found.notices == ()
    assert found.mentions == reference


def test_the_ids_that_it_names_are_few_and_the_nearest_first() -> None:
    named = " ".join(f"<id-{number}@resident.example>" for number in range(9))

    found = follows_of(read(mail(References=named)), SECRET)

    assert found.message_ids == tuple(f"id-{number}@resident.example" for number in range(8, 3, -1))


DMARC = "mx.city.example; dmarc={} header.from=resident.example"


@pytest.mark.parametrize(
    ("results", "other", "judges", "proven"),
    [
        (DMARC.format("pass"), {}, ["mx.city.example"], True),
        (DMARC.format("pass"), {}, ["mx.other.example", "mx.city.example"], True),
        (DMARC.format("fail"), {}, ["mx.city.example"], False),
        (DMARC.format("fail"), {}, [], True),
        (DMARC.format("pass"), {}, ["mx.other.example"], False),
        (DMARC.format("pass"), {}, ["-"], False),
        ("spf=pass smtp.mailfrom=resident.example; dmarc=pass action=none", {}, ["-"], True),
        ("spf=pass; dmarc=fail action=none", {}, ["-"], False),
        ("spf=pass; dmarc=pass", {}, ["mx.city.example"], False),
        (DMARC.format("pass"), {"Reply_To": "other@else.example"}, ["mx.city.example"], False),
    ],
)
def test_a_sender_is_proven_only_by_our_own_server(
    results: str, other: dict[str, str], judges: list[str], proven: bool
) -> None:
    letter = read(mail(Authentication_Results=results, **other))
    assert follows_of(letter, SECRET, judges).sender_proven is proven


def test_only_the_topmost_word_counts() -> None:
    forged = f"Authentication-Results: {DMARC.format('pass')}\r\n".encode()
    ours = f"Authentication-Results: {DMARC.format('fail')}\r\n".encode()
    judges = ["mx.city.example"]
    assert not follows_of(read(ours + forged + mail()), SECRET, judges).sender_proven
    assert not follows_of(read(mail()), SECRET, judges).sender_proven, "nobody said anything"


def test_a_reply_keeps_both_the_new_words_and_all_of_them() -> None:
    letter = read(
        mail(
            "It is deeper.\n\nOn Fri, Nov 20, 2026 at 12:00 PM City <311@city.example> wrote:\n"
            "> Thank you.",
            subject="Re: x",
        )
    )

    assert follows_of(letter, SECRET).fresh == "It is deeper."
    assert "Thank you." in words_of(letter)


def test_what_is_forwarded_is_told_whole() -> None:
    letter = read(
        mail(
            "FYI\n\n---------- Forwarded message ---------\nFrom: Bo <bo@resident.example>\n"
            "Date: today\nSubject: Lamp\nTo: pat@city.example\n\nThe lamp is out.",
            subject="Fwd: Lamp",
        )
    )

    assert follows_of(letter, SECRET).fresh is None
    assert "The lamp is out." in words_of(letter)


def test_a_bounce_marks_the_address_that_it_names() -> None:
    letter = read(bounce(f"bounce+{TOKEN}@city.example", of="Rosa@Resident.example"))

    found = mark_of(letter)

    assert follows_of(letter, SECRET).notices == (NOTICE,)
    assert found is not None
    assert (found.address, found.state) == ("rosa@resident.example", "bad")
    assert mark_of(read(bounce("x@city.example", status="4.2.2"))).state == "soft"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("subject", "text", "shown"),
    [
        ("Pothole", "On Noland Rd.", "Pothole\n\nOn Noland Rd."),
        ("Re:", "On Noland Rd.", "On Noland Rd."),
        ("Fwd: Re: Pothole", "", "Pothole"),
        ("Pothole", "Pothole on Noland Rd.", "Pothole on Noland Rd."),
        ("", "", "(This mail has no text.)"),
    ],
)
def test_subject_and_text_are_shown_once(subject: str, text: str, shown: str) -> None:
    assert words_of(read(mail(text, subject=subject))) == shown


def test_a_novel_ends_with_a_word_about_its_original() -> None:
    shown = words_of(read(mail("word " * LONGEST_TEXT)))

    assert len(shown) < LONGEST_TEXT + 100
    assert shown.endswith("its original has all of it.)")


def test_the_answer_goes_where_the_mail_asks_for_it() -> None:
    assert reporter_of(read(mail())).email == "rosa@resident.example"
    assert reporter_of(read(mail())).name == "Rosa Lara"
    assert reporter_of(read(mail(Reply_To="Home@Resident.example"))).email == (
        "home@resident.example"
    )
    assert reporter_of(read(mail(sender="nobody at all"))).email is None
