"""Topics of the cluster as the hub's: partitions for ever, retention or compaction by the topic's own settings (R8, R9)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping

from kafka import errors as kafka
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from hub.errors import Conflict, LogUnavailable
from hub.log.kafka.connection import Connection
from hub.log.kafka.errors import translated
from hub.log.kafka.options import KafkaOptions
from hub.model import INTERNAL_TOPICS, TOPIC_NAME, Topic

CHECKPOINTS = "__checkpoints"
CHECKPOINT_PARTITIONS = 8  # an open transaction of one task holds back the readers of its partition only
TOMBSTONES_MS = 30 * 24 * 3600 * 1000  # kept at least so long (R8)
CHECKPOINT_HISTORY_MS = 24 * 3600 * 1000  # older checkpoints of a task, for repairs (G3)
KNOWN_S = 5.0  # how long settings of topics are believed
APPEAR_S = 10.0


class Topics:
    """Creates, changes and lists the topics that are the hub's. Thread-safe."""

    def __init__(self, options: KafkaOptions, connection: Connection) -> None:
        self._options, self._connection = options, connection
        self._lock = threading.Lock()
        self._known: Mapping[str, Topic] = {}
        self._known_at = float("-inf")
        with translated(options.where):
            self.admin = KafkaAdminClient(
                **options.client(), bootstrap_timeout_ms=int(options.bootstrap_timeout_s * 1000)
            )

    def close(self) -> None:
        """End the admin client."""
        self.admin.close()

    def all(self, *, fresh: bool = False) -> Mapping[str, Topic]:
        """Every topic with a name of the hub's, internal ones included."""
        with self._lock:
            if fresh or time.monotonic() - self._known_at > KNOWN_S:
                self._known, self._known_at = self._look(), time.monotonic()
            return self._known

    def ensure(self, topic: Topic) -> None:
        """See `hub.ports.LogWriter.ensure`."""
        existing = self.all(fresh=True).get(topic.name)
        if existing == topic:
            return
        if existing is None:
            self._create(topic.name, topic.partitions, _settings(topic))
            existing = self.all(fresh=True).get(topic.name, topic)
        if existing.partitions != topic.partitions:
            raise Conflict(
                f"topic {topic.name} has {existing.partitions} partitions, for ever",
                remedy="publish a new version of the topic to have another number",
            )
        if existing != topic:
            with translated(f"{self._options.where}/{topic.name}"):
                self.admin.alter_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=_settings(topic))]
                )
            self.all(fresh=True)

    def ensure_checkpoints(self) -> None:
        """The compacted topic of checkpoints, whose history stays for a day."""
        if CHECKPOINTS not in self._connection.partitions():
            kept = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(CHECKPOINT_HISTORY_MS)}
            self._create(CHECKPOINTS, CHECKPOINT_PARTITIONS, kept)

    def _create(self, name: str, partitions: int, settings: Mapping[str, str]) -> None:
        configs = {
            **settings,
            "min.insync.replicas": str(self._options.min_insync),
            "max.message.bytes": str(self._options.max_message_bytes),
        }
        wanted = {"num_partitions": partitions, "replication_factor": self._options.replication, "configs": configs}
        where = f"{self._options.where}/{name}"
        try:
            with translated(where):
                self.admin.create_topics({name: wanted})
        except LogUnavailable:
            if name not in self._connection.partitions(fresh=True):  # else another process was faster
                raise
        self._appear(name, partitions)

    def _appear(self, name: str, partitions: int) -> None:
        """Until every partition has a leader."""
        deadline = time.monotonic() + APPEAR_S
        while time.monotonic() < deadline:
            if self._connection.partitions(fresh=True).get(name):
                try:
                    for partition in range(partitions):
                        self._connection.leader(name, partition)
                except kafka.KafkaError:
                    pass
                else:
                    return
            time.sleep(0.05)
        raise LogUnavailable("the topic was made but has no leaders yet", where=f"{self._options.where}/{name}")

    def _look(self) -> Mapping[str, Topic]:
        counts = {
            name: count
            for name, count in self._connection.partitions(fresh=True).items()
            if name in INTERNAL_TOPICS or TOPIC_NAME.fullmatch(name)
        }
        settings = self._describe(counts)
        return {name: _topic(name, count, settings.get(name, {})) for name, count in counts.items()}

    def _describe(self, names: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        with translated(self._options.where):
            found = self.admin.describe_configs(resources, config_filter="all")
        return {
            name: {key: item["value"] if isinstance(item, dict) else item for key, item in configs.items()}
            for name, configs in found.get("topic", found).items()
        }


def _settings(topic: Topic) -> dict[str, str]:
    if topic.compacted:
        made = {"cleanup.policy": "compact", "delete.retention.ms": str(TOMBSTONES_MS)}
    else:
        made = {"cleanup.policy": "delete"}
    made["retention.ms"] = str(-1 if topic.retention_ms is None else topic.retention_ms)
    made["retention.bytes"] = str(-1 if topic.retention_bytes is None else topic.retention_bytes)
    return made


def _topic(name: str, partitions: int, configs: Mapping[str, str]) -> Topic:
    def limit(key: str) -> int | None:
        value = int(configs.get(key) or -1)
        return None if value < 0 else value

    return Topic(
        name=name,
        partitions=partitions,
        compacted="compact" in configs.get("cleanup.policy", ""),
        retention_ms=limit("retention.ms"),
        retention_bytes=limit("retention.bytes"),
    )
