"""What stands at the end of each output partition, against what the checkpoint says (G3 d): a torn transaction is repaired.

Kafka's protocol can tear a transaction when an old EndTxn reaches the next one (guarantees.md, fact 2). Every record
carries `batch_id` and `seq_base`, so a writer that opens sees it: records without their checkpoint are not written again,
and a checkpoint without its records is given up for an older one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from hub import blocks as sections
from hub.errors import LogBroken, MalformedBlock, NotFound, OffsetOutOfRange
from hub.model import Block, Checkpoint, StoredBlock
from hub.ports import LogReader

log = structlog.get_logger(__name__)
WINDOW = 80_000  # offsets at the end of a partition that are looked at: more than two batches
FETCH_BYTES = 8 * 1024 * 1024
Place = tuple[str, int]


@dataclass
class Repair:
    """Where a task goes on, and the last sequence number of it that each partition already shows."""

    checkpoint: Checkpoint | None = None
    torn: bool = False
    ahead: dict[Place, int] = field(default_factory=dict)

    def remaining(self, blocks: Sequence[Block]) -> list[int]:
        """Indexes of the blocks that are not there yet. A partition is no longer looked at when it has caught up."""
        if not self.ahead:
            return list(range(len(blocks)))
        kept, counted = [], dict[tuple[Place, int], int]()
        for i, block in enumerate(blocks):
            place = (block.topic, block.partition)
            shown = self.ahead.get(place)
            base = _number(sections.first_headers(block.records), "seq_base") if shown is not None else None
            if shown is None or base is None:
                kept.append(i)
                continue
            before = counted.get((place, base), 0)
            counted[place, base] = before + block.count
            if base + before + block.count - 1 > shown:
                kept.append(i)
                del self.ahead[place]
        return kept


def repair(reader: LogReader, history: Sequence[Checkpoint], task: str) -> Repair:
    """Compare the newest checkpoint with the tails. Raises LogBroken when no remembered checkpoint fits."""
    if not history:
        return Repair()
    newest = history[-1]
    tails = {place: tail for place in newest.sequences if (tail := _tail(reader, place, task)) is not None}
    fitting = [c for c in history if all(c.sequences.get(p, -1) <= tail for p, tail in tails.items())]
    if not fitting:
        raise LogBroken(
            "records that a checkpoint vouches for are not in their topics",
            where=task,
            remedy="reset the connector, so that it reads its source again",
        )
    chosen = fitting[-1]
    ahead = {_place(p): tail for p, tail in tails.items() if tail > chosen.sequences.get(p, -1)}
    torn = bool(ahead) or chosen != newest
    if torn:
        log.error("torn_batch_repaired", task=task, batch=newest.batch, from_batch=chosen.batch, partitions=len(ahead))
    return Repair(checkpoint=chosen, torn=torn, ahead=ahead)


def _place(name: str) -> Place:
    topic, _, partition = name.rpartition("/")
    return topic, int(partition)


def _tail(reader: LogReader, name: str, task: str) -> int | None:
    """The last sequence number of the task in a partition; None when its tail has none of its records."""
    topic, partition = _place(name)
    try:
        span = reader.ends(topic)[partition]
        last: tuple[str, int] | None = None
        count = 0
        at = max(span.earliest, span.end - WINDOW)
        while at < span.end:
            fetch = reader.read(topic, partition, at, FETCH_BYTES)
            for block in fetch.blocks:
                found = _batch_of(block, task)
                if found is None:
                    continue
                count = count if found == last else 0
                last = found
                count += block.last_offset - block.base_offset + 1
            if fetch.next_offset <= at:
                break
            at = fetch.next_offset
    except (NotFound, OffsetOutOfRange, KeyError):
        return None
    return None if last is None else last[1] + count - 1


def _batch_of(block: StoredBlock, task: str) -> tuple[str, int] | None:
    """(batch id, seq_base) of a block that this task wrote."""
    try:
        headers = sections.first_headers(block.records)
    except MalformedBlock:
        return None  # another producer's
    name = (headers.get("batch_id") or b"").decode("utf-8", "replace")
    base = _number(headers, "seq_base")
    return None if base is None or name.rsplit("-", 2)[0] != task else (name, base)


def _number(headers: Mapping[str, bytes | None], name: str) -> int | None:
    value = headers.get(name) or b""
    return int(value) if value.isdigit() else None
