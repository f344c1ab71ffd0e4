"""What a client that is not ours sees: librdkafka, committed records only, every CRC checked."""

from __future__ import annotations

import time

import confluent_kafka
from confluent_kafka import TopicPartition

Record = tuple[int, int, bytes | None]  # partition, offset, value


def foreign_records(bootstrap: str, topic: str, timeout_s: float = 60.0) -> list[Record]:
    """All records of a topic in the order of each partition, to the end that the broker names."""
    return [(m.partition(), m.offset(), m.value()) for m in foreign_messages(bootstrap, topic, timeout_s)]


def foreign_messages(bootstrap: str, topic: str, timeout_s: float = 60.0) -> list[confluent_kafka.Message]:
    """The messages themselves, with keys and headers."""
    client = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "foreign",
            "isolation.level": "read_committed",
            "check.crcs": True,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        partitions = client.list_topics(topic, timeout=timeout_s).topics[topic].partitions
        client.assign([TopicPartition(topic, p, 0) for p in partitions])
        found, ended, deadline = [], set(), time.monotonic() + timeout_s
        while len(ended) < len(partitions):
            messages = client.consume(10_000, 0.2)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} was not read to its end in {timeout_s} s")
            for message in messages:
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
                else:
                    raise RuntimeError(str(error))
        return sorted(found, key=lambda m: (m.partition(), m.offset()))
    finally:
        client.close()
