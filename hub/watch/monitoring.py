"""All that watches a hub, put together: the samples, the alerts made of them, and those who are told."""

from __future__ import annotations

from collections.abc import Callable

from hub.watch.alerts import Thresholds
from hub.watch.desk import AlertDesk, Gatherer
from hub.watch.notify import Notifier, Open
from hub.watch.sampler import Sampler
from hub.watch.watch import Watch
from hub.watch.watched import Watched


class Monitoring:
    """Call order: `start` when the supervisor has started, `stop` before what is watched is closed; both may be repeated.

    Before `start`, and in a node that never starts, nothing runs by itself: `watch` and `alerts` look when they are asked."""

    def __init__(
        self, watched: Watched, thresholds: Thresholds, open_channel: Open, clock_ms: Callable[[], int]
    ) -> None:
        """`open_channel` makes the way to somebody who is told of alerts, each time there is something to tell."""
        sampler = Sampler(
            history=watched.history,
            supervisor=watched.supervisor,
            deliveries=watched.deliveries,
            letters=watched.store.letters,
            catalogue=watched.catalogue,
        )
        gatherer = Gatherer(watched, untold=lambda: self.notifier.untold)
        self.alerts = AlertDesk(gatherer, thresholds, lambda: self.watch, clock_ms)
        self.watch = Watch(sampler, clock_ms, then=self.alerts.look)
        self.notifier = Notifier(
            self.alerts.current,
            watched.catalogue,
            open_channel,
            watched.store.leases,
            watched.supervisor.node_name,
            clock_ms,
        )

    def start(self) -> None:
        """Take samples, judge them, and tell whoever is to be told."""
        self.watch.start()
        self.notifier.start()

    def stop(self) -> None:
        """End; a notice under way is given its time."""
        self.notifier.stop()
        self.watch.stop()
