"""
The alert rules, tried by Prometheus' own tool, and what we print, read by it.

`make test` leaves these out, so that it passes where promtool is not installed; `make
test-promtool` and `.ci/run` run them.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.operator.metrics import Requests, printed
from tests.unit.test_verdict import figures

pytestmark = pytest.mark.promtool
FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"


def promtool(*words: str, given: bytes = b"", folder: Path = FOLDER) -> str:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.fail("promtool is not installed: it comes with Debian's prometheus")
    answer = subprocess.run([tool, *words], input=given, capture_output=True, cwd=folder)
    said = (answer.stdout + answer.stderr).decode()
    assert answer.returncode == 0, said
    return said


def test_the_rules_are_rules_and_ring_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", "rules.yml")
    assert "SUCCESS" in promtool("test", "rules", "rules.test.yml")
    promtool("check", "config", "--syntax-only", "prometheus.example.yml")


def test_a_rule_that_rings_too_late_fails_its_test(tmp_path: Path) -> None:
    """The trial itself is tried: it is not satisfied with anything."""
    shutil.copy(FOLDER / "rules.test.yml", tmp_path)
    changed = (FOLDER / "rules.yml").read_text().replace("for: 2m", "for: 2h")
    (tmp_path / "rules.yml").write_text(changed)

    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", "rules.test.yml", folder=tmp_path)


def test_prometheus_can_read_what_we_print() -> None:
    requests = Requests()
    requests.answered.labels("GET", "/", "200").inc()

    promtool("check", "metrics", given=printed(figures(), requests))
