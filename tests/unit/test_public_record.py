"""`public.toml`: what a city publishes, judged whole."""

import pytest

from router.public_record import PublicRecord, read_public_record

TYPES = ["Pothole", "Snow/Ice", "Snow Ice"]


def faults_in(text: str) -> list[str]:
    faults: list[str] = []
    read_public_record(text, TYPES[:2], ["en", "es"], faults)
    return faults


def test_without_the_file_the_careful_defaults_hold() -> None:
    faults: list[str] = []
    assert read_public_record(None, TYPES[:2], ["en"], faults) == PublicRecord()
    assert faults == []
    assert (PublicRecord().descriptions, PublicRecord().photos) == ("apps", "none")
    assert PublicRecord().places == "block"


def test_two_types_never_have_one_code() -> None:
    faults: list[str] = []
    read_public_record(None, TYPES, ["en"], faults)
    assert faults == ['public.toml: "Snow Ice" has the code "snow-ice", as "Snow/Ice" has.']
    assert faults_in('[services.Pothole]\ncode = "unsure"') == [
        'public.toml: "Pothole" has the code "unsure", as what nobody has sorted yet has.'
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x", "is no TOML"),
        ('photos = "some"', "photos"),
        ("colour = 1", "colour"),
        ('private_types = ["Potholes"]', '"Potholes" is not in problem-types.csv'),
        ("[services.Hole]", '"Hole" is not in problem-types.csv'),
        ('[services.Pothole]\ncode = "a b"', "is no code"),
        ('[services.Pothole]\ngroup = { en = "Streets" }', 'group has no "es"'),
        (
            '[[services.Pothole.questions]]\ncode = "A"\nask = { en = "?", es = "?" }\n'
            'datatype = "singlevaluelist"',
            "lists have choices",
        ),
        (
            "".join(
                '[[services.Pothole.questions]]\ncode = "A"\nask = { en = "?", es = "?" }\n'
                for _ in range(2)
            ),
            "question A stands there twice",
        ),
        (
            '[[services.Pothole.questions]]\ncode = "A"\nask = { en = "?", es = "?" }\n'
            'datatype = "singlevaluelist"\nchoices = ['
            '{ key = "a", name = { en = "A", es = "A" } }, { key = "a", name = { en = "B" } }]',
            "two choices have the same key",
        ),
    ],
)
def test_every_fault_is_a_sentence(text: str, fault: str) -> None:
    assert any(fault in one for one in faults_in(text)), faults_in(text)
