"""HTML, rich text and what stands inside texts, as words a person reads."""

import time

import pytest

from channels.mail_text import html_to_text, rtf_to_text, unflowed


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>Two &amp; <b>three</b>", "One\nTwo & three"),
        ("<style>p{}</style><script>x()</script><p>Seen</p><!-- not seen -->", "Seen"),
        ("before<html><body>one</body></html><html><body>two</body></html>", "before one two"),
        ("<ul><li>a<li>b</ul>", "  * a\n  * b"),
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
        ("<p>&nbsp;</p>", ""),
    ],
)
def test_a_page_is_read_as_it_is_seen(html: str, text: str) -> None:
    assert " ".join(html_to_text(html).split()) == " ".join(text.split())


def test_a_quotation_of_another_mail_is_marked_and_an_indent_is_not() -> None:
    quoted = '<p>Yes.</p>City wrote:<blockquote type="cite"><p>Where?</p>Here?</blockquote>Ana'
    assert html_to_text(quoted).splitlines()[-4:] == ["> Where?", ">", "> Here?", "Ana"]
    assert ">" not in html_to_text("<blockquote><p>The lamp is out.</p></blockquote>")


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 50_000 + "hole",
        "<table><tr><td>" * 3_000 + "hole",
        "<script " * 100_000 + "hole",
        "<" * 1_000_000,
        "<a " * 100_000,
        "<!--" * 100_000,
    ],
)
def test_no_page_takes_long(html: str) -> None:
    started = time.process_time()
    html_to_text(html)
    assert time.process_time() - started < 5


def test_a_page_too_deep_for_its_reader_still_gives_its_words() -> None:
    assert "hole" in html_to_text("<div>" * 5_000 + "hole")


def test_flowed_quotations_stay_apart_by_depth() -> None:
    assert unflowed("> where is \n> it?\nIn the \nmiddle.") == "> where is it?\nIn the middle."
    assert unflowed("one \ntwo", delete_space=True) == "onetwo"


def test_rich_text_gives_its_words() -> None:
    rtf = r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\pard The \b lamp\b0  is out.\par Calle \'d1u\u241?ez}"
    assert rtf_to_text(rtf) == "The lamp is out.\nCalle Ñuñez"
