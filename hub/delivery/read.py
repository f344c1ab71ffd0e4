"""One batch for one subscriber: from positions in a topic to records that a plan allows (architecture §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub import blocks
from hub.access.plan import Plan
from hub.avro import Record
from hub.delivery.cache import BlockCache, CachedBlock
from hub.delivery.columns import Part, PlanReader, PlanReaders, delivered_schema, joined
from hub.errors import CorruptBlock, MalformedAvro, MalformedBlock, OffsetOutOfRange
from hub.model import Range
from hub.ports import LogReader

CACHE_BYTES = 64 * 1024 * 1024
DAMAGED = (CorruptBlock, MalformedAvro, MalformedBlock)
TOGETHER_BYTES = 4 * 1024 * 1024  # of blocks in one go: array operations pay from thousands of records on


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """Bounds of one batch. Both are looked at; a batch may be empty and still have moved on."""

    max_records: int = 10_000  # delivered
    max_bytes: int = 8 * 1024 * 1024  # read from the log before the filter, or made of that

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
    keys: pa.BinaryArray | None = None  # keyed topics: of each record; keys of other topics may not leave (G13)
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

    def take(self, part: Part, records: blocks.Records, place: tuple[int, int]) -> None:
        """What was read of some records, up to a partition's next offset. It costs the bytes read or made, whichever is
        more."""
        partition, next_offset = place
        offsets = records.offsets[part.rows]
        read = int(np.searchsorted(records.offsets, next_offset))
        self.positions[partition] = next_offset
        self.budget.records -= len(part.rows)
        self.budget.bytes -= max(records.size(read), part.records.nbytes)
        if len(part.rows):
            self.parts.append(part)
            self.offsets.append(offsets)
            self.partitions.append(np.full(len(part.rows), partition, np.int32))


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
        """Some blocks at a time until the end or the limits; positions follow."""
        while batch.positions[partition] < end and not batch.budget.spent:
            found = self._gather(plan.topic, partition, end, batch)
            try:
                self._read_blocks(reader, partition, found, batch)
            except DAMAGED:
                self._read_one_by_one(reader, partition, found, batch)

    def _gather(self, topic: str, partition: int, end: int, batch: _Batch) -> list[CachedBlock]:
        """Blocks to read together, as many as the limits have room for if the filter lets all pass. Nothing: the
        position has moved. Raises CorruptBlock if the first one is damaged."""
        found: list[CachedBlock] = []
        position, records, size = batch.positions[partition], 0, 0
        most = min(batch.budget.bytes, TOGETHER_BYTES)
        while position < end and records < batch.budget.records and size < most:
            try:
                block = self._cache.block(topic, partition, position)
            except (CorruptBlock, OffsetOutOfRange) as error:
                if found:
                    break
                if isinstance(error, CorruptBlock):
                    raise
                batch.gaps.append(Gap(partition=partition, position=position, earliest=error.earliest))
                batch.positions[partition] = error.earliest  # retention was faster than this batch
                break
            if block is None:  # up to the end there are only markers of transactions, or gaps of compaction (R3)
                if not found:
                    batch.positions[partition] = end
                break
            found.append(block)
            records += block.block.count
            size += len(block.block.records)
            position = block.next_offset
        return found

    def _read_one_by_one(self, reader: PlanReader, partition: int, found: list[CachedBlock], batch: _Batch) -> None:
        """A block with a record that cannot be read is damaged; those before it are served."""
        for entry in found:
            while batch.positions[partition] < entry.next_offset and not batch.budget.spent:
                try:
                    self._read_blocks(reader, partition, [entry], batch)
                except (MalformedAvro, MalformedBlock) as error:
                    block = entry.block
                    raise CorruptBlock(topic=block.topic, partition=partition, offset=block.base_offset) from error

    def _read_blocks(self, reader: PlanReader, partition: int, found: list[CachedBlock], batch: _Batch) -> None:
        """Blocks that follow each other, from the position on."""
        if not found:
            return
        position, next_offset = batch.positions[partition], found[-1].next_offset
        first = int(np.searchsorted(found[0].records.offsets, position))
        records = blocks.join([entry.records for entry in found], first)
        part = reader.read(records)
        if part.looked_at < len(records):
            next_offset = int(records.offsets[part.looked_at])
        if len(part.rows) > batch.budget.records:
            part = part.head(batch.budget.records)
            next_offset = int(records.offsets[part.rows[-1]]) + 1
        batch.take(part, records, (partition, next_offset))


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


def _delivery(plan: Plan, batch: _Batch, ends: Mapping[int, int]) -> Delivery:
    deleted = [part.deleted for part in batch.parts]
    keys = [part.keys for part in batch.parts if part.keys is not None]
    return Delivery(
        plan=plan,
        records=joined([part.records for part in batch.parts], delivered_schema(plan)),
        offsets=np.concatenate([np.empty(0, np.int64), *batch.offsets]),
        partitions=np.concatenate([np.empty(0, np.int32), *batch.partitions]),
        deleted=np.concatenate([np.empty(0, np.bool_), *deleted]) if plan.keyed else None,
        keys=pa.concat_arrays([pa.array([], pa.binary()), *keys]) if plan.keyed else None,
        positions=batch.positions,
        ends=ends,
        gaps=tuple(batch.gaps),
    )
