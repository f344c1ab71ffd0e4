"""Requests of our own to the nodes of a cluster, on one network thread that all readers share.

It relies on `kafka.net` and the request classes, which are private to kafka-python: see ADR 6 and `self_test`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse

from hub.errors import LogUnavailable
from hub.log.kafka.batches import Aborted, Parsed, parse
from hub.log.kafka.cluster import COMMITTED, LATEST, OutOfRange, Place, Result
from hub.log.kafka.errors import is_kerberos, translate
from hub.log.kafka.options import KafkaOptions
from hub.log.kafka.probe import probe

RETRY_S = 0.1
TOPIC_NAMES = 12  # the last version of Fetch that names topics, not their ids
LISTED = 6  # of ListOffsets; from 5 on a new leader says when it does not know its end yet
logging.getLogger("kafka").setLevel(logging.CRITICAL)  # its texts may quote settings; ours say what happened


class Connection:
    """Implements `Cluster`."""

    def __init__(self, options: KafkaOptions) -> None:
        """Raises ConfigurationInvalid or LogUnavailable, with the cause, in about `bootstrap_timeout_s`."""
        probe(options)
        self.where = options.where
        self._answer_s = options.request_timeout_s
        self._closed = False
        configuration = {**options.client(), "client_id": f"{options.client_id}-read"}
        configuration |= {"max_in_flight_requests_per_connection": 10_000, "receive_message_max_bytes": 100_000_000}
        self._net = NetworkSelector(**configuration)
        self._manager = KafkaConnectionManager(self._net, **configuration)
        self._manager.cluster.need_all_topic_metadata = True
        self._manager.cluster.config["allow_auto_create_topics"] = False
        self._net.start()
        try:
            self._manager.bootstrap(timeout_ms=int(options.bootstrap_timeout_s * 1000))
        except kafka.KafkaError as error:
            self.close()
            raise translate(error, self.where) from None

    def close(self) -> None:
        """See `Cluster.close`."""
        self._closed = True
        with contextlib.suppress(Exception):
            self._net.run(self._close)
        self._net.close()

    async def _close(self) -> None:
        self._manager.close()

    def answers(self, timeout_s: float) -> bool:
        """See `Cluster.answers`."""
        try:
            self._within(timeout_s, self._manager.cluster.refresh_metadata)
        except (kafka.KafkaError, LogUnavailable):
            return False
        return True

    def partitions(self, *, fresh: bool = False) -> Mapping[str, int]:
        """See `Cluster.partitions`."""
        if fresh:
            self.patiently(lambda: self._within(self._answer_s, self._manager.cluster.refresh_metadata))
        return {t: self.count(t) for t in self._manager.cluster.topics(exclude_internal_topics=True)}

    def count(self, topic: str) -> int:
        """See `Cluster.count`."""
        return len(self._manager.cluster.partitions_for_topic(topic) or ())

    def led(self, topic: str, partitions: range) -> bool:
        """See `Cluster.led`."""
        return all((node := self._led_by(topic, p)) is not None and node >= 0 for p in partitions)

    def fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        """See `Cluster.fetch`."""
        return self.patiently(lambda: self._fetch(topic, partition, offset, max_bytes))

    def offsets(self, places: Sequence[Place], when: int, isolation: int) -> Mapping[Place, int]:
        """See `Cluster.offsets`."""
        return self.patiently(lambda: self._offsets(places, when, isolation))

    def patiently(self, step: Callable[[], Result], *, timeout_s: float | None = None) -> Result:
        """See `Cluster.patiently`."""
        deadline = time.monotonic() + (self._answer_s if timeout_s is None else timeout_s)
        while True:
            try:
                return step()
            except kafka.RetriableError as error:
                if time.monotonic() + RETRY_S > deadline:
                    raise translate(error, self.where) from None
            except Exception as error:
                if not isinstance(error, kafka.KafkaError) and not is_kerberos(error):
                    raise
                raise translate(error, self.where) from None
            time.sleep(RETRY_S)
            with contextlib.suppress(kafka.KafkaError):
                self._within(self._answer_s, self._manager.cluster.refresh_metadata)

    def _fetch(self, topic: str, partition: int, offset: int, max_bytes: int) -> tuple[Parsed, int]:
        request = fetch_request(topic, partition, offset, max_bytes)
        answer = self._send(request, self._leader(topic, partition)).responses[0].partitions[0]
        if answer.error_code == kafka.OffsetOutOfRangeError.errno:
            raise OutOfRange
        _raise_for(answer.error_code)
        aborted = [Aborted(a.producer_id, a.first_offset) for a in answer.aborted_transactions or ()]
        end = int(answer.last_stable_offset)
        return parse(topic, partition, offset, bytes(answer.records or b""), aborted, max_bytes), end

    def _offsets(self, places: Sequence[Place], when: int, isolation: int) -> Mapping[Place, int]:
        by_node: dict[int, list[Place]] = defaultdict(list)
        for place in places:
            by_node[self._leader(*place)].append(place)
        found: dict[Place, int] = {}
        for node, theirs in by_node.items():
            for topic in self._send(offsets_request(theirs, when, isolation), node).topics:
                for part in topic.partitions:
                    _raise_for(part.error_code)
                    found[topic.name, part.partition_index] = int(part.offset)
        return found

    def _led_by(self, topic: str, partition: int) -> int | None:
        node = self._manager.cluster.leader_for_partition(TopicPartition(topic, partition))
        return None if node is None else int(node)

    def _leader(self, topic: str, partition: int) -> int:
        node = self._led_by(topic, partition)
        if node is None or node < 0:
            raise kafka.LeaderNotAvailableError
        return node

    def _send(self, request: Any, node: int) -> Any:
        """One request and its answer, in bounded time. Raises kafka-python's errors."""
        return self._within(self._answer_s, self._sent, request, node)

    async def _sent(self, request: Any, node: int) -> Any:
        return await self._manager.send(request, node_id=node)

    def _within(self, timeout_s: float, step: Callable[..., Any], *arguments: Any) -> Any:
        async def within() -> Any:
            future = self._manager.call_soon(step, *arguments)
            return await self._manager.wait_for(future, timeout_s * 1000)

        if self._closed:
            raise LogUnavailable("the log is closed", where=self.where)
        return self._net.run(within)


def fetch_request(topic: str, partition: int, offset: int, max_bytes: int) -> Any:
    """What is committed from an offset on; at least one batch."""
    place = FetchRequest.FetchTopic.FetchPartition(
        partition=partition, current_leader_epoch=-1, fetch_offset=offset, last_fetched_epoch=-1,
        log_start_offset=-1, partition_max_bytes=max_bytes,
    )  # fmt: skip
    return FetchRequest(
        max_wait_ms=0, min_bytes=0, max_bytes=max_bytes, isolation_level=COMMITTED, session_id=0,
        session_epoch=-1, topics=[FetchRequest.FetchTopic(topic=topic, partitions=[place])],
        forgotten_topics_data=[], rack_id="", min_version=4, max_version=TOPIC_NAMES,
    )  # fmt: skip


def offsets_request(places: Sequence[Place], when: int, isolation: int) -> Any:
    """The first or the last offset of these partitions."""
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for topic, partition in places:
        place = ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition
        by_topic[topic].append(place(partition_index=partition, current_leader_epoch=-1, timestamp=when))
    wanted = [ListOffsetsRequest.ListOffsetsTopic(name=t, partitions=p) for t, p in by_topic.items()]
    return ListOffsetsRequest(
        replica_id=-1, isolation_level=isolation, topics=wanted, min_version=2, max_version=LISTED
    )  # fmt: skip


def self_test() -> bool:
    """Look for every attribute used, and make and read the requests and answers, without any broker."""
    net = NetworkSelector()
    manager = KafkaConnectionManager(net, bootstrap_servers=["127.0.0.1:1"])
    try:
        wanted = (
            (net, ("start", "run", "close")),
            (manager, ("bootstrap", "send", "call_soon", "wait_for", "close", "get_connection")),
            (manager.cluster, ("topics", "partitions_for_topic", "leader_for_partition", "refresh_metadata", "config",
                               "need_all_topic_metadata", "bootstrap_brokers")),
        )  # fmt: skip
        if not all(hasattr(thing, name) for thing, names in wanted for name in names):
            return False
        return _speaks()
    finally:
        manager.close()
        net.close()


def _speaks() -> bool:
    """Are requests written, and answers read, with the fields used here?"""
    part = FetchResponse.FetchableTopicResponse.PartitionData
    aborted = part.AbortedTransaction(producer_id=7, first_offset=3)
    filled = part(partition_index=1, error_code=0, high_watermark=9, last_stable_offset=5, log_start_offset=0,
                  aborted_transactions=[aborted], preferred_read_replica=-1, records=b"section")  # fmt: skip
    topic = FetchResponse.FetchableTopicResponse(topic="t", partitions=[filled])
    fetched = FetchResponse(throttle_time_ms=0, error_code=0, session_id=0, responses=[topic])
    back = FetchResponse.decode(fetched.encode(version=TOPIC_NAMES), version=TOPIC_NAMES).responses[0].partitions[0]
    place = ListOffsetsResponse.ListOffsetsTopicResponse.ListOffsetsPartitionResponse
    one = place(partition_index=1, error_code=0, timestamp=-1, offset=5, leader_epoch=0)
    listed = ListOffsetsResponse(
        throttle_time_ms=0, topics=[ListOffsetsResponse.ListOffsetsTopicResponse(name="t", partitions=[one])]
    )
    offset = ListOffsetsResponse.decode(listed.encode(version=LISTED), version=LISTED).topics[0].partitions[0].offset
    written = [
        fetch_request("t", 1, 5, 100).encode(version=TOPIC_NAMES),
        offsets_request([("t", 1)], LATEST, COMMITTED).encode(version=LISTED),
    ]
    found = (bytes(back.records), int(back.last_stable_offset), back.aborted_transactions[0].first_offset, offset)
    return found == (b"section", 5, 3, 5) and all(written)


def _raise_for(code: int) -> None:
    if code:
        raise kafka.for_code(code)()
