"""Topics of the cluster as the hub's: partitions for ever, retention or compaction by the topic's own settings (R8, R9)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from hub.errors import ConfigurationInvalid, Conflict, DatongError, LogUnavailable
from hub.log.kafka.admin import Admin
from hub.log.kafka.cluster import Cluster, Place
from hub.log.kafka.options import KafkaOptions
from hub.model import INTERNAL_TOPICS, STATE, TOPIC_NAME, Topic

Wanted = dict[str, Any]  # a topic to be made, in kafka-python's words
CHECKPOINTS = "__checkpoints"
CHECKPOINT_PARTITIONS = 8  # an open transaction of one task holds back the readers of its partition only
TOMBSTONES_MS = 30 * 24 * 3600 * 1000  # kept at least so long (R8)
CHECKPOINT_SETTINGS = {  # compacted soon, so that a start reads little: each record names the one before it (G3)
    "cleanup.policy": "compact",
    "segment.ms": str(3600 * 1000),
    "segment.bytes": str(16 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}
KNOWN_S = 5.0  # how long settings of topics are believed
APPEAR_S = 10.0
LOOK_S = 0.05


class Topics:
    """Creates, changes and lists the topics that are the hub's. Thread-safe."""

    def __init__(self, options: KafkaOptions, cluster: Cluster, admin: Admin) -> None:
        self._options, self._cluster, self._admin = options, cluster, admin
        self._lock = threading.Lock()
        self._known: Mapping[str, Topic] = {}
        self._known_at = float("-inf")

    def all(self, *, fresh: bool = False) -> Mapping[str, Topic]:
        """Every topic with a name of the hub's, internal ones included."""
        with self._lock:
            if fresh or time.monotonic() - self._known_at > KNOWN_S:
                self._known, self._known_at = self._look(), time.monotonic()
            return self._known

    def places(self) -> list[Place]:
        """Every partition of these."""
        return [(name, partition) for name, topic in self.all().items() for partition in range(topic.partitions)]

    def ensure(self, *topics: Topic) -> None:
        """See `hub.ports.LogWriter.ensure`; several are made by one request."""
        self._ensure(topics, {})

    def ensure_internal(self) -> None:
        """The topics that the hub keeps for itself, and the compacted one of checkpoints."""
        internal = [Topic(name=name, compacted=name == STATE) for name in INTERNAL_TOPICS]
        there = CHECKPOINTS in self._cluster.partitions()
        more = {} if there else {CHECKPOINTS: self._wanted(CHECKPOINT_PARTITIONS, CHECKPOINT_SETTINGS)}
        self._ensure(internal, more)

    def size(self, topic: str) -> int | None:
        """Bytes of its segments, of each partition the largest copy; None where a broker does not say."""
        try:
            brokers = self._admin.ask(
                lambda client: client.describe_log_dirs([topic]), f"{self._options.where}/{topic}"
            )
        except DatongError:
            return None  # without DESCRIBE on the cluster nobody is told
        return _size([folder for broker in brokers for folder in broker["log_dirs"]], topic)

    def _ensure(self, topics: Sequence[Topic], more: Mapping[str, Wanted]) -> None:
        known = self.all(fresh=True)
        missing = {t.name: self._wanted(t.partitions, _settings(t)) for t in topics if t.name not in known} | dict(more)
        if missing:
            self._create(missing)
            known = self.all(fresh=True)
        for topic in topics:
            existing = known.get(topic.name, topic)
            if existing.partitions != topic.partitions:
                raise Conflict(
                    f"topic {topic.name} has {existing.partitions} partitions, for ever",
                    remedy="publish a new version of the topic to have another number",
                )
            if existing != topic:
                self._change(topic)

    def _wanted(self, partitions: int, settings: Mapping[str, str]) -> Wanted:
        configs = {
            **settings,
            "min.insync.replicas": str(self._options.min_insync),
            "max.message.bytes": str(self._options.max_message_bytes),
        }
        return {"num_partitions": partitions, "replication_factor": self._options.replication, "configs": configs}

    def _create(self, wanted: Mapping[str, Wanted]) -> None:
        try:
            self._admin.ask(
                lambda client: client.create_topics(dict(wanted)), f"{self._options.where}/{', '.join(wanted)}"
            )
        except LogUnavailable:
            if not wanted.keys() <= self._cluster.partitions(fresh=True).keys():  # else another process was faster
                raise
        self._appear({name: one["num_partitions"] for name, one in wanted.items()})

    def _change(self, topic: Topic) -> None:
        """Give it other settings, and wait until the brokers show them."""
        where = f"{self._options.where}/{topic.name}"
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=_settings(topic))]
        answers = self._admin.ask(lambda client: client.alter_configs(wanted), where)
        if any(text != "OK" for named in answers.values() for text in named.values()):
            raise ConfigurationInvalid(
                "the brokers refuse to change this topic's settings",
                where=where,
                remedy="grant ALTER_CONFIGS on the topics to the hub's user, or see the brokers' policies",
            )
        deadline = time.monotonic() + APPEAR_S
        while self.all(fresh=True).get(topic.name) != topic and time.monotonic() < deadline:
            time.sleep(LOOK_S)

    def _appear(self, names: Mapping[str, int]) -> None:
        """Until every partition has a leader."""
        deadline = time.monotonic() + APPEAR_S
        late = list(names)
        while late and time.monotonic() < deadline:
            there = self._cluster.partitions(fresh=True)
            late = [n for n in late if not (there.get(n) and self._cluster.led(n, range(names[n])))]
            if late:
                time.sleep(LOOK_S)
        if late:
            raise LogUnavailable("the topic was made but has no leaders yet", where=f"{self._options.where}/{late[0]}")

    def _look(self) -> Mapping[str, Topic]:
        counts = {
            name: count
            for name, count in self._cluster.partitions(fresh=True).items()
            if name in INTERNAL_TOPICS or TOPIC_NAME.fullmatch(name)
        }
        settings = self._describe(counts)
        return {name: _topic(name, count, settings.get(name, {})) for name, count in counts.items()}

    def _describe(self, names: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        found = self._admin.ask(lambda client: client.describe_configs(resources, config_filter="all"))
        return {
            name: {key: item["value"] if isinstance(item, dict) else item for key, item in configs.items()}
            for name, configs in found.get("topic", found).items()
        }


def _size(folders: Sequence[Mapping[str, Any]], topic: str) -> int | None:
    largest: dict[int, int] = {}
    for folder in folders:
        if folder["error_code"]:
            return None
        for one in folder["topics"]:
            for part in one["partitions"] if one["name"] == topic else ():
                if not part["is_future_key"]:
                    place = part["partition_index"]
                    largest[place] = max(largest.get(place, 0), part["partition_size"])
    return sum(largest.values()) if largest else None


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
