"""Where a command's help says that `-` is standard input, it takes one."""

from pathlib import Path

import pytest

from gateway.cli import app


@pytest.mark.parametrize("words", ["submit -", "route -", "city places-of -", "bus trace -"])
def test_a_hyphen_is_standard_input(words: str) -> None:
    _, bound, _ = app.parse_args(words.split(), exit_on_error=False, print_error=False)

    assert bound.args[0] in ("-", Path("-"))
