"""The three things that vary: where records come from, where they live, and a subscriber's own system.

Each port has one contract suite (tests/contracts) that every adapter passes. Differences are capability flags on the
adapter, never `isinstance`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from threading import Event
from typing import Protocol

from hub.errors import DatongError
from hub.model import (
    Appended,
    Batch,
    Block,
    Checkpoint,
    Fetch,
    Finding,
    PushRules,
    Range,
    Receipt,
    Report,
    SinkBatch,
    SourceCheckpoint,
    StoredBlock,
    Stream,
    Submission,
    Topic,
)


class Remembered(Protocol):
    """What a source that `repeats` had remembered (`Batch.remember`): its memory over restarts and other workers."""

    def __call__(self, names: Sequence[bytes]) -> Sequence[bool]:
        """Which of these are durable, from the append of their batch on, for 72 hours. Only once `batches` began; from
        any thread. A name may be known before `acknowledge` says so: what is under way the source knows itself."""


class Away(Protocol):
    """Hears of a system that does not answer while its source asks it again by itself, so that people know of it before
    the run gives up."""

    def __call__(self, why: DatongError | None, /) -> None:
        """Before another try, why; None once it answers. From any thread, any number of times."""


class Source(Protocol):
    """A departmental system, read in order from a checkpoint. One thread uses it, except `close`.

    Call order: `check` and `discover` at any time; `batches` once; `acknowledge` after each durable append; `close`
    last.
    """

    @property
    def replayable(self) -> bool:
        """True when reading again from a checkpoint gives the same rows at the same (origin, row) (class A).
        False: record ids are made from `Batch.ids`, or from key and content where it has none (classes B and C)."""

    @property
    def repeats(self) -> bool:
        """True when a record may be given again long after it was (class C, and B read with an overlap): in append mode
        the hub then knows the record ids of 72 hours and publishes each once (G4). `Batch.remember` needs it."""

    def check(self) -> Report:
        """Is it reachable and readable, and what is missing? Never changes the system; does not raise for findings."""

    def discover(self) -> list[Stream]:
        """What could be read, with columns, types and estimated rows. Raises SourceUnavailable or FileRefused."""

    def batches(self, after: SourceCheckpoint | None, stop: Event) -> Iterator[Batch]:
        """Rows after `after` (None: from the start), at most ~30,000 rows or 4 MiB a batch, in a stable order.

        Ends when there is nothing more now, or soon after `stop` is set; yields at least once a second (empty when
        idle) while it waits. `Batch.columns` names what the system has there, wanted or not (R13). Rows it cannot turn
        into columns are `Batch.failures`, never an exception. Raises SourceUnavailable (the runner retries from its
        checkpoint), FileRefused or Fatal (the task pauses).
        """

    def acknowledge(self, position: SourceCheckpoint) -> None:
        """All up to `position` is durable. Idempotent; may be skipped by a crash, so it is never needed for safety."""

    def close(self) -> None:
        """Give back what is held. From any thread, any number of times; `batches` then ends or raises Retry."""


class Door(Protocol):
    """Where a source takes what is pushed to it, while its `batches` runs. Any thread uses it."""

    @property
    def max_bytes(self) -> int:
        """Largest body."""

    def receive(self, submission: Submission) -> Future[Receipt]:
        """Look at it, and hand it to `batches`. The future ends when the append is durable, or with Retry when it is not
        known to be.

        Raises NotAuthenticated, Conflict (its id stands for something else), PushRefused, LimitExceeded, RateExceeded, and
        SourceUnavailable when the source has ended."""


class Intake(Protocol):
    """The doors of this process."""

    def open(self, task: str, door: Door) -> None:
        """What is pushed to the task goes to this door from now on."""

    def close(self, task: str, door: Door) -> None:
        """No more, unless another one was opened meanwhile. Idempotent."""


class Sink(Protocol):
    """A subscriber's own system. One thread uses it.

    Call order: `positions` first, then `write` for batch after batch, `close` last. The sink's own positions are the truth
    of what it has: after a crash the hub goes on from them, so `write` must keep records and positions together.
    """

    @property
    def rules(self) -> PushRules:
        """How often a batch is tried, and what becomes of one that cannot be written."""

    def positions(self) -> Mapping[int, int] | None:
        """Per partition, the next offset it wants; empty when it has nothing. Raises SinkUnavailable.

        None: it cannot say. Then the hub goes on from what it took before, and the last batch may come twice."""

    def write(self, batch: SinkBatch) -> None:
        """All of the batch, durable on return, or nothing. With `reset`, what was there before goes first.

        Raises SinkUnavailable or StorageFull (tried again), SinkRefused (not tried again: the batch is set aside where the
        rules say so, else the subscription pauses), SinkGone (the subscription pauses, whatever the rules)."""

    def close(self) -> None:
        """Give back what is held. Idempotent."""


class Writer(Protocol):
    """One task's right to append, from `LogWriter.open` until it raises."""

    def checkpoint(self) -> Checkpoint | None:
        """As of the last complete append of this task, by any writer."""

    def append(self, blocks: Sequence[Block], checkpoint: Checkpoint) -> Appended:
        """Blocks of any topics and the checkpoint, all or nothing and durable on return (G1, R1).

        Raises Fenced (a newer epoch wrote), StorageFull or LogUnavailable (nothing written, may be called again),
        OutcomeUnknown (this writer is dead: open a new one, go on from its checkpoint).
        """

    def close(self) -> None: ...


class LogWriter(Protocol):
    """The side of the log that tasks use."""

    def ensure(self, topic: Topic) -> None:
        """Create the topic or change its retention. Another partition count than it already has: Conflict (R9)."""

    def open(self, task: str, epoch: int) -> Writer:
        """Take over `task`. An epoch older than the stored one raises Fenced; an equal one may reopen (R4)."""


class LogReader(Protocol):
    """The side of the log that deliveries use. Safe from many threads."""

    def topics(self) -> Mapping[str, Topic]:
        """Every topic there is, internal ones included."""

    def read(self, topic: str, partition: int, offset: int, max_bytes: int) -> Fetch:
        """Blocks from the one that holds `offset` on; at least one, even when larger than `max_bytes` (R3).

        An empty answer means the end. A trimmed offset raises OffsetOutOfRange; a block that fails its checksum raises
        CorruptBlock when it is the first asked for, and otherwise ends the answer before it. Unknown topic: NotFound.
        """

    def ends(self, topic: str) -> Mapping[int, Range]:
        """Per partition, the first offset there is and the next one to be given."""

    def ends_of(self, topics: Collection[str]) -> Mapping[str, Mapping[int, Range]]:
        """The same of many topics, in as few questions as the log allows; topics that there are not are left out.

        For who watches: unlike `ends` it may be a moment behind the appends of this process."""

    def checkpoint_of(self, task: str) -> Checkpoint | None:
        """Where a task came to, as far as it is known here: for people to see. A writer alone knows for certain (R1)."""

    def wait(self, topic: str, positions: Mapping[int, int], timeout_s: float) -> bool:
        """Block until a partition's end is past its position (True) or the time is up (False)."""

    def committed(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """A subscriber's group came to these offsets: for the log's own lag tools, where it has any (R24).

        Returns at once and never raises; the store alone is the truth."""

    def passed_over(self, block: StoredBlock, offset: int) -> None:
        """A record of an internal topic is not the hub's own, and whoever read it made no use of it. It may be met many
        times; `OpenLog.notices` tells of it. Never raises."""


class Log(LogWriter, LogReader, Protocol):
    """Both sides, as an adapter offers them."""

    def close(self) -> None: ...


class OpenLog(Log, Protocol):
    """A log as the hub keeps it open."""

    def healthy(self) -> bool:
        """Does it take appends?"""

    def notices(self) -> Sequence[Finding]:
        """Trouble that a person should know of now; empty when all is well. Answers at once, from what was seen."""

    def size(self, topic: str) -> int | None:
        """Bytes that a topic's blocks take, compressed as they are kept, one copy of each; None where nobody can say.
        Unknown topic: NotFound."""

    def maintain(self) -> object:
        """Apply retention and compaction, where the log does not do so by itself (R8)."""
