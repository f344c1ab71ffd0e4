"""What every peer's job shares: its arguments, the conversion of a row, and its report. No peer's start-up is counted."""

from __future__ import annotations

import csv
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.references import CHUNK
from benchmarks.rows import ID_PREFIX, Record, batch_headers, convert

SETTINGS = {"compression.type": "lz4", "linger.ms": "5", "enable.idempotence": "true"}
QUEUE = {"queue.buffering.max.messages": "500000"}


@dataclass
class Arguments:
    """BOOTSTRAP TOPIC FILE ROWS"""

    bootstrap: str = sys.argv[1] if len(sys.argv) > 1 else ""
    topic: str = sys.argv[2] if len(sys.argv) > 2 else ""
    file: Path = field(default_factory=lambda: Path(sys.argv[3]))
    rows: int = field(default_factory=lambda: int(sys.argv[4]))


@dataclass
class Job:
    """Counts rows and time, from the first row to `report`."""

    accepted: int = 0
    rejected: int = 0
    _shared: list[tuple[str, bytes]] = field(default_factory=list)
    _wall: float = 0.0
    _cpu: float = 0.0

    def start(self) -> None:
        """The clock runs from here."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def record(self, row: Iterable[str]) -> Record | None:
        """Key, value and headers of a row; None for a bad one."""
        number = self.accepted + self.rejected
        if not number % CHUNK:
            self._shared = batch_headers(number // CHUNK, CHUNK, number)
        try:
            key, value = convert(row if isinstance(row, Sequence) else tuple(row))
        except (ValueError, KeyError):
            self.rejected += 1
            return None
        self.accepted += 1
        return Record(key, value, [("ce_id", f"{ID_PREFIX}{number + 1}".encode()), *self._shared])

    def report(self) -> None:
        """One JSON line."""
        counts = {"read": self.accepted + self.rejected, "accepted": self.accepted, "rejected": self.rejected}
        took = {"wall_s": time.perf_counter() - self._wall, "cpu_s": time.process_time() - self._cpu}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**counts, **took, "rss_mb": peak}), flush=True)


def lines(arguments: Arguments) -> Iterator[list[str]]:
    """The extract's rows, as far as they are asked for."""
    with arguments.file.open(newline="", encoding="utf-8") as file:
        yield from itertools.islice(csv.reader(file), 1, arguments.rows + 1)
