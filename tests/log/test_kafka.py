"""The Kafka adapter on a real broker: the port's contract, then what only Kafka has."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import confluent_kafka
import crc32c
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.record.memory_records import MemoryRecordsBuilder

from deploy.services.kafka import Cluster, tool
from hub import blocks
from hub.errors import ConfigurationInvalid, CorruptBlock, LogUnavailable, NotFound
from hub.log.kafka import KafkaLog, batches, cluster, connection, producer, producers
from hub.log.kafka.admin import Admin
from hub.log.kafka.polling import Polling
from hub.model import Block, Checkpoint, SourceCheckpoint, Topic
from tests.contracts.log_contract import LogContract, at, contents, make_blocks
from tests.support.foreign import foreign_records
from tests.support.kafka import fresh, options_of


@pytest.fixture
def log(kafka_cluster: Cluster) -> Iterator[KafkaLog]:
    made = KafkaLog(options_of(kafka_cluster))
    yield made
    made.close()


class TestKafkaLog(LogContract):
    """All of the contract."""


class TestThreeNodes(LogContract):
    """All of the contract with three replicas, two of which must have an append."""

    @pytest.fixture
    def log(self, kafka_three: Cluster) -> Iterator[KafkaLog]:
        made = KafkaLog(options_of(kafka_three))
        yield made
        made.close()


class TestOneByOne(LogContract):
    """All of the contract when the bulk path is switched off, as it is for a kafka-python that fails the self-test."""

    @pytest.fixture
    def log(self, kafka_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaLog]:
        monkeypatch.setitem(producers._works, producers.version, False)
        made = KafkaLog(options_of(kafka_cluster))
        yield made
        made.close()


class TestPolled(LogContract):
    """All of the contract when reading in bulk is switched off too: kafka-python's public consumer and producer alone."""

    @pytest.fixture
    def log(self, kafka_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaLog]:
        monkeypatch.setitem(producers._works, producers.version, False)
        monkeypatch.setitem(cluster._works, cluster.version, False)
        made = KafkaLog(options_of(kafka_cluster))
        assert isinstance(made._cluster, Polling)
        yield made
        made.close()


def test_the_self_test_of_reading_tells_a_client_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.self_test()
    monkeypatch.delattr(connection.KafkaConnectionManager, "wait_for")
    assert not connection.self_test()
    monkeypatch.undo()
    monkeypatch.setattr(connection, "FetchRequest", object)  # an import that is another thing now
    monkeypatch.setattr(cluster, "_works", {})
    assert not cluster.bulk_reading_works()
    assert not cluster.bulk_reading_works()  # looked at and told once


def test_the_self_test_tells_a_client_that_changed(kafka_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    client = KafkaProducer(bootstrap_servers=kafka_cluster.bootstrap, transactional_id=fresh("self-test"))
    try:
        assert producer.self_test(client)
        kept = client._accumulator._incomplete
        del client._accumulator._incomplete
        assert not producer.self_test(client)
        client._accumulator._incomplete = kept
        monkeypatch.setattr(producer.EndTxnHandler, "on_complete", lambda *_: None)  # a lost coordinator is not told
        assert not producer.self_test(client)
    finally:
        client.close(5)


def append(log: KafkaLog, topic: str, count: int, *, start: int = 0, task: str = "") -> None:
    log.ensure(Topic(name=topic, partitions=2))
    task = task or fresh("task")
    writer = log.open(task, 1)
    names = [f"k{i}" for i in range(start, start + count)]
    writer.append(make_blocks(names, names, topic=topic), at(1))
    writer.close()


def new_topic() -> str:
    return f"city.test.{fresh('thing')}.v1"


def test_G3_a_foreign_client_reads_what_was_committed_and_nothing_else(log: KafkaLog, kafka_cluster: Cluster) -> None:
    topic = new_topic()
    append(log, topic, 2500)
    writer = log.open("aborter", 1)
    bulk = writer._producer
    assert bulk is not None
    bulk.begin()
    bulk.send(make_blocks(["never"], ["seen"], topic=topic))
    writer.close()
    log.open("aborter", 1).close()  # aborts what was left open
    append(log, topic, 10, start=2500)
    found = foreign_records(kafka_cluster.bootstrap, topic)
    assert [v for _, _, v in found] == [f"k{i}".encode() for i in range(2510)]
    assert [v for _, v in contents(log, topic)] == [v for _, _, v in found]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_R3_records_of_other_producers_are_read_in_every_codec(
    log: KafkaLog, kafka_cluster: Cluster, codec: str
) -> None:
    topic = new_topic()
    log.ensure(Topic(name=topic))
    client = confluent_kafka.Producer({"bootstrap.servers": kafka_cluster.bootstrap, "compression.type": codec})
    for i in range(100):
        client.produce(topic, key=f"k{i}", value=f"value {i}" * 20, headers=[("h", b"1")])
    client.produce(topic, key="gone", value=None)
    client.flush(30)
    found = contents(log, topic)
    assert [v for _, v in found] == [*[(f"value {i}" * 20).encode() for i in range(100)], None]
    blocks_read = log.read(topic, 0, 0, 1_000_000).blocks
    assert blocks.decode(blocks_read[0].records, 0).header("h").to_pylist()[0] == b"1"


@pytest.mark.parametrize("damage", [22, 40, 70, -3])
def test_F17_a_batch_with_a_flipped_bit_is_never_served(damage: int) -> None:
    builder = MemoryRecordsBuilder(2, 0, 10_000)
    builder.append(1, b"key", b"value" * 10, [])
    builder.close()
    data = bytearray(builder.buffer())
    assert len(batches.parse("t", 0, 0, bytes(data), []).blocks) == 1
    data[damage] ^= 1
    with pytest.raises(CorruptBlock):
        batches.parse("t", 0, 0, bytes(data), [])


def test_R8_a_batch_of_which_the_cleaner_left_the_header_was_removed() -> None:
    """It stays as long as its producer is known, and is no evidence that nothing is missing there."""
    builder = MemoryRecordsBuilder(2, 0, 10_000)
    builder.append(1, b"key", b"value", [])
    builder.close()
    header = struct.pack(">hiqqqhii", 0, 4, 0, 0, 7, 0, 0, 0)  # without any of its five records
    emptied = struct.pack(">qiibI", 1, 9 + len(header), 0, 2, crc32c.crc32c(header)) + header
    found = batches.parse("t", 0, 0, bytes(builder.buffer()) + emptied, [])
    assert (list(found.spans), found.next_offset, len(found.blocks)) == ([(0, 0)], 6, 1)


def test_R3_what_a_broker_sends_is_decompressed_as_far_as_it_is_asked_for() -> None:
    def batch(base: int) -> bytes:
        builder = MemoryRecordsBuilder(2, 3, 10_000)  # lz4
        builder.append(1, b"key", b"value" * 100, [])
        builder.close()
        return base.to_bytes(8, "big") + bytes(builder.buffer())[8:]

    data = b"".join(map(batch, range(5)))
    size = len(batches.parse("t", 0, 0, data, [], 1).blocks[0].records)
    assert size > 2 * len(batch(0))
    for most, count in ((1, 1), (size, 1), (size + 1, 2), (4 * size, 4), (10 * size, 5)):
        parsed = batches.parse("t", 0, 0, data, [], most)
        assert ([b.base_offset for b in parsed.blocks], parsed.next_offset) == (list(range(count)), count)
        assert parsed.spans == [(n, n) for n in range(count)]
    damaged = data[: 4 * len(batch(0))] + bytes(len(batch(0)))
    assert len(batches.parse("t", 0, 1, damaged, [], 3 * size).blocks) == 3, "and what is behind it is not looked at"


@settings(max_examples=300)
@given(st.binary(max_size=300), st.integers(0, 100))
def test_R3_garbage_from_a_broker_is_no_crash(data: bytes, offset: int) -> None:
    try:
        parsed = batches.parse("t", 0, offset, data, [])
    except CorruptBlock:
        return
    assert parsed.next_offset >= offset


def test_R24_kafkas_own_tools_see_groups_and_records(log: KafkaLog, kafka_cluster: Cluster) -> None:
    topic, group = new_topic(), fresh("it-planning.grant.default")
    append(log, topic, 7)
    log.committed(group, topic, {0: 3, 1: 0})
    described = ""
    for _ in range(20):
        described = tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            "--bootstrap-server", kafka_cluster.bootstrap, "--describe", "--group", group,
        )  # fmt: skip
        if topic in described:
            break
    row = next(line.split() for line in described.splitlines() if topic in line and line.split()[2] == "0")
    assert row[3:6] == ["3", "8", "5"]  # committed, end (with the transaction's marker), lag
    printed = tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", kafka_cluster.bootstrap, "--topic", topic,
        "--from-beginning", "--isolation-level", "read_committed", "--max-messages", "7", "--timeout-ms", "20000",
    )  # fmt: skip
    assert [line for line in printed.splitlines() if line.startswith("k")] == [f"k{i}" for i in range(7)]


def test_R5_a_message_larger_than_the_broker_allows_is_told_and_harms_nothing(
    log: KafkaLog, kafka_cluster: Cluster
) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    tool(
        "kafka.admin.ConfigCommand",
        "--bootstrap-server", kafka_cluster.bootstrap, "--entity-type", "topics", "--entity-name", topic,
        "--alter", "--add-config", "max.message.bytes=2000",
    )  # fmt: skip
    writer = log.open(task, 1)
    noise = [random.Random(i).randbytes(600).hex() for i in range(20)]
    with pytest.raises(ConfigurationInvalid, match=r"max\.message\.bytes"):
        writer.append(make_blocks([f"k{i}" for i in range(20)], noise, topic=topic), at(1))
    assert contents(log, topic) == []
    assert writer.checkpoint() is None
    writer.append(make_blocks(["small"], ["one"], topic=topic), at(1))
    assert [v for _, v in contents(log, topic)] == [b"one"]


def test_F2_a_topic_that_was_deleted_is_told_and_made_again(log: KafkaLog) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    Admin(log.options).ask(lambda client: client.delete_topics([topic]))
    with pytest.raises((NotFound, LogUnavailable)):
        writer.append(make_blocks(["b"], ["2"], topic=topic), at(2))
    log.ensure(Topic(name=topic))
    again = log.open(task, 1)
    again.append(make_blocks(["c"], ["3"], topic=topic), at(3))
    assert contents(log, topic)[-1][1] == b"3"


def test_G3_a_torn_batch_is_seen_and_repaired(log: KafkaLog) -> None:
    """The records of the second partition are there, the checkpoint and the first partition are not."""
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic, partitions=2))
    first = numbered(topic, task, batch=1, base=0)
    second = numbered(topic, task, batch=2, base=5)
    writer = log.open(task, 1)
    one = Checkpoint(source=SourceCheckpoint(value={"at": 1}), batch=1, sequences={f"{topic}/0": 4, f"{topic}/1": 4})
    two = Checkpoint(source=SourceCheckpoint(value={"at": 2}), batch=2, sequences={f"{topic}/0": 9, f"{topic}/1": 9})
    writer.append(first, one)
    writer.append([second[1]], one)  # what a torn transaction leaves
    again = log.open(task, 2)
    assert again.checkpoint() == one
    made = again.append(second, two)
    assert made.offsets[1] == -1
    for partition in (0, 1):
        assert [v for _, v in contents(log, topic, partition)] == [f"{partition}-{i}".encode() for i in range(10)]
    assert log.open(task, 2).checkpoint() == two


def test_G3_a_checkpoint_without_its_records_is_given_up_for_the_one_before(log: KafkaLog) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic, partitions=2))
    first = numbered(topic, task, batch=1, base=0)
    second = numbered(topic, task, batch=2, base=5)
    one = Checkpoint(source=SourceCheckpoint(value={"at": 1}), batch=1, sequences={f"{topic}/0": 4, f"{topic}/1": 4})
    two = Checkpoint(source=SourceCheckpoint(value={"at": 2}), batch=2, sequences={f"{topic}/0": 9, f"{topic}/1": 9})
    writer = log.open(task, 1)
    writer.append(first, one)
    writer.append([second[0]], two)  # the other partition was lost
    again = log.open(task, 1)
    assert again.checkpoint() == one
    again.append(second, two)
    for partition in (0, 1):
        assert [v for _, v in contents(log, topic, partition)] == [f"{partition}-{i}".encode() for i in range(10)]


def numbered(topic: str, task: str, *, batch: int, base: int) -> list[Block]:
    """Five records a partition with the headers of R7."""
    made = []
    for partition in (0, 1):
        values = pa.array([f"{partition}-{i}".encode() for i in range(base, base + 5)], pa.binary())
        constant = [("batch_id", f"{task}-1-{batch}".encode()), ("seq_base", str(base).encode())]
        section = blocks.encode(values, values, blocks.Headers(constant=constant))
        made.append(Block(topic=topic, partition=partition, count=5, records=section))
    return made
