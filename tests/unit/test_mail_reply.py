"""An answer is parted from what it quotes; the writer's own words always stay."""

import time

import pytest

from channels.mail_reply import split_reply

WROTE = "On Mon, Nov 2, 2026 at 8:00 AM, City Hall <311@city.gov> wrote:"


@pytest.mark.parametrize(
    "introduction",
    [
        WROTE,
        "On Mon, Nov 2, 2026 at 8:00 AM, City Hall <\n311@city.gov> wrote:",
        "El lun, 2 nov 2026 a las 8:00, City Hall (<311@city.gov>)\nescribió:",
        "Le lun. 2 nov. 2026 à 08:00, City Hall <311@city.gov> a écrit :",
        "Am 02.11.2026 um 08:00 schrieb City Hall:",
        "Il giorno lun 2 nov 2026 alle ore 08:00 City Hall <311@city.gov> ha scritto:",
        "2 ноября 2026 г., 8:00, City Hall <311@city.gov> написал:",
        "-----Original Message-----\nFrom: City Hall\nSent: Monday",
        "________________________________\nFrom: City Hall <311@city.gov>\nSent: Monday, 2 November"
        " 2026\nTo: Ana\nSubject: Your report",
        "De: City Hall <311@city.gov>\nEnviado: lunes, 2 de noviembre\nPara: Ana\nAsunto: Bache",
        "*From:* City Hall <311@city.gov>\n*Date:* Monday 2\n*Subject:* Your report",
    ],
)
@pytest.mark.parametrize("mark", ["> ", ""])
def test_what_mail_programs_put_above_a_quotation_ends_the_words(
    introduction: str, mark: str
) -> None:
    fresh, elided = split_reply(
        "At the corner of Main.\n\nIt is deep.\n\n"
        f"{introduction}\n\n{mark}Where is it?\n{mark}City Hall"
    )
    assert fresh == "At the corner of Main.\n\nIt is deep."
    assert "Where is it?" in elided


@pytest.mark.parametrize(
    "words",
    [
        "From: 5th Street\nTo: 9th Street\nDate: since May 3\nAll lamps are out.",
        "On May 3 I wrote to you:\nnothing happened.",
        "He said: come at 8:00.\nNobody came.",
        "The sign says:\n\nNo parking\n\n----\n\nbut they park there. It is bad.",
        "Sent a letter from my lawyer to you, no answer.",
        "Please call\n-- or write --\nme at home.",
        "* lamp\n* hole\n> 5 cars a day\nand a dog",
        "Sent from the corner where the crew left rubble\n\nPlease fetch it.",
    ],
)
def test_a_residents_own_words_stay(words: str) -> None:
    assert split_reply(words)[0] == words


def test_answers_between_quotations_keep_them() -> None:
    fresh, _ = split_reply(f"{WROTE}\n> Where is it?\n\nAt Main.\n\n> How deep?\nVery.\n")
    assert fresh == "> Where is it?\n\nAt Main.\n\n> How deep?\nVery."


def test_words_below_a_quotation_are_the_answer() -> None:
    assert split_reply(f"{WROTE}\n> Where is it?\n> City\n\nAt Main.\n")[0] == "At Main."


def test_words_above_and_below_a_quotation_both_stay() -> None:
    fresh, _ = split_reply(f"Thanks.\n\n{WROTE}\n> Where is it?\n\nAt Main.\n")
    assert "Thanks." in fresh
    assert "At Main." in fresh


def test_all_quoted_leaves_nothing_new() -> None:
    fresh, elided = split_reply(f"{WROTE}\n> Where is it?")
    assert fresh == ""
    assert "Where" in elided


def test_a_quotation_without_more_is_kept() -> None:
    assert split_reply("> Where is it?")[0] == "> Where is it?"


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nAna Ruiz\n+1 816 555 0123",
        "Sent from my iPhone",
        "Enviado desde mi iPhone",
        "Get Outlook for Android<https://aka.ms/x>",
        "Sent from Yahoo Mail on Android",
        "-- \nAna\n\nOn 2 Nov 2026, at 08:00, City <c@city.gov> wrote:\n\n> Where?",
    ],
)
def test_what_signs_a_mail_is_parted(signature: str) -> None:
    fresh, elided = split_reply(f"At Main.\n\n{signature}")
    assert fresh == "At Main."
    assert signature.splitlines()[-1] in elided


def test_words_on_the_line_above_an_introduction_stay() -> None:
    assert split_reply(f"On it!\n{WROTE}\n> x")[0] == "On it!"


def test_nothing_is_lost_between_the_two() -> None:
    text = f"At Main.\n\n{WROTE}\n> Where?\n\n-- \nAna"
    fresh, elided = split_reply(text)
    assert sorted(f"{fresh}\n{elided}".split()) == sorted(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "On a a " * 20_000,
        "From: a@example.org\n" * 20_000,
        "> " * 50_000,
        "\n".join(["On 12:00 a@example.org <"] * 20_000),
        f"{WROTE}\n> q\nmine\n" * 8_000,
        "-" * 200_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    split_reply(text)
    assert time.process_time() - started < 3


@pytest.mark.parametrize("ours", [
    "## Please write above this line ##", "## Por favor, escriba arriba de esta línea ##",
])  # fmt: skip
def test_nothing_below_our_own_line_is_new(ours: str) -> None:
    fresh, elided = split_reply(f"It is deeper now.\n\n{ours}\n\nWe have your report.\n")
    assert fresh == "It is deeper now."
    assert "We have your report." in elided
