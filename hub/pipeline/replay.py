"""Quarantined rows, read again after a fix: a run of its own (R20)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event

import numpy as np
import pyarrow as pa

from hub.model import Batch, Block, Checkpoint, RunTotals, SourceCheckpoint
from hub.pipeline import publish, quarantine
from hub.pipeline.changes import Changes, Content
from hub.pipeline.manifest import Manifest, RunState
from hub.pipeline.normalise import Normalised, Normaliser
from hub.pipeline.plan import TaskPlan
from hub.pipeline.publish import Outgoing, Publisher
from hub.pipeline.quarantine import Closing, Entry, Outcome, Rejection
from hub.pipeline.snapshot import KeyState
from hub.pipeline.task import Account, RunResult, Surroundings
from hub.ports import Writer

CHUNK = 10_000  # entries per append


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of one chunk of entries."""

    out: Outgoing
    blocks: Sequence[Block]
    totals: RunTotals
    reasons: Counter[str]


class Replay:
    """Maps entries again with the connector's mapping of today. Runs under the task's own lease, so never beside a run."""

    def __init__(self, plan: TaskPlan, writer: Writer, around: Surroundings) -> None:
        self._plan, self._writer, self._around = plan, writer, around
        stored = writer.checkpoint() or Checkpoint(source=None)
        self._stored = stored  # position and columns of the source stay as they are
        self._account = Account(plan.connector, plan.topic.name, around, stored, replay=True)
        self._discarded = quarantine.OpenEntries.load(around.reader, plan.connector).discarded
        self._normaliser = Normaliser(plan)
        self._publisher = Publisher(plan, epoch=around.epoch, sequences=stored.sequences, replay_of=around.run_id)
        self._notes: list[str] = []
        self._changes = Changes(plan, KeyState.load(around.reader, plan.connector)) if plan.keyed else None

    def execute(self, entries: Sequence[Entry], stop: Event) -> RunResult:
        """Each entry is published, superseded, filtered, or stays in quarantine. Raw rows stay: mend them at the source."""
        raw = sum(entry.columns is None for entry in entries)
        if raw:
            self._notes.append(f"{raw:,} kept as bytes that were no row: mend them at the source and run the connector")
        for chunk in chunks(entries):
            if stop.is_set():
                return self._finish("stopped")
            attempt = self._attempt(chunk)
            event_ms = publish.newest_event(attempt.out, self._around.clock_ms())
            manifest = self._account.manifest(
                attempt.totals, reasons=attempt.reasons, origin="quarantine", event_ms=event_ms
            )
            blocks = [*self._publisher.blocks(attempt.out, batch_id=manifest.batch_id), *attempt.blocks]
            self._writer.append([*blocks, manifest.to_block()], self._checkpoint(manifest))
            self._account.add(manifest)
        return self._finish("completed")

    def _finish(self, state: RunState) -> RunResult:
        manifest = self._account.manifest(RunTotals(), state=state)
        self._writer.append([manifest.to_block()], self._checkpoint(manifest))
        return self._account.result(state, notes=self._notes)

    def _checkpoint(self, manifest: Manifest) -> Checkpoint:
        return replace(self._stored, batch=manifest.batch, sequences=self._publisher.sequences)

    def _attempt(self, chunk: Sequence[Entry]) -> Attempt:
        batch = as_batch(chunk)
        good = self._normaliser.apply(batch)
        good, superseded = self._superseded(good, chunk)
        out, published, unchanged, blocks = self._publishable(good, chunk)
        closings = [
            *self._close(chunk, good.rows, "replayed"),
            *self._close(chunk, superseded, "superseded"),
            *self._close(chunk, good.filtered, "discarded"),
        ]
        stay, again = self._again(batch, good, chunk)
        totals = RunTotals(
            read=len(chunk),
            published=published,
            unchanged=unchanged,
            quarantined=len(stay),
            filtered=len(good.filtered),
            superseded=len(superseded),
            discarded=len(good.rejections) - len(stay),
        )
        return Attempt(
            out=out,
            blocks=[*blocks, *quarantine.to_blocks([*closings, *again], self._plan.connector)],
            totals=totals,
            reasons=Counter(r.reason for r in stay),
        )

    def _superseded(self, good: Normalised, chunk: Sequence[Entry]) -> tuple[Normalised, np.ndarray]:
        """Rows whose key was published after the row was quarantined; a newer row of the same chunk counts too."""
        if not self._changes or good.keys is None or not len(good.keys):
            return good, np.empty(0, np.int64)
        at = np.array([chunk[i].at for i in good.rows.tolist()], np.int64)
        late = self._changes.state.published_since(self._changes.state.find(good.keys), at)
        last = {key: place for place, key in enumerate(good.keys.to_pylist())}
        late |= np.array([last[key] != place for place, key in enumerate(good.keys.to_pylist())], np.bool_)
        which = np.flatnonzero(late)
        rows = good.rows[which]
        kept = good.without(which, "snapshot", "SUPERSEDED")
        return replace(kept, rejections=good.rejections), rows

    def _publishable(self, good: Normalised, chunk: Sequence[Entry]) -> tuple[Outgoing, int, int, Sequence[Block]]:
        ids = [chunk[i].record_id or chunk[i].id for i in good.rows.tolist()]
        times = publish.iso_times(good.column(self._plan.event_time)) if self._plan.event_time else None
        out = Outgoing(
            keys=good.keys,
            values=good.values,
            ids=pa.array([i.encode() for i in ids], pa.binary()),
            times=times,
        )
        if not self._changes:
            return out, len(out), 0, ()
        self._changes.start_pass()
        compared = self._changes.compare(out, Content.of(good, self._plan), self._around.clock_ms())
        return compared.out, compared.published, compared.unchanged, compared.state_blocks

    def _close(self, chunk: Sequence[Entry], rows: np.ndarray, outcome: Outcome) -> Iterator[Closing]:
        for row in rows.tolist():
            yield self._closing(chunk[row], outcome)

    def _closing(self, entry: Entry, outcome: Outcome) -> Closing:
        return Closing(
            id=entry.id, task=entry.task, outcome=outcome, run=self._around.run_id, at=self._around.clock_ms()
        )

    def _again(
        self, batch: Batch, good: Normalised, chunk: Sequence[Entry]
    ) -> tuple[list[Rejection], list[Entry | Closing]]:
        """A row that fails under a new mapping gets a new entry, with the new reason; the old one ends. One that was set
        aside under that mapping stays so. With the rejections that count."""
        ids = {i: e.record_id for i, e in enumerate(chunk)}
        made = quarantine.entries(
            self._plan, batch, good.rejections, ids, run=self._around.run_id, at_ms=self._around.clock_ms()
        )
        stay: list[Rejection] = []
        items: list[Entry | Closing] = []
        for rejection, entry in zip(good.rejections, made, strict=True):
            before, known = chunk[rejection.index], entry.id in self._discarded
            if not known:
                stay.append(rejection)
            if entry.id != before.id:
                items.append(self._closing(before, "superseded"))
                items += [] if known else [replace(entry, origin=before.origin, at=before.at)]
        return stay, items


def as_batch(chunk: Sequence[Entry]) -> Batch:
    """Entries with the same columns as a source would have delivered them."""
    return Batch(
        records=quarantine.records_from_json([e.columns or {} for e in chunk], chunk[0].types),
        position=SourceCheckpoint(value={}),
        origin="quarantine",
        rows=np.array([e.row for e in chunk], np.int64),
    )


def chunks(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Entries with the same columns, in the order they were quarantined; those that were no row are left out."""
    groups: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.columns is not None:
            groups[(tuple(entry.columns), tuple(sorted(entry.types.items())))].append(entry)
    for group in groups.values():
        for start in range(0, len(group), CHUNK):
            yield group[start : start + CHUNK]
