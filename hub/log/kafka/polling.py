"""The slow way to read: kafka-python's public consumer, record by record, made into sections again.

Taken when `Connection` does not pass its self-test. All that the port promises holds; the speed does not.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka

from hub.blocks import varint
from hub.errors import LogUnavailable
from hub.log.kafka.batches import Parsed
from hub.log.kafka.cluster import COMMITTED, LATEST, UNCOMMITTED, OutOfRange, Place, Result
from hub.log.kafka.errors import translate
from hub.log.kafka.options import KafkaOptions
from hub.log.kafka.probe import probe
from hub.model import MAX_RECORDS, StoredBlock

RETRY_S = 0.1
POLL_MS = 500
BELIEVED_S = 1.0  # how long the number of partitions is believed


class Polling:
    """Implements `Cluster`."""

    def __init__(self, options: KafkaOptions) -> None:
        """Raises ConfigurationInvalid or LogUnavailable, with the cause, in about `bootstrap_timeout_s`."""
        probe(options, log_in=False)
        self.where = options.where
        self._answer_s = options.request_timeout_s
        self._lock = threading.Lock()  # a consumer is for one thread
        self._counts: Mapping[str, int] = {}
        self._counted = float("-inf")
        self._closed = False
        configuration = {
            **options.client(), "client_id": f"{options.client_id}-read", "group_id": None, "enable_auto_commit": False,
            "auto_offset_reset": "none", "check_crcs": True, "allow_auto_create_topics": False, "metrics_enabled": False,
            "bootstrap_timeout_ms": int(options.bootstrap_timeout_s * 1000),
        }  # fmt: skip
        made: list[Any] = []
        try:
            for level in ("read_committed", "read_uncommitted"):
                made.append(KafkaConsumer(**configuration, isolation_level=level))
        except kafka.KafkaError as error:
            for one in made:
                one.close()
            raise translate(error, self.where) from None
        self._committed, self._uncommitted = made

    def close(self) -> None:
        """See `Cluster.close`."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for one in (self._committed, self._uncommitted):
                    with contextlib.suppress(kafka.KafkaError):
                        one.close(timeout_ms=1000)

    def answers(self, timeout_s: float) -> bool:
        """See `Cluster.answers`."""
        try:
            self.patiently(self._count, timeout_s=timeout_s)
        except Exception:  # whatever keeps it from answering
            return False
        return True

    def partitions(self, *, fresh: bool = False) -> Mapping[str, int]:
        """See `Cluster.partitions`."""
        if fresh or time.monotonic() - self._counted > BELIEVED_S:
            self.patiently(self._count)
        return self._counts

    def count(self, topic: str) -> int:
        """See `Cluster.count`."""
        return self.partitions().get(topic, 0)

    def led(self, topic: str, partitions: range) -> bool:
        """See `Cluster.led`. The public way to know is to ask the leaders something."""
        try:
            places = [(topic, p) for p in partitions]
            self.patiently(lambda: self._offsets(places, LATEST, UNCOMMITTED), timeout_s=1.0)
        except LogUnavailable:
            return False
        return True

    def fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        """See `Cluster.fetch`."""
        return self.patiently(lambda: self._fetch(topic, partition, offset, max_bytes))

    def offsets(self, places: Sequence[Place], when: int, isolation: int) -> Mapping[Place, int]:
        """See `Cluster.offsets`."""
        return self.patiently(lambda: self._offsets(places, when, isolation))

    def patiently(self, step: Callable[[], Result], *, timeout_s: float | None = None) -> Result:
        """See `Cluster.patiently`."""
        deadline = time.monotonic() + (self._answer_s if timeout_s is None else timeout_s)
        while True:
            try:
                return step()
            except kafka.RetriableError as error:
                if time.monotonic() + RETRY_S > deadline:
                    raise translate(error, self.where) from None
            except kafka.KafkaError as error:
                raise translate(error, self.where) from None
            time.sleep(RETRY_S)

    def _count(self) -> None:
        with self._using(self._committed) as consumer:
            names = consumer.topics()
            self._counts = {t: len(consumer.partitions_for_topic(t) or ()) for t in names}
            self._counted = time.monotonic()

    def _offsets(self, places: Sequence[Place], when: int, isolation: int) -> Mapping[Place, int]:
        wanted = [TopicPartition(*place) for place in places]
        with self._using(self._committed if isolation == COMMITTED else self._uncommitted) as consumer:
            ask = consumer.end_offsets if when == LATEST else consumer.beginning_offsets
            try:
                found = ask(wanted, timeout_ms=int(self._answer_s * 1000))
            except KeyError:  # kafka-python left out a partition whose leader it does not know yet
                raise kafka.LeaderNotAvailableError from None
        return {(place.topic, place.partition): int(offset) for place, offset in found.items()}

    def _fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        place = TopicPartition(topic, partition)
        where = (topic, partition)
        end = self._offsets([where], LATEST, COMMITTED)[where]
        if offset >= end:
            if offset > self._offsets([where], LATEST, UNCOMMITTED)[where]:
                raise OutOfRange
            return Parsed(blocks=[], next_offset=offset), end
        with self._using(self._committed) as consumer:
            consumer.assign([place])
            consumer.seek(place, offset)
            try:
                records = consumer.poll(timeout_ms=POLL_MS, max_records=MAX_RECORDS).get(place, [])
                reached = int(consumer.position(place) or offset)
            except (kafka.OffsetOutOfRangeError, kafka.NoOffsetForPartitionError):
                raise OutOfRange from None
        kept = _within(records, max_bytes)
        if len(kept) < len(records):
            reached = kept[-1].offset + 1
        # what stood between its blocks, markers of transactions or records that were compacted away, it does not say
        blocks = [_block(run) for run in _runs(kept)]
        return Parsed(blocks=blocks, next_offset=reached, spans=[(b.base_offset, b.last_offset) for b in blocks]), end

    @contextlib.contextmanager
    def _using(self, consumer: Any) -> Iterator[Any]:
        with self._lock:
            if self._closed:
                raise LogUnavailable("the log is closed", where=self.where)
            yield consumer


def _within(records: list[Any], max_bytes: int) -> list[Any]:
    """As many as fit, but one at least."""
    size = 0
    for i, record in enumerate(records):
        size += len(record.key or b"") + len(record.value or b"")
        if size > max_bytes and i:
            return records[:i]
    return records


def _runs(records: list[Any]) -> Iterator[list[Any]]:
    """Records of one batch without a gap between them: what stood in one block, or a part of one."""
    run: list[Any] = []
    for record in records:
        if run and (record.offset != run[-1].offset + 1 or _batch_id(record) != _batch_id(run[-1])):
            yield run
            run = []
        run.append(record)
    if run:
        yield run


def _batch_id(record: Any) -> bytes | None:
    return next((value for name, value in record.headers if name == "batch_id"), None)


def _block(records: list[Any]) -> StoredBlock:
    first, last = records[0], records[-1]
    return StoredBlock(
        topic=first.topic,
        partition=first.partition,
        base_offset=first.offset,
        last_offset=last.offset,
        count=len(records),
        timestamp_ms=max(r.timestamp for r in records),
        records=b"".join(_record(r, r.offset - first.offset) for r in records),
    )


def _record(record: Any, delta: int) -> bytes:
    """One record of a section: attributes, timestamp delta, offset delta, key, value, headers (KIP-98)."""
    headers = [_text(name.encode()) + _text(value) for name, value in record.headers]
    body = b"\0\0" + varint(delta) + _text(record.key) + _text(record.value) + varint(len(headers)) + b"".join(headers)
    return varint(len(body)) + body


def _text(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value
