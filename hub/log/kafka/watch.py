"""Transactions that stay open hold back everybody who reads committed records behind them (F8): seen, told, and shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from hub.errors import DatongError
from hub.log.kafka.cluster import Place
from hub.log.kafka.reader import KafkaReader
from hub.model import Finding

log = structlog.get_logger(__name__)
LOOK_S = 3.0
CLOSE_S = 1.0


@dataclass(frozen=True)
class Held:
    """The last stable offset of a partition that has records behind it, and since when it stands there."""

    offset: int
    since: float  # monotonic


class Watch:
    """Looks at all partitions every three seconds, in a thread of its own."""

    def __init__(self, reader: KafkaReader, places: Callable[[], Sequence[Place]], patience_s: float) -> None:
        self._reader, self._places, self._patience_s = reader, places, patience_s
        self._held: Mapping[Place, Held] = {}
        self._told: set[Place] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="kafka-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(CLOSE_S)

    def notices(self) -> Sequence[Finding]:
        """One for every partition that is held back longer than the brokers should let a transaction be."""
        return [
            Finding(
                name="Kafka",
                ok=False,
                detail=f"a transaction stays open: {topic}/{partition} cannot be read from offset {held.offset} on, "
                f"since {time.monotonic() - held.since:.0f} s",
                remedy="the brokers end it after its time-out; `kafka-transactions.sh find-hanging` names one that stays",
            )
            for (topic, partition), held in sorted(self._held.items())
            if time.monotonic() - held.since > self._patience_s
        ]

    def _loop(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self._held = self._look()
            except DatongError:
                continue  # the cluster does not answer: others say so
            self._tell()

    def _look(self) -> Mapping[Place, Held]:
        now = time.monotonic()
        return {
            place: before if (before := self._held.get(place)) and before.offset == offset else Held(offset, now)
            for place, offset in self._reader.undecided(self._places()).items()
        }

    def _tell(self) -> None:
        late = {p for p, held in self._held.items() if time.monotonic() - held.since > self._patience_s}
        for topic, partition in sorted(late - self._told):
            log.error("transaction_stays_open", topic=topic, partition=partition,
                      offset=self._held[topic, partition].offset)  # fmt: skip
        for topic, partition in sorted(self._told - late):
            log.info("transaction_ended", topic=topic, partition=partition)
        self._told = late
