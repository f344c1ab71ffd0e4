"""A broker to send to: the one given, or one from its jars for the length of the run, on the core that no subject uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTITIONS = 4
QUARANTINE = "__quarantine"
HEAP = "1g"


class Broker:
    """Topics for the subjects, which are taken away after each."""

    def __init__(self, bootstrap: str, core: int | None) -> None:
        from kafka.admin import KafkaAdminClient

        self.bootstrap, self.core = bootstrap, core
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def close(self) -> None:
        """Nothing of the broker's is touched."""
        self._admin.close()

    def create(self, topic: str) -> None:
        """A topic like the hub's."""
        self._admin.create_topics({topic: {"num_partitions": PARTITIONS, "replication_factor": 1}})

    def size(self, topic: str) -> int:
        """Bytes of a topic on the broker's disk."""
        return _sizes(self._admin.describe_log_dirs(topic_partitions=[topic]), topic)

    def count(self, topic: str) -> int:
        """Records of a topic that nobody writes to in transactions."""
        from kafka import TopicPartition
        from kafka.admin import OffsetSpec

        wanted = {TopicPartition(topic, partition): OffsetSpec.LATEST for partition in range(PARTITIONS)}
        return sum(found.offset for found in self._admin.list_partition_offsets(wanted).values())

    def drop(self, topic: str) -> None:
        """Give its space back."""
        self._admin.delete_topics([topic])

    def forget(self, *topics: str) -> None:
        """Give back what the hub left. On a broker of our own the quarantine goes too: each run starts by reading it."""
        ours = [QUARANTINE] if self.core is not None else []
        self._admin.delete_topics([*topics, *ours])


@contextmanager
def broker(bootstrap: str | None, directory: Path) -> Iterator[Broker]:
    """The broker at an address, or a new one. Raises ServiceMissing when Java or its jars are absent."""
    if bootstrap:
        given = Broker(bootstrap, None)
        yield given
        given.close()
        return
    from deploy.services import kafka as service

    with other_core() as core:
        cluster = service.start(directory / "kafka", heap=HEAP, fast=False)
    made = Broker(cluster.bootstrap, core)
    try:
        yield made
    finally:
        made.close()
        cluster.remove()


@contextmanager
def other_core() -> Iterator[int | None]:
    """What is started here stays on the core that no subject is pinned to, where there are two; gives its number."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(before) < 2:
        yield None
        return
    core = sorted(before)[1]
    os.sched_setaffinity(0, {core})  # inherited by what is started
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def _sizes(found: Any, topic: str) -> int:
    """The sum of `partition_size` below the topic's name, wherever this version of the client has them."""
    if isinstance(found, list | tuple):
        return sum(_sizes(item, topic) for item in found)
    if not isinstance(found, dict):
        return 0
    name = found.get("name", found.get("topic"))
    if name is not None and name != topic:
        return 0
    own = int(found.get("partition_size", found.get("size", 0)) or 0)
    return own + sum(_sizes(item, topic) for item in found.values())
