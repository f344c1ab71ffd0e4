"""The newest records of a topic, found from its end; never a full read."""

from __future__ import annotations

from collections.abc import Sequence

from hub import blocks
from hub.access.grants import Grant
from hub.access.plan import Contract, Plan, plan_of
from hub.avro.types import Record
from hub.errors import OffsetOutOfRange
from hub.model import Range, StoredBlock
from hub.ports import LogReader

ENOUGH_BYTES = 1024 * 1024  # of one partition: then fewer records are enough
MOST_BYTES = 16 * 1024 * 1024  # never more of one partition
FURTHEST = 1 << 16  # offsets back from the end: what lies between may be markers of transactions, or compacted (R3)
STEP = 8


def newest_records(
    log: LogReader, topic: str, partition: int, span: Range, count: int
) -> tuple[blocks.Records, list[int]] | None:
    """At most so many, in order, and when the block of each was appended (ms); None when there are none. Raises CorruptBlock,
    MalformedBlock."""
    found = newest_blocks(log, topic, partition, span, count)
    if not found:
        return None
    parts = [blocks.decode(block.records, block.base_offset) for block in found]
    times = [block.timestamp_ms for block, part in zip(found, parts, strict=True) for _ in range(len(part))]
    first = max(len(times) - count, 0)
    return blocks.join(parts, first), times[first:]


def newest_blocks(log: LogReader, topic: str, partition: int, span: Range, count: int) -> Sequence[StoredBlock]:
    """The last blocks of a partition, as many as hold `count` records if that is no great effort; in order."""
    found: Sequence[StoredBlock] = ()
    back = 1
    while span.earliest < span.end:
        offset = max(span.end - back, span.earliest)
        further = _to_end(log, topic, partition, offset, span.end)
        if further is None:
            return found
        found = further
        enough = sum(block.count for block in found) >= count or sum(len(b.records) for b in found) >= ENOUGH_BYTES
        if enough or offset == span.earliest or back >= FURTHEST:
            return found
        back *= STEP
    return found


def _to_end(log: LogReader, topic: str, partition: int, offset: int, end: int) -> list[StoredBlock] | None:
    """All blocks from an offset on; None when they are too large, or are gone by now."""
    found: list[StoredBlock] = []
    size = 0
    while offset < end:
        try:
            fetch = log.read(topic, partition, offset, MOST_BYTES)
        except OffsetOutOfRange:  # retention was faster
            return None
        found += fetch.blocks
        size += sum(len(block.records) for block in fetch.blocks)
        if size > MOST_BYTES and len(found) > 1:
            return None
        if fetch.next_offset <= offset:
            break
        offset = fetch.next_offset
    return found


def whole(topic: str, schema: Record, fields: Sequence[str]) -> Plan:
    """A plan to read a topic's live records for the hub's own use: no key, so that deletions are left to the caller."""
    grant = Grant(name="hub", agency="hub", topic=topic, purpose="operation", fields=tuple(fields))
    return plan_of(grant, Contract(topic=topic, schema=schema))
