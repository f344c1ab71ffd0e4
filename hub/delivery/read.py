"""One batch for one subscriber: from positions in a topic to records that a plan allows (architecture §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.access.plan import Plan
from hub.avro import Record
from hub.delivery.cache import BlockCache, CachedBlock
from hub.delivery.columns import SCOPE_HEADER, Part, PlanReader, PlanReaders, Slice, delivered_schema
from hub.errors import CorruptBlock, MalformedAvro, OffsetOutOfRange
from hub.model import Range
from hub.ports import LogReader

CACHE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """Bounds of one batch. Both are looked at; a batch may be empty and still have moved on."""

    max_records: int = 10_000  # delivered
    max_bytes: int = 8 * 1024 * 1024  # read from the log, before the filter

    def __post_init__(self) -> None:
        if self.max_records < 1 or self.max_bytes < 1:
            raise ValueError("a batch has room for at least one record")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Records that retention took before they were read: offsets `position` … `earliest` - 1 (R3)."""

    partition: int
    position: int
    earliest: int


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A batch as it may leave the hub. Partitions one after the other, each in offset order."""

    plan: Plan
    records: pa.RecordBatch  # columns of the plan's schema
    offsets: npt.NDArray[np.int64]  # of each record
    partitions: npt.NDArray[np.int32]
    deleted: npt.NDArray[np.bool_] | None  # keyed topics: True = delete, key fields only; None for the others
    positions: Mapping[int, int]  # per partition, where to go on
    ends: Mapping[int, int]  # per partition, the end of the topic
    gaps: tuple[Gap, ...] = ()

    @property
    def lag(self) -> int:
        """Offsets from the positions to the ends."""
        return sum(end - self.positions[partition] for partition, end in self.ends.items())


@dataclass
class _Budget:
    """What is left of the limits."""

    records: int
    bytes: int

    @property
    def spent(self) -> bool:
        return self.records <= 0 or self.bytes <= 0


@dataclass
class _Batch:
    """A delivery in the making."""

    budget: _Budget
    positions: dict[int, int] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    offsets: list[npt.NDArray[np.int64]] = field(default_factory=list)
    partitions: list[npt.NDArray[np.int32]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


class DeliveryReader:
    """Reads for all subscribers, through one cache. Thread-safe."""

    def __init__(self, log: LogReader, schema_of: Callable[[int], Record], *, cache_bytes: int = CACHE_BYTES) -> None:
        self._log = log
        self._cache = BlockCache(log, cache_bytes)
        self._plans = PlanReaders(schema_of)

    def read(self, plan: Plan, positions: Mapping[int, int], limits: ReadLimits) -> Delivery:
        """The records after `positions` (missing partitions: from the earliest) that the plan lets out.

        The plan is the caller's decision of this moment. A trimmed position is a `Gap` in the answer, never silence.
        Raises CorruptBlock when nothing but a damaged block is left to read, NotFound for an unknown topic,
        OffsetOutOfRange for a position behind the end.
        """
        reader = self._plans.get(plan)
        spans = self._log.ends(plan.topic)
        batch = _Batch(_Budget(limits.max_records, limits.max_bytes))
        for partition, span in spans.items():
            batch.positions[partition] = _start(plan.topic, partition, positions.get(partition), span, batch.gaps)
        corrupt: CorruptBlock | None = None
        for partition in sorted(spans, key=lambda p: batch.positions[p] - spans[p].end):  # the longest lag first
            try:
                self._read_partition(plan, reader, partition, spans[partition].end, batch)
            except CorruptBlock as error:
                corrupt = corrupt or error
        if corrupt is not None and not batch.parts:
            raise corrupt
        return _delivery(plan, batch, {partition: span.end for partition, span in spans.items()})

    def _read_partition(self, plan: Plan, reader: PlanReader, partition: int, end: int, batch: _Batch) -> None:
        """Block by block until the end or the limits; positions follow each block."""
        while batch.positions[partition] < end and not batch.budget.spent:
            position = batch.positions[partition]
            try:
                found = self._cache.block(plan.topic, partition, position)
            except OffsetOutOfRange as error:  # retention was faster than this batch
                batch.gaps.append(Gap(partition=partition, position=position, earliest=error.earliest))
                batch.positions[partition] = error.earliest
                continue
            if found is None:  # up to the end there are only markers of transactions, or gaps of compaction (R3)
                batch.positions[partition] = end
                return
            self._read_block(reader, partition, found, batch)

    def _read_block(self, reader: PlanReader, partition: int, found: CachedBlock, batch: _Batch) -> None:
        records = found.records
        first = int(np.searchsorted(records.offsets, batch.positions[partition]))
        offsets = records.offsets[first:]
        try:
            part = reader.read(
                Slice(
                    keys=records.keys[first:],
                    values=records.values[first:],
                    scopes=lambda: records.header(SCOPE_HEADER)[first:],
                )
            )
        except MalformedAvro as error:
            block = found.block
            raise CorruptBlock(topic=block.topic, partition=partition, offset=block.base_offset) from error
        room = batch.budget.records
        part, next_offset = _cut(part, offsets, room, found.next_offset)
        batch.budget.records -= len(part.rows)
        batch.budget.bytes -= len(found.block.records) * len(offsets) // max(len(records.offsets), 1)
        batch.positions[partition] = next_offset
        if len(part.rows):
            batch.parts.append(part)
            batch.offsets.append(offsets[part.rows])
            batch.partitions.append(np.full(len(part.rows), partition, np.int32))


def _start(topic: str, partition: int, position: int | None, span: Range, gaps: list[Gap]) -> int:
    if position is None:
        return span.earliest
    if position > span.end:
        raise OffsetOutOfRange(
            f"{topic}/{partition} ends at {span.end}, before position {position}: the log is older than this cursor",
            earliest=span.earliest,
        )
    if position < span.earliest:
        gaps.append(Gap(partition=partition, position=position, earliest=span.earliest))
        return span.earliest
    return position


def _cut(part: Part, offsets: npt.NDArray[np.int64], room: int, next_offset: int) -> tuple[Part, int]:
    """At most `room` records; the position then stands right behind the last one."""
    if len(part.rows) <= room:
        return part, next_offset
    kept = Part(rows=part.rows[:room], records=part.records.slice(0, room), deleted=part.deleted[:room])
    return kept, int(offsets[kept.rows[-1]]) + 1


def _delivery(plan: Plan, batch: _Batch, ends: Mapping[int, int]) -> Delivery:
    schema = delivered_schema(plan)
    table = pa.Table.from_batches([part.records for part in batch.parts], schema).combine_chunks()
    empty = [pa.array([], f.type) for f in schema]
    records = table.to_batches()[0] if batch.parts else pa.RecordBatch.from_arrays(empty, schema=schema)
    deleted = [part.deleted for part in batch.parts]
    return Delivery(
        plan=plan,
        records=records,
        offsets=np.concatenate([np.empty(0, np.int64), *batch.offsets]),
        partitions=np.concatenate([np.empty(0, np.int32), *batch.partitions]),
        deleted=np.concatenate([np.empty(0, np.bool_), *deleted]) if plan.keyed else None,
        positions=batch.positions,
        ends=ends,
        gaps=tuple(batch.gaps),
    )
