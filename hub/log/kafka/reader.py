"""The reading side of the log: record sections out of fetches, no record object is made (R3)."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence

import structlog
from kafka import errors as kafka

from hub.errors import LogUnavailable, NotFound, OffsetOutOfRange
from hub.log.kafka.batches import Parsed
from hub.log.kafka.cluster import COMMITTED, EARLIEST, LATEST, UNCOMMITTED, Cluster, OutOfRange, Place
from hub.model import Fetch, Range, StoredBlock

log = structlog.get_logger(__name__)
LOOK_S = 0.05  # how often `wait` looks at the ends, growing to …
LOOK_MOST_S = 0.25
MARKED_S, MARKED_LOOK_S = 2.0, 0.005  # brokers mark the partitions of a commit within milliseconds
MOST_EMPTY = 10_000  # control and aborted batches passed over in one read


class KafkaReader:
    """Only committed records are seen. Thread-safe."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._grew = threading.Condition()
        self._own: dict[Place, int] = {}  # end that an append of this process gave a partition
        self._told: dict[Place, int] = {}  # last end that a broker named: it never goes back by itself

    def appended(self, ends: Mapping[Place, int]) -> None:
        """This process wrote up to these offsets: wake those who wait, and read nothing older from now on.

        A broker answers a commit before it has marked all partitions, so a reader could miss what was just written."""
        with self._grew:
            for place, end in ends.items():
                self._own[place] = max(end, self._own.get(place, 0))
            self._grew.notify_all()

    def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        """See `hub.ports.LogReader.read`."""
        self.require(topic, partition)
        self._see_own(topic)
        blocks: list[StoredBlock] = []
        at, end, size = offset, offset, 0
        for _ in range(MOST_EMPTY):
            part, end = self.fetch(topic, partition, at, max(max_bytes, 1))
            for block in part.blocks:
                if blocks and size + len(block.records) > max_bytes:
                    return Fetch(blocks=blocks, next_offset=blocks[-1].last_offset + 1, end=end)
                blocks.append(block)
                size += len(block.records)
            moved, at = part.next_offset > at, part.next_offset
            if size >= max_bytes or at >= end or not moved:
                break
        return Fetch(blocks=blocks, next_offset=at, end=max(end, at))

    def fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        """One fetch that is not behind what a broker said before, and the end. Raises OffsetOutOfRange."""
        place = (topic, partition)

        def once() -> tuple[Parsed, int]:
            part, end = self._cluster.fetch(topic, partition, offset, max_bytes)
            if end < self._told.get(place, 0) and part.next_offset >= end:
                # A new leader may have yet to learn how far the old one was: it refuses this question, and is asked again.
                # One that is sure, and has less, has a topic that was made anew.
                high = self._cluster.offsets([place], LATEST, UNCOMMITTED)[place]
                if high >= self._told.get(place, 0):
                    raise kafka.OffsetNotAvailableError
            self._told[place] = end
            return part, end

        try:
            return self._cluster.patiently(once)
        except OutOfRange:
            self._told.pop(place, None)
            span = self.ends(topic)[partition]
            raise OffsetOutOfRange(
                f"{topic}/{partition} has offsets {span.earliest} to {span.end - 1}, not {offset}",
                earliest=span.earliest,
            ) from None

    def ends(self, topic: str) -> Mapping[int, Range]:
        """See `hub.ports.LogReader.ends`. The end is the last stable offset: open transactions are not past it."""
        partitions = range(self.require(topic))
        self._see_own(topic)
        first = self.offsets(topic, partitions, EARLIEST, COMMITTED)
        last = self.offsets(topic, partitions, LATEST, COMMITTED)
        return {p: Range(earliest=first[p], end=max(last[p], first[p])) for p in partitions}

    def ends_of(self, topics: Collection[str]) -> Mapping[str, Mapping[int, Range]]:
        """The same of many topics, as the brokers have them now; of those that were heard of."""
        places = [(topic, partition) for topic in topics for partition in range(self._cluster.count(topic))]
        if not places:
            return {}
        first = self._cluster.offsets(places, EARLIEST, COMMITTED)
        last = self._cluster.offsets(places, LATEST, COMMITTED)
        found: dict[str, dict[int, Range]] = {}
        for place in places:
            span = Range(earliest=first[place], end=max(last[place], first[place]))
            found.setdefault(place[0], {})[place[1]] = span
        return found

    def offsets(self, topic: str, partitions: range, when: int, isolation: int) -> Mapping[int, int]:
        """See `Cluster.offsets`, of one topic."""
        found = self._cluster.offsets([(topic, p) for p in partitions], when, isolation)
        return {partition: offset for (_, partition), offset in found.items()}

    def undecided(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Of these partitions the ones with records behind their last stable offset, and that offset."""
        high = self._cluster.offsets(places, LATEST, UNCOMMITTED)
        stable = self._cluster.offsets(places, LATEST, COMMITTED)
        return {place: stable[place] for place in places if stable[place] < high[place]}

    def wait(self, topic: str, positions: Mapping[int, int], timeout_s: float) -> bool:
        """See `hub.ports.LogReader.wait`. Appends of this process wake at once, those of others within 0.25 s."""
        deadline = time.monotonic() + timeout_s
        partitions, look = range(self.require(topic)), LOOK_S
        while True:
            ends = self.offsets(topic, partitions, LATEST, COMMITTED)
            if any(end > positions.get(p, 0) for p, end in ends.items()):
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._grew:
                self._grew.wait(min(look, left))
            look = min(look * 1.5, LOOK_MOST_S)

    def settled(self, topic: str, partitions: range, timeout_s: float) -> Mapping[int, int]:
        """Wait until all that stands in these partitions now is decided, and return where it ends.

        What a writer must know before it goes on is behind an open transaction of another one otherwise. Raises
        LogUnavailable: a transaction stays open."""
        ends = self.offsets(topic, partitions, LATEST, UNCOMMITTED)
        deadline = time.monotonic() + timeout_s
        while True:
            stable = self.offsets(topic, partitions, LATEST, COMMITTED)
            late = [p for p in partitions if stable[p] < ends[p]]
            if not late:
                return ends
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    "a transaction of another writer stays open, so the end cannot be read",
                    where=f"{topic}/{late[0]}",
                    remedy="the broker ends it after its time-out; then the task goes on by itself",
                )
            time.sleep(MARKED_LOOK_S)

    def _see_own(self, topic: str) -> None:
        """Wait until the appends of this process can be read; not for ever, as another's transaction may be in front."""
        with self._grew:
            own = {place: end for place, end in self._own.items() if place[0] == topic}
        if not own:
            return
        deadline = time.monotonic() + MARKED_S
        while time.monotonic() < deadline:
            stable = self.offsets(topic, range(self.require(topic)), LATEST, COMMITTED)
            if all(stable.get(partition, 0) >= end for (_, partition), end in own.items()):
                break
            time.sleep(MARKED_LOOK_S)
        else:
            log.warning("own_appends_not_readable_yet", topic=topic, effect="they are once other transactions end")
        with self._grew:
            for place, end in own.items():
                if self._own.get(place) == end:
                    del self._own[place]

    def require(self, topic: str, partition: int = 0) -> int:
        """How many partitions there are. Raises NotFound."""
        count = self._cluster.count(topic) or self._cluster.partitions(fresh=True).get(topic)
        if not count:
            raise NotFound(f"there is no topic {topic}")
        if partition >= count:
            raise NotFound(f"topic {topic} has no partition {partition}")
        return count
