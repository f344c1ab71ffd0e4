"""What stands at the end of each output partition, against what the checkpoint says (G3 d): a torn transaction is repaired.

Kafka's protocol can tear a transaction when an old EndTxn reaches the next one (guarantees.md, fact 2). Every record
carries `batch_id` and `seq_base`, so a writer that opens sees it: records without their checkpoint are not written again,
and a checkpoint without its records is given up for an older one. What compaction or retention took away is no evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from hub import blocks as sections
from hub.errors import LogBroken, LogUnavailable, MalformedBlock, NotFound, OffsetOutOfRange
from hub.log.kafka.batches import Parsed
from hub.log.kafka.cluster import Place
from hub.log.kafka.reader import KafkaReader
from hub.model import INTERNAL_TOPICS, Block, Checkpoint, StoredBlock

log = structlog.get_logger(__name__)
WINDOW = 80_000  # offsets at the end of a partition that are looked at: more than two batches
FETCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Tail:
    """The last batch of a task that a partition shows."""

    batch: int  # its number
    last: int  # the last sequence number
    whole: bool  # nothing was removed there, so that there is no later one either


@dataclass
class Repair:
    """Where a task goes on, and the last sequence number of it that each partition already shows."""

    checkpoint: Checkpoint | None = None
    torn: bool = False
    ahead: dict[Place, int] = field(default_factory=dict)
    looked_at: set[Place] = field(default_factory=set)

    def remaining(self, blocks: Sequence[Block]) -> list[int]:
        """Indexes of the blocks that are not there yet."""
        kept, caught_up = [], set[Place]()
        counted: dict[tuple[Place, int], int] = defaultdict(int)
        for i, block in enumerate(blocks):
            place = (block.topic, block.partition)
            shown = None if place in caught_up else self.ahead.get(place)
            base = None if shown is None else _number(sections.first_headers(bytes(block.records)), "seq_base")
            if shown is None or base is None:
                kept.append(i)
                continue
            counted[place, base] += block.count
            if base + counted[place, base] - 1 > shown:
                kept.append(i)
                caught_up.add(place)
        return kept

    def appended(self, checkpoint: Checkpoint) -> None:
        """An append is done: partitions that have caught up with what they showed are looked at no more."""
        for place, shown in list(self.ahead.items()):
            if checkpoint.sequences.get(f"{place[0]}/{place[1]}", -1) >= shown:
                del self.ahead[place]

    def look(self, reader: KafkaReader, blocks: Sequence[Block], task: str) -> None:
        """Of partitions that the checkpoint does not know yet: was its next batch torn and is there already?"""
        places = {(b.topic, b.partition) for b in blocks if b.topic not in INTERNAL_TOPICS} - self.looked_at
        for topic, partition in places:
            tail = _tail(reader, topic, partition, task)
            if tail is not None and tail.batch == (self.checkpoint.batch if self.checkpoint else 0) + 1:
                log.error("torn_batch_repaired", task=task, batch=tail.batch, topic=topic, partition=partition)
                self.torn = True
                self.ahead[topic, partition] = tail.last
        self.looked_at |= places


def repair(reader: KafkaReader, history: Sequence[Checkpoint], task: str) -> Repair:
    """Compare the newest checkpoint with the tails. Raises LogBroken when no remembered checkpoint fits."""
    if not history:
        return Repair()
    newest = history[-1]
    places = {name: place_of(name) for name in newest.sequences}
    tails = {name: tail for name, at in places.items() if (tail := _tail(reader, *at, task)) is not None}
    fitting = [c for c in history if all(c.sequences.get(n, -1) <= t.last for n, t in tails.items() if t.whole)]
    if not fitting:
        raise LogBroken(
            "records that a checkpoint vouches for are not in their topics",
            where=task,
            remedy="see what took them away; a connector under another name reads its source again from the start",
        )
    chosen = fitting[-1]
    ahead = {places[name]: tail.last for name, tail in tails.items() if tail.last > chosen.sequences.get(name, -1)}
    torn = bool(ahead) or chosen != newest
    if torn:
        log.error("torn_batch_repaired", task=task, batch=newest.batch, from_batch=chosen.batch, partitions=len(ahead))
    return Repair(checkpoint=chosen, torn=torn, ahead=ahead, looked_at=set(places.values()))


def place_of(name: str) -> Place:
    """Topic and partition of a key of `Checkpoint.sequences`."""
    topic, _, partition = name.rpartition("/")
    return topic, int(partition)


def _tail(reader: KafkaReader, topic: str, partition: int, task: str) -> Tail | None:
    """The last batch of the task in a partition; None when its tail has none of its records."""
    last: tuple[int, int] | None = None
    count, gapless, unbroken = 0, False, False  # unbroken: since the block before, or the start of the partition
    at: int | None = None  # behind what is there so far: an answer may end with what was removed
    try:
        for start, part in _end_of(reader, topic, partition):
            own = {b.base_offset: b for b in part.blocks}
            at = start if at is None else at
            for first, final in part.spans:
                unbroken = (unbroken or at == 0) and first <= at
                at = final + 1
                found = _batch_of(own[first], task) if first in own else None
                if found is None:
                    continue
                again = found == last
                gapless = unbroken and (gapless or not again)
                count = (count if again else 0) + final - first + 1
                last, unbroken = found, True
    except (NotFound, OffsetOutOfRange):
        return None
    return None if last is None else Tail(last[0], last[1] + count - 1, gapless and unbroken)


def _end_of(reader: KafkaReader, topic: str, partition: int) -> Iterator[tuple[int, Parsed]]:
    """The last `WINDOW` offsets of a partition, each part with the offset where it was asked for."""
    span = reader.ends(topic).get(partition)
    if span is None:
        raise NotFound(f"topic {topic} has no partition {partition}")
    at = max(span.earliest, span.end - WINDOW)
    while at < span.end:
        part, _ = reader.fetch(topic, partition, at, FETCH_BYTES)
        yield at, part
        if part.next_offset <= at:
            raise LogUnavailable("the end of a partition cannot be read", where=f"{topic}/{partition}")
        at = part.next_offset


def _batch_of(block: StoredBlock, task: str) -> tuple[int, int] | None:
    """(number of the batch, seq_base) of a block that this task wrote."""
    try:
        headers = sections.first_headers(block.records)
    except MalformedBlock:
        return None  # another producer's
    name = (headers.get("batch_id") or b"").decode("utf-8", "replace")
    whose, _, number = name.rpartition("-")
    base = _number(headers, "seq_base")
    if base is None or not number.isdigit() or whose.rpartition("-")[0] != task:
        return None
    return int(number), base


def _number(headers: Mapping[str, bytes | None], name: str) -> int | None:
    value = headers.get(name) or b""
    return int(value) if value.isdigit() else None
