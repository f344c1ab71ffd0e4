"""`python -m benchmarks.raw READY --bootstrap … --topic …`: ready record batches over plain sockets, the limit of the wire.

Batches are built before the clock starts: 6,000 records or 1 MB, lz4, no producer id. Then one connection to each leader,
five requests in flight, acks=all. Needs a listener without TLS or log-in."""

from __future__ import annotations

import argparse
import json
import pickle
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crc32c
import lz4.frame
import pyarrow as pa

from hub import blocks
from hub.blocks import Headers

RECORDS, SECTION_BYTES = 6_000, 1_000_000
IN_FLIGHT = 5
LZ4 = 3
PRODUCE, VERSION = 0, 7
TIMEOUT_MS = 30_000
CLIENT = b"raw"
TAIL = struct.Struct(">hiqqqhii")  # attributes … record count, which the checksum covers with the records
HEAD = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, checksum
Stored = tuple[bytes, bytes, list[tuple[str, bytes]]]


@dataclass(frozen=True)
class ReadyBatch:
    """One record batch as it goes over the wire."""

    partition: int
    records: int
    data: bytes


def record_batch(section: bytes, count: int, now_ms: int) -> bytes:
    """A v2 record batch (KIP-98) around a section of records, lz4."""
    body = lz4.frame.compress(section, block_linked=False, store_size=False)
    tail = TAIL.pack(LZ4, count - 1, now_ms, now_ms, -1, -1, -1, count)
    checksum = crc32c.crc32c(body, crc32c.crc32c(tail))
    return HEAD.pack(0, HEAD.size - 12 + len(tail) + len(body), -1, 2, checksum) + tail + bytes(body)


def build(records: Sequence[Stored], partitions: int, now_ms: int) -> Iterator[ReadyBatch]:
    """Records that share all headers but the first, split over partitions as every client does."""
    keys = pa.array([key for key, _value, _headers in records], pa.binary())
    values = pa.array([value for _key, value, _headers in records], pa.binary())
    ids = pa.array([headers[0][1] for _key, _value, headers in records], pa.binary())
    places = blocks.partition_of(keys, partitions)
    for partition in range(partitions):
        chosen = pa.array((places == partition).nonzero()[0])
        named = Headers(per_record=[(records[0][2][0][0], ids.take(chosen))], constant=records[0][2][1:])
        cut = blocks.split(keys.take(chosen), values.take(chosen), named, max_records=RECORDS, max_bytes=SECTION_BYTES)
        for _start, count, section in cut:
            yield ReadyBatch(partition, count, record_batch(bytes(section), count, now_ms))


class Connection:
    """Produce requests (version 7) to one broker, a few in flight."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), TIMEOUT_MS / 1000)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = self._open = 0

    def send(self, topic: bytes, batch: ReadyBatch) -> None:
        """One request with one batch; waits for an answer while too many are open."""
        self._sent += 1
        head = struct.pack(">hhih", PRODUCE, VERSION, self._sent, len(CLIENT)) + CLIENT
        body = struct.pack(">hhiih", -1, -1, TIMEOUT_MS, 1, len(topic)) + topic
        body += struct.pack(">iii", 1, batch.partition, len(batch.data))
        size = len(head) + len(body) + len(batch.data)
        self._socket.sendall(struct.pack(">i", size) + head + body)
        self._socket.sendall(batch.data)
        self._open += 1
        while self._open >= IN_FLIGHT:
            self._answer()

    def flush(self) -> None:
        """Every batch is acknowledged, or RuntimeError."""
        while self._open:
            self._answer()
        self._socket.close()

    def _answer(self) -> None:
        (size,) = struct.unpack(">i", self._read(4))
        answer = self._read(size)
        (name,) = struct.unpack_from(">h", answer, 8)  # behind correlation id and number of topics
        (error,) = struct.unpack_from(">h", answer, 10 + name + 8)  # behind number of partitions and index
        if error:
            raise RuntimeError(f"the broker answered a produce request with error {error}")
        self._open -= 1

    def _read(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            more = self._socket.recv(size - len(got))
            if not more:
                raise ConnectionError("the broker closed the connection")
            got += more
        return bytes(got)


def leaders(bootstrap: str, topic: str) -> dict[int, tuple[str, int]]:
    """Host and port of each partition's leader."""
    from confluent_kafka.admin import AdminClient

    found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(topic, timeout=10)
    partitions = found.topics[topic].partitions.values()
    return {p.id: (str(found.brokers[p.leader].host), found.brokers[p.leader].port) for p in partitions}


def send(ready: Path, bootstrap: str, topic: str) -> dict[str, Any]:
    """Build everything, then send it. Counts its own time: from the first request to the last answer."""
    places = leaders(bootstrap, topic)
    now_ms = int(time.time() * 1000)
    batches: list[ReadyBatch] = []
    with ready.open("rb") as stored:
        while stored.peek(1):
            batches += build(pickle.load(stored), len(places), now_ms)
    connections = {place: Connection(*place) for place in set(places.values())}
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        connections[places[batch.partition]].send(topic.encode(), batch)
    for connection in connections.values():
        connection.flush()
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    sent = sum(batch.records for batch in batches)
    return {"read": sent, "accepted": sent, "rejected": 0, **took}


def main() -> None:
    """Send one file of ready records."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ready", type=Path)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    chosen = parser.parse_args()
    print(json.dumps(send(chosen.ready, chosen.bootstrap, chosen.topic)))


if __name__ == "__main__":
    main()
