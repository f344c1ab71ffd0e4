"""What of a hub is looked at, in one value: samples, alerts and metrics know a hub by it alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hub.catalogue.load import Catalogue
from hub.deliveries import Deliveries
from hub.errors import CorruptBlock, OffsetOutOfRange
from hub.pipeline.followers import OpenQuarantine, RunHistory
from hub.pipeline.freshness import Freshness
from hub.pipeline.supervisor import Supervisor
from hub.ports import OpenLog
from hub.store import Store
from hub.watch.sampler import freshness_of


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The parts of an open hub; whoever looks has stopped before they are closed."""

    history: RunHistory
    quarantine: OpenQuarantine
    supervisor: Supervisor
    deliveries: Deliveries
    log: OpenLog
    store: Store
    catalogue: Callable[[], Catalogue]  # as it is declared now
    directory: Path  # the data directory

    def healthy(self) -> dict[str, bool]:
        """Which part answers."""
        return {"log": self.log.healthy(), "store": self.store.healthy()}

    def freshness(self) -> Mapping[str, Freshness]:
        """Of every topic. Raises DatongError when the log does not answer."""
        return freshness_of(self.catalogue(), self.history.sums())

    def open_rows(self) -> Mapping[tuple[str, str], int] | None:
        """Rows of quarantine that are open, by topic and connector; None when a damaged block keeps one from knowing. Raises
        DatongError when the log does not answer."""
        try:
            return self.quarantine.counts()
        except (CorruptBlock, OffsetOutOfRange):
            return None

    def disk(self) -> tuple[int, int]:
        """Free and all bytes of the disk with the data directory."""
        usage = shutil.disk_usage(self.directory)
        return usage.free, usage.total
