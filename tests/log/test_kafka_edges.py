"""What goes wrong between a task and a cluster that is well: open transactions of others, topics made anew, torn batches
seen late, compaction, refusals that pass, brokers that are silent. Each was a defect once, or could be."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pyarrow as pa
import pytest

from deploy.services import kafka as service
from deploy.services.kafka import Cluster
from hub import blocks
from hub.errors import ConfigurationInvalid, LogUnavailable, OutcomeUnknown, Retry
from hub.log.kafka import KafkaLog, tails, verify
from hub.log.kafka.admin import Admin
from hub.log.kafka.checkpoints import known
from hub.log.kafka.log import KafkaWriter
from hub.log.kafka.probe import probe
from hub.log.kafka.producers import make_producer
from hub.log.kafka.reader import KafkaReader
from hub.model import STATE, Block, Checkpoint, SourceCheckpoint, Topic
from tests.contracts.log_contract import at, contents, make_blocks
from tests.support.kafka import fresh, need_kafka, options_of


@pytest.fixture
def log(kafka_cluster: Cluster) -> Iterator[KafkaLog]:
    made = KafkaLog(options_of(kafka_cluster))
    yield made
    made.close()


def new_topic() -> str:
    return f"city.test.{fresh('thing')}.v1"


def numbered(topic: str, task: str, batch: int, *, partition: int = 0, count: int = 5, each: int = 5) -> list[Block]:
    """Batch 1, 2 … of a task with `count` records, in blocks of `each`, with the headers of R7."""
    base = (batch - 1) * count
    made = []
    for start in range(base, base + count, each):
        values = pa.array([f"{partition}-{i}".encode() for i in range(start, start + each)], pa.binary())
        told = {"batch_id": f"{task}-1-{batch}", "batch_n": count, "seq_base": base}
        constant = [(name, str(value).encode()) for name, value in told.items()]
        section = blocks.encode(values, values, blocks.Headers(constant=constant))
        made.append(Block(topic=topic, partition=partition, count=each, records=section))
    return made


def after(topic: str, batch: int, *, partitions: int = 1, count: int = 5) -> Checkpoint:
    sequences = {f"{topic}/{p}": batch * count - 1 for p in range(partitions)}
    return Checkpoint(source=SourceCheckpoint(value={"at": batch}), batch=batch, sequences=sequences)


def open_transaction(log: KafkaLog, made: list[Block]) -> KafkaWriter:
    """Of another task: it has written and not yet committed."""
    other = log.open(fresh("other"), 1)
    assert other._producer is not None
    other._producer.begin()
    other._producer.send(made)
    return other


def values(log: KafkaLog, topic: str, partition: int = 0) -> list[bytes | None]:
    return [v for _, v in contents(log, topic, partition)]


# --- open transactions of others --------------------------------------------------------------------------------------


def test_G3_a_tail_behind_an_open_transaction_of_another_task_is_not_taken_for_torn(
    log: KafkaLog, kafka_cluster: Cluster
) -> None:
    """The second batch is behind it: who stops there goes on from the first and doubles it."""
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(numbered(topic, task, 1), after(topic, 1))
    other = open_transaction(log, make_blocks(["x"], ["open"], topic=topic))
    writer.append(numbered(topic, task, 2), after(topic, 2))
    writer.close()
    elsewhere = KafkaLog(options_of(kafka_cluster))  # another process: it knows nothing of these appends
    threading.Timer(0.7, other.close).start()
    threading.Timer(0.9, lambda: log.open(other._task, 1).close()).start()  # aborts it
    again = elsewhere.open(task, 2)
    assert again.checkpoint() == after(topic, 2)
    again.append(numbered(topic, task, 3), after(topic, 3))
    assert values(elsewhere, topic) == [f"0-{i}".encode() for i in range(15)]
    elsewhere.close()


def test_R2_a_writer_opens_when_the_state_of_its_task_can_be_read(log: KafkaLog, kafka_cluster: Cluster) -> None:
    task = fresh("task")
    other = open_transaction(log, make_blocks(["x"], ["open"], topic=STATE))
    elsewhere = KafkaLog(options_of(kafka_cluster))
    opened = threading.Event()

    def open_it() -> None:
        elsewhere.open(task, 1).close()
        opened.set()

    thread = threading.Thread(target=open_it)
    thread.start()
    assert not opened.wait(0.5)
    other.close()
    log.open(other._task, 1).close()
    assert opened.wait(120)
    thread.join()
    elsewhere.close()


def test_R3_readers_get_what_is_before_an_open_transaction_and_are_not_refused(log: KafkaLog) -> None:
    topic = new_topic()
    log.ensure(Topic(name=topic))
    writer = log.open(fresh("task"), 1)
    writer.append(make_blocks(["a"], ["before"], topic=topic), at(1))
    other = open_transaction(log, make_blocks(["x"], ["open"], topic=topic))
    writer.append(make_blocks(["b"], ["behind"], topic=topic), at(2))
    assert values(log, topic) == [b"before"]
    assert log.wait(topic, {0: 0}, 0.1)
    other.close()
    log.open(other._task, 1).close()
    assert log.wait(topic, {0: 3}, 30)
    assert values(log, topic) == [b"before", b"behind"]


def test_an_end_that_is_told_late_does_not_go_back(log: KafkaLog) -> None:
    reader = KafkaReader(log._cluster)
    reader.appended({("t", 0): 20})
    reader.appended({("t", 0): 10})  # of another thread, which was slower to say so
    assert reader._own == {("t", 0): 20}


def test_F2_a_topic_made_anew_is_read_from_its_start(log: KafkaLog) -> None:
    """Its ends are far before those that this process has written and seen."""
    topic = new_topic()
    log.ensure(Topic(name=topic))
    writer = log.open(fresh("task"), 1)
    names = [f"k{i}" for i in range(2000)]
    writer.append(make_blocks(names, names, topic=topic), at(1))
    assert len(values(log, topic)) == 2000
    writer.append(make_blocks(["z"], ["z"], topic=topic), at(2))
    Admin(log.options).ask(lambda client: client.delete_topics([topic]))
    log._cluster.patiently(lambda: log._cluster.partitions(fresh=True))
    log.ensure(Topic(name=topic))
    log.open(fresh("task"), 1).append(make_blocks(["a"], ["1"], topic=topic), at(1))
    assert values(log, topic) == [b"1"]


# --- torn batches -----------------------------------------------------------------------------------------------------


def test_G3_a_torn_first_batch_is_seen_though_no_checkpoint_names_its_partition(log: KafkaLog) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic, partitions=2))
    log.open(task, 1).append([*numbered(topic, task, 1)], Checkpoint(source=None))  # what a torn transaction leaves
    again = log.open(task, 1)
    assert (again.checkpoint() or Checkpoint(source=None)).batch == 0
    again.append([*numbered(topic, task, 1), *numbered(topic, task, 1, partition=1)], after(topic, 1, partitions=2))
    assert [len(values(log, topic, p)) for p in (0, 1)] == [5, 5]


def test_G3_a_repair_that_fails_at_first_is_still_one(log: KafkaLog, monkeypatch: pytest.MonkeyPatch) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(numbered(topic, task, 1), after(topic, 1))
    writer.append(numbered(topic, task, 2), after(topic, 1))  # torn: its records without its checkpoint
    again = log.open(task, 2)
    assert again._producer is not None

    def fail(_blocks: object) -> None:
        raise LogUnavailable("for once")

    monkeypatch.setattr(again._producer, "send", fail)
    both = [*numbered(topic, task, 2), *numbered(topic, task, 3)]
    for turn in range(2):
        if turn == 0:
            with pytest.raises(LogUnavailable):
                again.append(both, after(topic, 3))
        else:
            again.append(both, after(topic, 3))
    assert values(log, topic) == [f"0-{i}".encode() for i in range(15)]


def test_R8_records_that_retention_took_are_no_torn_batch(log: KafkaLog) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(numbered(topic, task, 1, count=10, each=5), after(topic, 1, count=10))
    Admin(log.options).ask(lambda client: client.delete_records({_place(topic): 5}))
    again = log.open(task, 2)
    assert again.checkpoint() == after(topic, 1, count=10)


def _place(topic: str) -> object:
    from kafka import TopicPartition

    return TopicPartition(topic, 0)


@pytest.fixture(scope="module")
def cleaning_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that compacts at once."""
    need_kafka()
    quick = {"log.cleaner.backoff.ms": "100", "log.cleaner.min.cleanable.ratio": "0.01", "log.roll.ms": "100"}
    cluster = service.start(tmp_path_factory.mktemp("kafka") / "cleaning", properties=quick)
    yield cluster
    cluster.remove()


@pytest.mark.parametrize(
    ("more", "each", "fetch"),
    [(True, 5, 1_000_000), (False, 5, 1_000_000), (False, 10, 1_000_000), (False, 5, 1), (True, 5, 1)],
    ids=[
        "more is taken behind it", "nothing else is taken", "a part of a block is taken", "read batch by batch",
        "more is taken, read batch by batch",
    ],
)  # fmt: skip
def test_R8_records_that_compaction_took_are_no_torn_batch(
    cleaning_kafka: Cluster, monkeypatch: pytest.MonkeyPatch, more: bool, each: int, fetch: int
) -> None:
    """Another task overwrites the second half of the last batch, and the broker takes it away: all but the header, which it
    keeps as long as it knows the producer."""
    log = KafkaLog(options_of(cleaning_kafka))
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic, compacted=True))
    writer = log.open(task, 1)
    writer.append(numbered(topic, task, 1, count=10, each=each), after(topic, 1, count=10))
    writer.append(numbered(topic, task, 2, count=10, each=each), after(topic, 2, count=10))
    writer.close()
    name = fresh("other")
    other = log.open(name, 1)
    compacted = False
    for turn in looks():
        other.append(
            numbered(topic, name, 4 if more or not turn else 4 + turn), at(turn, topic)
        )  # 4: the keys 15 to 19
        offsets = [offset for offset, _ in contents(log, topic)]
        compacted = not {11, 15, 16, 20}.issubset(offsets) and 16 not in offsets
        if compacted:
            break
    assert compacted
    for module in (tails, verify):
        monkeypatch.setattr(module, "FETCH_BYTES", fetch)
    fresh_log = KafkaLog(options_of(cleaning_kafka))
    opened = fresh_log.open(task, 2)
    assert opened.checkpoint() == after(topic, 2, count=10)
    assert not opened._repair.torn
    found = fresh_log.verify()
    assert ([torn for torn in found.torn if torn.topic == topic], found.corrupt) == ([], []), "nor does `fsck` say so"
    assert found.unjudged
    fresh_log.close()
    log.close()


def looks(first: int = 0) -> Iterator[int]:
    """Numbers, until the broker must have cleaned: it does so when it has time."""
    deadline = time.monotonic() + 120
    for number in count(first):
        yield number
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)


def test_G6_checkpoints_stay_known_when_their_topic_is_compacted(cleaning_kafka: Cluster) -> None:
    """The last two of a task, however often the topic is cleaned: the repair of a torn batch needs both."""
    log = KafkaLog(options_of(cleaning_kafka))
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    Admin(log.options).ask(
        lambda client: client.alter_configs([_resource("__checkpoints", {"segment.ms": "100"})])
    )  # an hour in earnest
    writer = log.open(task, 1)
    cleaned = False
    for batch in looks(1):
        writer.append(numbered(topic, task, batch), after(topic, batch))
        partition = log.checkpoints.partition_of(task)
        if batch > 20 and len(contents(log, "__checkpoints", partition)) < batch - 10:
            cleaned = True
            break
    assert cleaned
    fresh_log = KafkaLog(options_of(cleaning_kafka))
    entries = fresh_log.checkpoints.history(task)
    assert known(entries)[-2:] == [after(topic, batch - 1), after(topic, batch)]
    fresh_log.close()
    log.close()


def _resource(topic: str, configs: dict[str, str]) -> object:
    from kafka.admin import ConfigResource, ConfigResourceType

    return ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)


# --- taking over ------------------------------------------------------------------------------------------------------


def test_R4_a_stale_writer_that_needs_a_new_producer_does_not_disturb_the_newer_one(log: KafkaLog) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    stale = log.open(task, 1)
    stale._drop_producer()
    newer = log.open(task, 2)
    deadline = time.monotonic() + 30
    while log.checkpoints.history(task)[-1].epoch < 2:  # a commit is answered before its marker is there
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(Exception, match="taken over"):
        stale.append(make_blocks(["a"], ["stale"], topic=topic), at(1))
    newer.append(make_blocks(["b"], ["newer"], topic=topic), at(1))  # its producer was not fenced
    assert values(log, topic) == [b"newer"]


def test_R1_a_fence_without_a_name_is_an_unknown_outcome(log: KafkaLog) -> None:
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    log.open(task, 1)  # the same epoch: a recycled writer
    with pytest.raises(OutcomeUnknown):
        writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))


def test_G3_paranoid_makes_a_new_producer_for_every_append(kafka_cluster: Cluster) -> None:
    log = KafkaLog(options_of(kafka_cluster, paranoid=True))
    topic, task = new_topic(), fresh("task")
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    epochs = []
    for part in range(3):
        if writer._producer is None:
            writer._renew()
        assert writer._producer is not None
        epochs.append(writer._producer._producer._transaction_manager.producer_id_and_epoch.epoch)  # type: ignore[attr-defined]
        writer.append(make_blocks(["a"], [str(part)], topic=topic), at(part))
        assert writer._producer is None
    assert epochs == sorted(set(epochs))
    assert values(log, topic) == [b"0", b"1", b"2"]
    log.close()


# --- brokers that do not answer ---------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_F3_a_broker_that_listens_and_says_nothing_may_answer_later(
    listener: socket.socket, kafka_cluster: Cluster
) -> None:
    """It is stopped, or busy: no wrong setting."""
    port = listener.getsockname()[1]
    with pytest.raises(LogUnavailable, match="did not answer"):
        probe(options_of(kafka_cluster, bootstrap=(f"127.0.0.1:{port}",), bootstrap_timeout_s=1.0))


def test_a_broker_that_dies_while_it_is_asked_is_not_a_wrong_setting(
    listener: socket.socket, kafka_cluster: Cluster
) -> None:
    port = listener.getsockname()[1]

    def die() -> None:
        for _ in range(2):  # the first connection only looks whether anybody listens
            listener.accept()[0].close()
        listener.close()

    thread = threading.Thread(target=die)
    thread.start()
    with pytest.raises(LogUnavailable, match="nobody answers"):
        probe(options_of(kafka_cluster, bootstrap=(f"127.0.0.1:{port}",)))
    thread.join()


def test_a_listener_that_always_hangs_up_is_a_wrong_setting(listener: socket.socket, kafka_cluster: Cluster) -> None:
    port = listener.getsockname()[1]
    ended = threading.Event()

    def hang_up() -> None:
        while not ended.is_set():
            try:
                listener.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(ConfigurationInvalid, match="does not speak"):
        probe(options_of(kafka_cluster, bootstrap=(f"127.0.0.1:{port}",)))
    ended.set()
    socket.create_connection(("127.0.0.1", port)).close()


def test_F2_a_broker_that_is_away_costs_neither_sockets_nor_threads(mortal_kafka: Cluster) -> None:
    topic = new_topic()
    options = options_of(mortal_kafka, bootstrap_timeout_s=0.4, request_timeout_s=0.5, append_timeout_s=1.0)

    def used() -> KafkaLog | None:
        with suppress(Retry):  # the machine may be too slow for such a hurry
            log = KafkaLog(options)
            log.ensure(Topic(name=topic))
            log.open("task", 1).append(make_blocks(["a"], ["1"], topic=topic), at(1))
            return log
        return None

    log = next(made for made in iter(used, object()) if made)
    mortal_kafka.kill(mortal_kafka.nodes[0])
    steps = (lambda: log.read(topic, 0, 0, 1), lambda: make_producer(options, "hub-x"), lambda: KafkaLog(options),
             lambda: Admin(options).ask(lambda client: client.list_topics()))  # fmt: skip
    gc.collect()
    gc.disable()
    try:
        before = []
        for turn in range(8):
            for step in steps:
                with pytest.raises(Retry):
                    step()
            if turn in (1, 7):
                before.append((len(os.listdir("/proc/self/fd")), threading.active_count()))
    finally:
        gc.enable()
    (fds, threads), (more_fds, more_threads) = before
    assert more_fds <= fds + 4
    assert more_threads <= threads + 1
    assert not log.healthy()
    log.close()
