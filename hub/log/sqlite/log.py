"""The log port on SQLite: one file, one process, all or nothing by one transaction (R1–R9)."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hub import failpoints
from hub.errors import Conflict, CorruptBlock, Fenced, LogBroken, NotFound, OffsetOutOfRange
from hub.log.passed_over import PassedOver
from hub.log.sqlite import codec, queries
from hub.log.sqlite.connection import connect, create_or_check, translated
from hub.log.sqlite.retention import Maintained, maintain
from hub.model import (
    INTERNAL_TOPICS,
    STATE,
    Appended,
    Block,
    Checkpoint,
    Fetch,
    Finding,
    Range,
    StoredBlock,
    Topic,
)

SQL = queries.load("queries.sql")


class SqliteLog:
    """Implements `hub.ports.Log`. Thread-safe: one connection writes under a lock, each reading thread has its own.

    Capabilities: `replay` is exact; readers never see part of an append."""

    replay = "exact"
    partial_visibility = False

    def __init__(self, path: Path, clock_ms: Callable[[], int]) -> None:
        self._path, self._clock_ms = path, clock_ms
        self._writer = connect(path)
        self._write_lock = threading.RLock()
        self._grew = threading.Condition()
        self._readers = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._broken: LogBroken | None = None
        self._passed_over = PassedOver(clock_ms)

    @classmethod
    def at(cls, path: Path, *, clock: Callable[[], int]) -> SqliteLog:
        """Open or create the file. `clock` gives ms since 1970. Raises DirectoryTooNew, LogBroken."""
        create_or_check(path)
        log = cls(path, clock)
        for name in INTERNAL_TOPICS:
            log.ensure(Topic(name=name, compacted=name == STATE))
        return log

    def close(self) -> None:
        """Close all connections. Idempotent."""
        with self._write_lock:
            for connection in [self._writer, *self._open_readers]:
                connection.close()
            self._open_readers.clear()

    def healthy(self) -> bool:
        """False after the disk failed."""
        return self._broken is None

    def notices(self) -> Sequence[Finding]:
        """See `hub.ports.OpenLog.notices`: a file of one machine has no troubles but what was written into it."""
        return self._passed_over.notices()

    def ensure(self, topic: Topic) -> None:
        """See `hub.ports.LogWriter.ensure`."""
        existing = self.topics().get(topic.name)
        if existing == topic:
            return
        if existing and existing.partitions != topic.partitions:
            raise Conflict(
                f"topic {topic.name} has {existing.partitions} partitions, for ever",
                remedy="publish a new version of the topic to have another number",
            )
        with self._transaction() as connection:
            connection.execute(SQL["topic_put"], asdict(topic))
            for partition in range(topic.partitions):
                connection.execute(SQL["partition_put"], {"topic": topic.name, "partition": partition})

    def checkpoint_of(self, task: str) -> Checkpoint | None:
        """See `hub.ports.LogReader.checkpoint_of`; here it is certain."""
        row = self._read(lambda c: c.execute(SQL["task_epoch"], {"task": task}).fetchone())
        return _load(row[1]) if row and row[1] else None

    def append_for(self, task: str, epoch: int, blocks: Sequence[Block], checkpoint: Checkpoint) -> Appended:
        """See `hub.ports.Writer.append`."""
        packed = [codec.pack(block.records) for block in blocks]  # outside the transaction: it takes the time
        with self._transaction() as connection:
            failpoints.hit("begin")
            row = connection.execute(SQL["task_epoch"], {"task": task}).fetchone()
            _fence(task, epoch, row[0] if row else epoch)
            offsets = _insert(connection, blocks, packed, self._clock_ms())
            connection.execute(SQL["checkpoint_put"], {"task": task, "epoch": epoch, "checkpoint": _dump(checkpoint)})
            failpoints.hit("appended")
        failpoints.hit("committed")
        with self._grew:
            self._grew.notify_all()
        return Appended(offsets=offsets)

    def open(self, task: str, epoch: int) -> SqliteWriter:
        """See `hub.ports.LogWriter.open`."""
        with self._transaction() as connection:
            connection.execute(SQL["task_open"], {"task": task, "epoch": epoch})
            (stored, _checkpoint) = connection.execute(SQL["task_epoch"], {"task": task}).fetchone()
            _fence(task, epoch, stored)
        return SqliteWriter(self, task, epoch)

    def topics(self) -> Mapping[str, Topic]:
        """See `hub.ports.LogReader.topics`."""
        rows = self._read(lambda c: c.execute(SQL["topics"]).fetchall())
        return {
            name: Topic(
                name=name,
                partitions=partitions,
                compacted=bool(compacted),
                retention_ms=retention_ms,
                retention_bytes=retention_bytes,
            )
            for name, partitions, compacted, retention_ms, retention_bytes in rows
        }

    def ends(self, topic: str) -> Mapping[int, Range]:
        """See `hub.ports.LogReader.ends`."""
        rows = self._read(lambda c: c.execute(SQL["ends"], {"topic": topic}).fetchall())
        if not rows:
            raise NotFound(f"there is no topic {topic}")
        return {partition: Range(earliest=earliest, end=end) for partition, end, earliest in rows}

    def ends_of(self, topics: Collection[str]) -> Mapping[str, Mapping[int, Range]]:
        """See `hub.ports.LogReader.ends_of`."""
        rows = self._read(lambda c: c.execute(SQL["ends_of"], {"topics": json.dumps(list(topics))}).fetchall())
        found: dict[str, dict[int, Range]] = {}
        for topic, partition, end, earliest in rows:
            found.setdefault(topic, {})[partition] = Range(earliest=earliest, end=end)
        return found

    def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        """See `hub.ports.LogReader.read`."""
        span = self.ends(topic).get(partition)
        if span is None:
            raise NotFound(f"topic {topic} has no partition {partition}")
        if offset < span.earliest or offset > span.end:
            raise OffsetOutOfRange(
                f"{topic}/{partition} has offsets {span.earliest} to {span.end - 1}, not {offset}",
                earliest=span.earliest,
            )
        blocks = self._read(lambda c: list(_blocks(c, topic, partition, offset, max_bytes)))
        next_offset = blocks[-1].last_offset + 1 if blocks else span.end
        return Fetch(blocks=blocks, next_offset=next_offset, end=max(span.end, next_offset))

    def wait(self, topic: str, positions: Mapping[int, int], timeout_s: float) -> bool:
        """See `hub.ports.LogReader.wait`."""
        deadline = time.monotonic() + timeout_s
        with self._grew:
            while True:
                if any(span.end > positions.get(p, 0) for p, span in self.ends(topic).items()):
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or not self._grew.wait(left):
                    return any(span.end > positions.get(p, 0) for p, span in self.ends(topic).items())

    def committed(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """See `hub.ports.LogReader.committed`: SQLite has no tools of its own."""

    def size(self, topic: str) -> int | None:
        """See `hub.ports.OpenLog.size`."""
        self.ends(topic)
        (found,) = self._read(lambda c: c.execute(SQL["topic_size"], {"topic": topic}).fetchone())
        return int(found)

    def passed_over(self, block: StoredBlock, offset: int) -> None:
        """See `hub.ports.LogReader.passed_over`."""
        self._passed_over.add(block, offset)

    def maintain(self) -> Maintained:
        """Apply retention and compaction (R8) and give space back. Safe beside readers and writers."""
        done = Maintained()
        for topic in self.topics().values():
            for partition in range(topic.partitions):
                with self._transaction() as connection:
                    done += maintain(connection, topic, partition, self._clock_ms())
        with self._write_lock, translated():
            self._writer.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        return done

    def verify(self) -> list[CorruptBlock]:
        """Every block whose checksum fails; reads the whole log."""
        found: list[CorruptBlock] = self._read(
            lambda c: [
                CorruptBlock(topic=topic, partition=partition, offset=base)
                for _id, topic, partition, base, last, count, crc, data in c.execute(SQL["every_block"])
                if codec.checksum(topic, partition, base, last, count, data) != crc
            ]
        )
        return found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE … COMMIT; any error rolls back. After an I/O error nothing is accepted any more (F16)."""
        with self._write_lock:
            if self._broken:
                raise self._broken
            try:
                with translated():
                    self._writer.execute("BEGIN IMMEDIATE")
                    try:
                        yield self._writer
                        self._writer.execute("COMMIT")
                    except BaseException:
                        _roll_back(self._writer)
                        raise
            except LogBroken as error:
                self._broken = error
                raise

    def _read(self, query: Callable[[sqlite3.Connection], Any]) -> Any:
        connection = getattr(self._readers, "connection", None)
        with translated():
            if connection is None:
                connection = self._readers.connection = connect(self._path, read_only=True)
                with self._write_lock:
                    self._open_readers.append(connection)
            return query(connection)


class SqliteWriter:
    """Implements `hub.ports.Writer` for one task and epoch."""

    def __init__(self, log: SqliteLog, task: str, epoch: int) -> None:
        self._log, self._task, self._epoch = log, task, epoch

    def checkpoint(self) -> Checkpoint | None:
        """As of the last complete append of this task."""
        return self._log.checkpoint_of(self._task)

    def append(self, blocks: Sequence[Block], checkpoint: Checkpoint) -> Appended:
        """All or nothing, durable on return."""
        return self._log.append_for(self._task, self._epoch, blocks, checkpoint)

    def close(self) -> None:
        """Nothing is held."""


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:  # SQLite rolls back by itself on some errors; the first error is the one to tell
        return


def _fence(task: str, epoch: int, stored: int) -> None:
    if stored > epoch:
        raise Fenced(
            f"task {task} was taken over: epoch {epoch} is older than {stored}",
            remedy="this process must end; the newer one goes on from the checkpoint",
            newest=stored,
        )


def _insert(connection: sqlite3.Connection, blocks: Sequence[Block], packed: Sequence[bytes], now_ms: int) -> list[int]:
    """Give each block its offsets and store it."""
    next_offsets: dict[tuple[str, int], int] = {}
    offsets, rows = [], []
    for block, data in zip(blocks, packed, strict=True):
        place = (block.topic, block.partition)
        if place not in next_offsets:
            row = connection.execute(SQL["next_offset"], {"topic": place[0], "partition": place[1]}).fetchone()
            if row is None:
                raise NotFound(f"there is no partition {place[0]}/{place[1]}")
            next_offsets[place] = row[0]
        base = next_offsets[place]
        last = base + block.count - 1
        next_offsets[place] = last + 1
        offsets.append(base)
        rows.append(
            {
                "topic": block.topic,
                "partition": block.partition,
                "base_offset": base,
                "last_offset": last,
                "count": block.count,
                "timestamp_ms": now_ms,
                "crc": codec.checksum(block.topic, block.partition, base, last, block.count, data),
                "data": data,
            }
        )
    connection.executemany(SQL["block_put"], rows)
    for (topic, partition), end in next_offsets.items():
        connection.execute(SQL["next_offset_put"], {"topic": topic, "partition": partition, "next_offset": end})
    return offsets


def _blocks(
    connection: sqlite3.Connection, topic: str, partition: int, offset: int, max_bytes: int
) -> Iterator[StoredBlock]:
    """Blocks up to `max_bytes`, at least one. A corrupt one raises when it is the first, else ends the answer."""
    total = 0
    cursor = connection.execute(SQL["blocks_from"], {"topic": topic, "partition": partition, "offset": offset})
    for _id, base, last, count, timestamp_ms, crc, data in cursor:
        try:
            section = codec.unpack(topic, partition, (base, last), count, crc, data)
        except CorruptBlock:
            if total:
                return
            raise
        if total and total + len(section) > max_bytes:
            return
        total += len(section)
        yield StoredBlock(
            topic=topic,
            partition=partition,
            base_offset=base,
            last_offset=last,
            count=count,
            timestamp_ms=timestamp_ms,
            records=section,
        )


def _dump(checkpoint: Checkpoint) -> str:
    return json.dumps(asdict(checkpoint), separators=(",", ":"))


def _load(text: str) -> Checkpoint:
    return Checkpoint.of(json.loads(text))
