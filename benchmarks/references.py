"""`python -m benchmarks.references parse|produce|rows|ready …`: what the hub is measured against, each in its own process."""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from benchmarks import rows as row_way
from benchmarks.content import Tally
from benchmarks.rows import Record

CHUNK = 5_000  # rows alive at a time: more would make Python's cyclic collector the subject
TRANSACTION = 10_000
FLUSH_S = 120.0


class Sink(Protocol):
    """Where the row-by-row way leaves its records."""

    def put(self, records: list[Record]) -> None:
        """Some records, in order."""

    def close(self) -> None:
        """All of them are durable, or acknowledged."""


class NullSink:
    """Drops records; counts their content when asked."""

    def __init__(self, tally: Tally | None) -> None:
        self._tally = tally

    def put(self, records: list[Record]) -> None:
        """See Sink."""
        for record in records if self._tally else ():
            assert self._tally is not None
            self._tally.add(record.key, record.value)

    def close(self) -> None:
        """See Sink."""


class SqliteSink:
    """A row per record in transactions of 10,000, durable at each commit, with the settings of the hub's own log."""

    def __init__(self, file: Path) -> None:
        import sqlite3

        self._connection = sqlite3.connect(file, isolation_level=None)
        for pragma in ("page_size = 16384", "journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "CREATE TABLE log (partition INTEGER, offset INTEGER, timestamp_ms INTEGER, key BLOB, value BLOB,"
            " headers BLOB, PRIMARY KEY (partition, offset)) WITHOUT ROWID"
        )
        self._next = 0
        self._pending: list[Record] = []

    def put(self, records: list[Record]) -> None:
        """See Sink."""
        self._pending += records
        if len(self._pending) >= TRANSACTION:
            self._insert()

    def _insert(self) -> None:
        now = int(time.time() * 1000)
        numbered = enumerate(self._pending, self._next)
        made = ((0, at, now, r.key, r.value, b"".join(n.encode() + v for n, v in r.headers)) for at, r in numbered)
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", made)
        self._connection.execute("COMMIT")
        self._next += len(self._pending)
        self._pending = []

    def close(self) -> None:
        """See Sink."""
        self._insert()
        self._connection.close()


class KafkaSink:
    """kafka-python's `send()` of each record, lz4, idempotent, large batches."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        from kafka import KafkaProducer

        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap,
            compression_type="lz4",
            enable_idempotence=True,
            acks="all",
            batch_size=1 << 18,
            linger_ms=5,
            max_request_size=4 << 20,
        )
        self._topic = topic
        self._before: list[Any] = []

    def put(self, records: list[Record]) -> None:
        """See Sink. Waits for the chunk before: kafka-python bounds no memory itself."""
        send, topic = self._producer.send, self._topic
        made = [send(topic, value=r.value, key=r.key, headers=r.headers) for r in records]
        self._confirm()
        self._before = made

    def _confirm(self) -> None:
        for future in self._before:
            future.get(FLUSH_S)

    def close(self) -> None:
        """See Sink."""
        self._producer.flush(FLUSH_S)
        self._confirm()
        self._producer.close()


def chunks(extract: Path, limit: int | None) -> Iterator[list[list[str]]]:
    """Lines of the extract, without its header."""
    with extract.open(newline="", encoding="utf-8") as file:
        reader = itertools.islice(csv.reader(file), 1, None if limit is None else limit + 1)
        while chunk := list(itertools.islice(reader, CHUNK)):
            yield chunk


def rows(extract: Path, limit: int | None, sink: Sink, rejects: Path) -> dict[str, int]:
    """csv → Python → fastavro → sink, one row after the other; bad rows to a file."""
    accepted = rejected = 0
    with rejects.open("w", encoding="utf-8") as refused:
        for batch, chunk in enumerate(chunks(extract, limit)):
            good = []
            first = batch * CHUNK + 1
            shared = row_way.batch_headers(batch, len(chunk), accepted)
            for number, row in enumerate(chunk, first):
                try:
                    key, value = row_way.convert(row)
                except (ValueError, KeyError) as error:
                    refused.write(json.dumps({"row": number, "reason": str(error), "cells": row}) + "\n")
                    rejected += 1
                    continue
                good.append(Record(key, value, [("ce_id", f"{row_way.ID_PREFIX}{number}".encode()), *shared]))
            sink.put(good)
            accepted += len(good)
        sink.close()
    return {"read": accepted + rejected, "accepted": accepted, "rejected": rejected}


def parse(extract: Path) -> dict[str, int]:
    """The extract's columns as text, and nothing else."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    pa.set_cpu_count(1)
    names = extract.open(encoding="utf-8").readline().strip().split(",")
    reader = pacsv.open_csv(
        extract,
        read_options=pacsv.ReadOptions(block_size=4 << 20, use_threads=False),
        convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    read = sum(batch.num_rows for batch in reader)
    return {"read": read, "accepted": read, "rejected": 0}


def ready(extract: Path, limit: int | None, file: Path) -> dict[str, int]:
    """Records as bytes, in a file, for `produce`."""

    class Pickled:
        def put(self, records: list[Record]) -> None:
            pickle.dump([tuple(r) for r in records], out, protocol=5)

        def close(self) -> None: ...

    with file.open("wb") as out:
        return rows(extract, limit, Pickled(), file.with_suffix(".rejects"))


def produce(file: Path, bootstrap: str, topic: str) -> dict[str, Any]:
    """confluent-kafka's `produce()` of ready bytes. Counts its own time: from the first record to the last answer."""
    from confluent_kafka import Producer

    records = []
    with file.open("rb") as stored:
        while stored.peek(1):
            records += pickle.load(stored)
    settings = {"linger.ms": 5, "enable.idempotence": True, "compression.type": "lz4"}
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 300_000, **settings})
    producer.list_topics(topic, timeout=10)
    wall, cpu = time.perf_counter(), time.process_time()
    send = producer.produce
    for number, (key, value, headers) in enumerate(records):
        if not number % CHUNK:
            while len(producer) > 200_000:
                producer.poll(0.01)
            producer.poll(0)
        send(topic, value, key, headers=headers)
    left = producer.flush(FLUSH_S)
    if left:
        raise TimeoutError(f"{left} records were not acknowledged")
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return {"read": len(records), "accepted": len(records), "rejected": 0, **took}


def main() -> None:
    """Run one reference and print what it did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", choices=["parse", "produce", "rows", "ready"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--sink", choices=["kafka", "sqlite", "null"], default="null")
    parser.add_argument("--bootstrap")
    parser.add_argument("--topic")
    parser.add_argument("--out", type=Path, help="log, or file of ready records")
    parser.add_argument("--tally", action="store_true", help="with the null sink: hash the content")
    chosen = parser.parse_args()
    if chosen.subject == "parse":
        answer: dict[str, Any] = parse(chosen.file)
    elif chosen.subject == "produce":
        answer = produce(chosen.file, chosen.bootstrap, chosen.topic)
    elif chosen.subject == "ready":
        answer = ready(chosen.file, chosen.rows, chosen.out)
    else:
        answer = _rows(chosen)
    print(json.dumps(answer))


def _rows(chosen: argparse.Namespace) -> dict[str, Any]:
    tally = Tally() if chosen.tally else None
    if chosen.sink == "kafka":
        sink: Sink = KafkaSink(chosen.bootstrap, chosen.topic)
    else:
        sink = SqliteSink(chosen.out) if chosen.sink == "sqlite" else NullSink(tally)
    made = rows(chosen.file, chosen.rows, sink, chosen.out.with_suffix(".rejects"))
    return {**made, **(tally.answer() if tally else {})}


if __name__ == "__main__":
    main()
