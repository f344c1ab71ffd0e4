"""`python -m benchmarks.append rows|blocks|columns READY --out LOG`: the same records into a SQLite log, three ways.

rows: ready tuples, a row per record. blocks: ready record sections through the hub's own writer. columns: the same from
columns of keys, values and ids. All durable at each commit of 30,000 records, closed at the end; what is sent was made
before the clock starts."""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import pickle
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.rows import Record
from hub import blocks
from hub.blocks import Headers
from hub.log.sqlite import SqliteLog
from hub.model import Block, Checkpoint, SourceCheckpoint, Topic

COMMIT = 30_000  # records, as in one batch of the hub
PARTITIONS = 4
TOPIC, TASK = "bench.social.benefit.v1", "append"
CREATE = (
    "CREATE TABLE log (partition INTEGER, offset INTEGER, timestamp_ms INTEGER, key BLOB, value BLOB,"
    " headers BLOB, PRIMARY KEY (partition, offset)) WITHOUT ROWID"
)
INSERT = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)"
Do = Callable[[], None]


def stored(ready: Path) -> Iterator[list[Record]]:
    """Records of a file of ready ones, a commit's worth at a time."""
    with ready.open("rb") as file:
        while file.peek(1):
            chunks: list[list[tuple[bytes, bytes, list[tuple[str, bytes]]]]] = []
            while file.peek(1) and sum(map(len, chunks)) < COMMIT:
                chunks.append(pickle.load(file))
            yield [Record(*record) for record in itertools.chain.from_iterable(chunks)]


def by_rows(ready: Path, log: Path) -> Do:
    """A row per record, with the pragmas of the hub's own log."""
    now, number, commits = int(time.time() * 1000), itertools.count(), []
    for records in stored(ready):
        headers = (b"".join(name.encode() + value for name, value in r.headers) for r in records)
        commits.append([(0, next(number), now, r.key, r.value, h) for r, h in zip(records, headers, strict=True)])

    def do() -> None:
        connection = sqlite3.connect(log, isolation_level=None)
        for pragma in ("page_size = 16384", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(CREATE)
        for rows in commits:
            connection.execute("BEGIN")
            connection.executemany(INSERT, rows)
            connection.execute("COMMIT")
        connection.close()

    return do


def by_blocks(ready: Path, log: Path) -> Do:
    """Ready sections through `SqliteLog.open(…).append(…)`."""
    commits = [list(_sections(columns)) for columns in _columns(ready)]
    return lambda: _append(log, commits)


def by_columns(ready: Path, log: Path) -> Do:
    """Columns to sections as well: partitions, headers, varints."""
    commits = list(_columns(ready))
    return lambda: _append(log, map(_sections, commits))


Columns = tuple[pa.BinaryArray, pa.BinaryArray, pa.BinaryArray, Sequence[tuple[str, bytes]]]


def _columns(ready: Path) -> Iterator[Columns]:
    for records in stored(ready):
        keys, values = (pa.array([r[i] for r in records], pa.binary()) for i in (0, 1))
        ids = pa.array([r.headers[0][1] for r in records], pa.binary())
        yield keys, values, ids, records[0].headers[1:]


def _sections(columns: Columns) -> Iterator[Block]:
    keys, values, ids, constant = columns
    places = blocks.partition_of(keys, PARTITIONS)
    for partition in range(PARTITIONS):
        chosen = pa.array((places == partition).nonzero()[0])
        headers = Headers(per_record=[("ce_id", ids.take(chosen))], constant=constant)
        for _start, count, section in blocks.split(keys.take(chosen), values.take(chosen), headers):
            yield Block(topic=TOPIC, partition=partition, count=count, records=section)


def _append(file: Path, commits: Any) -> None:
    log = SqliteLog.at(file, clock=lambda: int(time.time() * 1000))
    log.ensure(Topic(name=TOPIC, partitions=PARTITIONS))
    writer = log.open(TASK, 1)
    for number, made in enumerate(commits, 1):
        writer.append(list(made), Checkpoint(source=SourceCheckpoint(value={"n": number}), batch=number))
    log.close()


WAYS: dict[str, Callable[[Path, Path], Do]] = {"rows": by_rows, "blocks": by_blocks, "columns": by_columns}


def main() -> None:
    """Append once and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("ready", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    count = sum(len(records) for records in stored(chosen.ready))
    do = WAYS[chosen.way](chosen.ready, chosen.out)
    gc.collect()
    gc.freeze()
    wall, cpu = time.perf_counter(), time.process_time()
    do()
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps({"read": count, "accepted": count, "rejected": 0, **took}))


if __name__ == "__main__":
    main()
