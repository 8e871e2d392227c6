"""What the alert rules and the dashboard in deploy/ ask for is what `/metrics` prints."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.operator.metrics import Requests, printed
from gateway.operator.verdict import judge
from store.canaries import CanaryBooks
from store.figures import ChannelBooks
from store.levers import OperatorAct
from tests.unit.test_canary import flight, look, whole
from tests.unit.test_verdict import NOW, bus, durable, email, figures, store

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "buckstop.json"

# What Prometheus itself adds to a sample, and what Grafana puts in before it asks.
_THEIRS = {"job", "instance", "le"}
_METRIC = re.compile(r"\bbuckstop_\w+")
_LABELLED = re.compile(r"\b(buckstop_\w+)\{([^}]*)\}")


def printed_now() -> dict[str, dict[str, set[str]]]:
    """Every sample that `/metrics` prints: its labels, and the values that they have."""
    requests = Requests()
    requests.answered.labels("GET", "/", "200").inc()
    requests.seconds.labels("GET", "/").observe(0.01)
    busy = figures(
        bus=bus(durables=(durable(silent=60.0),), channels=(email(),)),
        store=store(
            channels={"email": ChannelBooks(1, NOW)},
            pauses=(OperatorAct(1, "pause", "channel:email", "olga", "", NOW, NOW, "done"),),
        ),
        canary=look(CanaryBooks(last=whole(200), next=flight(140, 0.1))),
    )
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(printed(busy, requests).decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def rules() -> list[dict[str, Any]]:
    return [one for group in yaml.safe_load(RULES.read_text())["groups"] for one in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def asked() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


@pytest.mark.parametrize(("who", "question"), list(asked()))
def test_every_metric_that_is_asked_for_is_printed(who: str, question: str) -> None:
    known = printed_now()
    names = set(_METRIC.findall(question))

    assert names <= known.keys(), who
    assert names or 'up{job="buckstop"}' in question, who
    for name, inside in _LABELLED.findall(question):
        labels = dict(re.findall(r'(\w+)=~?"([^"]*)"', inside))
        assert labels.keys() - _THEIRS <= known[name].keys(), (who, name)
        if name == "buckstop_ledger_messages":
            for label, value in labels.items() - {("instance", "$instance")}:
                assert value in known[name][label], (who, value)


def test_the_dashboard_shows_everything_that_is_printed() -> None:
    shown = {name for _, question in asked() for name in _METRIC.findall(question)}
    # Of a histogram its buckets are shown; when a counter began is of no use to anybody.
    rest = {name for name in printed_now() if not name.endswith(("_sum", "_count", "_created"))}

    assert rest - shown == set()


def test_panels_have_ids_of_their_own_and_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        area = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not taken & area, panel["title"]
        taken |= area
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))


def test_every_alert_says_what_to_do_is_explained_and_is_tried() -> None:
    told = (ROOT / "docs" / "operating.md").read_text()
    tried = yaml.safe_load((RULES.parent / "rules.test.yml").read_text())
    rung = {
        one["alertname"]
        for test in tried["tests"]
        for one in test.get("alert_rule_test", ())
        if one["exp_alerts"]
    }
    for rule in rules():
        assert rule["labels"]["level"] in {"look", "wrong"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "todo"}, rule["alert"]
        assert f"`{rule['alert']}`" in told, rule["alert"]
    assert rung == {rule["alert"] for rule in rules()}


def test_levels_are_those_of_the_page() -> None:
    [finding] = judge(figures(bus=bus(durables=(durable(silent=60.0),)))).findings

    assert finding.level.name.lower() == "wrong"  # as `BuckstopFinding` asks for it
