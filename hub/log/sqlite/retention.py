"""Retention of append topics and compaction of keyed ones (R8), one partition at a time, in short transactions."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hub import blocks
from hub.log.sqlite import codec, queries
from hub.model import Topic

SQL = queries.load("queries.sql")
TOMBSTONE_MS = 30 * 24 * 3600 * 1000  # how long a deletion stays to be seen
BLOCKS_AT_ONCE = 2_000  # compacted in one transaction; the rest waits for the next round


@dataclass(frozen=True, kw_only=True)
class Maintained:
    """What was given back."""

    blocks: int = 0
    records: int = 0

    def __add__(self, other: Maintained) -> Maintained:
        return Maintained(blocks=self.blocks + other.blocks, records=self.records + other.records)


def maintain(connection: sqlite3.Connection, topic: Topic, partition: int, now_ms: int) -> Maintained:
    """Inside a transaction of the caller's. The newest block of a partition always stays."""
    if topic.compacted:
        return _compact(connection, topic, partition, now_ms)
    if topic.retention_ms is None and topic.retention_bytes is None:
        return Maintained()
    return _trim(connection, topic, partition, now_ms)


def _trim(connection: sqlite3.Connection, topic: Topic, partition: int, now_ms: int) -> Maintained:
    rows = connection.execute(SQL["block_sizes"], {"topic": topic.name, "partition": partition}).fetchall()
    total, gone = 0, Maintained()
    for place, (block, _last, timestamp_ms, size) in enumerate(rows):
        total += size
        old = topic.retention_ms is not None and now_ms - timestamp_ms > topic.retention_ms
        big = topic.retention_bytes is not None and total > topic.retention_bytes
        if place and (old or big):
            connection.execute(SQL["block_delete"], {"id": block})
            gone += Maintained(blocks=1)
    return gone


def _compact(connection: sqlite3.Connection, topic: Topic, partition: int, now_ms: int) -> Maintained:
    query = {"topic": topic.name, "partition": partition, "offset": 0}
    rows = connection.execute(SQL["blocks_from"], query).fetchall()
    newest: set[bytes | None] = set()
    done = Maintained()
    for place, (block, base, last, count, timestamp_ms, crc, data) in enumerate(reversed(rows)):
        section = codec.unpack(topic.name, partition, (base, last), count, crc, data)
        records = blocks.decode(section, base)
        keep = _survivors(records, newest, tombstones=now_ms - timestamp_ms <= TOMBSTONE_MS)
        if place == 0 or keep.all():
            continue
        done += Maintained(records=int((~keep).sum()), blocks=int(not keep.any()))
        _rewrite(connection, (block, topic.name, partition, base, last), records, keep)
        if done.blocks + done.records > BLOCKS_AT_ONCE * 1_000:
            break
    return done


def _survivors(records: blocks.Records, newest: set[bytes | None], *, tombstones: bool) -> np.ndarray:
    """Records whose key was not met in a later place; records without key stay."""
    keep = np.ones(len(records.offsets), np.bool_)
    keys, alive = records.keys.to_pylist(), records.values.is_valid().to_numpy(zero_copy_only=False)
    for i in reversed(range(len(keys))):
        key = keys[i]
        if key is None:
            continue
        keep[i] = key not in newest and (bool(alive[i]) or tombstones)
        newest.add(key)
    return keep


def _rewrite(
    connection: sqlite3.Connection, where: tuple[int, str, int, int, int], records: blocks.Records, keep: np.ndarray
) -> None:
    block, topic, partition, base, last = where
    if not keep.any():
        connection.execute(SQL["block_delete"], {"id": block})
        return
    section = blocks.keep(records, pa.array(np.flatnonzero(keep)))
    data, count = codec.pack(section), int(keep.sum())
    crc = codec.checksum(topic, partition, base, last, count, data)
    connection.execute(SQL["block_replace"], {"id": block, "count": count, "crc": crc, "data": data})
