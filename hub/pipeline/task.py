"""The life of a record: one run of one task, from its checkpoint to the end of what the source has (architecture §2)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from threading import Event

import numpy as np
import pyarrow as pa
import structlog

from hub import failpoints
from hub.errors import DatongError, ReconciliationFailed, TooManyDeletions
from hub.mapping.program import columns_used
from hub.model import Batch, Block, Checkpoint, RunTotals, SourceCheckpoint
from hub.pipeline import quarantine
from hub.pipeline.breaker import Breaker
from hub.pipeline.changes import Changes, Compared, pick
from hub.pipeline.columns import SHOWN, SourceColumns
from hub.pipeline.manifest import RESET, Manifest, RunState
from hub.pipeline.normalise import Normalised
from hub.pipeline.plan import TaskPlan
from hub.pipeline.publish import Outgoing, Publisher, newest_event
from hub.pipeline.quarantine import Closing, OpenEntries, Rejection
from hub.pipeline.ready import Preparation, Ready, Work, given_ids
from hub.pipeline.record_ids import RecordIds
from hub.pipeline.snapshot import KeyState
from hub.ports import LogReader, Source, Writer

log = structlog.get_logger("datong.task")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run needs from outside: nothing of it is global, so a test can give its own."""

    reader: LogReader
    clock_ms: Callable[[], int]  # ms since 1970 UTC
    epoch: int
    progress: Callable[[RunTotals], None] = lambda _totals: None
    polled: Callable[[float], None] = lambda _seconds: None  # how long the source took to give a batch
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    overlap: bool = True  # read, map and encode in threads of their own, ahead of the append


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended."""

    run_id: str
    state: RunState
    totals: RunTotals
    reasons: Mapping[str, int]  # quarantined rows by reason
    warnings: Mapping[str, int]
    notes: Sequence[str] = ()
    error: DatongError | None = None


class Account:
    """Numbers the appends of a run and sums what they did (G2)."""

    def __init__(
        self, task: str, topic: str, around: Surroundings, stored: Checkpoint, *, replay: bool = False
    ) -> None:
        """`replay`: what it does, it does to rows of quarantine."""
        self._task, self._topic, self._around, self._replay = task, topic, around, replay
        self._started = around.clock_ms()
        self.batch = stored.batch
        self.totals = RunTotals()
        self.reasons: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()

    def manifest(
        self,
        totals: RunTotals,
        *,
        reasons: Mapping[str, int] | None = None,
        warnings: Mapping[str, int] | None = None,
        origin: str = "",
        state: RunState = "running",
        error: DatongError | None = None,
        event_ms: int | None = None,
    ) -> Manifest:
        """The account of the next append."""
        batch = self.batch + 1
        return Manifest(
            run=self._around.run_id,
            task=self._task,
            topic=self._topic,
            epoch=self._around.epoch,
            batch=batch,
            batch_id=f"{self._task}-{self._around.epoch}-{batch}",
            totals=totals,
            reasons=dict(reasons or {}),
            warnings=dict(warnings or {}),
            origin=origin,
            at=self._around.clock_ms(),
            started=self._started,
            state=state,
            error=error.told if error else "",
            replay=self._replay,
            event_ms=event_ms,
        )

    def add(self, manifest: Manifest) -> None:
        """The append is durable."""
        self.batch = manifest.batch
        self.totals += manifest.totals
        self.reasons.update(manifest.reasons)
        self.warnings.update(manifest.warnings)
        self._around.progress(self.totals)

    def result(self, state: RunState, *, notes: Sequence[str] = (), error: DatongError | None = None) -> RunResult:
        """The run as it ended."""
        return RunResult(
            run_id=self._around.run_id,
            state=state,
            totals=self.totals,
            reasons=dict(self.reasons),
            warnings=dict(self.warnings),
            notes=tuple(notes),
            error=error,
        )


class Run:
    """One run. `execute` returns when the source has nothing more, `stop` is set, or the task must pause or fail.

    Reading, mapping and encoding run ahead (ready.py). All that has an order or a memory is here, in the caller's thread:
    comparing, numbering, quarantine, the breaker, the append. What was read ahead and not appended is read again."""

    def __init__(
        self, plan: TaskPlan, source: Source, writer: Writer, around: Surroundings, ids: RecordIds | None = None
    ) -> None:
        """`ids`: what the source asks for what was remembered; read here, after the writer was opened."""
        self._plan, self._source, self._writer, self._around = plan, source, writer, around
        stored = writer.checkpoint() or Checkpoint(source=None)
        self._position = stored.source
        self._account = Account(plan.connector, plan.topic.name, around, stored)
        self._preparation = Preparation(plan, source, around.polled)
        self._publisher = Publisher(plan, epoch=around.epoch, sequences=stored.sequences)
        self._open = OpenEntries.load(around.reader, plan.connector)
        ids = RecordIds(plan.connector) if ids is None else ids
        self._ids = ids if source.repeats else None
        if self._ids is not None:
            self._ids.read(around.reader)
        self._changes = Changes(plan, KeyState.load(around.reader, plan.connector)) if plan.keyed else None
        self._breaker = Breaker(plan.limits)
        self._columns = SourceColumns(stored.columns, columns_used(plan.mapping))
        self._notes: list[str] = []
        self._keys_at_start = len(self._changes.state) if self._changes else 0
        self._complete = False  # the last batch ended a complete pass
        self._blind = False  # a quarantined row had no usable key: no deletions this pass (R18)

    def execute(self, stop: Event) -> RunResult:
        """Pull until the source ends. Raises Retry and Fenced; what pauses or fails the task is in the result."""
        after = None if self._plan.mode == "snapshot" else self._position
        if self._changes:
            self._changes.start_pass()
        ahead = self._ahead(after, stop)
        with ahead as works:
            state, error = self._consume(works, stop)
        if state == "completed" and self._complete and self._plan.mode == "snapshot":
            error = self._end_of_pass()
            state = "paused" if error else "completed"
        return self._finish(state, error)

    def _ahead(self, after: SourceCheckpoint | None, stop: Event) -> AbstractContextManager[Iterator[Work]]:
        if self._around.overlap:
            return self._preparation.ahead(after, stop)
        return closing(self._preparation.in_turn(after, stop))

    def _consume(self, works: Iterator[Work], stop: Event) -> tuple[RunState, DatongError | None]:
        for work in works:
            self._complete = work.batch.complete
            self._meet(work.batch)
            error = self._append(work)
            if error:
                return "paused", error
            if stop.is_set() and not self._complete:
                return "stopped", None
        return "stopped" if stop.is_set() and not self._complete else "completed", None

    def _meet(self, batch: Batch) -> None:
        """Columns that are new are reported and ignored (R13); of a source that never ends, here alone. So are its notes."""
        for note in batch.notes:
            if note not in self._notes:
                self._notes.append(note)
                log.info("the source says", connector=self._plan.connector, note=note)
        new = self._columns.see(batch.columns)
        if new:
            log.info("new columns in the source", connector=self._plan.connector, columns=new[:SHOWN], count=len(new))

    def _append(self, work: Work) -> DatongError | None:
        """One batch, all or nothing. A breaker that trips is returned after the append (R21)."""
        batch = work.batch
        if work.ready is None:
            self._position = batch.position  # a file ended, a window passed: kept with the next append
            return None
        good = work.ready.good
        compared = self._compare(work.ready)
        state = [*compared.state_blocks, *self._remember(compared, batch)]
        rejections, discarded, kept = self._quarantine(batch, [*good.rejections, *self._duplicates(good, compared)])
        totals = RunTotals(
            read=batch.read,
            published=compared.published,
            quarantined=len(rejections),
            discarded=discarded,
            filtered=len(good.filtered),
            unchanged=compared.unchanged,
            deduplicated=batch.deduplicated + compared.deduplicated,
        )
        reasons = Counter(r.reason for r in rejections)
        manifest = self._account.manifest(
            totals,
            reasons=reasons,
            warnings=good.warnings,
            origin=batch.origin,
            event_ms=newest_event(compared.out, self._around.clock_ms()),
        )
        self._write(compared.out, [*kept, *state], manifest, batch.position)
        self._source.acknowledge(batch.position)
        failpoints.hit("acknowledged")
        return self._breaker.observe(quarantine.in_order(batch, rejections))

    def _compare(self, ready: Ready) -> Compared:
        if self._ids is not None and not self._plan.keyed:
            return self._first_time(self._ids, ready.out)
        if self._changes is None or ready.content is None:
            return Compared(out=ready.out, published=len(ready.out), unchanged=0, state_blocks=())
        self._changes.exists(ready.good.failed_keys)
        self._blind = self._blind or ready.good.hidden_keys > 0
        return self._changes.compare(ready.out, ready.content, self._around.clock_ms())

    def _first_time(self, known: RecordIds, out: Outgoing) -> Compared:
        """Records whose id was not published in the last 72 hours (G4)."""
        fresh = known.fresh(out.ids)
        chosen = out if len(fresh) == len(out) else pick(out, fresh)
        again = len(out) - len(fresh)
        return Compared(out=chosen, published=len(fresh), unchanged=0, state_blocks=(), deduplicated=again)

    def _remember(self, compared: Compared, batch: Batch) -> list[Block]:
        """Ids that this append publishes, and names that its source wants to know again."""
        if self._ids is None or (self._plan.keyed and not batch.remember):
            return []
        ids = pa.array([], pa.binary()) if self._plan.keyed else compared.out.ids
        return self._ids.remember(ids, self._account.batch + 1, self._around.clock_ms(), batch.remember)

    def _duplicates(self, good: Normalised, compared: Compared) -> list[Rejection]:
        return [
            Rejection(index=int(good.rows[i]), stage="snapshot", reason="DUPLICATE_KEY", path=self._plan.key[0])
            for i in compared.duplicates.tolist()
        ]

    def _quarantine(
        self, batch: Batch, rejections: Sequence[Rejection]
    ) -> tuple[Sequence[Rejection], int, Sequence[Block]]:
        """The rejections that count, how many do not for a person set them aside, and blocks for the entries that are not
        open yet (R22)."""
        if not rejections:
            return (), 0, ()
        indexes = [r.index for r in rejections if not r.in_failures]
        made = given_ids(self._plan, self._source, batch, np.array(indexes, np.int64))
        ids = dict(zip(indexes, made.cast(pa.string()).to_pylist(), strict=True)) if made is not None else {}
        entries = quarantine.entries(
            self._plan, batch, rejections, ids, run=self._around.run_id, at_ms=self._around.clock_ms()
        )
        fresh = self._open.meet(entries)
        pairs = zip(rejections, entries, strict=True)
        counted = [rejection for rejection, entry in pairs if entry.id not in self._open.discarded]
        return counted, len(entries) - len(counted), quarantine.to_blocks(fresh, self._plan.connector)

    def _end_of_pass(self) -> DatongError | None:
        """Derive deletions, and close entries whose row is gone from the source (R18)."""
        assert self._changes is not None
        gone = self._changes.gone()
        if self._blind:
            self._notes.append("a quarantined row had no usable key, so no deletions were derived in this run")
            gone = gone[:0]
        if len(gone) > self._plan.limits.deletions_share * max(self._keys_at_start, 1):
            return TooManyDeletions(
                f"{len(gone):,} of {self._keys_at_start:,} keys are gone from the source",
                remedy=f"see that the source is complete; `datong connector resume {self._plan.connector} "
                "--accept-deletions` goes on",
            )
        now = self._around.clock_ms()
        out, blocks = self._changes.deletions(gone, now) if len(gone) else (None, [])
        lost = sorted(self._open.ids - self._open.met)
        closings = [
            Closing(id=i, task=self._plan.connector, outcome="gone", run=self._around.run_id, at=now) for i in lost
        ]
        blocks += quarantine.to_blocks(closings, self._plan.connector)
        if blocks:
            self._write(out, blocks, self._account.manifest(RunTotals(deleted=len(gone))), self._position)
        return None

    def _write(
        self, out: Outgoing | None, internal: Sequence[Block], manifest: Manifest, position: SourceCheckpoint | None
    ) -> None:
        records = self._publisher.blocks(out, batch_id=manifest.batch_id) if out is not None else []
        sequences = dict(self._publisher.sequences)
        known = self._columns.known if manifest.state == "running" else self._columns.after()
        checkpoint = Checkpoint(source=position, batch=manifest.batch, sequences=sequences, columns=known)
        self._writer.append([*records, *internal, manifest.to_block()], checkpoint)
        self._position = position
        self._account.add(manifest)

    def _finish(self, state: RunState, error: DatongError | None = None) -> RunResult:
        totals = self._account.totals
        if totals.difference and error is None:
            state = "failed"
            error = ReconciliationFailed(f"{totals.difference:+,} of {totals.read:,} rows are unaccounted for")
        self._write(None, (), self._account.manifest(RunTotals(), state=state, error=error), self._position)
        note = self._columns.note()
        return self._account.result(state, notes=[*self._notes, *([note] if note else [])], error=error)


def reset_checkpoint(plan: TaskPlan, writer: Writer, around: Surroundings, reason: str) -> RunResult:
    """The next run reads the source from its start. All else stays: what is known of keys and record ids, so that keyed
    topics get nothing twice, and the numbers of batches and records, which readers tell repetitions by (G3)."""
    stored = writer.checkpoint() or Checkpoint(source=None)
    account = Account(plan.connector, plan.topic.name, around, stored)
    manifest = account.manifest(RunTotals(), state="completed", origin=RESET + reason)
    writer.append([manifest.to_block()], replace(stored, source=None, batch=manifest.batch))
    return account.result("completed", notes=[f"the checkpoint was reset: {reason}"])


def record_failure(
    plan: TaskPlan, writer: Writer, around: Surroundings, error: DatongError, *, state: RunState
) -> RunResult:
    """Write down a run that ended with an error outside its own control, so that history shows it."""
    stored = writer.checkpoint() or Checkpoint(source=None)
    account = Account(plan.connector, plan.topic.name, around, stored)
    manifest = account.manifest(RunTotals(), state=state, error=error)
    writer.append([manifest.to_block()], replace(stored, batch=manifest.batch))
    return account.result(state, error=error)
