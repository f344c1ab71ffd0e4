"""What a person should be told of this hub now: facts gathered, judged, and kept over time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hub.errors import DatongError
from hub.watch.alerts import Alert, Alerts, Facts, Thresholds, at_once, causes
from hub.watch.sample import Sample
from hub.watch.texts import to_json
from hub.watch.watch import Watch
from hub.watch.watched import Watched


class Gatherer:
    """Knows where each fact is. Beside a sample it asks the log whether it answers, the store for the nodes, and the disk."""

    def __init__(self, watched: Watched, *, untold: Callable[[], Mapping[str, str]]) -> None:
        """`untold`: who could not be told of alerts, and why."""
        self._watched, self._untold = watched, untold
        self._last: Facts | None = None

    def facts(self, samples: list[Sample]) -> Facts:
        """All of now; what does not answer is as it last was, and unhealthy."""
        healthy = self._watched.healthy()
        before = self._last or Facts(samples=samples)
        known = before
        if all(healthy.values()):
            try:
                sums = self._watched.history.sums()
                rows = self._watched.open_rows()
                known = replace(
                    before,
                    last=sums.last,
                    last_read=sums.last_read,
                    open=before.open if rows is None else _by_connector(rows),
                    silent=self._silent(),
                )
            except DatongError:  # it went away just now: the next look says so
                pass
        free, size = self._watched.disk()
        self._last = replace(
            known,
            samples=samples or before.samples,
            disk_free=free / size,
            healthy=healthy,
            notices=self._watched.log.notices(),
            mistakes=[
                (f"{m.file}:{m.line}" if m.line else m.file, m.message) for m in self._watched.catalogue().mistakes
            ],
            untold=self._untold(),
        )
        return self._last

    def _silent(self) -> Mapping[str, float]:
        supervisor = self._watched.supervisor
        return {node.name: node.silent_ms / 1000 for node in supervisor.nodes() if not supervisor.alive(node)}


def _by_connector(rows: Mapping[tuple[str, str], int]) -> Mapping[str, int]:
    """One that publishes on another topic than before may have rows for both."""
    found: Counter[str] = Counter()
    for (_topic, name), count in rows.items():
        found[name] += count
    return found


class AlertDesk:
    """The alerts there are. `look` is for one thread, the rest for any."""

    def __init__(
        self, gatherer: Gatherer, thresholds: Thresholds, watch: Callable[[], Watch], clock_ms: Callable[[], int]
    ) -> None:
        self._gatherer, self._thresholds, self._watch, self._clock_ms = gatherer, thresholds, watch, clock_ms
        self._alerts = Alerts()
        self._lock = threading.Lock()
        self._current: list[Alert] = []

    def look(self) -> None:
        """Judge what is known now; the watch does so after each sample."""
        found = causes(self._gatherer.facts(self._watch().after(0)), self._thresholds)
        told = self._alerts.look(found, self._clock_ms())
        with self._lock:
            self._current = told

    def current(self) -> list[Alert]:
        """What is to be told, the oldest first. Where nobody watches, all that is wrong at this moment."""
        if self._watch().running:
            with self._lock:
                return self._current
        self._watch().look()
        return at_once(causes(self._gatherer.facts(self._watch().after(0)), self._thresholds), self._clock_ms())

    def listed(self) -> list[dict[str, Any]]:
        """The same as JSON values, with texts in every language."""
        return [to_json(alert) for alert in self.current()]
