"""`python -m benchmarks.content SCHEMA sqlite|rows|kafka …`: what stands in a log, as a count and a hash of all (key, value).

Values are decoded with fastavro, so that two encodings of one record are equal; the hash does not look at order. SCHEMA:
`extract` or `table`."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro

from benchmarks.rows import PARSED
from benchmarks.schema import FRAME, TABLE_SCHEMA

Pair = tuple[bytes, bytes]
MODULUS = 1 << 64
FETCH_BYTES = 8 * 1024 * 1024
QUIET_S = 10.0
SCHEMAS = {"extract": PARSED, "table": fastavro.parse_schema(TABLE_SCHEMA)}


@dataclass
class Tally:
    """Records counted and hashed one by one."""

    schema: Any = field(default_factory=lambda: PARSED)
    count: int = 0
    total: int = 0

    def add(self, key: bytes, value: bytes) -> None:
        """One record. Raises ValueError when its frame is not the expected one, and what fastavro raises."""
        if not value.startswith(FRAME):
            raise ValueError(f"a value begins with {value[:5]!r}, not {FRAME!r}")
        decoded = fastavro.schemaless_reader(io.BytesIO(value[len(FRAME) :]), self.schema)
        digest = hashlib.blake2b(key + b"|" + repr(decoded).encode(), digest_size=8).digest()
        self.total = (self.total + int.from_bytes(digest, "big")) % MODULUS
        self.count += 1

    def answer(self) -> dict[str, object]:
        """As printed."""
        return {"count": self.count, "hash": f"{self.total:016x}"}


def of_sqlite_log(file: Path, topic: str) -> Iterator[Pair]:
    """Every record of a topic in the hub's own log."""
    from hub import blocks
    from hub.log.sqlite import SqliteLog

    log = SqliteLog.at(file, clock=lambda: 0)
    for partition, span in log.ends(topic).items():
        offset = span.earliest
        while offset < span.end:
            fetch = log.read(topic, partition, offset, FETCH_BYTES)
            for block in fetch.blocks:
                records = blocks.decode(block.records, block.base_offset)
                yield from zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True)
            offset = fetch.next_offset
    log.close()


def of_rows(file: Path) -> Iterator[Pair]:
    """Every record of a log with a row per record."""
    connection = sqlite3.connect(file)
    yield from connection.execute("SELECT key, value FROM log")
    connection.close()


def of_kafka(bootstrap: str, topic: str) -> Iterator[Pair]:
    """Every committed record of a topic, by a client that is not the hub's."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"bench-{topic}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    waiting = set(partitions)
    while waiting:
        messages = consumer.consume(10_000, timeout=QUIET_S)
        if not messages:
            raise TimeoutError(f"{topic} gives nothing more, and not all of it was read")
        for message in messages:
            if message.error() is not None:
                waiting.discard(message.partition())
            else:
                yield message.key() or b"", message.value() or b""
    consumer.close()


def main(arguments: list[str]) -> None:
    """Print the tally of one log."""
    schema, kind, *where = arguments
    tally = Tally(SCHEMAS[schema])
    if kind == "sqlite":
        pairs = of_sqlite_log(Path(where[0]), where[1])
    elif kind == "rows":
        pairs = of_rows(Path(where[0]))
    else:
        pairs = of_kafka(where[0], where[1])
    for key, value in pairs:
        tally.add(key, value)
    print(json.dumps(tally.answer()))


if __name__ == "__main__":
    main(sys.argv[1:])
