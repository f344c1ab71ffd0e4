"""Subscribers' offsets, shown to Kafka's own lag tools: a copy of what `store/` keeps, never read back (R24)."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import structlog
from kafka import TopicPartition
from kafka import errors as kafka
from kafka.structs import OffsetAndMetadata

from hub.errors import DatongError, Retry
from hub.log.kafka.admin import Admin

log = structlog.get_logger(__name__)
RETRY_S, RETRY_MOST_S = 0.5, 30.0
CLOSE_S = 3.0
Key = tuple[str, str]  # group, topic


class GroupMirror:
    """Writes the newest offsets of each group in a thread of its own; a broker that is away delays nobody."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._wanted: dict[Key, Mapping[int, int]] = {}
        self._changed = threading.Condition()
        self._ended = self._refused = False
        self._until = float("inf")
        self._thread = threading.Thread(target=self._loop, name="kafka-group-mirror", daemon=True)
        self._thread.start()

    def put(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """These are the group's offsets now."""
        with self._changed:
            self._wanted[group, topic] = dict(positions)
            self._changed.notify()

    def close(self) -> None:
        """Write what is left, for three seconds at most."""
        with self._changed:
            self._ended, self._until = True, time.monotonic() + CLOSE_S
            self._changed.notify()
        self._thread.join(CLOSE_S)

    def _loop(self) -> None:
        wait_s = RETRY_S
        while True:
            with self._changed:
                while not self._wanted and not self._ended:
                    self._changed.wait()
                if not self._wanted:
                    return
                (group, topic), positions = self._wanted.popitem()
            offsets = {TopicPartition(topic, p): OffsetAndMetadata(o, "", -1) for p, o in positions.items()}
            if self._write(group, offsets):
                wait_s = RETRY_S
                continue
            with self._changed:
                if time.monotonic() > self._until:
                    return
                self._wanted.setdefault((group, topic), positions)
                self._changed.wait(RETRY_S if self._ended else wait_s)
            wait_s = min(wait_s * 2, RETRY_MOST_S)

    def _write(self, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Is it done, or not worth another try?"""
        try:
            answers = self._admin.ask(lambda client: client.alter_group_offsets(group, offsets))
        except Retry:
            return False
        except DatongError as error:
            self._tell(group, error.message)
            return True
        refused = [a for a in answers.values() if a is not kafka.NoError]
        if any(issubclass(a, kafka.RetriableError) for a in refused):
            self._admin.forget()  # the coordinator moved, perhaps, and the client would ask the old one for ever
            return False
        if refused:
            self._tell(group, refused[0].__name__)
        return True

    def _tell(self, group: str, why: str) -> None:
        """Once: it is nothing that the next group would change."""
        if not self._refused:
            log.warning("group_offsets_not_shown", group=group, error=why)
        self._refused = True
