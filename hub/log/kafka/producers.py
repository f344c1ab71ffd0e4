"""What a writer needs of a producer, and the two ways to it.

`BulkProducer` hands ready record sections over whole and relies on what is private to kafka-python (ADR 6);
`PlainProducer` calls the public `send()` for each record. Which one is decided by a self-test, once a process.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import structlog
from kafka import KafkaProducer
from kafka import errors as kafka
from kafka.version import __version__ as version

from hub.errors import LogUnavailable, OutcomeUnknown
from hub.log.kafka.errors import TOO_LARGE, translate
from hub.log.kafka.options import KafkaOptions
from hub.model import Block

log = structlog.get_logger(__name__)
RETRY_MS = 20  # kafka-python waits so long for a connection that is not up yet too, a few times at each start


class ProducerFenced(Exception):
    """Another producer took this transactional id."""


class ClientChanged(Exception):
    """This kafka-python lacks something that the bulk path relies on."""


class Sent(Protocol):
    """A block on its way."""

    size: int
    topic: str

    def wait(self, timeout_s: float) -> bool:
        """Is there a verdict now?"""

    @property
    def offset(self) -> int:
        """Of its first record, once acknowledged."""

    @property
    def retried(self) -> bool:
        """Was it sent more than once?"""

    def error(self) -> BaseException | None:
        """None when the broker has it."""


class Producer(Protocol):
    """One transactional producer, for one thread. After any error: `kill` it and make another."""

    reusable: bool  # False: it cannot tell whether a transaction was clean, so each gets a producer of its own

    @property
    def unclean(self) -> str:
        """What went wrong in a transaction that was committed all the same, so that a new producer must follow (G3 e)."""

    def begin(self) -> None:
        """Start a transaction."""

    def send(self, blocks: list[Block]) -> list[Any]:
        """Hand all blocks over, at most `in_flight_bytes` of them unacknowledged, and wait for every verdict.

        Each has the `offset` of its first record. Raises the hub's error for the first that failed, LogUnavailable when
        the time is up."""

    def commit(self) -> None:
        """Make the transaction visible. Raises OutcomeUnknown when the broker does not say in time."""

    def kill(self) -> None:
        """End it without sending anything more; what was open is aborted by the next producer of this id."""


_works: dict[str, bool] = {}
_lock = threading.Lock()


def make_producer(options: KafkaOptions, transactional_id: str) -> Producer:
    """Take the transactional id: open transactions of its earlier holders are aborted. Raises the hub's errors."""
    if _works.get(version, True):
        try:
            from hub.log.kafka.producer import BulkProducer

            return BulkProducer(options, transactional_id)
        except (ClientChanged, ImportError):
            with _lock:
                if _works.get(version, True):
                    log.warning("kafka_bulk_path_off", kafka_python=version, effect="records are sent one by one")
                _works[version] = False
    from hub.log.kafka.plain import PlainProducer

    return PlainProducer(options, transactional_id)


def make_client(options: KafkaOptions, transactional_id: str) -> KafkaProducer:
    """kafka-python's producer; nothing of it stays behind when it cannot reach the cluster. Raises its errors."""
    made: list[Any] = []

    def client(**configuration: Any) -> Any:
        made.append(KafkaProducer.DEFAULT_CONFIG["kafka_client"](**configuration))
        return made[0]

    try:
        return KafkaProducer(
            **options.client(),
            transactional_id=transactional_id,
            transaction_timeout_ms=int(options.transaction_timeout_s * 1000),
            delivery_timeout_ms=int((options.append_timeout_s + options.request_timeout_s) * 1000),
            max_block_ms=int(options.commit_timeout_s * 1000),
            bootstrap_timeout_ms=int(options.bootstrap_timeout_s * 1000),
            compression_type=options.compression,
            max_request_size=8 * 1024 * 1024,
            allow_auto_create_topics=False,
            retry_backoff_ms=RETRY_MS,
            metrics_enabled=False,
            kafka_client=client,
        )
    except BaseException:
        for one in made:
            with contextlib.suppress(Exception):
                one.close()
        raise


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise the hub's errors and ProducerFenced only."""
    try:
        yield
    except kafka.KafkaError as error:
        raise _cause(error, where) from None


@contextlib.contextmanager
def committing(where: str) -> Iterator[None]:
    """The same for a commit: what failed may still have been done."""
    try:
        yield
    except (kafka.ProducerFencedError, kafka.InvalidProducerEpochError):
        raise ProducerFenced from None
    except kafka.KafkaError as error:
        raise OutcomeUnknown(
            f"the commit ended with {type(error).__name__}", where=where, remedy="the task goes on by itself"
        ) from None


def unanswered(options: KafkaOptions) -> OutcomeUnknown:
    """The commit did not answer in time."""
    return OutcomeUnknown(
        f"the commit did not answer in {options.commit_timeout_s:g} s",
        where=options.where,
        remedy="the task goes on from the checkpoint that is found when the broker answers",
    )


def _cause(error: BaseException, where: str) -> Exception:
    """A producer in a failed state wraps what failed it."""
    inner = next((a for a in getattr(error, "args", ()) if isinstance(a, kafka.KafkaError)), error)
    if isinstance(inner, (kafka.ProducerFencedError, kafka.InvalidProducerEpochError)):
        return ProducerFenced()
    if isinstance(inner, TOO_LARGE):
        return translate(inner, where)
    if isinstance(inner, kafka.KafkaTimeoutError):
        return LogUnavailable("Kafka did not take the records in time", where=where, remedy="see the brokers' health")
    return translate(inner, where)
