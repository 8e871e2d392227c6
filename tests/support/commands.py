"""Commands run in this process, as the console script runs them; quicker than a process each."""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from unittest.mock import patch

from gateway.cli import main


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


def command(*words: object) -> Said:
    """`buckstop` with these words, with nobody at the keyboard."""
    out, err = StringIO(), StringIO()
    code: object = 0
    with (
        patch.object(sys, "stdin", StringIO()),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return Said(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())
