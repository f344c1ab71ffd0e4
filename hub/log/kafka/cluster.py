"""What reading needs of a cluster, and the two ways to it.

`Connection` takes record sections out of fetch responses and relies on what is private to kafka-python (ADR 6); `Polling`
uses the public consumer alone. Which one is decided once a process, by a self-test.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog
from kafka.version import __version__ as version

from hub.log.kafka.batches import Parsed
from hub.log.kafka.options import KafkaOptions

log = structlog.get_logger(__name__)
LATEST, EARLIEST = -1, -2
COMMITTED, UNCOMMITTED = 1, 0
Place = tuple[str, int]  # topic, partition
Result = TypeVar("Result")


class Cluster(Protocol):
    """Thread-safe. Every call ends in bounded time and raises the hub's errors."""

    where: str  # for messages

    def partitions(self, *, fresh: bool = False) -> Mapping[str, int]:
        """How many partitions each topic has; with `fresh`, as of now."""

    def count(self, topic: str) -> int:
        """The same of one topic, as last heard; 0 when there is none."""

    def led(self, topic: str, partitions: range) -> bool:
        """Has each of these a leader, as last heard?"""

    def fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        """Whole batches from the one that holds `offset`, and the last stable offset. Raises OutOfRange."""

    def offsets(self, places: Sequence[Place], when: int, isolation: int) -> Mapping[Place, int]:
        """An offset of each: EARLIEST or LATEST, COMMITTED (last stable offset) or UNCOMMITTED (high watermark)."""

    def patiently(self, step: Callable[[], Result], *, timeout_s: float | None = None) -> Result:
        """Repeat a step over passing faults: a leader that moved, a connection that broke."""

    def answers(self, timeout_s: float) -> bool:
        """Does a broker answer within this time?"""

    def close(self) -> None:
        """Idempotent."""


class OutOfRange(Exception):
    """The broker has no such offset."""


_works: dict[str, bool] = {}
_test_lock = threading.Lock()


def connect(options: KafkaOptions) -> Cluster:
    """Raises ConfigurationInvalid or LogUnavailable, with the cause, in about `bootstrap_timeout_s`."""
    if bulk_reading_works():
        from hub.log.kafka.connection import Connection

        return Connection(options)
    from hub.log.kafka.polling import Polling

    return Polling(options)


def bulk_reading_works() -> bool:
    """Has this kafka-python all that `Connection` relies on? Tested once; told once when it has not."""
    with _test_lock:
        if version not in _works:
            _works[version] = _test()
            if not _works[version]:
                log.warning("kafka_bulk_reading_off", kafka_python=version, effect="records are read one by one")
        return _works[version]


def _test() -> bool:
    try:
        from hub.log.kafka.connection import self_test

        return self_test()
    except Exception:  # whatever is missing in another version, the slow way is right
        return False
