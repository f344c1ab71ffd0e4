"""Is every batch whole? One pass over all topics of the hub, for `datong fsck` (G3, F17)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hub import blocks as sections
from hub.errors import CorruptBlock, LogUnavailable, MalformedBlock
from hub.log.kafka.batches import Parsed
from hub.log.kafka.reader import KafkaReader
from hub.model import INTERNAL_TOPICS, Topic

SETTLE_S = 75.0
FETCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Torn:
    """A batch of which a topic shows another number of records than its writer put there."""

    topic: str
    batch: str
    written: int
    shown: int


@dataclass
class Verified:
    """What was found. Batches that retention or compaction took a part of cannot be judged."""

    batches: int = 0  # that are whole
    unjudged: int = 0
    torn: list[Torn] = field(default_factory=list)
    corrupt: list[CorruptBlock] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        places = [{"topic": c.topic, "partition": c.partition, "offset": c.offset} for c in self.corrupt]
        torn = [vars(t) for t in self.torn]
        return {"corrupt": places, "torn": torn, "whole": self.batches, "unjudged": self.unjudged}


def verify(reader: KafkaReader, topics: list[Topic]) -> Verified:
    """Read all that is there now. Raises LogUnavailable."""
    found = Verified()
    for topic in topics:
        _Pass(reader, topic, found).judge()
    return found


class _Pass:
    """Over one topic."""

    def __init__(self, reader: KafkaReader, topic: Topic, found: Verified) -> None:
        self._reader, self._topic, self._found = reader, topic, found
        self._waiting: dict[str, tuple[int, int]] = {}  # batch -> records written, records shown so far
        self._at = {p: span.earliest for p, span in reader.ends(topic.name).items()}
        self._whole = not any(self._at.values())

    def judge(self) -> None:
        """Twice: what is incomplete at first may have been written, partition after partition, meanwhile."""
        self._read(lambda _batch: True)
        if self._waiting:
            self._read(self._waiting.__contains__)
        if self._topic.name in INTERNAL_TOPICS:
            return
        if self._whole:
            torn = [Torn(self._topic.name, batch, *counts) for batch, counts in self._waiting.items()]
            self._found.torn += torn
        else:
            self._found.unjudged += len(self._waiting)

    def _read(self, wanted: Callable[[str], bool]) -> None:
        partitions = range(self._topic.partitions)
        ends = self._reader.settled(self._topic.name, partitions, SETTLE_S)
        for partition, end in ends.items():
            try:
                for part in self._parts(partition, end):
                    self._count(part, wanted)
            except CorruptBlock as corrupt:
                self._found.corrupt.append(corrupt)
                self._at[partition], self._whole = end, False

    def _parts(self, partition: int, end: int) -> Iterator[Parsed]:
        at = self._at[partition]  # behind what is there so far: an answer may end with what was removed
        while self._at[partition] < end:
            part, _ = self._reader.fetch(self._topic.name, partition, self._at[partition], FETCH_BYTES)
            for first, last in part.spans:
                self._whole, at = self._whole and first <= at, last + 1
            taken = any(block.count <= block.last_offset - block.base_offset for block in part.blocks)
            self._whole = self._whole and not taken  # compaction takes records out of a block and leaves its offsets
            yield part
            if part.next_offset <= self._at[partition]:
                raise LogUnavailable("it cannot be read to its end", where=f"{self._topic.name}/{partition}")
            self._at[partition] = part.next_offset

    def _count(self, part: Parsed, wanted: Callable[[str], bool]) -> None:
        """A batch that is complete is forgotten at once, so that memory is that of the incomplete ones."""
        for block in part.blocks:
            try:
                headers = sections.first_headers(block.records)
            except MalformedBlock:
                continue  # another producer's
            batch, number = (headers.get("batch_id") or b"").decode("utf-8", "replace"), headers.get("batch_n") or b""
            if not batch or not number.isdigit() or not wanted(batch):
                continue
            shown = self._waiting.pop(batch, (0, 0))[1] + block.count
            if shown == int(number):
                self._found.batches += 1
            else:
                self._waiting[batch] = (int(number), shown)
