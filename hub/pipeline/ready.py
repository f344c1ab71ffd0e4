"""All that can be done with a batch without knowing the batches before it: what runs ahead of the append."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from threading import Event

import pyarrow as pa

from hub import failpoints
from hub.mapping.program import Mapped
from hub.model import Batch, Rows, SourceCheckpoint
from hub.pipeline import publish
from hub.pipeline.changes import Content
from hub.pipeline.normalise import Normalised, Normaliser
from hub.pipeline.overlap import Overlapped, Step
from hub.pipeline.plan import TaskPlan
from hub.pipeline.publish import Outgoing
from hub.ports import Source


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A batch whose records only wait to be compared, numbered and appended."""

    good: Normalised
    out: Outgoing
    content: Content | None  # for keyed modes


@dataclass(frozen=True, kw_only=True)
class Work:
    """A batch on its way through the steps."""

    batch: Batch
    mapped: Mapped | None = None
    ready: Ready | None = None  # None at the end: the batch has no rows, only a position


class Preparation:
    """The steps of one task, read → map → encode. Each keeps to one thread; none has state that rows change."""

    def __init__(self, plan: TaskPlan, source: Source, polled: Callable[[float], None] = lambda _seconds: None) -> None:
        """`polled` is told how long the source took to give each batch."""
        self._plan, self._source, self._polled = plan, source, polled
        self._normaliser = Normaliser(plan)

    def ahead(self, after: SourceCheckpoint | None, stop: Event) -> Overlapped[Work]:
        """Batches in order, each prepared while the one before is appended."""
        return Overlapped(
            self._read(after, stop), self.steps, size=_size, abandon=self._source.close, name=self._plan.connector
        )

    def in_turn(self, after: SourceCheckpoint | None, stop: Event) -> Generator[Work, None, None]:
        """The same, one after the other in the thread that asks."""
        for work in self._read(after, stop):
            for _name, step in self.steps:
                work = step(work)
            yield work

    @property
    def steps(self) -> Sequence[Step]:
        """By the name of their thread."""
        return (("map", self._map), ("encode", self._encode))

    def _read(self, after: SourceCheckpoint | None, stop: Event) -> Generator[Work, None, None]:
        asked = time.perf_counter()
        for batch in self._source.batches(after, stop):
            self._polled(time.perf_counter() - asked)
            failpoints.hit("fetched")
            yield Work(batch=batch)
            asked = time.perf_counter()

    def _map(self, work: Work) -> Work:
        if not work.batch.read:
            return work
        mapped = self._normaliser.map(work.batch)
        failpoints.hit("mapped")
        return Work(batch=work.batch, mapped=mapped)

    def _encode(self, work: Work) -> Work:
        if work.mapped is None:
            return work
        good = self._normaliser.encode(work.batch, work.mapped)
        out = self._outgoing(work.batch, good)
        content = Content.of(good, self._plan) if self._plan.keyed else None
        return Work(batch=work.batch, ready=Ready(good=good, out=out, content=content))

    def _outgoing(self, batch: Batch, good: Normalised) -> Outgoing:
        plan = self._plan
        ids = given_ids(plan, self._source, batch, good.rows)
        if ids is None:
            ids = publish.content_ids(plan.connector, good.keys, good.values)
        times = publish.iso_times(good.column(plan.event_time)) if plan.event_time else None
        return Outgoing(keys=good.keys, values=good.values, ids=ids, times=times)


def given_ids(plan: TaskPlan, source: Source, batch: Batch, indexes: Rows) -> pa.BinaryArray | None:
    """Record ids that rows have whatever becomes of them; None: only a record that is made has one (R7)."""
    if batch.ids is not None:
        return publish.named_ids(plan.connector, batch.ids.take(pa.array(indexes)))
    if source.replayable:
        return publish.positional_ids(plan.connector, batch.origin, batch.rows[indexes])
    return None


def _size(work: Work) -> int:
    """Bytes of a batch as read; what is made of it grows with them."""
    return int(work.batch.records.nbytes)
