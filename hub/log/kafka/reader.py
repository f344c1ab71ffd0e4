"""Record sections straight out of fetch responses: no record object is made (R3)."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from kafka import errors as kafka
from kafka.protocol.consumer import FetchRequest, ListOffsetsRequest

from hub.errors import LogUnavailable, NotFound, OffsetOutOfRange
from hub.log.kafka.batches import Aborted, Parsed, parse
from hub.log.kafka.connection import Connection
from hub.model import Fetch, Range, StoredBlock

LATEST, EARLIEST = -1, -2
COMMITTED, UNCOMMITTED = 1, 0
Place = tuple[str, int]  # topic, partition
TOPIC_NAMES = 12  # the last version of Fetch that names topics, not their ids
LOOK_S = 0.05  # how often `wait` looks at the ends, growing to …
LOOK_MOST_S = 0.25
MARKED_S, MARKED_LOOK_S = 30.0, 0.005  # brokers mark the partitions of a commit within milliseconds
MOST_EMPTY = 10_000  # control and aborted batches passed over in one read


class BulkReader:
    """The reading side of the log. Only committed records are seen. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._grew = threading.Condition()
        self._own: dict[Place, int] = {}  # end that an append of this process gave a partition

    def appended(self, ends: Mapping[Place, int]) -> None:
        """This process wrote up to these offsets: wake those who wait, and read nothing older from now on.

        A broker answers a commit before it has marked all partitions, so a reader could miss what was just written."""
        with self._grew:
            self._own.update(ends)
            self._grew.notify_all()

    def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        """See `hub.ports.LogReader.read`."""
        self.require(topic, partition)
        self._see_own(topic)
        blocks: list[StoredBlock] = []
        at, end, size = offset, offset, 0
        for _ in range(MOST_EMPTY):
            part, end = self._fetch(topic, partition, at, max(max_bytes, 1))
            for block in part.blocks:
                if blocks and size + len(block.records) > max_bytes:
                    return Fetch(blocks=blocks, next_offset=blocks[-1].last_offset + 1, end=end)
                blocks.append(block)
                size += len(block.records)
            moved, at = part.next_offset > at, part.next_offset
            if size >= max_bytes or at >= end or not moved:
                break
        return Fetch(blocks=blocks, next_offset=at, end=max(end, at))

    def _fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        """One fetch: its whole batches, and the last stable offset."""

        def once() -> tuple[Parsed, int]:
            node = self._connection.leader(topic, partition)
            place = FetchRequest.FetchTopic.FetchPartition(
                partition=partition, current_leader_epoch=-1, fetch_offset=offset, last_fetched_epoch=-1,
                log_start_offset=-1, partition_max_bytes=max_bytes,
            )  # fmt: skip
            request = FetchRequest(
                max_wait_ms=0, min_bytes=0, max_bytes=max_bytes, isolation_level=COMMITTED, session_id=0,
                session_epoch=-1, topics=[FetchRequest.FetchTopic(topic=topic, partitions=[place])],
                forgotten_topics_data=[], rack_id="", min_version=4, max_version=TOPIC_NAMES,
            )  # fmt: skip
            answer = self._connection.send(request, node).responses[0].partitions[0]
            if answer.error_code == kafka.OffsetOutOfRangeError.errno:
                raise _OutOfRange
            _raise_for(answer.error_code)
            aborted = [Aborted(a.producer_id, a.first_offset) for a in answer.aborted_transactions or ()]
            end = int(answer.last_stable_offset)
            return parse(topic, partition, offset, bytes(answer.records or b""), aborted), end

        try:
            return self._connection.patiently(once)
        except _OutOfRange:
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

    def offsets(self, topic: str, partitions: range, when: int, isolation: int) -> Mapping[int, int]:
        """An offset of each partition: EARLIEST or LATEST, COMMITTED (stable) or UNCOMMITTED (high watermark)."""

        def once() -> Mapping[int, int]:
            by_node: dict[int, list[Any]] = defaultdict(list)
            for partition in partitions:
                place = ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
                    partition_index=partition, current_leader_epoch=-1, timestamp=when
                )
                by_node[self._connection.leader(topic, partition)].append(place)
            found: dict[int, int] = {}
            for node, places in by_node.items():
                wanted = ListOffsetsRequest.ListOffsetsTopic(name=topic, partitions=places)
                request = ListOffsetsRequest(
                    replica_id=-1, isolation_level=isolation, topics=[wanted], min_version=2, max_version=6
                )
                for place in self._connection.send(request, node).topics[0].partitions:
                    _raise_for(place.error_code)
                    found[place.partition_index] = int(place.offset)
            return found

        return self._connection.patiently(once)

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

    def stable(self, topic: str, partition: int, offset: int, timeout_s: float) -> None:
        """Wait until all records before `offset` are decided. Raises LogUnavailable: a transaction stays open."""
        deadline = time.monotonic() + timeout_s
        place = range(partition, partition + 1)
        while self.offsets(topic, place, LATEST, COMMITTED)[partition] < offset:
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    "a transaction of another writer stays open, so the end cannot be read",
                    where=f"{topic}/{partition}",
                    remedy="the broker ends it after its time-out; then the task goes on by itself",
                )
            time.sleep(MARKED_LOOK_S)

    def _see_own(self, topic: str) -> None:
        """Wait until the appends of this process can be read."""
        with self._grew:
            own = [(p, end) for (t, p), end in self._own.items() if t == topic]
        for partition, end in own:
            self.stable(topic, partition, end, MARKED_S)
            with self._grew:
                if self._own.get((topic, partition)) == end:
                    del self._own[topic, partition]

    def require(self, topic: str, partition: int = 0) -> int:
        """How many partitions there are. Raises NotFound."""
        count = self._connection.partitions().get(topic) or self._connection.partitions(fresh=True).get(topic)
        if not count:
            raise NotFound(f"there is no topic {topic}")
        if partition >= count:
            raise NotFound(f"topic {topic} has no partition {partition}")
        return count


class _OutOfRange(Exception):
    """The broker has no such offset."""


def _raise_for(code: int) -> None:
    if code:
        raise kafka.for_code(code)()
