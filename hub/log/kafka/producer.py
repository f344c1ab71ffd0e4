"""Ready record sections → acknowledged batches, through kafka-python's own accumulator and sender.

Sequence numbers, retries, idempotence and transactions stay kafka-python's job; it is handed whole batches in place of
records. Ours are the bound on bytes in flight, the verdict on each batch, and a time limit on every transactional call:
`produce_future` says succeeded for a failed batch too, and `commit_transaction()` can hang for ever (ADR 6).
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka
from kafka.codec import lz4_encode, zstd_encode
from kafka.producer.producer_batch import FinalState, ProducerBatch
from kafka.producer.transaction_manager import EndTxnHandler, FindCoordinatorHandler, TransactionManager
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.version import __version__ as version

from hub import blocks as sections
from hub.log.kafka.options import KafkaOptions
from hub.log.kafka.producers import ClientChanged, committing, make_client, translated, unanswered
from hub.model import Block

CLOSE_S = 2.0
LOOK_S = 0.2
PACKERS: dict[int, Callable[[bytes | memoryview], bytes]] = {  # codecs that take any buffer, by their number in a batch
    DefaultRecordBatchBuilder.CODEC_LZ4: lz4_encode,
    DefaultRecordBatchBuilder.CODEC_ZSTD: zstd_encode,
}
ASK_EVERY = 10  # looks without a verdict until metadata is asked for again
SLOW_COMMIT_S = 5.0  # a transaction that took longer is followed by a new producer (G3)


@dataclass
class SentBatch:
    """Handed over whole. Its fate is `final_state` and nothing else."""

    batch: ProducerBatch
    size: int
    topic: str

    def wait(self, timeout_s: float) -> bool:
        self.batch.produce_future.wait(timeout_s)
        return self.batch.final_state is not None and bool(self.batch.produce_future.is_done)

    @property
    def offset(self) -> int:
        return int(self.batch.produce_future.value[0])

    def error(self) -> BaseException | None:
        if self.batch.final_state is FinalState.SUCCEEDED:
            return None
        value = self.batch.produce_future.value
        found: BaseException | None = value[2](0) if value and value[2] is not None else None
        return found or kafka.KafkaTimeoutError()


class BulkProducer:
    """Implements `Producer`."""

    reusable = True

    def __init__(self, options: KafkaOptions, transactional_id: str) -> None:
        """Make it and take the transactional id. Raises ClientChanged where the self-test fails."""
        self._options, self._where = options, options.where
        self.unclean = ""
        with translated(self._where):
            self._producer = make_client(options, transactional_id)
        try:
            if not bulk_works(self._producer):
                raise ClientChanged
            self._producer._sender._can_split = lambda *_: False  # a client that splits a block is an error (R5)
            with translated(self._where):
                self._producer.init_transactions()
            watch(self._producer._transaction_manager, self._stain)
        except BaseException:
            self.kill()
            raise

    def _stain(self, why: str) -> None:
        self.unclean = self.unclean or why

    def begin(self) -> None:
        """See `Producer.begin`."""
        with translated(self._where):
            self._producer.begin_transaction()

    def send(self, blocks: list[Block]) -> list[SentBatch]:
        """See `Producer.send`."""
        deadline = time.monotonic() + self._options.append_timeout_s
        sent: dict[int, SentBatch] = {}
        waiting: deque[SentBatch] = deque()
        flying = 0
        with translated(self._where):
            topics = {b.topic for b in blocks}
            for topic in topics:  # asked for together: one answer, not one each
                self._producer._sender.add_topic(topic)
            for topic in topics:
                self._producer.partitions_for(topic)  # without its leader nothing is ever sent
            for i in in_turns(blocks):
                while flying + len(blocks[i].records) > self._options.in_flight_bytes and waiting:
                    self._producer._sender.wakeup()
                    flying -= self._settle(waiting.popleft(), deadline)
                sent[i] = SentBatch(hand_over(self._producer, blocks[i]), len(blocks[i].records), blocks[i].topic)
                waiting.append(sent[i])
                flying += sent[i].size
            self._producer._sender.wakeup()
            while waiting:
                self._settle(waiting.popleft(), deadline)
        return [sent[i] for i in range(len(blocks))]

    def _settle(self, one: SentBatch, deadline: float) -> int:
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
        if one.batch.attempts > 0:
            self._stain("records were sent again")
        error = one.error()
        if error is not None:
            raise error
        return one.size

    def commit(self) -> None:
        """See `Producer.commit`."""
        started = time.monotonic()
        with committing(self._where):
            result = self._producer._transaction_manager.begin_commit()
            self._producer._sender.wakeup()
            if not result.wait(timeout_ms=self._options.commit_timeout_s * 1000):
                raise unanswered(self._options)
        if time.monotonic() - started > SLOW_COMMIT_S:
            self._stain("the commit was slow")

    def kill(self) -> None:
        """See `Producer.kill`."""
        producer = getattr(self, "_producer", None)
        if producer is None or producer._closed:
            return
        producer._unregister_cleanup()
        producer._closed = True  # its own close() would flush first, for ever when the broker is away
        producer._sender.force_close()
        producer._sender.join(CLOSE_S)


def hand_over(producer: KafkaProducer, block: Block) -> ProducerBatch:
    """Put a ready section into the accumulator as one batch of its partition. The sender has to be woken afterwards."""
    accumulator, manager = producer._accumulator, producer._transaction_manager
    builder = made_of(block, accumulator.config["compression_attrs"], int(time.time() * 1000))
    place = TopicPartition(block.topic, block.partition)
    manager.maybe_add_partition_to_transaction(place)
    batch = ProducerBatch(place, builder)
    with accumulator._tp_lock(place):
        accumulator._batches[place].append(batch)
        accumulator._incomplete.add(batch)
    return batch


class Packed(DefaultRecordBatchBuilder):  # type: ignore[misc] # kafka-python has no types
    """A batch whose records are compressed already: the sender's thread, which all requests go through, does not have to."""

    __slots__ = ()

    def _maybe_compress(self) -> bool:
        return True


def made_of(block: Block, compression: int, timestamp_ms: int) -> MemoryRecordsBuilder:
    """A batch of kafka-python's that only wants its producer, sequence and checksum."""
    builder = MemoryRecordsBuilder(2, compression, len(block.records))
    raw = builder._builder
    packed = PACKERS[compression](block.records) if compression in PACKERS else block.records
    if len(packed) < len(block.records):
        raw.__class__ = Packed
    raw._buffer += packed if len(packed) < len(block.records) else block.records
    raw._first_timestamp = raw._max_timestamp = timestamp_ms
    raw._last_offset = block.count - 1
    raw._num_records = block.count
    builder._next_offset = block.count
    return builder


def in_turns(blocks: Sequence[Block]) -> list[int]:
    """An order in which the partitions take turns, each one's blocks in their own order. A request holds one batch of each
    partition: so there are as few of them as can be."""
    turns: Counter[tuple[str, int]] = Counter()
    placed: list[tuple[int, int]] = []
    for i, block in enumerate(blocks):
        place = (block.topic, block.partition)
        placed.append((turns[place], i))
        turns[place] += 1
    return [i for _turn, i in sorted(placed)]


def watch(manager: TransactionManager, tell: Callable[[str], None]) -> None:
    """Tell when the connection to the coordinator is lost: what was asked is asked again on another, and the first may
    still arrive, as late as in the next transaction. kafka-python looks the coordinator up again in just that case."""
    enqueue = manager._enqueue_request

    def watched(handler: object) -> None:
        if isinstance(handler, FindCoordinatorHandler):
            tell("the coordinator was asked again")
        enqueue(handler)

    manager._enqueue_request = watched


_tested: dict[str, bool] = {}
_test_lock = threading.Lock()


def bulk_works(producer: KafkaProducer) -> bool:
    """Has this kafka-python all that is relied on here? Tested once."""
    with _test_lock:
        if version not in _tested:
            _tested[version] = self_test(producer)
        return _tested[version]


def self_test(producer: KafkaProducer) -> bool:
    """Look for every attribute used, build one batch as `hand_over` does, and lose a coordinator; all without a broker."""
    try:
        wanted = (
            (producer, ("_accumulator", "_sender", "_transaction_manager", "_closed", "_unregister_cleanup", "_metadata")),
            (producer._accumulator, ("_tp_lock", "_batches", "_incomplete", "config")),
            (producer._sender, ("wakeup", "force_close", "_can_split", "join", "add_topic")),
            (producer._metadata, ("request_update", "partitions_for_topic")),
            (producer._transaction_manager, ("begin_commit", "maybe_add_partition_to_transaction", "has_error",
                                             "last_error", "_enqueue_request")),
        )  # fmt: skip
        if not all(hasattr(thing, name) for thing, names in wanted for name in names):
            return False
        return _builds(producer._accumulator.config["compression_attrs"]) and _tells()
    except Exception:  # whatever is missing in another version, the slow path is right
        return False


def _builds(compression: int) -> bool:
    """Does kafka-python's own reader get back what was put in ready, too short to be compressed or not?"""
    return all(_reads_back(value, compression) for value in (b"x", b"x" * 200))


def _reads_back(value: bytes, compression: int) -> bool:
    column = pa.array([value, b"two"], pa.binary())
    block = Block(topic="a.b", partition=0, count=2, records=sections.encode(column, column, sections.Headers()))
    builder = made_of(block, compression, 1)
    builder.close()
    (batch,) = list(MemoryRecords(bytes(builder.buffer())))
    return bool(batch.validate_crc()) and [(r.key, r.value) for r in batch] == [(value, value), (b"two", b"two")]


def _tells() -> bool:
    """Is a commit whose connection breaks seen by `watch`?"""
    manager, told = TransactionManager(transactional_id="self-test"), list[str]()
    watch(manager, told.append)
    handler = EndTxnHandler(manager, True)
    handler.on_complete(manager.next_in_flight_request_correlation_id(), kafka.KafkaConnectionError())
    return bool(told) and bool(handler.is_retry)
