"""One cache of blocks for all subscribers: fifty of them do not fetch fifty times (R25)."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from functools import cached_property

from hub import blocks
from hub.errors import CorruptBlock, MalformedBlock
from hub.model import StoredBlock
from hub.ports import LogReader

FETCH_BYTES = 4 * 1024 * 1024  # asked of the log at a time
FETCH_SHARE = 16  # but no more than this part of the cache: what was fetched ahead should be there when it is wanted
PLACES_BYTES = 7 * 8  # of a decoded record: where its parts stand in the section
BLOCK_BYTES = 1_000  # of a decoded block besides
Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True)
class CachedBlock:
    """The block that answers for offsets `start` … `next_offset` - 1; it may begin before, and have gaps (R3)."""

    start: int
    next_offset: int
    block: StoredBlock

    @property
    def size(self) -> int:
        """Bytes it takes when decoded."""
        return len(self.block.records) + self.block.count * PLACES_BYTES + BLOCK_BYTES

    @cached_property
    def records(self) -> blocks.Records:
        """Its records in columns, decoded at first use. Raises CorruptBlock."""
        try:
            return blocks.decode(self.block.records, self.block.base_offset)
        except MalformedBlock as error:
            block = self.block
            raise CorruptBlock(topic=block.topic, partition=block.partition, offset=block.base_offset) from error


class BlockCache:
    """The least recently used blocks go when their sum passes `max_bytes`. Thread-safe."""

    def __init__(self, log: LogReader, max_bytes: int) -> None:
        self._log, self._max_bytes = log, max_bytes
        self._fetch_bytes = max(min(FETCH_BYTES, max_bytes // FETCH_SHARE), 1)
        self._lock = threading.Lock()
        self._fetching: defaultdict[Place, threading.Lock] = defaultdict(
            threading.Lock
        )  # one fetch per place at a time
        self._entries: OrderedDict[tuple[Place, int], CachedBlock] = OrderedDict()
        self._starts: defaultdict[Place, list[int]] = defaultdict(list)
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes held now."""
        return self._bytes

    def block(self, topic: str, partition: int, offset: int) -> CachedBlock | None:
        """The block to read at `offset`, or None at the end of the partition.

        Raises OffsetOutOfRange for a trimmed offset, CorruptBlock, NotFound, as the log does.
        """
        place = (topic, partition)
        found = self._find(place, offset)
        if found is not None:
            return found
        with self._lock:
            fetching = self._fetching[place]
        with fetching:
            return self._find(place, offset) or self._fetch(place, offset)

    def _find(self, place: Place, offset: int) -> CachedBlock | None:
        with self._lock:
            starts = self._starts[place]
            index = bisect_right(starts, offset) - 1
            if index < 0:
                return None
            found = self._entries[place, starts[index]]
            if offset >= found.next_offset:
                return None
            self._entries.move_to_end((place, found.start))
            return found

    def _fetch(self, place: Place, offset: int) -> CachedBlock | None:
        fetch = self._log.read(*place, offset, self._fetch_bytes)
        made: list[CachedBlock] = []
        start = offset
        for block in fetch.blocks:
            made.append(CachedBlock(min(start, block.base_offset), block.last_offset + 1, block))
            start = block.last_offset + 1
        for entry in reversed(made):  # the first one asked for is the last to go
            self._put(place, entry)
        return made[0] if made else None

    def _put(self, place: Place, entry: CachedBlock) -> None:
        with self._lock:
            if (place, entry.start) not in self._entries:
                self._entries[place, entry.start] = entry
                insort(self._starts[place], entry.start)
                self._bytes += entry.size
            self._entries.move_to_end((place, entry.start))
            while self._bytes > self._max_bytes and self._entries:
                (old_place, old_start), old = self._entries.popitem(last=False)
                self._starts[old_place].remove(old_start)
                self._bytes -= old.size
