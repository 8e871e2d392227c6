"""
`/metrics`: what Prometheus scrapes. The operators' figures, and the requests that were answered.

Ages are in seconds, names end in their unit, and no label holds what came from a resident.
"""

import hmac
import ipaddress
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as Source

from gateway.keys import SETTINGS
from gateway.operator import canary_metrics
from gateway.operator.figures import BusFigures, Figures
from gateway.operator.ops_page import COLLECTOR
from gateway.operator.verdict import judge
from store.figures import StoreFigures

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STREAMS = {"/ops/live"}
"""Answers that last as long as somebody watches: their length says nothing."""


class Requests:
    """What the pages of this process answered: traffic, errors, latency, saturation."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answered = Counter(
            "buckstop_http_requests",
            "Requests answered, by route and status",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "buckstop_http_request_seconds",
            "How long requests took, by route",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "buckstop_http_requests_under_way",
            "Requests that are being answered",
            registry=self.registry,
        )


REQUESTS = web.AppKey("requests", Requests)


@web.middleware
async def count_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts every answer; an address appears as its route, never as it was typed."""
    counted = request.app[REQUESTS]
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    # A method is whatever a caller sends.
    method = request.method if request.method in {"GET", "HEAD", "POST"} else "other"
    began = time.perf_counter()
    status = 500
    counted.under_way.inc()
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as answer:
        status = answer.status
        raise
    finally:
        counted.under_way.dec()
        counted.answered.labels(method, route, str(status)).inc()
        if route not in _STREAMS:
            counted.seconds.labels(method, route).observe(time.perf_counter() - began)


async def metrics(request: web.Request) -> web.StreamResponse:
    """The figures in Prometheus' text, for who may read them."""
    token = request.config_dict[SETTINGS].http.metrics_token
    if token is not None:
        borne = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(borne.encode(), token.get_secret_value().encode()):
            return web.Response(
                text="The bearer token is missing or wrong (http.metrics_token).\n",
                status=401,
                headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
            )
    elif not _from_this_machine(request):
        return web.Response(
            text="Only this machine may read the metrics. Set http.metrics_token for others.\n",
            status=403,
        )
    figures = await request.config_dict[COLLECTOR].latest()
    text = printed(figures, request.config_dict[REQUESTS])
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def printed(figures: Figures, requests: Requests) -> bytes:
    """The whole answer."""
    registry = CollectorRegistry()
    registry.register(_Fixed(families(figures)))
    return generate_latest(registry) + generate_latest(requests.registry)


def _from_this_machine(request: web.Request) -> bool:
    # A proxy on this machine speaks for people who are not.
    if {"Forwarded", "X-Forwarded-For"} & set(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


class _Fixed(Source):
    """Families that are known already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def families(figures: Figures) -> Iterator[Metric]:
    """The figures as metrics; what could not be asked is left out, and `up` says so."""
    up = GaugeMetricFamily("buckstop_up", "1 when it answers, 0 when not", labels=["engine"])
    up.add_metric(["bus"], figures.bus is not None)
    up.add_metric(["store"], figures.store is not None)
    yield up
    wrong = GaugeMetricFamily(
        "buckstop_findings", "What the operators' page says is not well", labels=["cause", "level"]
    )
    counted: dict[tuple[str, str], int] = {}
    for one in judge(figures).findings:
        key = (one.cause, one.level.name.lower())
        counted[key] = counted.get(key, 0) + 1
    for (cause, level), count in counted.items():
        wrong.add_metric([cause, level], count)
    yield wrong
    yield _gauge("buckstop_look_seconds", "How long this look took", figures.took)
    if figures.disk is not None:
        yield _gauge("buckstop_disk_free_bytes", "Free where the data lies", figures.disk.free)
        yield _gauge("buckstop_disk_total_bytes", "The disk's size", figures.disk.total)
    if figures.canary is not None:
        yield from canary_metrics.families(figures.canary)
    left = GaugeMetricFamily(
        "buckstop_ends_in_seconds",
        "Until a certificate or our access to a mailbox ends",
        labels=["kind", "what"],
    )
    for ending in figures.endings:
        if ending.ends is not None:
            left.add_metric([ending.kind, ending.what], (ending.ends - figures.at).total_seconds())
    yield left
    if figures.bus is not None:
        yield from _of_bus(figures, figures.bus)
    if figures.store is not None:
        yield from _of_store(figures, figures.store)


def _of_bus(figures: Figures, bus: BusFigures) -> Iterator[Metric]:
    stream_labels, labels = ["stream"], ["durable", "stream", "service"]
    told = CounterMetricFamily(
        "buckstop_stream_messages_told", "Messages ever stored in it", labels=stream_labels
    )
    held = GaugeMetricFamily(
        "buckstop_stream_bytes", "Bytes that the stream holds", labels=stream_labels
    )
    most = GaugeMetricFamily(
        "buckstop_stream_bytes_most", "Bytes that it may hold", labels=stream_labels
    )
    for stream in bus.streams:
        look = stream.look
        told.add_metric([look.name], look.told)
        held.add_metric([look.name], look.bytes)
        most.add_metric([look.name], look.most_bytes)
    yield from (told, held, most)

    answered = CounterMetricFamily(
        "buckstop_durable_messages_answered", "Messages answered, ever (traffic)", labels=labels
    )
    waiting = GaugeMetricFamily(
        "buckstop_durable_messages_waiting", "Messages not handed out yet", labels=labels
    )
    in_hand = GaugeMetricFamily(
        "buckstop_durable_messages_in_hand", "Handed out, not answered (saturation)", labels=labels
    )
    most_in_hand = GaugeMetricFamily(
        "buckstop_durable_messages_in_hand_most", "So many may be in hand", labels=labels
    )
    again = GaugeMetricFamily(
        "buckstop_durable_messages_redelivered", "In hand not for the first time", labels=labels
    )
    oldest = GaugeMetricFamily(
        "buckstop_durable_oldest_seconds",
        "Age of the oldest message not answered (latency)",
        labels=labels,
    )
    silent = GaugeMetricFamily(
        "buckstop_durable_silent_seconds",
        "How long nobody has answered who hears it",
        labels=labels,
    )
    for durable in bus.durables:
        at, name = durable.look, [durable.look.name, durable.look.stream, durable.service]
        answered.add_metric(name, at.answered)
        waiting.add_metric(name, at.waiting)
        in_hand.add_metric(name, at.in_hand)
        most_in_hand.add_metric(name, at.most_in_hand)
        again.add_metric(name, at.redelivered)
        if durable.turned_off:
            continue  # what lies there waits for nobody
        oldest.add_metric(name, durable.age or 0.0)
        silent.add_metric(name, durable.silent)
    yield from (answered, waiting, in_hand, most_in_hand, again, oldest, silent)

    looked = GaugeMetricFamily(
        "buckstop_place_looked_seconds",
        "Since when a mailbox or list has not been looked at",
        labels=["channel", "place"],
    )
    trouble = GaugeMetricFamily(
        "buckstop_place_trouble", "1 when it cannot be read", labels=["channel", "place"]
    )
    left = GaugeMetricFamily(
        "buckstop_place_messages_waiting",
        "Messages there that the books lack",
        labels=["channel", "place"],
    )
    for channel in bus.channels:
        for place in channel.places:
            name = [channel.name, place.place]
            if place.looked_at is not None:
                looked.add_metric(name, (figures.at - place.looked_at).total_seconds())
            trouble.add_metric(name, bool(place.trouble))
            left.add_metric(name, place.waiting)
    yield from (looked, trouble, left)


def _of_store(figures: Figures, store: StoreFigures) -> Iterator[Metric]:
    ledger = GaugeMetricFamily(
        "buckstop_ledger_messages",
        "Messages received and how they ended, ever and in the city's day",
        labels=["span", "end"],
    )
    for span, books in (("ever", store.ever), ("today", store.today)):
        for end in ("received", "filed", "quarantined", "ignored", "in_flight"):
            ledger.add_metric([span, end], getattr(books, end))
    yield ledger
    yield _gauge("buckstop_ledger_closes", "1 when nothing is missing", store.ever.closes)
    by_channel = GaugeMetricFamily(
        "buckstop_channel_messages_today", "Messages received today", labels=["channel"]
    )
    for name, channel in store.channels.items():
        by_channel.add_metric([name], channel.today)
    yield by_channel

    def age(since: datetime | None) -> float:
        return (figures.at - since).total_seconds() if since is not None else 0.0

    yield _gauge("buckstop_outbox_facts", "Facts that wait to be told", store.outbox.count)
    yield _gauge("buckstop_outbox_oldest_seconds", "Age of the oldest", age(store.outbox.oldest))
    yield _gauge("buckstop_outbox_refused", "Facts refused for good", store.outbox.set_aside)
    yield _gauge("buckstop_notices_waiting", "Notices not sent yet", store.notices.count)
    yield _gauge("buckstop_notices_oldest_seconds", "Age of the oldest", age(store.notices.oldest))
    yield _gauge("buckstop_notices_failed_today", "Notices given up", store.notices_failed_today)
    yield _gauge("buckstop_dead_letters", "Dead letters that wait (errors)", store.dead.count)
    yield _gauge("buckstop_rule_alarms", "Rules that could not run within a day", len(store.alarms))
    paused = GaugeMetricFamily(
        "buckstop_paused", "1 for each durable and channel that is paused", labels=["what"]
    )
    for one in store.pauses:
        paused.add_metric([one.what], 1)
    yield paused
    yield _gauge(
        "buckstop_dead_letters_oldest_seconds", "Age of the oldest", age(store.dead.oldest)
    )


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)
