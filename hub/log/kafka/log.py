"""The log port on Apache Kafka: blocks of all topics and the checkpoint in one transaction (R1-R9, G3)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence

import structlog

from hub import failpoints
from hub.errors import DatongError, Fenced, LogUnavailable, NotFound, OutcomeUnknown
from hub.log.kafka.admin import Admin
from hub.log.kafka.checkpoints import Checkpoints, Entry, known
from hub.log.kafka.cluster import Place, connect
from hub.log.kafka.hanging import Hanging
from hub.log.kafka.mirror import GroupMirror
from hub.log.kafka.options import KafkaOptions
from hub.log.kafka.producers import Producer, ProducerFenced, make_producer
from hub.log.kafka.reader import KafkaReader
from hub.log.kafka.tails import Repair, place_of, repair
from hub.log.kafka.topics import CHECKPOINT_PARTITIONS, CHECKPOINTS, Topics
from hub.log.kafka.verify import Verified, verify
from hub.log.kafka.watch import Watch
from hub.log.passed_over import PassedOver
from hub.model import QUARANTINE, STATE, Appended, Block, Checkpoint, Fetch, Finding, Range, StoredBlock, Topic

log = structlog.get_logger(__name__)
HEALTHY_S = 2.0
WAIT_FOR_OTHERS_S = 10.0  # beyond the time after which the brokers end an open transaction


class KafkaLog:
    """Implements `hub.ports.Log`. Thread-safe; each writer is for one thread.

    Capabilities: `replay` is exact for a source whose positions repeat; readers may see part of an append before the
    rest, as Kafka marks a transaction's partitions one by one."""

    replay = "exact"
    partial_visibility = True

    def __init__(self, options: KafkaOptions) -> None:
        """Raises ConfigurationInvalid or LogUnavailable, with the cause, in about five seconds."""
        self.options = options
        self._passed_over = PassedOver(lambda: time.time_ns() // 1_000_000)
        with contextlib.ExitStack() as undo:
            self._cluster = connect(options)
            undo.callback(self._cluster.close)
            admin = Admin(options)
            undo.callback(admin.close)
            self._topics = Topics(options, self._cluster, admin)
            self._mirror = GroupMirror(admin)
            undo.callback(self._mirror.close)
            self.reader = KafkaReader(self._cluster)
            self.checkpoints = Checkpoints(self.reader)
            self.hanging = Hanging(admin, self.reader, self._places)
            self._topics.ensure_internal()
            self._watch = Watch(self.reader, self._topics.places, options.transaction_timeout_s)
            undo.callback(self._watch.close)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Close all connections. Writers are closed by their owners. Idempotent."""
        self._undo.close()

    def healthy(self) -> bool:
        """Does the cluster answer, in two seconds?"""
        return self._cluster.answers(HEALTHY_S)

    def notices(self) -> Sequence[Finding]:
        """See `hub.ports.OpenLog.notices`: transactions that stay open (F8), and what others wrote."""
        return [*self._watch.notices(), *self._passed_over.notices()]

    def size(self, topic: str) -> int | None:
        """See `hub.ports.OpenLog.size`; None where the brokers do not tell this hub's user."""
        self.reader.require(topic)
        return self._topics.size(topic)

    def maintain(self) -> None:
        """Kafka keeps house by itself."""

    def verify(self) -> Verified:
        """Read everything: checksums, and that no batch is torn."""
        return verify(self.reader, list(self._topics.all(fresh=True).values()))

    def ensure(self, topic: Topic) -> None:
        """See `hub.ports.LogWriter.ensure`."""
        self._topics.ensure(topic)

    def open(self, task: str, epoch: int) -> KafkaWriter:
        """See `hub.ports.LogWriter.open`."""
        writer = KafkaWriter(self, task, epoch)
        try:
            writer.take_over()
        except BaseException:
            writer.close()
            raise
        return writer

    def checkpoint_of(self, task: str) -> Checkpoint | None:
        """See `hub.ports.LogReader.checkpoint_of`."""
        entries = self.checkpoints.history(task)
        return next((e.checkpoint for e in reversed(entries) if e.checkpoint), None)

    def topics(self) -> Mapping[str, Topic]:
        """See `hub.ports.LogReader.topics`. Changes of other processes show within five seconds."""
        return self._topics.all()

    def ends(self, topic: str) -> Mapping[int, Range]:
        """See `hub.ports.LogReader.ends`."""
        return self.reader.ends(topic)

    def ends_of(self, topics: Collection[str]) -> Mapping[str, Mapping[int, Range]]:
        """See `hub.ports.LogReader.ends_of`: two questions to each broker."""
        return self.reader.ends_of(topics)

    def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        """See `hub.ports.LogReader.read`."""
        return self.reader.read(topic, partition, offset, max_bytes)

    def wait(self, topic: str, positions: Mapping[int, int], timeout_s: float) -> bool:
        """See `hub.ports.LogReader.wait`."""
        return self.reader.wait(topic, positions, timeout_s)

    def committed(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """See `hub.ports.LogReader.committed`: `kafka-consumer-groups` shows the group and its lag."""
        self._mirror.put(group, topic, positions)

    def passed_over(self, block: StoredBlock, offset: int) -> None:
        """See `hub.ports.LogReader.passed_over`."""
        self._passed_over.add(block, offset)

    def _places(self) -> list[Place]:
        return self._topics.places() + [(CHECKPOINTS, p) for p in range(CHECKPOINT_PARTITIONS)]

    def require(self, topic: str, partition: int) -> None:
        """Raises NotFound unless there is such a partition."""
        self.reader.require(topic, partition)

    def appended(self, ends: Mapping[tuple[str, int], int]) -> None:
        """A writer of this process came to these offsets."""
        self.reader.appended(ends)


class KafkaWriter:
    """Implements `hub.ports.Writer` for one task and epoch.

    Its producer is made anew after any transaction that was not clean: retried, slow, refused or without an answer; with
    `paranoid`, after every one."""

    def __init__(self, owner: KafkaLog, task: str, epoch: int) -> None:
        self._log, self._task, self._epoch = owner, task, epoch
        self._producer: Producer | None = None
        self._checkpoint: Checkpoint | None = None
        self._repair = Repair()
        self._dead: DatongError | None = None

    def take_over(self) -> None:
        """Fence earlier writers and learn where they came to. Raises Fenced, LogUnavailable."""
        self._fence(self._log.checkpoints.history(self._task))  # a stale one is told without disturbing who writes
        try:
            self._take_id()
            entries = self._entries()
            stored = self._fence(entries)
            self._settle(known(entries))
            self._repair = repair(self._log.reader, known(entries), self._task)
            self._checkpoint = self._repair.checkpoint
            if stored is None or stored.epoch < self._epoch or stored.checkpoint != self._checkpoint:
                self._transact([], self._checkpoint, stored.before if stored else None)
        except ProducerFenced:
            raise self._overtaken() from None

    def _take_id(self) -> None:
        """A producer with an epoch of its own, and nothing open of earlier ones."""
        name = f"hub-{self._task}"
        self._log.hanging.look(name)
        self._producer = make_producer(self._log.options, name)
        self._log.hanging.end(name)

    def _settle(self, checkpoints: Sequence[Checkpoint]) -> None:
        """All that this task ever wrote is decided now, but may stand behind an open transaction of another task. Who
        reads its state or its tails must not stop there."""
        places = {place_of(name) for name in (checkpoints[-1].sequences if checkpoints else ())}
        for topic, partition in sorted({*places, (STATE, 0), (QUARANTINE, 0)}):
            with contextlib.suppress(NotFound):
                self._log.require(topic, partition)
                self._log.reader.settled(topic, range(partition, partition + 1), self._patience_s)

    def checkpoint(self) -> Checkpoint | None:
        """As of the last complete append of this task."""
        return self._checkpoint

    def append(self, blocks: Sequence[Block], checkpoint: Checkpoint) -> Appended:
        """All or nothing, durable on return."""
        if self._dead:
            raise self._dead
        self._check_places(blocks)
        self._repair.look(self._log.reader, blocks, self._task)
        kept = self._repair.remaining(blocks)
        try:
            if self._producer is None:
                self._renew()
            offsets = self._transact([blocks[i] for i in kept], checkpoint, self._checkpoint)
        except ProducerFenced:
            self._drop_producer()
            raise self._die(self._overtaken()) from None
        except (OutcomeUnknown, Fenced) as error:
            self._drop_producer()
            raise self._die(error) from None
        except DatongError:
            self._drop_producer()  # the next one aborts what this one left open
            raise
        self._checkpoint = checkpoint
        self._repair.appended(checkpoint)
        self._recycle()
        found = dict(zip(kept, offsets, strict=True))
        self._log.appended({(blocks[i].topic, blocks[i].partition): o + blocks[i].count for i, o in found.items()})
        failpoints.hit("committed")
        return Appended(offsets=[found.get(i, -1) for i in range(len(blocks))])

    def _recycle(self) -> None:
        """Drop a producer whose transaction was not clean: something of it may still be on its way (G3 e)."""
        if self._producer is None:
            return
        if self._producer.unclean:
            log.info("producer_recycled", task=self._task, epoch=self._epoch, why=self._producer.unclean)
        if self._producer.unclean or not self._producer.reusable or self._log.options.paranoid:
            self._drop_producer()

    def close(self) -> None:
        """Give the producer back; what is open is aborted by the next writer."""
        self._drop_producer()
        self._dead = self._dead or LogUnavailable("this writer is closed")

    def _transact(self, blocks: Sequence[Block], checkpoint: Checkpoint | None, before: Checkpoint | None) -> list[int]:
        """One transaction; the base offset of each block."""
        assert self._producer is not None
        self._producer.begin()
        failpoints.hit("begin")
        mark = self._log.checkpoints.block(self._task, self._epoch, checkpoint, before)
        sent = self._producer.send([*blocks, mark])
        failpoints.hit("appended")
        self._producer.commit()
        return [one.offset for one in sent[:-1]]

    def _renew(self) -> None:
        """A new producer of the same id. Nobody may have written in between."""
        self._fence(self._log.checkpoints.history(self._task))
        self._take_id()
        entries = self._entries()
        self._fence(entries)
        newest = next((e.checkpoint for e in reversed(entries) if e.checkpoint), None)
        if newest != self._checkpoint and newest is not None:
            raise OutcomeUnknown(
                "an append whose outcome was not known is found to be done",
                where=self._task,
                remedy="the task goes on from its checkpoint",
            )

    @property
    def _patience_s(self) -> float:
        return self._log.options.transaction_timeout_s + WAIT_FOR_OTHERS_S

    def _entries(self) -> list[Entry]:
        return self._log.checkpoints.history(self._task, wait_s=self._patience_s)

    def _fence(self, entries: Sequence[Entry]) -> Entry | None:
        """The newest entry. Raises Fenced when a newer epoch wrote."""
        newest = max((e.epoch for e in entries), default=0)
        if newest > self._epoch:
            raise Fenced(
                f"task {self._task} was taken over: epoch {self._epoch} is older than {newest}",
                remedy="this process must end; the newer one goes on from the checkpoint",
                newest=newest,
            )
        return entries[-1] if entries else None

    def _overtaken(self) -> DatongError:
        """Kafka says fenced: by a newer epoch, or by chance (a recycled producer, a broker that forgot)?"""
        try:
            self._fence(self._entries())
        except Fenced as error:
            return error
        except DatongError:
            pass  # who it was cannot be asked now: the next writer will find out
        return OutcomeUnknown(
            "the producer was fenced, but no newer epoch has written",
            where=self._task,
            remedy="the task opens a new writer and goes on from its checkpoint",
        )

    def _die(self, error: DatongError) -> DatongError:
        self._dead = error
        return error

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._producer.kill()
            self._producer = None

    def _check_places(self, blocks: Sequence[Block]) -> None:
        """Kafka would wait for a topic that does not exist."""
        for topic, partition in {(b.topic, b.partition) for b in blocks}:
            self._log.require(topic, partition)
