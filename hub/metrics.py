"""Prometheus metrics, computed from the log and the run history when asked for (conventions: names dashboards know)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub import __version__
from hub.model import INTERNAL_TOPICS, Range
from hub.pipeline.followers import Sums
from hub.watch import Monitoring, Sample, Watched
from hub.watch.alerts import Alert

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
STATES = ("RUNNING", "PAUSED", "STOPPED", "FAILED")
POLL_BUCKETS_S = (0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of the hub when somebody asks."""

    sums: Sums
    open: Mapping[tuple[str, str], int] | None  # rows of quarantine by topic and connector, where one can know
    sample: Sample
    ends: Mapping[str, Mapping[int, Range]]
    lags: Sequence[tuple[str, str, int, int]]  # group, topic, partition, offsets
    nodes: Mapping[str, int]  # that are alive, by role
    notices: int  # troubles of the log
    healthy: Mapping[str, bool]
    alerts: Sequence[Alert]
    disk: tuple[int, int]  # free and all bytes of the disk with the data directory


def see(watched: Watched, monitoring: Monitoring) -> Seen:
    """All that is known now. Raises DatongError when the log or the store does not answer."""
    return Seen(
        sums=watched.history.sums(),
        open=watched.open_rows(),
        sample=monitoring.watch.latest(),
        ends=watched.log.ends_of(set(watched.log.topics()) - set(INTERNAL_TOPICS)),
        lags=watched.deliveries.lags(),
        nodes=watched.supervisor.nodes_alive(),
        notices=len(watched.log.notices()),
        healthy=watched.healthy(),
        alerts=monitoring.alerts.current(),
        disk=watched.disk(),
    )


class HubCollector:
    """What the log and the history know; nothing is counted twice, and a restart loses nothing."""

    def __init__(self, see: Callable[[], Seen]) -> None:
        self._see = see

    def collect(self) -> Iterator[Metric]:
        """All families."""
        seen = self._see()
        yield _build_info()
        yield _gauge("datong_log_notices", "Troubles of the log that `datong doctor` names.", [((), seen.notices)])
        yield _gauge("datong_nodes", "Processes that give a sign of life.", _by_one(seen.nodes), "role")
        yield _gauge("datong_healthy", "1 while the part works.", _by_one(seen.healthy), "part")
        free, size = seen.disk
        yield _gauge("datong_disk_free_bytes", "Free on the disk with the data directory.", [((), free)])
        yield _gauge("datong_disk_size_bytes", "Size of the disk with the data directory.", [((), size)])
        alerts = Counter((alert.kind, alert.severity) for alert in seen.alerts)
        yield _gauge("datong_alert", "Alerts there are now.", alerts.items(), "kind", "severity")
        yield from _records(seen.sums)
        if seen.open is not None:
            yield _open_rows(seen.open, seen.sample)
        yield from _offsets(seen)
        yield from _topics(seen.sample)
        yield from _connectors(seen.sample, seen.sums)
        yield from _subscriptions(seen.sample)


def _gauge(name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, float(value))
    return family


def _by_one(values: Mapping[str, float | None]) -> list[tuple[tuple[str, ...], float]]:
    return [((name,), value) for name, value in values.items() if value is not None]


def _records(sums: Sums) -> Iterator[Metric]:
    published = CounterMetricFamily("datong_records_published", "Records published.", labels=["topic", "connector"])
    quarantined = CounterMetricFamily("datong_records_quarantined", "Rows quarantined.", labels=["topic", "reason"])
    text = "Rows of quarantine that people set aside."
    discarded = CounterMetricFamily("datong_records_discarded", text, labels=["topic", "connector"])
    families = (published, sums.published), (quarantined, sums.quarantined), (discarded, sums.discarded)
    for family, counts in families:
        for labels, value in counts.items():
            family.add_metric(labels, value)
        yield family


def _open_rows(rows: Mapping[tuple[str, str], int], sample: Sample) -> Metric:
    """0 for a connector that has none, so that a graph shows it; also of connectors that are not there any more."""
    none = {(one.topic, name): 0 for name, one in sample.connectors.items()}
    text = "Rows of quarantine that are open, whichever run they are of."
    return _gauge("datong_quarantine_open_rows", text, {**none, **rows}.items(), "topic", "connector")


def _offsets(seen: Seen) -> Iterator[Metric]:
    ends = {(t, str(p)): span.end for t, partitions in seen.ends.items() for p, span in partitions.items()}
    yield _gauge(
        "kafka_topic_partition_current_offset", "End offset of a partition.", ends.items(), "topic", "partition"
    )
    lags = {(group, topic, str(partition)): lag for group, topic, partition, lag in seen.lags}
    yield _gauge("kafka_consumergroup_lag", "Offsets to the end.", lags.items(), "consumergroup", "topic", "partition")


def _topics(sample: Sample) -> Iterator[Metric]:
    ages = {name: topic.fresh.age_s(sample.at_ms) for name, topic in sample.topics.items()}
    text = "Age of a topic: of its newest event time, else of its last complete pass or newest append."
    yield _gauge("datong_topic_freshness_seconds", text, _by_one(ages), "topic")
    targets = {name: topic.fresh.target_s for name, topic in sample.topics.items()}
    yield _gauge("datong_topic_freshness_target_seconds", "Age from which on it is late.", _by_one(targets), "topic")


def _connectors(sample: Sample, sums: Sums) -> Iterator[Metric]:
    states = {name: one.state for name, one in sample.connectors.items()}
    yield _gauge("datong_connector_state", "1 for the state it is in.", _by_state(states), "connector", "state")
    failures = {name: one.failures for name, one in sample.connectors.items()}
    yield _gauge("datong_connector_failures", "Passing faults in a row.", _by_one(failures), "connector")
    lost = {name: run.totals.difference for name, run in sums.last.items() if name in sample.connectors}
    text = "Rows of the newest run that are unaccounted for."
    yield _gauge("datong_connector_difference_rows", text, _by_one(lost), "connector")


def _subscriptions(sample: Sample) -> Iterator[Metric]:
    states = {name: one.state for name, one in sample.subscriptions.items()}
    yield _gauge("datong_subscription_state", "1 for the state it is in.", _by_state(states), "subscription", "state")
    lags = {name: one.lag for name, one in sample.subscriptions.items()}
    yield _gauge("datong_subscription_lag_records", "Offsets that are not pushed yet.", _by_one(lags), "subscription")
    letters = {name: one.dead_letters for name, one in sample.subscriptions.items()}
    text = "Batches that were set aside and not dealt with."
    yield _gauge("datong_subscription_dead_letters", text, _by_one(letters), "subscription")


def _by_state(states: Mapping[str, str]) -> list[tuple[tuple[str, ...], float]]:
    return [((name, state), float(state == current)) for name, current in states.items() for state in STATES]


class OwnCollector:
    """What a worker shows: itself alone. All that is shared is counted once, where the API is served."""

    def __init__(self, running: Callable[[], Sequence[str]]) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield _build_info()
        running = GaugeMetricFamily("datong_task_running", "1 while this worker runs it.", labels=["connector"])
        for name in self._running():
            running.add_metric([name], 1)
        yield running


def _build_info() -> Metric:
    info = GaugeMetricFamily("datong_build_info", "Version of the hub.", labels=["version"])
    info.add_metric([__version__], 1)
    return info


class Metrics:
    """The hub's own registry: HTTP requests and polls are counted here, the rest is collected."""

    def __init__(self, collector: HubCollector | OwnCollector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._requests = Histogram(
            "datong_http_request_duration_seconds",
            "Time to answer.",
            ["route", "method", "code"],
            registry=self._registry,
        )

        self._polls = Histogram(
            "datong_connector_poll_seconds",
            "Time until a source gave its next batch, empty ones included, in this process.",
            ["connector"],
            buckets=POLL_BUCKETS_S,
            registry=self._registry,
        )

    def polled(self, connector: str, seconds: float) -> None:
        """One batch of a source."""
        self._polls.labels(connector).observe(seconds)

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """One answered request. `route` is the template, never the path; a method that nobody defined is one of many."""
        self._requests.labels(route, method if method in METHODS else "other", str(code)).observe(seconds)

    def render(self) -> tuple[bytes, str]:
        """The exposition and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
