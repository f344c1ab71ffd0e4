"""Subscribers' offsets, shown to Kafka's own lag tools: a copy of what `store/` keeps, never read back (R24)."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from kafka import TopicPartition
from kafka import errors as kafka
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

RETRY_S = 0.5
Key = tuple[str, str]  # group, topic


class GroupMirror:
    """Writes the newest offsets of each group in a thread of its own; a broker that is away delays nobody."""

    def __init__(self, admin: KafkaAdminClient) -> None:
        self._admin = admin
        self._wanted: dict[Key, Mapping[int, int]] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._loop, name="kafka-group-mirror", daemon=True)
        self._thread.start()

    def put(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """These are the group's offsets now."""
        with self._changed:
            self._wanted[group, topic] = dict(positions)
            self._changed.notify()

    def close(self) -> None:
        """Write what is left, for a second at most."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(1)

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._wanted and not self._ended:
                    self._changed.wait()
                if not self._wanted:
                    return
                (group, topic), positions = self._wanted.popitem()
            offsets = {TopicPartition(topic, p): OffsetAndMetadata(o, "", -1) for p, o in positions.items()}
            if not self._write(group, offsets) and not self._ended:
                time.sleep(RETRY_S)
                with self._changed:
                    self._wanted.setdefault((group, topic), positions)

    def _write(self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        try:
            answers = self._admin.alter_group_offsets(group, offsets)
        except (kafka.KafkaError, OSError):
            return False
        return not any(issubclass(a, kafka.RetriableError) for a in answers.values())
