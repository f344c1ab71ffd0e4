"""Transactions whose coordinator holds them for ended while partitions wait for the marker (F2, F8; KAFKA-20734).

The brokers leave such a one behind in about every second crash at the wrong moment; here it is made for certain: records reach
their partitions in a transaction that the coordinator was never told of, on a broker that does not ask it.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from kafka import TopicPartition
from structlog.testing import capture_logs

from deploy.services import kafka as service
from deploy.services.kafka import Cluster
from hub.log.kafka import KafkaLog
from hub.log.kafka.log import KafkaWriter
from hub.log.kafka.producers import make_producer
from hub.log.kafka.topics import CHECKPOINT_PARTITIONS, CHECKPOINTS
from hub.model import Topic
from tests.contracts.log_contract import at, contents, make_blocks
from tests.support.kafka import fresh, need_kafka, options_of
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that does not ask the coordinator before it takes records of a transaction, as before Kafka 3.6."""
    need_kafka()
    properties = {"transaction.partition.verification.enable": "false"}
    cluster = service.start(tmp_path_factory.mktemp("trusting") / "kafka", properties=properties)
    yield cluster
    cluster.remove()


def leave_hanging(log: KafkaLog, task: str, topic: str) -> KafkaWriter:
    """Two appends that are answered; the markers of the second are never written."""
    log.ensure(Topic(name=topic))
    writer = log.open(task, 1)
    writer.append(make_blocks(["a"], ["1"], topic=topic), at(1))
    assert eventually(lambda: not log.reader.undecided(log._places()))  # its late markers would end the next one too
    bulk: Any = writer._producer
    begin = bulk.begin
    places = [TopicPartition(topic, 0), *(TopicPartition(CHECKPOINTS, p) for p in range(CHECKPOINT_PARTITIONS))]

    def begin_untold() -> None:
        begin()
        bulk._producer._transaction_manager._partitions_in_transaction.update(places)

    bulk.begin = begin_untold
    writer.append(make_blocks(["a"], ["2"], topic=topic), at(2))
    return writer


def outcomes(told: list[MutableMapping[str, Any]]) -> set[str]:
    """What was said to be written into partitions."""
    return {str(line["outcome"]) for line in told if line["event"] == "hanging_transaction_ended"}


def test_F2_a_commit_without_markers_is_completed_by_the_next_writer(trusting: Cluster) -> None:
    log, topic, task = KafkaLog(options_of(trusting)), f"city.test.{fresh('thing')}.v1", fresh("task")
    leave_hanging(log, task, topic).close()
    assert log.reader.undecided(log._places())
    with capture_logs() as told:
        writer = log.open(task, 2)
    assert writer.checkpoint() == at(2)
    assert [v for _, v in contents(log, topic)] == [b"1", b"2"]
    assert outcomes(told) == {"committed"}
    assert not log.reader.undecided(log._places())
    writer.close()
    log.close()


def test_F8_what_nobody_remembers_is_aborted_and_appended_again(trusting: Cluster) -> None:
    options = options_of(trusting)
    log, topic, task = KafkaLog(options), f"city.test.{fresh('thing')}.v1", fresh("task")
    leave_hanging(log, task, topic).close()
    make_producer(options, f"hub-{task}").kill()  # the coordinator forgets what it had decided
    with capture_logs() as told:
        writer = log.open(task, 2)
    assert outcomes(told) == {"aborted"}
    assert writer.checkpoint() == at(1)
    writer.append(make_blocks(["a"], ["2"], topic=topic), at(2))
    assert [v for _, v in contents(log, topic)] == [b"1", b"2"]
    writer.close()
    log.close()


def test_an_open_transaction_of_another_task_is_left_alone(trusting: Cluster) -> None:
    log, topic = KafkaLog(options_of(trusting)), f"city.test.{fresh('thing')}.v1"
    log.ensure(Topic(name=topic))
    other, mine = log.open(fresh("other"), 1), fresh("mine")
    bulk: Any = other._producer
    bulk.begin()
    bulk.send(make_blocks(["a"], ["1"], topic=topic))
    log.hanging.look(f"hub-{mine}")
    make_producer(options_of(trusting), f"hub-{mine}").kill()
    assert log.hanging.end(f"hub-{mine}") == 0
    bulk.commit()
    assert log.wait(topic, {0: 0}, 5)
    assert [v for _, v in contents(log, topic)] == [b"1"]
    other.close()
    log.close()
