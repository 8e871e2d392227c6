"""What a text costs, and how it is said in fewer letters."""

import pytest

from notifier.sms_text import Length, length_of, to_send


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", Length("GSM-7", 0, 1)),
        ("x" * 160, Length("GSM-7", 160, 1)),
        ("x" * 161, Length("GSM-7", 161, 2)),
        ("x" * 306, Length("GSM-7", 306, 2)),
        ("x" * 307, Length("GSM-7", 307, 3)),
        ("€" * 80, Length("GSM-7", 160, 1)),
        ("€" * 81, Length("GSM-7", 162, 2)),
        # A sign of two units is not cut in two: 76 of them and a plain letter's room remain.
        ("€" * 153, Length("GSM-7", 306, 3)),
        ("ñ¿¡é", Length("GSM-7", 4, 1)),
        ("á", Length("UCS-2", 1, 1)),
        ("á" * 70, Length("UCS-2", 70, 1)),
        ("á" * 71, Length("UCS-2", 71, 2)),
        ("á" * 135, Length("UCS-2", 135, 3)),
        ("👍" * 35, Length("UCS-2", 70, 1)),
        ("👍" * 36, Length("UCS-2", 72, 2)),
    ],
)
def test_letters_are_counted_as_carriers_count(text: str, length: Length) -> None:
    assert length_of(text) == length


def test_signs_of_typesetting_become_plain() -> None:
    typeset = "“It’s filed” – thank you…\u00a0\u200bBye"
    assert to_send(typeset) == '"It\'s filed" - thank you... Bye'
    assert length_of(to_send(typeset)).encoding == "GSM-7"


def test_spanish_keeps_its_accents_where_there_is_room() -> None:
    short = "Recibimos su informe. ¿Dónde está?"
    assert to_send(short) == short


def test_a_long_spanish_text_loses_the_accents_that_would_double_it() -> None:
    long = "Recibimos su informe número 7KQ-2MX-94. ¿Dónde está el problema? Señale la calle. " * 2
    said = to_send(long)
    assert length_of(long).segments == 3
    assert length_of(said) == Length("GSM-7", len(said), 2)
    assert "numero" in said
    assert "¿Donde esta" in said
    assert "Señale" in said


def test_no_text_is_longer_than_twilio_takes() -> None:
    assert len(to_send("x" * 5_000)) == 1_600
    assert to_send("x" * 5_000).endswith("...")
