"""Records of internal topics that no hub wrote: counted where they stand, and told once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from hub.model import Finding, StoredBlock

MOST = 10_000  # offsets of a topic that are told apart
SHOWN_MS = 7 * 24 * 3600 * 1000  # a record stays in its topic for ever; the notice of it does not
log = structlog.get_logger("datong.log")


@dataclass
class _Met:
    offsets: set[int] = field(default_factory=set)
    newest: int = 0  # ms: when the last of them was appended


class PassedOver:
    """What was met of each topic. Thread-safe; the same record may be met by every run."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._met: dict[str, _Met] = {}

    def add(self, block: StoredBlock, offset: int) -> None:
        """See `hub.ports.LogReader.passed_over`."""
        with self._lock:
            first = block.topic not in self._met
            met = self._met.setdefault(block.topic, _Met())
            if len(met.offsets) < MOST:
                met.offsets.add(offset)
            met.newest = max(met.newest, min(block.timestamp_ms, self._clock_ms()))
        if first:
            log.warning("records_passed_over", topic=block.topic, offset=offset, why="not the hub's own")

    def notices(self) -> Sequence[Finding]:
        """One for every topic where such a record was written in the last week."""
        since = self._clock_ms() - SHOWN_MS
        with self._lock:
            found = [(topic, len(m.offsets), max(m.offsets)) for topic, m in self._met.items() if m.newest >= since]
        return [
            Finding(
                name="log",
                ok=False,
                detail=f"{topic}: {count:,} {'record is' if count == 1 else 'records are'} not the hub's own, and passed "
                f"over; the last at offset {last}",
                remedy="see who else may write to this topic: only the hub may. This notice ends a week after the last one",
            )
            for topic, count, last in sorted(found)
        ]
