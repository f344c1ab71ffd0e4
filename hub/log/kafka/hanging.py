"""Transactions that their coordinator holds for ended, while partitions still wait for the marker.

A broker of Kafka 4.3 that comes back after a crash completes a prepared transaction without marking partitions that have no
leader at that moment (KAFKA-20734). Nobody ends it afterwards: readers of committed records, and the task itself, wait behind
it for ever. Who holds the transactional id can tell: once Kafka has given it a new epoch, nothing of an older one can be
open any more. What is, gets the marker that its coordinator had decided on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import TopicPartition
from kafka import errors as kafka
from kafka.admin import KafkaAdminClient
from kafka.protocol.producer.transaction import WriteTxnMarkersRequest

from hub.errors import ConfigurationInvalid, NotFound
from hub.log.kafka.admin import Admin
from hub.log.kafka.cluster import Place
from hub.log.kafka.reader import KafkaReader

log = structlog.get_logger(__name__)
COMMITTED = frozenset({"PrepareCommit", "CompleteCommit"})
REMEDY = "grant ALTER on the cluster to the hub's user, or end it with `kafka-transactions.sh abort`"
Epoch = tuple[int, int]  # producer id, its epoch


@dataclass(frozen=True)
class Open:
    """A transaction that a partition holds for open."""

    place: Place
    holder: Epoch
    coordinator_epoch: int


class Hanging:
    """Finds and ends them, for the tasks of one log. Thread-safe."""

    def __init__(self, admin: Admin, reader: KafkaReader, places: Callable[[], Iterable[Place]]) -> None:
        self._admin, self._reader, self._places = admin, reader, places
        self._lock = threading.Lock()
        self._outcomes: dict[str, tuple[Epoch, bool]] = {}

    def look(self, transactional_id: str) -> None:
        """Before the id is taken: how did its last transaction end? Taking it makes the coordinator forget."""
        if not self._undecided():
            return
        state, epoch = self._describe(transactional_id)
        if state != "Empty":
            with self._lock:
                self._outcomes[transactional_id] = epoch, state in COMMITTED

    def end(self, transactional_id: str) -> int:
        """After the id was taken: mark what is open of its earlier epochs. Returns in how many partitions.

        What was decided is kept: committed when the coordinator had said so. Where nobody knows any more it is aborted, and
        appended again (G3 d). Without the right to do it, says so once and leaves it. Raises LogUnavailable."""
        held = self._undecided()
        if not held:
            return 0
        with self._lock:
            known = self._outcomes.pop(transactional_id, None)
        _, (producer, epoch) = self._describe(transactional_id)
        own = {producer} | ({known[0][0]} if known else set())
        found = [o for o in self._open(held) if o.holder[0] in own and o.holder != (producer, epoch)]
        for one in found:
            commit = known is not None and one.holder == known[0] and known[1]
            if not self.mark(one, commit=commit):
                return 0
            log.error("hanging_transaction_ended", id=transactional_id, topic=one.place[0], partition=one.place[1],
                      outcome="committed" if commit else "aborted")  # fmt: skip
        return len(found)

    def _undecided(self) -> list[Place]:
        return list(self._reader.undecided(list(self._places())))

    def _describe(self, transactional_id: str) -> tuple[str, Epoch]:
        """State of the id at its coordinator, and who holds it."""

        def step(client: KafkaAdminClient) -> tuple[str, Epoch]:
            try:
                found = client.describe_transactions([transactional_id])[transactional_id]
            except kafka.TransactionalIdNotFoundError:
                return "Empty", (-1, -1)
            return str(found.state.value), (int(found.producer_id), int(found.producer_epoch))

        return self._admin.ask(step)

    def _open(self, places: Iterable[Place]) -> list[Open]:
        try:
            states: Mapping[Any, Any] = self._admin.ask(
                lambda client: client.describe_producers([TopicPartition(*place) for place in places])
            )
        except NotFound:  # a topic that was deleted in between
            return []
        return [
            Open((at.topic, at.partition), (p.producer_id, p.producer_epoch), max(p.coordinator_epoch, 0))
            for at, state in states.items()
            for p in state.active_producers
            if p.current_transaction_start_offset >= 0
        ]

    def mark(self, one: Open, *, commit: bool) -> bool:
        """Write the marker; False: the hub's user may not."""

        async def send(client: KafkaAdminClient, request: Any) -> Any:
            leaders = await client._async_get_leader_for_partitions([TopicPartition(*one.place)])
            return await client._manager.send(request, node_id=next(iter(leaders)))

        def step(client: KafkaAdminClient) -> None:
            answer = client._manager.run(send, client, marker(one, commit))
            for code in {p.error_code for m in answer.markers for t in m.topics for p in t.partitions}:
                if code:
                    raise kafka.for_code(code)()

        try:
            self._admin.ask(step)
        except ConfigurationInvalid:
            log.error("hanging_transaction_left", topic=one.place[0], partition=one.place[1], remedy=REMEDY)
            return False
        return True


def marker(one: Open, commit: bool) -> Any:
    """The request that ends a transaction in one partition, as its coordinator would have sent it."""
    written = WriteTxnMarkersRequest.WritableTxnMarker
    topic = written.WritableTxnMarkerTopic(name=one.place[0], partition_indexes=[one.place[1]])
    producer, epoch = one.holder
    made = written(producer_id=producer, producer_epoch=epoch, transaction_result=commit, topics=[topic],
                   coordinator_epoch=one.coordinator_epoch)  # fmt: skip
    return WriteTxnMarkersRequest(markers=[made])
