"""A broker to send to: the one given, or one from its jars for the length of the run, on the core that no subject uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTITIONS = 4
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

    def drop(self, topic: str) -> None:
        """Give its space back."""
        self._admin.delete_topics([topic])


@contextmanager
def broker(bootstrap: str | None, directory: Path) -> Iterator[Broker]:
    """The broker at an address, or a new one. Raises ServiceMissing when Java or its jars are absent."""
    if bootstrap:
        given = Broker(bootstrap, None)
        yield given
        given.close()
        return
    from deploy.services import kafka as service

    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    core = sorted(before)[1] if before is not None and len(before) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, {core})  # inherited by the broker's threads
    try:
        cluster = service.start(directory / "kafka", heap=HEAP, fast=False)
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
    made = Broker(cluster.bootstrap, core)
    try:
        yield made
    finally:
        made.close()
        cluster.remove()


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
