"""Epochs and checkpoints of all tasks: a compacted topic, read to its end before anything rests on it (R4, G6).

Each record holds the checkpoint and the one before it, so that compaction never takes away what a repair needs (G3)."""

from __future__ import annotations

import json
import operator
import threading
import time
from collections import defaultdict, deque
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from hub import blocks as sections
from hub.errors import LogBroken, LogUnavailable
from hub.log.kafka.cluster import COMMITTED, EARLIEST, LATEST
from hub.log.kafka.reader import KafkaReader
from hub.log.kafka.topics import CHECKPOINT_PARTITIONS, CHECKPOINTS
from hub.model import Block, Checkpoint

HISTORY = 16  # records of a task that are remembered, newest last
FETCH_BYTES = 4 * 1024 * 1024
CATCH_UP_S = 30.0
AGAIN_S = 0.05


@dataclass(frozen=True)
class Entry:
    """What a task last wrote: its epoch and, after its first append, its checkpoint and the one before."""

    epoch: int
    checkpoint: Checkpoint | None
    before: Checkpoint | None = None


def known(entries: list[Entry]) -> list[Checkpoint]:
    """Every checkpoint that these name, oldest first, each once."""
    found: list[Checkpoint] = []
    for entry in entries:
        for one in (entry.before, entry.checkpoint):
            if one is not None:
                found = [c for c in found if c != one] + [one]
    return found


class Checkpoints:
    """A follower of `__checkpoints`. Thread-safe."""

    def __init__(self, reader: KafkaReader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._positions: dict[int, int] = {}
        self._history: dict[bytes, deque[bytes]] = defaultdict(lambda: deque(maxlen=HISTORY))

    def partition_of(self, task: str) -> int:
        """Where a task's checkpoints stand."""
        return int(sections.partition_of(pa.array([task.encode()], pa.binary()), CHECKPOINT_PARTITIONS)[0])

    def history(self, task: str, *, wait_s: float = 0.0) -> list[Entry]:
        """Newest last. With `wait_s`, as of now: everything up to the present end is decided and read.

        Raises LogUnavailable when something there stays undecided, LogBroken for what is no checkpoint."""
        partition = self.partition_of(task)
        place = range(partition, partition + 1)
        if wait_s:
            end = self._reader.settled(CHECKPOINTS, place, wait_s)[partition]
        else:
            end = self._reader.offsets(CHECKPOINTS, place, LATEST, COMMITTED)[partition]
        with self._lock:
            self._catch_up(partition, end)
            values = list(self._history.get(task.encode(), ()))
        return [_entry(v, task) for v in values]

    def block(self, task: str, epoch: int, checkpoint: Checkpoint | None, before: Checkpoint | None) -> Block:
        """The record that a transaction carries."""
        stored = {
            "epoch": epoch,
            "checkpoint": checkpoint and asdict(checkpoint),
            "before": before and asdict(before),
        }
        text = json.dumps(stored, separators=(",", ":"))
        keys, values = pa.array([task.encode()], pa.binary()), pa.array([text.encode()], pa.binary())
        records = sections.encode(keys, values, sections.Headers())
        return Block(topic=CHECKPOINTS, partition=self.partition_of(task), count=1, records=records)

    def _catch_up(self, partition: int, end: int) -> None:
        """Read up to `end`, all of it: to stop short would be to go on from an old checkpoint."""
        at = self._positions.get(partition)
        if at is None:
            place = range(partition, partition + 1)
            at = self._reader.offsets(CHECKPOINTS, place, EARLIEST, COMMITTED)[partition]
        deadline = time.monotonic() + CATCH_UP_S
        while at < end:
            fetch = self._reader.read(CHECKPOINTS, partition, at, FETCH_BYTES)
            for block in fetch.blocks:
                self._take(block.records, block.base_offset, at)
            if fetch.next_offset > at:
                at = self._positions[partition] = fetch.next_offset
            elif time.monotonic() > deadline:
                raise LogUnavailable("the checkpoints cannot be read to their end", where=f"{CHECKPOINTS}/{partition}")
            else:
                time.sleep(AGAIN_S)

    def _take(self, section: bytes, base: int, after: int) -> None:
        records = sections.decode(section, base)
        rows = zip(records.offsets.tolist(), records.keys.to_pylist(), records.values.to_pylist(), strict=True)
        for offset, key, value in rows:
            if key is None or offset < after:
                continue
            if value is None:
                self._history.pop(key, None)
            else:
                self._history[key].append(value)


def _entry(value: bytes, task: str) -> Entry:
    try:
        data = json.loads(value)
        return Entry(operator.index(data["epoch"]), _checkpoint(data["checkpoint"]), _checkpoint(data.get("before")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise LogBroken(
            "a record of the checkpoints is not one", where=f"{CHECKPOINTS}, task {task}",
            remedy="see who else writes to this topic: only the hub may",
        ) from None  # fmt: skip


def _checkpoint(stored: Any) -> Checkpoint | None:
    return None if stored is None else Checkpoint.of(stored)
