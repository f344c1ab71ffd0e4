"""Ready record sections → acknowledged batches, through kafka-python's own accumulator and sender.

Sequence numbers, retries, idempotence and transactions stay kafka-python's job; it is handed whole batches in place of
records. Ours are the bound on bytes in flight, the verdict on each batch, and a time limit on every transactional call:
`produce_future` says succeeded for a failed batch too, and `commit_transaction()` can hang for ever (ADR 6).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import structlog
from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import FinalState, ProducerBatch
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.version import __version__ as version

from hub import blocks as sections
from hub.errors import LogUnavailable, OutcomeUnknown
from hub.log.kafka.errors import TOO_LARGE, translate
from hub.log.kafka.options import KafkaOptions
from hub.model import Block

log = structlog.get_logger(__name__)
CLOSE_S = 2.0
LOOK_S = 0.2
ASK_EVERY = 10  # looks without a verdict until metadata is asked for again
SLOW_COMMIT_S = 5.0  # a transaction that took longer is followed by a new producer (G3)


class ProducerFenced(Exception):
    """Another producer took this transactional id."""


class Sent(Protocol):
    """A block on its way."""

    size: int
    topic: str

    def wait(self, timeout_s: float) -> bool:
        """Is there a verdict now?"""

    @property
    def offset(self) -> int:
        """Of its first record, once acknowledged."""

    @property
    def retried(self) -> bool:
        """Was it sent more than once?"""

    def error(self) -> BaseException | None:
        """None when the broker has it."""


@dataclass
class SentBatch:
    """Handed over whole. Its fate is `final_state` and nothing else."""

    batch: ProducerBatch
    size: int
    topic: str

    def wait(self, timeout_s: float) -> bool:
        self.batch.produce_future.wait(timeout_s)
        return self.batch.final_state is not None

    @property
    def offset(self) -> int:
        return int(self.batch.produce_future.value[0])

    @property
    def retried(self) -> bool:
        return bool(self.batch.attempts > 0)

    def error(self) -> BaseException | None:
        if self.batch.final_state is FinalState.SUCCEEDED:
            return None
        value = self.batch.produce_future.value
        found: BaseException | None = value[2](0) if value and value[2] is not None else None
        return found or kafka.KafkaTimeoutError()


@dataclass
class SentRecords:
    """Sent one by one, by the public way."""

    futures: list[FutureRecordMetadata]
    size: int
    topic: str
    retried: bool = False

    def wait(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        for future in self.futures:
            if not future.is_done:
                with contextlib.suppress(kafka.KafkaError):
                    future.get(timeout=max(deadline - time.monotonic(), 0.001))
        return all(f.is_done for f in self.futures)

    @property
    def offset(self) -> int:
        return int(self.futures[0].value.offset)

    def error(self) -> BaseException | None:
        return next((f.exception for f in self.futures if f.failed()), None)


class BulkProducer:
    """One transactional producer. Not thread-safe; any error but a refused block means: `kill` it and make another."""

    def __init__(self, options: KafkaOptions, transactional_id: str) -> None:
        """Make it and take the transactional id: open transactions of its earlier holders are aborted."""
        self._options, self._where = options, options.where
        self.unclean = False  # something was retried or slow: the owner makes a new producer (G3)
        with _translated(self._where):
            self._producer = KafkaProducer(
                **options.client(),
                transactional_id=transactional_id,
                transaction_timeout_ms=int(options.transaction_timeout_s * 1000),
                delivery_timeout_ms=int((options.append_timeout_s + options.request_timeout_s) * 1000),
                max_block_ms=int(options.commit_timeout_s * 1000),
                bootstrap_timeout_ms=int(options.bootstrap_timeout_s * 1000),
                compression_type=options.compression,
                max_request_size=8 * 1024 * 1024,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        try:
            self._bulk = bulk_works(self._producer)
            self._producer._sender._can_split = lambda *_: False  # a client that splits a block is an error (R5)
            with _translated(self._where):
                self._producer.init_transactions()
        except BaseException:
            self.kill()
            raise

    def begin(self) -> None:
        """Start a transaction."""
        with _translated(self._where):
            self._producer.begin_transaction()

    def send(self, blocks: list[Block]) -> list[Sent]:
        """Hand all blocks over, at most `in_flight_bytes` of them unacknowledged, and wait for every verdict.

        Raises the hub's error for the first that failed, LogUnavailable when the time is up."""
        deadline = time.monotonic() + self._options.append_timeout_s
        sent: list[Sent] = []
        waiting: deque[Sent] = deque()
        flying = 0
        with _translated(self._where):
            for topic in {b.topic for b in blocks}:
                self._producer.partitions_for(topic)  # without its leader nothing is ever sent
            for block in blocks:
                while flying + len(block.records) > self._options.in_flight_bytes and waiting:
                    flying -= self._settle(waiting.popleft(), deadline)
                one = self._hand_over(block)
                sent.append(one)
                waiting.append(one)
                flying += one.size
            while waiting:
                self._settle(waiting.popleft(), deadline)
        return sent

    def _settle(self, one: Sent, deadline: float) -> int:
        """Wait for a verdict; the bytes that are in flight no more."""
        manager = self._producer._transaction_manager
        waited = 0
        while not one.wait(LOOK_S):
            waited += 1
            if waited % ASK_EVERY == 0:  # it retries for ever for a topic that was deleted, and does not look again
                self._producer._metadata.request_update()
                self._producer._sender.wakeup()
            if waited > ASK_EVERY and self._producer._metadata.partitions_for_topic(one.topic) is None:
                raise kafka.UnknownTopicOrPartitionError()
            if manager.has_error() or time.monotonic() > deadline:
                raise manager.last_error or kafka.KafkaTimeoutError()
        self.unclean = self.unclean or one.retried
        error = one.error()
        if error is not None:
            raise error
        return one.size

    def _hand_over(self, block: Block) -> Sent:
        if self._bulk:
            return SentBatch(hand_over(self._producer, block), len(block.records), block.topic)
        return SentRecords(send_singly(self._producer, block), len(block.records), block.topic)

    def commit(self) -> None:
        """Make the transaction visible. Raises OutcomeUnknown when the broker does not say in time."""
        started = time.monotonic()
        try:
            result = self._producer._transaction_manager.begin_commit()
            self._producer._sender.wakeup()
            answered = result.wait(timeout_ms=self._options.commit_timeout_s * 1000)
        except (kafka.ProducerFencedError, kafka.InvalidProducerEpochError):
            raise ProducerFenced from None
        except kafka.KafkaError as error:
            raise OutcomeUnknown(
                f"the commit ended with {type(error).__name__}", where=self._where, remedy="the task goes on by itself"
            ) from None
        if not answered:
            raise OutcomeUnknown(
                f"the commit did not answer in {self._options.commit_timeout_s:g} s", where=self._where,
                remedy="the task goes on from the checkpoint that is found when the broker answers",
            )  # fmt: skip
        self.unclean = self.unclean or time.monotonic() - started > SLOW_COMMIT_S

    def kill(self) -> None:
        """End it without sending anything more; what was open is aborted by the next producer of this id."""
        producer = getattr(self, "_producer", None)
        if producer is None or producer._closed:
            return
        producer._unregister_cleanup()
        producer._closed = True  # its own close() would flush first, for ever when the broker is away
        producer._sender.force_close()
        producer._sender.join(CLOSE_S)


def hand_over(producer: KafkaProducer, block: Block) -> ProducerBatch:
    """Put a ready section into the accumulator as one batch of its partition."""
    accumulator, manager = producer._accumulator, producer._transaction_manager
    builder = MemoryRecordsBuilder(2, accumulator.config["compression_attrs"], len(block.records))
    raw = builder._builder
    raw._buffer += block.records
    raw._first_timestamp = raw._max_timestamp = int(time.time() * 1000)
    raw._last_offset = block.count - 1
    raw._num_records = block.count
    builder._next_offset = block.count
    place = TopicPartition(block.topic, block.partition)
    manager.maybe_add_partition_to_transaction(place)
    batch = ProducerBatch(place, builder)
    with accumulator._tp_lock(place):
        accumulator._batches[place].append(batch)
        accumulator._incomplete.add(batch)
    producer._sender.wakeup()
    return batch


_tested: dict[str, bool] = {}
_test_lock = threading.Lock()


def bulk_works(producer: KafkaProducer) -> bool:
    """Has this kafka-python all that `hand_over` relies on, and does a section built so read back? Tested once."""
    with _test_lock:
        if version not in _tested:
            _tested[version] = self_test(producer)
            if not _tested[version]:
                log.warning("kafka_bulk_path_off", kafka_python=version, effect="records are sent one by one")
        return _tested[version]


def self_test(producer: KafkaProducer) -> bool:
    """Build one batch as `hand_over` does and read it with kafka-python's own reader; look for every attribute used."""
    try:
        wanted = (
            (producer, ("_accumulator", "_sender", "_transaction_manager", "_closed", "_unregister_cleanup")),
            (producer._accumulator, ("_tp_lock", "_batches", "_incomplete", "config")),
            (producer._sender, ("wakeup", "force_close", "_can_split")),
            (producer._transaction_manager, ("begin_commit", "maybe_add_partition_to_transaction", "has_error")),
        )
        if not all(hasattr(thing, name) for thing, names in wanted for name in names):
            return False
        column = pa.array([b"one", b"two"], pa.binary())
        builder = MemoryRecordsBuilder(2, producer._accumulator.config["compression_attrs"], 1024)
        raw = builder._builder
        raw._buffer += sections.encode(column, column, sections.Headers())
        raw._first_timestamp = raw._max_timestamp = 1
        raw._last_offset, raw._num_records, builder._next_offset = 1, 2, 2
        builder.close()
        (batch,) = list(MemoryRecords(bytes(builder.buffer())))
        return batch.validate_crc() and [(r.key, r.value) for r in batch] == [(b"one", b"one"), (b"two", b"two")]
    except Exception:  # whatever is missing in another version, the slow path is right
        return False


def send_singly(producer: KafkaProducer, block: Block) -> list[FutureRecordMetadata]:
    """The public way: the same records, one call each."""
    records = sections.decode(block.records, 0)
    rows = zip(records.keys.to_pylist(), records.values.to_pylist(), records.headers(), strict=True)
    return [
        producer.send(
            block.topic, value, key, [(n, v) for n, v in headers.items() if v is not None], block.partition
        )
        for key, value, headers in rows
    ]  # fmt: skip


@contextlib.contextmanager
def _translated(where: str) -> Any:
    try:
        yield
    except (kafka.ProducerFencedError, kafka.InvalidProducerEpochError):
        raise ProducerFenced from None
    except kafka.KafkaError as error:
        raise _cause(error, where) from None


def _cause(error: BaseException, where: str) -> Exception:
    """A producer in a failed state wraps what failed it."""
    inner = next((a for a in getattr(error, "args", ()) if isinstance(a, kafka.KafkaError)), error)
    if isinstance(inner, (kafka.ProducerFencedError, kafka.InvalidProducerEpochError)):
        return ProducerFenced()
    if isinstance(inner, TOO_LARGE):
        return translate(inner, where)
    if isinstance(inner, kafka.KafkaTimeoutError):
        return LogUnavailable("Kafka did not take the records in time", where=where, remedy="see the brokers' health")
    return translate(inner, where)
