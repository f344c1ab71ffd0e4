"""Looks at a hub. What one look costs does not grow with what topics hold: totals and times come from the manifests, lags
from the ends of the topics that groups read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from hub.catalogue.load import Catalogue
from hub.catalogue.specs import SubscriptionSpec
from hub.deliveries import Deliveries
from hub.delivery.groups import GroupLag
from hub.pipeline.followers import Published, RunHistory, Sums
from hub.pipeline.freshness import Freshness, freshness
from hub.pipeline.jobs import task_of
from hub.pipeline.supervisor import ConnectorStatus, Supervisor
from hub.store.letters import DeadLetters
from hub.subscriptions import IN_FILE
from hub.watch.sample import ConnectorSample, Sample, SubscriptionSample, TopicSample

RATE_S = 5.0  # a rate is taken over so long: appends come in batches, and a rate of one second would jump
NOTHING = Published()


class Sampler:
    """Makes samples, one at a time."""

    def __init__(
        self,
        *,
        history: RunHistory,
        supervisor: Supervisor,
        deliveries: Deliveries,
        letters: DeadLetters,
        catalogue: Callable[[], Catalogue],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock_s` never goes back."""
        self._history, self._supervisor, self._deliveries = history, supervisor, deliveries
        self._letters, self._catalogue, self._clock_s = letters, catalogue, clock_s
        self._looks: deque[tuple[float, Mapping[str, Published]]] = deque()
        self._topics: Mapping[str, TopicSample] = {}

    def look(self, number: int, at_ms: int) -> Sample:
        """All of this moment. Raises DatongError when the store or the log does not answer."""
        catalogue, sums = self._catalogue(), self._history.sums()
        tasks, groups = self._supervisor.tasks(), self._deliveries.group_lags()
        before_s, before = self._before(sums.topics)
        fresh, lags = freshness_of(catalogue, sums), _largest(groups)

        def rate(name: str, now: Published) -> float:
            return round((now.records - before.get(name, NOTHING).records) / before_s, 1) if before_s else 0.0

        topics = {}
        for name in fresh:
            now = sums.topics.get(name, NOTHING)
            made = TopicSample(
                rate=rate(name, now),
                records=now.records,
                newest_ms=now.newest_ms,
                fresh=fresh[name],
                lag=lags.get(name),
            )
            known = self._topics.get(name)
            topics[name] = known if known == made else made
        self._topics = topics
        return Sample(
            number=number,
            at_ms=at_ms,
            rate=round(sum(topic.rate for topic in topics.values()), 1),
            records_today=sums.day(at_ms),
            topics=topics,
            connectors=_connectors(catalogue, tasks, sums),
            subscriptions=_subscriptions(catalogue, tasks, groups, self._letters.undelivered()),
            groups={(group.name, group.key.topic): group.total for group in groups},
        )

    def _before(self, now: Mapping[str, Published]) -> tuple[float, Mapping[str, Published]]:
        """The look that rates are counted from, and how many seconds ago it was; 0 at the first one."""
        at_s = self._clock_s()
        self._looks.append((at_s, now))
        while len(self._looks) > 2 and self._looks[1][0] <= at_s - RATE_S:
            self._looks.popleft()
        return at_s - self._looks[0][0], self._looks[0][1]


def freshness_of(catalogue: Catalogue, sums: Sums) -> dict[str, Freshness]:
    """Of every topic that is declared or was published on, sorted."""
    passes: dict[str, int] = {}
    for name, connector in catalogue.connectors.items():
        completed = sums.completed.get(name)
        if connector.publish.mode == "snapshot" and completed is not None:
            passes[connector.publish.topic] = max(completed, passes.get(connector.publish.topic, 0))
    found = {}
    for name in sorted({*catalogue.topics, *sums.topics}):
        spec = catalogue.topics.get(name)
        found[name] = freshness(
            sums.topics.get(name, NOTHING),
            event_time=bool(spec and spec.event_time),
            target=spec.freshness if spec else None,
            completed_ms=passes.get(name),
        )
    return found


def _largest(groups: Sequence[GroupLag]) -> dict[str, int]:
    lags: dict[str, int] = {}
    for group in groups:
        lags[group.key.topic] = max(group.total, lags.get(group.key.topic, 0))
    return lags


def _connectors(
    catalogue: Catalogue, tasks: Mapping[str, ConnectorStatus], sums: Sums
) -> Mapping[str, ConnectorSample]:
    found = {}
    for name, spec in sorted(catalogue.connectors.items()):
        if (status := tasks.get(name)) is None:  # declared a moment ago
            continue
        last = sums.last.get(name)
        # of a run that another node has just begun nothing is known
        known = 0 if last is None or (status.unfinished and last.run != status.run_id) else last.totals.read
        found[name] = ConnectorSample(
            topic=spec.publish.topic,
            state=status.state,
            reason=status.reason,
            by_itself=status.by_itself,
            running=status.running,
            rows=status.totals.read if status.totals else known,
            failures=status.failures,
            error=_error(status),
            away=status.away,
        )
    return found


def _subscriptions(
    catalogue: Catalogue,
    tasks: Mapping[str, ConnectorStatus],
    groups: Sequence[GroupLag],
    letters: Mapping[str, int],
) -> Mapping[str, SubscriptionSample]:
    lags = {(group.key.agency, group.key.topic, group.key.group): group.total for group in groups}
    found = {}
    for name, spec in sorted(catalogue.subscriptions.items()):
        if (status := tasks.get(task_of(name))) is None:
            continue
        agency, topic = _reads(spec, catalogue)
        held = spec.paused and status.state == "RUNNING"
        found[name] = SubscriptionSample(
            topic=topic,
            state="PAUSED" if held else status.state,
            reason=IN_FILE if held else status.reason,
            by_itself=status.by_itself and not held,
            running=status.running,
            lag=lags.get((agency, topic, spec.reads_as)),
            dead_letters=letters.get(name, 0),
            failures=status.failures,
            error=_error(status),
        )
    return found


def _reads(spec: SubscriptionSpec, catalogue: Catalogue) -> tuple[str, str]:
    """The agency that reads, and the topic; empty while its grant is not declared."""
    grant = catalogue.grants.get(spec.grant) if spec.grant else None
    if grant is not None:
        return grant.agency, grant.topic
    return spec.agency or "", spec.topic or ""


def _error(status: ConnectorStatus) -> str:
    return str(status.outcome["error"] or "") if status.outcome else ""
