"""Epochs and checkpoints of all tasks: a compacted topic, read to its end before anything rests on it (R4, G6)."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from dataclasses import asdict, dataclass

import pyarrow as pa

from hub import blocks as sections
from hub.log.kafka.reader import COMMITTED, EARLIEST, LATEST, UNCOMMITTED, BulkReader
from hub.log.kafka.topics import CHECKPOINT_PARTITIONS, CHECKPOINTS
from hub.model import Block, Checkpoint, SourceCheckpoint

HISTORY = 16  # checkpoints of a task that are remembered, newest last
FETCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """What a task last wrote: its epoch and, after its first append, its checkpoint."""

    epoch: int
    checkpoint: Checkpoint | None


class Checkpoints:
    """A follower of `__checkpoints`. Thread-safe."""

    def __init__(self, reader: BulkReader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._positions: dict[int, int] = {}
        self._history: dict[str, deque[Entry]] = defaultdict(lambda: deque(maxlen=HISTORY))

    def partition_of(self, task: str) -> int:
        """Where a task's checkpoints stand."""
        return int(sections.partition_of(pa.array([task.encode()], pa.binary()), CHECKPOINT_PARTITIONS)[0])

    def history(self, task: str, *, wait_s: float = 0.0) -> list[Entry]:
        """Newest last. With `wait_s`, as of now: everything up to the present end is decided and read.

        Raises LogUnavailable when something there stays undecided."""
        partition = self.partition_of(task)
        place = range(partition, partition + 1)
        end = self._reader.offsets(CHECKPOINTS, place, LATEST, UNCOMMITTED if wait_s else COMMITTED)[partition]
        if wait_s:
            self._reader.stable(CHECKPOINTS, partition, end, wait_s)
        with self._lock:
            self._catch_up(partition, end)
            return list(self._history[task])

    def block(self, task: str, epoch: int, checkpoint: Checkpoint | None) -> Block:
        """The record that a transaction carries."""
        text = json.dumps({"epoch": epoch, "checkpoint": checkpoint and asdict(checkpoint)}, separators=(",", ":"))
        keys, values = pa.array([task.encode()], pa.binary()), pa.array([text.encode()], pa.binary())
        records = sections.encode(keys, values, sections.Headers())
        return Block(topic=CHECKPOINTS, partition=self.partition_of(task), count=1, records=records)

    def _catch_up(self, partition: int, end: int) -> None:
        at = self._positions.get(partition)
        if at is None:
            place = range(partition, partition + 1)
            at = self._reader.offsets(CHECKPOINTS, place, EARLIEST, COMMITTED)[partition]
        while at < end:
            fetch = self._reader.read(CHECKPOINTS, partition, at, FETCH_BYTES)
            for block in fetch.blocks:
                self._take(sections.decode(block.records, block.base_offset))
            if fetch.next_offset <= at:
                break
            at = fetch.next_offset
            self._positions[partition] = at

    def _take(self, records: sections.Records) -> None:
        for key, value in zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True):
            if key is None:
                continue
            if value is None:
                self._history.pop(key.decode(), None)
            else:
                self._history[key.decode()].append(_entry(value))


def _entry(value: bytes) -> Entry:
    data = json.loads(value)
    stored = data["checkpoint"]
    if stored is None:
        return Entry(data["epoch"], None)
    source = stored["source"]
    checkpoint = Checkpoint(
        source=SourceCheckpoint(value=source["value"]) if source else None,
        batch=stored["batch"],
        sequences=stored["sequences"],
    )
    return Entry(data["epoch"], checkpoint)
