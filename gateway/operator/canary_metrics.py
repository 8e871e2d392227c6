"""What `/metrics` says of the canary."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.operator.canary import CanaryFigures, State


def families(canary: CanaryFigures) -> Iterator[Metric]:
    """
    When the last one came through, how long each step took, and where the next one stays. While
    somebody paused whoever should have it, it stays nowhere: that is meant.
    """
    if canary.last is not None and canary.last.ended_at is not None:
        yield GaugeMetricFamily(
            "buckstop_canary_last_success_timestamp_seconds",
            "When the last canary came through",
            value=canary.last.ended_at.timestamp(),
        )
        yield GaugeMetricFamily(
            "buckstop_canary_seconds", "How long it took (latency)", value=canary.took or 0.0
        )
    hops = GaugeMetricFamily(
        "buckstop_canary_hop_seconds", "How long each of its steps took", labels=["hop"]
    )
    for hop, seconds in canary.hops.items():
        hops.add_metric([hop.value], seconds)
    yield hops
    stopped = GaugeMetricFamily(
        "buckstop_canary_stopped_seconds",
        "How long none has come through, by the step at which the next one stays",
        labels=["hop", "service"],
    )
    if canary.stop is not None and canary.state in (State.LATE, State.LOST):
        stopped.add_metric([canary.stop.hop.value, canary.stop.service], canary.waited)
    yield stopped
