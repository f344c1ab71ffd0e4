"""Prometheus metrics, computed from the log and the run history when asked for (conventions: names dashboards know)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub import __version__
from hub.model import Finding, Range
from hub.pipeline.manifest import RunRecord

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
STATES = ("RUNNING", "PAUSED", "STOPPED", "FAILED")


class HubCollector:
    """What the log and the history know; nothing is counted twice, and a restart loses nothing."""

    def __init__(
        self,
        *,
        runs: Callable[[], Sequence[RunRecord]],
        ends: Callable[[], Mapping[str, Mapping[int, Range]]],
        states: Callable[[], Mapping[str, str]],
        freshness: Callable[[], Mapping[str, float]],
        lags: Callable[[], Sequence[tuple[str, str, int, int]]],
        notices: Callable[[], Sequence[Finding]],
        nodes: Callable[[], Mapping[str, int]],
    ) -> None:
        self._runs, self._ends, self._states, self._freshness, self._lags = runs, ends, states, freshness, lags
        self._notices, self._nodes = notices, nodes

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield _build_info()
        notices = GaugeMetricFamily("datong_log_notices", "Troubles of the log that `datong doctor` names.")
        notices.add_metric([], len(self._notices()))
        yield notices
        nodes = GaugeMetricFamily("datong_nodes", "Processes that give a sign of life.", labels=["role"])
        for role, count in self._nodes().items():
            nodes.add_metric([role], count)
        yield nodes
        yield from self._records()
        yield from self._offsets()
        yield from self._connectors()

    def _records(self) -> Iterator[Metric]:
        published = CounterMetricFamily("datong_records_published", "Records published.", labels=["topic", "connector"])
        quarantined = CounterMetricFamily("datong_records_quarantined", "Rows quarantined.", labels=["topic", "reason"])
        done: Counter[tuple[str, str]] = Counter()
        bad: Counter[tuple[str, str]] = Counter()
        for run in self._runs():
            done[run.topic, run.task] += run.totals.published
            for reason, count in run.reasons.items():
                bad[run.topic, reason] += count
        for labels, value in done.items():
            published.add_metric(list(labels), value)
        for labels, value in bad.items():
            quarantined.add_metric(list(labels), value)
        yield published
        yield quarantined

    def _offsets(self) -> Iterator[Metric]:
        current = GaugeMetricFamily(
            "kafka_topic_partition_current_offset", "End offset of a partition.", labels=["topic", "partition"]
        )
        for topic, partitions in self._ends().items():
            for partition, span in partitions.items():
                current.add_metric([topic, str(partition)], span.end)
        yield current
        lag = GaugeMetricFamily(
            "kafka_consumergroup_lag", "Offsets to the end.", labels=["consumergroup", "topic", "partition"]
        )
        for group, topic, partition, value in self._lags():
            lag.add_metric([group, topic, str(partition)], value)
        yield lag

    def _connectors(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("datong_connector_state", "1 for the state it is in.", labels=["connector", "state"])
        for connector, current in self._states().items():
            for name in STATES:
                state.add_metric([connector, name], float(name == current))
        yield state
        fresh = GaugeMetricFamily(
            "datong_topic_freshness_seconds", "Age of the newest append to a topic.", labels=["topic"]
        )
        for topic, seconds in self._freshness().items():
            fresh.add_metric([topic], seconds)
        yield fresh


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
    """The hub's own registry: HTTP requests are counted here, the rest is collected."""

    def __init__(self, collector: HubCollector | OwnCollector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._requests = Histogram(
            "datong_http_request_duration_seconds",
            "Time to answer.",
            ["route", "method", "code"],
            registry=self._registry,
        )

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """One answered request. `route` is the template, never the path; a method that nobody defined is one of many."""
        self._requests.labels(route, method if method in METHODS else "other", str(code)).observe(seconds)

    def render(self) -> tuple[bytes, str]:
        """The exposition and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
